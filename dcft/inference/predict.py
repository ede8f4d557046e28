"""What a trained model says of rows: its raw outputs, and these as words, numbers or texts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from datasets import Dataset, concatenate_datasets
from torch.nn import functional as F

from dcft.backbones import lean_attention
from dcft.config.schema import Task
from dcft.data import batches, encode
from dcft.data.squad import predict_answers
from dcft.inference.trained import Trained
from dcft.training.outputs import Row, per_row, together
from dcft.tuners.factored import merged

Outputs = np.ndarray | tuple[Sequence[np.ndarray], ...]


def encoded(trained: Trained, rows: dict[str, Dataset]) -> Dataset:
    """The tokens of all rows, set after set."""
    config, tokenizer = trained.source.config, trained.tokenizer
    return concatenate_datasets([encode.tokenise(config, tokenizer, name, part) for name, part in rows.items()])


@torch.no_grad()
def outputs(trained: Trained, tokens: Dataset) -> Outputs:
    """The outputs for every row of `tokens`, in order, adapters merged where they can be.

    The batches are those of the run's own evaluations, so that the same rows get the same bits.

    Args:
        trained: the model.
        tokens: what `encoded` returns.

    Returns:
        Logits, `rows x classes`; for spans the start and the end logits of each window.
    """
    config, model = trained.source.config, trained.model
    span = config.task.kind == "span"
    rows = batches.Rows(encode.inputs(tokens), trained.tokenizer)
    order, sizes = batches.by_length(rows, config.eval.batch_size)
    device = next(model.parameters()).device
    by_order: list[Row] = []
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")
    with merged(model), lean_attention.constant_weights(model), autocast:
        for inputs in batches.loader(rows, batches.ProcessBatches(order, sizes, 0, 1), device.type == "cuda"):
            answer = model(**{name: part.to(device) for name, part in inputs.items()})
            by_order += per_row((answer.start_logits, answer.end_logits) if span else answer.logits)
    return together([by_order[place] for place in np.argsort(order)])


def table(task: Task, rows: dict[str, Dataset], tokens: Dataset, found: Outputs) -> pd.DataFrame:
    """Predictions for people: one row a sentence, pair or question.

    Args:
        task: gives the names of the classes.
        rows: by the name of their set, in the order of `tokens`.
        tokens: what `encoded` returns.
        found: what `outputs` returns.

    Returns:
        Columns `set`, `id` (the number of the row in its set from 0, or the question's), `prediction`, the `label` if
        the rows have labels, and for classes one `probability` each, for spans `score` and `null_score` (logits).
    """
    number = 0
    tables = []
    for name, part in rows.items():
        if task.kind == "span":
            columns = _answers(task, part, tokens, found)
        else:
            columns = _labels(task, part, found[number : number + len(part)])
            number += len(part)
        tables.append(pd.DataFrame({"set": name, **columns}))
    return pd.concat(tables, ignore_index=True)


def _labels(task: Task, rows: Dataset, logits: np.ndarray) -> dict:
    columns: dict = {"id": range(len(rows))}
    labels = rows["label"][:] if "label" in rows.column_names else None
    if task.kind == "regression":
        return columns | {"prediction": logits[:, 0]} | ({"label": labels} if labels else {})
    names = np.array(task.labels)
    columns["prediction"] = names[logits.argmax(axis=1)]
    if labels:
        columns["label"] = names[labels]
    probabilities = F.softmax(torch.from_numpy(logits).double(), dim=1).numpy()
    return columns | {f"probability {name}": probabilities[:, i] for i, name in enumerate(task.labels)}


def _answers(task: Task, rows: Dataset, tokens: Dataset, logits: tuple) -> dict:
    limits = (task.n_best, task.max_answer_length, task.null_threshold)
    texts, scores, null_scores = predict_answers(rows, tokens, *logits, *limits)
    return {"id": rows["id"][:], "prediction": texts, "score": scores, "null_score": null_scores}
