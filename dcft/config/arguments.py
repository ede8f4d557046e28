"""The `key=value` arguments of the command line, read as Hydra reads them."""

import re
from collections.abc import Iterable
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString

from dcft.config.conf import CONF
from dcft.errors import UserError, quoted, shown

CHOICE = re.compile(r"\w[\w.+=-]{0,99}")  # the name of a file in a folder of conf/
PLAIN = re.compile(r"(\.{1,2}/)*[A-Za-z_/][\w./-]*")  # text that needs no quotes
WORDS = ("null", "true", "false", "nan", "inf")  # text that Hydra would read as another value


def parse(arguments: Iterable[str]) -> list[Override]:
    """The arguments, read. Those that would end in a traceback of Hydra's own are refused.

    Raises:
        UserError: if a choice is not a name (`task=3`), or a number has thousands of digits.
        HydraException: if an argument is no `key=value`.
    """
    parser, overrides = OverridesParser.create(), []
    for argument in arguments:
        try:
            overrides += parser.parse_overrides([argument])
        except ValueError as error:  # Python's own, for a number of more than 4,300 digits
            raise UserError(f"{quoted(argument)} cannot be read: {error}") from error
        _refuse_odd_choice(overrides[-1])
    return overrides


def _refuse_odd_choice(override: Override) -> None:
    group = override.key_or_group
    if override.is_delete() or override.is_sweep_override() or not ("/" in group or (CONF / group).is_dir()):
        return
    value = plain(override.value())
    if group.split("/")[0] == "recipe":
        raise UserError(f"{group}={shown(value)}: preset= chooses the recipe; give preset=NAME")
    if not (isinstance(value, str) and CHOICE.fullmatch(value)):
        raise UserError(f"{group}={shown(value)}: give the name of one {group.rpartition('/')[2]}")


def plain(value: Any) -> Any:
    """The value of an override with Hydra's quoted strings as strings; lists and numbers as they are."""
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value if value is None or isinstance(value, (bool, int, float, dict)) else str(getattr(value, "text", value))


def written(value: Any) -> str:
    """A value as the command line has it: null, true, 1e-3, [a,b], text (quoted where Hydra needs it)."""
    return Override._get_value_element_as_str(_hydra(value))


def _hydra(value: Any) -> Any:
    if isinstance(value, list):
        return [_hydra(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _hydra(entry) for key, entry in value.items()}
    if isinstance(value, str) and (not PLAIN.fullmatch(value) or value.lower() in WORDS):
        return QuotedString(value, Quote.single)
    return value
