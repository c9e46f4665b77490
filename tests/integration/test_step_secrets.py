"""Secrets of a tenant in a step's parameters: sent, and never seen again."""

import base64
import json
from typing import Any

import pytest

from tests.backend import Backend
from tests.fakes.receiver import Receiver, Reply

KEY = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
SCHEMED = f"Bearer {KEY}"


@pytest.fixture(autouse=True)
def _ready(backend: Backend, receiver: Receiver) -> None:
    url = "https://example.com/hooks/orders-3f1c9a7e2b"
    backend.save("webhook", {"url": url, "outboundUrl": receiver.url("/in")})
    backend.secrets.add(KEY)
    assert backend.call("PUT", "/api/secrets/SHOP_KEY", {"value": KEY}).status == 200


def send(**params: Any) -> dict[str, Any]:
    return {"id": "send", "action": "webhook.send", "params": params}


def run(backend: Backend, *steps: dict[str, Any], given: Any = None) -> dict[str, Any]:
    """Run a workflow by hand; returns its execution, after it ended or waits."""
    flow = {"name": "Flow", "trigger": {"type": "manual"}, "steps": list(steps)}
    made = backend.create_workflow(flow)
    started = backend.call(
        "POST", f"/api/workflows/{made['workflowId']}/run", {"input": given or {}}
    )
    backend.drain()
    return backend.execution(started.json["executionId"])


def nowhere(backend: Backend) -> None:
    """Neither in a table nor in a message, in no form that a reader could turn back."""
    for table in ("ExecutionsTable", "ConnectionsTable", "WorkflowsTable", "EventsTable"):
        stored = repr(backend.aws.rows(table))
        assert KEY not in stored
        assert base64.b64encode(KEY.encode()).decode() not in stored


def test_a_step_sends_the_secret_and_records_its_name(backend: Backend, receiver: Receiver) -> None:
    execution = run(
        backend,
        send(
            headers={
                "Authorization": "Bearer {{ secrets.SHOP_KEY }}",
                "X-Id": "no {{ trigger.id }}",
            },
            json={"order": "{{ trigger.id }}", "key": "{{ secrets.SHOP_KEY }}"},
        ),
        given={"id": 7},
    )
    assert execution["status"] == "succeeded", execution["error"]
    assert receiver.received[0].headers["authorization"] == SCHEMED
    assert json.loads(receiver.received[0].body) == {"order": 7, "key": KEY}
    assert execution["steps"][0]["input"] == {
        "headers": {"Authorization": "…", "X-Id": "no 7"},
        "json": {"order": 7, "key": "{{ secrets.SHOP_KEY }}"},
    }
    nowhere(backend)


@pytest.mark.parametrize(
    "echo",
    [
        pytest.param({"you": KEY, KEY: 1, "list": [f"x{KEY}y"]}, id="as it is"),
        pytest.param({"you": base64.b64encode(KEY.encode()).decode()}, id="in base64"),
        pytest.param({"you": "%73" + KEY[1:]}, id="percent-encoded"),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_who_answers_with_the_secret_puts_it_nowhere(
    backend: Backend, receiver: Receiver, echo: Any, status: int
) -> None:
    receiver.default = Reply(
        status, json.dumps(echo).encode(), {"content-type": "application/json"}
    )
    run(backend, send(json={"key": "{{ secrets.SHOP_KEY }}"}) | {"retry": {"maxAttempts": 1}})
    assert len(receiver.received) == 1
    nowhere(backend)


def test_what_is_made_of_a_secret_is_hidden_as_well(backend: Backend, receiver: Receiver) -> None:
    loud = f"SHOP:{KEY}".upper()
    backend.secrets.add(loud)
    receiver.reply(Reply(200, json.dumps({"you": loud}).encode()))
    execution = run(backend, send(json={"key": "{{ ('shop:' ~ secrets.SHOP_KEY)|upper }}"}))
    assert json.loads(receiver.received[0].body) == {"key": loud}
    assert execution["status"] == "succeeded", execution["error"]


PIN = "471108"
"""A secret of digits."""


@pytest.mark.parametrize(
    ("template", "made"),
    [
        pytest.param("{{ secrets.PIN|int }}", 471108, id="a number"),
        pytest.param("{{ secrets.PIN|int + 1 }}", 471109, id="a number made of it"),
        pytest.param("{{ [secrets.PIN|int] }}", [471108], id="in a list"),
        pytest.param("{{ secrets.SHOP_KEY|upper }}", KEY.upper(), id="in capitals"),
        pytest.param("{{ secrets.SHOP_KEY[2:] }}", KEY[2:], id="a part of it"),
        pytest.param("{{ secrets.SHOP_KEY|reverse }}", KEY[::-1], id="from its end"),
        pytest.param(
            "{{ ('key: ' ~ secrets.SHOP_KEY)|urlencode }}", f"key%3A%20{KEY}", id="for a URL"
        ),
        pytest.param(
            "Key {{ secrets.SHOP_KEY|replace('e', '3') }}, please",
            KEY.replace("e", "3"),
            id="changed, in a text of which a part comes back",
        ),
        pytest.param(
            "{% set key = secrets.SHOP_KEY|replace('e', '3') %}{{ key|replace('k', 'q') }}",
            KEY.replace("e", "3").replace("k", "q"),
            id="by a name of its own",
        ),
        pytest.param(
            "{% for each in secrets.SHOP_KEY|split('-') %}{{ each|replace('e', '3') }}{% endfor %}",
            KEY.replace("-", "").replace("e", "3"),
            id="in pieces",
        ),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_what_is_made_of_a_secret_is_not_seen_in_what_comes_back(
    backend: Backend, receiver: Receiver, template: str, made: Any, status: int
) -> None:
    assert backend.call("PUT", "/api/secrets/PIN", {"value": PIN}).status == 200
    body = json.dumps({"you": made, "said": f"you said {made}!", "id": 12}).encode()
    receiver.reply(Reply(status, body, {"content-type": "application/json"}))
    step = send(json={"key": template}) | {"retry": {"maxAttempts": 1}}
    execution = run(backend, step)
    assert json.dumps(made)[1:-1] in receiver.received[0].body.decode()
    recorded = json.dumps(execution["steps"])
    for each in made if isinstance(made, list) else [made]:
        assert str(each) not in recorded
    assert status == 400 or execution["steps"][0]["output"]["body"]["id"] == 12
    assert not [row for row in backend.aws.rows("ExecutionsTable") if str(made) in repr(row)]


def test_which_of_two_a_secret_chooses_is_no_secret(backend: Backend, receiver: Receiver) -> None:
    template = "{{ 'production' if secrets.SHOP_KEY else 'testing' }}"
    receiver.reply(Reply(200, b'{"you": "production"}', {"content-type": "application/json"}))
    execution = run(backend, send(json={"key": template}))
    assert execution["steps"][0]["output"]["body"] == {"you": "production"}


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{{ secrets.SHOP_KEY[::-1] }}", id="from its end"),
        pytest.param("{{ secrets.SHOP_KEY|list }}", id="character by character"),
        pytest.param("{{ secrets.SHOP_KEY|truncate(5) }}", id="its beginning"),
        pytest.param("{{ secrets.SHOP_KEY|length }}", id="its length"),
        pytest.param("{{ 'x' if secrets.SHOP_KEY[0] == 's' else 'y' }}", id="a guess"),
        pytest.param(
            "{% for each in secrets.SHOP_KEY|list %}{{ each }}.{% endfor %}", id="in a loop"
        ),
        pytest.param("{% set key = secrets.SHOP_KEY %}{{ key|upper }}", id="by a name of its own"),
    ],
)
def test_what_a_step_makes_of_a_secret_is_recorded_as_it_is_written(
    backend: Backend, template: str
) -> None:
    execution = run(
        backend, send(json={"key": template, "id": "{{ trigger.id }}"}), given={"id": 7}
    )
    assert execution["status"] == "succeeded", execution["error"]
    assert execution["steps"][0]["input"] == {"json": {"key": template, "id": 7}}


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{ 'Bearer ' ~ secrets.SHOP_KEY }} {{ trigger.id }}", "Bearer {{ secrets.SHOP_KEY }} 7"),
        ("{{ secrets.SHOP_KEY if trigger.id else '' }}", "{{ secrets.SHOP_KEY }}"),
        ("{{ [{'a': secrets['SHOP_KEY']}] }}", [{"a": "{{ secrets.SHOP_KEY }}"}]),
        ("{% set key = secrets.SHOP_KEY %}key={{ key }}", "key={{ secrets.SHOP_KEY }}"),
    ],
)
def test_where_a_step_puts_a_secret_its_name_is_recorded(
    backend: Backend, template: str, shown: Any
) -> None:
    execution = run(backend, send(json={"key": template}), given={"id": 7})
    assert execution["steps"][0]["input"] == {"json": {"key": shown}}


def test_more_than_can_be_looked_for_in_an_answer_is_not_made_of_a_secret(
    backend: Backend, receiver: Receiver
) -> None:
    many = "{% for n in range(150) %}{% set x = secrets.SHOP_KEY[3:5] ~ (1000 + n) %}{% endfor %}"
    receiver.default = Reply(200, json.dumps({"you": KEY[::-1]}).encode())
    execution = run(backend, send(json={"key": many + "{{ secrets.SHOP_KEY[::-1] }}"}))
    assert execution["error"]["code"] == "expression_error"
    assert "more than 100 values" in execution["error"]["message"]
    assert receiver.received == []


def test_a_field_s_name_that_a_secret_holds_is_in_no_error(backend: Backend) -> None:
    secret = '{"whose-name-is-secret-9": 1}'
    assert backend.call("PUT", "/api/secrets/FILE", {"value": secret}).status == 200
    execution = run(backend, send(file="{{ secrets.FILE|fromjson }}"))
    assert execution["error"]["code"] == "invalid_params"
    assert "whose-name" not in json.dumps(execution)


def test_a_file_that_holds_the_secret_is_stored_without_it(
    backend: Backend, receiver: Receiver
) -> None:
    receiver.reply(Reply(200, b"\x00\xff" + KEY.encode(), {"content-type": "image/png"}))
    run(backend, send(json={"key": "{{ secrets.SHOP_KEY }}"}))
    assert all(KEY.encode() not in content for content in backend.aws.objects().values())


def test_a_secret_that_was_deleted_fails_the_step_and_sends_nothing(
    backend: Backend, receiver: Receiver
) -> None:
    flow = {
        "name": "Flow",
        "trigger": {"type": "manual"},
        "steps": [send(json={"key": "{{ secrets.SHOP_KEY }}"})],
    }
    made = backend.create_workflow(flow)
    assert backend.call("DELETE", "/api/secrets/SHOP_KEY").status == 200
    started = backend.call("POST", f"/api/workflows/{made['workflowId']}/run", {"input": {}})
    backend.drain()
    execution = backend.execution(started.json["executionId"])
    assert execution["error"]["code"] == "unknown_secret"
    assert receiver.received == []


def test_a_parameter_that_refuses_the_secret_does_not_show_it(
    backend: Backend, receiver: Receiver
) -> None:
    execution = run(backend, send(method="{{ secrets.SHOP_KEY }}", json={}))
    assert execution["status"] == "failed"
    assert receiver.received == []
    nowhere(backend)


def test_a_secret_is_the_same_after_a_wait(backend: Backend, receiver: Receiver) -> None:
    receiver.reply(Reply(503))
    step = send(json={"key": "{{ secrets.SHOP_KEY }}"})
    step["retry"] = {"maxAttempts": 3, "backoffSeconds": 0.1, "maxBackoffSeconds": 1}
    execution = run(backend, step)
    assert execution["status"] == "succeeded"
    assert [json.loads(each.body) for each in receiver.received] == [{"key": KEY}] * 2
    nowhere(backend)
