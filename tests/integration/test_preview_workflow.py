"""POST /api/workflows/preview."""

import random
from typing import Any

import pytest

from integrations.outbound import egress, guard
from integrations.providers import registry
from tests.backend import Answer, Backend
from tests.fakes.receiver import Receiver, Reply
from tools.template import permissions


def previewed(backend: Backend, definition: Any, **given: Any) -> Answer:
    return backend.call("POST", "/api/workflows/preview", {"definition": definition, **given})


def flow(*steps: Any, trigger: Any = None) -> Any:
    return {"name": "Flow", "trigger": trigger or {"type": "manual"}, "steps": list(steps)}


def say(text: Any, **more: Any) -> Any:
    params = {"chatId": 1, "text": text}
    return {"id": "say", "action": "telegram.sendMessage", "params": params, **more}


def test_a_step_s_parameters_are_those_that_it_would_send(backend: Backend) -> None:
    step = say("Order {{ trigger.id }} {{ secrets.KEY }}")
    answer = previewed(backend, flow(step), event={"data": {"id": 7}})
    assert answer.status == 200, answer
    assert answer.json == {
        "matches": True,
        "filterResult": None,
        "reason": None,
        "steps": [
            {
                "id": "say",
                "action": "telegram.sendMessage",
                "connection": "default",
                "runs": True,
                "reason": None,
                "params": {"chatId": 1, "text": "Order 7 {{ secrets.KEY }}"},
                "rounds": None,
                "roundCount": None,
                "errors": [],
            }
        ],
    }


def test_conditions_rounds_and_mistakes_are_shown(backend: Backend) -> None:
    steps = (
        say("no", id="off", when="trigger.rows|length > 9"),
        say("{{ item.n }}", id="each", forEach="{{ trigger.rows }}"),
        say("{{ trigger.missing.name }}", id="bad"),
        say("{{ steps.off.status }} {{ steps.each.output|length }}", id="after"),
        say("x", id="long", params={"chatId": 1, "text": "{{ trigger.long }}"}),
    )
    data = {"rows": [{"n": 1}, {"n": 2}], "long": {"a": 1}}
    found = {
        s["id"]: s for s in previewed(backend, flow(*steps), event={"data": data}).json["steps"]
    }
    assert (found["off"]["runs"], found["off"]["reason"]) == (False, "Its condition does not hold")
    assert [r["params"]["text"] for r in found["each"]["rounds"]] == [1, 2]
    assert found["each"]["roundCount"] == 2
    assert found["bad"]["errors"][0]["field"] == "params.text"
    assert found["after"]["params"]["text"] == "skipped 2"
    assert found["long"]["errors"][0]["field"].startswith("params.text")


def test_whether_the_event_starts_it_is_said(backend: Backend) -> None:
    trigger = {"type": "telegram.message", "filter": "trigger.text == 'hi'"}
    yes = previewed(backend, flow(say("x"), trigger=trigger), event={"data": {"text": "hi"}}).json
    no = previewed(backend, flow(say("x"), trigger=trigger), event={"data": {"text": "ho"}}).json
    assert (yes["matches"], yes["filterResult"], yes["reason"]) == (True, True, None)
    assert (no["matches"], no["filterResult"]) == (False, False)
    assert no["reason"] == "The filter does not hold"


def test_without_an_event_the_trigger_s_example_is_taken(backend: Backend) -> None:
    answer = previewed(
        backend, flow(say("{{ trigger.text }}"), trigger={"type": "telegram.message"})
    )
    example = next(
        each for each in registry.get("telegram").triggers if each.type == "telegram.message"
    ).example
    assert answer.json["steps"][0]["params"]["text"] == example["text"]


def test_a_real_execution_lends_its_outputs_and_its_trigger(
    backend: Backend, receiver: Receiver
) -> None:
    url = "https://example.com/hooks/orders-3f1c9a7e2b"
    backend.save("webhook", {"url": url, "outboundUrl": receiver.url("/in")})
    receiver.reply(Reply(200, b'{"answer": 42}', {"content-type": "application/json"}))
    first = {"id": "ask", "action": "webhook.send", "params": {"json": {}}}
    made = backend.create_workflow(flow(first))
    path = f"/api/workflows/{made['workflowId']}/run"
    ran = backend.call("POST", path, {"input": {"name": "Ann"}}).json["executionId"]
    backend.drain()
    text = "{{ trigger.name }} {{ steps.ask.output.body.answer }}"
    answer = previewed(backend, flow(first, say(text)), executionId=ran)
    assert answer.json["steps"][1]["params"]["text"] == "Ann 42"
    other = backend.call(
        "POST", "/api/workflows/preview", {"definition": flow(first), "executionId": ran},
        tenant="other",
    )  # fmt: skip
    assert (other.status, other.code) == (404, "unknown_execution")
    by_id = {"workflowId": made["workflowId"]}
    assert backend.call("POST", "/api/workflows/preview", by_id).json["steps"][0]["id"] == "ask"


def test_files_are_handed_on_as_they_would_be(backend: Backend) -> None:
    get = {"id": "get", "action": "telegram.downloadFile", "params": {"fileId": "BQAC"}}
    file = "{{ steps.get.output.file }}"
    send = {"id": "send", "action": "telegram.sendDocument", "params": {"chatId": 1}}
    send["params"] |= {"document": file}
    attachments: Any = [file, {"file": file, "cid": "logo"}]
    mail = {"id": "mail", "action": "email.sendEmail", "params": {"to": "ann@example.com"}}
    mail["params"] |= {"html": "Here", "attachments": attachments}
    large = {"fileName": "a.bin", "contentType": "a/b", "contentBase64": "AAAA" * 100_000}
    post = {"id": "post", "action": "webhook.send", "params": {"json": "{{ trigger }}"}}
    steps = previewed(backend, flow(get, send, mail, post), event={"data": {"file": large}}).json[
        "steps"
    ]
    assert [each["errors"] for each in steps] == [[], [], [], []]
    assert steps[1]["params"]["document"] == steps[2]["params"]["attachments"][1]["file"]
    assert steps[1]["params"]["document"].keys() == {"id", "name", "mediaType", "size"}
    assert steps[3]["params"]["json"]["file"]["size"] == 300_000
    assert not backend.aws.objects()


def test_a_secret_hides_the_mistakes_of_its_own_parameter_alone(backend: Backend) -> None:
    params = {"chatId": 1, "document": "AgADBA", "caption": "{{ secrets.KEY }}"}
    wrong = "{{ trigger.entities }}"
    step = {"id": "send", "action": "telegram.sendDocument"}
    given = flow({**step, "params": {**params, "captionEntities": wrong}})
    (found,) = previewed(backend, given, event={"data": {"entities": 5}}).json["steps"]
    assert [each["field"] for each in found["errors"]] == ["params.captionEntities"]


def test_what_no_step_looks_at_may_be_gone(backend: Backend, receiver: Receiver) -> None:
    url = "https://example.com/hooks/orders-3f1c9a7e2b"
    backend.save("webhook", {"url": url, "outboundUrl": receiver.url("/in")})
    body = b'"' + random.Random(1).randbytes(100_000).hex().encode() + b'"'
    receiver.reply(Reply(200, body, {"content-type": "application/json"}))
    first = {"id": "ask", "action": "webhook.send", "params": {"json": {}}}
    made = backend.create_workflow(flow(first))
    ran = backend.call("POST", f"/api/workflows/{made['workflowId']}/run").json["executionId"]
    backend.drain()
    for key in backend.aws.objects():
        if key.startswith("values/"):
            backend.aws.client.s3.delete_object(Bucket=backend.aws.names["PayloadsBucket"], Key=key)
    seen = flow(first, say("{{ steps.ask.output.body }}"))
    assert previewed(backend, seen, executionId=ran).code == "value_gone"
    unseen = flow(first, say("{{ execution.id }}"))
    answer = previewed(backend, unseen, executionId=ran)
    assert answer.json["steps"][1]["params"]["text"] == ran


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "workflowId"),
        ({"definition": flow(say("x")), "workflowId": "wf_1"}, "workflowId"),
        ({"definition": flow(say("x")), "event": {"data": 1}, "eventId": "evt_1"}, "eventId"),
        ({"definition": flow(say("x")), "event": {}}, "event.data"),
        ({"definition": flow(say("{{ x")), "event": {"data": 1}}, "steps[0].params.text"),
    ],
)
def test_what_does_not_go_together_is_refused(backend: Backend, given: Any, field: str) -> None:
    answer = backend.call("POST", "/api/workflows/preview", given)
    assert answer.status == 422
    assert field in answer.fields


@pytest.mark.parametrize("field", ["workflowId", "eventId", "executionId"])
@pytest.mark.parametrize("ident", ["", " ", "a b", "ß", "x" * 3000, "wf_1\x00"])
def test_an_id_that_we_never_gave_is_refused_without_asking_the_table(
    backend: Backend, field: str, ident: str
) -> None:
    given = {} if field == "workflowId" else {"definition": flow(say("x"))}
    answer = backend.call("POST", "/api/workflows/preview", {**given, field: ident})
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert set(answer.fields) == {field}
    assert not backend.aws.calls


# -- Nothing leaves --------------------------------------------------------------------------


def test_nothing_leaves_whatever_the_steps_are(backend: Backend, receiver: Receiver) -> None:
    backend.save(
        "webhook",
        {"url": "https://example.com/hooks/orders-3f1c9a7e2b", "outboundUrl": receiver.url("/in")},
    )
    for provider_id in registry.PROVIDER_IDS:
        actions = registry.get(provider_id).actions
        for at in range(0, len(actions), 20):
            steps = [
                {
                    "id": f"s{index}",
                    "action": f"{provider_id}.{action.name}",
                    "params": dict(action.example),
                }
                for index, action in enumerate(actions[at : at + 20])
            ]
            before = backend.aws.calls.copy()
            answer = previewed(backend, flow(*steps), event={"data": {}})
            assert answer.status == 200, answer
            assert all(step["errors"] == [] for step in answer.json["steps"])
            assert backend.aws.calls == before, "it asked something of AWS"
    assert receiver.received == []


def test_while_the_way_out_is_closed_every_connection_is_refused(receiver: Receiver) -> None:
    with egress.closed():
        with pytest.raises(egress.EgressClosed):
            guard.connect("127.0.0.1", receiver.port, allow_loopback=True)
        with pytest.raises(egress.EgressClosed):
            guard.check_url(receiver.url("/"), allow_loopback=True)
    guard.connect("127.0.0.1", receiver.port, allow_loopback=True).close()


def test_its_role_opens_no_credential_and_sends_no_message() -> None:
    allowed = {str(each.action).partition(":")[0] for each in permissions()["preview_workflow"]}
    assert allowed == {"dynamodb", "s3"}
    writes = {
        str(each.resource)
        for each in permissions()["preview_workflow"]
        if str(each.action) not in {"dynamodb:GetItem", "dynamodb:BatchGetItem", "s3:GetObject"}
    }
    assert writes == {"{'Fn::GetAtt': ['AuditTable', 'Arn']}"}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"workflowId": "wf_none"}, "unknown_workflow"),
        ({"definition": flow(say("x")), "eventId": "evt_none"}, "unknown_event"),
    ],
)
def test_what_is_not_there_is_named(backend: Backend, given: Any, code: str) -> None:
    answer = backend.call("POST", "/api/workflows/preview", given)
    assert (answer.status, answer.json["code"]) == (404, code)
