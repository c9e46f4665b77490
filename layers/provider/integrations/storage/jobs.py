"""Jobs: what takes longer than a request, carried on from where the last process stopped."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

from integrations.errors import UnknownJob
from integrations.models import Json, from_epoch, now, rfc3339
from integrations.storage.aws import Attribute, Aws, ConditionFailed, attributes, item, update
from integrations.storage.paging import decode_token, encode_token

type JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]

FINISHED = ("succeeded", "failed", "cancelled")
RETENTION = timedelta(days=90)


class Job(NamedTuple):
    """One job.

    Attributes:
        kind: What it does.
        params: With what.
        cursor: How far it has come; its kind alone understands it.
        total: How many things it is about; ``None`` where that is not known (yet).
        done, failed: How many of them went well, and how many did not.
        error: Why it stopped, or why the last thing failed.
        revision: Counts the writes; each write names the one that it replaces.
        due_at: When its next step may begin; ``None`` for at once.
    """

    tenant: str
    job_id: str
    kind: str
    status: JobStatus
    params: Mapping[str, Json]
    cursor: Mapping[str, Json]
    created_at: datetime
    total: int | None = None
    done: int = 0
    failed: int = 0
    error: str | None = None
    finished_at: datetime | None = None
    revision: int = 0
    due_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in FINISHED


class Jobs:
    """The Jobs table."""

    def __init__(self, aws: Aws, table: str, *, clock: Callable[[], datetime] = now) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def create(self, job: Job) -> bool:
        """Write a new job, once. Returns whether it is new."""
        condition = {"ConditionExpression": "attribute_not_exists(tenant)"}
        return self._put(job._replace(revision=0), condition)

    def begin_again(self, job: Job, earlier: Job) -> Job | None:
        """Write a job in the place of one of its name that has ended; nothing of that one stays.

        Returns:
            The job as it was written; ``None`` where somebody else wrote in between.
        """
        begun = job._replace(revision=earlier.revision + 1)
        condition = {
            "ConditionExpression": "#revision = :was",
            "ExpressionAttributeNames": {"#revision": "revision"},
            "ExpressionAttributeValues": item({":was": earlier.revision}),
        }
        return begun if self._put(begun, condition) else None

    def _put(self, job: Job, condition: Mapping[str, Any]) -> bool:
        record: dict[str, Attribute] = {
            "tenant": job.tenant,
            "jobId": job.job_id,
            "createdKey": f"{rfc3339(job.created_at)}#{job.job_id}",
            "kind": job.kind,
            "params": _text(job.params),
            "revision": job.revision,
            "expiresAt": int((job.created_at + RETENTION).timestamp()),
            **_changing(job),
        }
        try:
            self._aws.dynamodb(
                "PutItem", {"TableName": self._table, "Item": item(record), **condition}
            )
        except ConditionFailed:
            return False
        return True

    def get(self, tenant: str, job_id: str) -> Job:
        """A job of this tenant.

        Raises:
            UnknownJob: There is none with this id.
        """
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"tenant": tenant, "jobId": job_id}),
                "ConsistentRead": True,
            },
        )
        if "Item" not in answer:
            raise UnknownJob(f"There is no job {job_id!r}")
        return _job(attributes(answer["Item"]))

    def save(self, job: Job) -> Job | None:
        """Write how far a job has come.

        Returns:
            The job as it was written; ``None`` where somebody else wrote in between.
        """
        revision = job.revision + 1
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    {"tenant": job.tenant, "jobId": job.job_id},
                    {**_changing(job), "revision": revision},
                    condition="#revision = :was",
                    values={"was": job.revision},
                ),
            )
        except ConditionFailed:
            return None
        return job._replace(revision=revision)

    def page(
        self, tenant: str, *, limit: int, next_token: str | None
    ) -> tuple[list[Job], str | None]:
        """One page of the tenant's jobs, newest first, and the token of the next one.

        Raises:
            InvalidInput: The token is not one of ours.
        """
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": "newest",
            "KeyConditionExpression": "tenant = :tenant",
            "ExpressionAttributeValues": item({":tenant": tenant}),
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if next_token:
            key = decode_token(next_token, "id", "key")
            query["ExclusiveStartKey"] = item(
                {"tenant": tenant, "jobId": key["id"], "createdKey": key["key"]}
            )
        page = self._aws.dynamodb("Query", query)
        last = attributes(page.get("LastEvaluatedKey", {}))
        token = encode_token({"id": last["jobId"], "key": last["createdKey"]}) if last else None
        return [_job(attributes(record)) for record in page["Items"]], token


def _changing(job: Job) -> dict[str, Attribute]:
    return {
        "status": job.status,
        "cursor": _text(job.cursor),
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "error": job.error,
        "finishedAt": job.finished_at.timestamp() if job.finished_at else None,
        "dueAt": job.due_at.timestamp() if job.due_at else None,
    }


def _text(document: Mapping[str, Json]) -> str:
    return json.dumps(dict(document), ensure_ascii=False, separators=(",", ":"))


def _job(record: Mapping[str, Any]) -> Job:
    finished_at, due_at = record.get("finishedAt"), record.get("dueAt")
    return Job(
        tenant=record["tenant"],
        job_id=record["jobId"],
        kind=record["kind"],
        status=cast("JobStatus", record["status"]),
        params=json.loads(record.get("params", "{}")),
        cursor=json.loads(record.get("cursor", "{}")),
        created_at=datetime.fromisoformat(record["createdKey"].partition("#")[0]),
        total=record.get("total"),
        done=record.get("done", 0),
        failed=record.get("failed", 0),
        error=record.get("error"),
        finished_at=from_epoch(finished_at) if finished_at is not None else None,
        revision=record.get("revision", 0),
        due_at=from_epoch(due_at) if due_at is not None else None,
    )
