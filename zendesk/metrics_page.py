"""What does Prometheus ask? One route; the figures are made in integrations/metrics.py.

They name nobody, but tell what is refunded. With BILLING_DESK_METRICS_TOKEN set, only its bearer sees them.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from flask import Blueprint, Response, request

from integrations.metrics import CONTENT_TYPE, exposition
from zendesk.refusals import Refusal


def blueprint(engine: sa.Engine, now: Callable[[], datetime], token: str = "") -> Blueprint:
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def metrics() -> Response:
        given = request.headers.get("Authorization", "")
        if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise Refusal("unauthorized", "The figures need BILLING_DESK_METRICS_TOKEN as bearer token.")
        return Response(exposition(engine, now()), content_type=CONTENT_TYPE)

    return routes
