"""A finished cell's score, computed again from its model."""

from dcft.config.digests import data_identity, model_identity
from dcft.errors import UserError
from dcft.inference import predict, rows
from dcft.inference.trained import Source, load_model
from dcft.training.scoring import Scorer


def compare(source: Source) -> dict[str, tuple[float | None, float | None]]:
    """The metrics that the record states and those of the model now, in percent, by name; the score first.

    Raises:
        UserError: if the data or the backbone are not those of the record, or something cannot be loaded.
    """
    config, record = source.config, source.record
    config.require_data()
    if data_identity(config.task, config.data_files) != record.data_source.identity:
        raise UserError(f"the data are not those of cell {record.cell}; give --data-root PATH with the same files")
    if (weights := model_identity(config.model)) != (stated := record.model_source.identity):
        raise UserError(f"the backbone of cell {record.cell} was {stated} and is {weights} now; install the former")
    chosen = rows.of_split(config, "dev")
    trained = load_model(source)
    tokens = predict.encoded(trained, chosen)
    scores = Scorer(config.task, chosen, tokens)(predict.outputs(trained, tokens))
    both = {"score": (record.score, scores.score)}
    return both | {name: (value, scores.metrics[name]) for name, value in record.metrics.items()}
