"""What may leave this process about itself? Logs and error reports built from lists of what is allowed.

Nothing is scrubbed: an event is built anew from permitted fields, so what nobody thought of stays at home. Texts of
exceptions, variables, request bodies, headers, query strings and host names are never among them.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

import sentry_sdk
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.transport import Transport

from integrations import correlation
from integrations.errors import OutsideError, looks_secret

ALLOWED_KEYS = frozenset(
    (
        "action_id", "amount", "approval_id", "attempt", "bucket", "check", "code", "count", "currency", "delivery_id",
        "digest", "failure", "gap", "installation_id", "issue_number", "job", "kind", "method", "milliseconds",
        "object_id", "operation", "outcome", "parts", "path", "reference", "request_id", "retry_after", "route",
        "seconds", "service", "stage", "state", "status", "step", "ticket_id", "user_id", "version", "workers",
    )
)  # fmt: skip
"""What a log line may carry beside its event. Identifiers and counts, never objects, addresses or text."""

_EVENT = re.compile(r"[a-z][a-z0-9_]{2,63}\Z")
_WORD = re.compile(r"[A-Za-z0-9_.:/<>{}=+-]{1,120}\Z")
_NAME = re.compile(r"[A-Za-z_<][A-Za-z0-9_.<>]{0,199}\Z")
_ROUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}\Z|/[A-Za-z0-9_/.<>:{}-]{0,119}\Z")
_LONG_NUMBER = re.compile(r"[0-9](?:[ .-]?[0-9]){12}")
_RELEASE = re.compile(r"[A-Za-z0-9_.+-]{1,60}(?:@[0-9][A-Za-z0-9_.+-]{0,40})?\Z")
_MOST_FRAMES = 60
_OUTSIDERS = ("urllib3", "requests", "dbos", "sqlalchemy", "waitress", "werkzeug", "alembic")
_OWN = ("app", "billing", "integrations", "zendesk", "github_issues", "billing_desk")


class TelemetrySettings(Protocol):
    """The part of the settings that is about telemetry."""

    @property
    def sentry_dsn(self) -> str: ...
    @property
    def log_level(self) -> str: ...
    @property
    def log_format(self) -> str: ...


def configure(
    settings: TelemetrySettings,
    *,
    release: str = "",
    stream: TextIO | None = None,
    transport: type[Transport] | None = None,
    environment: MutableMapping[str, str] | None = None,
) -> None:
    """Sets logging up and, with a DSN, error reports. Safe to call again. Call before the Stripe SDK is imported."""
    (os.environ if environment is None else environment).pop("STRIPE_LOG", None)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(TextFormatter() if settings.log_format == "text" else JsonFormatter())
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one.formatter, JsonFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    _silence_vendors()
    if settings.sentry_dsn:
        _report_errors(settings.sentry_dsn, release, transport)


def _silence_vendors() -> None:
    """Vendors log addresses, parameters and bodies below WARNING; Stripe's logger does so above as well."""
    for name in _OUTSIDERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    stripe = logging.getLogger("stripe")
    stripe.setLevel(logging.WARNING)
    stripe.propagate = False
    if not stripe.handlers:
        stripe.addHandler(logging.NullHandler())  # else the last-resort handler would print


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event and the allowed keys."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_line(record), ensure_ascii=True)


class TextFormatter(JsonFormatter):
    """The same for people: `10:02:11 info zendesk.enrichment ticket_enriched ticket_id=5`."""

    def format(self, record: logging.LogRecord) -> str:
        line = _line(record)
        first = (line.pop("time")[11:19], line.pop("level"), line.pop("logger"), line.pop("event"))
        return " ".join((*first, *(f"{key}={value}" for key, value in line.items())))


def _line(record: logging.LogRecord) -> dict[str, Any]:
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": _event(record),
    }
    for key in sorted(ALLOWED_KEYS & record.__dict__.keys()):
        value = _plain(record.__dict__[key])
        if value is not None:
            line[key] = value
    if correlation.current():
        line = {"request_id": correlation.current(), "reference": correlation.reference()} | line
    if record.exc_info and record.exc_info[1] is not None:
        line |= _failure(record.exc_info[1])
    return line


def _event(record: logging.LogRecord) -> str:
    """The constant event. A line of a vendor, or one that is not constant, is told by its place only."""
    if record.name.partition(".")[0] in _OWN and isinstance(record.msg, str) and _EVENT.match(record.msg):
        return record.msg
    return f"message_from_{record.module}_{record.lineno}" if _NAME.match(record.module) else "message"


def _plain(value: object) -> str | int | float | bool | list[str] | None:
    """Numbers, and strings that are one word; nothing that may be a sentence, an address or an object."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return sorted(one for one in value if isinstance(one, str) and _one_word(one))
    return value if isinstance(value, str) and _one_word(value) else None


def _one_word(text: str) -> bool:
    """An id, a code or a path; no key, and no run of digits long enough for a card."""
    return bool(_WORD.match(text)) and not looks_secret(text) and not _LONG_NUMBER.search(text)


def _failure(error: BaseException) -> dict[str, Any]:
    """The exception's type and, for ours, its safe fields; where it was raised, never what it says."""
    told: dict[str, Any] = {"exception": type(error).__name__}
    if isinstance(error, OutsideError):
        told |= {"service": error.service, "path": error.path, "status": error.status}
        told["upstream_request_id"] = error.request_id
    trace = error.__traceback__
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{trace.tb_frame.f_globals.get('__name__', '?')}.{code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    told["places"] = places[-12:]
    return {key: value for key, value in told.items() if value is not None}


# --- Sentry ---


def _report_errors(dsn: str, release: str, transport: type[Transport] | None) -> None:
    sentry_sdk.init(
        dsn=dsn,
        release=release or None,
        transport=transport,
        integrations=[FlaskIntegration(transaction_style="url")],
        before_send=lambda event, hint: allowed_event(event, hint),  # type: ignore[arg-type,return-value]  # TypedDict
        before_send_transaction=lambda event, hint: None,
        before_breadcrumb=lambda crumb, hint: None,
        max_breadcrumbs=0,
        trace_propagation_targets=[],  # else each request to Stripe would carry our trace headers
        traces_sample_rate=0.0,
        profiles_sample_rate=0.0,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        server_name="billing-desk",
        auto_session_tracking=False,
        send_client_reports=False,
        shutdown_timeout=2,
        ignore_errors=[KeyboardInterrupt],
    )


def allowed_event(event: Mapping[str, Any], hint: Mapping[str, Any]) -> dict[str, Any]:
    """A new event of permitted fields: exception types, our codes, frames without variables, route and reference."""
    error = (hint.get("exc_info") or (None, None))[1]
    tags = {"code": _code(error), "route": _matching(_ROUTE, event.get("transaction"))}
    told = {"reference": correlation.reference(), "request_id": correlation.current()} | (event.get("tags") or {})
    for name in ("reference", "request_id", "action_id"):
        tags[name] = _matching(_WORD, told.get(name))
    tags["service"] = error.service if isinstance(error, OutsideError) else None
    built: dict[str, Any] = {
        "event_id": event.get("event_id"),
        "timestamp": event.get("timestamp"),
        "level": _matching(_NAME, event.get("level")) or "error",
        "platform": "python",
        "logger": _matching(_NAME, event.get("logger")),
        "release": _matching(_RELEASE, event.get("release")),
        "environment": _matching(_WORD, event.get("environment")),
        "tags": {key: value for key, value in tags.items() if value},
        "exception": {"values": [_exception(value) for value in (event.get("exception") or {}).get("values") or ()]},
    }
    entry = event.get("logentry") or {}
    if not built["exception"]["values"] and _EVENT.match(str(entry.get("message") or "")):
        built["logentry"] = {"message": entry["message"]}
    return {key: value for key, value in built.items() if value is not None}


def _exception(value: Mapping[str, Any]) -> dict[str, Any]:
    frames = (value.get("stacktrace") or {}).get("frames") or ()
    return {
        "type": _matching(_NAME, value.get("type")) or "Exception",
        "module": _matching(_NAME, value.get("module")),
        "stacktrace": {"frames": [_frame(frame) for frame in list(frames)[-_MOST_FRAMES:]]},
    }


def _frame(frame: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "module": _matching(_NAME, frame.get("module")) or "unknown",
        "function": _matching(_NAME, frame.get("function")) or "unknown",
        "lineno": frame.get("lineno") if isinstance(frame.get("lineno"), int) else None,
        "in_app": str(frame.get("module") or "").partition(".")[0] in _OWN,
    }


def _code(error: object) -> str | None:
    """Our own error code, for exceptions that have one."""
    return _matching(re.compile(r"[a-z][a-z0-9_]{0,63}\Z"), getattr(error, "code", None))


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.match(value) else None
