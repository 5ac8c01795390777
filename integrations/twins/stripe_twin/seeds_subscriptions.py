"""How is a subscription set up together with the invoices, payments and charges of its past?"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from integrations.twins.stripe_twin import acts
from integrations.twins.stripe_twin.response_types import Obj, empty_branch
from integrations.twins.stripe_twin.store import Store, ident, list_of

Moment = int | datetime
Ref = Obj | str
UNPAID = ("past_due", "unpaid", "incomplete", "incomplete_expired")


def unix(moment: Moment) -> int:
    return int(moment.timestamp()) if isinstance(moment, datetime) else moment


class SubscriptionBuilder:
    """The part of a World that builds subscriptions, invoices, schedules and what belongs to them."""

    @property
    def store(self) -> Store:
        raise NotImplementedError

    @property
    def now(self) -> int:
        raise NotImplementedError

    @property
    def live(self) -> bool:
        raise NotImplementedError

    def unsaved(self, kind: str, **fields: Any) -> Obj:
        raise NotImplementedError

    def new(self, kind: str, **fields: Any) -> Obj:
        raise NotImplementedError

    def object(self, given: Ref) -> Obj:
        raise NotImplementedError

    def _method(self, owner: Obj | None, given: Ref | None) -> Obj | None:
        raise NotImplementedError

    def subscription(
        self,
        customer: Ref,
        price: Ref,
        quantity: int = 1,
        *,
        created: Moment | None = None,
        status: str = "active",
        paid_periods: int | None = None,
        trial_end: Moment | None = None,
        payment_method: Ref | None = None,
        decline: str = "generic_decline",
        advice: str | None = None,
        id: str = "",
        item_id: str = "",
        **fields: Any,
    ) -> Obj:
        """A subscription with one paid invoice per past period; statuses without payment end in an open one.

        `paid_periods` None: as many as fit until now (one less where the last invoice is unpaid). A trial comes first.
        """
        owner, sold = self.object(customer), self.object(price)
        start = self.now if created is None else unix(created)
        paid_from = start if trial_end is None else unix(trial_end)
        made = self._empty_subscription(owner, sold, status, start, id)
        made |= {} if trial_end is None else {"trial_start": start, "trial_end": paid_from}
        begun = 0 if status == "trialing" else self._periods(sold, paid_from, paid_periods, status)
        bounds = self._bounds(sold, start, paid_from, begun)
        item = acts.new_item(self, made["id"], sold, quantity, *bounds)
        item["id"] = item_id or item["id"]
        made["items"] = list_of([item], f"/v1/subscription_items?subscription={made['id']}")
        method = self._method(owner, payment_method)
        if payment_method is not None and method is not None:
            made["default_payment_method"] = method["id"]
        for number in range(begun):
            lost = decline if status in UNPAID and number == begun - 1 else None
            self._period_invoice(owner, made, item, sold, paid_from, number, method, decline=lost, advice=advice)
        made |= self._ended(made, status)
        return self._overridden(made, fields)

    def _empty_subscription(self, owner: Obj, sold: Obj, status: str, start: int, id: str) -> Obj:
        return self.new(
            "subscription",
            id=id,
            customer=owner["id"],
            status=status,
            created=start,
            start_date=start,
            currency=sold["currency"],
            collection_method="charge_automatically",
            metadata={},
            billing_cycle_anchor=start,
            billing_mode={**empty_branch("subscription", "billing_mode"), "type": "flexible"},
            cancellation_details=empty_branch("subscription", "cancellation_details"),
        )

    def _ended(self, made: Obj, status: str) -> Obj:
        if status not in ("canceled", "incomplete_expired"):
            return {}
        at = min(self.now, int(made["items"]["data"][0]["current_period_end"]))
        return {"canceled_at": at, "ended_at": at}

    def _periods(self, sold: Obj, paid_from: int, wanted: int | None, status: str) -> int:
        extra = 1 if status in UNPAID else 0
        if wanted is not None:
            return wanted + extra
        if status in ("incomplete", "incomplete_expired"):
            return 1
        number = 0
        while number < 600 and self._at(sold, paid_from, number) <= self.now:
            number += 1
        return max(number, 1)

    def _at(self, sold: Obj, start: int, number: int) -> int:
        recurring = sold["recurring"]
        return acts.add_interval(start, recurring["interval"], recurring["interval_count"] * number)

    def _bounds(self, sold: Obj, start: int, paid_from: int, begun: int) -> tuple[int, int]:
        if begun == 0:
            end = paid_from if paid_from > start else self._at(sold, start, 1)
            return start, end
        return self._at(sold, paid_from, begun - 1), self._at(sold, paid_from, begun)

    def _period_invoice(
        self,
        owner: Obj,
        made: Obj,
        item: Obj,
        sold: Obj,
        paid_from: int,
        number: int,
        method: Obj | None,
        *,
        decline: str | None,
        advice: str | None,
    ) -> Obj:
        start, end = self._at(sold, paid_from, number), self._at(sold, paid_from, number + 1)
        first = number == 0 and not made.get("trial_end")
        reason = "subscription_create" if first else "subscription_cycle"
        line = acts.item_line(self, item, start, end)
        invoice = acts.build_invoice(
            self, owner, sold["currency"], [line], subscription=made["id"], reason=reason, created=start, metadata={}
        )
        self.store.put(invoice, live=self.live, at=start)
        acts.finalize(self, invoice, start)
        if invoice["status"] == "open":
            self._pay(owner, invoice, method, start, decline=decline, advice=advice)
        if decline is not None and made["status"] == "incomplete_expired":
            invoice["status"] = "void"
        made["latest_invoice"] = invoice["id"]
        return invoice

    def _pay(
        self, owner: Obj, invoice: Obj, method: Obj | None, at: int, *, decline: str | None, advice: str | None
    ) -> Obj:
        amount, currency = int(invoice["amount_due"]), invoice["currency"]
        intent = acts.new_intent(self, owner["id"], amount, currency, method, at)
        charge = acts.new_charge(self, intent, owner, amount, currency, method, at, decline=decline, advice=advice)
        acts.new_invoice_payment(self, invoice, intent, paid=decline is None, at=at)
        invoice |= {"attempted": True, "attempt_count": 1}
        if decline is None:
            acts.mark_paid(invoice, at, amount)
        else:
            invoice["next_payment_attempt"] = at + 3 * 86_400
            owner["delinquent"] = True
        return charge

    # -- single pieces ----------------------------------------------------------------------------------------------
    def invoice(
        self,
        customer: Ref,
        amount: int = 0,
        currency: str = "usd",
        *,
        status: str = "open",
        subscription: Ref | None = None,
        reason: str = "manual",
        created: Moment | None = None,
        payment_method: Ref | None = None,
        decline: str | None = None,
        lines: list[Obj] | None = None,
        id: str = "",
        **fields: Any,
    ) -> Obj:
        """One invoice in a status; "paid" brings its payment, `decline` a failed attempt."""
        owner, at = self.object(customer), self.now if created is None else unix(created)
        bound = None if subscription is None else self.object(subscription)
        wanted = lines or [acts.line(self, amount, currency, at, at)]
        given = {"id": id} if id else {}
        made = acts.build_invoice(
            self, owner, currency, wanted, subscription=ident(bound), reason=reason, created=at, metadata={}, **given
        )
        self.store.put(made, live=self.live, at=at)
        if status != "draft":
            acts.finalize(self, made, at)
        if made["status"] == "open" and (status == "paid" or decline is not None):
            self._pay(owner, made, self._method(owner, payment_method), at, decline=decline, advice=None)
        if made["status"] != "paid":
            made["status"] = status
        stamp = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}.get(status)
        if stamp is not None:
            made["status_transitions"][stamp] = at
        if bound is not None:
            bound["latest_invoice"] = made["id"]
        return self._overridden(made, fields)

    def pay(self, invoice: Ref, *, payment_method: Ref | None = None, created: Moment | None = None) -> Obj:
        """A further payment of an invoice, whatever its state: how an invoice gets paid twice. Returns the charge."""
        billed = self.object(invoice)
        owner = self.object(billed["customer"])
        at = self.now if created is None else unix(created)
        return self._pay(owner, billed, self._method(owner, payment_method), at, decline=None, advice=None)

    def invoiceitem(
        self,
        customer: Ref,
        amount: int,
        currency: str = "usd",
        *,
        subscription: Ref | None = None,
        proration: bool = False,
        id: str = "",
        **fields: Any,
    ) -> Obj:
        """A pending invoice item; on the next invoice it becomes a line."""
        made = self.new(
            "invoiceitem",
            id=id,
            customer=self.object(customer)["id"],
            amount=amount,
            currency=currency,
            proration=proration,
            date=self.now,
            quantity=1,
            quantity_decimal="1",
            metadata={},
            period={"start": self.now, "end": self.now},
        )
        if subscription is not None:
            details = {
                **empty_branch("invoiceitem", "parent", "subscription_details"),
                "subscription": self.object(subscription)["id"],
                "subscription_item": None,
            }
            made["parent"] = {"type": "subscription_details", "subscription_details": details}
        return self._overridden(made, fields)

    def schedule(
        self, subscription: Ref, *, status: str = "active", end_behavior: str = "release", id: str = "", **fields: Any
    ) -> Obj:
        """A schedule that manages the subscription, with one phase for its current period."""
        bound = self.object(subscription)
        item = bound["items"]["data"][0]
        start, end = item["current_period_start"], item["current_period_end"]
        phase = {
            **empty_branch("subscription_schedule", "phases"),
            "start_date": start,
            "end_date": end,
            "items": [],
            "proration_behavior": "create_prorations",
            "currency": bound["currency"],
        }
        made = self.new(
            "subscription_schedule",
            id=id,
            customer=bound["customer"],
            subscription=bound["id"],
            status=status,
            end_behavior=end_behavior,
            metadata={},
            phases=[phase],
            current_phase={"start_date": start, "end_date": end},
        )
        made["billing_mode"]["type"] = "flexible"
        bound["schedule"] = made["id"]
        if end_behavior == "cancel":
            bound["cancel_at"] = end
        return self._overridden(made, fields)

    def _overridden(self, made: Obj, fields: Obj) -> Obj:
        made |= {name: unix(value) if isinstance(value, datetime) else value for name, value in fields.items()}
        return made
