"""How much does each claim weigh, and what does the text alone say? Additive log-odds with caps per group.

The weights stand in `weights.toml`: `[codes.X]` group and weights, `[groups]` caps, `[[combinations]]` codes that
follow from others, `[prior]` and `temperature`.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from billing.evidence import Bucket, TextSignal, TicketEvidence
from billing.reading.codes import TextCode

BUCKETS: tuple[Bucket, ...] = tuple(bucket for bucket in Bucket if bucket is not Bucket.UNDECIDED)
_SHORT = {
    "dup": Bucket.DUPLICATE_SUBSCRIPTION,
    "team": Bucket.TEAM_SEATS,
    "pay": Bucket.FAILED_PAYMENT,
    "gap": Bucket.SELF_SERVE_GAP,
    "product": Bucket.PRODUCT_FAILURE,
    "other": Bucket.OTHER_BILLING,
    "not": Bucket.NOT_BILLING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """`when` all are said and none of `without`, this weighs too; `code` names it when it is a claim of its own."""

    when: frozenset[TextCode]
    without: frozenset[TextCode]
    code: TextCode
    group: str
    weights: Mapping[Bucket, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    codes: Mapping[TextCode, tuple[str, Mapping[Bucket, float]]]
    combinations: tuple[Combination, ...]
    caps: Mapping[str, float]
    prior: Mapping[Bucket, float]
    temperature: float


def _by_bucket(short: Mapping[str, float]) -> Mapping[Bucket, float]:
    return MappingProxyType({_SHORT[name]: float(weight) for name, weight in short.items()})


@cache
def weights() -> Weights:
    """Read once per process. Raises KeyError or ValueError for an unknown bucket or code."""
    source = tomllib.loads((files("billing.reading") / "weights.toml").read_text("utf-8"))
    codes = {
        TextCode(code): (row["group"], _by_bucket({name: value for name, value in row.items() if name != "group"}))
        for code, row in source["codes"].items()
    }
    combinations = tuple(
        Combination(
            when=frozenset(map(TextCode, row["when"])),
            without=frozenset(map(TextCode, row.get("without", ()))),
            code=TextCode(row["code"]),
            group=row["group"],
            weights=_by_bucket(row["weights"]),
        )
        for row in source["combinations"]
    )
    return Weights(
        codes=codes,
        combinations=combinations,
        caps=source["groups"],
        prior=_by_bucket(source["prior"]),
        temperature=source["temperature"],
    )


def weighed(said: Mapping[TextCode, str]) -> list[TextSignal]:
    """A signal for each claim, then one for each combination of claims that holds."""
    table = weights()
    signals = [
        TextSignal(code=code, quote=quote, group=table.codes[code][0], weights=table.codes[code][1])
        for code, quote in said.items()
    ]
    for row in table.combinations:
        if row.when <= said.keys() and not row.without & said.keys():
            quote = said[min(row.when, key=lambda code: code.value)]
            signals.append(TextSignal(code=row.code, quote=quote, group=row.group, weights=row.weights))
    return signals


def log_odds(evidence: TicketEvidence) -> dict[Bucket, float]:
    """Prior plus the signals, each group capped per bucket in both directions; not yet divided by the temperature."""
    table = weights()
    totals = {bucket: table.prior.get(bucket, 0.0) for bucket in BUCKETS}
    sums: dict[tuple[str, Bucket], float] = {}
    for signal in evidence.signals:
        for bucket, weight in signal.weights.items():
            sums[signal.group, bucket] = sums.get((signal.group, bucket), 0.0) + weight
    for (group, bucket), total in sums.items():
        cap = table.caps.get(group, table.caps["default"])
        totals[bucket] = totals.get(bucket, 0.0) + max(-cap, min(cap, total))
    return totals


def score(evidence: TicketEvidence) -> dict[Bucket, float]:
    """Probability of each of the seven buckets from the text alone; sums to 1."""
    totals = {bucket: value / weights().temperature for bucket, value in log_odds(evidence).items()}
    highest = max(totals.values())
    powers = {bucket: math.exp(value - highest) for bucket, value in totals.items()}
    whole = sum(powers.values())
    return {bucket: power / whole for bucket, power in powers.items()}
