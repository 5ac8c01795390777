"""Subscriptions and their schedules."""

from __future__ import annotations

from integrations.twins.stripe_twin import seats
from integrations.twins.stripe_twin.payments import collect
from integrations.twins.stripe_twin.refusals import Refusal, invalid, missing, not_modelled
from integrations.twins.stripe_twin.response_types import Obj, empty_branch
from integrations.twins.stripe_twin.routing import Call, route
from integrations.twins.stripe_twin.store import in_range

TERMINAL = ("canceled", "incomplete_expired")
AFTER_END = frozenset({"metadata", "cancellation_details"})
CANCEL_FIELDS = ("cancel_at", "cancel_at_period_end")


@route(
    "GET",
    "/v1/subscriptions",
    "SubscriptionListParams",
    "subscription",
    models="customer price status collection_method current_period_start current_period_end",
)
def list_subscriptions(call: Call) -> Obj:
    """Without a status the canceled ones are left out; all shows everything; ended is canceled and expired."""
    params = call.params
    found = call.where(
        "subscription", customer=params.get("customer"), collection_method=params.get("collection_method")
    )
    return call.page(made for made in found if _listed(made, params.get("status")) and _fits(made, call))


def _listed(made: Obj, status: str | None) -> bool:
    if status is None:
        return bool(made["status"] != "canceled")
    if status == "ended":
        return made["status"] in TERMINAL
    return status in ("all", made["status"])


def _fits(made: Obj, call: Call) -> bool:
    items, price = made["items"]["data"], call.params.get("price")
    if price is not None and all(item["price"]["id"] != price for item in items):
        return False
    start = max((item["current_period_start"] for item in items), default=None)
    end = min((item["current_period_end"] for item in items), default=None)
    return in_range(start, call.params.get("current_period_start")) and in_range(
        end, call.params.get("current_period_end")
    )


@route("GET", "/v1/subscriptions/search", "SubscriptionSearchParams", "subscription")
def search_subscriptions(call: Call) -> Obj:
    return call.search("subscription")


@route("GET", "/v1/subscriptions/{}", "SubscriptionRetrieveParams", "subscription")
def retrieve_subscription(call: Call) -> Obj:
    return call.own("subscription")


@route(
    "POST",
    "/v1/subscriptions/{}",
    "SubscriptionUpdateParams",
    "subscription",
    models="cancel_at cancel_at_period_end cancellation_details items pause_collection metadata proration_behavior "
    "proration_date payment_behavior default_payment_method description",
)
def update_subscription(call: Call) -> Obj:
    made = call.own("subscription")
    _check_update(call, made)
    call.touch(made)
    deeds = [_update_cancel(call, made), _update_pause(call, made)]
    if "items" in call.params:
        deeds.append(seats.change_items(call, made))
    for name in ("default_payment_method", "description"):
        if name in call.params:
            made[name] = call.params[name] or None
            deeds.append(name)
    _note_cancellation(call, made)
    if call.merge_metadata(made):
        deeds.append("metadata")
    call.effect(f"subscription {made['id']}: {', '.join(deed for deed in deeds if deed) or 'nothing changed'}")
    call.emit("customer.subscription.updated", made)
    return made


def _check_update(call: Call, made: Obj) -> None:
    given = call.params
    if made["status"] in TERMINAL and set(given) - AFTER_END:
        raise Refusal(400, "A canceled subscription can only update its cancellation_details and metadata.")
    touched = [name for name in CANCEL_FIELDS if name in given]
    if made["schedule"] and touched:
        raise Refusal(
            400,
            f"The subscription is managed by the subscription schedule `{made['schedule']}`, and "
            "updating any cancelation behavior directly is not allowed. Please update the schedule instead.",
            param=touched[0],
        )
    if given.get("cancel_at") not in (None, "") and given.get("cancel_at_period_end"):
        raise invalid("You cannot set both `cancel_at` and `cancel_at_period_end`.", param="cancel_at")
    at = given.get("cancel_at")
    if isinstance(at, int) and at <= call.now:
        raise invalid("The `cancel_at` timestamp must be in the future.", param="cancel_at")
    if at == "max_billed_until":
        raise not_modelled("cancel_at=max_billed_until")
    if "items" in given:
        seats.planned(call, made, given["items"])  # refuses before anything has changed
    if given.get("default_payment_method"):
        call.get("payment_method", given["default_payment_method"], "default_payment_method")


def _update_cancel(call: Call, made: Obj) -> str | None:
    """Clearing cancel_at_period_end leaves a cancel_at of its own alone, and the other way round."""
    given = call.params
    flag, at = given.get("cancel_at_period_end"), given.get("cancel_at")
    ends = [item["current_period_end"] for item in made["items"]["data"]]
    if flag is True:
        made |= {"cancel_at_period_end": True, "cancel_at": min(ends), "canceled_at": call.now}
        made["cancellation_details"]["reason"] = "cancellation_requested"
        return f"cancel at period end {min(ends)}"
    if isinstance(at, int) or at in ("min_period_end", "max_period_end"):
        moment = at if isinstance(at, int) else (min(ends) if at == "min_period_end" else max(ends))
        made |= {"cancel_at_period_end": False, "cancel_at": moment, "canceled_at": call.now}
        made["cancellation_details"]["reason"] = "cancellation_requested"
        return f"cancel at {moment}"
    undo = (flag is False and made["cancel_at_period_end"]) or (at == "" and not made["cancel_at_period_end"])
    if undo and made["cancel_at"] is not None:
        made |= {"cancel_at_period_end": False, "cancel_at": None, "canceled_at": None}
        made["cancellation_details"]["reason"] = None
        return "no longer cancels"
    return None


def _update_pause(call: Call, made: Obj) -> str | None:
    if "pause_collection" not in call.params:
        return None
    given = call.params["pause_collection"]
    made["pause_collection"] = None if given == "" else {"resumes_at": None, **given}
    return "collection resumed" if given == "" else f"collection paused ({given['behavior']})"


def _note_cancellation(call: Call, made: Obj) -> None:
    for name, value in call.params.get("cancellation_details", {}).items():
        made["cancellation_details"][name] = value or None


@route(
    "DELETE",
    "/v1/subscriptions/{}",
    "SubscriptionCancelParams",
    "subscription",
    models="cancellation_details invoice_now prorate",
)
def cancel_subscription(call: Call) -> Obj:
    """Terminal. Open invoices stay open and payable, Stripe only stops collecting them by itself."""
    made = call.own("subscription")
    if made["status"] in TERMINAL:
        raise missing("subscription", made["id"])
    call.touch(made)
    prorate, invoice_now = call.params.get("prorate", False), call.params.get("invoice_now", False)
    if prorate:
        seats.credit_unused(call, made)
    made |= {"status": "canceled", "canceled_at": call.now, "ended_at": call.now, "cancel_at_period_end": False}
    made["cancellation_details"]["reason"] = "cancellation_requested"
    _note_cancellation(call, made)
    for invoice in call.where("invoice", customer=made["customer"], status="open"):
        if seats.subscription_of(invoice) == made["id"]:
            invoice |= {"auto_advance": False, "next_payment_attempt": None}
    if invoice_now:
        seats.invoice_pending(call, made)
    elif not prorate:
        seats.drop_prorations(call, made)
    schedule = call.store.find(made["schedule"])
    if schedule is not None:
        schedule |= {"status": "canceled", "canceled_at": call.now}
    call.effect(f"canceled subscription {made['id']}{' with proration' if prorate else ''}")
    call.emit("customer.subscription.deleted", made)
    return made


@route(
    "POST", "/v1/subscriptions/{}/pause", "SubscriptionPauseParams", "subscription", models="type invoicing_behavior"
)
def pause_subscription(call: Call) -> Obj:
    made = call.own("subscription")
    if made["billing_mode"]["type"] != "flexible":
        raise Refusal(400, "Only subscriptions with flexible billing mode can be paused.")
    if made["collection_method"] != "charge_automatically":
        raise Refusal(400, "Only subscriptions that charge automatically can be paused.")
    if made["schedule"]:
        raise Refusal(400, "A subscription that is managed by a subscription schedule cannot be paused.")
    if made["status"] not in ("active", "past_due", "trialing"):
        raise Refusal(400, f"A subscription with status {made['status']} cannot be paused.")
    call.touch(made)
    made["status"] = "paused"
    paused = empty_branch("subscription", "status_details", "paused")
    paused |= {"type": "subscription", "transitioned_at": call.now, "subscription": {"type": "pause_requested"}}
    made["status_details"] = {"paused": paused}
    call.effect(f"paused subscription {made['id']}")
    call.emit("customer.subscription.paused", made)
    return made


@route(
    "POST",
    "/v1/subscriptions/{}/resume",
    "SubscriptionResumeParams",
    "subscription",
    models="billing_cycle_anchor payment_behavior proration_behavior",
)
def resume_subscription(call: Call) -> Obj:
    """With the anchor moved to now (the default) a new period begins and is charged; unchanged keeps the old one."""
    made = call.own("subscription")
    if made["status"] != "paused":
        raise Refusal(400, "This subscription is not paused, so it cannot be resumed.")
    call.touch(made)
    anchor = call.params.get("billing_cycle_anchor", {"type": "now"})["type"]
    after_success = call.params.get("payment_behavior") == "resume_on_payment_success"
    made |= {"status": "active", "status_details": None}
    if anchor == "now" or made["items"]["data"][0]["current_period_end"] <= call.now:
        invoice = seats.begin_period(call, made)
        if invoice["status"] == "open" and collect(call, invoice, None) is not None:
            made["status"] = "paused" if after_success else "past_due"
            if after_success:
                made["status_details"] = {
                    "paused": {
                        "type": "subscription",
                        "transitioned_at": call.now,
                        "subscription": {"type": "first_payment_failure"},
                    }
                }
    call.effect(f"resumed subscription {made['id']}: {made['status']}")
    call.emit("customer.subscription.resumed", made)
    return made


@route(
    "GET",
    "/v1/subscription_schedules",
    "SubscriptionScheduleListParams",
    "subscription_schedule",
    area="subscription",
    models="customer",
)
def list_schedules(call: Call) -> Obj:
    return call.page(call.where("subscription_schedule", customer=call.params.get("customer")))


@route(
    "GET",
    "/v1/subscription_schedules/{}",
    "SubscriptionScheduleRetrieveParams",
    "subscription_schedule",
    area="subscription",
)
def retrieve_schedule(call: Call) -> Obj:
    return call.own("subscription_schedule")


@route(
    "POST",
    "/v1/subscription_schedules/{}/release",
    "SubscriptionScheduleReleaseParams",
    "subscription_schedule",
    area="subscription",
    models="preserve_cancel_date",
)
def release_schedule(call: Call) -> Obj:
    """The subscription goes on without its future phases; a cancel date stays only when asked for."""
    made = call.own("subscription_schedule")
    if made["status"] not in ("not_started", "active"):
        raise Refusal(
            400,
            "You cannot release a subscription schedule that is currently in the "
            f"`{made['status']}` status. Only `not_started` or `active` schedules can be released.",
        )
    call.touch(made)
    bound = call.store.find(made["subscription"])
    made |= {
        "status": "released",
        "released_at": call.now,
        "released_subscription": made["subscription"],
        "subscription": None,
        "current_phase": None,
    }
    if bound is not None:
        call.touch(bound)
        bound["schedule"] = None
        if not call.params.get("preserve_cancel_date", False):
            bound |= {"cancel_at": None, "cancel_at_period_end": False}
        call.emit("customer.subscription.updated", bound)
    call.effect(f"released schedule {made['id']}")
    call.emit("subscription_schedule.released", made)
    return made
