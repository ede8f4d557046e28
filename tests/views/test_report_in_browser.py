"""The report in a browser that has no network."""

import os
import shutil
import subprocess
from urllib.parse import unquote

import pytest
from PIL import Image

from dcft.views import report
from tests.views.page import Page, self_contained


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
