"""Windows of tokens and the answers read off them."""

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from dcft.backbones import load
from dcft.data import squad
from tests.conftest import configure

TOKENIZER = load.load_tokenizer(configure("task=toy_qa", "model=tiny-bert").model)
WORDS = "Ada Ben lives works in Berlin Cairo . the red ball zygote".split()


def questions(*pairs):
    rows = [
        {
            "id": str(i),
            "question": "Where is Ada ?",
            "context": context,
            "answers": {"text": [context[a:b]] if b > a else [], "answer_start": [a] if b > a else []},
        }
        for i, (context, (a, b)) in enumerate(pairs)
    ]
    return Dataset.from_list(rows)


@st.composite
def paragraphs(draw):
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60))
    first = draw(st.integers(0, len(words) - 1))
    last = draw(st.integers(first, min(first + 4, len(words) - 1)))
    start = len(" ".join(words[:first])) + (first > 0)
    return " ".join(words), (start, start + len(" ".join(words[first : last + 1])))


def encode(data, max_length=24, doc_stride=6):
    return squad.encode(data, TOKENIZER, max_length, doc_stride)


def logits_for(windows):
    """Logits that point at the labels."""
    start, end = (np.zeros((len(windows), 64)) for _ in range(2))
    for row, (s, e) in enumerate(zip(windows["start_positions"], windows["end_positions"], strict=True)):
        start[row, s] = end[row, e] = 9.0
    return start, end


@given(paragraphs())
def test_labels_read_back_are_the_answer(case):
    """Round trip: text -> token labels -> perfect logits -> text, through windows shorter than the paragraph."""
    context, (a, b) = case
    data = questions(case)
    windows = encode(data)
    assert all(len(ids) <= 24 for ids in windows["input_ids"])
    answer = squad.predict_answers(data, windows, *logits_for(windows), 5, 30, null_threshold=None)
    held = [s for s in windows["start_positions"] if s > 0]
    if held:  # the answer lies whole in at least one window
        assert answer == [context[a:b]]


def test_a_question_without_answer_points_to_the_first_token():
    windows = encode(questions(("Ada lives in Berlin .", (0, 0))))
    assert windows["start_positions"] == windows["end_positions"] == [0] * len(windows)


def test_an_answer_cut_by_a_window_is_no_label_there():
    context = " ".join(["red"] * 40) + " Berlin"
    windows = encode(questions((context, (len(context) - 6, len(context)))))
    assert len(windows) > 1
    assert windows["start_positions"][0] == 0
    assert windows["start_positions"][-1] > 0


def test_windows_for_training_only_lack_what_answers_are_read_off_with():
    data = questions((" ".join(["red"] * 40) + " Berlin", (160, 166)), ("Ada lives in Berlin .", (0, 0)))
    whole, windows = encode(data), squad.encode(data, TOKENIZER, 24, 6, train=True)
    assert set(whole.column_names) - set(windows.column_names) == {"example", "offsets"}
    for name in windows.column_names:
        assert windows[name] == whole[name]


def one_window(context="Ada lives in Berlin ."):
    data = questions((context, (13, 19)))
    windows = encode(data, max_length=64)
    assert len(windows) == 1
    tokens = [context[a:b].strip() if a >= 0 else "" for a, b in windows["offsets"][0]]
    return data, windows, tokens


@pytest.mark.parametrize(("null", "threshold", "text"), [(5.0, 0.0, ""), (5.0, 2.0, "Berlin"), (5.0, None, "Berlin")])
def test_no_answer_wins_above_the_threshold_only(null, threshold, text):
    data, windows, tokens = one_window()
    start, end = np.zeros((2, 1, 64))
    start[0, 0] = null
    start[0, tokens.index("Berlin")] = end[0, tokens.index("Berlin")] = 2.0
    assert squad.predict_answers(data, windows, start, end, 20, 30, threshold) == [text]


def test_spans_backwards_too_long_or_outside_the_paragraph_never_win():
    data, windows, tokens = one_window()
    start, end = np.full((2, 1, 64), -5.0)
    start[0, tokens.index("Berlin")] = 4  # best start lies after the best end
    start[0, tokens.index("Ada")], end[0, tokens.index("Ada")] = -4, 4
    start[0, 1] = end[0, 1] = 9  # the question
    start[0, 40] = end[0, 40] = 9  # padding
    start[0, tokens.index("lives")] = end[0, tokens.index("in")] = 3
    assert squad.predict_answers(data, windows, start, end, 20, 30, None) == ["lives in"]
    assert squad.predict_answers(data, windows, start, end, 20, 1, None) == ["Ada"]  # one token: -4 + 4 is the best


def test_best_of_all_windows():
    """Brute force over every span of every window."""
    rng = np.random.default_rng(0)
    context = " ".join(rng.choice(WORDS, 50))
    data = questions((context, (0, 3)))
    windows = encode(data)
    start, end = rng.normal(size=(2, len(windows), 64))
    best = max(
        (start[w, s] + end[w, e], context[offsets[s][0] : offsets[e][1]].strip())
        for w, offsets in enumerate(windows["offsets"])
        for s in range(len(offsets))
        for e in range(s, min(s + 8, len(offsets)))
        if offsets[s][0] >= 0 and offsets[e][0] >= 0
    )
    assert squad.predict_answers(data, windows, start, end, 64, 8, None) == [best[1]]
