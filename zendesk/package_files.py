"""Are the other files of a package ones that Zendesk takes: translations, requirements, images, sources?"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from zendesk.package_findings import Broken, Contents, Finding, listed, told
from zendesk.package_manifest import LOCALE, LOCATIONS, is_private, products

_FORBIDDEN = frozenset(
    "rar zip gzip gz pdf doc docx avi bin bz bz2 csh sh jar mp3 mpeg odt pptx ppt xls xlsx 7z".split()
)
_MAGIC = (
    (b"PK\x03\x04", "zip"), (b"\x1f\x8b", "gzip"), (b"%PDF", "pdf"), (b"Rar!", "rar"), (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"BZh", "bz2"), (b"ID3", "mp3"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "doc"), (b"#!/bin/sh", "sh"),
    (b"#!/bin/csh", "csh"), (b"\x00\x00\x01\xba", "mpeg"), (b"\x00\x00\x01\xb3", "mpeg"),
)  # fmt: skip
_BANNERS = {(830, 200), (1660, 400)}
_PUBLIC_KEYS = ("name", "short_description", "long_description", "installation_instructions")
_REQUIREMENTS = frozenset(
    "automations channel_integrations custom_objects macros targets views ticket_fields triggers user_fields "
    "organization_fields webhooks custom_objects_v2".split()
)
_MOST_REQUIREMENTS, _MOST_OBJECTS = 5000, 50
_WEBHOOK = ("name", "status", "endpoint", "http_method", "request_format")
_OBJECTS = {
    "custom_object_types": frozenset({"key", "schema"}),
    "custom_object_relationship_types": frozenset({"key", "source", "target"}),
}
_UNTITLED = frozenset({"channel_integrations", "custom_objects", "custom_objects_v2", "webhooks"})
_ACTIVE_SVG = re.compile(r"<script|<foreignObject|\son\w+\s*=|javascript:|<!ENTITY", re.IGNORECASE)
_PLAIN_HTTP = re.compile(r"http://(?!localhost|127\.0\.0\.1|www\.w3\.org)")
_SECRET_WORDS = re.compile(
    r"(?i)\b(?:password|passwd|secret|secretToken|secret_key|auth_key|authToken|api_key|apikey|access_token|"
    r"private_key|client_secret)\b"
)
_SECRETS = {
    "AWS key": r"\bAKIA[0-9A-Z]{16}\b", "Google key": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "Stripe key": r"\b[srp]k_(?:live|test)_[0-9A-Za-z]{10,}", "GitHub token": r"\bgh[pousr]_[0-9A-Za-z]{36}",
    "GitHub token (fine-grained)": r"\bgithub_pat_[0-9A-Za-z_]{30,}", "Slack token": r"\bxox[abprs]-[0-9A-Za-z-]{10,}",
    "Slack webhook": r"hooks\.slack\.com/services/T\w+/B\w+/\w+", "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "Twilio key": r"\bSK[0-9a-f]{32}\b", "SendGrid key": r"\bSG\.[\w-]{20,}\.[\w-]{20,}",
    "Mailgun key": r"\bkey-[0-9a-f]{32}\b", "JSON web token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.",
    "password in an address": r"\b[a-z][a-z0-9+.-]+://[^/\s:@\"']{2,}:[^/\s:@\"']{3,}@",
    "Facebook token": r"\bEAACEdEose0cBA[0-9A-Za-z]+", "GitLab token": r"\bglpat-[\w-]{20}",
    "npm token": r"\bnpm_[0-9A-Za-z]{36}", "Square token": r"\bsq0(?:atp|csp)-[\w-]{22,}",
    "Shopify token": r"\bshp(?:at|ca|pa|ss)_[0-9a-f]{32}", "OpenAI key": r"\bsk-[A-Za-z0-9_-]{32,}",
    "Telegram token": r"\b[0-9]{8,10}:AA[\w-]{33}\b",
}  # fmt: skip


def errors(manifest: Mapping[str, Any], contents: Contents) -> Iterator[Finding]:
    """Everything outside the manifest for which Zendesk refuses the package."""
    yield from _kinds(contents)
    yield from _banner(contents)
    for name in sorted(contents.files):
        if name.startswith("translations/") and name.endswith(".json"):
            yield from _translation(name, manifest, contents)
    yield from _requirements(manifest, contents)


def warnings(contents: Contents) -> Iterator[Finding]:
    """What Zendesk only points out."""
    for name in sorted(contents.files):
        kind = PurePosixPath(name).suffix.lower()
        if kind in {".js", ".html", ".htm"} and _PLAIN_HTTP.search(contents.text(name)):
            yield from told("plain_http", name, "holds an address without https")
        if kind == ".svg" and _ACTIVE_SVG.search(contents.text(name)):
            yield from told("active_svg", name, "holds script; Zendesk takes it out or refuses the file")
        if kind in {".html", ".htm", ".xml", ".js", ".json"}:
            yield from _secrets(name, contents.text(name))


def _secrets(name: str, text: str) -> Iterator[Finding]:
    for kind, pattern in _SECRETS.items():
        if re.search(pattern, text):
            yield from told("secret", name, f"seems to hold a secret: {kind}")
    if found := _SECRET_WORDS.search(text):
        yield from told("secret_word", name, f"holds the word {found[0]}")


def _kinds(contents: Contents) -> Iterator[Finding]:
    for name in sorted(contents.files):
        parts = PurePosixPath(name).parts
        if name in contents.links:
            yield from told("symbolic_link", name, "is a symbolic link")
        if name.startswith("/") or ".." in parts or "\\" in name:
            yield from told("bad_path", name, "leads out of the package")
        ending = PurePosixPath(name).suffix.lower().lstrip(".")
        magic = next((kind for start, kind in _MAGIC if contents.files[name].startswith(start)), "")
        if {ending, magic} & _FORBIDDEN:
            yield from told("bad_kind", name, f"a package may not hold {magic or ending} files")


def _banner(contents: Contents) -> Iterator[Finding]:
    banner = contents.files.get("assets/banner.png")
    if banner is None:
        return
    size = png_size(banner)
    if size is None:
        yield from told("bad_banner", "assets/banner.png", "is not a PNG")
    elif size not in _BANNERS:
        yield from told("bad_banner", "assets/banner.png", "must be 830x200 or 1660x400")


def png_size(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; None when it is no PNG."""
    if len(content) < 24 or not content.startswith(b"\x89PNG\r\n\x1a\n") or content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


# --- translations -----------------------------------------------------------------------------------------------


def _translation(name: str, manifest: Mapping[str, Any], contents: Contents) -> Iterator[Finding]:
    locale = name.removeprefix("translations/").removesuffix(".json")
    if not LOCALE.match(locale):
        yield from told("bad_translation_name", name, "is not called after a locale such as en or pt-BR")
    try:
        document = contents.document(name, "translation_not_json")
    except Broken as broken:
        yield broken.finding
        return
    if not isinstance(document, Mapping):
        yield from told("translation_not_an_object", name, "must be a JSON object")
        return
    app = document.get("app")
    app = app if isinstance(app, Mapping) else {}
    yield from _labels(name, app)
    if locale == manifest.get("defaultLocale"):
        yield from _wording(name, app, manifest)


def _labels(name: str, app: Mapping[str, Any]) -> Iterator[Finding]:
    parameters = app.get("parameters", {})
    if not isinstance(parameters, Mapping):
        yield from told("bad_translation", name, "app.parameters must be an object")
        return
    for parameter, words in parameters.items():
        if not isinstance(words, Mapping) or not isinstance(words.get("label"), str):
            yield from told("missing_label", name, f"app.parameters.{parameter} has no label")


def _wording(name: str, app: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[Finding]:
    needed = ("name",) if is_private(manifest) else _PUBLIC_KEYS
    sections = {product for product in LOCATIONS if product in app}
    if foreign := sorted(sections - products(manifest)):
        yield from told("foreign_product", name, f"the manifest has no location in {listed(foreign)}")
    for section in sorted(sections) or [""]:
        held = app[section] if section else app
        keys = set(held) if isinstance(held, Mapping) else set()
        if "description" in keys:
            keys.add("short_description")
        if missing := [key for key in needed if key not in keys]:
            yield from told("missing_wording", name, f"app{'.' + section if section else ''} lacks {listed(missing)}")


# --- requirements ------------------------------------------------------------------------------------------------


def _requirements(manifest: Mapping[str, Any], contents: Contents) -> Iterator[Finding]:
    where = "requirements.json"
    if where not in contents.files:
        if manifest.get("requirementsOnly") is True:
            yield from told("missing_requirements", where, "is not there, though the app consists of it")
        return
    if manifest.get("marketingOnly") is True or products(manifest) == {"chat"}:
        yield from told("requirements_not_allowed", where, "this kind of app has no requirements")
        return
    try:
        document = contents.document(where, "requirements_not_json")
    except Broken as broken:
        yield broken.finding
        return
    if not isinstance(document, Mapping):
        yield from told("requirements_not_json", where, "must be a JSON object")
        return
    if unknown := sorted(set(document) - _REQUIREMENTS):
        yield from told("unknown_requirement", where, f"there is no kind {listed(unknown)}")
    if sum(len(held) if isinstance(held, Mapping | list) else 1 for held in document.values()) > _MOST_REQUIREMENTS:
        yield from told("too_many_requirements", where, f"holds more than {_MOST_REQUIREMENTS} entries")
    for kind, held in document.items():
        if isinstance(held, Mapping):
            yield from _entries(where, kind, held)


def _entries(where: str, kind: str, held: Mapping[str, Any]) -> Iterator[Finding]:
    if kind == "custom_objects":
        yield from _objects(where, held)
        return
    if kind == "channel_integrations" and len(held) > 1:
        yield from told("many_channel_integrations", where, "holds more than one channel integration")
    needed = {"webhooks": _WEBHOOK, "channel_integrations": ("manifest_url",)}.get(kind, ())
    if kind not in _UNTITLED:
        needed = ("title", "key") if kind in {"user_fields", "organization_fields"} else ("title",)
    for identifier, entry in held.items():
        keys = entry if isinstance(entry, Mapping) else {}
        if missing := [name for name in needed if name not in keys]:
            yield from told("requirement_keys", where, f"{kind}.{identifier} lacks {listed(missing)}")


def _objects(where: str, held: Mapping[str, Any]) -> Iterator[Finding]:
    if unknown := sorted(set(held) - set(_OBJECTS)):
        yield from told("requirement_keys", where, f"custom_objects may not hold {listed(unknown)}")
    for kind, needed in _OBJECTS.items():
        entries = held.get(kind, [])
        entries = entries if isinstance(entries, list) else []
        if len(entries) > _MOST_OBJECTS:
            yield from told("too_many_objects", where, f"{kind} holds more than {_MOST_OBJECTS} entries")
        for entry in entries:
            if not isinstance(entry, Mapping) or set(entry) != needed:
                yield from told("requirement_keys", where, f"each of {kind} has {listed(sorted(needed))} and no more")
