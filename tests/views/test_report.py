"""The report: every own number leads to its record, nothing is loaded, nothing in a record can become markup."""

import base64
import json
import re
import shutil
from statistics import mean
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from dcft.results import sweeps
from dcft.views import report, tables
from dcft.views.audit import KINDS, listed
from tests.fixtures.change import change
from tests.fixtures.make import RESULTS
from tests.views.page import Page, self_contained

HOSTILE = "<script>alert('x')</script><img src=http://example.org/x onerror=y> & \" ' {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def html():
    return report.build(RESULTS)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def article(html: str, cell: str) -> str:
    return html.split(f'<article id="{cell}">')[1].split("</article>")[0]


def test_everything_that_was_run_is_on_the_page(page):
    records = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("runs/*/*/*.json")]
    assert {record["cell"] for record in records} <= set(page.ids)
    for path in (RESULTS / "sweeps").glob("*.json"):
        sweep = sweeps.read(path)
        assert f"sweep-{sweep.name}" in page.ids
        assert sweep.caption in page.text
    for name in ("figure2.table1", "figure3.demo", "kernel.table4", "pareto.table1", "kernel.paper", "stride.paper"):
        assert name in page.ids


def test_every_own_number_leads_to_its_record_and_that_to_its_file(html, page):
    records = {}
    for path in RESULTS.glob("runs/*/*/*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        records[f"#{record['cell']}"] = record
        assert f'href="{path.relative_to(RESULTS).as_posix()}"' in article(html, record["cell"])
    numbers = [(text, links) for view, text, links in page.numbers if view == "grid ours" and text.strip()]
    assert len(numbers) > 50
    for text, links in numbers:
        behind = [records[link] for link in links]
        assert behind, text
        expected = {f"{behind[0]['params']['adapter']:,}"}
        if all(record["status"] == "done" for record in behind):
            seconds = mean(record["time"]["train_s"] for record in behind)
            expected |= {f"{seconds / size:.2f}{unit}" for unit, size in (("h", 3600), ("min", 60), ("s", 1))}
            shown = [record["metrics"] | {"score": record["score"]} for record in behind]
            common = set.intersection(*map(set, shown))
            expected |= {f"{mean(metrics[name] for metrics in shown):.2f}" for name in common}
        for figure in re.split(r" ?/ ?", text.strip()):
            unit = re.search(r"[a-z]*$", figure)[0]
            assert figure.partition("±")[0].removesuffix(unit) + unit in expected, (text, links)


def test_every_link_inside_the_page_has_its_place_and_every_file_is_there(page):
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        if link.startswith("#"):
            assert unquote(link[1:]) in page.ids, link
        else:
            assert (RESULTS / unquote(link)).is_file(), link


def test_the_page_loads_nothing(html, page):
    self_contained(page, html)
    pictures = [source for source in page.sources if source.startswith("data:image/svg+xml;base64,")]
    assert len(pictures) >= 10
    for picture in pictures:
        ElementTree.fromstring(base64.b64decode(picture.partition(",")[2]))


def test_failed_collapsed_and_missing_runs_have_their_command(html, page):
    listed = re.sub(r"\s+", " ", page.text)
    count = 0
    for path in (RESULTS / "sweeps").glob("*.json"):
        sweep = sweeps.read(path)
        found, _ = sweep.by_name(RESULTS)
        for cell in sweep.cells:
            record = found.get(cell.name)
            if record is None or not record.done or record.collapsed:
                assert cell.command in listed
                count += 1
                if record and record.error:
                    assert record.error in listed
                if cell.problem:
                    assert cell.problem in listed
    assert count >= 4


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """The page of changed records, and the changed records by name."""
    results = shutil.copytree(RESULTS, tmp_path_factory.mktemp("changed") / "results")
    for path in results.glob("sweeps/*.json"):
        if path.stem != "table1":
            path.unlink()
    [made_of] = change(
        results,
        "*/rte/*.full-table1.*",
        git={"commit": "0123abcd", "dirty": True},
        hardware={"cpu": "an odd processor", "gpu": None},
        recipe_source={"train.lr": "Table 9 (inferred)"},
    )
    [other_lr] = change(results, "*/mnli/*.full-table1.*", lambda run: run["config"]["train"].update(lr=0.125))
    blank = dict.fromkeys(("score", "metrics", "metrics_halves"))
    [failed] = change(results, "*/mrpc/*.full-table1.*", status="failed", error=HOSTILE, **blank)
    weights = {"identity": {"source": HOSTILE}, "revision": None}
    change(results, "*/mnli/*dcft*-table1.*", model_source=weights, hardware={"cpu": HOSTILE})
    return report.build(results), {"made of": made_of, "other lr": other_lr, "failed": failed}


def test_a_record_says_what_it_was_made_of(changed):
    html, records = changed
    own = Page(article(html, records["made of"]["cell"])).text
    for part in (
        "0123abcd",
        "dirty",
        "an odd processor",
        "train.lr Table 9 (inferred)",
        "adapter",
        "train_s",
        "attempts: 1",
    ):
        assert part in own
    everything = Page(html).text
    assert "commit 0123abcd, with changes that are not committed (dirty) (1)" in everything
    assert "an odd processor (1)" in everything


def test_only_settings_that_differ_are_listed(changed):
    html, records = changed
    own = Page(article(html, records["other lr"]["cell"])).text
    assert "train.lr 0.125" in own
    assert "data.max_train" not in own


def test_nothing_in_a_record_becomes_markup(changed):
    html, records = changed
    page = Page(html)
    self_contained(page, html)
    assert "example.org" not in "".join(page.links)
    assert page.text.count(HOSTILE) >= 4  # the error twice, the weights, the processor
    assert records["failed"]["cell"] in page.ids


def test_toy_data_and_substitutes_are_labelled(html):
    toy = next(RESULTS.glob("runs/*/*/toy_pair*.json")).stem
    for part in ("toy data", "substitute backbone"):
        assert part in article(html, toy)
    section = html.split('<section id="sweep-demo">')[1].split("<table")[0]
    assert "toy data" in section
    assert "substitute backbone MiniLM-L6" in section
    assert "toy data" not in article(html, next(RESULTS.glob("runs/*/*/sst2*.json")).stem)


def test_every_view_that_a_sweep_has_is_shown(tmp_path):
    results = shutil.copytree(RESULTS, tmp_path / "results")
    change(results, "*/*/*-table1.*", disk_bytes=1000)
    planned = sweeps.read(sweeps.path_of("table1", results))
    names = [report.VIEWS[view] for view in tables.views(planned, results)]
    assert report.VIEWS["cost"] in names
    text = Page(report.build(results)).text
    assert [name for name in names if name not in text] == []


def test_a_sweep_without_records_says_so(tmp_path):
    shutil.copytree(RESULTS / "sweeps", tmp_path / "sweeps", ignore=lambda _, names: {*names} - {"table1.json"})
    page = Page(report.build(tmp_path))
    assert page.text.count("No records yet") == 1
    assert "There are no records." in page.text


def test_without_sweeps_the_command_writes_the_paper_and_the_audit(script, tmp_path):
    done = script("report")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "results/report.html"
    html = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    page = Page(html)
    self_contained(page, html)
    assert "there are no sweeps" in page.text
    assert "pareto.paper" in page.ids
    assert all(f"table{number}.published" in page.ids for number in range(1, 11))
    assert "87.82" in page.text  # an average that does not hold
    assert all(unquote(link[1:]) in page.ids for link in page.links)


def test_a_broken_sweep_is_named(script, tmp_path):
    broken = tmp_path / "results" / "sweeps" / "odd.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{}", encoding="utf-8")
    done = script("report")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: results/sweeps/odd.json is not a sweep")


def test_the_audit_lists_what_its_own_report_lists(page, audited):
    for kind in KINDS:
        for finding in listed(audited.findings, kind):
            assert " ".join(finding.computed.split()) in page.text
