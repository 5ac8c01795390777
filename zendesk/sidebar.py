"""What does the sidebar call? The signed launch, the page, and the API of contract section 4, as JSON or as HTML."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, request
from marshmallow import Schema, ValidationError

from integrations.errors import NotFound, OutsideError
from integrations.store import approvals, cards, deliveries
from integrations.store.tables import correction
from zendesk import approval as approving
from zendesk import handing, undoing
from zendesk.agents import Agent
from zendesk.answers import page, refused, said, wants_html
from zendesk.assets import CACHE_CONTROL, asset
from zendesk.card import stamp
from zendesk.desk import Desk
from zendesk.events import Streams, wants_events
from zendesk.reader import as_typed, reader_language, reader_zone
from zendesk.refusals import Refusal
from zendesk.schemas import ApprovalSchema, ChoiceSchema, CorrectionSchema, LookupSchema, UndoSchema
from zendesk.signatures import Launch, PageTokens, Untrusted, check_launch
from zendesk.status import NOTHING_READ, approval_document, card_document, read_approval
from zendesk.view import Viewer, render_card, render_page
from zendesk.web import on_outside
from zendesk.webhook import ask

log = logging.getLogger(__name__)
SDK = "https://static.zdassets.com/zendesk_app_framework_sdk/2.0/zaf_sdk.min.js"
LAUNCH_BYTES = 16 * 1024
SEEN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where the sidebar lives: the one origin that frames it, whose launch tokens are good, and the SDK's address."""

    origin: str
    launch: Launch
    sdk_url: str = SDK


def agent_of(desk: Desk, tokens: PageTokens) -> Agent:
    """The agent behind the request's Bearer token. Raises Refusal."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        raise Refusal("unauthorized", "Open the app again: this page has no session.")
    try:
        agent_id, _ = tokens.check(token.strip(), desk.now())
    except Untrusted as reason:
        raise Refusal("unauthorized", "The session has ended. Reload the app.") from reason
    return desk.agents.read(agent_id)


class Sidebar:
    """The blueprint's state: who may see what, kept for a minute."""

    def __init__(self, desk: Desk, frame: Frame, tokens: PageTokens) -> None:
        self.desk, self.frame, self.tokens = desk, frame, tokens
        self._seen: dict[tuple[int, int], datetime] = {}
        self._lock = threading.Lock()

    def agent(self) -> Agent:
        """The agent behind the Bearer token. Raises Refusal."""
        return agent_of(self.desk, self.tokens)

    def agent_for(self, ticket_id: int) -> Agent:
        """The agent, if Zendesk lets them open this ticket. Raises Refusal."""
        agent = self.agent()
        key, now = (agent.id, ticket_id), self.desk.now()
        with self._lock:
            seen = self._seen.get(key)
        if seen is None or now - seen > SEEN:
            self.desk.agents.check_may_see(agent, self.desk.zendesk.ticket(ticket_id))
            with self._lock:
                if len(self._seen) > 10_000:
                    self._seen.clear()
                self._seen[key] = now
        return agent

    def approver_for(self, ticket_id: int) -> Agent:
        """Like `agent_for`, with rights read anew: before money moves."""
        kept = self.agent()
        self.desk.agents.forget(kept.id)
        with self._lock:
            self._seen.pop((kept.id, ticket_id), None)
        return self.agent_for(ticket_id)

    def card(
        self, ticket_id: int, agent: Agent, *, status: int | None = None, error: Refusal | None = None
    ) -> Response:
        """The card as it stands, as JSON or as the fragment."""
        with self.desk.engine.connect() as connection:
            stored = cards.read(connection, ticket_id)
        if stored is None:
            raise Refusal("not_found", "There is no card for this ticket.")
        document = card_document(self.desk, stored)
        if error is not None:
            at = stamp(self.desk.now())
            document["error"] = {"code": error.code, "message": error.message, "money_moved": False, "at": at}
            document |= as_typed(document, error.code)
        code = status or (202 if stored.document is None else 200)
        if not wants_html():
            return said({**NOTHING_READ, **document}, code)
        if stored.read_quickly and stored.state != "failed" and error is None:
            document["state"] = "enriching"  # everything is being read, and the page looks again by itself
        view = request.values.get("view", "review" if error else "glance")
        viewer = self.viewer(agent)
        html = render_card(
            document,
            view=view,
            lang=reader_language(agent.locale),
            now=self.desk.now(),
            agent=viewer,
            zone=reader_zone(),
        )
        return page(html, code)

    def refuse(self, refusal: Refusal) -> Response:
        """The error envelope; a person gets it inside the card of the ticket, where the ticket may be shown."""
        if not wants_html():
            return refused(refusal)
        ticket_id = self._ticket_of_request()
        if ticket_id is not None and refusal.code not in {"unauthorized", "no_access_to_ticket"}:
            with contextlib.suppress(Refusal, OutsideError):
                return self.card(ticket_id, self.agent_for(ticket_id), status=refusal.status, error=refusal)
        document = {
            "ticket_id": ticket_id,
            "state": "failed",
            "error": {"code": refusal.code, "message": refusal.message},
        }
        return page(render_card(document, lang=reader_language(), now=self.desk.now()), refusal.status)

    def _ticket_of_request(self) -> int | None:
        arguments = request.view_args or {}
        if "ticket_id" in arguments:
            return int(arguments["ticket_id"])
        with self.desk.engine.connect() as connection:
            known = approvals.read(connection, str(arguments.get("approval_id", "")))
        return known.ticket_id if known else None

    def viewer(self, agent: Agent) -> Viewer:
        return Viewer(
            id=agent.id, name=agent.name, role=agent.role, may_approve=self.desk.agents.may_approve(agent),
            needed=", ".join(self.desk.policy.approve),
        )  # fmt: skip


def blueprint(desk: Desk, frame: Frame, tokens: PageTokens) -> Blueprint:
    routes, sidebar = Blueprint("sidebar", __name__), Sidebar(desk, frame, tokens)
    _add_launch(routes, sidebar)
    _add_tickets(routes, sidebar)
    _add_approvals(routes, sidebar)
    routes.register_error_handler(Refusal, sidebar.refuse)
    routes.register_error_handler(OutsideError, lambda error: on_outside(error, sidebar.refuse))
    return routes


def _add_launch(routes: Blueprint, sidebar: Sidebar) -> None:
    desk, frame = sidebar.desk, sidebar.frame

    @routes.post("/zendesk/sidebar")
    def launch() -> Response:
        form = request.form
        if (request.content_length or 0) > LAUNCH_BYTES or request.mimetype != "application/x-www-form-urlencoded":
            return _closed("launch_shape")
        if len(form.getlist("token")) != 1 or request.args.getlist("origin") != [frame.origin]:
            return _closed("launch_origin")
        try:
            agent_id, once = check_launch(frame.launch, form["token"], desk.now())
        except Untrusted as reason:
            return _closed(str(reason))
        with desk.engine.begin() as connection:
            if deliveries.accept(
                connection, source="launch", key=once, ticket_id=None, body={}, now=desk.now()
            ) is None:  # fmt: skip
                return _closed("replayed")
        try:
            agent = desk.agents.read(agent_id)
        except (Refusal, OutsideError) as reason:
            return _closed(type(reason).__name__)
        html = render_page(
            token=sidebar.tokens.issue(agent.id, desk.now()), scheme=request.args.get("colorScheme", "light"),
            lang=reader_language(agent.locale), sdk_url=frame.sdk_url, agent=sidebar.viewer(agent), now=desk.now(),
        )  # fmt: skip
        return page(html)

    @routes.post("/api/session")
    def session() -> Response:
        token = request.headers.get("Authorization", "").partition(" ")[2].strip()
        agent = sidebar.agent()
        _, since = sidebar.tokens.check(token, desk.now())
        return said({"token": sidebar.tokens.issue(agent.id, desk.now(), since=since)})

    @routes.get("/static/<name>")
    def static_file(name: str) -> Response:
        try:
            content, media_type = asset(name)
        except KeyError:
            raise Refusal("not_found", "There is no such file.") from None
        answer = Response(content, mimetype=media_type)
        answer.headers["Cache-Control"] = CACHE_CONTROL
        return answer


def _add_tickets(routes: Blueprint, sidebar: Sidebar) -> None:
    desk = sidebar.desk

    @routes.get("/api/tickets/<int:ticket_id>/card")
    def card(ticket_id: int) -> Response:
        agent = sidebar.agent_for(ticket_id)
        with desk.engine.begin() as connection:
            stored = cards.read(connection, ticket_id)
            unread = stored is None or stored.erased or stored.left_unread
            if unread or (stored is not None and stored.read_quickly and stored.requests == 1):
                ask(desk, connection, ticket_id)
        return sidebar.card(ticket_id, agent)

    @routes.post("/api/tickets/<int:ticket_id>/refresh")
    def refresh(ticket_id: int) -> Response:
        agent = sidebar.agent_for(ticket_id)
        _reread(desk, ticket_id)
        return sidebar.card(ticket_id, agent, status=202)

    @routes.post("/api/tickets/<int:ticket_id>/correction")
    def correct(ticket_id: int) -> Response:
        agent, body = sidebar.agent_for(ticket_id), _loaded(CorrectionSchema())
        with desk.engine.begin() as connection:
            stored = cards.read(connection, ticket_id)
            if stored is None or stored.document is None:
                raise Refusal("not_found", "There is no card for this ticket yet.")
            decision = stored.document.get("decision") or {}
            evidence = {key: [one.get("code") for one in decision.get(key, [])] for key in ("for", "against")}
            row = correction.insert().values(
                ticket_id=ticket_id, agent_id=agent.id, was=decision.get("bucket", "undecided"), bucket=body["bucket"],
                why=body["why"], evidence=evidence, at=desk.now(),
            )  # fmt: skip
            connection.execute(row)
        return _changed(sidebar, ticket_id, agent, correction=body["bucket"])

    @routes.post("/api/tickets/<int:ticket_id>/choose")
    def choose(ticket_id: int) -> Response:
        agent, body = sidebar.agent_for(ticket_id), _loaded(ChoiceSchema())
        return _changed(sidebar, ticket_id, agent, chosen=body["customer"])

    @routes.post("/api/tickets/<int:ticket_id>/lookup")
    def look_up(ticket_id: int) -> Response:
        agent, body = sidebar.agent_for(ticket_id), _loaded(LookupSchema())
        return _changed(sidebar, ticket_id, agent, lookup=body["query"].strip())

    @routes.post("/api/tickets/<int:ticket_id>/handover")
    def hand_over(ticket_id: int) -> Response:
        agent = sidebar.agent_for(ticket_id)
        handing.hand_over(desk, ticket_id, agent)
        return sidebar.card(ticket_id, agent)

    @routes.post("/api/tickets/<int:ticket_id>/approvals")
    def approve(ticket_id: int) -> Response:
        agent, body = sidebar.approver_for(ticket_id), _loaded(ApprovalSchema(), _approval_form)
        follow_up = body["follow_up"]
        wanted = approving.Request(
            plan_digest=body["plan_digest"], steps=tuple(dict.fromkeys(body["steps"])), body=follow_up["body"],
            deliver=follow_up["deliver"], file_issue=body["file_issue"], confirm=body["confirm"],
        )  # fmt: skip
        approval_id = approving.approve(desk, ticket_id, agent, wanted)
        if wants_html():
            return sidebar.card(ticket_id, agent, status=202)
        with desk.engine.connect() as connection:
            known = approvals.read(connection, approval_id)
        if known is not None and known.state == "waiting_second":
            raise Refusal(
                "second_approval_required", "Somebody else has to agree before this runs.", approval_id=approval_id
            )
        return said({"approval_id": approval_id, "state": known.state if known else "applying"}, 202)


def _add_approvals(routes: Blueprint, sidebar: Sidebar) -> None:
    desk, streams = sidebar.desk, Streams()

    def answer(approval_id: str, status: int = 200) -> Response:
        with desk.engine.connect() as connection:
            found = read_approval(desk, connection, approval_id)
            stored = cards.read(connection, found[0].ticket_id) if found else None
        if found is None or stored is None:
            raise Refusal("not_found", "There is no such approval.")
        agent = sidebar.agent_for(found[0].ticket_id)
        if request.method == "GET" and wants_events():
            return streams.answer(lambda: _approval_now(desk, approval_id))
        if wants_html():
            return sidebar.card(found[0].ticket_id, agent)
        return said(approval_document(desk, *found, stored.document or {}), status)

    def acting(approval_id: str) -> Agent:
        with desk.engine.connect() as connection:
            known = approvals.read(connection, approval_id)
        if known is None:
            sidebar.agent()
            raise Refusal("not_found", "There is no such approval.")
        return sidebar.approver_for(known.ticket_id)

    @routes.get("/api/approvals/<approval_id>")
    def progress(approval_id: str) -> Response:
        sidebar.agent()
        return answer(approval_id)

    @routes.post("/api/approvals/<approval_id>/second")
    def second(approval_id: str) -> Response:
        approving.second(desk, approval_id, acting(approval_id))
        return answer(approval_id, 202)

    @routes.post("/api/approvals/<approval_id>/cancel")
    def cancel(approval_id: str) -> Response:
        approving.stop(desk, approval_id, acting(approval_id))
        return answer(approval_id, 202)

    @routes.post("/api/approvals/<approval_id>/go")
    def go(approval_id: str) -> Response:
        approving.go(desk, approval_id, acting(approval_id))
        return answer(approval_id, 202)

    @routes.post("/api/approvals/<approval_id>/undo")
    def undo(approval_id: str) -> Response:
        agent = acting(approval_id)
        undoing.undo(desk, approval_id, _loaded(UndoSchema())["step"], agent)
        return answer(approval_id)


def _approval_now(desk: Desk, approval_id: str) -> dict[str, Any] | None:
    with desk.engine.connect() as connection:
        found = read_approval(desk, connection, approval_id)
        stored = cards.read(connection, found[0].ticket_id) if found else None
    return approval_document(desk, *found, stored.document or {}) if found and stored else None


def _changed(sidebar: Sidebar, ticket_id: int, agent: Agent, **values: Any) -> Response:
    """Keep the agent's choice and plan anew at once; when Stripe is slow the card follows by itself."""
    desk = sidebar.desk
    with desk.engine.begin() as connection:
        if not cards.change(connection, ticket_id, desk.now(), version=None, **values):
            raise Refusal("not_found", "There is no card for this ticket yet.")
    _reread(desk, ticket_id)
    return sidebar.card(ticket_id, agent, status=202)


def _reread(desk: Desk, ticket_id: int) -> None:
    from zendesk.enrichment import store_reading

    try:
        store_reading(desk, desk.read(ticket_id))
    except NotFound:
        raise Refusal("not_found", "Zendesk has no such ticket.") from None
    except OutsideError:
        with desk.engine.begin() as connection:
            ask(desk, connection, ticket_id)


def _loaded(schema: Schema, from_form: Callable[[], Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The request's body through its schema, JSON or form. Raises Refusal `invalid` naming the field."""
    if request.mimetype in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        document: Any = from_form() if from_form else request.form.to_dict()
    else:
        try:
            document = request.get_json(silent=True)
        except RecursionError:  # nested too deeply to be read
            document = None
    if not isinstance(document, Mapping):
        raise Refusal("invalid", "The body must be a JSON object.")
    try:
        return dict(schema.load(document))
    except ValidationError as error:
        name = next(iter(error.messages_dict))
        raise Refusal("invalid", f"{str(name)[:40]} is missing or not what it must be.") from error


def _approval_form() -> Mapping[str, Any]:
    form = request.form
    return {
        "plan_digest": form.get("plan_digest", ""),
        "steps": form.getlist("steps"),
        "follow_up": {"body": form.get("follow_up_body", ""), "deliver": form.get("deliver", "draft")},
        "file_issue": form.get("file_issue") in {"1", "on", "true"},
        "confirm": form.get("confirm") or None,
    }


def _closed(reason: str) -> Response:
    """A static page without any detail: the reason goes to the log only."""
    log.warning("launch_refused", extra={"code": reason})
    return page("<!doctype html><title>Billing</title><p>This page opens only inside Zendesk. Reload the app.</p>", 401)
