"""Does only what Zendesk signed get in: webhooks, launches, and the tokens of our own pages?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from zendesk.signatures import (
    BUILDER_SECRET,
    Launch,
    PageTokens,
    Untrusted,
    check_launch,
    check_webhook,
)

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
STAMP = "2026-11-22T10:00:00Z"
SECRET, NEXT = "whs-first-secret", "whs-second-secret"
BODY = b'{"ticket_id": "7", "source": "trigger"}'


# --- webhooks -------------------------------------------------------------------------------------------------------


def signed(secret: str = SECRET, stamp: str = STAMP, body: bytes = BODY) -> dict[str, str]:
    digest = hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()
    return {
        "x-zendesk-webhook-signature": base64.b64encode(digest).decode(),
        "x-zendesk-webhook-signature-timestamp": stamp,
    }


def reason(
    headers: dict[str, str], body: bytes = BODY, *, secrets: tuple[str, ...] = (SECRET,), now: datetime = NOW
) -> str:
    with pytest.raises(Untrusted) as refused:
        check_webhook(secrets, headers, body, now)
    return str(refused.value)


def test_a_rightly_signed_delivery_is_trusted() -> None:
    check_webhook((SECRET,), signed(), BODY, NOW)


def test_an_empty_body_can_be_signed_too() -> None:
    check_webhook((SECRET,), signed(body=b""), b"", NOW)


@pytest.mark.parametrize("missing", sorted(signed()))
def test_a_delivery_without_one_of_the_two_headers_is_refused(missing: str) -> None:
    assert reason({name: value for name, value in signed().items() if name != missing}) == "missing"


@pytest.mark.parametrize("seconds", [300, -300, 0])
def test_up_to_five_minutes_either_way_are_recent(seconds: int) -> None:
    check_webhook((SECRET,), signed(), BODY, NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [301, -301, 86_400, -86_400])
def test_five_minutes_and_one_second_are_stale(seconds: int) -> None:
    assert reason(signed(), now=NOW + timedelta(seconds=seconds)) == "stale"


@pytest.mark.parametrize(
    ("stamp", "why"),
    [
        ("2026-11-22T10:00:00", "stale"),
        ("yesterday", "timestamp"),
        ("1795341600", "timestamp"),
        ("0001-01-01T00:00:00+23:59", "stale"),
        ("9999-12-31T23:59:59-23:59", "stale"),
        ("２０２６-11-22T10:00:00Z", "timestamp"),
    ],
)
def test_a_time_that_is_no_recent_moment_is_refused_although_it_is_signed(stamp: str, why: str) -> None:
    assert reason(signed(stamp=stamp)) in {why, "timestamp"}


def test_the_signature_of_another_secret_is_refused() -> None:
    assert reason(signed(NEXT)) == "signature"


def test_the_time_is_covered_by_the_signature() -> None:
    assert reason(signed() | {"x-zendesk-webhook-signature-timestamp": "2026-11-22T10:00:01Z"}) == "signature"


def test_the_signature_of_an_empty_text_is_refused() -> None:
    empty = base64.b64encode(hmac.new(SECRET.encode(), b"", hashlib.sha256).digest()).decode()
    assert reason(signed() | {"x-zendesk-webhook-signature": empty}) == "signature"


def test_while_secrets_rotate_both_are_good_and_the_old_one_ends_with_its_removal() -> None:
    for secret in (SECRET, NEXT):
        check_webhook((NEXT, SECRET), signed(secret), BODY, NOW)
    assert reason(signed(SECRET), secrets=(NEXT,)) == "signature"


@pytest.mark.parametrize("secrets", [(BUILDER_SECRET,), (BUILDER_SECRET, SECRET), (SECRET, BUILDER_SECRET)])
def test_zendesks_public_test_secret_opens_nothing_even_when_it_is_configured(secrets: tuple[str, ...]) -> None:
    assert reason(signed(BUILDER_SECRET), secrets=secrets) == "signature"


@pytest.mark.parametrize("secrets", [(), ("",)])
def test_without_a_secret_nothing_is_trusted_not_even_what_the_empty_secret_signed(secrets: tuple[str, ...]) -> None:
    assert reason(signed(""), secrets=secrets) == "signature"


def test_two_signatures_in_one_header_are_refused_even_when_one_is_right() -> None:
    right = signed()["x-zendesk-webhook-signature"]
    assert reason(signed() | {"x-zendesk-webhook-signature": f"{right}, {right}"}) == "missing"


@pytest.mark.parametrize("spoil", ["é", " ", "=", "\x00"])
def test_letters_around_a_right_signature_make_it_wrong(spoil: str) -> None:
    right = signed()["x-zendesk-webhook-signature"]
    assert reason(signed() | {"x-zendesk-webhook-signature": right + spoil}) == "signature"


def test_another_account_is_refused_when_ours_is_known() -> None:
    headers = signed() | {"x-zendesk-account-id": "1"}
    check_webhook((SECRET,), headers, BODY, NOW, account="1")
    with pytest.raises(Untrusted, match="account"):
        check_webhook((SECRET,), headers, BODY, NOW, account="2")


@given(position=st.integers(0, len(BODY) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_body_breaks_the_signature(position: int, bit: int) -> None:
    changed = bytearray(BODY)
    changed[position] ^= 1 << bit
    assert reason(signed(), bytes(changed)) == "signature"


# --- launches -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Keys:
    private: rsa.RSAPrivateKey
    public: str


def made_keys() -> Keys:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Keys(private, public.decode())


KEYS, STRANGER = made_keys(), made_keys()
AUDIENCE = "https://acme.zendesk.com/api/v2/apps/installations/4471.json"


def launch(*keys: str) -> Launch:
    return Launch(subdomain="acme", installation_id="4471", public_keys=lambda: keys or (KEYS.public,))


def claims(**changes: Any) -> dict[str, Any]:
    seconds = int(NOW.timestamp())
    whole = {
        "aud": AUDIENCE, "iss": "acme.zendesk.com", "sub": "https://acme.zendesk.com/api/v2/users/31.json",
        "iat": seconds, "exp": seconds + 300, "jti": "one",
        "context": {"product": "support", "location": "ticket_sidebar"},
    } | changes  # fmt: skip
    return {name: value for name, value in whole.items() if value is not ...}


def token(key: Any = None, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key or KEYS.private, algorithm=algorithm, headers=headers)


def forged(header: dict[str, Any], signature: bytes = b"") -> str:
    """A token of any header at all, as libraries refuse to make them."""
    parts = [json.dumps(one).encode() for one in (header, claims())] + [signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def hs256_with_the_public_key() -> str:
    body = forged({"alg": "HS256", "typ": "JWT"}).rpartition(".")[0]
    digest = hmac.new(KEYS.public.encode(), body.encode(), hashlib.sha256).digest()
    return body + "." + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_a_right_launch_names_the_agent_and_the_token() -> None:
    assert check_launch(launch(), token(), NOW) == (31, "one")


@pytest.mark.parametrize("subject", ["31", "https://acme.zendesk.com/api/v2/users/31", 31])
def test_the_agent_may_be_named_by_number_or_by_address(subject: Any) -> None:
    assert check_launch(launch(), token(sub=subject), NOW)[0] == 31


@pytest.mark.parametrize("issuer", ["acme.zendesk.com", "https://acme.zendesk.com"])
def test_both_spellings_of_the_issuer_are_ours(issuer: str) -> None:
    assert check_launch(launch(), token(iss=issuer), NOW)[0] == 31


def test_without_a_token_id_the_token_itself_is_what_counts_once() -> None:
    given_token = token(jti=...)
    assert check_launch(launch(), given_token, NOW)[1] == hashlib.sha256(given_token.encode()).hexdigest()


SECONDS = int(NOW.timestamp())
ATTACKS: dict[str, Any] = {
    "no token": lambda: "",
    "no dots": lambda: "abc",
    "alg none": lambda: forged({"alg": "none", "typ": "JWT"}),
    "alg None": lambda: forged({"alg": "None", "typ": "JWT"}),
    "alg nOnE with a signature": lambda: forged({"alg": "nOnE"}, b"x"),
    "HS256 with the public key as secret": hs256_with_the_public_key,
    "RS512": lambda: token(algorithm="RS512"),
    "PS256": lambda: token(algorithm="PS256"),
    "a stranger's key": lambda: token(STRANGER.private),
    "a stranger's key, embedded": lambda: token(
        STRANGER.private, headers={"jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(STRANGER.private.public_key()))}
    ),
    "a stranger's key, by address": lambda: token(STRANGER.private, headers={"jku": "https://evil.example/keys"}),
    "a stranger's key, by name": lambda: token(STRANGER.private, headers={"kid": "../../dev/null"}),
    "another installation": lambda: token(aud=AUDIENCE.replace("4471", "4472")),
    "another subdomain": lambda: token(aud=AUDIENCE.replace("acme", "evil")),
    "an audience list that holds ours": lambda: token(aud=[AUDIENCE, "https://evil.example"]),
    "an audience list of ours only": lambda: token(aud=[AUDIENCE]),
    "another issuer": lambda: token(iss="evil.zendesk.com"),
    "an issuer that ends in ours": lambda: token(iss="evil.example/acme.zendesk.com"),
    "no audience": lambda: token(aud=...),
    "no issuer": lambda: token(iss=...),
    "no end": lambda: token(exp=...),
    "no issue time": lambda: token(iat=...),
    "no subject": lambda: token(sub=...),
    "expired": lambda: token(iat=SECONDS - 200, exp=SECONDS - 31),
    "issued in the future": lambda: token(iat=SECONDS + 31, exp=SECONDS + 300),
    "issued more than five minutes ago": lambda: token(iat=SECONDS - 331, exp=SECONDS + 100),
    "not valid yet": lambda: token(nbf=SECONDS + 31),
    "not valid before a word": lambda: token(nbf="soon"),
    "good for eleven minutes": lambda: token(exp=SECONDS + 660),
    "good until the year 33658": lambda: token(exp=999_999_999_999),
    "ends at infinity": lambda: token(exp=float("inf")),
    "ends at not-a-number": lambda: token(exp=float("nan")),
    "ends at a word": lambda: token(exp=str(SECONDS + 300)),
    "ends at true": lambda: token(exp=True),
    "a megabyte": lambda: token(padding="x" * 1_000_000),
    "just over eight kilobytes": lambda: token(padding="x" * 8 * 1024),
    "an end user's chat": lambda: token(context={"product": "chat", "location": "ticket_sidebar"}),
    "another place": lambda: token(context={"product": "support", "location": "nav_bar"}),
    "no number as subject": lambda: token(sub="ana"),
    "another address as subject": lambda: token(sub="https://acme.zendesk.com/api/v2/users/31.json?x=1"),
    "a negative subject": lambda: token(sub="-31"),
    "a list as subject": lambda: token(sub=[31]),
    "another script's digits": lambda: token(sub="３１"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_launch_that_is_not_exactly_right_is_refused(attack: str) -> None:
    with pytest.raises(Untrusted):
        check_launch(launch(), ATTACKS[attack](), NOW)


def test_a_hostile_header_on_a_rightly_signed_token_changes_nothing() -> None:
    assert check_launch(launch(), token(headers={"kid": "x", "jku": "https://evil.example"}), NOW)[0] == 31


def test_while_keys_rotate_both_are_good_and_the_old_one_ends_with_its_removal() -> None:
    assert check_launch(launch(STRANGER.public, KEYS.public), token(), NOW)[0] == 31
    with pytest.raises(Untrusted):
        check_launch(launch(STRANGER.public), token(), NOW)


@pytest.mark.parametrize(
    "key",
    ["", "no key", KEYS.public[:80], "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"],
    ids=["empty", "no key", "cut off", "no ASN.1"],
)
def test_a_broken_key_of_ours_trusts_nobody(key: str) -> None:
    with pytest.raises(Untrusted):
        check_launch(launch(key), token(), NOW)


def test_without_a_key_nobody_is_trusted() -> None:
    with pytest.raises(Untrusted):
        check_launch(Launch(subdomain="acme", installation_id="4471", public_keys=tuple), token(), NOW)


@given(position=st.integers(0, 10_000))
def test_any_changed_letter_of_the_signed_part_breaks_a_launch(position: int) -> None:
    good = token()
    signed_part = good.rindex(".")
    at = position % signed_part
    with pytest.raises(Untrusted):
        check_launch(launch(), good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :], NOW)


# --- page tokens ----------------------------------------------------------------------------------------------------

OLD_KEY, NEW_KEY = "k" * 32, "n" * 32


def pages(*keys: str, tenant: str = "acme") -> PageTokens:
    return PageTokens(keys or (OLD_KEY,), tenant)


def test_a_page_token_names_the_agent_and_the_launch() -> None:
    assert pages().check(pages().issue(31, NOW), NOW + timedelta(minutes=15)) == (31, NOW)


@pytest.mark.parametrize(
    "moment", [NOW + timedelta(minutes=15, seconds=1), NOW + timedelta(hours=9), NOW - timedelta(seconds=61)]
)
def test_a_page_token_is_good_for_fifteen_minutes(moment: datetime) -> None:
    with pytest.raises(Untrusted, match="expired"):
        pages().check(pages().issue(31, NOW), moment)


def test_renewing_slides_on_until_eight_hours_after_the_launch_and_no_further() -> None:
    moment, current = NOW, pages().issue(31, NOW)
    while moment + timedelta(minutes=14) <= NOW + timedelta(hours=8):
        moment += timedelta(minutes=14)
        agent, since = pages().check(current, moment)
        assert (agent, since) == (31, NOW)
        current = pages().issue(agent, moment, since=since)
    pages().check(current, NOW + timedelta(hours=8))
    with pytest.raises(Untrusted, match="expired"):
        pages().check(current, NOW + timedelta(hours=8, seconds=1))


def test_after_a_rotation_old_tokens_verify_and_new_ones_carry_the_new_key() -> None:
    rotated, before = pages(NEW_KEY, OLD_KEY), pages(OLD_KEY).issue(31, NOW)
    assert rotated.check(before, NOW)[0] == 31
    after = rotated.issue(31, NOW)
    assert pages(NEW_KEY).check(after, NOW)[0] == 31
    with pytest.raises(Untrusted):
        pages(OLD_KEY).check(after, NOW)


@pytest.mark.parametrize("given_token", ["", "x", "a.b", "." * 50, "x" * 3000, "é" * 40, "e30.e30", "\x00"])
def test_what_is_no_page_token_is_refused(given_token: str) -> None:
    with pytest.raises(Untrusted):
        pages().check(given_token, NOW)


def test_a_page_token_of_another_tenant_or_another_key_is_refused() -> None:
    for other in (pages(tenant="evil"), pages(NEW_KEY)):
        with pytest.raises(Untrusted):
            pages().check(other.issue(31, NOW), NOW)


@given(position=st.integers(0, 10_000))
def test_any_changed_letter_breaks_a_page_token(position: int) -> None:
    good = pages().issue(31, NOW)
    at = position % good.rindex(".")
    with pytest.raises(Untrusted):
        pages().check(good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :], NOW)
