"""What stands out in the requester's billing state? Every code of design/codes.md, with exactly its objects.

Only records of the requester's own customers are looked at; of anybody else's object only the id as written is
repeated. Each rule goes once over one list: the time is linear in the number of records.
"""

from __future__ import annotations

from billing.anomalies import account, charges, failures, invoices, people, prices, states, subscriptions
from billing.anomalies.scene import scene_of
from billing.evidence import TicketEvidence
from billing.identity import Identity
from billing.policy import Policy
from billing.snapshot import Anomaly, BillingSnapshot

_SUBJECTS = (people, subscriptions, states, failures, charges, invoices, prices, account)


def find_anomalies(
    evidence: TicketEvidence, snapshot: BillingSnapshot, identity: Identity, policy: Policy
) -> tuple[Anomaly, ...]:
    """All that stands out, by subject, each code with the same objects once; `says` holds no e-mail address."""
    scene = scene_of(evidence, snapshot, identity, policy)
    found = (anomaly for subject in _SUBJECTS for rule in subject.RULES for anomaly in rule(scene))
    return tuple({(anomaly.code, anomaly.objects): anomaly for anomaly in found}.values())
