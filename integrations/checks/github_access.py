"""Can product issues be filed in each repository that a gap goes to? Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from integrations.checks.asking import CALL_SECONDS, Clocks, failed
from integrations.checks.report import Ability, Check, State
from integrations.errors import Forbidden, Moved, NotFound, OutsideError, Refused
from integrations.github_client import GitHubClient, configured
from integrations.github_schemas import Repository
from integrations.http import Door
from integrations.settings import Settings

GROUP = "GitHub"
NO_ISSUE = 2_147_483_647
"""A number that no issue has: changing nothing about it shows whether we may."""
SHOWN_LABELS = 3
_PERMISSION_FIX = "Give the App or the token the repository permission Issues: Read and write."


def repository(settings: Settings, name: str, labels: Sequence[str], clocks: Clocks) -> Callable[[], Sequence[Check]]:
    """The checks of one repository."""
    if not settings.github:
        told = "not configured; it enables product issues (GITHUB_REPOSITORY and an App or token)"
        skipped = _check("Repository", State.SKIP, told)
        return lambda: [skipped]

    def ask() -> Sequence[Check]:
        client = _client(settings, name, clocks)
        try:
            found = client.repository()
        except OutsideError as error:
            return [_unseen(name, error)]
        checks = _repository(name, found)
        if any(check.state is State.FAIL for check in checks):
            return checks
        return [*checks, _may_write(client), _labels(client, labels)]

    return ask


def _client(settings: Settings, name: str, clocks: Clocks) -> GitHubClient:
    door = Door("github", settings.github_api_base, total_seconds=CALL_SECONDS, concurrency=2, read_attempts=1)
    clocks.listen(door.session())
    return GitHubClient(door, name, configured(settings), create_spacing_seconds=0.0)


def _unseen(name: str, error: OutsideError) -> Check:
    if isinstance(error, NotFound):
        told = f"{name} does not exist, or these credentials do not see it"
        return _check("Repository", State.FAIL, told, "Check GITHUB_REPOSITORY; give the App or token access to it.")
    if isinstance(error, Moved):
        return _check("Repository", State.FAIL, f"{name} was renamed or moved", "Put its new name into the settings.")
    fix = "Check GITHUB_TOKEN, or GITHUB_APP_ID, its installation id and its private key."
    return failed(GROUP, "Repository", error, fix, Ability.ISSUES)


def _repository(name: str, found: Repository) -> list[Check]:
    if found.archived:
        return [_check("Repository", State.FAIL, f"{name} is archived", "Unarchive it, or name another repository.")]
    if found.full_name and found.full_name.lower() != name.lower():
        told = f"{name} was renamed or moved"
        return [_check("Repository", State.FAIL, told, f"Put its new name into the settings: {found.full_name[:80]}.")]
    kind = "private" if found.private else "public: everybody can read its issues"
    checks = [_check("Repository", State.OK, f"{name}, {kind}")]
    if not found.has_issues:
        fix = f"{name} > Settings > General > Features: switch Issues on."
        checks.append(_check("Issues", State.FAIL, "issues are switched off", fix))
    return checks


def _may_write(client: GitHubClient) -> Check:
    try:
        client.update_issue(NO_ISSUE)
    except NotFound:
        return _check("Permission", State.OK, "issues: write")
    except Forbidden as error:
        missing = error.permission or "issues=write"
        return _check("Permission", State.FAIL, f"{missing.replace('=', ': ')} is missing", _PERMISSION_FIX)
    except OutsideError as error:
        return failed(GROUP, "Permission", error, _PERMISSION_FIX, Ability.ISSUES)
    return _check("Permission", State.WARN, "an issue that cannot exist was answered for", "Check GITHUB_API_BASE.")


def _labels(client: GitHubClient, wanted: Sequence[str]) -> Check:
    try:
        held = {label.name.lower() for label in client.labels()}
    except Refused as error:
        return failed(GROUP, "Labels", error, _PERMISSION_FIX, Ability.ISSUES)
    except OutsideError as error:
        return failed(GROUP, "Labels", error, "", Ability.ISSUES)
    missing = [label for label in wanted if label.lower() not in held]
    if missing:
        more = f" and {len(missing) - SHOWN_LABELS} more" if len(missing) > SHOWN_LABELS else ""
        told = (
            f"{len(wanted) - len(missing)} of {len(wanted)} exist; missing: {', '.join(missing[:SHOWN_LABELS])}{more}"
        )
        return _check("Labels", State.WARN, told, "Nothing to do: each is made with the first issue that bears it.")
    return _check("Labels", State.OK, f"{len(wanted)} of {len(wanted)} exist")


def _check(name: str, state: State, evidence: str, fix: str = "") -> Check:
    return Check(group=GROUP, name=name, state=state, evidence=evidence, fix=fix, ability=Ability.ISSUES)
