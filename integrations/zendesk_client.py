"""What does Zendesk hold about a ticket and its people, and how do we write on it without overwriting anybody?

Vendor pages: developer.zendesk.com/api-reference/ticketing (tickets, ticket_comments, users, user_identities).
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations.errors import Conflict, Forbidden, Garbled, NotFound, OutsideError, Refused, Unauthorized
from integrations.replies import Call
from integrations.zendesk_schemas import (
    MARK,
    AppInstallation,
    AppJob,
    Comment,
    Group,
    GroupMembership,
    Ticket,
    TicketField,
    Trigger,
    User,
    UserIdentity,
    Webhook,
)
from integrations.zendesk_wire import ApiToken, OAuthClient, ZendeskWire, loaded, missing_scopes, one

__all__ = ["ApiToken", "OAuthClient", "Probe", "TicketUpdate", "ZendeskClient", "escape_html", "neutral"]


_MOST_TRIES = 3  # of a write that meets somebody else's
_MOST_PAGES = 10
_TAG = re.compile(r"[a-z0-9_\-]{1,80}\Z")
_BRACE = r"(?:\{|&(?:#0*123|#[xX]0*7[bB]|lcub|lbrace);)"
_PLACEHOLDER = re.compile(rf"({_BRACE})(?={_BRACE}|%|&(?:#0*37|#[xX]0*25|percnt);)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketUpdate:
    """What a write left behind. `repeated`: an earlier attempt had already written it."""

    ticket_id: int
    audit_id: int | None = None
    updated_stamp: str = ""
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What the credentials may do. `granted` None: not an OAuth token, so unknown."""

    user_id: int
    role: str
    granted: frozenset[str] | None
    missing: frozenset[str] = frozenset()


def escape_html(text: str) -> str:
    """`text` as it may stand in HTML that is written to a ticket; placeholders in it stay text."""
    return neutral(html.escape(text, quote=True))


def neutral(text: str) -> str:
    """`text` with a word joiner between braces, so that Zendesk resolves no `{{placeholder}}` or `{% tag %}` in it."""
    return _PLACEHOLDER.sub("\\1\u2060", text)


def operation_of(named: str) -> str:
    """The operation id of a write that has no action of its own: the same name gives the same id, so it counts once."""
    return "op_" + hashlib.sha256(named.encode()).hexdigest()[:24]


class ZendeskClient(ZendeskWire):
    """One account. Thread-safe. Each method raises OutsideError (see `integrations.errors`)."""

    # --- reading a ticket and its people ---

    def ticket(self, ticket_id: int) -> Ticket:
        """The ticket without its comments."""
        call = Call(method="GET", path="/api/v2/tickets/{ticket_id}", ids={"ticket_id": ticket_id})
        return one(self.send(call), "ticket", "ticket", Ticket)

    def comments(self, ticket_id: int, *, pages: int = 1) -> tuple[Comment, ...]:
        """The newest comments first, 100 a page."""
        call = Call(
            method="GET",
            path="/api/v2/tickets/{ticket_id}/comments",
            ids={"ticket_id": ticket_id},
            query={"sort": "-created_at"},
        )
        found = self.pages(call, "comments", "comment", Comment, pages)
        return tuple(sorted(found, key=lambda comment: (comment.created_at, comment.id), reverse=True))

    def conversation(self, ticket_id: int) -> tuple[tuple[Comment, ...], dict[int, User]]:
        """The newest 100 comments, newest first, and their authors as far as Zendesk sent them along."""
        call = Call(
            method="GET",
            path="/api/v2/tickets/{ticket_id}/comments",
            ids={"ticket_id": ticket_id},
            query={"sort": "-created_at", "include": "users", "page[size]": 100},
        )
        reply = self.send(call)
        rows, people = reply.as_object().get("comments"), reply.as_object().get("users")
        if not isinstance(rows, list):
            reply.garbled()
        comments = [loaded(reply, "comment", row, Comment) for row in rows]
        users: dict[int, User] = {}
        for row in people if isinstance(people, list) else ():
            with contextlib.suppress(Garbled):
                user = loaded(reply, "user", row, User)
                users[user.id] = user
        return tuple(sorted(comments, key=lambda comment: (comment.created_at, comment.id), reverse=True)), users

    def find_operation(self, ticket_id: int, operation_id: str) -> Comment | None:
        """The comment that carries our operation id, among the newest 300; None when none does.

        Updates without a comment (tags, fields) leave no trace here; repeating those changes nothing.
        """
        comments = self.comments(ticket_id, pages=3)
        return next((one for one in comments if one.operation and one.operation.op == operation_id), None)

    def user(self, user_id: int) -> User:
        """A person, whatever their role."""
        call = Call(method="GET", path="/api/v2/users/{user_id}", ids={"user_id": user_id})
        return one(self.send(call), "user", "user", User)

    def identities(self, user_id: int) -> tuple[UserIdentity, ...]:
        """The person's addresses and accounts, with how each was verified."""
        call = Call(method="GET", path="/api/v2/users/{user_id}/identities", ids={"user_id": user_id})
        return self.pages(call, "identities", "identity", UserIdentity, 1)

    def group_memberships(self, user_id: int) -> tuple[GroupMembership, ...]:
        """The groups of an agent."""
        call = Call(method="GET", path="/api/v2/users/{user_id}/group_memberships", ids={"user_id": user_id})
        return self.pages(call, "group_memberships", "membership", GroupMembership, _MOST_PAGES)

    def groups(self, user_id: int) -> tuple[Group, ...]:
        """The groups of an agent with their names."""
        call = Call(method="GET", path="/api/v2/users/{user_id}/groups", ids={"user_id": user_id})
        return self.pages(call, "groups", "group", Group, _MOST_PAGES)

    def changed_tickets(self, *, cursor: str | None, since: datetime) -> tuple[tuple[Ticket, ...], str | None, bool]:
        """A page of tickets in the order of their last change: them, where the next page begins, whether there is one.

        `since` counts without a cursor and lies more than a minute back. A row that cannot be read is left out.
        """
        where: dict[str, str | int] = {"cursor": cursor} if cursor else {"start_time": int(since.timestamp())}
        call = Call(method="GET", path="/api/v2/incremental/tickets/cursor", query={"per_page": 500, **where})
        reply = self.send(call)
        answer = reply.as_object()
        rows, after = answer.get("tickets"), answer.get("after_cursor")
        if not isinstance(rows, list):
            reply.garbled()
        tickets = []
        for row in rows:
            with contextlib.suppress(Garbled):
                tickets.append(loaded(reply, "ticket", row, Ticket))
        return tuple(tickets), after if isinstance(after, str) else None, answer.get("end_of_stream") is False

    # --- writing on a ticket ---

    def update_ticket(
        self,
        ticket_id: int,
        *,
        operation_id: str,
        stage: str,
        note_html: str | None = None,
        public_reply_html: str | None = None,
        add_tags: Iterable[str] = (),
        remove_tags: Iterable[str] = (),
        status: str | None = None,
        fields: Mapping[int, str | int | bool | None] | None = None,
        author_id: int | None = None,
        look_first: bool = False,
        known: Ticket | None = None,
    ) -> TicketUpdate:
        """Writes comment, tags and fields in one PUT, marked with the operation id.

        Customer and Stripe text in the HTML must have gone through `escape_html`. `look_first`: an earlier attempt
        ended with an unknown outcome, so its mark is looked for before anything is written. `known`: the ticket as it
        was just read, which spares reading it again.

        Raises:
            Refused: code `ticket_closed` when the ticket takes no more updates.
            Conflict: other people changed the ticket each time, three times in a row.
        """
        if note_html is not None and public_reply_html is not None:
            raise ValueError("one update carries one comment")
        change: dict[str, Any] = {"metadata": {MARK: {"op": operation_id, "stage": stage, "v": 1}}}
        text = note_html if note_html is not None else public_reply_html
        if text is not None:
            change["comment"] = {"html_body": neutral(text), "public": public_reply_html is not None}
            if author_id is not None:
                change["comment"]["author_id"] = author_id
        if fields:
            change["custom_fields"] = [{"id": id, "value": _field_value(value)} for id, value in fields.items()]
        if status is not None:
            change["status"] = status
        if look_first and (done := self._already(ticket_id, operation_id)):
            return done
        try:
            added = frozenset(_checked_tag(tag) for tag in add_tags)
            return self._put(ticket_id, change, added, frozenset(remove_tags) - added, known)
        except OutsideError as error:
            if error.unknown_outcome and (done := self._seen(ticket_id, operation_id)):
                return done
            raise

    def _put(
        self, ticket_id: int, change: dict[str, Any], add_tags: frozenset[str], remove_tags: frozenset[str],
        known: Ticket | None,
    ) -> TicketUpdate:  # fmt: skip
        tries = 0
        while True:
            tries += 1
            ticket = known if known is not None and tries == 1 else self.ticket(ticket_id)
            safely = {"updated_stamp": ticket.updated_stamp, "safe_update": True} if ticket.updated_stamp else {}
            body = {**change, **safely}
            tags = {*ticket.tags, *add_tags} - remove_tags
            if tags != set(ticket.tags):
                body["tags"] = sorted(tags)  # the list replaces the whole set
            call = Call(
                method="PUT",
                path="/api/v2/tickets/{ticket_id}",
                ids={"ticket_id": ticket_id},
                body={"ticket": body},
            )
            if ticket.status == "closed":
                raise Refused(service=self.door.service, method="PUT", path=call.path, code="ticket_closed")
            try:
                reply = self.send(call)
            except Conflict:
                if tries >= _MOST_TRIES:
                    raise
                # What changed the ticket may be this very write, sent by a worker that was thought dead.
                if done := self._already(ticket_id, change["metadata"][MARK]["op"]):
                    return done
                continue
            written = one(reply, "ticket", "ticket", Ticket)
            audit = reply.as_object().get("audit")
            audit_id = audit.get("id") if isinstance(audit, dict) else None
            return TicketUpdate(
                ticket_id=ticket_id,
                audit_id=audit_id if isinstance(audit_id, int) else None,
                updated_stamp=written.updated_stamp,
            )

    def _already(self, ticket_id: int, operation_id: str) -> TicketUpdate | None:
        comment = self.find_operation(ticket_id, operation_id)
        if comment is None:
            return None
        return TicketUpdate(ticket_id=ticket_id, audit_id=comment.audit_id, repeated=True)

    def _seen(self, ticket_id: int, operation_id: str) -> TicketUpdate | None:
        """Like `_already`, after a failure: when looking fails too, the first failure is the one to report."""
        try:
            return self._already(ticket_id, operation_id)
        except OutsideError:
            return None

    # --- setting up ---

    def probe(self) -> Probe:
        """What the credentials may do.

        `users/me` answers 200 for nobody at all, so a non-null id is required and a real resource is read as well.
        """
        me = Call(method="GET", path="/api/v2/users/me")
        user = self.send(me).as_object().get("user")
        user = user if isinstance(user, dict) else {}
        if not isinstance(user.get("id"), int):
            raise Unauthorized(service=self.door.service, method="GET", path=me.path, code="anonymous_user")
        self.send(Call(method="GET", path="/api/v2/tickets", query={"page[size]": 1})).as_object()
        granted = self._granted_scopes()
        missing = frozenset() if granted is None else missing_scopes(self.wanted_scopes(), granted)
        return Probe(user_id=user["id"], role=str(user.get("role") or ""), granted=granted, missing=missing)

    def _granted_scopes(self) -> frozenset[str] | None:
        if isinstance(self._credentials, ApiToken):
            return None
        try:
            reply = self.send(Call(method="GET", path="/api/v2/oauth/tokens/current.json"))
            scopes = reply.as_object().get("token", {}).get("scopes")
        except (Forbidden, NotFound):  # the scope that came with the token still tells
            scopes = None
        return frozenset(map(str, scopes)) if isinstance(scopes, list) else self._tokens.current().scopes

    def webhooks(self) -> tuple[Webhook, ...]:
        """All webhooks of the account."""
        return self.pages(Call(method="GET", path="/api/v2/webhooks"), "webhooks", "webhook", Webhook, _MOST_PAGES)

    def create_webhook(self, *, name: str, endpoint: str, subscriptions: Iterable[str]) -> Webhook:
        """A new active webhook that posts JSON to `endpoint`."""
        call = Call(method="POST", path="/api/v2/webhooks", body=_webhook_body(name, endpoint, subscriptions))
        return one(self.send(call), "webhook", "webhook", Webhook)

    def update_webhook(self, webhook_id: str, *, name: str, endpoint: str, subscriptions: Iterable[str]) -> None:
        """Brings an existing webhook to this state."""
        body = _webhook_body(name, endpoint, subscriptions)
        self.send(Call(method="PUT", path="/api/v2/webhooks/{webhook_id}", ids={"webhook_id": webhook_id}, body=body))

    def webhook_signing_secret(self, webhook_id: str) -> str:
        """The secret that Zendesk signs this webhook's deliveries with."""
        call = Call(method="GET", path="/api/v2/webhooks/{webhook_id}/signing_secret", ids={"webhook_id": webhook_id})
        reply = self.send(call)
        holder = reply.as_object().get("signing_secret")
        secret = holder.get("secret") if isinstance(holder, dict) else None
        return secret if isinstance(secret, str) and secret else reply.garbled()

    def triggers(self) -> tuple[Trigger, ...]:
        """All ticket triggers that are switched on. Needs `triggers:read`."""
        call = Call(method="GET", path="/api/v2/triggers", query={"active": "true"})
        return self.pages(call, "triggers", "trigger", Trigger, _MOST_PAGES)

    def ticket_fields(self) -> tuple[TicketField, ...]:
        """All ticket fields of the account."""
        call = Call(method="GET", path="/api/v2/ticket_fields")
        return self.pages(call, "ticket_fields", "ticket_field", TicketField, _MOST_PAGES)

    def create_ticket_field(self, *, type: str, title: str, options: Mapping[str, str] | None = None) -> TicketField:
        """A new field. `options`: tag to label, for a drop-down (`tagger`)."""
        body: dict[str, Any] = {"type": type, "title": title}
        if options:
            body["custom_field_options"] = [{"name": label, "value": tag} for tag, label in options.items()]
        reply = self.send(Call(method="POST", path="/api/v2/ticket_fields", body={"ticket_field": body}))
        return one(reply, "ticket_field", "ticket_field", TicketField)

    def public_key(self, app_id: int) -> str:
        """The PEM with which the app's launch tokens are verified."""
        call = Call(method="GET", path="/api/v2/apps/{app_id}/public_key.pem", ids={"app_id": app_id}, text=True)
        reply = self.send(call)
        pem = reply.text.strip()
        return pem + "\n" if pem.startswith("-----BEGIN PUBLIC KEY-----") else reply.garbled()

    def upload_app(self, package: bytes) -> int:
        """Uploads an app package (zip) and returns the upload's id."""
        files = {"uploaded_data": ("app.zip", package, "application/zip")}
        reply = self.send(Call(method="POST", path="/api/v2/apps/uploads", files=files))
        upload_id = reply.as_object().get("id")
        return upload_id if isinstance(upload_id, int) else reply.garbled()

    def save_app(self, upload_id: int, *, name: str, app_id: int | None = None) -> str:
        """Creates the private app, or replaces `app_id`, from an upload; returns the id of the job that does it."""
        body = {"name": name, "upload_id": upload_id}
        path = "/api/v2/apps" if app_id is None else "/api/v2/apps/{app_id}"
        ids = {} if app_id is None else {"app_id": app_id}
        reply = self.send(Call(method="POST" if app_id is None else "PUT", path=path, ids=ids, body=body))
        job_id = reply.as_object().get("job_id") or reply.as_object().get("job_status_id")
        return job_id if isinstance(job_id, str) else reply.garbled()

    def app_job(self, job_id: str) -> AppJob:
        """How far that job is."""
        call = Call(method="GET", path="/api/v2/apps/job_statuses/{job_id}", ids={"job_id": job_id})
        return one(self.send(call), None, "job", AppJob)

    def app_installations(self) -> tuple[AppInstallation, ...]:
        """The apps installed in this account."""
        call = Call(method="GET", path="/api/v2/apps/installations")
        return self.pages(call, "installations", "installation", AppInstallation, 1)

    def install_app(
        self, app_id: int, settings: Mapping[str, str], restrictions: Mapping[str, list[int]] | None = None
    ) -> AppInstallation:
        """Installs the app with its settings (`name` is one of them); `restrictions`: which roles and groups see it."""
        body = {"app_id": app_id, "settings": dict(settings), "enabled": True, **(restrictions or {})}
        reply = self.send(Call(method="POST", path="/api/v2/apps/installations", body=body))
        return one(reply, None, "installation", AppInstallation)


def _webhook_body(name: str, endpoint: str, subscriptions: Iterable[str]) -> dict[str, Any]:
    return {
        "webhook": {
            "name": name,
            "status": "active",
            "endpoint": endpoint,
            "http_method": "POST",
            "request_format": "json",
            "subscriptions": list(subscriptions),
        }
    }


def _field_value(value: str | int | bool | None) -> str | int | bool | None:
    return neutral(value) if isinstance(value, str) else value


def _checked_tag(tag: str) -> str:
    if not _TAG.match(tag):
        raise ValueError("a tag is lower-case letters, digits, underscore and hyphen")
    return tag
