"""SQuAD: questions and paragraphs to overlapping windows of tokens, and the model's logits to answer texts."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from datasets import Dataset
from transformers import BatchEncoding, PreTrainedTokenizerBase

from dcft.errors import UserError

OUTSIDE = [-1, -1]  # offset of a token that is not part of the paragraph


class Answers(NamedTuple):
    """The answers to all questions, in their order."""

    texts: list[str]  # empty for "no answer"; "empty", with score 0, if no candidate is left
    scores: list[float]  # of the best span
    null_scores: list[float]  # of "no answer"


def encode(
    data: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, doc_stride: int, train: bool = False, **cache
) -> Dataset:
    """Split each question and paragraph into windows, with the tokens of the first answer as labels.

    If a window does not hold the whole answer, or the question has none, the label is the first token.

    Args:
        data: columns `id`, `question`, `context`, `answers`.
        tokenizer: a fast tokenizer.
        max_length: tokens of a window, question included.
        doc_stride: tokens of the paragraph that neighbouring windows share.
        train: leave out the columns that only `predict_answers` needs; they take longer to compute than the rest.
        cache: `cache_file_name` and `new_fingerprint` for `Dataset.map`.

    Returns:
        One row a window: the model's inputs, `start_positions`, `end_positions`, and for `predict_answers` the number
        of the question (`example`) and the characters of each token in the paragraph (`offsets`, -1 outside it).

    Raises:
        UserError: if a window, or the room that a question leaves of it for its paragraph, is no longer than the tokens
            that windows share.
    """
    room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
    if room <= doc_stride:
        advice = (
            f"windows have room for {max(0, room)} tokens of the {max_length} that the model or data.max_length allows"
        )
        raise UserError(f"task.doc_stride={doc_stride}: {advice}; give fewer")

    def tokenise(batch, indices):
        questions = [question.lstrip() for question in batch["question"]]  # some start with very many blanks
        _require_room(batch["id"], questions, batch["context"], tokenizer, max_length, doc_stride)
        encoded = tokenizer(
            questions,
            batch["context"],
            truncation="only_second",
            max_length=max_length,
            stride=doc_stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=not train,
        )
        rows = encoded.pop("overflow_to_sample_mapping")
        spans = [_span(batch["answers"][row], encoded, window) for window, row in enumerate(rows)]
        encoded["start_positions"] = [start for start, _ in spans]
        encoded["end_positions"] = [end for _, end in spans]
        if not train:
            encoded["example"] = [indices[row] for row in rows]
            encoded["offsets"] = [
                [
                    list(offset) if part == 1 else OUTSIDE
                    for offset, part in zip(offsets, encoded.sequence_ids(window), strict=True)
                ]
                for window, offsets in enumerate(encoded.pop("offset_mapping"))
            ]
        return encoded

    return data.map(
        tokenise, batched=True, with_indices=True, remove_columns=data.column_names, desc="tokenising", **cache
    )


def _require_room(
    ids: list[str],
    questions: list[str],
    contexts: list[str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    doc_stride: int,
) -> None:
    """The tokenizer would panic, with a backtrace in Rust, where windows do not move on."""
    available = max_length - tokenizer.num_special_tokens_to_add(pair=True)
    tokens = tokenizer(questions, add_special_tokens=False)["input_ids"]
    for name, question, context in zip(ids, tokens, contexts, strict=True):
        room = available - len(question)
        if room <= doc_stride and len(tokenizer(context, add_special_tokens=False)["input_ids"]) > room:
            raise UserError(
                f"question {name} has {len(question)} tokens and leaves {max(0, room)} of a window of {max_length} for "
                f"its paragraph; windows share task.doc_stride={doc_stride}: give fewer, or more data.max_length if "
                "the model allows"
            )


def _span(answers: dict, encoded: BatchEncoding, window: int) -> tuple[int, int]:
    """First and last token of the first answer in this window, or (0, 0).

    The first token is that of the first character, even if more tokens hold bytes of the character. Hugging Face's
    run_qa takes the last of them, so that an answer of one such character ends before it starts. It also labels the
    closing special token where the first token of the answer is the window's last.
    """
    text = answers["text"][0] if answers["text"] else ""
    if not text.strip():
        return 0, 0
    # Blanks around an answer belong to no token of some tokenizers.
    first = answers["answer_start"][0] + len(text) - len(text.lstrip())
    last = first + len(text.strip()) - 1
    start, end = (encoded.char_to_token(window, character, sequence_index=1) for character in (first, last))
    return (0, 0) if start is None or end is None else (start, end)


def predict_answers(
    data: Dataset,
    windows: Dataset,
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    n_best: int,
    max_answer_length: int,
    null_threshold: float | None,
) -> Answers:
    """The most likely text for each question, over all its windows.

    A span scores the sum of its start and end logit. Candidates are the `n_best` starts times the `n_best` ends of each
    window, question and special tokens included; then spans that lie outside of the paragraph, run backwards or are too
    long drop out. "No answer" scores the first token's two logits, the lowest over the windows (Devlin et al., 2019).
    Of equal scores the first counts. All rules are those of BERT's run_squad and of Hugging Face's run_qa
    (utils_qa.py), which leaves open what counts among equal ones.

    Args:
        data: the questions, columns `context` at least.
        windows: the rows that `encode` returned for them, with `train=False`.
        start_logits, end_logits: `windows x tokens`.
        n_best: starts, and ends, that are candidates in each window.
        max_answer_length: tokens.
        null_threshold: predict "no answer" if its score exceeds the best span's by more than this; None if every
            question has an answer.

    Returns:
        One text a question, with its scores.
    """
    best: dict[int, tuple[float, int, int]] = {}
    null: dict[int, float] = defaultdict(lambda: np.inf)
    for example, offsets, start, end in zip(
        windows["example"], windows["offsets"], start_logits, end_logits, strict=True
    ):
        offsets = np.asarray(offsets)
        # Logits of padding are no candidates, unlike in run_qa: they depend on the windows that shared the batch.
        start, end = start[: len(offsets)].astype(float), end[: len(offsets)].astype(float)
        null[example] = min(null[example], start[0] + end[0])
        first, last = _largest(start, n_best)[:, None], _largest(end, n_best)[None, :]
        allowed = (offsets[first, 0] >= 0) & (offsets[last, 0] >= 0)
        allowed &= (first <= last) & (last - first < max_answer_length)
        if null_threshold is not None:  # a span without characters would be read as "no answer"
            allowed &= offsets[first, 0] < offsets[last, 1]
        scores = np.where(allowed, start[first] + end[last], -np.inf)
        i, j = np.unravel_index(scores.argmax(), scores.shape)
        if scores[i, j] > best.get(example, (-np.inf,))[0]:
            best[example] = (scores[i, j], offsets[first[i, 0], 0], offsets[last[0, j], 1])
    answers = Answers([], [], [])
    for example, context in enumerate(data["context"]):
        score, text = 0.0, "empty"
        if example in best:
            score, begin, stop = best[example]
            text = context[begin:stop].strip()  # some tokenizers' offsets include the blank before a word
        answers.texts.append("" if null_threshold is not None and null[example] - score > null_threshold else text)
        answers.scores.append(float(score))
        answers.null_scores.append(float(null[example]))
    return answers


def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Indices of the n largest values; ties stay in order."""
    return np.argsort(-values, kind="stable")[:n]
