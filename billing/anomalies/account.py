"""What limits the picture or the remedy? Portal settings, values this version does not know, lists cut short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from billing.anomalies.scene import Scene, anomaly
from billing.evidence import Wish
from billing.reading.codes import TextCode
from billing.records import KNOWN, PortalConfiguration
from billing.snapshot import Anomaly, Why

_PAUSES = frozenset(
    {"trial_end_without_payment_method", "pause_requested", "first_payment_failure", "final_payment_failure", "system"}
)
# feature of the portal -> what in a ticket asks for it
_ASKED: tuple[tuple[str, frozenset[Wish], frozenset[str]], ...] = (
    (
        "cancel",
        frozenset({Wish.CANCEL}),
        frozenset({TextCode.TXT_WANTS_CANCEL, TextCode.TXT_CANNOT_CANCEL}),
    ),
    ("update_payment_method", frozenset({Wish.UPDATE_CARD}), frozenset({TextCode.TXT_CARD_UPDATE})),
    ("invoice_history", frozenset({Wish.INVOICE}), frozenset({TextCode.TXT_INVOICE})),
    ("tax_id_update", frozenset({Wish.TAX_ID}), frozenset({TextCode.TXT_VAT})),
    (
        "subscription_update",
        frozenset({Wish.CHANGE_PLAN, Wish.CHANGE_SEATS}),
        frozenset({TextCode.TXT_DOWNGRADE}),
    ),
    ("customer_update", frozenset(), frozenset({TextCode.TXT_ACCOUNT_EMAIL})),
)


def portal(scene: Scene) -> Iterator[Anomaly]:
    configuration = scene.snapshot.portal
    if configuration is None and scene.snapshot.lacks("portal"):
        return
    if configuration is None or not configuration.active:
        yield anomaly("portal_missing", "There is no active customer portal.")
        return
    off = [feature.replace("_", " ") for feature in _asked_for(scene) if not _has(configuration, feature)]
    if off:
        says = f"Switched off in the customer portal, but asked for: {', '.join(off)}."
        yield anomaly("portal_feature_off", says, [configuration.id])


def _asked_for(scene: Scene) -> list[str]:
    return [
        feature
        for feature, wishes, codes in _ASKED
        if not scene.wishes.isdisjoint(wishes) or not scene.codes.isdisjoint(codes)
    ]


def _has(configuration: PortalConfiguration, feature: str) -> bool:
    return bool(getattr(configuration, feature))


def unknown_values(scene: Scene) -> Iterator[Anomaly]:
    """Stripe may add values: what this version cannot read blocks whatever depends on it."""
    for object, field, value in _enums(scene):
        if value is not None and value not in KNOWN.get(field, _PAUSES):
            name = field.replace("_", " ").replace(".", " ")
            yield anomaly("unknown_value", f"This version does not know the {name} of {object}.", [object])


def _enums(scene: Scene) -> Iterable[tuple[str, str, str | None]]:
    joins = scene.joins
    for subscription in joins.subscriptions.values():
        yield subscription.id, "subscription.status", subscription.status
        yield subscription.id, "collection_method", subscription.collection_method
        yield subscription.id, "subscription.paused_type", subscription.paused_type
    for invoice in joins.invoices.values():
        yield invoice.id, "invoice.status", invoice.status
        yield invoice.id, "collection_method", invoice.collection_method
    for charge in joins.charges.values():
        yield charge.id, "charge.status", charge.status
        for refund in charge.refunds:
            yield refund.id, "refund.status", refund.status
    for dispute in joins.disputes:
        yield dispute.id, "dispute.status", dispute.status
    for session in joins.checkout_sessions:
        yield session.id, "checkout_session.status", session.status
        yield session.id, "checkout_session.payment_status", session.payment_status


def list_truncated(scene: Scene) -> Iterator[Anomaly]:
    parts = sorted({missing.part for missing in scene.snapshot.missing if missing.why is Why.CUT_OFF})
    if parts:
        yield anomaly("list_truncated", f"Older entries were not read: {', '.join(parts).replace('_', ' ')}.")


RULES = (portal, unknown_values, list_truncated)
