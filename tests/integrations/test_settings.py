"""Is every wrong setting one sentence that names it, and is no secret ever in a sentence?"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from integrations.settings import NAMES, Settings, SettingsError, read_settings, require

_PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = _PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = (
    _PRIVATE.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
SECRET = "hunter2" * 4
WHOLE = {
    "BILLING_DESK_SECRET_KEY": "a" * 32, "ZENDESK_SUBDOMAIN": "acme", "ZENDESK_OAUTH_CLIENT_ID": "id",
    "ZENDESK_OAUTH_CLIENT_SECRET": "secret", "ZENDESK_WEBHOOK_SECRET": "w", "STRIPE_READ_KEY": "rk_test_1",
}  # fmt: skip


def read(**environment: str) -> Settings:
    return read_settings(environment, dotenv=None)


def refused(**environment: str) -> str:
    with pytest.raises(SettingsError) as wrong:
        read(**environment)
    sentence = str(wrong.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(f"Error: {sentence}") <= 80
    assert SECRET not in sentence
    return sentence


def test_with_nothing_set_the_defaults_of_the_contract_hold() -> None:
    settings = read()
    assert settings.database_url == "sqlite:///billing-desk.db"
    assert (settings.stripe_api_base, settings.github_api_base) == ("https://api.stripe.com", "https://api.github.com")
    assert (settings.log_level, settings.log_format) == ("info", "json")
    assert (settings.stripe, settings.zendesk, settings.github) == (False, False, False)


def test_the_addresses_of_zendesk_follow_from_the_subdomain() -> None:
    settings = read(ZENDESK_SUBDOMAIN="acme")
    assert settings.zendesk_base == settings.zendesk_origin == "https://acme.zendesk.com"
    over = read(ZENDESK_SUBDOMAIN="acme", ZENDESK_API_BASE="http://127.0.0.1:9/")
    assert (over.zendesk_base, over.zendesk_origin) == ("http://127.0.0.1:9", "https://acme.zendesk.com")


WRONG = [
    ("DATABASE_URL", "mysql://x"),
    ("DATABASE_URL", "billing.db"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite:///"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "sqlite:////no/such/folder/desk.db"),
    ("DATABASE_URL", f"postgresql://desk:{SECRET}@[bad/desk"),
    ("DATABASE_URL", f"postgresql://desk:{SECRET}@host:port/desk"),
    ("DATABASE_URL", f"postgresql://desk:{SECRET}@host:99999/desk"),
    ("BILLING_DESK_SECRET_KEY", "short"),
    ("BILLING_DESK_SECRET_KEY", SECRET + ",short"),
    ("BILLING_DESK_PUBLIC_URL", "http://billing.example.com"),
    ("BILLING_DESK_PUBLIC_URL", "billing.example.com"),
    ("BILLING_DESK_PUBLIC_URL", "https://"),
    ("BILLING_DESK_PUBLIC_URL", f"https://desk:{SECRET}@billing.example.com"),
    ("ZENDESK_SUBDOMAIN", "acme.zendesk.com"),
    ("ZENDESK_SUBDOMAIN", "x@evil#"),
    ("ZENDESK_SUBDOMAIN", "acme.evil.example/"),
    ("ZENDESK_SUBDOMAIN", "-acme"),
    ("ZENDESK_SUBDOMAIN", "ACME"),
    ("ZENDESK_SUBDOMAIN", "a" * 80),
    ("ZENDESK_API_BASE", "https://[bad"),
    ("ZENDESK_API_BASE", "http://169.254.169.254"),
    ("ZENDESK_API_BASE", "ftp://127.0.0.1"),
    ("ZENDESK_API_BASE", "https://a b.example"),
    ("ZENDESK_API_BASE", "http://localhost.evil.example"),
    ("ZENDESK_APP_ID", "app"),
    ("ZENDESK_INSTALLATION_ID", "12/34"),
    ("ZENDESK_APP_PUBLIC_KEY", "AAAA"),
    ("ZENDESK_APP_PUBLIC_KEY", PRIVATE),
    ("ZENDESK_APP_PUBLIC_KEY", PUBLIC[:200]),
    ("STRIPE_READ_KEY", "pk_live_" + SECRET),
    ("STRIPE_READ_KEY", "sk_live_" + SECRET),
    ("STRIPE_WRITE_KEY", "sk_live_" + SECRET),
    ("STRIPE_WRITE_KEY", "whsec_" + SECRET),
    ("STRIPE_READ_KEY", "rk_test_é" + SECRET),
    ("STRIPE_READ_KEY", "rk_test_ " + SECRET),
    ("STRIPE_API_BASE", "http://api.stripe.example"),
    ("GITHUB_REPOSITORY", "acme"),
    ("GITHUB_REPOSITORY", "https://github.com/acme/web"),
    ("GITHUB_REPOSITORY", "acme/web/issues"),
    ("GITHUB_APP_PRIVATE_KEY", PUBLIC),
    ("GITHUB_APP_PRIVATE_KEY", PRIVATE[:300]),
    ("GITHUB_APP_INSTALLATION_ID", "../7"),
    ("GITHUB_API_BASE", "//evil.example"),
    ("SENTRY_DSN", "sentry.io"),
    ("SENTRY_DSN", f"https://{SECRET}@sentry.io/project"),
    ("SENTRY_DSN", "https://sentry.io/1"),
    ("LOG_LEVEL", "loud"),
    ("LOG_FORMAT", "xml"),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{n}={v[:24].splitlines()[0]}" for n, v in WRONG])
def test_a_wrong_value_is_one_sentence_that_begins_with_its_name(name: str, value: str) -> None:
    assert refused(**{name: value}).startswith(name)


RIGHT = [
    ("DATABASE_URL", "sqlite:///desk.db"),
    ("DATABASE_URL", "postgres://desk:p%40ss@db.example:5432/desk?sslmode=require"),
    ("DATABASE_URL", "postgresql:///desk"),
    ("BILLING_DESK_PUBLIC_URL", "https://billing.example.com/"),
    ("ZENDESK_SUBDOMAIN", "acme-2"),
    ("ZENDESK_API_BASE", "http://127.0.0.1:8080"),
    ("ZENDESK_API_BASE", "http://[::1]:8080"),
    ("ZENDESK_APP_PUBLIC_KEY", PUBLIC),
    ("ZENDESK_APP_PUBLIC_KEY", PUBLIC.replace("\n", "\\n")),
    ("GITHUB_APP_PRIVATE_KEY", PRIVATE),
    ("STRIPE_READ_KEY", "sk_test_1"),
    ("GITHUB_REPOSITORY", "acme/web.js"),
    ("SENTRY_DSN", "https://abc@o1.ingest.sentry.io/42"),
    ("LOG_LEVEL", "DEBUG"),
]


@pytest.mark.parametrize(("name", "value"), RIGHT, ids=[f"{n}={v[:24].splitlines()[0]}" for n, v in RIGHT])
def test_a_right_value_is_taken(name: str, value: str) -> None:
    assert read(**{name: value}) != read()


def test_a_full_secret_key_needs_the_explicit_word() -> None:
    settings = read(STRIPE_READ_KEY="sk_live_1", STRIPE_WRITE_KEY="rk_live_2", STRIPE_ALLOW_SECRET_KEY="1")
    assert settings.stripe_read_key == "sk_live_1"


def test_postgres_addresses_are_written_in_one_way() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        assert read(DATABASE_URL=f"{scheme}://a:b@h/d").database_url == "postgresql://a:b@h/d"


def test_secrets_in_rotation_are_several() -> None:
    settings = read(BILLING_DESK_SECRET_KEY=f" {'a' * 16} , {'b' * 16},", ZENDESK_WEBHOOK_SECRET="one, two")
    assert settings.secret_keys == ("a" * 16, "b" * 16)
    assert settings.zendesk_webhook_secrets == ("one", "two")


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"ZENDESK_OAUTH_CLIENT_ID": "id"}, "ZENDESK_OAUTH_CLIENT_SECRET"),
        ({"ZENDESK_API_TOKEN": SECRET}, "ZENDESK_EMAIL"),
        ({"GITHUB_APP_ID": "1"}, "GITHUB_APP_ID"),
        ({"STRIPE_READ_KEY": "rk_test_1", "STRIPE_WRITE_KEY": "rk_live_1"}, "STRIPE_READ_KEY and STRIPE_WRITE_KEY"),
    ],
)
def test_what_is_only_good_together_is_named_together(environment: dict[str, str], name: str) -> None:
    assert refused(**environment).startswith(name)


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "ZENDESK_OAUTH_CLIENT_SECRET"])
def test_what_serving_needs_is_asked_for_by_name(name: str) -> None:
    needed = tuple(WHOLE.keys() - {"ZENDESK_OAUTH_CLIENT_SECRET"})
    require(read(**WHOLE), *needed)
    with pytest.raises(SettingsError, match=f"^{name} is not set"):
        require(read(**{key: value for key, value in WHOLE.items() if key != name}), *needed)


def test_an_address_alone_does_not_stand_for_the_subdomain() -> None:
    settings = read(ZENDESK_API_BASE="http://127.0.0.1:9")
    with pytest.raises(SettingsError, match=r"^ZENDESK_SUBDOMAIN"):
        require(settings, "ZENDESK_SUBDOMAIN")


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("rk_test_from_file\n", encoding="utf-8")
    file.chmod(0o600)
    assert read(STRIPE_READ_KEY_FILE=str(file)).stripe_read_key == "rk_test_from_file"


def test_a_secret_in_two_places_is_refused(tmp_path: Path) -> None:
    assert refused(STRIPE_READ_KEY="rk_test_1", STRIPE_READ_KEY_FILE="/x").startswith("STRIPE_READ_KEY and")


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o600)
    assert refused(STRIPE_READ_KEY_FILE=str(file)).startswith("STRIPE_READ_KEY_FILE")


def test_a_file_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("rk_test_1", encoding="utf-8")
    file.chmod(0o644)
    assert refused(STRIPE_READ_KEY_FILE=str(file)).startswith("STRIPE_READ_KEY_FILE")


def test_the_environment_goes_before_the_file_of_settings(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("ZENDESK_SUBDOMAIN=file\nLOG_LEVEL=error\nEMPTY\n", encoding="utf-8")
    settings = read_settings({"ZENDESK_SUBDOMAIN": "outside"}, dotenv=dotenv)
    assert (settings.zendesk_subdomain, settings.log_level) == ("outside", "error")


def test_a_file_of_settings_that_is_no_text_is_named(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"ZENDESK_SUBDOMAIN=\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env"):
        read_settings({}, dotenv=dotenv)


# --- secrets --------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_the_settings_own_words() -> None:
    settings = read(**{**WHOLE, "ZENDESK_WEBHOOK_SECRET": SECRET, "GITHUB_TOKEN": SECRET})
    assert SECRET not in repr(settings) + str(settings) + f"{settings}"


def test_every_name_of_the_contract_is_read() -> None:
    assert len(NAMES) == len(set(NAMES)) == 34
    values = {field.name for field in dataclasses.fields(Settings)}
    assert len(values) == len(NAMES) - 1  # STRIPE_ALLOW_SECRET_KEY only permits
