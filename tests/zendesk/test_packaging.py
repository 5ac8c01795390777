"""Is our app package always the same bytes, and does each of Zendesk's rules find the package that breaks it?"""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from zendesk.package_files import png_size
from zendesk.packaging import PACKAGE, build, validate
from zendesk.setup_commands import package as package_command

MANIFEST: dict[str, Any] = {
    "author": {"name": "A", "email": "a@example.com"},
    "defaultLocale": "en",
    "private": True,
    "frameworkVersion": "2.0",
    "signedUrls": True,
    "location": {"support": {"ticket_sidebar": {"url": "https://a.example/x", "flexible": True}}},
    "parameters": [{"name": "address", "type": "url", "required": True}],
}
ENGLISH: dict[str, Any] = {"app": {"name": "A", "parameters": {"address": {"label": "Address"}}}}
Change = Callable[[dict[str, Any]], object]


def packed(files: dict[str, bytes | str | dict[str, Any]]) -> bytes:
    """A zip of these files; an object becomes JSON."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, json.dumps(content) if isinstance(content, dict) else content)
    return held.getvalue()


def variant(*, manifest: Change | None = None, english: Change | None = None, **files: Any) -> bytes:
    """A sound package with changes; of other files `__` in a name stands for a slash and `_dot_` for a dot."""
    changed, words = copy.deepcopy(MANIFEST), copy.deepcopy(ENGLISH)
    if manifest is not None:
        manifest(changed)
    if english is not None:
        english(words)
    more = {name.replace("__", "/").replace("_dot_", "."): content for name, content in files.items()}
    return packed({"manifest.json": changed, "translations/en.json": words, **more})


def put(**values: Any) -> Change:
    return lambda held: held.update(values)


def out(name: str) -> Change:
    return lambda held: held.pop(name)


def place(value: Any) -> Change:
    return put(location={"support": {"ticket_sidebar": value}})


def parameter(**values: Any) -> Change:
    return put(parameters=[{"name": "a", "type": "text", **values}])


def requirements(**kinds: Any) -> bytes:
    return variant(requirements_dot_json=kinds)


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x06\0\0\0"


def with_link() -> bytes:
    held = io.BytesIO(variant())
    with zipfile.ZipFile(held, "a") as archive:
        entry = zipfile.ZipInfo("assets/link.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return held.getvalue()


OAUTH = {"client_id": "1", "client_secret": "2", "authorize_uri": "3", "access_token_uri": "4"}
MARKETING = put(marketingOnly=True, private=False, location={}, frameworkVersion=None, parameters=[])
BROKEN: list[tuple[str, bytes]] = [
    ("not_a_zip", b"PK but no more"),
    ("missing_manifest", packed({"translations/en.json": ENGLISH})),
    ("nested_manifest", packed({"app/manifest.json": MANIFEST})),
    ("manifest_not_json", packed({"manifest.json": "{"})),
    ("manifest_not_json", packed({"manifest.json": "[]"})),
    ("manifest_not_json_twice", packed({"manifest.json": '{"author": {"name": "a", "name": "b"}}'})),
    ("missing_keys", variant(manifest=out("author"))),
    ("missing_keys", variant(manifest=out("defaultLocale"))),
    ("missing_keys", variant(manifest=out("location"))),
    ("missing_keys", variant(manifest=out("frameworkVersion"))),
    ("bad_framework", variant(manifest=put(frameworkVersion="2"))),
    ("not_a_boolean", variant(manifest=put(signedUrls="yes"))),
    ("not_a_boolean", variant(manifest=put(singleInstall=1))),
    ("not_a_string", variant(manifest=put(version=1))),
    ("not_a_string", variant(manifest=put(author={"name": 7}))),
    ("not_an_object", variant(manifest=put(author="me"))),
    ("not_an_object", variant(manifest=put(experiments=[]))),
    ("unknown_experiment", variant(manifest=put(private=False, experiments={"mine": True}))),
    ("not_a_list_of_strings", variant(manifest=put(domainWhitelist=["a.example", 1]))),
    ("not_a_list", variant(manifest=put(parameters={"name": "a"}))),
    ("bad_address", variant(manifest=put(author={"url": "ftp://a.example"}))),
    ("bad_address", variant(manifest=put(termsConditionsURL="nowhere"))),
    ("bad_locale", variant(manifest=put(defaultLocale="english"))),
    ("missing_translation", variant(manifest=put(defaultLocale="fr"))),
    ("no_template", variant(manifest=put(noTemplate=True))),
    ("no_template", variant(manifest=put(noTemplate=["ticket_sidebar"]))),
    ("location_not_a_url", variant(manifest=put(location=["ticket_sidebar"]))),
    ("location_not_a_url", variant(manifest=place("_legacy"))),
    ("unknown_host", variant(manifest=put(location={"phone": {"sidebar": "https://a.example"}}))),
    ("unknown_location", variant(manifest=put(location={"support": {"roof": "https://a.example"}}))),
    ("blank_address", variant(manifest=place({"url": ""}))),
    ("bad_page", variant(manifest=place("http://127.0.0.1:8080/x"))),
    ("bad_page", variant(manifest=place("assets/gone.html"))),
    ("bad_page", variant(manifest=place("https://a b"))),
    ("flexible_not_a_boolean", variant(manifest=place({"url": "https://a.example", "flexible": "yes"}))),
    ("duplicate_parameter", variant(manifest=put(parameters=[{"name": "a"}, {"name": "a"}]))),
    ("parameter_called_name", variant(manifest=parameter(name="name"))),
    ("not_a_boolean", variant(manifest=parameter(required="yes"))),
    ("not_a_boolean", variant(manifest=parameter(secure=0))),
    ("hidden_and_required", variant(manifest=parameter(type="hidden", required=True))),
    ("bad_parameter_type", variant(manifest=parameter(type="password"))),
    ("bad_parameter_type", variant(manifest=parameter(type="dropdown"))),
    ("too_many_oauth", variant(manifest=put(parameters=[{"name": n, "type": "oauth"} for n in "ab"]))),
    ("secure_oauth", variant(manifest=parameter(type="oauth", secure=True))),
    ("scopes_without_secure", variant(manifest=parameter(scopes=["header"]))),
    ("bad_scopes", variant(manifest=parameter(secure=True, scopes=[]))),
    ("bad_scopes", variant(manifest=parameter(secure=True, scopes="header"))),
    ("bad_scopes", variant(manifest=parameter(secure=True, scopes=["cookie"]))),
    ("oauth_keys", variant(manifest=put(oauth={**OAUTH, "client_secret": ""}))),
    ("oauth_parameter", variant(manifest=put(oauth=OAUTH))),
    ("location_not_allowed", variant(manifest=put(requirementsOnly=True, frameworkVersion=None))),
    ("framework_not_allowed", variant(manifest=put(requirementsOnly=True, location={}))),
    ("missing_requirements", variant(manifest=put(requirementsOnly=True, location={}, frameworkVersion=None))),
    ("parameters_not_allowed", variant(manifest=put(marketingOnly=True))),
    ("private_marketing", variant(manifest=put(marketingOnly=True))),
    ("source_not_allowed", variant(manifest=MARKETING, assets__a_dot_js="1")),
    ("bad_translation_name", variant(translations__english_dot_json="{}")),
    ("translation_not_json", variant(translations__de_dot_json="{")),
    ("translation_not_json_twice", variant(translations__de_dot_json='{"app": 1, "app": 2}')),
    ("translation_not_an_object", variant(translations__de_dot_json="[]")),
    ("bad_translation", variant(english=put(app={"name": "A", "parameters": []}))),
    ("missing_label", variant(english=put(app={"name": "A", "parameters": {"address": {}}}))),
    ("missing_wording", variant(english=put(app={}))),
    ("missing_wording", variant(manifest=put(private=False))),
    ("foreign_product", variant(english=put(app={"name": "A", "sell": {"name": "A"}}))),
    ("symbolic_link", with_link()),
    ("bad_path", packed({"manifest.json": MANIFEST, "translations/en.json": ENGLISH, "../out.png": b"1"})),
    ("bad_kind", variant(assets__a_dot_pdf="text")),
    ("bad_kind", variant(assets__a_dot_png=b"PK\x03\x04 a zip with another name")),
    ("bad_banner", variant(assets__banner_dot_png=png(320, 320))),
    ("bad_banner", variant(assets__banner_dot_png="no picture")),
    ("requirements_not_json", variant(requirements_dot_json="{")),
    ("requirements_not_json_twice", variant(requirements_dot_json='{"macros": {}, "macros": {}}')),
    ("requirements_not_allowed", variant(manifest=MARKETING, requirements_dot_json={})),
    ("unknown_requirement", requirements(wishes={})),
    ("too_many_requirements", requirements(macros={str(n): {"title": "m"} for n in range(5001)})),
    ("requirement_keys", requirements(ticket_fields={"a": {"type": "text"}})),
    ("requirement_keys", requirements(user_fields={"a": {"title": "A"}})),
    ("requirement_keys", requirements(webhooks={"a": {"name": "A", "status": "active"}})),
    ("requirement_keys", requirements(channel_integrations={"a": {}})),
    ("many_channel_integrations", requirements(channel_integrations={n: {"manifest_url": "/m"} for n in "ab"})),
    ("requirement_keys", requirements(custom_objects={"wishes": []})),
    ("requirement_keys", requirements(custom_objects={"custom_object_types": [{"key": "a"}]})),
    (
        "too_many_objects",
        requirements(custom_objects={"custom_object_types": [{"key": str(n), "schema": {}} for n in range(51)]}),
    ),
]
WARNED: list[tuple[str, bytes]] = [
    ("parameter_not_secure", variant(manifest=parameter(name="api_token"))),
    ("parameter_default", variant(manifest=parameter(secure=True, default="x", scopes=["header"]))),
    ("parameter_default", variant(manifest=parameter(type="hidden", default="x"))),
    ("parameter_scopes", variant(manifest=parameter(secure=True))),
    ("plain_http", variant(assets__a_dot_js="fetch('http://a.example')")),
    ("active_svg", variant(assets__a_dot_svg="<svg onload='x()'/>")),
    ("secret", variant(assets__a_dot_js="const key = 'AKIA" + "A" * 16 + "'")),
    ("secret", variant(assets__a_dot_html="<!-- -----BEGIN RSA PRIVATE KEY----- -->")),
    ("secret_word", variant(assets__a_dot_js="let password = 1")),
]


def test_the_package_is_byte_identical_whenever_and_wherever_it_is_built(tmp_path: Path) -> None:
    copied = shutil.copytree(PACKAGE, tmp_path / "elsewhere")
    for path in copied.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert build(copied) == build()


def test_the_package_has_the_files_that_zendesk_expects_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(build())) as archive:
        assert archive.namelist() == [
            "assets/logo-small.png", "assets/logo.png", "manifest.json", "translations/de.json", "translations/en.json",
        ]  # fmt: skip
        assert png_size(archive.read("assets/logo.png")) == (320, 320)
        assert png_size(archive.read("assets/logo-small.png")) == (128, 128)


def test_our_own_package_breaks_no_rule_and_draws_no_warning() -> None:
    findings = validate(build())
    assert findings.good
    assert findings.codes == frozenset()


def test_the_sidebar_is_signed_and_reached_at_the_address_that_the_admin_gives() -> None:
    manifest = json.loads((PACKAGE / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["signedUrls"] is True
    sidebar = manifest["location"]["support"]["ticket_sidebar"]
    assert sidebar["url"] == "{{setting.sidecar_url}}/zendesk/sidebar"
    assert manifest["parameters"] == [{"name": "sidecar_url", "type": "url", "required": True}]


def test_the_variants_below_are_sound_before_they_are_broken() -> None:
    assert validate(variant()).codes == frozenset()
    assert validate(variant(manifest=place("http://localhost:8080/x"))).good
    assert validate(variant(manifest=place("assets/a.html"), assets__a_dot_html="<p>")).good
    assert validate(requirements(ticket_fields={"a": {"title": "A", "type": "text"}})).good
    assert validate(variant(assets__banner_dot_png=png(830, 200))).good


@pytest.mark.parametrize(("code", "package"), BROKEN, ids=[f"{n}-{code}" for n, (code, _) in enumerate(BROKEN)])
def test_each_broken_rule_is_an_error_of_its_own(code: str, package: bytes) -> None:
    assert code in {finding.code for finding in validate(package).errors}


@pytest.mark.parametrize(("code", "package"), WARNED, ids=[f"{n}-{code}" for n, (code, _) in enumerate(WARNED)])
def test_what_is_unwise_is_a_warning_and_the_package_still_good(code: str, package: bytes) -> None:
    findings = validate(package)
    assert findings.good
    assert code in {finding.code for finding in findings.warnings}


def test_the_command_writes_the_package_and_says_that_it_is_valid(tmp_path: Path) -> None:
    target = tmp_path / "app.zip"
    result = CliRunner().invoke(package_command, ["-o", str(target)])
    assert result.exit_code == 0
    assert target.read_bytes() == build()
    assert "no errors" in result.output
    assert all(len(line) <= 80 for line in result.output.splitlines())


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(package_command, ["-o", str(tmp_path / "none" / "app.zip")])
    assert result.exit_code == 2
    assert "cannot be written" in result.output
