"""What does Zendesk make of the text of a comment?  Placeholders in `body`, HTML stripping, plain text."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from html.parser import HTMLParser

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]{0,200}?)\s*\}\}")
_LIQUID_TAG = re.compile(r"\{%[^{}]{0,200}%\}")
_BLOCKS = frozenset("p div br li ul ol tr h1 h2 h3 h4 blockquote pre table hr".split())
_HIDDEN = frozenset({"script", "style"})
_KEPT = _BLOCKS | frozenset("a b strong i em u code span img tbody thead td th s del sub sup".split())


def resolve_placeholders(text: str, values: Mapping[str, str]) -> str:
    """Liquid as Zendesk runs it on `body`: a known name becomes its value, an unknown one becomes nothing."""
    return _LIQUID_TAG.sub("", _PLACEHOLDER.sub(lambda found: values.get(found[1], ""), text))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.plain: list[str] = []
        self.clean: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _BLOCKS:
            self.plain.append("\n")
        if tag in _KEPT and not self._hidden:
            kept = [(name, value or "") for name, value in attrs if name in {"href", "src", "alt", "title", "class"}]
            safe = [(name, value) for name, value in kept if not value.strip().lower().startswith("javascript:")]
            written = "".join(f' {name}="{html.escape(value)}"' for name, value in safe)
            self.clean.append(f"<{tag}{written}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in {"p", "div", "li", "tr"}:
            self.plain.append("\n")
        if tag in _KEPT and tag not in {"br", "hr", "img"} and not self._hidden:
            self.clean.append(f"</{tag}>")

    def handle_data(self, text: str) -> None:
        if not self._hidden:
            self.plain.append(text)
            self.clean.append(html.escape(text, quote=False))


def _read(markup: str) -> _Reader:
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    return reader


def plain_of(markup: str) -> str:
    """The text of `markup` with block elements as line breaks."""
    return re.sub(r"\n{3,}", "\n\n", "".join(_read(markup).plain)).strip()


def sanitised(markup: str) -> str:
    """The markup Zendesk keeps: no scripts, no event attributes, no javascript: addresses."""
    return "".join(_read(markup).clean)


def html_of(text: str) -> str:
    """What agents see for a plain `body`: paragraphs and line breaks (Markdown beyond that is left alone)."""
    paragraphs = [html.escape(part, quote=False).replace("\n", "<br>") for part in re.split(r"\n{2,}", text.strip())]
    return f'<div class="zd-comment" dir="auto">{"".join(f"<p>{part}</p>" for part in paragraphs)}</div>'
