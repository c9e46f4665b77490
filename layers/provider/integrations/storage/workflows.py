"""Workflows: their definitions, and the index that tells which of them an event starts."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast

from integrations.errors import UnknownWorkflow, VersionConflict
from integrations.models import DEFAULT_CONNECTION, Json, from_epoch, now
from integrations.storage.aws import (
    Attribute,
    Aws,
    ConditionFailed,
    attributes,
    counted,
    item,
    rows,
)
from integrations.storage.paging import decode_token, encode_token

FILTERS = "filters"
"""Where the index has a trigger's completed fields, beside the fields as they were written."""


class StoredWorkflow(NamedTuple):
    """A workflow as it is stored.

    Attributes:
        definition: What the tenant wrote, checked.
        version: Counts the replacements (optimistic locking).
        filters: The trigger's own fields, completed for whoever matches events; ``None`` where its
            type has none.
        trigger_key: What an event must match to start it; ``None`` where no event does.
        uses: The connections (``provider#name``) that its trigger and steps use.
        trigger_connection: The one that its events come by.
    """

    tenant: str
    workflow_id: str
    name: str
    enabled: bool
    definition: Mapping[str, Json]
    version: int
    created_at: datetime
    updated_at: datetime
    filters: Mapping[str, Json] | None = None
    trigger_key: str | None = None
    uses: frozenset[str] = frozenset()
    trigger_connection: str | None = None


class WaitingWorkflow(NamedTuple):
    """What the trigger index tells of a workflow: enough to say whether an event starts it.

    Attributes:
        trigger: The trigger of its definition.
        filters: Its own fields, completed; ``None`` where it was saved without them.
        trigger_connection: The connection (``provider#name``) that its events come by.
    """

    tenant: str
    workflow_id: str
    name: str
    trigger: Mapping[str, Json]
    filters: Mapping[str, Json] | None = None
    trigger_connection: str | None = None


class UsingWorkflow(NamedTuple):
    """What tells which connections a workflow uses, and what it waits for; without its steps.

    Attributes:
        trigger: The trigger of its definition.
        uses: The connections (``provider#name``) that its trigger and steps use.
        trigger_key: What an event must match to start it; ``None`` where no event does.
    """

    workflow_id: str
    name: str
    enabled: bool
    trigger: Mapping[str, Json]
    uses: frozenset[str]
    trigger_key: str | None


class Workflows:
    """The Workflows table."""

    def __init__(self, aws: Aws, table: str, *, clock: Callable[[], datetime] = now) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def get(self, tenant: str, workflow_id: str) -> StoredWorkflow:
        """A workflow of this tenant.

        Raises:
            UnknownWorkflow: There is none with this id.
        """
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"tenant": tenant, "workflowId": workflow_id}),
                "ConsistentRead": True,
            },
        )
        if "Item" not in answer:
            detail = f"There is no workflow {workflow_id!r}"
            raise UnknownWorkflow(detail)
        return _workflow(attributes(answer["Item"]))

    def page(
        self, tenant: str, *, limit: int, next_token: str | None
    ) -> tuple[list[StoredWorkflow], str | None]:
        """One page of the tenant's workflows, by id, and the token of the next one.

        Raises:
            InvalidInput: The token is not one of ours.
        """
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "tenant = :tenant",
            "ExpressionAttributeValues": item({":tenant": tenant}),
            "Limit": limit,
        }
        if next_token:
            query["ExclusiveStartKey"] = item(
                {
                    "tenant": tenant,
                    "workflowId": decode_token(next_token, "workflowId")["workflowId"],
                }
            )
        page = self._aws.dynamodb("Query", query)
        last = attributes(page.get("LastEvaluatedKey", {}))
        token = encode_token({"workflowId": last["workflowId"]}) if last else None
        return [_workflow(attributes(record)) for record in page["Items"]], token

    def of_tenant(self, tenant: str) -> Iterator[UsingWorkflow]:
        """All the tenant's workflows, read consistently: one saved a moment ago is among them.

        Without their definitions, which can be a hundred megabytes together.
        """
        query = {
            "TableName": self._table,
            "ConsistentRead": True,
            "KeyConditionExpression": "tenant = :tenant",
            "ExpressionAttributeValues": item({":tenant": tenant}),
            "ProjectionExpression": (
                "tenant, workflowId, #name, enabled, #trigger, #uses, triggerKey, triggerConnection"
            ),
            "ExpressionAttributeNames": {"#name": "name", "#trigger": "trigger", "#uses": "uses"},
        }
        for row in rows(self._aws, "Query", query):
            yield UsingWorkflow(
                workflow_id=row["workflowId"],
                name=row["name"],
                enabled=row["enabled"],
                trigger=self._waiting(row).trigger,
                uses=frozenset(row.get("uses") or ()),
                trigger_key=row.get("triggerKey"),
            )

    def count(self, tenant: str, *, trigger_key: str | None = None) -> int:
        """How many workflows the tenant has, or how many enabled ones with this trigger key."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "KeyConditionExpression": "tenant = :tenant",
            "ExpressionAttributeValues": item({":tenant": tenant}),
        }
        if trigger_key is not None:
            query["FilterExpression"] = "triggerKey = :key"
            query["ExpressionAttributeValues"] |= item({":key": trigger_key})
        return counted(self._aws, query)

    def find(self, tenant: str, workflow_id: str) -> WaitingWorkflow | None:
        """What an event asks of one workflow; ``None`` where there is none."""
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"tenant": tenant, "workflowId": workflow_id}),
                "ProjectionExpression": "tenant, workflowId, #name, #trigger, triggerConnection",
                "ExpressionAttributeNames": {"#name": "name", "#trigger": "trigger"},
                "ConsistentRead": True,
            },
        )
        return self._waiting(attributes(answer["Item"])) if "Item" in answer else None

    def triggered_by(self, trigger_key: str) -> list[WaitingWorkflow]:
        """The enabled workflows that wait for events with this key, without their steps."""
        query = {
            "TableName": self._table,
            "IndexName": "trigger",
            "KeyConditionExpression": "triggerKey = :key",
            "ExpressionAttributeValues": item({":key": trigger_key}),
        }
        return [self._waiting(row) for row in rows(self._aws, "Query", query)]

    def _waiting(self, row: Mapping[str, Any]) -> WaitingWorkflow:
        if "trigger" in row:
            trigger = json.loads(row["trigger"])
            filters = trigger.pop(FILTERS, None)
            return WaitingWorkflow(
                tenant=row["tenant"],
                workflow_id=row["workflowId"],
                name=row["name"],
                trigger=trigger,
                filters=filters,
                trigger_connection=row.get("triggerConnection"),
            )
        # It was saved before the index had the trigger, and has it when it is saved again.
        whole = self.get(row["tenant"], row["workflowId"])
        return WaitingWorkflow(
            tenant=whole.tenant,
            workflow_id=whole.workflow_id,
            name=whole.name,
            trigger=cast("Mapping[str, Json]", whole.definition["trigger"]),
            trigger_connection=whole.trigger_connection,
        )

    def save(self, workflow: StoredWorkflow, *, replaces: int | None) -> StoredWorkflow:
        """Write a workflow; only an enabled one is in the trigger index.

        Raises:
            VersionConflict: Somebody else wrote in between, or deleted it.
        """
        trigger = dict(cast("Mapping[str, Json]", workflow.definition["trigger"]))
        if workflow.filters is not None:
            trigger[FILTERS] = dict(workflow.filters)
        record: dict[str, Attribute] = {
            "tenant": workflow.tenant,
            "workflowId": workflow.workflow_id,
            "name": workflow.name,
            "enabled": workflow.enabled,
            "definition": _text(workflow.definition),
            "version": workflow.version,
            "createdAt": workflow.created_at.timestamp(),
            "updatedAt": workflow.updated_at.timestamp(),
            "triggerKey": workflow.trigger_key if workflow.enabled else None,
            "uses": set(workflow.uses) or None,
            "trigger": _text(trigger),
            "triggerConnection": workflow.trigger_connection,
        }
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(tenant)"}
        if replaces is not None:
            condition = {
                "ConditionExpression": "version = :version",
                "ExpressionAttributeValues": item({":version": replaces}),
            }
        try:
            self._aws.dynamodb(
                "PutItem", {"TableName": self._table, "Item": item(record), **condition}
            )
        except ConditionFailed:
            detail = f"Workflow {workflow.workflow_id} was changed by somebody else; read it again"
            raise VersionConflict(detail) from None
        return workflow

    def delete(self, workflow: StoredWorkflow) -> None:
        """Remove a workflow; its executions stay until their time is up."""
        self._aws.dynamodb(
            "DeleteItem",
            {
                "TableName": self._table,
                "Key": item({"tenant": workflow.tenant, "workflowId": workflow.workflow_id}),
            },
        )


def _text(definition: Mapping[str, Json]) -> str:
    # Escaped, what is not ASCII would take three times its space, of the 400 KB that a row has.
    return json.dumps(dict(definition), ensure_ascii=False, separators=(",", ":"))


def _workflow(record: Mapping[str, Any]) -> StoredWorkflow:
    return StoredWorkflow(
        tenant=record["tenant"],
        workflow_id=record["workflowId"],
        name=record["name"],
        enabled=record["enabled"],
        definition=json.loads(record["definition"]),
        version=record["version"],
        created_at=from_epoch(record["createdAt"]),
        updated_at=from_epoch(record["updatedAt"]),
        filters=json.loads(record.get("trigger", "{}")).get(FILTERS),
        trigger_key=record.get("triggerKey"),
        uses=frozenset(record.get("uses") or ()),
        trigger_connection=record.get("triggerConnection") or _trigger_connection(record),
    )


def _trigger_connection(record: Mapping[str, Any]) -> str | None:
    """The trigger's connection, of a row that has it only among those that the workflow uses."""
    if "trigger" in record:
        return None  # a row of now: its trigger has none
    trigger = json.loads(record["definition"])["trigger"]
    family = trigger["type"].partition(".")[0]
    name = trigger.get("connection", DEFAULT_CONNECTION)
    uses = [each.partition("#") for each in record.get("uses") or ()]
    own = [
        f"{provider}#{connection}"
        for provider, _, connection in uses
        if connection == name and provider.startswith(trigger.get("provider", family))
    ]
    return own[0] if len(own) == 1 else None
