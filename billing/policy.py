"""What has the admin allowed? Windows, limits, product families, routing: policy.toml (contract section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

UNLIMITED = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Refunds:
    """Amounts are minor units per currency; a currency that is not named uses `default`."""

    window_days: Mapping[str, int] = field(default_factory=lambda: {"month": 30, "year": 30, "one_time": 30})
    one_click_limit: Mapping[str, int] = field(default_factory=lambda: {"usd": 10_000, "default": 10_000})
    second_approval_above: Mapping[str, int] = field(default_factory=lambda: {"usd": 20_000, "default": 20_000})
    per_step: Mapping[str, int] = field(default_factory=lambda: {"default": UNLIMITED})
    per_agent_per_day: Mapping[str, int] = field(default_factory=lambda: {"usd": 50_000, "default": 50_000})
    per_customer_30_days: Mapping[str, int] = field(default_factory=lambda: {"default": UNLIMITED})
    per_day: Mapping[str, int] = field(default_factory=lambda: {"default": UNLIMITED})
    hold_seconds: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """`families`: products (id or name) that are one thing in several sizes; a product alone is its own family."""

    team: tuple[str, ...] = ()
    families: tuple[tuple[str, ...], ...] = ()
    owner_keys: tuple[str, ...] = (
        "workspace", "workspace_id", "org", "org_id", "organization", "team", "team_id", "user_id", "user", "member",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHub:
    """`routes`: gap kind -> owner/name; other kinds go to GITHUB_REPOSITORY."""

    routes: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ("billing-gap",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleSubscription:
    """A live subscription of an example, paid for its current period; `owner` is an owner key's value."""

    product: str
    interval: str = "month"
    quantity: int = 1
    amount: int = 0  # minor units of `currency`
    currency: str = "usd"
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What the admin expects of a small world: these subscriptions and these words give this bucket."""

    name: str
    bucket: str
    text: str = ""
    subscriptions: tuple[ExampleSubscription, ...] = ()
    line: int = 0  # where it stands in policy.toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    refunds: Refunds = Refunds()
    products: Products = Products()
    approve: tuple[str, ...] = ("agent", "admin")  # Zendesk roles or group names
    dry_run: bool = False  # approvals are recorded, and nothing is applied
    write: tuple[str, ...] = ("note", "tags", "fields")  # what enrichment may write on a ticket by itself
    github: GitHub = GitHub()
    brand_name: str = ""
    sign_off: str = ""
    languages: tuple[str, ...] = ("en", "es", "fr", "de", "pt", "ja", "zh", "ko")
    retention_days: int = 365
    stripe_reads_per_month: int = 8_000
    stripe_reads_per_second: int = 30  # of the 100 that Stripe grants an account, its checkout included
    stripe_writes_per_second: int = 10
    examples: tuple[Example, ...] = ()


class PolicyError(ValueError):
    """The policy cannot be used; `str()` is one line that names the file, its line and how to mend it."""

    def __init__(self, line: int, message: str, origin: str = "policy.toml") -> None:
        super().__init__(f"{origin}, line {line}: {message}")
        self.line = line
        self.message = message


def parse(text: str, origin: str = "policy.toml") -> Policy:
    """The policy that a policy.toml says; what it does not name keeps its default. Raises PolicyError."""
    from billing.policy_file import read_policy  # the reader builds a Policy, so it imports this module

    return read_policy(text, origin)


def failing(policy: Policy, judge: Callable[[Example], str]) -> Iterator[PolicyError]:
    """The examples that no longer give their bucket; `judge` diagnoses one and answers the bucket's code."""
    for example in policy.examples:
        found = judge(example)
        if found != example.bucket:
            yield PolicyError(example.line, f'the example "{example.name}" gives {found}, not {example.bucket}.')


def limit(limits: Mapping[str, int], currency: str) -> int:
    """The limit for `currency` in its minor unit; `default` when it is not named, else unlimited."""
    return limits.get(currency, limits.get("default", UNLIMITED))
