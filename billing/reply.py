"""What do we tell the customer? Before the plan is applied in the future tense, after it only what receipts prove."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from billing.decision import Decision
from billing.plan import Receipt
from billing.policy import Policy
from billing.replies import FIELD, LINKS
from billing.replies.claims import check, untrue
from billing.replies.facts import offered, reply_facts
from billing.replies.rendering import render

__all__ = ["Reply", "check", "draft", "fill_links", "final", "same_words", "untrue"]

_END = re.compile(r"[.!?…]\s+|[。！？]\s*")  # of a sentence, with the space behind it where the language has one
_SESSION = re.compile(r"https?://billing\.stripe\.com/p/session/", re.IGNORECASE)
_WEB = re.compile(r"https://[^\s<>\"{}]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`english` is what `body` says, when that is not English. `facts` is JSON: all that `final` needs."""

    locale: str
    body: str
    english: str | None
    facts: dict[str, Any] = field(default_factory=dict)


def draft(decision: Decision, policy: Policy) -> Reply:
    """The reply before anything was done. Links stand as `{portal_link}` and so on, see `fill_links`."""
    facts = reply_facts(decision, policy)
    body, language = render(facts, None, facts["language"])
    english = render(facts, None, "en")[0] if language != "en" else None
    return Reply(locale=language, body=body, english=english, facts=facts)


def final(facts: Mapping[str, Any], receipts: Sequence[Receipt], policy: Policy, language: str | None = None) -> str:
    """The reply after: a step without a receipt that proves it is not claimed.

    `language` overrides the facts' own, for the agent's English reading of it.
    """
    return render(facts, tuple(receipts), offered(language or facts["language"], policy))[0]


def same_words(one: str, other: str) -> bool:
    """Whether two replies say the same: a form on its way changes line ends, and nobody edits by that."""
    return one.split() == other.split()


def fill_links(body: str, links: Mapping[str, str]) -> str:
    """Put the links in; a sentence whose link is missing goes away.

    Only https links without spaces are put in, and never a portal session, which opens an account to whoever has it.
    """
    usable = {name: link for name, link in links.items() if _WEB.match(link) and not _SESSION.match(link)}
    lines: list[str] = []
    for line in body.split("\n"):
        wanted = {name for name in FIELD.findall(line) if name in LINKS}
        if wanted - usable.keys():
            line = "".join(sentence for sentence in _sentences(line) if not _lacks(sentence, usable)).rstrip()
            if not line:
                continue
        lines.append(FIELD.sub(lambda found: usable.get(found[1], found[0]) if found[1] in LINKS else found[0], line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _sentences(line: str) -> list[str]:
    ends = [0, *(found.end() for found in _END.finditer(line)), len(line)]
    return [line[start:end] for start, end in pairwise(ends)]


def _lacks(sentence: str, usable: Mapping[str, str]) -> bool:
    return any(name in LINKS and name not in usable for name in FIELD.findall(sentence))
