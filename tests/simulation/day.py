"""The day of a world: what two tenants and their senders do, and how it all comes to rest."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.simulation import clock
from tests.simulation.chance import Chance
from tests.simulation.clock import CLOCK
from tests.simulation.housekeeping import Housekeeping
from tests.simulation.invariants import Invariants, Violated
from tests.simulation.morning import HOOKS, TENANTS, awake, token_of, workflows
from tests.simulation.providers import MARK
from tests.simulation.removed import ORPHAN_HOURS, STAYS
from tests.simulation.scheduler import Stuck
from tests.simulation.story import Action, story
from tests.simulation.world import Answer, World

KINDS = ("plain", "once", "many", "chain", "both", "none")
SENDER_TRIES = 6
REST = 100 * 3600.0


class Day:
    """Plays a story."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.chance
        self.watch = Invariants(world, TENANTS)
        self.house = Housekeeping(world, self.watch)
        self.deliveries: list[tuple[str, str, dict[str, Any]]] = []
        self.workflows: dict[str, list[str]] = {tenant: [] for tenant in TENANTS}
        for row in world.cloud.tables.rows("WorkflowsTable"):
            self.workflows[row["tenant"]["S"]].append(row["workflowId"]["S"])
        for each in self.workflows.values():
            each.sort()

    def play(self, actions: list[Action]) -> None:
        """Let it all happen, and then let the world come to rest.

        Raises:
            Violated: Something does not hold.
            Stuck: The world does not come to rest.
        """
        self.world.weather.fine = False
        for action in actions:
            self.world.scheduler.run(CLOCK.now + action.wait)
            self.world.note(action)
            self._do(action)
        self.world.scheduler.run(CLOCK.now + self.chance.one_of("last", (5.0, 120.0, 2000.0)))
        self.world.weather.fine = True
        self._let_orphans_fire()
        self.world.cloud.schedules.clear()
        until = CLOCK.now + REST
        while not self._at_rest():
            if CLOCK.now >= until:
                raise Violated(
                    "every execution ends",
                    f"unfinished after {REST / 3600:.0f} hours of fine weather: "
                    f"{self.watch.unfinished[:3]}, {self.world.waiting_messages} messages, "
                    f"{self.watch.unfinished_jobs}",
                )
            self._redrive()
            self.world.scheduler.run(CLOCK.now + 600, idle=self._at_rest)
        self.watch.at_rest()

    def _redrive(self) -> None:
        """An operator has the jobs go on whose messages are dead letters."""
        letters = self.world.cloud.queue("JobsDeadLetterQueue").messages
        for message in list(letters.values()):
            del letters[message.name]
            erasure = "erase_tenant" in message.body
            queue = self.world.cloud.queue("ErasuresQueue" if erasure else "JobsQueue")
            queue.put(replace(message, receives=0, visible_at=CLOCK.now))

    def _let_orphans_fire(self) -> None:
        """A schedule that no workflow has goes when it fires; each that one has is there."""
        until = CLOCK.now + ORPHAN_HOURS * 3600
        while (orphans := self.watch.removed.orphans) and CLOCK.now < until:
            self.world.scheduler.run(CLOCK.now + 600)
        if orphans:
            raise Violated(STAYS, f"the schedules {orphans} have no workflow and go on")
        if silent := self.watch.removed.silent(self.watch.erased):
            raise Violated("nothing is lost", f"no schedule starts {silent}, which are enabled")

    def _at_rest(self) -> bool:
        return not (
            self.world.living
            or self.world.waiting_messages
            or self.watch.unfinished
            or self.watch.unfinished_jobs
        )

    # -- actions -----------------------------------------------------------------------------

    def _do(self, action: Action) -> None:
        name = f"a{action.number}@{action.tenant}"
        called = action.kind.replace(" ", "_")
        do: Callable[[Action, str], None] = getattr(self.house, called, None) or getattr(
            self, f"_{called}"
        )
        do(action, name)

    def _ask(
        self, action: Action, name: str, method: str, path: str, body: Any = None, **more: Any
    ) -> None:
        self.world.call(name, method, path, body, token=token_of(action.tenant), **more)

    def _deliver(self, action: Action, name: str) -> None:
        kind = self.chance.one_of(f"{name}:kind", KINDS)
        body = {
            "id": f"d{action.number} of {action.tenant}",
            "kind": kind,
            "customer": f"c{self.chance.whole(f'{name}:customer', 1, 3)} of {action.tenant}",
            "items": list(range(self.chance.whole(f"{name}:items", 0, 4))),
        }
        if self.chance.fraction(f"{name}:large") < 0.04:
            # Hexadecimal digits pack to half: over what a row takes, and over what a message takes.
            from random import Random

            body["large"] = Random(action.number).randbytes(90_000).hex()
        self.deliveries.append((name, action.tenant, body))
        self._send(name, action.tenant, body, 1)

    def _send(self, name: str, tenant: str, body: dict[str, Any], attempt: int) -> None:
        """Send as senders do: again, until it is taken."""
        delivery = str(body["id"])

        def answered(answer: Answer) -> None:
            if answer.status == 200:
                self.watch.accept(answer.json["eventId"], tenant, delivery)
            elif answer.status >= 500 and attempt < SENDER_TRIES:
                self.world.scheduler.after(
                    3.0**attempt, lambda: self._send(name, tenant, body, attempt + 1)
                )
            elif answer.status < 500 and tenant not in self.watch.erased:
                self.watch.fail("no defect", f"{delivery} was refused: {answer}")

        headers = {
            "X-Webhook-Secret": f"{MARK}-hook-of-{tenant}",
            "Idempotency-Key": delivery,
        }
        self.world.call(
            f"{name.partition('@')[0]}.{attempt}@{tenant}",
            "POST",
            f"/api/webhooks/{HOOKS[tenant]}",
            json.dumps(body),
            headers=headers,
            done=answered,
        )

    def _deliver_again(self, action: Action, name: str) -> None:
        """A sender has not seen our answer, or sends everything twice."""
        own = [each for each in self.deliveries if each[1] == action.tenant]
        if own:
            _, tenant, body = self.chance.one_of(f"{name}:which", own)
            self._send(f"{name.partition('@')[0]}-again@{tenant}", tenant, body, 1)

    def _forge(self, action: Action, name: str) -> None:
        self.world.call(
            name,
            "POST",
            f"/api/webhooks/{HOOKS[action.tenant]}",
            json.dumps({"id": "forged", "kind": "both", "items": []}),
            headers={"X-Webhook-Secret": "wrong"},
        )

    def _start(self, action: Action, name: str, *, times: int = 1) -> None:
        workflow_id = self._workflow(action, name, "by hand")
        if workflow_id is None:
            return
        key = f"key{action.number}"
        path = f"/api/workflows/{workflow_id}/run"
        body = {"input": {"id": f"s{action.number} of {action.tenant}"}}

        def send(attempt: int) -> None:
            def answered(answer: Answer) -> None:
                if answer.status >= 500 and attempt % 10 < 5:
                    self.world.scheduler.after(2.0 ** (attempt % 10), lambda: send(attempt + 1))

            self._ask(
                action, f"a{action.number}.{attempt}@{action.tenant}", "POST", path, body,
                headers={"Idempotency-Key": key}, done=answered,
            )  # fmt: skip

        for number in range(times):
            send(10 * number + 1)

    def _start_twice(self, action: Action, name: str) -> None:
        self._start(action, name, times=2)

    def _start_many(self, action: Action, name: str) -> None:
        """Several at the same moment, half of the time with a token that has just ended."""
        if self.chance.fraction(f"{name}:late") < 0.5:
            self.world.scheduler.run(CLOCK.now + 3700)
        for number in range(3):
            self._start(replace(action, number=1000 * (number + 1) + action.number), name)

    def _workflow(self, action: Action, name: str, beginning: str) -> str | None:
        for row in self.world.cloud.tables.rows("WorkflowsTable"):
            if row["name"]["S"] == f"{beginning} of {action.tenant}":
                return str(row["workflowId"]["S"])
        return None

    def _execution(self, action: Action, name: str, *statuses: str) -> str | None:
        found = sorted(
            execution_id
            for execution_id, (tenant, status) in self.watch.executions.items()
            if tenant == action.tenant and status in statuses
        )
        return self.chance.one_of(f"{name}:which", found) if found else None

    def _retry(self, action: Action, name: str) -> None:
        if found := self._execution(action, name, "failed", "cancelled"):
            self.watch.retries[found] += 1
            self._ask(action, name, "POST", f"/api/executions/{found}/retry")

    def _cancel(self, action: Action, name: str) -> None:
        if found := self._execution(action, name, "queued", "running", "retrying"):
            self._ask(action, name, "POST", f"/api/executions/{found}/cancel")

    def _rerun(self, action: Action, name: str) -> None:
        if found := self._execution(action, name, "succeeded", "failed"):
            self.watch.repeats[action.tenant] += 1
            self._ask(action, name, "POST", f"/api/executions/{found}/rerun")

    def _event(self, action: Action, name: str) -> str | None:
        found = sorted(
            row["eventId"]["S"]
            for row in self.world.cloud.tables.rows("EventsTable")
            if row["tenant"]["S"] == action.tenant and row["outcome"]["S"] != "refused"
        )
        return self.chance.one_of(f"{name}:which", found) if found else None

    def _replay(self, action: Action, name: str) -> None:
        if found := self._event(action, name):
            self.watch.repeats[action.tenant] += 1
            self._ask(action, name, "POST", f"/api/events/{found}/replay", {})

    def _replay_many(self, action: Action, name: str) -> None:
        self.watch.repeats[action.tenant] += 1
        since = datetime.fromtimestamp(CLOCK.now - 600, clock.present().tzinfo).isoformat()
        self._ask(action, name, "POST", "/api/events/replay", {"filter": {"since": since}})

    def _retry_many(self, action: Action, name: str) -> None:
        for execution_id, (tenant, _) in self.watch.executions.items():
            if tenant == action.tenant:
                self.watch.retries[execution_id] += 1
        since = datetime.fromtimestamp(CLOCK.now - 86400, clock.present().tzinfo).isoformat()
        self._ask(action, name, "POST", "/api/executions/retry", {"filter": {"since": since}})

    def _change(self, action: Action, name: str, **more: Any) -> None:
        index = self.chance.whole(f"{name}:which", 0, 3)
        definition = workflows(action.tenant)[index] | more
        if found := self._workflow(action, name, definition["name"].partition(" of ")[0]):
            self._ask(action, name, "PUT", f"/api/workflows/{found}", definition)

    def _switch_off(self, action: Action, name: str) -> None:
        self._change(action, name, enabled=False)

    def _switch_on(self, action: Action, name: str) -> None:
        self._change(action, name, enabled=True)

    def _look(self, action: Action, name: str) -> None:
        path = self.chance.one_of(
            f"{name}:path",
            (
                "/api/integrations/status", "/api/executions", "/api/events", "/api/workflows",
                "/api/jobs", "/api/secrets", "/api/tokens", "/api/audit",
                "/api/executions?status=failed", "/api/integrations", "/api/integrations/telegram",
                "/api/integrations/telegram/credentials", "/api/openapi.json", "/",
            ),
        )  # fmt: skip
        path, _, raw = path.partition("?")
        query = dict([raw.split("=")]) if raw else None
        self._ask(action, name, "GET", path, query=query)

    def _pry(self, action: Action, name: str) -> None:
        """Somebody asks for what is another tenant's."""
        other = next(each for each in TENANTS if each != action.tenant)
        asked = Action(action.number, action.kind, other, 0)
        event, execution = (
            self._event(asked, name),
            self._execution(
                asked, name, "succeeded", "failed", "queued", "running", "retrying", "cancelled"
            ),
        )
        paths = [f"/api/workflows/{self.workflows[other][0]}"]
        if event:
            paths.append(f"/api/events/{event}")
        if execution:
            path = f"/api/executions/{execution}"
            paths += [path, f"{path}/steps/tell/output"]

        def answered(answer: Answer) -> None:
            if answer.status < 400:
                self.watch.fail("no tenant sees another's", f"{name} got {answer.text[:200]}")

        path = self.chance.one_of(f"{name}:path", paths)
        self._ask(action, name, "GET", path, done=answered)

    def _hours(self, action: Action, name: str) -> None:
        hours = self.chance.one_of(f"{name}:hours", (0.2, 1.1, 3.0, 26.0))
        self.world.scheduler.run(CLOCK.now + hours * 3600)

    def _expire(self, action: Action, name: str) -> None:
        """DynamoDB deletes some of what has expired."""
        self.world.cloud.tables.forget_expired(
            lambda table, key: self.chance.fraction(f"{name}:{table}:{key}") < 0.5
        )

    def _export(self, action: Action, name: str) -> None:
        self._ask(action, name, "GET", "/api/tenant/export")

    def _save_again(self, action: Action, name: str) -> None:
        bot = next(each for each, of in self.world.providers.bots.items() if of == action.tenant)
        body = {"credentials": {"botToken": bot}}
        self._ask(action, name, "POST", "/api/integrations/telegram/credentials", body)

    def _check(self, action: Action, name: str) -> None:
        self._ask(action, name, "POST", "/api/integrations/telegram/test", {})


def run(
    seed: int,
    *,
    length: int = 30,
    actions: list[Action] | None = None,
    allowed: frozenset[str] | None = None,
    plain: bool = False,
    traced: bool = False,
) -> tuple[World, Violated | None]:
    """Play the story of a seed, or a smaller one.

    Args:
        seed: Where all chance comes from.
        length: How many actions.
        actions: These, in place of the seed's own.
        allowed: The only troubles that may come; ``None`` for any.
        plain: Everything takes its usual time.
        traced: Write everything down.

    Returns:
        The world, and what did not hold.
    """
    chance = Chance(seed, allowed, plain)
    world = awake(chance, traced=traced)
    try:
        Day(world).play(story(chance, length) if actions is None else actions)
    except (Violated, Stuck) as violation:
        found = violation if isinstance(violation, Violated) else Violated("stuck", str(violation))
        return world, found
    return world, None
