"""Four small generated tasks in the file formats of GLUE and SQuAD, so that `files.read` reads them too.

They are learnable and need no network; they say nothing about language. Results on them are labelled toy everywhere.
"""

import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from dcft.config.digests import TOY_VERSION

ROWS = {"train": 2000, "dev": 400}

NAMES = "Ada Ben Cleo Dan Eva Finn Gus Hana Iris Jon Kira Leo Mona Nils Olga Paul Rosa Sven Tara Uwe".split()
CITIES = "Berlin Cairo Delhi Geneva Hanoi Lima London Madrid Oslo Paris Quito Rome Seoul Tokyo Vienna Warsaw".split()
COLOURS = "red blue green yellow black white brown purple".split()
THINGS = "ball book lamp coat chair bottle ring phone box key".split()
GOOD = "wonderful brilliant charming moving clever funny elegant gripping".split()
BAD = "boring clumsy dull awful tedious shallow pointless messy".split()
PARTS = "plot cast music ending dialogue pace".split()


def write(root: Path) -> None:
    """Write all toy tasks below `root` (cls, pair, sim, qa), each with train and dev, unless they are there already.

    The text depends on `digests.TOY_VERSION` alone. The folder appears complete or not at all.
    """
    if root.is_dir():
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".") as scratch:
        complete = Path(scratch) / "toy"
        for split, rows in ROWS.items():
            _write_tsv(complete / "cls", split, rows, ("sentence", "label"), _polarity)
            _write_tsv(complete / "pair", split, rows, ("sentence1", "sentence2", "label"), _entailment)
            _write_tsv(complete / "sim", split, rows, ("sentence1", "sentence2", "score"), _similarity)
            _write_squad(complete / "qa", split, rows)
        try:
            complete.rename(root)
        except OSError:
            if not root.is_dir():  # else another process wrote the same files first
                raise


def _generator(task: str, split: str) -> random.Random:
    return random.Random(f"{task} {split} {TOY_VERSION}")


def _write_tsv(folder: Path, split: str, rows: int, heading: tuple[str, ...], row: Callable) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = _generator(folder.name, split)
    lines = ["\t".join(heading)] + ["\t".join(row(rng)) for _ in range(rows)]
    (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _polarity(rng: random.Random) -> tuple[str, str]:
    """The label is the majority of three adjectives."""
    adjectives = [rng.choice(rng.choice((GOOD, BAD))) for _ in range(3)]
    parts = rng.sample(PARTS, 3)
    clauses = [f"the {part} is {adjective}" for part, adjective in zip(parts, adjectives, strict=True)]
    label = sum(adjective in GOOD for adjective in adjectives) >= 2
    return f"{clauses[0]}, {clauses[1]} and {clauses[2]} .", str(int(label))


def _entailment(rng: random.Random) -> tuple[str, str, str]:
    """Somebody gives somebody a thing; the second sentence names the new owner, or has one fact wrong."""
    giver, taker = rng.sample(NAMES, 2)
    colour, thing = rng.choice(COLOURS), rng.choice(THINGS)
    premise = f"In {rng.choice(CITIES)} {giver} gave {taker} a {colour} {thing} ."
    follows = rng.random() < 0.5
    if not follows:
        wrong = rng.randrange(3)
        if wrong == 0:
            taker = giver
        elif wrong == 1:
            colour = rng.choice([c for c in COLOURS if c != colour])
        else:
            thing = rng.choice([t for t in THINGS if t != thing])
    label = "entailment" if follows else "not_entailment"
    return premise, f"{taker} now has a {colour} {thing} .", label


def _similarity(rng: random.Random) -> tuple[str, str, str]:
    """The score is the number of five facts that the two sentences share."""
    fields = (NAMES, COLOURS, THINGS, CITIES, GOOD)
    first = [rng.choice(field) for field in fields]
    shared = rng.randint(0, 5)
    keep = set(rng.sample(range(5), shared))
    second = [
        fact if i in keep else rng.choice([other for other in fields[i] if other != fact])
        for i, fact in enumerate(first)
    ]
    sentence = "{} bought a {} {} in {} and found it {} ."
    return sentence.format(*first), sentence.format(*second), f"{shared:.3f}"


def _write_squad(folder: Path, split: str, rows: int) -> None:
    """Paragraphs of four facts with four questions each; every fourth question asks about a person without a fact."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = _generator(folder.name, split)
    paragraphs = []
    for p in range(rows // 4):
        people = rng.sample(NAMES, 5)
        facts = [(person, rng.choice(CITIES)) for person in people[:4]]
        context = " ".join(f"{person} {rng.choice(('lives', 'works'))} in {city} ." for person, city in facts)
        questions = []
        for q, person in enumerate((*people[:3], people[4])):
            city = dict(facts).get(person)
            answers = [{"text": city, "answer_start": context.index(city, context.index(person))}] if city else []
            question = {"id": f"{split}-{p}-{q}", "question": f"Where is {person} ?"}
            questions.append(question | {"answers": answers, "is_impossible": not answers})
        paragraphs.append({"context": context, "qas": questions})
    document = {"version": "v2.0", "data": [{"title": "toy", "paragraphs": paragraphs}]}
    (folder / f"{split}.json").write_text(json.dumps(document), encoding="utf-8")


def vocabulary_text() -> list[str]:
    """Every word of the toy tasks, to train the tokenizer of randomly initialised models."""
    words = NAMES + CITIES + COLOURS + THINGS + GOOD + BAD + PARTS
    words += "the is and . , In gave a now has bought in found it lives works Where ?".split()
    return [f"{word} {word}" for word in words]
