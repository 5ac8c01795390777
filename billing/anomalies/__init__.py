"""What stands out in the requester's billing state? Every code of design/codes.md, with exactly its objects.

Only records of the requester's own customers are looked at; of anybody else's object only the id as written is
repeated. Each rule goes once over one list: the time is linear in the number of records.
"""

from __future__ import annotations

from billing.anomalies.account import RULES as ACCOUNT
from billing.anomalies.charges import RULES as CHARGES
from billing.anomalies.failures import RULES as FAILURES
from billing.anomalies.invoices import RULES as INVOICES
from billing.anomalies.people import RULES as PEOPLE
from billing.anomalies.prices import RULES as PRICES
from billing.anomalies.scene import scene_of
from billing.anomalies.states import RULES as STATES
from billing.anomalies.subscriptions import RULES as SUBSCRIPTIONS
from billing.evidence import TicketEvidence
from billing.identity import Identity
from billing.policy import Policy
from billing.snapshot import Anomaly, BillingSnapshot

_RULES = (*PEOPLE, *SUBSCRIPTIONS, *STATES, *FAILURES, *CHARGES, *INVOICES, *PRICES, *ACCOUNT)


def find_anomalies(
    evidence: TicketEvidence, snapshot: BillingSnapshot, identity: Identity, policy: Policy
) -> tuple[Anomaly, ...]:
    """All that stands out, by subject, each code with the same objects once; `says` holds no e-mail address."""
    scene = scene_of(evidence, snapshot, identity, policy)
    found = (anomaly for rule in _RULES for anomaly in rule(scene))
    return tuple({(anomaly.code, anomaly.objects): anomaly for anomaly in found}.values())
