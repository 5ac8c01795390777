"""Which bytes stand behind a static address, and under which name may they be cached for ever?

The address carries a hash of the content (`app.3f9c0a1b2c.css`), so a changed file has another address.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources

from markupsafe import Markup

PREFIX = "/static/"
CACHE_CONTROL = "public, max-age=31536000, immutable"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "txt": "text/plain; charset=utf-8",
}
_HASHED = re.compile(r"([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\.([0-9a-f]{12})\.([a-z]+)")


@cache
def content(name: str) -> bytes:
    """The bytes of a file in `zendesk/static`; FileNotFoundError for a name that is not there."""
    if "/" in name or name.startswith("."):
        raise FileNotFoundError(name)
    return resources.files("zendesk").joinpath("static", name).read_bytes()


def asset_url(name: str) -> str:
    """`app.css` -> `/static/app.<12 hex digits>.css`."""
    stem, _, ending = name.rpartition(".")
    return f"{PREFIX}{stem}.{_digest(name)}.{ending}"


def asset(hashed_name: str) -> tuple[bytes, str]:
    """Bytes and media type for the last part of an `asset_url`; KeyError when there is no such file or version."""
    match = _HASHED.fullmatch(hashed_name)
    if match is None or match[3] not in _TYPES:
        raise KeyError(hashed_name)
    name = f"{match[1]}.{match[3]}"
    try:
        found = content(name)
    except OSError as error:
        raise KeyError(hashed_name) from error
    if _digest(name) != match[2]:
        raise KeyError(hashed_name)
    return found, _TYPES[match[3]]


@cache
def integrity(name: str) -> str:
    """The value of a script's or style sheet's `integrity` attribute, from our own copy."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content(name)).digest()).decode()


@cache
def sprite() -> Markup:
    """The icons as one inline drawing; ours and constant, so it needs no escaping."""
    return Markup(content("sprite.svg").decode("utf-8"))  # noqa: S704 - a file of ours


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(content(name)).hexdigest()[:12]
