"""Sentences and pairs of sentences as token ids."""

from datasets import Dataset
from transformers import PreTrainedTokenizerBase


def encode(data: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, **cache) -> Dataset:
    """Tokenise `text` and, if present, `pair`. Nothing is padded.

    Args:
        data: columns `text`, optionally `pair` and `label`.
        tokenizer: the backbone's.
        max_length: in tokens; the longer of the two texts is cut first.
        cache: `cache_file_name` and `new_fingerprint` for `Dataset.map`.

    Returns:
        The model's inputs, and `labels` if there are labels.
    """

    def tokenise(batch):
        encoded = tokenizer(batch["text"], batch.get("pair"), truncation=True, max_length=max_length)
        if "label" in batch:
            encoded["labels"] = batch["label"]
        return encoded

    return data.map(tokenise, batched=True, remove_columns=data.column_names, desc="tokenising", **cache)
