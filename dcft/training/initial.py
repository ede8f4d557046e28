"""Start from trained weights (`model.init_from`): the adapter, or the whole backbone where a method has none.

The head stays as it was drawn, whatever the source's task (docs/design.md).
"""

from pathlib import Path

from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dcft.config.cell import RunConfig
from dcft.config.digests import start_files
from dcft.errors import UserError
from dcft.results import starts
from dcft.training.methods import SPAN_HEAD, is_part


def load(model: nn.Module, config: RunConfig) -> None:
    """Give a model the weights that it starts from, all but the head's.

    Args:
        model: adapted by its method; changed in place.
        config: the cell; `starts.require` has accepted its source.

    Raises:
        UserError: if a file is damaged, or a tensor is missing or has another shape.
    """
    place = starts.folder(config)
    heads = [*config.model.head, *SPAN_HEAD]  # the source's task may have the other kind of head
    adapted = isinstance(model, PeftModel)
    own = get_peft_model_state_dict(model, save_embedding_layers=False) if adapted else model.state_dict()
    expected, found = _without(own, heads), _without(_read(place), heads)
    for name in sorted({*expected, *found}):
        here, there = (str(list(one[name].shape)) if name in one else "missing" for one in (expected, found))
        if here != there:
            raise UserError(
                f"model.init_from={config.model.init_from}: {name} is {there} there and {here} here; "
                "give the method's settings that it was trained with, or start from another cell"
            )
    if adapted:
        set_peft_model_state_dict(model, own | found)  # PEFT asks for the head, too
    else:
        model.load_state_dict(own | found)


def _read(place: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in start_files(place):
        try:
            tensors |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file} cannot be read ({error}); restore it, or train its cell again") from error
    return tensors


def _without(tensors: dict[str, Tensor], heads: list[str]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not is_part(name, heads)}
