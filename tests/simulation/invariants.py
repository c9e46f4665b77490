"""What must hold, whatever goes wrong: looked at after every step of the world.

Each thing is checked where it could break: what a message carried when the message is deleted, an
execution when it is written, a secret wherever something is written, sent, answered or logged.
"""

import base64
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from integrations.errors import UnknownExecution
from integrations.storage import journal
from integrations.storage.aws import Aws, AwsCredentials, attributes
from integrations.storage.events import _inflate
from integrations.storage.executions import Executions
from tests.fakes.dynamodb import Write, texts, unpacked
from tests.simulation.clock import CLOCK
from tests.simulation.cloud import S3
from tests.simulation.providers import MARK, Effect
from tests.simulation.queues import Message, Queue
from tests.simulation.removed import STAYS, Removed
from tests.simulation.scheduler import Process
from tests.simulation.world import Answer, World

FINISHED = frozenset({"succeeded", "failed", "cancelled"})
LONGEST_WAIT = 80 * 3600.0
"""No step may wait longer: the engine's patience, and a message's way."""

PUNCTUAL = 150.0
TELLING = frozenset({"tell", "post", "greet", "each", "after", "tick", "hand"})
"""The steps that the ledger knows."""

UNITS_OF_AN_EXECUTION, UNITS_OF_A_STEP, UNITS_OF_A_PROCESS = 9, 3, 6

EVENTS_QUEUES = ("EventsQueue", "EventsDeadLetterQueue")
EXECUTIONS_QUEUES = ("ExecutionsQueue", "ExecutionsDeadLetterQueue")
JOBS_QUEUES = ("JobsQueue", "JobsDeadLetterQueue", "ErasuresQueue")


class Violated(AssertionError):
    """An invariant does not hold.

    Attributes:
        invariant: Its name.
    """

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant


class Invariants:
    """Watches one world.

    Attributes:
        accepted: What a sender was told is received: event id → whose, and the sender's id of it.
        repeats: How often somebody has asked for earlier events once more, by tenant.
        retries: How often somebody has asked an execution to go on, by its id.
        erased: Tenants of whom nothing has to be there any more.
    """

    def __init__(self, world: World, tenants: tuple[str, ...]) -> None:
        self.world = world
        self.tenants = tenants
        self.accepted: dict[str, tuple[str, str]] = {}
        self.repeats: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.erased: set[str] = set()
        self.removed = Removed(world, self.fail)
        self.executions: dict[str, tuple[str, str]] = {}
        self.units: Counter[str] = Counter()
        self.writers: defaultdict[str, set[str]] = defaultdict(set)
        self.keys: dict[str, str] = {}
        self.of_source: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.effect_counts: Counter[str] = Counter()
        self.violation: Violated | None = None
        self.doubtful = False
        aws = Aws(region="us-east-1", credentials=lambda: AwsCredentials("AKIA", "x", None))
        aws._transport = world.cloud  # type: ignore[assignment]
        aws.__dict__ |= {"s3": S3(world.cloud)}
        self.read = Executions(aws, "ExecutionsTable")
        world.on_write = self.written
        world.on_message = self.message
        world.on_deleted = self.deleted
        world.on_died = self.died
        world.on_answer = self.answered
        world.on_log = self.logged
        world.cloud.stored = self.stored
        world.providers.on_effect = self.effect
        world.providers.on_request = self.requested
        world.scheduler.after_step = self.step

    def fail(self, invariant: str, detail: str) -> None:
        """Note the first thing that does not hold; the world ends after this step."""
        if self.violation is None:
            self.violation = Violated(invariant, detail)
            self.world.note("VIOLATED", invariant, detail)

    def step(self) -> None:
        """After each step of the world."""
        if self.doubtful:
            self.doubtful = False
            self._nothing_is_lost()
        if self.world.providers.twice_refreshed:
            self.fail("nothing runs twice", "two processes sent one refresh token side by side")
        if self.violation:
            raise self.violation

    def accept(self, event_id: str, tenant: str, delivery: str) -> None:
        """A sender was told that a delivery is received."""
        self.accepted[event_id] = (tenant, delivery)
        self.doubtful = True

    # -- secrets and tenants -----------------------------------------------------------------

    def _clean(self, where: str, text: str, tenant: str = "") -> None:
        if MARK in text:
            at = text.index(MARK)
            self.fail("no secret outside its place", f"{where}: …{text[max(0, at - 30) : at + 30]}")
        for other in self.tenants:
            if tenant and other != tenant and tenant in self.tenants and other in text:
                at = text.index(other)
                excerpt = text[max(0, at - 60) : at + 40]
                self.fail("no tenant sees another's", f"{where} of {tenant}: …{excerpt}")

    def written(self, write: Write) -> None:
        """A row was written."""
        self.removed.written(write)
        if write.after is None:
            self.doubtful = True
            if write.table == "ExecutionsTable" and len(write.key) > 1 and "#" not in write.key[1]:
                self.executions.pop(write.key[1], None)
            return
        tenant = write.after.get("tenant", {}).get("S", "")
        for name, text in texts(write.after):
            self._clean(f"{write.table}.{name}", text, tenant)
        for name in ("journal", "content", "packed"):
            if name in write.after and write.after[name] != (write.before or {}).get(name):
                content = unpacked(write.after[name])
                self._clean(f"{write.table}.{name}", _text_of(name, content), tenant)
        if write.table == "ExecutionsTable":
            self._execution(write, tenant)
        elif write.table == "EventsTable":
            self.units[write.after["eventId"]["S"]] += write.units

    def message(self, queue: str, message: Message) -> None:
        """A message was sent."""
        body = json.loads(message.body)
        text = message.body
        if isinstance(body.get("body"), str):
            text += base64.b64decode(body["body"]).decode(errors="replace")
        inner = [each for each in body.values() if isinstance(each, dict)]
        of = next((each for each in inner if "tenant" in each), body)
        tenant = str(of.get("tenant", ""))
        self._clean(f"a message of {queue}", text, tenant)

    def stored(self, key: str, content: bytes) -> None:
        """An object was stored."""
        text = content.decode(errors="replace")
        if key.startswith("payloads/"):
            text = _inflate(content)[1].decode(errors="replace")
        self._clean(f"the object {key}", text)

    def answered(self, name: str, answer: Answer) -> None:
        """A client was answered."""
        tenant = next((each for each in self.tenants if name.endswith(f"@{each}")), "")
        self._clean(f"the answer to {name}", answer.text, tenant)
        if answer.status == 500 and "internal_error" in answer.text:
            self.fail("no defect", f"{name}: {answer.text[:300]}")

    def logged(self, text: str) -> None:
        """Something was logged."""
        self._clean("a log line", text)

    def requested(self, host: str, text: str) -> None:
        """A provider was asked for something."""
        for tenant in self.tenants:
            if host.startswith(f"{tenant}."):
                others = [each for each in self.tenants if each != tenant and each in text]
                if others:
                    detail = f"{host} was sent {others}'s: {text[:200]}"
                    self.fail("no tenant sees another's", detail)

    # -- executions --------------------------------------------------------------------------

    def _execution(self, write: Write, tenant: str) -> None:
        row = attributes(write.after or {})
        execution_id = row["executionId"].partition("#")[0]
        self.units[execution_id] += write.units
        if self.world.scheduler.in_process:
            self.writers[execution_id].add(self.world.scheduler.process.name)
        if "#" in row["executionId"]:
            return
        if "status" not in row:
            self.fail(STAYS, f"{execution_id} is written after it was removed")
            return
        self.executions[execution_id] = (tenant, row["status"])
        if row["status"] in FINISHED:
            if "dueShard" in row:
                self.fail("every execution ends", f"{execution_id} is finished and still due")
            return
        if "dueShard" not in row or "dueAt" not in row:
            self.fail("nothing is lost", f"nobody will look after {execution_id}")
        elif row["dueAt"] > CLOCK.now + LONGEST_WAIT:
            self.fail("every execution waits for a reason", f"{execution_id} until {row['dueAt']}")
        before = attributes(write.before or {})
        if not before:
            self.removed.started(row["workflowKey"].partition("#")[2], execution_id)
        if before.get("status") == "retrying" and row["status"] == "running":
            self._is_punctual(execution_id, write)

    def _is_punctual(self, execution_id: str, write: Write) -> None:
        """Where nothing has gone wrong at AWS, who waits goes on when its time has come."""
        if self.world.counts["trouble at AWS"]:
            return
        state = _journal_of(unpacked((write.before or {})["journal"]))
        due = state.get("retryAt")
        if due is None:
            return
        from datetime import datetime

        late = CLOCK.now - datetime.fromisoformat(due).timestamp()
        if late > PUNCTUAL:
            detail = f"{execution_id} goes on {late:.0f} s after its time, and nothing went wrong"
            self.fail("every execution waits for a reason", detail)

    def effect(self, effect: Effect) -> None:
        """A provider did something."""
        if not effect.text:
            return
        execution_id, step, number, tenant, source = effect.text.split("|", 4)
        if effect.kind == "telegram" and effect.place != tenant:
            self.fail("no tenant sees another's", f"{effect.place}'s bot says {effect.text}")
        self.effect_counts[effect.text] += 1
        if (
            effect.kind == "telegram"
            and self.effect_counts[effect.text] > 1 + self.retries[execution_id]
        ):
            self.fail(
                "nothing runs twice", f"done {self.effect_counts[effect.text]} times: {effect.text}"
            )
        if effect.kind == "sink":
            first = self.keys.setdefault(effect.text, effect.key)
            if first != effect.key:
                self.fail("nothing runs twice", f"{effect.text} under {first} and {effect.key}")
        if source:
            place = self.of_source[f"{tenant}|{step}|{number}", source]
            place.add(execution_id)
            # Who repeats both an event and what it led to, doubles what that leads to.
            # And of one customer, who repeats many events repeats several at once.
            several = source.startswith(("chained", "c")) and self.repeats[tenant]
            if len(place) > 1 + self.repeats[tenant] and not several:
                self.fail("nothing runs twice", f"{sorted(place)} for {source} at {step}")
        self._is_not_over(effect, execution_id, step, int(number), tenant)

    def _is_not_over(
        self, effect: Effect, execution_id: str, step: str, number: int, tenant: str
    ) -> None:
        """What is recorded as finished is never run again by whoever began after that."""
        process = self.world.scheduler.process
        self.world.looking = True
        try:
            state: Any = self.read.get(tenant, execution_id).state
        except UnknownExecution:
            if tenant in self.erased:
                return  # whoever was at it may end its step
            raise
        finally:
            self.world.looking = False
        run = next((each for each in state["steps"] if each["id"] == step), None)
        if run is None:
            return
        over = run["status"] == "succeeded" or (run["rounds"] and number < run["rounds"]["done"])
        finished = run["finishedAt"]
        if over and finished:
            from datetime import datetime

            began = process.context["began"]
            if datetime.fromisoformat(finished).timestamp() < began:
                self.fail("nothing runs twice", f"{effect.text} after it was recorded as done")

    # -- nothing is lost ---------------------------------------------------------------------

    def deleted(self, queue: Queue, message: Message) -> None:
        """A message was worked on and deleted: what it asked for must be on record."""
        self.doubtful = True
        body = json.loads(message.body)
        if queue.name == "EventsQueue":
            for event_id in _event_ids(body):
                self._is_started(event_id)

    def died(self, process: Process, why: str) -> None:
        """A process ended before its time."""
        del process, why
        self.doubtful = True

    def _is_started(self, event_id: str) -> None:
        row = self.world.cloud.tables.tables["EventsTable"].items.get((event_id,))
        if (
            row is None
            or row["tenant"]["S"] in self.erased
            or event_id in set(self._in_queues(EVENTS_QUEUES))
        ):
            return
        record = _inflate(unpacked(row["packed"]))[0]
        tenant = row["tenant"]["S"]
        executions = self.world.cloud.tables.tables["ExecutionsTable"].items
        for each in record["workflows"]:
            execution_id = each.get("executionId")
            if not execution_id or each["workflowId"] in self.removed.workflows:
                continue
            if (tenant, execution_id) not in executions:
                detail = f"{event_id} is dispatched, but there is no {execution_id}"
                self.fail("nothing is lost", detail)

    def _nothing_is_lost(self) -> None:
        tables = self.world.cloud.tables.tables
        queued = set(self._in_queues(EVENTS_QUEUES))
        for event_id, (tenant, delivery) in self.accepted.items():
            if tenant in self.erased or (event_id,) in tables["EventsTable"].items:
                continue
            if event_id not in queued:
                self.fail("nothing is lost", f"{delivery} of {tenant} ({event_id}) was accepted")
        jobs = {
            (row["tenant"]["S"], row["jobId"]["S"])
            for row in tables["JobsTable"].items.values()
            if row["status"]["S"] not in FINISHED
        }
        if jobs:
            running = set(self._in_queues(JOBS_QUEUES))
            for tenant, job_id in jobs:
                if job_id not in running and not self._is_being_made(job_id):
                    self.fail("nothing is lost", f"nobody carries {tenant}'s {job_id} on")

    def _is_being_made(self, job_id: str) -> bool:
        del job_id
        return any("/auth" not in name and "@" in name for name in self.world.living)

    def _in_queues(self, names: tuple[str, ...]) -> Iterator[str]:
        for name in names:
            for message in self.world.cloud.queue(name).messages.values():
                body = json.loads(message.body)
                if body.keys() - {"again"} == {"payload"}:
                    body = json.loads(self.world.cloud.objects[body["payload"]])
                yield from _event_ids(body)
                for each in ("executionId", "jobId"):
                    if each in body:
                        yield body[each]

    # -- at rest -----------------------------------------------------------------------------

    @property
    def unfinished(self) -> list[str]:
        """The executions that have not ended."""
        return [name for name, (_, status) in self.executions.items() if status not in FINISHED]

    @property
    def unfinished_jobs(self) -> list[str]:
        """The jobs that have not ended."""
        return [
            row["jobId"]["S"]
            for row in self.world.cloud.tables.rows("JobsTable")
            if row["status"]["S"] not in FINISHED
        ]

    def at_rest(self) -> None:
        """When the weather has been fine for days."""
        self._nothing_is_lost()
        for event_id in self.accepted:
            self._is_started(event_id)
        for execution_id, (tenant, status) in self.executions.items():
            if tenant in self.erased:
                continue
            if status not in FINISHED:
                self.fail("every execution ends", f"{execution_id} of {tenant} is {status}")
                continue
            self._is_justified(tenant, execution_id)
        if jobs := self.unfinished_jobs:
            self.fail("every execution ends", f"the jobs {jobs} do not end")
        self.removed.at_rest(self.erased)
        if self.violation:
            raise self.violation

    def _is_justified(self, tenant: str, execution_id: str) -> None:
        state: Any = self.read.get(tenant, execution_id).state
        rounds = 0
        for run in state["steps"]:
            done = run["rounds"]["done"] if run["rounds"] else int(run["status"] == "succeeded")
            rounds += done
            for number in range(done):
                text = f"{execution_id}|{run['id']}|{number}|{tenant}|"
                failed = run["rounds"] and run["rounds"]["failed"]
                happened = failed or any(each.startswith(text) for each in self.effect_counts)
                if _tells(run["id"]) and not happened:
                    self.fail("nothing is lost", f"{text} counts as done and was never told")
        error = state["error"] or {}
        removed = state["workflowId"] in self.removed.workflows and error.get("code") == "conflict"
        if not self.world.counts["trouble"] and state["status"] == "failed" and not removed:
            detail = f"{execution_id} failed for no reason: {state['error']}"
            self.fail("every execution ends", detail)
        codes = {error.get("code"), *((each["error"] or {}).get("code") for each in state["steps"])}
        if codes & {"internal_error"}:
            self.fail("no defect", f"{execution_id}: {error}")
        if error.get("code") in {"outcome_unknown", "crashed"} and not self.world.counts["doubt"]:
            detail = f"{execution_id}: {error['message']}, and nobody was silent or died"
            self.fail("every execution ends", detail)
        # A process more may have written each time it was sent again, or somebody has changed it.
        others = max(0, len(self.writers[execution_id]) - 2) + self.retries[execution_id]
        most = UNITS_OF_AN_EXECUTION + UNITS_OF_A_STEP * rounds + UNITS_OF_A_PROCESS * others
        attempts = sum(run["attempts"] for run in state["steps"])
        most += UNITS_OF_A_STEP * (attempts + self.world.counts["cut after"])
        if self.units[execution_id] > most:
            detail = f"{execution_id} took {self.units[execution_id]} write units, {most} at most"
            self.fail("write units within the budget", detail)


def _tells(step: str) -> bool:
    return step in TELLING or step.startswith("extra")


def _event_ids(body: Mapping[str, Any]) -> list[str]:
    """The events that a message of the events queue speaks of."""
    if "eventId" in body:
        return [body["eventId"]]
    for kind in ("replay", "started"):
        if kind in body:
            return [body[kind]["eventId"]]
    return []


def _text_of(name: str, content: bytes) -> str:
    try:
        match name:
            case "packed":
                about, body = _inflate(content)
                return json.dumps(about) + body.decode(errors="replace")
            case "journal":
                return json.dumps(journal.unpack(content))
            case _:
                return content.decode(errors="replace") + json.dumps(journal.unpack(content))
    except (ValueError, zlib.error):
        return content.decode(errors="replace")


def _journal_of(content: bytes) -> dict[str, Any]:
    """The fields that the newest entries of a journal set."""
    found: dict[str, Any] = {}
    for entry in journal.unpack(content)["tail"]:
        found |= entry.get("all", {}) | entry.get("set", {})
    return found
