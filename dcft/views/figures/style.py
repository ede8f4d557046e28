"""The style of figures: series that differ without colour, texts that do not overlap, reproducible files."""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

# Colours of clearly different lightness (after the map "cividis", made for colour-blind readers), in the order of use.
COLOURS = ["#00224e", "#8f8660", "#575d6d", "#b39c2f", "#35456c", "#6f6a55"]
MARKERS = ["o", "s", "^", "D", "v", "P"]
LINES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))]
BARS = ["#f4f4f4", "#9db2cf", "#e3d59a", "#c4c4c4", "#6f86a8", "#b9ac6f"]  # light, so that hatches show
HATCHES = ["", "///", "...", "xxx", "\\\\\\", "++"]
GREY = "#6b6b6b"
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 3.2,  # long enough to see the line's style
    "svg.hashsalt": "dcft",  # else every file has other ids
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "hatch.linewidth": 0.7,
}
METADATA = {"pdf": {"CreationDate": None}, "png": {"Software": None}, "svg": {"Date": None}}
DPI = 150
LABEL = "label"  # marks the texts that `settle` places
NEAR = 8  # points between a mark and its label where there is room


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's settings while a figure is drawn or saved."""
    with matplotlib.rc_context(STYLE):
        yield


def new(rows: int, columns: int, height: float = 3.4, width: float = 4.4) -> tuple[Figure, list[list[Axes]]]:
    """A figure with rows times columns panels; width and height of a panel in inches."""
    figure = Figure(figsize=(max(width * columns, 5.6), height * rows + 1.2), layout="constrained")
    FigureCanvasAgg(figure)  # knows how large texts are
    return figure, figure.subplots(rows, columns, squeeze=False)


def annotate(figure: Figure, title: str, tags: list[str], note: str) -> None:
    """Title, what the title must not hide (toy data, say) below it, and at the foot what the numbers are."""
    width, height = figure.get_size_inches()
    heading = [*textwrap.wrap(title, int(12 * width)), *textwrap.wrap("; ".join(tags), int(12 * width))]
    figure.suptitle("\n".join(heading), fontsize=11)
    lines = textwrap.wrap(note, int(16 * width))
    figure.text(0.5, 0.08 / height, "\n".join(lines), fontsize=7.5, color="#444444", ha="center", va="bottom")
    foot = (0.14 * len(lines) + 0.16) / height
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0.5, foot))
        foot += legend.get_window_extent().height / figure.bbox.height
    figure.get_layout_engine().set(rect=(0, foot, 1, 1 - foot))  # the layout of the panels knows nothing of the foot


def legend(figure: Figure, columns: int = 3) -> None:
    """One legend for all panels, below them: never on data. Says each name once."""
    named = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.legend(named.values(), named.keys(), loc="lower center", ncols=min(columns, len(named))).set_in_layout(False)


def label(axes: Axes, x: float, y: float, name: str, **font) -> None:
    """Name a point; `settle` finds the place."""
    line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3}
    place = {"xytext": (0, 0), "textcoords": "offset points", "va": "center", "arrowprops": line}
    axes.annotate(name, (x, y), fontsize=7.5, **place, **font).set(in_layout=False, gid=LABEL)


def settle(figure: Figure) -> None:
    """Fix the layout, then move every label to where it covers neither a point nor another text."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        _place(axes)


def _place(axes: Axes) -> None:
    renderer = axes.figure.canvas.get_renderer()
    inside = axes.get_window_extent(renderer).padded(-6)
    taken = [box for line in axes.lines for box in _covered(line)]
    texts = []
    for text in [text for text in axes.texts if text.get_gid() == LABEL]:
        point = axes.transData.transform(text.xy)
        for dx, dy, side in _offsets():
            text.set(position=(dx, dy), ha=side)
            text.update_positions(renderer)
            box = Text.get_window_extent(text, renderer)  # without the line to its point
            far = np.hypot(dx, dy) > 1.5 * NEAR  # else it is clear which point is meant
            lead = list(_along(point, point + np.array([dx, dy]) * axes.figure.dpi / 72)) if far else []
            crossed = any(piece.count_overlaps(texts) for piece in lead)
            if (
                inside.contains(*box.min)
                and inside.contains(*box.max)
                and not box.count_overlaps(taken)
                and not crossed
            ):
                break
        text.arrow_patch.set_visible(far)
        texts.append(box)
        taken += [box, *lead]


def _covered(line: Line2D) -> Iterator[Bbox]:
    """Boxes, in pixels, around the marks of a line and along it."""
    points = line.get_transform().transform(line.get_xydata())
    if line.get_marker() not in ("", "None"):
        yield from (Bbox.from_bounds(x - 7, y - 7, 14, 14) for x, y in points)
    if line.get_linestyle() not in ("", "None"):
        for start, end in pairwise(points):
            yield from _along(start, end)


def _along(start: np.ndarray, end: np.ndarray) -> Iterator[Bbox]:
    for x, y in np.linspace(start, end, int(np.hypot(*(end - start)) / 6) + 2):
        yield Bbox.from_bounds(x - 2, y - 2, 4, 4)


def _offsets() -> Iterator[tuple[float, float, str]]:
    """Places for a text around a point, in points, the nearest first."""
    for distance in (NEAR, 12, 18, 26, 36, 48, 62, 78, 96, 120):
        for x, y in ((1, 0), (-1, 0), (0, 1.2), (0, -1.2), (1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0.5), (1, -0.5)):
            yield distance * x, distance * y, {1: "left", -1: "right", 0: "center"}[x]


def render(figure: Figure, kind: str) -> bytes:
    """The bytes of a figure as "pdf", "png" or "svg": the same for the same figure."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=METADATA[kind])
    return buffer.getvalue()


def look(number: int) -> dict:
    """How a series of our own is drawn: filled markers. The pairs of marker and line of 36 series differ."""
    cycle, place = divmod(number, len(COLOURS))
    return {
        "color": COLOURS[place],
        "marker": MARKERS[(place + cycle) % len(MARKERS)],
        "linestyle": LINES[(place + 2 * cycle) % len(LINES)],
        "markersize": 5,
        "linewidth": 1.5,
    }


def printed_look(number: int) -> dict:
    """How a series of the paper is drawn: empty markers and dashes in grey."""
    return {
        "color": GREY,
        "marker": MARKERS[-1 - number % len(MARKERS)],
        "linestyle": LINES[1],
        "markerfacecolor": "white",
        "markersize": 6.5,
        "linewidth": 1.2,
    }
