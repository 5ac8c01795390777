"""What is different since the demo began, for one ticket?  Read from the three twins' own state."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from integrations.twins.demo_world import SeededTicket, World
from integrations.twins.github_twin import GitHubTwin
from integrations.twins.stripe_twin import StripeTwin
from integrations.twins.stripe_twin.acts import money
from integrations.twins.zendesk_twin import ZendeskTwin

Facts = dict[str, str]
_RENEWS = ("active", "trialing", "past_due")
_SIGNS = {"usd": "$", "eur": "€", "jpy": "¥"}
_CASES = re.compile(r"Cases \| \*\*(\d+)\*\*")


class Changes:
    """The facts as they were seeded, beside those of now."""

    def __init__(self, stripe: StripeTwin, zendesk: ZendeskTwin, github: GitHubTwin, world: World) -> None:
        self._stripe, self._zendesk, self._github = stripe, zendesk, github
        self.begin(world)

    def begin(self, world: World) -> None:
        """Take today's facts as the base line."""
        self._world = world
        self._base = {ticket.id: self._facts(ticket) for ticket in world.tickets}

    def of(self, ticket_id: int) -> list[dict[str, Any]]:
        """Every fact with its value before and now, in the panel's order. Raises LookupError."""
        now, base = self._facts(self._world.ticket(ticket_id)), self._base[ticket_id]
        return [{"name": name, "before": base[name], "now": now[name]} for name in now]

    def _facts(self, ticket: SeededTicket) -> Facts:
        first = ticket.requester.split()[0]
        with self._stripe.lock:
            renewing = self._renewing(ticket)
            facts = {
                "Renewing plans": str(len(renewing)),
                f"Refunded to {first}": self._refunded(ticket),
                "Next charge": " + ".join(_day(at) for at in sorted(_ends(renewing))) or "none",
            }
        with self._zendesk.lock:
            facts |= self._desk_facts(ticket)
        with self._github.lock:
            return facts | {"Issue": self._issue(ticket)}

    def _renewing(self, ticket: SeededTicket) -> list[dict[str, Any]]:
        return [
            made
            for customer in ticket.customers
            for made in self._stripe.store.where("subscription", customer=customer)
            if made["status"] in _RENEWS and not made["cancel_at_period_end"] and not made["cancel_at"]
        ]

    def _refunded(self, ticket: SeededTicket) -> str:
        store = self._stripe.store
        sums: dict[str, int] = {}
        for customer in ticket.customers:
            for charge in store.where("charge", customer=customer):
                sums.setdefault(charge["currency"], 0)
                for made in store.where("refund", charge=charge["id"]):
                    if made["status"] not in ("failed", "canceled"):
                        sums[made["currency"]] += int(made["amount"])
        paid = {currency: amount for currency, amount in sums.items() if amount} or dict(list(sums.items())[:1])
        return " + ".join(priced(amount, currency) for currency, amount in paid.items()) or "nothing"

    def _desk_facts(self, ticket: SeededTicket) -> Facts:
        desk = self._zendesk.desk
        comments, tags = desk.comments[ticket.id], desk.tickets[ticket.id]["tags"]
        ours = [one for one in comments if one["author_id"] != ticket.requester_id and one["public"]]
        notes = sum(not one["public"] for one in comments)
        return {
            "Ticket tags": " ".join(tags) or "none",
            "Internal notes": str(notes),
            "Reply": f"{len(ours)} sent" if ours else "empty",
        }

    def _issue(self, ticket: SeededTicket) -> str:
        """The issue that counts this ticket, by the link that stands in its body."""
        held = self._github.hub.repositories[self._world.repository.lower()]
        link = re.compile(rf"/tickets/{ticket.id}\b")
        for number, issue in held.issues.items():
            if link.search(issue["body"] or ""):
                return f"#{number}{_cases(issue['body'])}"
        return "none"


def priced(amount: int, currency: str) -> str:
    """$29.00, €19.00, ¥3900; other currencies keep their code."""
    number, _, code = money(amount, currency).partition(" ")
    return _SIGNS[code] + number if code in _SIGNS else f"{number} {code.upper()}"


def _cases(body: str) -> str:
    found = _CASES.search(body)
    if found is None:
        return ""
    return f", {found[1]} case" + ("" if found[1] == "1" else "s")


def _ends(subscriptions: Iterable[dict[str, Any]]) -> list[int]:
    return [int(made["items"]["data"][0]["current_period_end"]) for made in subscriptions]


def _day(at: int) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%b}"
