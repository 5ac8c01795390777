"""Whose key is this, and may it make this call?

Full keys (sk_) may everything; restricted keys (rk_) carry permission names such as rak_charge_read, write includes
read. https://docs.stripe.com/keys/restricted-api-keys
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from integrations.twins.stripe_twin.refusals import Refusal

# Charges and refunds share one row in the Dashboard; a key with either permission may refund.
ALSO = {
    "rak_refund_write": frozenset({"rak_charge_write"}),
    "rak_refund_read": frozenset({"rak_charge_read", "rak_charge_write"}),
}


@dataclass(frozen=True, slots=True)
class Key:
    """A registered key. `permissions` None: everything."""

    text: str
    permissions: frozenset[str] | None = None

    @property
    def live(self) -> bool:
        return "_live_" in self.text

    def allows(self, permission: str) -> bool:
        if self.permissions is None:
            return True
        enough = {permission, permission.replace("_read", "_write")} | ALSO.get(permission, frozenset())
        return bool(enough & self.permissions)


def new_key(text: str, permissions: Iterable[str] | None) -> Key:
    """A key to register. Raises ValueError on a text that no Stripe key has."""
    if not text.startswith(("sk_test_", "sk_live_", "rk_test_", "rk_live_")):
        raise ValueError("a Stripe key starts with sk_test_, sk_live_, rk_test_ or rk_live_")
    if text.startswith("rk_") and permissions is None:
        raise ValueError("a restricted key needs its permissions")
    return Key(text, None if permissions is None else frozenset(permissions))


def key_of(headers: Mapping[str, str], known: Mapping[str, Key]) -> Key:
    """The registered key of a request. Raises Refusal 401."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise Refusal(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            stored=False,
        )
    if text not in known:
        raise Refusal(401, f"Invalid API Key provided: {masked(text)}", stored=False)
    return known[text]


def check_permission(key: Key, permission: str, account: str) -> None:
    """Raises Refusal 403 in Stripe's words."""
    if not key.allows(permission):
        raise Refusal(
            403,
            f"The provided key '{masked(key.text)}' does not have the required permissions for this "
            f"endpoint on account '{account}'. Having the '{permission}' permission would allow this "
            "request to continue.",
            stored=False,
        )


def masked(text: str) -> str:
    head = "_".join(text.split("_")[:2]) + "_" if text.count("_") >= 2 else ""
    return f"{head}{'*' * max(4, len(text) - len(head) - 4)}{text[-4:]}"
