"""Which bytes are our Zendesk app, and would Zendesk take them? Offline, the same bytes for the same files.

Vendor page: developer.zendesk.com/documentation/apps/app-developer-guide/manifest
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from zendesk import package_files, package_manifest
from zendesk.package_findings import Broken, Contents, Finding, Findings, unpack

PACKAGE = Path(__file__).parent / "package"
_PARTS = ("manifest.json", "requirements.json", "translations/*.json", "assets/*.png", "assets/*.svg")
_MOMENT = (1980, 1, 1, 0, 0, 0)  # the first that a zip can name
_MODE, _UNIX = 0o100644 << 16, 3


def build(folder: Path = PACKAGE) -> bytes:
    """The app as a zip. Stored, because what a compressor gives differs between versions of zlib."""
    names = sorted({path.relative_to(folder).as_posix() for part in _PARTS for path in folder.glob(part)})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.create_system, entry.external_attr = _UNIX, _MODE
            archive.writestr(entry, (folder / name).read_bytes())
    return packed.getvalue()


def validate(package: bytes) -> Findings:
    """What Zendesk's own validation would say about any app package."""
    try:
        contents = unpack(package)
        manifest = _manifest(contents)
    except Broken as broken:
        return Findings(errors=(broken.finding,))
    errors = [*package_manifest.errors(manifest, contents), *package_files.errors(manifest, contents)]
    warnings = [*package_manifest.warnings(manifest), *package_files.warnings(contents)]
    return Findings(errors=_once(errors), warnings=_once(warnings))


def _manifest(contents: Contents) -> Mapping[str, object]:
    name = package_manifest.WHERE
    if name not in contents.files:
        nested = next((path for path in sorted(contents.files) if path.endswith("/" + name)), "")
        if nested.count("/") == 1:
            raise Broken("nested_manifest", nested, "must lie at the root: pack the folder's contents, not the folder")
        raise Broken("missing_manifest", name, "is not there")
    manifest = contents.document(name, "manifest_not_json")
    if not isinstance(manifest, Mapping):
        raise Broken("manifest_not_json", name, "must be a JSON object")
    return manifest


def _once(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys(findings))
