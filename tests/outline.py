"""A page as a browser sees it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "path"}


class Outline(HTMLParser):
    """What a browser sees: elements with attributes, and the text; raises where unbalanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def outline(html: str) -> Outline:
    """The outline of a page or a part of it; its elements must be balanced."""
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser
