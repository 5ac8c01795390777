"""Which calls does the Stripe twin know, and what does a handler get to work with?"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from integrations.twins.stripe_twin import search
from integrations.twins.stripe_twin.refusals import not_modelled
from integrations.twins.stripe_twin.response_types import Obj, skeleton
from integrations.twins.stripe_twin.store import PAGE_NAMES, Store, page

if TYPE_CHECKING:
    from integrations.twins.stripe_twin.twin import StripeTwin

ALWAYS = PAGE_NAMES | {"created", "query", "page"}


@dataclass(frozen=True, slots=True)
class Call:
    """One decoded call. `now` is unix seconds on the twin's clock; `live` the mode of the key."""

    twin: StripeTwin
    params: dict[str, Any]
    ids: tuple[str, ...]
    url: str
    live: bool
    now: int

    @property
    def store(self) -> Store:
        return self.twin.store

    def get(self, kind: str, wanted: str, param: str = "id") -> Obj:
        return self.store.get(kind, wanted, live=self.live, param=param)

    def own(self, kind: str) -> Obj:
        """The object that the URL names first."""
        return self.get(kind, self.ids[0])

    def where(self, kind: str, **fields: Any) -> list[Obj]:
        """Objects of the key's mode, newest first; None does not filter."""
        return [made for made in self.store.where(kind, **fields) if self.store.live[made["id"]] == self.live]

    def page(self, found: Iterable[Obj]) -> Obj:
        return page(list(found), self.params, self.url)

    def search(self, kind: str) -> Obj:
        """The page of search results that the query asks for."""
        found = search.found_by(
            self.store, kind, self.params["query"], live=self.live, now=self.now, lag=self.twin.search_lag
        )
        start, limit = int(self.params.get("page") or 0), int(self.params.get("limit", 10))
        more = len(found) > start + limit
        return {
            "object": "search_result",
            "url": self.url,
            "has_more": more,
            "data": found[start : start + limit],
            "next_page": str(start + limit) if more else None,
        }

    def new(self, kind: str, **fields: Any) -> Obj:
        """A fresh stored object: skeleton, id, created, mode, then the given fields."""
        made = self.unsaved(kind, **fields)
        return self.store.put(made, live=self.live, at=self.now)

    def unsaved(self, kind: str, **fields: Any) -> Obj:
        made = {**skeleton(kind), "id": self.store.fresh_id(kind, self.live)}
        stamps = {"created": self.now, "livemode": self.live}
        return {**made, **{name: value for name, value in stamps.items() if name in made}, **fields}

    def touch(self, changed: Obj) -> Obj:
        """Call before changing an object."""
        self.store.touch(changed, self.now)
        return changed

    def effect(self, words: str) -> None:
        self.twin.effect(words)

    def emit(self, event: str, changed: Obj) -> None:
        self.twin.emit(event, copy.deepcopy(changed), live=self.live)

    def merge_metadata(self, changed: Obj) -> bool:
        """Fold the call's metadata into the object as Stripe does: "" unsets a key, or all. True: there was some."""
        if "metadata" not in self.params:
            return False
        given = self.params["metadata"]
        merged = {} if given == "" else {**(changed.get("metadata") or {}), **given}
        changed["metadata"] = {key: value for key, value in merged.items() if value != ""}
        return True


@dataclass(frozen=True, slots=True)
class Route:
    """A call. `params`: its TypedDict in stripe.params; `models`: what the handler plays, the rest answers 501."""

    method: str
    template: str
    params: str
    permission: str
    kind: str
    models: frozenset[str]
    handler: Callable[[Call], Obj]
    lists: bool
    pattern: re.Pattern[str]

    def refuse_unmodelled(self, given: Iterable[str]) -> None:
        for name in given:
            if name not in self.models and name not in ALWAYS:
                raise not_modelled(f"parameter {name} of {self.method} {self.template}")


ROUTES: list[Route] = []


def route(
    method: str,
    template: str,
    params: str,
    kind: str,
    *,
    models: str = "",
    area: str | None = None,
    reads: bool = False,
) -> Callable[[Callable[[Call], Obj]], Callable[[Call], Obj]]:
    """Register a handler. `{}` in the template is an id; `area` names the permission, else the kind does."""

    def register(handler: Callable[[Call], Obj]) -> Callable[[Call], Obj]:
        deed = "read" if reads or method == "GET" else "write"
        pattern = re.compile("/".join("([^/]+)" if step == "{}" else re.escape(step) for step in template.split("/")))
        lists = method == "GET" and params.endswith(("ListParams", "SearchParams"))
        ROUTES.append(
            Route(
                method,
                template,
                params,
                f"rak_{area or kind}_{deed}",
                kind,
                frozenset(models.split()),
                handler,
                lists,
                pattern,
            )
        )
        return handler

    return register


def matching(method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
    """The route of a request; fixed names win over ids (customers/search over customers/{})."""
    found = [
        (made, matched.groups())
        for made in ROUTES
        if made.method == method and (matched := made.pattern.fullmatch(path))
    ]
    return min(found, key=lambda pair: len(pair[1]), default=None)
