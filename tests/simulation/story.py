"""What happens in a world: two tenants, their workflows, and what they and their senders do.

A story is a list of actions, made of the seed; a smaller story is some of them.
"""

import json
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from integrations.storage.aws import Aws, AwsCredentials
from integrations.storage.tokens import Token, Tokens, token_hash
from tests.simulation import clock
from tests.simulation.chance import Chance
from tests.simulation.clock import CLOCK
from tests.simulation.invariants import Invariants, Violated
from tests.simulation.providers import MARK, OWN_HOST
from tests.simulation.scheduler import Stuck
from tests.simulation.tables import View
from tests.simulation.world import INSTALLED, Answer, World, enter

TENANTS = ("acme", "globex")
KINDS = ("plain", "once", "many", "chain", "both", "none")
SENDER_TRIES = 6
REST = 100 * 3600.0

HOOKS: dict[str, str] = {}
"""The ids of the tenants' webhooks, as they were given in the morning."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that somebody does.

    Attributes:
        number: Names it, and all that follows from it.
        wait: Seconds since the action before.
    """

    number: int
    kind: str
    tenant: str
    wait: float

    def __str__(self) -> str:
        return f"a{self.number} {self.kind} of {self.tenant} after {self.wait:.1f} s"


WEIGHTS: Mapping[str, int] = {
    "deliver": 40, "deliver again": 8, "start": 10, "start twice": 3, "start many": 3, "forge": 2,
    "retry": 5, "cancel": 3, "rerun": 3, "replay": 3, "replay many": 4, "retry many": 3,
    "change": 3, "switch off": 1, "switch on": 2, "look": 6, "pry": 6, "hours": 4, "export": 1,
    "save again": 1, "check": 1, "expire": 1,
}  # fmt: skip
_CHOICES = tuple(kind for kind, weight in WEIGHTS.items() for _ in range(weight))


def story(chance: Chance, length: int) -> list[Action]:
    """The actions of a seed."""
    return [
        Action(
            number,
            chance.one_of(f"action:{number}:kind", _CHOICES),
            chance.one_of(f"action:{number}:tenant", TENANTS),
            _wait(chance, number),
        )
        for number in range(length)
    ]


def _wait(chance: Chance, number: int) -> float:
    drawn = chance.fraction(f"action:{number}:wait")
    return drawn * 2 if drawn < 0.6 else (drawn - 0.6) * 200 if drawn < 0.95 else 600.0


# -- The morning -----------------------------------------------------------------------------


def text(step: str, source: str = "trigger.body.id", number: str = "0") -> str:
    """What a step tells, so that the ledger knows it again."""
    return "{{ execution.id }}|" + f"{step}|{number}|" + "TENANT|{{ " + source + " }}"


def workflows(tenant: str) -> list[dict[str, Any]]:
    """The tenant's workflows."""

    def say(step: str, *, source: str = "trigger.body.id", **more: Any) -> dict[str, Any]:
        number = "{{ index }}" if "forEach" in more else "0"
        message = text(step, source, number).replace("TENANT", tenant)
        params = {"chatId": 42, "text": message}
        return {"id": step, "action": "telegram.sendMessage", "params": params, **more}

    def post(step: str, source: str = "trigger.body.id") -> dict[str, Any]:
        params = {
            "url": f"https://{tenant}.sink.example.com/in",
            "json": {"text": text(step, source).replace("TENANT", tenant)},
            "headers": {"X-Api-Key": "{{ secrets.KEY }}"},
        }
        return {"id": step, "action": "webhook.send", "params": params}

    def on_webhook(kind: str, **more: Any) -> dict[str, Any]:
        return {
            "type": "webhook",
            "webhookId": HOOKS[tenant],
            "filter": f"trigger.body.kind in ['{kind}', 'both']",
            **more,
        }

    chained = {
        "url": f"https://{OWN_HOST}/api/webhooks/{HOOKS[tenant]}",
        "json": {"kind": "plain", "id": "chained {{ trigger.body.id }}"},
        "headers": {
            "X-Webhook-Secret": "{{ secrets.HOOK }}",
            "Idempotency-Key": "{{ execution.id }}",
        },
    }
    read = {"spreadsheetId": "1" * 44, "range": "Sheet1!A1:B1"}
    return [
        {
            "name": f"plain of {tenant}",
            "trigger": on_webhook("plain"),
            "steps": [say("tell"), post("post")],
        },
        {
            "name": f"once of {tenant}",
            "trigger": on_webhook("once", oncePer="trigger.body.customer"),
            "steps": [say("greet", source="trigger.body.customer")],
        },
        {
            "name": f"many of {tenant}",
            "trigger": on_webhook("many"),
            "steps": [say("each", forEach="trigger.body['items']"), post("after")],
        },
        {
            "name": f"chain of {tenant}",
            "trigger": on_webhook("chain"),
            "steps": [{"id": "on", "action": "webhook.send", "params": chained}],
        },
        {
            "name": f"hourly of {tenant}",
            "trigger": {"type": "schedule", "expression": "rate(1 hour)"},
            "steps": [post("tick", "trigger.scheduledTime")],
        },
        {
            "name": f"by hand of {tenant}",
            "trigger": {"type": "manual"},
            "steps": [
                {"id": "read", "action": "sheets_oauth.readRange", "params": read},
                say("hand", source="trigger.id", retry={"maxAttempts": 4, "backoffSeconds": 20}),
            ],
        },
    ]


def token_of(tenant: str) -> str:
    """The tenant's API token."""
    return f"ib_{MARK}-token-of-{tenant}"


def prepare(world: World) -> None:
    """Let both tenants connect and save what they need, by the API."""
    aws = Aws(region="us-east-1", credentials=lambda: AwsCredentials("AKIA", "x", None))
    aws._transport = world.cloud  # type: ignore[assignment]
    tokens = Tokens(aws, "TokensTable")

    def good(answer: Answer) -> Any:
        if answer.status >= 400:
            raise AssertionError(f"the morning goes wrong: {answer}")
        return answer.json if answer.text[:1] == "{" else None

    for number, tenant in enumerate(TENANTS):
        token = token_of(tenant)
        scopes = frozenset({"read", "write", "admin"})
        tokens.create(Token(token_hash=token_hash(token), tenant=tenant, name="sim", scopes=scopes))
        CLOCK.now += 5  # until the authorizer sees it

        def ask(
            name: str, method: str, path: str, body: Any = None, *, of: str = tenant, **more: Any
        ) -> Any:
            return good(world.ask(f"{name}@{of}", method, path, body, token=token_of(of), **more))

        bot = f"{7000000 + number}:AA{MARK}-bot-of-{tenant}".ljust(46, "0")[:46]
        world.providers.bots[bot] = tenant
        connect = "/api/integrations/{}/credentials".format
        ask("bot", "POST", connect("telegram"), {"credentials": {"botToken": bot}})
        hook = {
            "url": f"https://example.com/hooks/hook-{tenant}",
            "secret": f"{MARK}-hook-of-{tenant}",
            "verifySecret": True,
        }
        saved = ask("hook", "POST", connect("webhook"), {"credentials": hook})
        HOOKS[tenant] = saved["webhook"]["id"]
        for name, value in (("KEY", f"{MARK}-key-of-{tenant}"), ("HOOK", hook["secret"])):
            ask(f"secret {name}", "PUT", f"/api/secrets/{name}", {"value": value})
        begun = ask("login", "POST", "/api/integrations/oauth/start/sheets_oauth", {})
        state = begun["authUrl"].partition("state=")[2].partition("&")[0]
        query = {"state": state, "code": f"code-{tenant}"}
        back = "/api/integrations/oauth/callback/sheets_oauth"
        answer = world.ask(f"callback@{tenant}", "GET", back, query=query)
        if answer.status >= 400:
            raise AssertionError(f"the morning goes wrong: {answer}")
        for index, definition in enumerate(workflows(tenant)):
            ask(f"workflow {index}", "POST", "/api/workflows", definition)


MORNING: dict[str, Any] = {}
"""The world in which everything is ready, and what ran until it was."""


def awake(chance: Chance, *, traced: bool = False) -> World:
    """A world in which both tenants are ready: made once, then copied."""
    if not MORNING:
        clock.reset(0)
        first = World(Chance(0, allowed=frozenset(), plain=True))
        enter(first)
        prepare(first)
        first.scheduler.run(CLOCK.now + 60)
        MORNING.update(world=first, now=CLOCK.now, counts=first.counts)
        INSTALLED.remove(first)
    first = MORNING["world"]
    clock.reset(chance.seed)
    CLOCK.now = MORNING["now"]
    world = World(chance, traced=traced)
    for name, table in first.cloud.tables.tables.items():
        own = world.cloud.tables.tables[name]
        own.items = dict(table.items)
        own.late = _copied(table.late)
        own.indexes = {each: _copied(view) for each, view in table.indexes.items()}
    world.cloud.objects.update(first.cloud.objects)
    world.cloud._keys.update(first.cloud._keys)
    world.providers.bots = dict(first.providers.bots)
    world.providers.grants = {name: copy(each) for name, each in first.providers.grants.items()}
    enter(world)
    for name, made in first.cloud.schedules.items():
        queue = world.cloud.queue("EventsQueue")
        world.cloud.schedules[name] = replace(made, queue=queue, number=0)
        world.cloud.on_schedule(name)
    INSTALLED[:] = [world]
    return world


def _copied(view: View) -> View:
    view.settle(CLOCK.now + 1000)
    return View(view.key, view.table_key, view.names, dict(view.items))


# -- The day ---------------------------------------------------------------------------------


class Day:
    """Plays a story."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.chance
        self.watch = Invariants(world, TENANTS)
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
            self.world.scheduler.run(CLOCK.now + 600, idle=self._at_rest)
        self.watch.at_rest()

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
        do: Callable[[Action, str], None] = getattr(self, "_" + action.kind.replace(" ", "_"))
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
                event_id = answer.json["eventId"]
                self.watch.accepted[event_id] = (tenant, delivery)
                self.watch.doubtful = True
            elif answer.status >= 500 and attempt < SENDER_TRIES:
                self.world.scheduler.after(
                    3.0**attempt, lambda: self._send(name, tenant, body, attempt + 1)
                )
            elif answer.status < 500:
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
                "/api/executions?status=failed", "/api/integrations",
                "/api/integrations/telegram/credentials", "/api/openapi.json",
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
