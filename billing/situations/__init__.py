"""Which line of the situation table holds? Every line that Stripe's state supports, the most fitting first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from billing.evidence import Bucket
from billing.situations import duplicates, other, payments, seats, self_serve, trust
from billing.situations.scene import OPEN_DISPUTE, Scene
from billing.situations.situation import Situation

__all__ = ["TELLING", "Scene", "Situation", "explained", "situations"]

_SUBJECTS = (duplicates, trust, seats, payments, self_serve, other)
TELLING = 4.0  # log-odds from which a state may overrule the text
_EXPLAINED = 0.35
_TEXT_SHARE = 0.5  # how much of the text's leaning counts when two lines compete


def situations(scene: Scene, leaning: Mapping[Bucket, float] | None = None) -> tuple[Situation, ...]:
    """All lines that hold, best first; `leaning` is what the text alone says of each bucket, in log-odds.

    Without a customer of the requester only a guest's own checkout can be recognised.
    """
    found = [line for subject in _SUBJECTS for line in subject.recognise(scene)]
    if not scene.known:
        guests = {s.id for s in scene.snapshot.checkout_sessions if s.customer is None}
        found = [line for line in found if line.session in guests]
    found = [_marked(scene, line) for line in found]
    text = explained(found, leaning or {})
    return tuple(sorted(found, key=lambda line: (-_fit(line, text), line.name, line.objects)))


def explained(lines: Iterable[Situation], leaning: Mapping[Bucket, float]) -> dict[Bucket, float]:
    """What is left of the words' leaning once a telling state explains why they sound like something else."""
    telling = [line for line in lines if line.overrules and line.strength + line.affinity >= TELLING]
    overruled, shown = {b for line in telling for b in line.overrules}, {line.bucket for line in telling}
    return {
        b: value * _EXPLAINED if (value > 0 and b in overruled) or (value < 0 and b in shown) else value
        for b, value in leaning.items()
    }


def _fit(line: Situation, leaning: Mapping[Bucket, float]) -> float:
    return line.strength + line.affinity + _TEXT_SHARE * max(-4.0, min(4.0, leaning.get(line.bucket, 0.0)))


def _marked(scene: Scene, line: Situation) -> Situation:
    """Why a person has to decide, if so (design/codes.md, needs_human)."""
    reason = _reason(scene, line)
    return replace(line, person=reason) if reason else line


def _reason(scene: Scene, line: Situation) -> str | None:
    if scene.unknown(*line.objects, line.invoice, line.subscription, *line.extra, *line.charges):
        return "unknown_value"
    charges = [scene.charges[name] for name in line.charges if name in scene.charges]
    subscriptions = [scene.subscriptions[name] for name in line.extra if name in scene.subscriptions]
    if any(charge.connected for charge in charges if line.owed) or any(s.connected for s in subscriptions):
        return "connected_account"
    owner = scene.customers.get(line.customer or "")
    if owner is not None and owner.customer_account is not None and (line.extra or line.owed):
        return "account_customer"
    if scene.asks_for_money and any(d.status in OPEN_DISPUTE for d in scene.disputes.values()):
        return "dispute_open"
    return None
