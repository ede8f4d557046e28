"""The report: every own number leads to its record, nothing is loaded, nothing in a record can become markup."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from statistics import mean
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from PIL import Image

from dcft.errors import UserError
from dcft.paper import audit
from dcft.results import sweeps
from dcft.views import report
from dcft.views.audit import KINDS, listed
from tests.conftest import ROOT

FAKE = ROOT / "tests" / "fixtures" / "results"
HOSTILE = "<script>alert('x')</script><img src=http://example.org/x onerror=y> & \" ' {{ 7 * 7 }}"


class Page(HTMLParser):
    """What a page refers to and says."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.ids, self.links, self.sources, self.words = [], [], [], [], []
        self.inside: list[str] = []
        self.table = ""
        self.numbers: list[tuple[str, str, list[str]]] = []  # table cells: class of the table, text, links
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.inside.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
            if "td" in self.inside:
                self.numbers[-1][2].append(given["href"])
        elif "href" in given:
            self.sources.append(given["href"])
        self.sources += [given[name] for name in ("src", "srcset", "data", "poster", "action") if given.get(name)]
        if tag == "table":
            self.table = given.get("class", "")
        if tag == "td":
            self.numbers.append((self.table, "", []))

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, text):
        if "style" not in self.inside:
            self.words.append(text)
        if "td" in self.inside and "li" not in self.inside:  # li: the names of several records
            table, before, links = self.numbers[-1]
            self.numbers[-1] = (table, before + text, links)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def results(tmp_path):
    """The invented records of Table 1, to be changed by a test."""
    copy = shutil.copytree(FAKE, tmp_path / "results")
    for path in [*copy.glob("sweeps/*.json"), *copy.glob("runs/*/*/*.json")]:
        if "table1" not in path.name:
            path.unlink()
    return copy


@pytest.fixture(scope="module")
def html():
    return report.build(FAKE)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def change(results: Path, pattern: str, **values) -> dict:
    """Change one record; returns it."""
    path = sorted(results.glob(f"runs/*/*/{pattern}.json"))[0]
    record = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps(record), encoding="utf-8")
    return record


def article(html: str, cell: str) -> str:
    return html.split(f'<article id="{cell}">')[1].split("</article>")[0]


def self_contained(page: Page, html: str) -> None:
    """Nothing that a browser would fetch: no address outside of the page in a resource, no script, no import."""
    assert all(source.startswith("data:") for source in page.sources), page.sources
    assert not {"script", "iframe", "object", "embed", "link", "base"} & set(page.tags)
    style = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert style
    assert not re.search(r"url\(|@import", style)


def test_everything_that_was_run_is_on_the_page(page):
    records = [json.loads(path.read_text(encoding="utf-8")) for path in FAKE.glob("runs/*/*/*.json")]
    assert {record["cell"] for record in records} <= set(page.ids)
    for path in (FAKE / "sweeps").glob("*.json"):
        one = sweeps.read(path)
        assert f"sweep-{one.name}" in page.ids
        assert one.caption in page.text
    for name in ("figure2.table1", "figure3.demo", "kernel.table4", "pareto.table1", "kernel.paper", "stride.paper"):
        assert name in page.ids


def test_every_own_number_leads_to_its_record_and_that_to_its_file(html, page):
    records = {}
    for path in FAKE.glob("runs/*/*/*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        records[f"#{record['cell']}"] = record
        assert f'href="{path.relative_to(FAKE).as_posix()}"' in article(html, record["cell"])
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
            assert (FAKE / unquote(link)).is_file(), link


def test_the_page_loads_nothing(html, page):
    self_contained(page, html)
    pictures = [source for source in page.sources if source.startswith("data:image/svg+xml;base64,")]
    assert len(pictures) >= 10
    for picture in pictures:
        ElementTree.fromstring(base64.b64decode(picture.partition(",")[2]))


def test_failed_collapsed_and_missing_runs_have_their_command(html, page):
    listed = re.sub(r"\s+", " ", page.text)
    count = 0
    for path in (FAKE / "sweeps").glob("*.json"):
        one = sweeps.read(path)
        found = one.records(FAKE)
        for cell in one.cells:
            record = found.get((cell.row, cell.task, cell.seed))
            if record is None or record["status"] != "done" or record["collapsed"]:
                assert cell.command in listed
                count += 1
                if record and record["error"]:
                    assert record["error"] in listed
                if cell.problem:
                    assert cell.problem in listed
    assert count >= 4


def test_a_record_says_what_it_was_made_of(results):
    record = change(
        results,
        "rte.*.table1.fake",
        git={"commit": "0123abcd", "dirty": True},
        hardware={"cpu": "an odd processor", "gpu": None},
        recipe_source={"train.lr": "Table 9 (inferred)"},
    )
    html = report.build(results)
    own = Page(article(html, record["cell"])).text
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


def test_only_settings_that_differ_are_listed(results):
    record = change(results, "mnli.*.full.s6.table1.fake")
    record["config"]["train"]["lr"] = 0.125
    change(results, "mnli.*.full.s6.table1.fake", config=record["config"])
    own = Page(article(report.build(results), record["cell"])).text
    assert "train.lr 0.125" in own
    assert "data.max_train" not in own


def test_toy_data_and_substitutes_are_labelled(html):
    toy = next(FAKE.glob("runs/*/*/toy_pair*.json")).stem
    for part in ("toy data", "substitute backbone"):
        assert part in article(html, toy)
    section = html.split('<section id="sweep-demo">')[1].split("<table")[0]
    assert "toy data" in section
    assert "substitute backbone MiniLM-L6" in section
    assert "toy data" not in article(html, next(FAKE.glob("runs/*/*/sst2*.json")).stem)


def test_nothing_in_a_record_becomes_markup(results):
    failed = change(results, "rte.*.table1.fake", status="failed", score=None, error=HOSTILE)
    change(results, "mnli.*.table1.fake", model_source={"source": HOSTILE}, hardware={"cpu": HOSTILE})
    html = report.build(results)
    page = Page(html)
    self_contained(page, html)
    assert "example.org" not in "".join(page.links)
    assert page.text.count(HOSTILE) >= 4  # the error twice, the weights, the processor
    assert failed["cell"] in page.ids


def test_a_sweep_without_records_says_so(results):
    shutil.rmtree(results / "runs")
    page = Page(report.build(results))
    assert page.text.count("No records yet") == 1
    assert "There are no records." in page.text


def test_without_sweeps_the_paper_and_the_audit_are_left(tmp_path):
    html = report.build(tmp_path)
    page = Page(html)
    self_contained(page, html)
    assert "there are no sweeps" in page.text
    assert "pareto.paper" in page.ids
    assert all(f"table{number}.published" in page.ids for number in range(1, 11))
    assert "87.82" in page.text  # an average that does not hold
    assert all(unquote(link[1:]) in page.ids for link in page.links)


def test_the_audit_lists_what_its_own_report_lists(page):
    findings = audit.run().findings
    for kind in KINDS:
        for finding in listed(findings, kind):
            assert " ".join(finding.computed.split()) in page.text


def command(*arguments, cwd: Path) -> subprocess.CompletedProcess:
    script = [sys.executable, str(ROOT / "scripts" / "report.py"), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(script, cwd=cwd, capture_output=True, text=True, timeout=300, env=environment)


def test_command_writes_the_page_and_names_a_broken_sweep(tmp_path):
    done = command(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "results/report.html"
    assert (tmp_path / "results" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    broken = tmp_path / "results" / "sweeps" / "odd.json"
    broken.parent.mkdir()
    broken.write_text("{}", encoding="utf-8")
    wrong = command(cwd=tmp_path)
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[-1].startswith("error: results/sweeps/odd.json is not a sweep")
    with pytest.raises(UserError, match="odd.json"):
        report.build(tmp_path / "results")


def test_building_loads_no_torch(tmp_path):
    code = "import sys; from dcft.views import report; report.write('.'); print('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr


@pytest.fixture(scope="module")
def chromium():
    """A browser; CI installs one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if not any(map(shutil.which, names)) and os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update"], check=True, capture_output=True, timeout=300)
        install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
        subprocess.run(install, check=True, capture_output=True, timeout=900)
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.skip("there is no Chromium (apt-get install chromium)")


@pytest.mark.slow
def test_a_browser_without_network_shows_the_page(chromium, results, tmp_path):
    path = report.write(results)

    def browse(*arguments: str) -> str:
        offline = ["--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9"]
        settings = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/browser"]
        run = [chromium, *settings, *offline, *arguments, path.as_uri()]
        return subprocess.run(run, capture_output=True, text=True, timeout=120, check=True).stdout

    html = browse("--dump-dom")
    page = Page(html)
    self_contained(page, html)
    for link in page.links:
        assert unquote(link[1:]) in page.ids if link.startswith("#") else (results / unquote(link)).is_file(), link
    browse(f"--screenshot={tmp_path}/page.png", "--window-size=1200,4000", "--hide-scrollbars")
    image = Image.open(tmp_path / "page.png").convert("RGB")
    assert image.size == (1200, 4000)
    colours = image.getcolors(1200 * 4000)
    assert len(colours) > 50
    assert max(count for count, _ in colours) < 0.99 * 1200 * 4000
