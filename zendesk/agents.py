"""Who is the agent, what may they do, and may they see this ticket? Read from Zendesk, kept at most 60 seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.policy import Policy
from integrations.errors import Forbidden, NotFound
from integrations.zendesk_client import ZendeskClient
from integrations.zendesk_schemas import Ticket, User
from zendesk.refusals import Refusal

KEPT = timedelta(seconds=60)
ROLES = frozenset({"agent", "admin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An active agent or admin of this Zendesk."""

    id: int
    name: str
    role: str
    locale: str
    groups: frozenset[int]
    group_names: frozenset[str]  # read only where policy.toml names groups; letter case folded
    restriction: str | None  # Zendesk's ticket_restriction: None means every ticket


class Agents:
    """Reads agents through the Zendesk client; `may_*` answers, `check_*` raises Refusal."""

    def __init__(self, client: ZendeskClient, policy: Policy, now: Callable[[], datetime]) -> None:
        self._client, self._policy, self._now = client, policy, now
        # A group that is called like a role gives nobody that role's rights.
        self._named = {one.casefold() for one in policy.approve if not one.isdigit()} - ROLES
        self._kept: dict[int, tuple[datetime, Agent]] = {}
        self._lock = threading.Lock()

    def read(self, agent_id: int) -> Agent:
        """The agent as Zendesk has them now (at most 60 s old). Raises Refusal for end users and suspended ones."""
        with self._lock:
            kept = self._kept.get(agent_id)
        if kept is not None and self._now() - kept[0] < KEPT:
            return kept[1]
        try:
            user = self._client.user(agent_id)
        except NotFound as error:
            raise Refusal("not_allowed", "Zendesk does not know this agent any more.") from error
        if user.role not in ROLES or user.suspended or not user.active:
            raise Refusal("not_allowed", "Only active agents of this Zendesk can use the billing card.")
        agent = _agent(user, self._groups(agent_id), self._group_names(agent_id))
        with self._lock:
            self._kept[agent_id] = (self._now(), agent)
        return agent

    def _groups(self, agent_id: int) -> frozenset[int]:
        """The agent's groups; none where Zendesk does not tell, which only takes rights away."""
        try:
            return frozenset(one.group_id for one in self._client.group_memberships(agent_id))
        except (NotFound, Forbidden):
            return frozenset()

    def _group_names(self, agent_id: int) -> frozenset[str]:
        """The names of the agent's groups, where policy.toml names any; like `_groups`, none where nobody tells."""
        if not self._named:
            return frozenset()
        try:
            return frozenset(one.name.casefold() for one in self._client.groups(agent_id))
        except (NotFound, Forbidden):
            return frozenset()

    def forget(self, agent_id: int) -> None:
        """Read the agent anew next time: before money moves."""
        with self._lock:
            self._kept.pop(agent_id, None)

    def may_approve(self, agent: Agent) -> bool:
        by_number = any(str(group) in self._policy.approve for group in agent.groups)
        return agent.role in self._policy.approve or by_number or bool(self._named & agent.group_names)

    def check_may_approve(self, agent: Agent) -> None:
        if not self.may_approve(agent):
            wanted = " or ".join(self._policy.approve)
            raise Refusal("not_allowed", f"Approving needs the role or group {wanted}. Your role is {agent.role}.")

    def check_may_see(self, agent: Agent, ticket: Ticket) -> None:
        """Raise Refusal unless the agent's ticket restriction in Zendesk lets them open this ticket."""
        allowed: Mapping[str | None, bool] = {
            None: True,
            "groups": ticket.group_id in agent.groups,
            "assigned": ticket.assignee_id == agent.id,
            "requested": ticket.requester_id == agent.id,
        }
        if agent.role != "admin" and not allowed.get(agent.restriction, False):
            raise Refusal("no_access_to_ticket", "Zendesk does not let you open this ticket.")


def _agent(user: User, groups: frozenset[int], names: frozenset[str]) -> Agent:
    return Agent(
        id=user.id, name=user.name or f"agent {user.id}", role=user.role, locale=user.locale or "en", groups=groups,
        group_names=names, restriction=user.ticket_restriction,
    )  # fmt: skip
