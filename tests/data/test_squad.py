"""Windows of tokens and the answers read off them."""

import math

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from dcft.backbones import load
from dcft.data import squad
from dcft.errors import UserError
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
    answer = squad.predict_answers(data, windows, *logits_for(windows), 5, 30, null_threshold=None).texts
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
    assert squad.predict_answers(data, windows, start, end, 20, 30, threshold).texts == [text]


def test_spans_backwards_too_long_or_outside_the_paragraph_never_win():
    data, windows, tokens = one_window()
    start, end = np.full((2, 1, 64), -5.0)
    start[0, tokens.index("Berlin")] = 4  # best start lies after the best end
    start[0, tokens.index("Ada")], end[0, tokens.index("Ada")] = -4, 4
    start[0, 1] = end[0, 1] = 9  # the question
    start[0, 40] = end[0, 40] = 9  # padding
    start[0, tokens.index("lives")] = end[0, tokens.index("in")] = 3
    assert squad.predict_answers(data, windows, start, end, 20, 30, None).texts == ["lives in"]
    assert squad.predict_answers(data, windows, start, end, 20, 1, None).texts == [
        "Ada"
    ]  # one token: -4 + 4 is the best


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
    assert squad.predict_answers(data, windows, start, end, 64, 8, None).texts == [best[1]]


def answer_by_hand(context, windows, n_best, max_answer_length, null_threshold):
    """run_squad's rules for one question, candidate after candidate; a window is (offsets or None, starts, ends)."""
    candidates, null = [], math.inf
    for offsets, starts, ends in windows:
        null = min(null, starts[0] + ends[0])
        ranked = [sorted(range(len(offsets)), key=lambda i: -part[i])[:n_best] for part in (starts, ends)]
        for first in ranked[0]:
            for last in ranked[1]:
                if offsets[first] is None or offsets[last] is None or not first <= last < first + max_answer_length:
                    continue
                candidates.append((starts[first] + ends[last], context[offsets[first][0] : offsets[last][1]]))
    if null_threshold is None:
        return max(candidates, key=lambda c: c[0], default=(0, "empty"))[1]
    score, text = max((c for c in candidates if c[1]), key=lambda c: c[0], default=(0, "empty"))
    return "" if null - score > null_threshold else text


CONTEXT = "abcdefghijkl"


@st.composite
def scored_windows(draw):
    """Few tokens and few different logits: ties, tight limits and windows without a candidate are common."""
    windows = []
    for _ in range(draw(st.integers(1, 3))):
        question, paragraph, special = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(0, 1))
        begin = draw(st.integers(0, len(CONTEXT) - paragraph))
        widths = draw(st.lists(st.integers(0, 1), min_size=paragraph, max_size=paragraph))  # tokens without characters
        offsets = [None] * question + [(begin + i, begin + i + w) for i, w in enumerate(widths)] + [None] * special
        logits = st.lists(st.integers(-3, 3), min_size=len(offsets), max_size=len(offsets))
        windows.append((offsets, draw(logits), draw(logits)))
    return windows


@given(
    st.lists(scored_windows(), min_size=1, max_size=3),
    st.integers(1, 6),
    st.integers(1, 4),
    st.sampled_from([None, -2.0, 0.0, 1.0]),
)
@settings(max_examples=500)
def test_answers_are_those_of_the_rules(cases, n_best, max_answer_length, null_threshold):
    flat = [(example, window) for example, windows in enumerate(cases) for window in windows]
    length = max(len(offsets) for _, (offsets, _, _) in flat) + 2
    start, end = np.full((2, len(flat), length), 9.0, dtype=np.float32)  # what follows a window is padding
    for row, (_, (offsets, starts, ends)) in enumerate(flat):
        start[row, : len(offsets)], end[row, : len(offsets)] = starts, ends
    windows = {
        "example": [example for example, _ in flat],
        "offsets": [[list(o) if o else squad.OUTSIDE for o in offsets] for _, (offsets, _, _) in flat],
    }
    data = {"context": [CONTEXT] * len(cases)}
    answers = squad.predict_answers(data, windows, start, end, n_best, max_answer_length, null_threshold).texts
    assert answers == [answer_by_hand(CONTEXT, ws, n_best, max_answer_length, null_threshold) for ws in cases]


def run_qa_label(offsets, parts, first, stop):
    """run_qa's label by its description, for the answer's characters `first` to `stop`.

    The start is the last token that begins at or before the answer, the end the first that reaches its end. Tokens of
    the question count where they follow the paragraph's; special tokens have the offset (0, 0).
    """
    inside = [i for i, part in enumerate(parts) if part == 1]
    if offsets[inside[0]][0] > first or offsets[inside[-1]][1] < stop:
        return 0, 0
    start = next((i for i in range(inside[0], len(offsets)) if offsets[i][0] > first), len(offsets)) - 1
    end = next(i for i in range(inside[0], len(offsets)) if offsets[i][1] >= stop)
    return start, end


ODD = "Ada liv\u00e9d \u20ac in B\u00e9rlin \u65e5\u672c . the".split()


@given(st.lists(st.sampled_from(ODD), min_size=1, max_size=30), st.data())
@settings(max_examples=200)
def test_labels_are_run_qa_s_but_for_its_two_slips(words, data):
    """Every character outside of ASCII is several tokens here."""
    context = " ".join(words)
    first = data.draw(st.integers(0, len(context) - 1).filter(lambda i: context[i] != " "))
    stop = data.draw(st.integers(first + 1, min(first + 12, len(context))).filter(lambda i: context[i - 1] != " "))
    windows = encode(questions((context, (first, stop))), max_length=32)
    encoded = TOKENIZER(
        ["Where is Ada ?"],
        [context],
        truncation="only_second",
        max_length=32,
        stride=6,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    assert len(windows) == len(encoded["input_ids"])
    for row, offsets in enumerate(encoded["offset_mapping"]):
        parts = encoded.sequence_ids(row)
        ours = windows["start_positions"][row], windows["end_positions"][row]
        theirs = run_qa_label(offsets, parts, first, stop)
        covering = [i for i, (a, b) in enumerate(offsets) if parts[i] == 1 and a <= first < b]
        if theirs != (0, 0):
            assert theirs[0] in (covering[-1], len(offsets) - 1), "the two slips are others than thought"
            theirs = covering[0], theirs[1]
        assert ours == theirs


@pytest.mark.parametrize(("first", "stop"), [(3, 9), (4, 10), (3, 10)])
def test_blanks_around_an_answer_do_not_hide_it(first, stop):
    data = questions(("Ada lived in Berlin .", (first, stop)))
    assert data[0]["answers"]["text"][0].strip() == "lived"
    exact = encode(questions(("Ada lived in Berlin .", (4, 9))))
    windows = encode(data)
    assert windows["start_positions"] == exact["start_positions"]
    assert windows["end_positions"] == exact["end_positions"]
    assert encode(questions(("Ada lived", (3, 4))))["start_positions"][0] == 0


@pytest.mark.parametrize("question_tokens", range(8, 26))
@pytest.mark.parametrize("context_tokens", [3, 9, 14, 40])
def test_a_question_without_room_for_its_paragraph_is_one_line(question_tokens, context_tokens):
    """A window has 24 tokens, three of them special, and shares 6; a paragraph that fits into one needs less room."""
    data = questions((" ".join(["Ada"] * context_tokens), (0, 3)))
    data = data.map(lambda row: {"question": " ".join(["Ada"] * question_tokens)})
    assert len(TOKENIZER(data[0]["question"])["input_ids"]) == question_tokens + 2
    room = 24 - 3 - question_tokens
    if context_tokens > room and room <= 6:
        line = (
            rf"question 0 has {question_tokens} tokens and leaves {max(0, room)} .*task.doc_stride=6.*data.max_length"
        )
        with pytest.raises(UserError, match=line):
            encode(data)
    else:
        windows = encode(data)
        assert (len(windows) > 1) == (context_tokens > room)
        assert max(map(len, windows["input_ids"])) <= 24
