"""What does Prometheus ask? One route; the figures are made in integrations/metrics.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from flask import Blueprint, Response

from integrations.metrics import CONTENT_TYPE, exposition


def blueprint(engine: sa.Engine, now: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def metrics() -> Response:
        return Response(exposition(engine, now()), content_type=CONTENT_TYPE)

    return routes
