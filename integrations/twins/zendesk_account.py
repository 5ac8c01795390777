"""What does a Zendesk twin hold, and how is it seeded?  The account behind zendesk_twin, without requests."""

from __future__ import annotations

import copy
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from integrations.twins import zendesk_platform as platform
from integrations.twins import zendesk_tickets as tickets
from integrations.twins.outgoing import app_key, public_pem
from integrations.twins.server import Request, Twin
from integrations.twins.zendesk_auth import add_client
from integrations.twins.zendesk_delivery import (
    EVENT,
    TRIGGER,
    Delivery,
    launch_token,
)
from integrations.twins.zendesk_desk import (
    Desk,
    Thing,
    new_comment,
    new_group,
    new_identity,
    new_ticket,
    new_user,
    text_of,
    touch,
    via_of,
)
from integrations.twins.zendesk_fields import fill_custom_statuses, new_field
from integrations.twins.zendesk_rules import (
    Call,
)
from integrations.twins.zendesk_seeding import seed_desk

_NOTHING = Request("GET", "/", [], {}, b"", "/")


class ZendeskAccount(Twin):
    """The state, the switches and the seeds. Attributes marked (switch) may be set at any time."""

    service = "zendesk"

    def __init__(self, *, port: int = 0, clock: Callable[[], datetime] | None = None, subdomain: str = "acme") -> None:
        super().__init__(port=port, clock=clock)
        self.subdomain = subdomain
        self.client_id, self.client_secret = "billing_desk", "zdsecret_" + "5" * 40
        self.api_token = "zdapitoken" + "6" * 30
        self.app_id, self.installation_id = 905, 4471
        self.update_limit = True  # (switch) 30 per 10 minutes, 100 a minute
        self.account_limit: int | None = None  # (switch) requests a minute; None counts but never refuses
        self.search_lag = timedelta(minutes=1)  # (switch) how long search stays blind
        self.auto_deliver = True  # (switch) call registered webhooks when a ticket is created
        self.delivery_wait: Callable[[float], object] = time.sleep  # (switch) the pause between tries
        self.delivery_timeout = 10.0  # (switch)
        self.delivery_tls: ssl.SSLContext | None = None
        self.deliveries: list[Delivery] = []
        self._threads: list[threading.Thread] = []
        self.reset()

    # -- state -----------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """A fresh account: one service agent with an OAuth client, an API token and the installed private app."""
        self.desk = desk = Desk(self.subdomain)
        self.deliveries = []
        now = self.now()
        fill_custom_statuses(desk, now)
        service = new_user(desk, now, "Billing Desk", f"billing-desk@{self.subdomain}.example", role="admin")
        desk.service_user = service["id"]
        add_client(desk, now, self.client_id, self.client_secret, service["id"])
        desk.api_tokens.add(self.api_token)
        desk.apps[self.app_id] = {
            "id": self.app_id,
            "name": "Billing desk",
            "framework_version": "2.0",
            "visibility": "private",
            "created_at": text_of(now),
            "updated_at": text_of(now),
        }
        platform.make_installation(
            self._call(_NOTHING, service), self.app_id, {"settings": {"name": "Billing desk"}}, self.installation_id
        )

    def copy_state(self) -> object:
        return copy.deepcopy(self.desk)

    def swap_state(self, state: object) -> object:
        if not isinstance(state, Desk):
            raise TypeError("a Zendesk twin swaps desks only")
        self.desk, before = state, self.desk
        return before

    def state(self) -> dict[str, Any]:
        desk = self.desk
        shown = [
            ticket
            | {
                "comments": desk.comments[number],
                "fields": {desk.fields[each["id"]]["title"]: each["value"] for each in ticket["custom_fields"]},
            }
            for number, ticket in desk.tickets.items()
        ]
        return copy.deepcopy(
            {
                "tickets": shown,
                "users": list(desk.users.values()),
                "mails": desk.mails,
                "pushed": desk.pushed,
                "webhooks": list(desk.webhooks.values()),
                "deliveries": [each.as_json() for each in self.deliveries],
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "api_token": self.api_token,
                "app_id": self.app_id,
                "installation_id": self.installation_id,
                "account_id": desk.account_id,
                "service_user": desk.service_user,
                "public_key": self.public_key_pem,
                "signing_secrets": desk.signing_secrets,
                "crashes": self.crashes,
            }
        )

    def seed(self, wanted: Any) -> dict[str, Any]:
        """JSON with groups, users, ticket_fields, webhooks, tickets; `{"launch": agent id}` also answers a token."""
        if not isinstance(wanted, dict):
            raise ValueError("a seed is an object")
        answer = seed_desk(self, wanted)
        if "launch" in wanted:
            answer["token"] = self.launch_token(int(wanted["launch"]))
        return answer

    # -- seeding in Python -----------------------------------------------------------------------------------
    def add_group(self, name: str, group_id: int | None = None) -> Thing:
        with self.lock:
            return new_group(self.desk, self.now(), name, group_id=group_id)

    def add_user(self, name: str, email: str | None, **more: Any) -> Thing:
        """`more`: user_id, role, verification_method, groups, and any field of the API's user."""
        with self.lock:
            return new_user(self.desk, self.now(), name, email, **more)

    def add_agent(self, name: str, email: str, **more: Any) -> Thing:
        return self.add_user(name, email, **({"role": "agent"} | more))

    def add_identity(self, user_id: int, value: str, **more: Any) -> Thing:
        with self.lock:
            return new_identity(self.desk, self.now(), user_id, value, **more)

    def add_field(self, title: str, kind: str = "text", **more: Any) -> Thing:
        with self.lock:
            return new_field(self.desk, self.now(), title, kind, **more)

    def add_webhook(
        self, endpoint: str, *, secret: str | None = None, kind: str = "event", name: str = "Billing desk"
    ) -> Thing:
        with self.lock:
            call = self._call(_NOTHING, self.desk.users[self.desk.service_user])
            made = platform.make_webhook(
                call,
                {
                    "name": name,
                    "status": "active",
                    "endpoint": endpoint,
                    "http_method": "POST",
                    "request_format": "json",
                    "subscriptions": [EVENT if kind == "event" else TRIGGER],
                },
            )
            if secret is not None:
                self.desk.signing_secrets[made["id"]] = secret
            return made

    def add_trigger(self, webhook_id: str, *, active: bool = True) -> Thing:
        """A trigger that calls this webhook for new tickets. It is only listed: `deliver_webhook` does its work."""
        with self.lock:
            call = self._call(_NOTHING, self.desk.users[self.desk.service_user])
            return platform.make_trigger(call, webhook_id, active)

    def add_ticket(
        self,
        subject: str,
        text: str,
        requester_id: int,
        *,
        channel: str = "email",
        flags: Iterable[int] = (),
        author_id: int | None = None,
        deliver: bool | None = None,
        **more: Any,
    ) -> Thing:
        """A ticket as its requester opens it; registered webhooks are called unless `deliver` is false."""
        with self.lock:
            desk, now = self.desk, self.now()
            sender = desk.users[author_id or requester_id]
            via = more.pop("via", None) or via_of(channel, sender, to=f"support@{desk.subdomain}.zendesk.com")
            ticket = new_ticket(desk, now, subject, requester_id, via=via, **more)
            new_comment(desk, now, ticket["id"], sender["id"], text, via=via, flags=flags)
            if self.auto_deliver if deliver is None else deliver:
                self.announce(ticket["id"])
            return ticket

    def add_comment(
        self,
        ticket_id: int,
        author_id: int,
        text: str,
        *,
        public: bool = True,
        channel: str = "email",
        flags: Iterable[int] = (),
        via: Thing | None = None,
    ) -> Thing:
        """What a person writes on a ticket; it moves updated_at, as any update does."""
        with self.lock:
            sender = self.desk.users[author_id]
            via = via or via_of(channel, sender, to=f"support@{self.subdomain}.zendesk.com")
            made = new_comment(self.desk, self.now(), ticket_id, author_id, text, public=public, via=via, flags=flags)
            touch(self.desk.tickets[ticket_id], self.now())
            return made

    def may_see(self, agent_id: int, ticket_id: int) -> bool:
        with self.lock:
            call = self._call(_NOTHING, self.desk.users[agent_id])
            return tickets.may_see(call, call.actor, self.desk.tickets[ticket_id])

    def revoke_tokens(self) -> None:
        with self.lock:
            self.desk.tokens.clear()

    # -- what needs the account only -------------------------------------------------------------------------
    @property
    def public_key_pem(self) -> str:
        return public_pem(app_key(0))

    def launch_token(
        self,
        agent_id: int,
        *,
        key_number: int = 0,
        leave_out: tuple[str, ...] = (),
        headers: dict[str, Any] | None = None,
        **overrides: Any,
    ) -> str:
        """The RS256 token of a first page load; `overrides` replace claims, key_number 1 is a stranger's key."""
        return launch_token(
            self.desk,
            agent_id,
            self.installation_id,
            self.now(),
            key=app_key(key_number),
            leave_out=leave_out,
            headers=headers,
            overrides=overrides,
        )

    def announce(self, ticket_id: int) -> None:
        """Call every registered webhook for this new ticket."""
        raise NotImplementedError

    def _call(self, request: Request, actor: Thing) -> Call:
        return Call(self.desk, request, actor, self.now(), self.effect, self.url, self._created, self.update_limit)

    def _created(self, ticket_id: int) -> None:
        if self.auto_deliver:
            self.announce(ticket_id)
