"""Does the product get along with vendors that answer less than the real ones? Somebody else's twins may.

The twins answer as ever; on the way out a test leaves keys and headers away, or a route answers 404. What is absent is
taken as absent: the duplicate is still refunded, unless what is missing is what the decision rests on.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integrations.twins.server import Request, Response, Twin
from testkit import contract_card
from testkit.stage import Stage, staged
from testkit.worlds import Duplicate, duplicate

Change = Callable[[Request, Response], Response]
POLICY = "[refunds]\nhold_seconds = 0\n"
MINIMAL = frozenset(
    """id object customer status created currency amount items data has_more price product unit_amount recurring
    interval name email quantity subscription invoice charge payment_intent total amount_due amount_paid
    amount_remaining parent subscription_details payments payment type status_transitions paid_at billing_reason
    amount_refunded refunded captured metadata amount_captured active login_page url enabled current_period_start
    current_period_end payment_method cancel_at_period_end cancel_at""".split()
)


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("foreign"), policy=POLICY) as made:
        yield made


@pytest.fixture
def stage(theatre: Stage) -> Stage:
    theatre.clear()
    return theatre


def without(*names: str) -> Callable[[Any], Any]:
    """The document with none of these keys, at any depth."""
    return lambda value: _kept(value, lambda name, _: name not in names)


def _kept(value: Any, keep: Callable[[str, Any], bool]) -> Any:
    if isinstance(value, dict):
        return {name: _kept(inner, keep) for name, inner in value.items() if keep(name, inner)}
    return [_kept(inner, keep) for inner in value] if isinstance(value, list) else value


def body(change: Callable[[Any], Any], path: str = "") -> Change:
    def changed(request: Request, response: Response) -> Response:
        if path not in request.path or response.status >= 300 or not response.encoded():
            return response
        return Response(response.status, change(json.loads(response.encoded())), response.headers)

    return changed


def one(name: str, *keys: str) -> Callable[[Any], Any]:
    """The object under `name` with these keys only."""

    def changed(document: Any) -> Any:
        if not isinstance(document, dict) or name not in document:
            return document
        return {**document, name: {key: value for key, value in document[name].items() if key in keys}}

    return changed


def absent(*paths: str, status: int = 404) -> Change:
    """The routes are not there."""
    document = {"error": {"type": "invalid_request_error", "message": "Unrecognized request URL"}}
    return lambda request, response: (
        Response(status, document) if any(path in request.path for path in paths) else response
    )


def bare(request: Request, response: Response) -> Response:
    return Response(response.status, response.body, {})


def created_bare(request: Request, response: Response) -> Response:
    if request.method != "POST" or not request.path.endswith("/issues"):
        return response
    return Response(response.status, {"number": json.loads(response.encoded())["number"]})


def comments_bare(document: Any) -> Any:
    keys = ("id", "author_id", "body", "public", "created_at")
    comments = [{key: comment[key] for key in keys} for comment in document["comments"]]
    return {"comments": comments}


def more_for_ever(document: Any) -> Any:
    return document | {"has_more": True} if document.get("object") == "list" else document


FINE: dict[str, tuple[str, tuple[Change, ...]]] = {
    "stripe sends only what says something": ("stripe", (body(lambda d: _kept(d, lambda name, _: name in MINIMAL)),)),
    "stripe leaves nulls out and always has more": (
        "stripe", (body(lambda d: _kept(d, lambda _, value: value is not None)), body(more_for_ever), bare)),
    "stripe lacks what only few accounts use": (
        "stripe", (absent("/radar", "/checkout/sessions", "/credit_notes", "/invoiceitems", "/payment_methods"),)),
    "zendesk's tickets, people and comments have no details": (
        "zendesk",
        (body(comments_bare, "/comments"), body(one("user", "id", "name", "email", "role")),
         body(one("ticket", "id", "subject", "requester_id")))),
    "zendesk has no groups, no headers and no end of its token": (
        "zendesk", (absent("/group_memberships"), body(without("expires_in", "scope"), "/oauth/tokens"), bare)),
    "github has no labels, no headers and tells a new issue's number only": (
        "github", (absent("/labels"), created_bare, bare)),
}  # fmt: skip


@contextlib.contextmanager
def answering(twin: Twin, *changes: Change) -> Iterator[None]:
    usual = twin.handle

    def handle(request: Request) -> Response:
        response = usual(request)
        for change in changes:
            response = change(request, response)
        return response

    twin.handle = handle  # type: ignore[method-assign]  # on this one twin, for a while
    try:
        yield
    finally:
        del twin.handle


def seeded(stage: Stage) -> Duplicate:
    rig: Any = stage.desk
    stage.desk.world.portal_configuration()
    return duplicate(rig, stage.desk.world.price(stage.desk.world.product("Pro"), 2900))


@pytest.mark.parametrize("way", FINE)
def test_a_duplicate_is_refunded_all_the_same_when(stage: Stage, way: str) -> None:
    service, changes = FINE[way]
    with answering(getattr(stage.desk, service), *changes):
        found = seeded(stage)
        card = stage.desk.card(found.ticket)
        assert contract_card.faults(card) == []
        assert (card["customer"]["identity"], card["decision"]["bucket"]) == ("verified", "duplicate_subscription")
        approval = stage.approve(found.ticket)
        stage.run(approval)
        stage.file(stage.step(approval, "file_issue").id)
    done = stage.document(approval)
    assert {step["kind"]: step["state"] for step in done["steps"] if step["state"] != "done"} == {}
    assert (done["state"], done["money_moved"]) == ("done", {"usd": 2900})
    assert [refund["charge"] for refund in stage.desk.stripe.refunds()] == [found.charge]
    assert len(stage.issues()) == 1


@pytest.mark.parametrize("change", [absent("/identities"), body(without("verification_method"), "/identities")])
def test_without_a_word_about_the_address_nobody_counts_as_verified(stage: Stage, change: Change) -> None:
    with answering(stage.desk.zendesk, change):
        card = stage.desk.card(seeded(stage).ticket)
        assert contract_card.faults(card) == []
        assert card["customer"]["identity"] == "matched"
        answer = stage.desk.post(f"/api/tickets/{card['ticket_id']}/approvals", stage.body(card))
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "requester_not_verified")
    assert stage.desk.stripe_writes() == []


def test_invoices_that_cannot_be_read_are_shown_as_missing_and_nothing_is_refunded(stage: Stage) -> None:
    with answering(stage.desk.stripe, absent("/v1/invoices", status=400)):
        card = stage.desk.card(seeded(stage).ticket)
    assert contract_card.faults(card) == []
    assert card["state"] == "partial"
    assert "invoices" in [part["part"] for part in card["billing_state"]["missing"]]
    assert "refund_charge" not in [step["kind"] for step in card["plan"]["steps"]]


def test_a_card_of_a_ticket_that_could_not_be_read_has_every_key_of_the_contract(stage: Stage) -> None:
    ticket = seeded(stage).ticket
    with answering(stage.desk.zendesk, absent("/comments", status=403)):
        card = stage.desk.card(ticket)
    assert (card["state"], card["as_of"], card["plan"]["steps"]) == ("failed", None, [])
    assert (card["customer"]["identity"], card["decision"]["bucket"]) == ("unknown", "undecided")
    assert {"billing_state", "follow_up", "product_gap"} <= set(card)
    assert stage.desk.card(ticket)["state"] == "ready"
