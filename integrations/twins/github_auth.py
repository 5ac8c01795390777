"""Who calls GitHub, and what may they do?  App tokens, installation tokens, fine-grained and classic user tokens."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

import jwt
from jwt.types import Options

from integrations.twins.github_tables import Grant, Hub, Repository, Thing, stamp
from integrations.twins.server import Request, Response

DOCS = "https://docs.github.com/rest"
_LEVELS = {"read": 1, "write": 2, "admin": 3}
_INSTALLATION_BODY = frozenset({"repositories", "repository_ids", "permissions"})


class Refused(Exception):
    """The request is answered with an error; carries the answer."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(f"{status} {message}")
        body = {"message": message, "documentation_url": DOCS, "status": str(status)} | more
        self.response = Response(status, body, headers or {})


def invalid(resource: str, field: str, code: str, says: str | None = None) -> Refused:
    error = {"resource": resource, "field": field, "code": code} | ({"message": says} if says else {})
    return Refused(422, "Validation Failed", errors=[error])


def bearer(request: Request) -> str:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() in {"bearer", "token"} else ""


def grant_of(hub: Hub, request: Request, now: datetime) -> Grant | None:
    """The token's grant; None without any token. Raises for one that is unknown or over."""
    value = bearer(request)
    if not value and "authorization" not in request.headers:
        return None
    grant = hub.grants.get(value)
    if grant is None or (grant.expires is not None and grant.expires <= now):
        raise Refused(401, "Bad credentials")
    return grant


def app_of(request: Request, app: Thing, public_pem: str, now: datetime) -> Thing:
    """The App behind an RS256 JWT: iat at most 60 s ahead, exp at most 10 minutes ahead."""
    value = bearer(request)
    if not value:
        raise Refused(401, "A JSON web token could not be decoded")
    lax = Options(verify_exp=False, verify_iat=False, verify_nbf=False, verify_aud=False, verify_iss=False)
    try:
        claims: Thing = jwt.decode(value, public_pem, algorithms=["RS256"], options=lax)
    except jwt.PyJWTError:
        raise Refused(401, "A JSON web token could not be decoded") from None
    seconds, issued, ends = now.timestamp(), claims.get("iat"), claims.get("exp")
    if str(claims.get("iss")) not in {str(app["id"]), app["client_id"]}:
        raise Refused(404, "Integration not found")
    if isinstance(issued, bool) or not isinstance(issued, int) or issued > seconds + 60:
        raise Refused(
            401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        )
    if isinstance(ends, bool) or not isinstance(ends, int) or ends <= seconds:
        raise Refused(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at "
            "which the assertion expires",
        )
    if ends > seconds + 600:
        raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
    return app


def installation_token(hub: Hub, number: int, request: Request, app: Thing, now: datetime) -> Response:
    """POST /app/installations/{id}/access_tokens: one hour, at most what the installation was given."""
    held = hub.installations.get(number)
    if held is None:
        raise Refused(404, "Not Found")
    if held["suspended"]:
        raise Refused(403, "This installation has been suspended")
    wanted = known(request, _INSTALLATION_BODY)
    repositories, permissions = _narrowed(hub, held, wanted)
    value, ends = f"ghs_{secrets.token_hex(18)}", now + timedelta(hours=1)
    hub.grants[value] = Grant("installation", f"{app['slug']}[bot]", permissions, repositories, ends, "Bot")
    return Response(
        201, {"token": value, "expires_at": stamp(ends), "permissions": permissions, "repository_selection": "selected"}
    )


def _narrowed(hub: Hub, held: Thing, wanted: Thing) -> tuple[frozenset[str], dict[str, str]]:
    names = held["repositories"]
    if "repositories" in wanted:
        names = frozenset(f"{held['account']}/{name}".lower() for name in wanted["repositories"])
    if "repository_ids" in wanted:
        numbers = set(wanted["repository_ids"])
        names = frozenset(key for key, each in hub.repositories.items() if each.number in numbers)
    if not names or not names <= held["repositories"]:
        raise Refused(
            422, "There is at least one repository that does not exist or is not accessible to the parent installation."
        )
    permissions: dict[str, str] = dict(wanted.get("permissions") or held["permissions"])
    for name, level in permissions.items():
        if _LEVELS.get(level, 9) > _LEVELS.get(held["permissions"].get(name, ""), 0):
            raise Refused(422, "The permissions requested are not granted to this installation.")
    return names, permissions | {"metadata": "read"}


def known(request: Request, names: frozenset[str]) -> Thing:
    """The JSON body with no key outside `names`: GitHub ignores those in silence, this twin does not."""
    try:
        document = request.json()
    except ValueError:
        raise Refused(400, "Problems parsing JSON") from None
    if not isinstance(document, dict):
        raise Refused(400, "Body should be a JSON object")
    if unknown := sorted(set(document) - names):
        raise Refused(422, f"Invalid request. {', '.join(unknown)} is not a permitted key.")
    return document


def demand(grant: Grant | None, repository: Repository, permission: str, level: str) -> None:
    """404 when the repository is hidden from this token, 401 or 403 when only the right is missing."""
    covered = grant is not None and _covers(grant, repository)
    if repository.private and not covered:
        raise Refused(404, "Not Found")
    if level == "read" and not repository.private:
        return
    if grant is None:
        raise Refused(401, "Requires authentication")
    if not covered or _LEVELS.get(grant.permissions.get(permission, ""), 0) < _LEVELS[level]:
        whom = "integration" if grant.kind == "installation" else "personal access token"
        raise Refused(
            403, f"Resource not accessible by {whom}", {"X-Accepted-GitHub-Permissions": f"{permission}={level}"}
        )


def _covers(grant: Grant, repository: Repository) -> bool:
    return grant.repositories is None or repository.full_name.lower() in grant.repositories
