"""What is wrong with an app package, and what is in it? The values that its rules read and give."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

MOST_FILES, MOST_BYTES = 2000, 40 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken rule. `code` is ours and stays; `where` is a file or a field."""

    code: str
    where: str
    says: str

    def __str__(self) -> str:
        return f"{self.where}: {self.says} ({self.code})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Zendesk refuses a package with errors; warnings it only shows."""

    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def good(self) -> bool:
        return not self.errors

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(finding.code for finding in (*self.errors, *self.warnings))


class Broken(Exception):
    """The rest of a file cannot be judged; carries the finding."""

    def __init__(self, code: str, where: str, says: str) -> None:
        super().__init__(says)
        self.finding = Finding(code=code, where=where, says=says)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The files of a package by name; folders are left out."""

    files: dict[str, bytes]
    links: frozenset[str] = frozenset()

    def text(self, name: str) -> str:
        return self.files[name].decode("utf-8", "replace")

    def document(self, name: str, code: str) -> Any:
        """The file as JSON. Raises Broken under `code` when it is none, `<code>_twice` for a repeated key."""

        def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            seen = [key for key, _ in pairs]
            if len(set(seen)) != len(seen):
                twice = sorted({key for key in seen if seen.count(key) > 1})
                raise Broken(f"{code}_twice", name, f"repeats the key {', '.join(twice)}")
            return dict(pairs)

        try:
            return json.loads(self.files[name].decode("utf-8-sig"), object_pairs_hook=once)
        except (ValueError, RecursionError) as error:
            raise Broken(code, name, "is not JSON") from error


def unpack(package: bytes) -> Contents:
    """What a zip holds. Raises Broken for anything that is no usable zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise Broken("too_large", "package", "holds too many or too large files")
            links = frozenset(entry.filename for entry in entries if stat.S_ISLNK(entry.external_attr >> 16))
            return Contents(files={entry.filename: archive.read(entry) for entry in entries}, links=links)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError, OSError, EOFError) as error:
        raise Broken("not_a_zip", "package", "is not a zip file that can be read") from error


def told(code: str, where: str, says: str) -> Iterator[Finding]:
    yield Finding(code=code, where=where, says=says)


def listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names)
