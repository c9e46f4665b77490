"""A workflow's schedule at EventBridge Scheduler, kept like what is stored, whoever else is at it.

Scheduler knows no condition: of two who change one workflow, the one who is refused may have had
the last word there. So whoever may be wrong reads what is stored afterwards; and a tick says which
schedule it is of.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from integrations.errors import InvalidInput, UnknownWorkflow
from integrations.services.triggers import SCHEDULE_KEY
from integrations.storage.schedules import Schedules
from integrations.storage.workflows import StoredWorkflow, Workflows
from integrations.workflows.schedules import Schedule, parse_schedule, understood

if TYPE_CHECKING:
    from integrations.models import Json

_log = logging.getLogger(__name__)

ATTEMPTS: Final = 5
"""How often at most it is set anew because the workflow was changed meanwhile."""


def settle(
    workflows: Workflows, schedules: Schedules, tenant: str, workflow_id: str, moment: datetime
) -> None:
    """Have Scheduler fire a workflow as it is stored, or not at all.

    What is stored is read again afterwards: who has saved it meanwhile was perhaps overtaken here.
    """
    try:
        wanted = _wanted(workflows, tenant, workflow_id, moment)
        for _ in range(ATTEMPTS):
            if wanted:
                schedules.put(tenant, workflow_id, wanted.expression, wanted.timezone)
            else:
                schedules.delete(tenant, workflow_id)
            put, wanted = wanted, _wanted(workflows, tenant, workflow_id, moment)
            if wanted == put:
                return
    except (InvalidInput, ValueError) as refused:  # not what was understood when it was saved
        _log.warning("left as it is: the schedule of %s: %s", workflow_id, refused)


def is_scheduled(workflow: StoredWorkflow) -> bool:
    """Whether a schedule starts it."""
    return workflow.enabled and workflow.trigger_key == SCHEDULE_KEY


def is_due(workflow: StoredWorkflow, tick: Mapping[str, Any]) -> bool:
    """Whether a tick is of the schedule that a workflow has now.

    Args:
        workflow: As it is stored.
        tick: Whose it is, and of which schedule; one that was made before ticks said so is due.
    """
    if not is_scheduled(workflow):
        return False
    if "expression" not in tick:
        return True
    try:
        return Schedule(str(tick["expression"]), str(tick["timezone"])) == understood(
            _trigger(workflow)
        )
    except ValueError:
        return True  # it was understood when it was saved


def _wanted(
    workflows: Workflows, tenant: str, workflow_id: str, moment: datetime
) -> Schedule | None:
    try:
        workflow = workflows.get(tenant, workflow_id)
    except UnknownWorkflow:
        return None
    if not is_scheduled(workflow):
        return None
    schedule = parse_schedule(_trigger(workflow))
    last = schedule.last()
    # What never fires again has gone by itself.
    return None if last and last <= moment else schedule


def _trigger(workflow: StoredWorkflow) -> "Mapping[str, Json]":
    return cast("Mapping[str, Json]", workflow.definition["trigger"])
