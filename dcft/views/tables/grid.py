"""A table: texts in cells, with the number, the mark and the records of each figure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from dcft.paper.printed import amount


@dataclass
class Part:
    """One figure of a cell. A cell has two where the paper prints a pair (MNLI, SQuAD)."""

    text: str
    number: float | None = None  # in the unit that is printed; #Params one by one
    std: float | None = None  # sample standard deviation over seeds
    name: str = ""  # the metric
    mark: str = ""  # best, second, or nothing


@dataclass
class Value:
    """A cell. No parts: there is nothing to print."""

    parts: list[Part] = field(default_factory=list)
    separator: str = "/"
    n: int | None = None  # number of seeds
    records: list[str] = field(default_factory=list)  # paths below the results folder

    @property
    def text(self) -> str:
        """The cell as printed."""
        return self.separator.join(part.text for part in self.parts)


def decimal(number: float, sign: str = "") -> str:
    """A number with two decimals and a true minus; with sign="+" a difference, whose zero has no sign."""
    text = f"{number:{sign}.2f}".replace("-", "−")
    return "0.00" if text.lstrip("+−") == "0.00" else text


def plain(text: str, number: float | None = None) -> Value:
    """A cell with one figure or word; blank for an empty text."""
    return Value([Part(text, number)] if text else [])


def printed_size(text: str) -> Value:
    """A printed size or setting ("0.079M", "24k", "1,043"); k, M and B count as 10^3, 10^6 and 10^9."""
    return plain(text, amount(text)) if text else Value()


@dataclass
class Column:
    """A column; stubs name what is in a line, the others hold its figures."""

    key: str  # a task, "params", "average", or what the column holds
    titles: list[str]  # one, or two: the upper one spans neighbours that share it
    stub: bool = False


@dataclass
class Line:
    """One line of figures, a value for each column."""

    values: list[Value]
    source: str = ""  # ours, published, difference, or what ours is compared with
    quantity: str = "score"  # or time
    task: str = ""  # where the line is a task's and the columns are not
    model: str = ""  # where the figures are another backbone's than the row's


@dataclass
class Row:
    """What belongs to one method (or data set): one line or several."""

    title: str
    lines: list[Line]
    method: str = ""
    model: str = ""


@dataclass
class Group:
    """The rows of a backbone: among them, best and second best are marked."""

    title: str
    rows: list[Row]

    @property
    def lines(self) -> Iterator[tuple[Row, Line]]:
        """Every line with its row."""
        return ((row, line) for row in self.rows for line in row.lines)


@dataclass
class Grid:
    """A table, ready to be printed."""

    name: str
    view: str
    caption: str  # names protocol, seeds, data and backbones, in every format
    columns: list[Column]
    groups: list[Group]
    notes: list[str]
    protocol: str = "best"

    @property
    def label(self) -> str:
        """Name of the files: the default protocol is not named."""
        return f"{self.name}.{self.view}" + (f"-{self.protocol}" if self.protocol != "best" else "")

    @property
    def levels(self) -> int:
        """Lines of the heading."""
        return max(len(column.titles) for column in self.columns)

    @property
    def spans(self) -> list[tuple[str, int]]:
        """The upper line of a two-line heading: titles and how many columns each spans; blank over a lone title."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            title = column.titles[0] if len(column.titles) > 1 else ""
            if spans and title and spans[-1][0] == title:
                spans[-1] = (title, spans[-1][1] + 1)
            else:
                spans.append((title, 1))
        return spans


def mark(groups: list[Group], columns: list[Column], source: str, second: bool = True) -> None:
    """Mark the best (and the second best) figure of every column among a backbone's lines of one source.

    Full fine-tuning takes no part, as in the paper. Equal figures, as printed, share a mark; sizes and times are the
    better the smaller. A figure that has no rival gets no mark.
    """
    for group in groups:
        rivals: dict[tuple, list[Part]] = {}
        for row, line in group.lines:
            if row.method == "full" or line.source != source:
                continue
            for column, value in zip(columns, line.values, strict=True):
                if column.stub:
                    continue
                smaller = column.key == "params" or line.quantity == "time"
                for index, part in enumerate(value.parts):
                    if part.number is not None:
                        place = (column.key, line.quantity, index, len(value.parts), smaller)
                        rivals.setdefault(place, []).append(part)
        for (*_, smaller), parts in rivals.items():
            if len(parts) > 1:
                _mark(parts, smaller, second)


def _mark(parts: list[Part], smaller: bool, second: bool) -> None:
    order = sorted({round(part.number, 2) for part in parts}, reverse=not smaller)
    for part in parts:
        place = order.index(round(part.number, 2))
        if place < (2 if second else 1):
            part.mark = ("best", "second")[place]
