"""Has this idempotency key been used before, and what was answered?

Stripe v1: the first answer of a key is kept for 24 hours, whatever its status; the same key with other parameters is
refused; a key whose request still runs is a conflict. https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

from dataclasses import dataclass, field

from integrations.twins.stripe_twin.refusals import Refusal, invalid

KEPT_SECONDS = 24 * 3600
LONGEST = 255


@dataclass(frozen=True, slots=True)
class Kept:
    """The stored answer of a key."""

    fingerprint: tuple[str, str, tuple[tuple[str, str], ...]]
    status: int
    body: bytes
    request_id: str
    at: int


@dataclass(slots=True)
class IdempotencyStore:
    """Keys belong to the API key that used them."""

    kept: dict[tuple[str, str], Kept] = field(default_factory=dict)
    running: set[tuple[str, str]] = field(default_factory=set)

    def begin(self, owner: str, key: str) -> None:
        """Mark a key as in flight. Raises Refusal 409."""
        if (owner, key) in self.running:
            raise Refusal(
                409,
                "There is currently another in-progress request using this Idempotent Key (that "
                f"probably means you submitted twice, and the other request is still going through): {key}. "
                "Please try again later.",
                kind="idempotency_error",
                code="idempotency_key_in_use",
                stored=False,
            )
        self.running.add((owner, key))

    def end(self, owner: str, key: str) -> None:
        self.running.discard((owner, key))

    def recall(
        self, owner: str, key: str, fingerprint: tuple[str, str, tuple[tuple[str, str], ...]], now: int
    ) -> Kept | None:
        """The stored answer. Raises Refusal 400 when the key was used for another request."""
        if len(key) > LONGEST:
            raise invalid(f"Idempotency keys can be at most {LONGEST} characters long")
        kept = self.kept.get((owner, key))
        if kept is None or now - kept.at >= KEPT_SECONDS:
            return None
        if kept.fingerprint[:2] != fingerprint[:2]:
            raise Refusal(
                400,
                "Keys for idempotent requests can only be used for the same endpoint they were first "
                f"used for ('{fingerprint[1]}' vs '{kept.fingerprint[1]}'). Try using a key other than "
                f"'{key}' if you meant to execute a different request.",
                kind="idempotency_error",
                stored=False,
            )
        if kept.fingerprint != fingerprint:
            raise Refusal(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first "
                f"used with. Try using a key other than '{key}' if you meant to execute a different "
                "request.",
                kind="idempotency_error",
                stored=False,
            )
        return kept

    def keep(self, owner: str, key: str, kept: Kept) -> None:
        self.kept[owner, key] = kept
