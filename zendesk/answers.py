"""How do we answer? JSON, the error envelope of the contract, and the security headers of every page."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from flask import Response, g, request

from integrations.metrics import record
from zendesk.refusals import Refusal

log = logging.getLogger(__name__)


def said(document: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer that nobody keeps."""
    answer = Response(json.dumps(document, default=str), status=status, mimetype="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def refused(refusal: Refusal) -> Response:
    """The error envelope, with whatever the refusal adds beside it."""
    envelope = {"code": refusal.code, "message": refusal.message, "request_id": g.get("request_id", "")}
    return said({"error": envelope, **refusal.extra}, refusal.status)


def distrusted(reason: str) -> Response:
    """401 for a delivery that nobody signed as it should be; `reason` is for the log and the count only."""
    log.warning("webhook_rejected", extra={"code": reason})
    record("webhook_rejected_total", reason=reason)
    return refused(Refusal("unauthorized", "The signature is wrong, missing or too old."))


def misshapen(message: str) -> Response:
    """400 for a signed delivery whose body is none that its sender sends."""
    record("webhook_rejected_total", reason="shape")
    return refused(Refusal("bad_request", message))


def not_stored(error: Exception) -> Response:
    """503 for a delivery that the store could not take: the sender sends it again."""
    log.error("store_unavailable", extra={"code": type(error).__name__})
    answer = refused(Refusal("store_unavailable", "The delivery could not be stored. Send it again."))
    answer.headers["Retry-After"] = "30"
    return answer


def read_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object in a request's body. Raises ValueError for anything else."""
    try:
        document = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(document, Mapping):
        raise ValueError("not an object")
    return document


def wants_html() -> bool:
    """The sidebar asks for fragments; everybody else gets JSON."""
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def page(html: str, status: int = 200) -> Response:
    answer = Response(html, status=status, mimetype="text/html")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def content_policy(frame_ancestors: str, sdk_origin: str) -> str:
    """The strict policy of every page: nothing inline, nothing from elsewhere but Zendesk's SDK."""
    scripts = f"'self' {sdk_origin}".strip()
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"form-action 'self'; base-uri 'none'; frame-ancestors {frame_ancestors}"
    )
