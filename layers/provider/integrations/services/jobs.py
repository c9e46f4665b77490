"""Jobs: long work in steps, each checkpointed, so that a process may die between any two.

A step is given how far the job has come and does a little more. It may be done again where a
process died before the checkpoint: whatever a step does must be the same when it is done twice.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from integrations.errors import Conflict, IdempotencyKeyReused, IntegrationError, UnknownJob
from integrations.models import Json, now, same_json
from integrations.storage.aws import AwsError
from integrations.storage.jobs import Job, Jobs, JobStatus
from integrations.storage.queues import Message, Queue

STEP_RESERVE_SECONDS = 20.0
"""With less time than this left, the next step is another process's."""

FIRST_DELAY = 1
"""Seconds until a job's first message can be seen: its row is written meanwhile."""

CLOCKS_DIFFER = timedelta(seconds=1)
"""So much at most, between the process that writes a time and the one that looks at it."""

CANCEL_ATTEMPTS = 10


class Progress(NamedTuple):
    """What a step has come to.

    Attributes:
        cursor: Where the next step goes on.
        done, failed: How many things went well in this step, and how many did not.
        total: How many things the job is about, once that is known.
        error: Why the last thing failed, or why the job did.
        finished: Nothing is left to do.
        gave_up: The job cannot be done; ``error`` says why.
        wait: Seconds until the next step.
    """

    cursor: Mapping[str, Json]
    done: int = 0
    failed: int = 0
    total: int | None = None
    error: str | None = None
    finished: bool = False
    gave_up: bool = False
    wait: int = 0


type Step = Callable[[Job], Progress]


class JobService:
    """The use cases of jobs; see each method.

    Args:
        jobs: The table.
        queue: Where jobs wait for a process.
        steps: Kind → what does a little of it.
        clock: The present moment.
    """

    def __init__(
        self,
        jobs: Jobs,
        queue: Queue,
        steps: Mapping[str, Callable[[], Step]],
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._steps = steps
        self._clock = clock

    def create(
        self,
        tenant: str,
        kind: str,
        params: Mapping[str, Json],
        *,
        idempotency_key: str | None = None,
    ) -> Job:
        """Begin a job in the background; the same key begins one, and its state is the answer.

        The message goes first: a job that is written is carried out, and a message without one,
        left by a process that died in between, is dropped.

        Raises:
            IdempotencyKeyReused: The key has begun a job with other params.
        """
        name = secrets.token_hex(16)
        if idempotency_key:
            name = hashlib.sha256(f"{kind}:{idempotency_key}".encode()).hexdigest()[:32]
        job = self._new(tenant, kind, params, f"job_{name}")
        self._queue.send(_message(job, delay=FIRST_DELAY))
        if self._jobs.create(job):
            return job
        there = self._jobs.get(tenant, job.job_id)
        if not same_json(dict(there.params), dict(params)):
            detail = "This Idempotency-Key has begun a job that was asked for in other words"
            raise IdempotencyKeyReused(detail)
        return there

    def create_once(self, tenant: str, kind: str, params: Mapping[str, Json]) -> Job:
        """Begin a job of which a tenant has one at a time; the one that runs already is the answer.

        Who asks again has it carried on, too, should its message have come too often and be a dead
        letter. One that has ended, well or not, begins again from its start, and for who asks now.
        """
        job = self._new(tenant, kind, params, f"job_{kind}")
        try:
            there = self._jobs.get(tenant, job.job_id)
        except UnknownJob:
            there = None
        self._queue.send(_message(job, delay=FIRST_DELAY))
        if there and not there.finished:
            return there
        if there:
            written = self._jobs.begin_again(job, there)
        else:
            written = job if self._jobs.create(job) else None
        return written or self._jobs.get(tenant, job.job_id)

    def _new(self, tenant: str, kind: str, params: Mapping[str, Json], job_id: str) -> Job:
        moment = self._clock()
        return Job(
            tenant=tenant,
            job_id=job_id,
            kind=kind,
            status="queued",
            params=params,
            cursor={},
            # As it is stored: to the millisecond.
            created_at=moment.replace(microsecond=moment.microsecond // 1000 * 1000),
        )

    def get(self, tenant: str, job_id: str) -> Job:
        """A job of this tenant.

        Raises:
            UnknownJob: There is none with this id.
        """
        return self._jobs.get(tenant, job_id)

    def page(self, tenant: str, limit: int, next_token: str | None) -> tuple[list[Job], str | None]:
        """One page of the tenant's jobs, newest first, and the token of the next one."""
        return self._jobs.page(tenant, limit=limit, next_token=next_token)

    def cancel(self, tenant: str, job_id: str) -> Job:
        """Stop a job after the step that it is in. What it has done stays done.

        Raises:
            UnknownJob: There is none with this id.
            Conflict: It is finished already.
        """
        for _ in range(CANCEL_ATTEMPTS):
            job = self._jobs.get(tenant, job_id)
            if job.finished:
                raise Conflict(f"The job is {job.status} already")
            moment = self._clock()
            saved = self._jobs.save(job._replace(status="cancelled", finished_at=moment))
            if saved:
                return saved
        raise Conflict("The job is too busy to be stopped at this moment; try again")

    def run(self, tenant: str, job_id: str, time_left: Callable[[], float]) -> None:
        """Carry a job on as far as the time allows; a later message takes it up from there.

        Args:
            tenant: Whose job.
            job_id: Which.
            time_left: Seconds that this process may still live.

        Raises:
            UnknownJob: It is not written yet, or whoever wanted to write it died before.
            AwsError: AWS did not answer; the message comes again.
        """
        job: Job | None = self._jobs.get(tenant, job_id)
        step = self._steps[job.kind]() if job else None
        while job and step and not job.finished:
            if job.due_at and job.due_at > self._clock():
                return  # a copy, or too early: whoever wrote that it waits had sent a message first
            if time_left() < STEP_RESERVE_SECONDS:
                self._queue.send(_message(job))
                return
            progress = self._step(step, job)
            after = self._after(job, progress)
            if after.due_at:
                self._queue.send(_message(job, delay=progress.wait))
            job = self._jobs.save(after)
        # Finished; or somebody else wrote in between: another process runs it, or it was stopped.

    @staticmethod
    def _step(step: Step, job: Job) -> Progress:
        try:
            return step(job)
        except AwsError:
            raise
        except IntegrationError as refusal:
            return Progress(cursor=job.cursor, error=refusal.detail, gave_up=True)

    def _after(self, job: Job, progress: Progress) -> Job:
        ended = progress.finished or progress.gave_up
        status: JobStatus = (
            "failed" if progress.gave_up else "succeeded" if progress.finished else "running"
        )
        # The next step may begin a moment before the message for it comes.
        wait = timedelta(seconds=progress.wait) - CLOCKS_DIFFER
        return job._replace(
            status=status,
            cursor=progress.cursor,
            total=job.total if progress.total is None else progress.total,
            done=job.done + progress.done,
            failed=job.failed + progress.failed,
            error=progress.error or job.error,
            due_at=self._clock() + wait if progress.wait and not ended else None,
            finished_at=self._clock() if ended else None,
        )


def _message(job: Job, *, delay: int = 0) -> Message:
    return Message(
        body={"tenant": job.tenant, "jobId": job.job_id},
        group=job.tenant,
        key=f"events/{job.job_id}",
        delay=delay,
    )
