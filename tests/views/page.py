"""What an HTML page says and refers to."""

import re
from html.parser import HTMLParser


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


def self_contained(page: Page, html: str) -> None:
    """Nothing that a browser would fetch: no address outside of the page in a resource, no script, no import."""
    assert all(source.startswith("data:") for source in page.sources), page.sources
    assert not {"script", "iframe", "object", "embed", "link", "base"} & set(page.tags)
    style = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert style
    assert not re.search(r"url\(|@import", style)
