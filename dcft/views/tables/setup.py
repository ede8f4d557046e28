"""Tables 7 to 10 of the suite itself: sizes of the data sets, and the training values of preset=table9."""

from typing import cast

from dcft.config.recipe import Recipe, TrainingValue
from dcft.errors import UserError
from dcft.paper.audit import settings
from dcft.paper.configuration import composed
from dcft.paper.printed import COLUMNS, title
from dcft.views.tables import datasets, published
from dcft.views.tables.grid import Column, Grid, Group, Line, Part, Row, Value, plain

SETUP_VIEWS = ["ours", "published", "compare"]
SETUP = ["table7", "table8", "table9", "table10"]
FIELDS = {  # of a recipe, in the order of the view "ours"
    "lr": "learning rate",
    "batch_size": "batch size",
    "epochs": "epochs",
    "orth_coef": "orth. coefficient",
    "cls_dropout": "cls. dropout",
    "lora_alpha": "alpha",
    "init_rank": "r",
    "scaling": "scaling",
    "warmup": "warm-up",
    "weight_decay": "weight decay",
    "clip": "clip",
    "max_length": "tokens",
    "eval_every": "eval every",
    "tinit": "init_warmup",
    "delta_t": "Δ_T",
    "tfinal": "t_f",
}
SCALING = "lora_alpha/init_rank"  # the name by which the recipe knows it
NO_FIELD = "(repeats Table 9)"
READING = [
    "Scaling is alpha / r, as the official code divides; A and B have rank 1.",
    "Orth. coefficient: of the orthogonality term (eq. 4); cls. dropout: before the classifier; clip: largest norm of "
    "the gradient; tokens: longest input; warm-up and eval every: steps, or a fraction of all steps when below 1.",
]
SCHEDULE = "init_warmup, Δ_T and t_f steer AdaLoRA's allocation of ranks; DCFT has none, so they change nothing."
COMPARE_NOTES = {
    "table9": [
        "Headings as printed; below a wrong one, what its column holds by the official scripts (make audit).",
        "Orth. coefficient: of the orthogonality term (eq. 4); cls. dropout: before the classifier.",
        "The printed r = 8 is in no script of this backbone; ours is the script's r, which only divides alpha.",
    ],
    "table10": [
        "Headings as printed; below a wrong one, what its column holds by AdaLoRA's script (make audit).",
        "Orth. coefficient: of the orthogonality term (eq. 4).",
        "The printed Epochs are the first two of Table 9; AQuAD is SQuAD.",
    ],
}


def setup(name: str, view: str = "compare", rows: dict[str, dict[str, int]] | None = None) -> Grid:
    """One of Tables 7 to 10.

    Args:
        name: "table7" to "table10".
        view: "ours", "published" or "compare".
        rows: rows counted in official files, by task and split (Tables 7 and 8); None: the sizes of the pinned
            revisions on the Hub.

    Raises:
        UserError: if there is no such table or view.
    """
    if name not in SETUP:
        raise UserError(f"{name} is not one of {', '.join(SETUP)}")
    if view not in SETUP_VIEWS:
        raise UserError(f"view={view}: {title(name)} has no such view; give one of {', '.join(SETUP_VIEWS)}")
    if view == "published":
        return published.published_grid(name)
    return _sizes(name, view, rows) if name in ("table7", "table8") else _recipes(name, view)


def _sizes(name: str, view: str, counted: dict[str, dict[str, int]] | None) -> Grid:
    """Tables 7 and 8: rows, metrics and labels."""
    table = published.published_grid(name)
    columns = [*table.columns]
    if view == "compare":
        columns.insert(2, Column("source", ["Source"], stub=True))
    rows, partial = [], []
    for theirs in table.groups[0].rows:
        [line] = theirs.lines
        known = datasets.describe(line.task, counted and counted[line.task])
        partial += [f"{known.title} {text}" for text in known.partial]
        figures = [_count(known.counts.get(column.key)) for column in columns if not column.stub]
        stubs = [plain(known.title), plain(known.metric)]
        if view == "ours":
            lines = [Line([*stubs, *figures], "ours", task=line.task)]
        else:
            metric, *values = line.values[1:]
            lines = [
                Line([*stubs, plain("ours"), *figures], "ours", task=line.task),
                Line([Value(), metric, plain("published"), *values], "published", task=line.task),
            ]
        rows.append(Row(known.title, lines))
    where = "rows counted in official files" if counted else "sizes of the complete data sets at their pinned revisions"
    caption = f"{published.CAPTIONS[name]}{_beside(name, view)} ({where})"
    notes = []
    if counted:
        notes.append(
            "A file that is not there is blank. Rows known to be broken, which the suite drops, are not counted."
        )
        notes += [f"Files that are a part of the data set: {', '.join(partial)}."] if partial else []
    elif name == "table7":
        notes.append("#Test is blank: the suite does not use test sets, whose labels are not public.")
    if name == "table7":
        notes.append("#Valid of MNLI is both dev sets. QQP: the tables print accuracy; records hold F1 as well.")
    return Grid(name, view, caption, columns, [Group("", rows)], notes + _published(view))


def _recipes(name: str, view: str) -> Grid:
    """Tables 9 and 10: ours under the right headings, the printed ones under theirs."""
    table = published.published_grid(name)
    tasks = {line.task: row.title for row in table.groups[0].rows for line in row.lines}
    recipes = {task: composed(task)["recipe"] for task in tasks}
    titles = {task: composed(task)["task"]["title"] for task in tasks}
    if view == "ours":
        fields: list[str | None] = list(FIELDS)
        columns = [Column("dataset", ["Task"], stub=True)] + [Column(field, [FIELDS[field]]) for field in FIELDS]
    else:
        holds = {
            heading: column.held for heading, column in settings.readings(published.published_tables())[name].items()
        }
        fields = [holds[column] for column in COLUMNS[name][1:]]
        columns = [Column("dataset", ["Task"], stub=True), Column("source", ["Source"], stub=True)]
        columns += [
            Column(column, _titles(published.heading(name, column), FIELDS[field] if field else NO_FIELD))
            for column, field in zip(COLUMNS[name][1:], fields, strict=True)
        ]
    rows = []
    for row in table.groups[0].rows:
        [line] = row.lines
        recipe = recipes[line.task]
        figures = [_setting(_find(recipe, field).value) if field else Value() for field in fields]
        stubs = [plain(titles[line.task])] + ([plain("ours")] if view == "compare" else [])
        lines = [Line([*stubs, *figures], "ours", task=line.task)]
        if view == "compare":
            name_printed = plain(row.title if row.title != titles[line.task] else "")
            lines.append(Line([name_printed, plain("published"), *line.values[1:]], "published", task=line.task))
        rows.append(Row(titles[line.task], lines))
    caption = f"{published.CAPTIONS[name]}{_beside(name, view)} (preset=table9 for method=dcft model=deberta-v3-base)"
    used = [field for field in fields if field]
    notes = [*_sources(recipes, used), SCHEDULE, *(COMPARE_NOTES[name] if view == "compare" else READING)]
    return Grid(name, view, caption, columns, [Group("", rows)], notes + _published(view))


def _titles(heading: str, held: str) -> list[str]:
    """The printed heading, with what the column holds below it if that is something else."""
    return [heading] if heading.lower() == held.lower() else [heading, held]


def _beside(name: str, view: str) -> str:
    return f": ours and {title(name)} of the paper" if view == "compare" else ": ours"


def _published(view: str) -> list[str]:
    return ["Published: figures as printed in the paper."] if view == "compare" else []


def _count(number: int | None) -> Value:
    return Value() if number is None else Value([Part(f"{number:,}", number)])


def _setting(number: float | None) -> Value:
    """A training value as the paper writes it: 5e-4, 1.2e-3, 6,000."""
    if number is None:
        return Value()
    if 0 < abs(number) < 0.01:
        mantissa, exponent = f"{number:.6e}".split("e")
        text = f"{float(mantissa):g}e{int(exponent)}"
    else:
        text = f"{number:,.0f}" if number == int(number) else f"{number:.4g}"
    return Value([Part(text, number)])


def _find(recipe: Recipe, field: str) -> TrainingValue:
    return cast(TrainingValue, recipe.find(SCALING if field == "scaling" else field))


def _sources(recipes: dict[str, Recipe], fields: list[str]) -> list[str]:
    """Where our values come from: a line for the fields that have the same sources, in the order of the tasks."""
    by_sources: dict[tuple[str, ...], list[str]] = {}
    for field in fields:
        sources = dict.fromkeys(_find(recipe, field).source for recipe in recipes.values())
        by_sources.setdefault(tuple(sources), []).append(FIELDS[field])
    return [f"Source of {', '.join(named)}: {'; '.join(sources)}." for sources, named in by_sources.items()]
