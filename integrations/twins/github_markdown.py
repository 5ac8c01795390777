"""Which live things stand in a Markdown body?  Mentions, references, images, links, HTML: whatever GitHub would act on.

Linear in the length of the text, and rather too suspicious than too trusting: only fenced blocks, closed code spans and
closed HTML comments are taken as inert, and a fence counts only where GitHub would see one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_HTML_LINE = re.compile(r" {0,3}</?[A-Za-z!?]")
_COMMENT = re.compile(r" {0,3}<!--")
_RUN = re.compile(r"`+")
_MENTION = re.compile(r"(?<![\w@])@([A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:/[A-Za-z0-9-]{1,80})?)")
_REFERENCE = re.compile(r"(?<![\w&])((?:[\w.-]{1,80}/[\w.-]{1,80})?#[0-9]{1,10}|GH-[0-9]{1,10})(?!\w)", re.IGNORECASE)
_CLOSING = re.compile(
    r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s{1,5}(?:[\w./-]{0,80}#|https?://)", re.IGNORECASE
)
_IMAGE = re.compile(r"!\[|<img\b", re.IGNORECASE)
_LINK = re.compile(
    r"(?<!!)\]\(|\]\[|^ {0,3}\[[^\]\n]{1,200}\]:|https?://[^\s<>)]{1,500}|\bwww\.\w|<a\b|<\w{2,20}://",
    re.IGNORECASE | re.MULTILINE,
)
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]{0,30}(?=[\s/>])")


@dataclass(frozen=True, slots=True)
class Live:
    """What is live in one body; `comments` are the hidden HTML comments, which are inert but tell of a marker."""

    mentions: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    closing: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    html_tags: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    unclosed_fence: bool = False

    @property
    def nothing(self) -> bool:
        return not (self.mentions or self.references or self.closing or self.images or self.links or self.html_tags)

    def as_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


def scan(body: str) -> Live:
    """Everything live outside fences, code spans and HTML comments."""
    outside, comments, unclosed = _outside(body)
    text = "\n\n".join(_without_spans(part) for part in outside.split("\n\n"))
    return Live(
        mentions=_MENTION.findall(text),
        references=_REFERENCE.findall(text),
        closing=_CLOSING.findall(text),
        images=_IMAGE.findall(text),
        links=_LINK.findall(text),
        html_tags=_TAG.findall(text),
        comments=comments,
        unclosed_fence=unclosed,
    )


def joined(found: list[Live]) -> Live:
    """Several scans as one."""
    kinds = ("mentions", "references", "closing", "images", "links", "html_tags", "comments")
    lists = {name: [item for each in found for item in getattr(each, name)] for name in kinds}
    return Live(**lists, unclosed_fence=any(each.unclosed_fence for each in found))


def _fence_after(fence: str, line: str) -> str:
    """The fence that is open after this line ("" for none), given the one open before it."""
    found = _FENCE.fullmatch(line.rstrip("\r"))
    if not fence:
        return found[1] if found and not (found[1][0] == "`" and "`" in found[2]) else ""
    closes = found and found[1][0] == fence[0] and len(found[1]) >= len(fence) and not found[2].strip()
    return "" if closes else fence


def _outside(body: str) -> tuple[str, list[str], bool]:
    """The text outside fences and comments, the comments, and whether a fence stays open.

    A comment is one only where it begins a line and is closed later; in an HTML block backticks are plain text.
    """
    kept: list[str] = []
    comments: list[str] = []
    pending: list[str] | None = None
    fence, in_html = "", False
    lines = body.split("\n")
    last_end = max((number for number, line in enumerate(lines) if "-->" in line), default=-1)
    for number, line in enumerate(lines):
        if fence:
            fence = _fence_after(fence, line)
            continue
        if pending is None and number <= last_end and _COMMENT.match(line):
            pending, line = [], line.lstrip(" ")[2:]
        if pending is not None:
            inside, closed, rest = line.partition("-->")
            pending.append(inside)
            if closed:
                comments.append("\n".join(pending).removeprefix("--").strip())
                pending = None
                kept.append(rest.replace("`", " "))
            continue
        in_html = bool(line.strip()) and (in_html or bool(_HTML_LINE.match(line)))
        fence = "" if in_html else _fence_after("", line)
        if not fence:
            kept.append(line.replace("`", " ") if in_html else line)
    return "\n".join(kept), comments, bool(fence)


def _without_spans(text: str) -> str:
    """A paragraph without its closed code spans: a run of n backticks up to the next run of exactly n."""
    runs = list(_RUN.finditer(text))
    places: dict[int, list[int]] = defaultdict(list)
    for number, run in enumerate(runs):
        places[len(run[0])].append(number)
    kept: list[str] = []
    seen: dict[int, int] = defaultdict(int)
    at = number = 0
    while number < len(runs):
        if text[max(0, runs[number].start() - 1) : runs[number].start()] == "\\":  # an escaped backtick opens nothing
            number += 1
            continue
        size = len(runs[number][0])
        same = places[size]
        while seen[size] < len(same) and same[seen[size]] <= number:
            seen[size] += 1
        if seen[size] == len(same):
            number += 1
            continue
        closer = same[seen[size]]
        kept.append(text[at : runs[number].start()])
        at, number = runs[closer].end(), closer + 1
    return "".join([*kept, text[at:]])
