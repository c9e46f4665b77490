"""The morning of a world: two tenants have connected what they need and saved their workflows."""

from dataclasses import replace
from typing import Any

from integrations.storage.aws import Aws, AwsCredentials
from integrations.storage.tokens import Token, Tokens, token_hash
from tests.fakes.dynamodb import View
from tests.simulation import clock
from tests.simulation.chance import Chance
from tests.simulation.clock import CLOCK
from tests.simulation.providers import MARK, OWN_HOST
from tests.simulation.world import INSTALLED, Answer, World, enter

TENANTS = ("acme", "globex")

HOOKS: dict[str, str] = {}
"""The ids of the tenants' webhooks, as they were given in the morning."""


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


def extra(tenant: str, number: int, hourly: bool) -> dict[str, Any]:  # noqa: FBT001 - one of two
    """A workflow that somebody makes in the course of the day."""
    step = f"extra{number}"
    trigger: dict[str, Any] = {"type": "schedule", "expression": "rate(1 hour)"}
    if not hourly:
        one = "trigger.body.kind in ['plain', 'both']"
        trigger = {"type": "webhook", "webhookId": HOOKS[tenant], "filter": one}
    source = "trigger.scheduledTime" if hourly else "trigger.body.id"
    message = text(step, source).replace("TENANT", tenant)
    params = {"url": f"https://{tenant}.sink.example.com/in", "json": {"text": message}}
    return {
        "name": f"extra {number} of {tenant}",
        "trigger": trigger,
        "steps": [{"id": step, "action": "webhook.send", "params": params}],
    }


def hook_of(tenant: str, name: str = "hook") -> dict[str, Any]:
    """The credentials of one of the tenant's webhooks."""
    return {
        "url": f"https://example.com/hooks/{name}-{tenant}",
        "secret": f"{MARK}-hook-of-{tenant}",
        "verifySecret": True,
    }


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
        hook = hook_of(tenant)
        saved = ask("hook", "POST", connect("webhook"), {"credentials": hook})
        HOOKS[tenant] = saved["webhook"]["id"]
        for name, value in (("KEY", f"{MARK}-key-of-{tenant}"), ("HOOK", hook["secret"])):
            ask(f"secret {name}", "PUT", f"/api/secrets/{name}", {"value": value})
        world.providers.add_person(tenant)
        for provider in ("sheets_oauth", "facebook_oauth"):
            begun = ask(
                f"{provider} login", "POST", f"/api/integrations/oauth/start/{provider}", {}
            )
            back, query = world.providers.consent(begun["authUrl"], tenant, f"code-{tenant}")
            good(world.ask(f"{provider} callback@{tenant}", "GET", back, query=query))
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
    world.providers.like(first.providers)
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
