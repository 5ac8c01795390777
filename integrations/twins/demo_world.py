"""Which world does the demo begin with?  Ten tickets, their people, and what Stripe and GitHub know about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from integrations.twins.demo_billing import Billing
from integrations.twins.demo_letters import Letter, letters
from integrations.twins.github_twin import GitHubTwin
from integrations.twins.stripe_twin import StripeTwin
from integrations.twins.stripe_twin import World as Books
from integrations.twins.zendesk_desk import Thing, text_of
from integrations.twins.zendesk_twin import ZendeskTwin

REPOSITORY = "brightpath/web"
GROUP, ANA, TOM, ADMIN, LIGHT, FIRST_REQUESTER = 36001, 361001, 361002, 361003, 361004, 362001
FLAKY = "eva"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeededTicket:
    """`customers`: the Stripe ids behind the requester; `customer_email`: the address that Stripe knows."""

    id: int
    subject: str
    requester: str
    requester_id: int
    minutes_ago: int
    highlight: str
    customer_email: str
    customers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The tickets, the youngest first. `agent_id` may approve; on `flaky_ticket` Stripe fails twice, then recovers."""

    tickets: tuple[SeededTicket, ...]
    agent_id: int
    admin_id: int
    light_agent_id: int
    group_id: int
    repository: str
    flaky_ticket: int

    def ticket(self, ticket_id: int) -> SeededTicket:
        """Raises LookupError."""
        for each in self.tickets:
            if each.id == ticket_id:
                return each
        raise LookupError(f"no seeded ticket {ticket_id}")


def seed(stripe: StripeTwin, zendesk: ZendeskTwin, github: GitHubTwin, *, now: datetime) -> World:
    """Fill three fresh twins whose clocks stand at `now`. Nobody is told: see `announce`."""
    with stripe.lock, zendesk.lock, github.lock:
        _seed_people(zendesk)
        github.add_repository(REPOSITORY, private=True, labels=("bug", "checkout"))
        github.add_issue(REPOSITORY, "Invoice page is slow for accounts with many seats", labels=("bug",))
        billing = Billing(Books(stripe), now)
        tickets = [
            _seed_ticket(zendesk, billing, letter, FIRST_REQUESTER + number, now)
            for number, letter in reversed(list(enumerate(letters(now))))
        ]
        flaky = next(letter.id for letter in letters(now) if letter.key == FLAKY)
    return World(
        tickets=tuple(reversed(tickets)), agent_id=ANA, admin_id=ADMIN, light_agent_id=LIGHT, group_id=GROUP,
        repository=REPOSITORY, flaky_ticket=flaky,
    )  # fmt: skip


def renew(stripe: StripeTwin, zendesk: ZendeskTwin, github: GitHubTwin, *, now: datetime) -> World:
    """Forget what happened and seed again. Keys, tokens, webhooks and ticket fields stay: they are the set-up."""
    with stripe.lock, zendesk.lock, github.lock:
        keys, desk, hub, hooks = stripe.keys, zendesk.desk, github.hub, list(github.hooks)
        for twin in (stripe, zendesk, github):
            twin.wire.clear()
            twin.faults.clear()
            twin.reset()
        stripe.keys = keys
        fresh = zendesk.desk
        fresh.webhooks, fresh.signing_secrets, fresh.fields = desk.webhooks, desk.signing_secrets, desk.fields
        fresh.tokens, fresh.api_tokens, fresh.clients = desk.tokens, desk.api_tokens, desk.clients
        github.hub.grants, github.hub.installations, github.hooks = hub.grants, hub.installations, hooks
        return seed(stripe, zendesk, github, now=now)


def announce(zendesk: ZendeskTwin, world: World) -> None:
    """Let Zendesk call its webhooks for every ticket, the oldest first, as if all had just come in."""
    for ticket in reversed(world.tickets):
        zendesk.announce(ticket.id)


def _seed_people(zendesk: ZendeskTwin) -> None:
    zendesk.add_group("Billing", GROUP)
    mail = f"{zendesk.subdomain}.example"
    zendesk.add_agent("Ana Ruiz", f"ana.ruiz@{mail}", user_id=ANA, groups=[GROUP])
    zendesk.add_agent("Tom Beck", f"tom.beck@{mail}", user_id=TOM, groups=[GROUP])
    zendesk.add_agent("Ines Falk", f"ines.falk@{mail}", user_id=ADMIN, role="admin", groups=[GROUP])
    zendesk.add_agent("Leo Grant", f"leo.grant@{mail}", user_id=LIGHT, role="light_agent", groups=[GROUP])


def _seed_ticket(zendesk: ZendeskTwin, billing: Billing, letter: Letter, user_id: int, now: datetime) -> SeededTicket:
    known_as = letter.billed_as or letter.email
    customers: tuple[str, ...] = getattr(billing, letter.key)(known_as)
    user = zendesk.add_user(letter.name, letter.email, user_id=user_id, locale=letter.locale)
    user["created_at"] = user["updated_at"] = text_of(now - timedelta(days=400))
    ticket = zendesk.add_ticket(
        letter.subject, letter.text, user_id, ticket_id=letter.id, deliver=False, status="open", group_id=GROUP
    )
    opened = letter.opened_minutes_ago or letter.minutes_ago
    _date(zendesk, ticket, 0, now - timedelta(minutes=opened))
    for number, (who, ago, text) in enumerate(letter.later, start=1):
        zendesk.add_comment(letter.id, TOM if who == "colleague" else user_id, text)
        _date(zendesk, ticket, number, now - timedelta(minutes=ago))
    ticket["created_at"] = text_of(now - timedelta(minutes=opened))
    return SeededTicket(
        id=letter.id, subject=letter.subject, requester=letter.name, requester_id=user_id,
        minutes_ago=letter.minutes_ago, highlight=letter.highlight, customer_email=known_as, customers=customers,
    )  # fmt: skip


def _date(zendesk: ZendeskTwin, ticket: Thing, number: int, at: datetime) -> None:
    """Move a comment, its audit and the ticket's last change to when they were written."""
    moment = text_of(at)
    made: tuple[dict[str, Any], ...] = (
        zendesk.desk.comments[ticket["id"]][number],
        zendesk.desk.audits[ticket["id"]][number],
    )
    for each in made:
        each["created_at"] = moment
    ticket["updated_at"], ticket["generated_timestamp"] = moment, int(at.timestamp())
