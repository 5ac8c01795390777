"""What did the admin configure? Environment and `.env`, read once; a wrong value is one sentence that names it.

Names, defaults and meanings: the contract's section 3. `NAME_FILE` reads a secret from a file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from dotenv import dotenv_values

_SUBDOMAIN = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_NUMBER = re.compile(r"[0-9]{1,19}")
_STRIPE_KEY = re.compile(r"[rs]k_[A-Za-z0-9_]+")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
DEFAULT_DATABASE_URL = "sqlite:///billing-desk.db"
_LEVELS = ("debug", "info", "warning", "error")
NAMES = (
    "DATABASE_URL", "BILLING_DESK_SECRET_KEY", "BILLING_DESK_POLICY", "BILLING_DESK_PUBLIC_URL",
    "BILLING_DESK_METRICS_TOKEN", "BILLING_DESK_AUDIT_HEADS",
    "ZENDESK_SUBDOMAIN", "ZENDESK_API_BASE", "ZENDESK_OAUTH_CLIENT_ID", "ZENDESK_OAUTH_CLIENT_SECRET",
    "ZENDESK_EMAIL", "ZENDESK_API_TOKEN", "ZENDESK_WEBHOOK_SECRET", "ZENDESK_APP_ID", "ZENDESK_INSTALLATION_ID",
    "ZENDESK_APP_PUBLIC_KEY", "STRIPE_READ_KEY", "STRIPE_WRITE_KEY", "STRIPE_API_BASE", "STRIPE_ALLOW_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET", "GITHUB_REPOSITORY", "GITHUB_TOKEN", "GITHUB_APP_ID", "GITHUB_APP_INSTALLATION_ID",
    "GITHUB_APP_PRIVATE_KEY", "GITHUB_API_BASE", "GITHUB_WEBHOOK_SECRET", "SENTRY_DSN", "LOG_LEVEL", "LOG_FORMAT",
    "LANGUAGE_MODEL_URL", "LANGUAGE_MODEL_NAME", "LANGUAGE_MODEL_KEY",
)  # fmt: skip


class SettingsError(Exception):
    """A setting is wrong or missing; the text is one sentence for the admin and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Empty strings mean "not configured". Secrets stay out of repr."""

    database_url: str = DEFAULT_DATABASE_URL
    secret_keys: tuple[str, ...] = ()  # the first signs, all verify
    policy_path: str = ""
    public_url: str = ""
    metrics_token: str = ""
    audit_heads_path: str = ""  # one line a day: where the audit chain ends
    zendesk_subdomain: str = ""
    zendesk_api_base: str = ""
    zendesk_oauth_client_id: str = ""
    zendesk_oauth_client_secret: str = ""
    zendesk_email: str = ""
    zendesk_api_token: str = ""
    zendesk_webhook_secrets: tuple[str, ...] = ()
    zendesk_app_id: str = ""
    zendesk_installation_id: str = ""
    zendesk_app_public_key: str = ""
    stripe_read_key: str = ""
    stripe_write_key: str = ""
    stripe_api_base: str = "https://api.stripe.com"
    stripe_webhook_secrets: tuple[str, ...] = ()
    github_repository: str = ""
    github_token: str = ""
    github_app_id: str = ""
    github_app_installation_id: str = ""
    github_app_private_key: str = ""
    github_api_base: str = "https://api.github.com"
    github_webhook_secrets: tuple[str, ...] = ()
    sentry_dsn: str = ""
    language_model_url: str = ""
    language_model_name: str = ""
    language_model_key: str = ""
    log_level: str = "info"
    log_format: str = "json"

    @property
    def zendesk_base(self) -> str:
        """Where Zendesk's API answers, or empty when no subdomain is set."""
        if self.zendesk_api_base:
            return self.zendesk_api_base.rstrip("/")
        return f"https://{self.zendesk_subdomain}.zendesk.com" if self.zendesk_subdomain else ""

    @property
    def zendesk_origin(self) -> str:
        """The one origin that may frame the sidebar."""
        return f"https://{self.zendesk_subdomain}.zendesk.com"

    @property
    def sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def github(self) -> bool:
        return bool(self.github_repository and (self.github_token or self.github_app_id))

    @property
    def zendesk(self) -> bool:
        return bool(self.zendesk_base and (self.zendesk_oauth_client_id or self.zendesk_api_token))

    @property
    def stripe(self) -> bool:
        return bool(self.stripe_read_key)


def read_settings(environment: Mapping[str, str] | None = None, *, dotenv: Path | None = Path(".env")) -> Settings:
    """The settings of this process. Raises SettingsError with one sentence that names the setting and the mend."""
    values: dict[str, str] = {}
    if dotenv is not None and dotenv.is_file():
        values.update(_dotenv(dotenv))
    values.update(os.environ if environment is None else environment)
    read = {name: _value(values, name) for name in NAMES}
    settings = Settings(
        database_url=_database_url(read["DATABASE_URL"]),
        secret_keys=_secret_keys(read["BILLING_DESK_SECRET_KEY"]),
        policy_path=read["BILLING_DESK_POLICY"],
        public_url=_url(read, "BILLING_DESK_PUBLIC_URL").rstrip("/"),
        metrics_token=_long(read, "BILLING_DESK_METRICS_TOKEN"),
        audit_heads_path=read["BILLING_DESK_AUDIT_HEADS"],
        zendesk_subdomain=_matching(read, "ZENDESK_SUBDOMAIN", _SUBDOMAIN, "the part before .zendesk.com, like acme"),
        zendesk_api_base=_url(read, "ZENDESK_API_BASE"),
        zendesk_oauth_client_id=read["ZENDESK_OAUTH_CLIENT_ID"],
        zendesk_oauth_client_secret=read["ZENDESK_OAUTH_CLIENT_SECRET"],
        zendesk_email=read["ZENDESK_EMAIL"],
        zendesk_api_token=read["ZENDESK_API_TOKEN"],
        zendesk_webhook_secrets=_several(read["ZENDESK_WEBHOOK_SECRET"]),
        zendesk_app_id=_matching(read, "ZENDESK_APP_ID", _NUMBER, "a number"),
        zendesk_installation_id=_matching(read, "ZENDESK_INSTALLATION_ID", _NUMBER, "a number"),
        zendesk_app_public_key=_pem(read, "ZENDESK_APP_PUBLIC_KEY", "PUBLIC KEY"),
        stripe_read_key=_stripe_key(read, "STRIPE_READ_KEY"),
        stripe_write_key=_stripe_key(read, "STRIPE_WRITE_KEY"),
        stripe_api_base=_url(read, "STRIPE_API_BASE").rstrip("/") or "https://api.stripe.com",
        stripe_webhook_secrets=_several(read["STRIPE_WEBHOOK_SECRET"]),
        github_repository=_matching(read, "GITHUB_REPOSITORY", _REPOSITORY, "owner/name"),
        github_token=read["GITHUB_TOKEN"],
        github_app_id=read["GITHUB_APP_ID"],
        github_app_installation_id=_matching(read, "GITHUB_APP_INSTALLATION_ID", _NUMBER, "a number"),
        github_app_private_key=_pem(read, "GITHUB_APP_PRIVATE_KEY", "PRIVATE KEY"),
        github_api_base=_url(read, "GITHUB_API_BASE").rstrip("/") or "https://api.github.com",
        github_webhook_secrets=_several(read["GITHUB_WEBHOOK_SECRET"]),
        sentry_dsn=_dsn(read["SENTRY_DSN"]),
        language_model_url=_url(read, "LANGUAGE_MODEL_URL").rstrip("/"),
        language_model_name=read["LANGUAGE_MODEL_NAME"],
        language_model_key=read["LANGUAGE_MODEL_KEY"],
        log_level=_one_of(read, "LOG_LEVEL", _LEVELS, "info"),
        log_format=_one_of(read, "LOG_FORMAT", ("json", "text"), "json"),
    )
    _pairs(settings)
    return settings


def require(settings: Settings, *names: str) -> None:
    """Raise SettingsError for the first of `names` (environment names) that is not set."""
    present = {
        "BILLING_DESK_SECRET_KEY": bool(settings.secret_keys),
        "ZENDESK_SUBDOMAIN": bool(settings.zendesk_subdomain),
        "ZENDESK_OAUTH_CLIENT_ID": bool(settings.zendesk_oauth_client_id or settings.zendesk_api_token),
        "ZENDESK_WEBHOOK_SECRET": bool(settings.zendesk_webhook_secrets),
        "STRIPE_READ_KEY": bool(settings.stripe_read_key),
    }
    for name in names:
        if not present[name]:
            raise SettingsError(f"{name} is not set. Put it in the environment or .env.")


def _dotenv(path: Path) -> dict[str, str]:
    try:
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("The .env file cannot be read. Check its owner, and that it is UTF-8 text.") from error


def _value(values: Mapping[str, str], name: str) -> str:
    direct = values.get(name, "").strip()
    path = values.get(name + "_FILE", "").strip()
    if direct and path:
        raise SettingsError(f"{name} and {name}_FILE are both set. Keep one of them.")
    if not path:
        return direct
    file = Path(path)
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE names a file that cannot be read.") from error
    if mode & stat.S_IROTH:
        raise SettingsError(f"{name}_FILE can be read by everybody here. Run chmod o-r on it.")
    return text


def _database_url(value: str) -> str:
    if not value:
        return DEFAULT_DATABASE_URL
    if value.startswith("sqlite:///"):
        path = value.removeprefix("sqlite:///").partition("?")[0]
        if not path or path == ":memory:":
            raise SettingsError("DATABASE_URL must name a file, like sqlite:///billing-desk.db.")
        if not Path(path).parent.is_dir():
            raise SettingsError("DATABASE_URL names a folder that does not exist. Make or change it.")
        return value
    if value.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")) and _split(value) is not None:
        return value.replace("postgres://", "postgresql://", 1).replace("postgresql+psycopg://", "postgresql://", 1)
    raise SettingsError("DATABASE_URL must be sqlite:///file.db or postgresql://user@host/name.")


def _split(address: str) -> SplitResult | None:
    """The address in parts, or None for one that no client could use."""
    try:
        parts = urlsplit(address)
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None


def _secret_keys(value: str) -> tuple[str, ...]:
    keys = _several(value)
    if any(len(key) < 16 for key in keys):
        raise SettingsError("BILLING_DESK_SECRET_KEY is too short: use 16 random characters or more.")
    return keys


def _long(read: Mapping[str, str], name: str) -> str:
    if read[name] and len(read[name]) < 16:
        raise SettingsError(f"{name} is too short: use 16 random characters or more.")
    return read[name]


def _several(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _url(read: Mapping[str, str], name: str) -> str:
    value = read[name]
    if not value:
        return ""
    parts = _split(value)
    plain = parts is not None and parts.hostname in {"localhost", "127.0.0.1", "::1"}
    schemes = {"https", "http"} if plain else {"https"}
    if parts is None or parts.scheme not in schemes or not parts.hostname or parts.username or re.search(r"\s", value):
        raise SettingsError(f"{name} must be an https address, https://host.example.")
    return value


def _dsn(value: str) -> str:
    parts = _split(value)
    if value and (
        parts is None
        or parts.scheme not in {"https", "http"}
        or not (parts.username and parts.hostname and parts.path.rpartition("/")[2].isdigit())
    ):
        raise SettingsError("SENTRY_DSN is not the address Sentry shows: https://…@…/number.")
    return value


def _matching(read: Mapping[str, str], name: str, pattern: re.Pattern[str], shape: str) -> str:
    value = read[name]
    if value and not pattern.fullmatch(value):
        raise SettingsError(f"{name} is not {shape}.")
    return value


def _pem(read: Mapping[str, str], name: str, kind: str) -> str:
    value = read[name].replace("\\n", "\n")
    if value and (not value.startswith("-----BEGIN ") or kind not in value.splitlines()[0]):
        raise SettingsError(f"{name} must be PEM text: -----BEGIN … {kind}-----.")
    try:
        if value and kind == "PUBLIC KEY":
            load_pem_public_key(value.encode())
        elif value:
            load_pem_private_key(value.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{name} is not a whole key: copy all its lines.") from error
    return value


def _stripe_key(read: Mapping[str, str], name: str) -> str:
    value = read[name]
    if value and not _STRIPE_KEY.fullmatch(value):
        raise SettingsError(f"{name} must be a restricted key of Stripe, rk_….")
    if value.startswith("sk_live_") and read["STRIPE_ALLOW_SECRET_KEY"] != "1":
        raise SettingsError(f"{name} is a secret key. Use rk_…, or STRIPE_ALLOW_SECRET_KEY=1.")
    return value


def _one_of(read: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = read[name].lower() or default
    if value not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}.")
    return value


def _pairs(settings: Settings) -> None:
    """Settings that are only good together, and the mix-ups that cost money."""
    if settings.zendesk_oauth_client_id and not settings.zendesk_oauth_client_secret:
        raise SettingsError("ZENDESK_OAUTH_CLIENT_SECRET is not set, ZENDESK_OAUTH_CLIENT_ID is.")
    if settings.zendesk_api_token and not settings.zendesk_email:
        raise SettingsError("ZENDESK_EMAIL is not set although ZENDESK_API_TOKEN is.")
    if settings.github_app_id and not (settings.github_app_installation_id and settings.github_app_private_key):
        raise SettingsError("GITHUB_APP_ID needs GITHUB_APP_INSTALLATION_ID, GITHUB_APP_PRIVATE_KEY.")
    if settings.language_model_url and not settings.language_model_name:
        raise SettingsError("LANGUAGE_MODEL_NAME is not set although LANGUAGE_MODEL_URL is.")
    modes = {"live" in key.split("_")[1:2] for key in (settings.stripe_read_key, settings.stripe_write_key) if key}
    if len(modes) > 1:
        raise SettingsError("STRIPE_READ_KEY and STRIPE_WRITE_KEY: both of test mode, or both live.")
