"""Can this step be taken back, and how? Each reversible Stripe step has its opposite; the rest says so."""

from __future__ import annotations

from billing import plan
from billing.plan import Step, decode
from integrations.store import approvals, audit
from zendesk.agents import Agent
from zendesk.desk import Desk
from zendesk.refusals import Refusal


def undo(desk: Desk, approval_id: str, step_id: str, agent: Agent) -> None:
    """Reverse one done step. Raises Refusal `not_reversible` for all else."""
    with desk.engine.connect() as connection:
        approval = approvals.read(connection, approval_id)
        found = [one for one in approvals.actions(connection, approval_id) if one.step_id == step_id]
    if approval is None or not found:
        raise Refusal("not_found", "There is no such step.")
    action = found[0]
    if action.state == "undone":
        return
    opposite = opposite_of(decode(action.step)) if action.kind in plan.KINDS else None
    if opposite is None or action.state != "done" or desk.executor is None:
        raise Refusal("not_reversible", "This step cannot be taken back.")
    receipt = desk.executor.perform(
        opposite, step_id=step_id, action=action.id, ticket=approval.ticket_id, key=f"{action.key}:undo"
    )
    if receipt.outcome != "done":
        raise Refusal("upstream_no_answer", "Stripe did not confirm that it was taken back. Try again.")
    now = desk.now()
    with desk.engine.begin() as connection:
        if approvals.change_action(connection, action.id, now, was=["done"], state="undone"):
            body = {"approval": approval_id, "action": action.id, "step": action.kind, "receipt": receipt.object}
            audit.append(
                connection, at=now, actor=f"agent:{agent.id}", event="step_undone", ticket_id=approval.ticket_id,
                body=body,
            )  # fmt: skip


def opposite_of(step: Step) -> Step | None:
    """The step that puts back the state before, None where there is none."""
    match step:
        case plan.ScheduleCancellation():
            return plan.UndoCancellation(subscription=step.subscription)
        case plan.UndoCancellation():
            return plan.ScheduleCancellation(subscription=step.subscription)
        case plan.PauseCollection():
            return plan.ResumeCollection(subscription=step.subscription)
        case plan.ResumeCollection():
            return plan.PauseCollection(subscription=step.subscription)
        case _:
            return None
