"""Is there one issue for the gap behind this ticket, and does it count the ticket? One issue a gap, whatever breaks.

Truth is our own table: the wish to create is stored before the call, so of any number of workers one creates. After a
lost answer the issue is found again by listing its label and looking for the signed marker, never by search, which
lags. What people change in title, text, labels and state stays; only the managed block and our own labels are ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from billing.gap import CATALOGUE, QUIET_DAYS, fingerprint
from billing.policy import Policy
from github_issues import issue as texts
from github_issues.issue import Frame, Occurrence
from github_issues.ledger import ledger, occurrences
from github_issues.outgoing import check
from github_issues.pace import NotYet, Pace, not_yet
from integrations.errors import NotFound, OutsideError, RateLimited
from integrations.github_client import GitHubClient
from integrations.github_schemas import Issue
from integrations.store.deliveries import insert_ignore
from integrations.store.tables import gap, gap_ticket

__all__ = ["Filed", "Filing", "Occurrence", "Place", "ledger"]

# A creation without an answer may still be under way for so long: our deadline for a call, and a little more.
UNANSWERED = timedelta(seconds=20)
_PAUSE = 60.0  # seconds GitHub wants to be left alone when it names none


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """The issue that now counts the ticket. `unsaid`: a comment waits for its turn, `catch_up` brings it."""

    fingerprint: str
    number: int
    url: str
    cases: int
    created: bool
    unsaid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An issue where it is now, which after a transfer is another repository with another number."""

    client: GitHubClient = field(repr=False)
    repository: str
    issue: Issue


class Filing:
    """`client_of` gives the client of a repository (`owner/name`); `keys` sign the marker, the first one signs."""

    def __init__(
        self, engine: sa.Engine, client_of: Callable[[str], GitHubClient], repository: str, policy: Policy,
        now: Callable[[], datetime], *, tickets: str, keys: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._engine, self._client_of, self._default = engine, client_of, repository
        self._policy, self._now, self._tickets = policy, now, tickets
        self._keys = keys or ("",)
        self._pace = Pace(engine, now)

    def repository(self, kind: str) -> str:
        """Where issues of this kind go."""
        return self._policy.github.routes.get(kind, self._default)

    def client(self, repository: str) -> GitHubClient:
        return self._client_of(repository)

    @property
    def common_label(self) -> str | None:
        """A label that all our issues have; None when policy.toml gives none."""
        return next(iter(self._policy.github.labels), None)

    def known(self, kind: str) -> Mapping[str, Any] | None:
        """The issue of this gap as the card shows it; None when there is none yet. `last_seen`: RFC 3339, UTC."""
        mark = fingerprint(kind, self.repository(kind))
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(gap).where(gap.c.fingerprint == mark)).first()
            if row is None or row.issue_number is None:
                return None
            mine = sa.select(sa.func.count()).select_from(gap_ticket).where(gap_ticket.c.fingerprint == mark)
            count = int(connection.execute(mine).scalar_one())
        return {
            "number": row.issue_number, "url": row.issue_url, "cases": count, "state": row.issue_state,
            "owner": row.issue_owner, "last_seen": f"{row.last_seen.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }  # fmt: skip

    def remember(self, kind: str, occurrence: Occurrence, *, customer: str | None) -> str:
        """Count the ticket in our own table only: the next `file` of the gap takes it along. The gap's fingerprint."""
        repository = self.repository(kind)
        mark = fingerprint(kind, repository)
        now = self._now()
        with self._engine.begin() as connection:
            insert_ignore(
                connection, gap, fingerprint=mark, kind=kind, repository=repository, milestone=0, first_seen=now,
                last_seen=now,
            )  # fmt: skip
            connection.execute(sa.update(gap).where(gap.c.fingerprint == mark).values(last_seen=now))
            values = {
                "customer_hash": hashlib.sha256(customer.encode()).hexdigest() if customer else None,
                "pattern": occurrence.pattern[:80], "refunded": dict(occurrence.refunded),
                "at_risk": dict(occurrence.at_risk), "charges": occurrence.charges, "seconds": occurrence.seconds,
                "plan": occurrence.plan[:80] if occurrence.plan else None, "every": occurrence.every,
                "promised": occurrence.promised,
            }  # fmt: skip
            first = {"fingerprint": mark, "ticket_id": occurrence.ticket_id, "seen_at": occurrence.seen_at}
            if not insert_ignore(connection, gap_ticket, **first, **values):
                mine = (gap_ticket.c.fingerprint == mark) & (gap_ticket.c.ticket_id == occurrence.ticket_id)
                connection.execute(sa.update(gap_ticket).where(mine).values(**values))
        return mark

    def file(self, kind: str, occurrence: Occurrence, *, customer: str | None) -> Filed:
        """Create the gap's issue or count the ticket in it. Raises OutsideError; calling again is always safe.

        NotYet, a RateLimited, is our own pace: nothing was asked, and nothing is wrong.
        """
        mark = self.remember(kind, occurrence, customer=customer)
        with self._paced():
            return self._file(kind, mark)

    def catch_up(self, fingerprint: str) -> None:
        """Bring block, labels and comments to what our table says, where there is an issue. Raises like `file`."""
        with self._paced():
            place, kind = self.find(fingerprint), self._row(fingerprint).kind
            if place is not None:
                public = _seen(place.client, place.repository)[1]
                counted, place = self._count(place, kind, fingerprint, public=public)
                self.keep(fingerprint, place)
                self._tell(place, fingerprint, counted, public=public)

    def tick_quiet(self) -> None:
        """Tick "no new ticket for 14 days" in each issue that stayed fixed so long, once. Raises OutsideError."""
        long_ago = self._now() - timedelta(days=QUIET_DAYS)
        fixed = (gap.c.issue_state == "closed") & (gap.c.issue_reason.is_(None) | (gap.c.issue_reason == "completed"))
        quiet = (gap.c.issue_closed_at <= long_ago) & (gap.c.last_seen <= gap.c.issue_closed_at)
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(gap).where(fixed, quiet)).all()
        for row in rows:
            key = f"quiet-{row.issue_closed_at:%Y%m%d%H%M%S}"
            if key not in (row.said or ()):
                with self._paced():
                    place = self.find(row.fingerprint)
                    if place is not None and place.issue.state == "closed":
                        text = texts.ticked(place.issue.body)
                        if text != place.issue.body:
                            place.client.update_issue(place.issue.number, body=text)
                self._set(row.fingerprint, said=[*(row.said or ()), key])

    def find(self, fingerprint: str) -> Place | None:
        """Where the gap's issue is by now; None when there is none or somebody deleted it. Raises OutsideError."""
        row = self._row(fingerprint)
        if row.issue_number is None:
            return None
        repository = row.issue_repository or row.repository
        client = self._client_of(repository)
        try:
            found = client.issue(row.issue_number)
        except NotFound:
            return None
        if found.repository and found.repository.lower() != repository.lower():
            repository = found.repository
            client = self._client_of(repository)
        return Place(client=client, repository=repository, issue=found)

    def keep(self, fingerprint: str, place: Place) -> None:
        """Remember where the issue is and how it stands."""
        row, found = self._row(fingerprint), place.issue
        moved = place.repository if place.repository.lower() != row.repository.lower() else None
        values = {
            "issue_number": found.number, "issue_url": found.html_url[:300], "issue_state": found.state[:16],
            "issue_reason": found.state_reason[:16] if found.state_reason else None,
            "issue_owner": found.assignee[:60] if found.assignee else None, "issue_updated_at": found.updated_at,
            "issue_repository": moved, "creating": None, "creating_at": None,
        }  # fmt: skip
        if found.closed_at is not None:
            values["issue_closed_at"] = found.closed_at
        self._set(fingerprint, **values)

    @contextlib.contextmanager
    def _paced(self) -> Iterator[None]:
        """Not in a pause; and a pause that GitHub asks for holds for all processes."""
        self._pace.check_pause()
        try:
            yield
        except NotYet:
            raise
        except RateLimited as error:
            self._pace.pause(error.retry_after if error.retry_after is not None else _PAUSE)
            raise

    # --- one filing -------------------------------------------------------------------------------------------------

    def _file(self, kind: str, mark: str) -> Filed:
        seen, created = self._row(mark).issue_number, False
        place = self.find(mark)
        if place is None:
            place, public = self._home(self.repository(kind))
            recovered = self._recovered(place, kind, mark)
            created = recovered is None
            issue = recovered or self._create(place, kind, mark, seen, public=public)
            place = Place(client=place.client, repository=place.repository, issue=issue)
            self.keep(mark, place)
        else:
            # Asked anew each time: a repository that became public must not get another table.
            public = _seen(place.client, place.repository)[1]
        counted, place = self._count(place, kind, mark, public=public)
        self.keep(mark, place)
        unsaid = False
        if created:  # what it says at its birth needs no comment
            self._set(mark, milestone=_reached(len(counted)))
        else:
            self._mark_cases(place, len(counted))
            try:
                self._tell(place, mark, counted, public=public)
            except NotYet:
                unsaid = True
        number, url = place.issue.number, place.issue.html_url
        return Filed(fingerprint=mark, number=number, url=url, cases=len(counted), created=created, unsaid=unsaid)

    def _home(self, repository: str) -> tuple[Place, bool]:
        """Where new issues go, under the name the repository has now, and whether everybody can read it."""
        name, public = _seen(self._client_of(repository), repository)
        return Place(client=self._client_of(name), repository=name, issue=Issue(number=0)), public

    def _recovered(self, place: Place, kind: str, mark: str) -> Issue | None:
        """An issue whose creation was never confirmed to us; the oldest when there are several."""
        listed = place.client.issues_by_label(f"gap:{kind}")
        ours = [one for one in listed if texts.carries(one.body, mark, self._keys)]
        return ours[-1] if ours else None

    def _create(self, place: Place, kind: str, mark: str, seen: int | None, *, public: bool) -> Issue:
        """A new issue; GitHub makes the labels that are missing."""
        with self._engine.connect() as connection:
            counted = occurrences(connection, mark)
        text = check(texts.body(self._frame(kind, mark, public=public), counted))
        names = texts.labels(kind, self._policy.github.labels, len(counted))
        self._claim(mark, seen)
        try:
            self._pace.take()
            return place.client.create_issue(title=CATALOGUE[kind].title, body=text, labels=names)
        except OutsideError as error:
            if not (error.unknown_outcome and error.path.endswith("/issues")):
                self._set(mark, creating=None, creating_at=None)
            raise

    def _claim(self, mark: str, seen: int | None) -> None:
        """Store the wish to create in place of the issue `seen`, which is gone.

        Raises NotYet while another creation may be under way, or when one has ended since we looked.
        """
        now = self._now()
        free = gap.c.creating.is_(None) | (gap.c.creating_at <= now - UNANSWERED)
        same = gap.c.issue_number.is_(None) if seen is None else gap.c.issue_number == seen
        mine = sa.update(gap).where(gap.c.fingerprint == mark, same, free)
        with self._engine.begin() as connection:
            values = {"creating": "op_" + secrets.token_hex(12), "creating_at": now}
            if connection.execute(mine.values(**values)).rowcount:
                return
        raise not_yet(2.0)

    def _count(self, place: Place, kind: str, mark: str, *, public: bool) -> tuple[list[Occurrence], Place]:
        """Bring the managed block to what our table says, until nobody has counted another ticket meanwhile."""
        written = ""
        while True:
            with self._engine.connect() as connection:
                counted = occurrences(connection, mark)
            block = check(texts.block(self._frame(kind, mark, public=public), counted))
            text = texts.with_block(place.issue.body, block)
            if text is None or text == place.issue.body or block == written:
                self._set(mark, block_lost_at=None if text is not None else self._now())
                return counted, place
            changed, written = place.client.update_issue(place.issue.number, body=text), block
            place = Place(client=place.client, repository=place.repository, issue=changed)

    # --- what people get to hear ------------------------------------------------------------------------------------

    def _mark_cases(self, place: Place, count: int) -> None:
        """The label `cases: N+`; labels that people set stay."""
        held, wanted = set(place.issue.labels), texts.cases_label(count)
        if wanted not in held:
            place.client.add_label(place.issue.number, wanted)
        for name in held & texts.other_cases_labels(count):
            place.client.remove_label(place.issue.number, name)

    def _tell(self, place: Place, mark: str, counted: list[Occurrence], *, public: bool) -> None:
        """Comments, each once: the block was lost, a milestone, the first and the second ticket after a fix."""
        row = self._row(mark)
        if row.block_lost_at is not None:
            self._say(place, mark, "block-lost", texts.LOST_COMMENT)
        reached = _reached(len(counted))
        if reached > row.milestone:
            text = texts.milestone_comment(len(counted), counted, public=public)
            self._say(place, mark, f"milestone-{reached}", text)
            self._set(mark, milestone=reached)
        closed_at = place.issue.closed_at
        if place.issue.state != "closed" or closed_at is None or place.issue.state_reason not in {"completed", None}:
            return  # "not planned" is somebody's decision, and we do not argue
        if row.came_back_at is not None:
            return  # nor with somebody who closes what we opened
        later = sum(one.seen_at > closed_at for one in counted)
        if later >= 2:
            self._say(place, mark, f"back-{closed_at:%Y%m%d%H%M%S}", texts.back_comment(closed_at))
            opened = place.client.update_issue(place.issue.number, state="open", state_reason="reopened")
            self._set(mark, came_back_at=self._now())
            self.keep(mark, Place(client=place.client, repository=place.repository, issue=opened))
        elif later == 1:
            self._say(place, mark, f"after-{closed_at:%Y%m%d%H%M%S}", texts.after_comment(closed_at))

    def _say(self, place: Place, mark: str, key: str, text: str) -> None:
        """Comment once: our table knows it, or else the issue's comments do."""
        said = list(self._row(mark).said or ())
        if key in said:
            return
        line = texts.said(key)
        if not any(one.body.startswith(line) for one in place.client.comments(place.issue.number)):
            self._pace.take()
            place.client.comment(place.issue.number, check(f"{line}\n{text}"))
        self._set(mark, said=[*said, key])

    # --- the table --------------------------------------------------------------------------------------------------

    def _frame(self, kind: str, mark: str, *, public: bool) -> Frame:
        return Frame(
            kind=kind, fingerprint=mark, tickets=self._tickets, keys=self._keys, now=self._now(), public=public
        )

    def _row(self, mark: str) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(gap).where(gap.c.fingerprint == mark)).one()

    def _set(self, mark: str, **values: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.update(gap).where(gap.c.fingerprint == mark).values(**values))


def _seen(client: GitHubClient, repository: str) -> tuple[str, bool]:
    """The repository's present name, and whether everybody can read it: yes, where GitHub does not tell."""
    try:
        found = client.repository()
    except NotFound:  # a repository that is not there refuses the issue as well
        return repository, True
    return found.full_name or repository, not found.private


def _reached(count: int) -> int:
    """The highest milestone; 0 before the first."""
    return max((step for step in texts.MILESTONES if count >= step), default=0)
