"""Figures can be read: units, texts that cover nothing, series that differ without colour, notes on the numbers."""

from itertools import combinations

from matplotlib.text import Text
from matplotlib.transforms import Bbox

from dcft.views.figures import style
from tests.views.figures.conftest import of


def shown_texts(figure) -> list[tuple[str, Bbox]]:
    """Every text that can be seen, with its place; ticks outside of the axes are not drawn."""
    renderer = figure.canvas.get_renderer()
    found = [figure._suptitle, *figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        found += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            ticks = axis.get_major_ticks() + axis.get_minor_ticks()
            found += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
    found = {id(text): text for text in found if text.get_text().strip() and text.get_visible()}
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in found.values()]


def test_every_axis_says_what_it_shows_and_in_which_unit(pictures):
    for picture in pictures.values():
        for axes in picture.figure.axes:
            assert axes.get_xlabel() or [label.get_text() for label in axes.get_xticklabels()], picture.name
            assert any(unit in axes.get_ylabel() for unit in ("%", "hours", "minutes", "seconds", "Loss")), picture.name


def test_no_text_covers_another_or_leaves_the_picture(pictures):
    for picture in pictures.values():
        figure = picture.figure
        texts = shown_texts(figure)
        for (one, box), (other, other_box) in combinations(texts, 2):
            assert not box.padded(-1).overlaps(other_box.padded(-1)), f"{picture.name}: {one!r} and {other!r}"
        page = figure.bbox.padded(1)
        for text, box in texts:
            assert all(page.contains(*corner) for corner in (box.min, box.max)), f"{picture.name}: {text!r}"
        for legend in figure.legends:
            for axes in figure.axes:
                assert not axes.get_window_extent().overlaps(legend.get_window_extent()), picture.name


def test_labels_cover_no_point(pictures):
    for picture in pictures.values():
        for axes in picture.figure.axes:
            labels = [text for text in axes.texts if text.get_gid() == "label"]
            for line in axes.lines:
                for point in axes.transData.transform(line.get_xydata()):
                    assert not any(Text.get_window_extent(text).contains(*point) for text in labels), picture.name


def test_series_differ_without_colour(pictures):
    for picture in pictures.values():
        handles, labels = [], []
        for axes in picture.figure.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                if label not in labels:
                    handles, labels = [*handles, handle], [*labels, label]
        looks = []
        for handle in handles:
            mark = handle[0] if isinstance(handle, tuple) else handle
            bar = hasattr(mark, "get_hatch")
            looks.append(
                mark.get_hatch() if bar else (mark.get_marker(), str(mark.get_linestyle()), mark.get_fillstyle())
            )
        assert len(set(map(str, looks))) == len(labels), (picture.name, looks)


def test_thirty_six_series_differ_without_colour():
    looks = [style.look(number) for number in range(36)]
    assert len({(look["marker"], look["linestyle"]) for look in looks}) == 36


def test_toy_data_and_substitutes_are_named_in_the_title(pictures):
    for picture in of("demo", pictures):
        title = picture.figure._suptitle.get_text()
        assert all(part in title for part in ("toy data", "substitute backbone MiniLM-L6"))
    for picture in of("table4", pictures):
        title = picture.figure._suptitle.get_text()
        assert not any(part in title for part in ("toy", "substitute"))
        foot = " ".join(text.get_text() for text in picture.figure.texts).replace("\n", " ")
        assert all(part in foot for part in ("DeBERTaV3-base", "Hub", "seeds 6, 7", "best evaluation on the dev set"))


def test_the_foot_says_what_is_missing_or_doubtful(pictures):
    for picture in of("table1", pictures):
        foot = " ".join(text.get_text() for text in picture.figure.texts).replace("\n", " ")
        assert "What has no record is left out" in foot
        assert "Collapsed to one answer: 1 of 18 runs" in foot
