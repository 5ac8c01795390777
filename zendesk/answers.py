"""How do we answer? JSON, the error envelope of the contract, and the security headers of every page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import Response, g, request

from zendesk.refusals import Refusal


def said(document: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer that nobody keeps."""
    answer = Response(json.dumps(document, default=str), status=status, mimetype="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def refused(refusal: Refusal) -> Response:
    """The error envelope, with whatever the refusal adds beside it."""
    envelope = {"code": refusal.code, "message": refusal.message, "request_id": g.get("request_id", "")}
    return said({"error": envelope, **refusal.extra}, refusal.status)


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
