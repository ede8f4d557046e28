"""From a run's configuration to tokenised data, through a cache keyed by content."""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets
from transformers import PreTrainedTokenizerBase

from dcft.config.cell import RunConfig
from dcft.data import glue, squad
from dcft.data.sources import DataSource, load_data
from dcft.errors import UserError

VERSION = 2  # raise it when the encoding of the same text changes


@dataclass
class TaskData:
    """The data of one run: raw rows for scoring, encoded rows for the model."""

    train: Dataset  # encoded; columns are the model's inputs
    dev: Dataset  # encoded; all dev sets, concatenated; span tasks add the columns `example` and `offsets`
    dev_rows: dict[str, Dataset]  # raw, by name of the dev set
    source: DataSource


def prepare(config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> TaskData:
    """Load the task's data and tokenise them, or take the tokens from the cache (outputs/cache/tokens).

    Raises:
        UserError: if the data cannot be loaded, or the tokenizer is a slow one.
    """
    splits, source = load_data(config)
    encoded = {name: _cached(config, tokenizer, name, rows) for name, rows in splits.items()}
    train = encoded.pop("train")
    return TaskData(
        train=train,
        dev=concatenate_datasets(list(encoded.values())),
        dev_rows={name: splits[name] for name in encoded},
        source=source,
    )


def inputs(encoded: Dataset) -> Dataset:
    """The model's inputs: encoded rows without the columns that only `squad.predict_answers` needs."""
    return encoded.remove_columns([c for c in ("example", "offsets") if c in encoded.column_names])


def tokenise(config: RunConfig, tokenizer: PreTrainedTokenizerBase, split: str, rows: Dataset, **cache) -> Dataset:
    """Encode the rows of one split.

    Args:
        config: gives the task and `data.max_length`; a tokenizer that allows fewer tokens decides instead.
        tokenizer: the backbone's.
        split: "train" or the name of a dev set. For span tasks, only dev sets get the columns `example` and `offsets`.
        rows: raw, as `sources.load_data` returns them.
        cache: `cache_file_name` and `new_fingerprint` for `Dataset.map`.
    """
    module = squad if config.task.kind == "span" else glue
    return module.encode(rows, tokenizer, **_settings(config, tokenizer, split), **cache)


def _settings(config: RunConfig, tokenizer: PreTrainedTokenizerBase, split: str) -> dict[str, Any]:
    settings = {"max_length": min(config.data.max_length, tokenizer.model_max_length)}
    if config.task.kind == "span":
        settings |= {"doc_stride": config.task.doc_stride, "train": split == "train"}
    return settings


def _cached(config: RunConfig, tokenizer: PreTrainedTokenizerBase, split: str, rows: Dataset) -> Dataset:
    content = {
        "version": VERSION,
        "tokenizers": version("tokenizers"),
        "tokenizer": _tokenizer_digest(tokenizer),
        "rows": _rows_digest(rows),
        **_settings(config, tokenizer, split),
    }
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]
    folder = Path(config.outputs.dir) / "cache" / "tokens"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{config.task.name}-{split}-{key}"
    file = str(folder / f"{name}.arrow")
    return tokenise(config, tokenizer, split, rows, cache_file_name=file, new_fingerprint=name)


def _rows_digest(rows: Dataset) -> str:
    """SHA-256 of names, types and values of all columns: 0.1 s for SQuAD's 130,000 questions."""
    table = rows.with_format("arrow")[:]
    digest = hashlib.sha256(str(table.schema.remove_metadata()).encode())
    for batch in table.to_batches():
        digest.update(batch.serialize())
    return digest.hexdigest()


def _tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of what a fast tokenizer consists of, and of the settings that Python applies around it."""
    if not tokenizer.is_fast:
        name = type(tokenizer).__name__
        raise UserError(f"{name} is a slow tokenizer; save a fast one (tokenizer.json) with the model")
    tokenizer.backend_tokenizer.no_truncation()  # left over from the last call, and set anew by each
    tokenizer.backend_tokenizer.no_padding()
    settings = [type(tokenizer).__name__, tokenizer.truncation_side, tokenizer.model_input_names]
    settings.append(tokenizer.split_special_tokens)
    return hashlib.sha256((json.dumps(settings) + tokenizer.backend_tokenizer.to_str()).encode()).hexdigest()
