"""Reading a page: its tags, and what it would ask of the network."""

import re
from html.parser import HTMLParser

VOID = {"meta", "br"}

Tag = tuple[str, dict[str, str | None]]


class _Tags(HTMLParser):
    """Collects tags, and holds that each is closed in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[Tag] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(text: str) -> list[Tag]:
    """Return the tags of a page with their attributes, in order."""
    parser = _Tags()
    parser.feed(text)
    assert parser.open == []
    return parser.seen


def check_asks_nothing(text: str) -> None:
    """Check that nothing on a page would be fetched or run, and that it forbids itself both."""
    seen = tags(text)
    assert not {"script", "link", "img", "iframe", "object", "base"} & {tag for tag, _ in seen}
    for _, attributes in seen:
        assert not {"src", "srcset", "action", "data", "onload"} & attributes.keys()
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert not re.search(r"@import|url\((?!#)", text)
    policy = [a["content"] for tag, a in seen if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
