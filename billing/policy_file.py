"""What does a policy.toml say, and on which line is it wrong? Nothing unknown, no wrong unit, no silent default."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from billing.evidence import Bucket
from billing.gap import CATALOGUE
from billing.policy import Example, ExampleSubscription, GitHub, Policy, PolicyError, Products, Refunds

_MOST = 10**12  # minor units or anything else that is counted: beyond it a unit was mistaken
_INTERVALS = ("day", "week", "month", "year", "one_time")
_LANGUAGE = re.compile(r"[a-z]{2}\Z")
_CURRENCY = re.compile(r"[a-z]{3}\Z")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}\Z")
_ENRICHMENT = ("note", "tags", "fields")
_LIMITS = (
    "one_click_limit", "second_approval_above", "per_agent_per_day", "per_step", "per_customer_30_days", "per_day",
)  # fmt: skip


class _Refused(Exception):
    """Something below `path` is wrong; the line is looked up where the text is known."""

    def __init__(self, path: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


class _Table:
    """One table of the file: every key is taken once, and what is left over is unknown."""

    def __init__(self, values: Any, path: tuple[str, ...] = ()) -> None:
        if not isinstance(values, dict):
            raise _Refused(path, f"{_name(path)} is a table, such as [{_name(path)}].")
        self._values: dict[str, Any] = dict(values)
        self._known: list[str] = []
        self.path = path

    def table(self, key: str) -> _Table:
        return _Table(self._take(key, {}), (*self.path, key))

    def whole(self, key: str, default: int, least: int = 0) -> int:
        return self._int((*self.path, key), self._take(key, default), least)

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if type(value) is not bool:
            raise _Refused((*self.path, key), f"{_name((*self.path, key))} is true or false, without quotes.")
        return value

    def text(self, key: str, default: str) -> str:
        return self._text((*self.path, key), self._take(key, default))

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        return self._texts((*self.path, key), self._take(key, list(default)))

    def groups(self, key: str) -> tuple[tuple[str, ...], ...]:
        path = (*self.path, key)
        return tuple(self._texts(path, group) for group in self._list(path, self._take(key, [])))

    def tables(self, key: str) -> Iterator[_Table]:
        for number, values in enumerate(self._list((*self.path, key), self._take(key, []))):
            yield _Table(values, (*self.path, key, str(number)))

    def amounts(self, key: str, default: Mapping[str, int]) -> Mapping[str, int]:
        """Minor units per currency. What is given replaces the default, but `default` always has an answer."""
        given = self._mapping(key)
        for currency, value in given.items():
            path = (*self.path, key, currency)
            if currency != "default" and not _CURRENCY.match(currency):
                raise _Refused(path, f'"{currency}" is not a currency: three lower-case letters (usd), or default.')
            self._int(path, value, 0, " of minor units (cents), such as 2900 for 29.00")
        return {"default": default["default"], **given} if given else default

    def days(self, key: str, default: Mapping[str, int]) -> Mapping[str, int]:
        given = self._mapping(key)
        for interval, value in given.items():
            path = (*self.path, key, interval)
            if interval not in _INTERVALS:
                raise _Refused(path, f'"{interval}" is not an interval: {_or(_INTERVALS)}.')
            self._int(path, value, 0, " of days")
        return {**default, **given}

    def mapping(self, key: str) -> dict[str, str]:
        return {name: self._text((*self.path, key, name), value) for name, value in self._mapping(key).items()}

    def finish(self) -> None:
        """Raises when a key is left that nobody asked for."""
        for key in self._values:
            path = (*self.path, key)
            raise _Refused(path, f"{_name(path)} is not known here: {_or(sorted(self._known))}.")

    def _take(self, key: str, default: Any) -> Any:
        self._known.append(key)
        return self._values.pop(key, default)

    def _mapping(self, key: str) -> dict[str, Any]:
        found = self._take(key, {})
        if not isinstance(found, dict):
            raise _Refused((*self.path, key), f"{_name((*self.path, key))} is a table, such as {{usd = 10000}}.")
        return found

    def _int(self, path: tuple[str, ...], value: Any, least: int, unit: str = "") -> int:
        if type(value) is not int:
            raise _Refused(path, f"{_name(path)} is a whole number{unit}.")
        if not least <= value <= _MOST:
            raise _Refused(path, f"{_name(path)} is {value}; {least} or more is needed.")
        return value

    def _text(self, path: tuple[str, ...], value: Any) -> str:
        if not isinstance(value, str) or any(not letter.isprintable() for letter in value):
            raise _Refused(path, f'{_name(path)} is one line of text in quotes, such as "Acme".')
        return value

    def _list(self, path: tuple[str, ...], value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _Refused(path, f'{_name(path)} is a list, such as ["one", "two"].')
        return value

    def _texts(self, path: tuple[str, ...], value: Any) -> tuple[str, ...]:
        return tuple(self._text(path, entry) for entry in self._list(path, value))


def read_policy(text: str, origin: str) -> Policy:
    """See `billing.policy.parse`."""
    try:
        root = _Table(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at line (\d+), column \d+\)|\(at end of document\)", str(error))
        line = int(where[1]) if where and where[1] else text.count("\n") + 1
        reason = str(error)[: where.start() if where else None].strip().rstrip(".")
        raise PolicyError(line, f"this is not TOML: {reason}.", origin) from error
    try:
        return _policy(root, text)
    except _Refused as refused:
        raise PolicyError(_line(text, refused.path), str(refused), origin) from refused


def _policy(root: _Table, text: str) -> Policy:
    default = Policy()
    people, enrichment, brand = root.table("people"), root.table("enrichment"), root.table("brand")
    retention, stripe = root.table("retention"), root.table("stripe")
    policy = Policy(
        refunds=_refunds(root.table("refunds")),
        products=_products(root.table("products")),
        approve=people.texts("approve", default.approve),
        dry_run=people.flag("dry_run", default.dry_run),
        write=_among(enrichment, "write", _ENRICHMENT, default.write),
        github=_github(root.table("github")),
        brand_name=brand.text("name", default.brand_name),
        sign_off=brand.text("sign_off", default.sign_off),
        languages=_languages(root, default.languages),
        retention_days=retention.whole("days", default.retention_days, least=1),
        stripe_reads_per_month=stripe.whole("reads_per_month", default.stripe_reads_per_month, least=1),
        stripe_reads_per_second=stripe.whole("reads_per_second", default.stripe_reads_per_second, least=1),
        stripe_writes_per_second=stripe.whole("writes_per_second", default.stripe_writes_per_second, least=1),
        examples=tuple(_example(table, text) for table in root.tables("examples")),
    )
    for table in (people, enrichment, brand, retention, stripe, root):
        table.finish()
    if not policy.approve:
        raise _Refused(("people", "approve"), "people.approve is empty, so nobody could approve a plan.")
    return policy


def _refunds(table: _Table) -> Refunds:
    default = Refunds()
    limits: dict[str, Any] = {key: table.amounts(key, getattr(default, key)) for key in _LIMITS}
    days = table.days("window_days", default.window_days)
    hold = table.whole("hold_seconds", default.hold_seconds)
    table.finish()
    if hold > 600:
        raise _Refused(("refunds", "hold_seconds"), f"refunds.hold_seconds is {hold}; at most 600 is possible.")
    return Refunds(window_days=days, hold_seconds=hold, **limits)


def _products(table: _Table) -> Products:
    families = table.groups("families")
    products = Products(
        team=table.texts("team", ()), families=families, owner_keys=table.texts("owner_keys", Products().owner_keys)
    )
    table.finish()
    seen: set[str] = set()
    for family in families:
        if len(family) < 2:
            raise _Refused(("products", "families"), "a family in products.families has at least two products.")
        for product in family:
            if product in seen:
                raise _Refused(("products", "families"), f'"{product}" stands in products.families twice.')
            seen.add(product)
    return products


def _github(table: _Table) -> GitHub:
    routes = table.mapping("routes")
    labels = table.texts("labels", GitHub().labels)
    table.finish()
    for kind, repository in routes.items():
        path = ("github", "routes", kind)
        if kind not in CATALOGUE:
            raise _Refused(path, f'"{kind}" is not a kind of product gap: {_or(sorted(CATALOGUE))}.')
        if not _REPOSITORY.match(repository):
            raise _Refused(path, f'"{repository}" is not a repository: owner/name, such as acme/web.')
    return GitHub(routes=routes, labels=labels)


def _languages(root: _Table, default: tuple[str, ...]) -> tuple[str, ...]:
    languages = root.texts("languages", default)
    for language in languages:
        if not _LANGUAGE.match(language):
            raise _Refused(("languages",), f'"{language}" is not a language: two lower-case letters, such as en.')
    return languages


def _among(table: _Table, key: str, allowed: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    values = table.texts(key, default)
    for value in values:
        if value not in allowed:
            raise _Refused((*table.path, key), f'"{value}" is none of {_or(allowed)}.')
    return values


def _example(table: _Table, text: str) -> Example:
    path = table.path
    name, bucket = table.text("name", ""), table.text("bucket", "")
    words = table.text("text", "")
    subscriptions = tuple(_subscription(entry) for entry in table.tables("subscriptions"))
    table.finish()
    if not name:
        raise _Refused((*path, "name"), "an example has a name.")
    if bucket not in set(Bucket):
        raise _Refused((*path, "bucket"), f'"{bucket}" is not a bucket: {_or([b.value for b in Bucket])}.')
    return Example(name=name, bucket=bucket, text=words, subscriptions=subscriptions, line=_line(text, path))


def _subscription(table: _Table) -> ExampleSubscription:
    default = ExampleSubscription(product="")
    found = ExampleSubscription(
        product=table.text("product", ""),
        interval=table.text("interval", default.interval),
        quantity=table.whole("quantity", default.quantity, least=1),
        amount=table.whole("amount", default.amount),
        currency=table.text("currency", default.currency),
        owner=table.text("owner", "") or None,
    )
    table.finish()
    if not found.product or found.interval not in _INTERVALS[:4] or not _CURRENCY.match(found.currency):
        raise _Refused(table.path, "a subscription of an example has a product, an interval and a lower-case currency.")
    return found


# --- where is it --------------------------------------------------------------------------------------------------

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?\Z")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def _line(text: str, path: tuple[str, ...]) -> int:
    """The line (from 1) on which the longest part of a path stands; a key inside {…} is on its table's line."""
    best, length = 1, 0
    for number, found in _places(text):
        common = len(found) if found == path[: len(found)] else 0
        if common > length:
            best, length = number, common
    return best


def _places(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Every line that opens a table or a key, with its full path; tables of a list are numbered from 0."""
    table: tuple[str, ...] = ()
    counted: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _numbered(_parts(header[2]), counted, opens=header[1] == "[[")
            yield number, table
        elif key := _KEY.match(line):
            yield number, table + _parts(key[1])


def _numbered(parts: tuple[str, ...], counted: dict[tuple[str, ...], int], *, opens: bool) -> tuple[str, ...]:
    path: tuple[str, ...] = ()
    for position, part in enumerate(parts, start=1):
        path += (part,)
        if opens and position == len(parts):
            counted[path] = counted.get(path, -1) + 1
        if path in counted:
            path += (str(counted[path]),)
    return path


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _name(path: tuple[str, ...]) -> str:
    return ".".join(part for part in path if not part.isdigit()) or "the file"


def _or(words: Sequence[str]) -> str:
    return " or ".join((", ".join(words[:-1]), *words[-1:])) if len(words) > 1 else "".join(words)
