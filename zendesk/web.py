"""What is the web application? Blueprints, request ids, the error envelope, health, and headers on every answer."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Blueprint, Flask, Response, g, request
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from werkzeug.exceptions import HTTPException

from integrations import correlation
from integrations.errors import Forbidden, NotFound, OutsideError, RateLimited
from zendesk.answers import content_policy, refused, said
from zendesk.refusals import Refusal

log = logging.getLogger(__name__)
MOST_BYTES = 1024 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """`failing`: the parts that fail right now. `worker_age`: seconds since a worker's last sign of life, told only:
    a web process without a worker still accepts deliveries."""

    failing: tuple[str, ...] = ()
    worker_age: float | None = None


def create_app(
    blueprints: Sequence[Blueprint], *, ready: Callable[[], Readiness], frame_ancestors: str, sdk_origin: str
) -> Flask:
    """`ready` is asked by /readyz."""
    app = Flask("zendesk", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.url_map.strict_slashes = False
    for one in blueprints:
        app.register_blueprint(one)
    _add_probes(app, ready)
    _add_errors(app)
    _add_frame(app, content_policy(frame_ancestors, sdk_origin))
    return app


def _add_probes(app: Flask, ready: Callable[[], Readiness]) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        return said({"status": "alive"})

    @app.get("/readyz")
    def readyz() -> Response:
        now = ready()
        age = None if now.worker_age is None else round(now.worker_age)
        status = "not ready" if now.failing else "ready"
        document = {"status": status, "failing": list(now.failing), "worker_age_seconds": age}
        return said(document, 503 if now.failing else 200)


def _add_frame(app: Flask, policy: str) -> None:
    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else "rq_" + secrets.token_hex(10)
        correlation.begin(g.request_id)
        g.began = time.monotonic()

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        correlation.begin("")  # the thread's next work is another's

    @app.after_request
    def finish(answer: Response) -> Response:
        answer.headers["X-Request-Id"] = g.get("request_id", "")
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers.setdefault("Cache-Control", "no-store")
        if answer.mimetype == "text/html":
            answer.headers["Content-Security-Policy"] = policy
        rule = request.url_rule.rule if request.url_rule else "none"
        extra = {"route": rule, "status": answer.status_code, "request_id": g.get("request_id", "")}
        log.info("request_answered", extra=extra | {"seconds": round(time.monotonic() - g.get("began", 0.0), 4)})
        return answer


def _add_errors(app: Flask) -> None:
    @app.errorhandler(Refusal)
    def on_refusal(refusal: Refusal) -> Response:
        return refused(refusal)

    app.register_error_handler(OutsideError, on_outside)

    @app.errorhandler(DBAPIError)
    @app.errorhandler(SQLAlchemyError)
    def on_store(error: Exception) -> Response:
        log.error("store_unavailable", extra={"failure": type(error).__name__})
        answer = refused(Refusal("store_unavailable", "The store does not answer. Nothing was done. Try again."))
        answer.headers["Retry-After"] = "5"
        return answer

    @app.errorhandler(HTTPException)
    def on_http(error: HTTPException) -> Response:
        return refused(_of_http(error))

    @app.errorhandler(Exception)
    def on_bug(error: Exception) -> Response:
        log.error("request_failed", exc_info=error)
        return refused(Refusal("server_error", "Something broke on our side. The reference helps us find it."))


def on_outside(error: OutsideError, answer_with: Callable[[Refusal], Response] = refused) -> Response:
    """The "no" for an upstream that did not do its part; `answer_with` gives it its face."""
    log.warning("upstream_failed", extra={"service": error.service, "status": error.status})
    name = error.service.capitalize()
    if isinstance(error, NotFound):
        return answer_with(Refusal("not_found", f"{name} does not know it."))
    if isinstance(error, Forbidden):
        return answer_with(Refusal("not_configured", f"Our {name} credentials may not do this."))
    answer = answer_with(Refusal("upstream_no_answer", f"{name} did not answer. Try again."))
    wait = error.retry_after if isinstance(error, RateLimited) and error.retry_after else 5
    answer.headers["Retry-After"] = str(int(wait) + 1)
    return answer


def _of_http(error: HTTPException) -> Refusal:
    status = error.code or 500
    known: dict[int, tuple[str, str]] = {
        400: ("bad_request", "The request could not be read."),
        404: ("not_found", "There is nothing at this address."),
        405: ("method_not_allowed", "This address does not take that method."),
        413: ("too_large", "The body is larger than 1 MiB."),
        415: ("unsupported_media_type", "Send JSON."),
    }
    code, message = known.get(status, ("bad_request" if status < 500 else "server_error", "The request failed."))
    return Refusal(code, message)
