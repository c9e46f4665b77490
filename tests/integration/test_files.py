"""Files on their way from one step to the next, byte for byte, under their tenant's prefix."""

import base64
import json
from random import Random
from typing import Any

import pytest

from tests.backend import Backend
from tests.fakes.receiver import Receiver, Reply
from tests.fakes.smtp import MailServer
from tests.fakes.telegram import TelegramServer
from tests.integration import processes
from tests.integration.flows import started


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer, receiver: Receiver) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    url = "https://example.com/hooks/orders"
    backend.save("webhook", {"url": url, "outboundUrl": receiver.url("/in")})


def content(megabytes: float) -> bytes:
    return Random(4).randbytes(round(megabytes * 2**20))


def download(file_id: str = "{{ trigger.fileId }}") -> dict[str, Any]:
    return {"id": "dl", "action": "telegram.downloadFile", "params": {"fileId": file_id}}


def upload(document: Any = "{{ steps.dl.output.file }}") -> dict[str, Any]:
    params = {"chatId": 42, "document": document}
    return {"id": "up", "action": "telegram.sendDocument", "params": params}


def post(file: Any = "{{ steps.dl.output.file }}") -> dict[str, Any]:
    return {"id": "post", "action": "webhook.send", "params": {"file": file}}


def run(backend: Backend, *steps: Any, tenant: str = "acme", **given: Any) -> Any:
    execution_id = started(backend, *steps, given=given)
    backend.drain()
    return backend.execution(execution_id, tenant=tenant)


@pytest.mark.parametrize("megabytes", [0.1, 15])
def test_a_file_goes_from_telegram_to_telegram_and_a_webhook(
    backend: Backend, telegram: TelegramServer, receiver: Receiver, megabytes: float
) -> None:
    sent = content(megabytes)
    file_id = telegram.add_file(sent, "photos/cat.png")
    execution = run(backend, download(), upload(), post(), fileId=file_id)
    assert execution["status"] == "succeeded", execution["error"]
    reference = execution["steps"][0]["output"]["file"]
    assert reference.keys() == {"id", "name", "mediaType", "size"}
    assert (reference["name"], reference["mediaType"]) == ("cat.png", "image/png")
    assert reference["size"] == len(sent)
    assert execution["steps"][1]["input"]["document"] == reference
    uploaded = telegram.last.files["document"]
    assert (uploaded.name, uploaded.content) == ("cat.png", sent)
    assert receiver.received[0].body == sent
    assert receiver.received[0].headers["content-type"] == "image/png"
    (key,) = backend.aws.objects()
    assert key.startswith("files/")
    assert "acme" not in key


@pytest.mark.parametrize(
    "document",
    [
        {"file": "{{ steps.dl.output.file }}"},
        {"file": "{{ steps.dl.output.file }}", "fileName": "other.png"},
    ],
    ids=["as it is", "under another name"],
)
def test_a_file_may_stand_in_an_object_of_its_own(
    backend: Backend, telegram: TelegramServer, document: Any
) -> None:
    file_id = telegram.add_file(b"cat", "photos/cat.png")
    execution = run(backend, download(), upload(document), fileId=file_id)
    assert execution["status"] == "succeeded", execution["error"]
    uploaded = telegram.last.files["document"]
    assert uploaded.content == b"cat"
    assert uploaded.name == document.get("fileName", "cat.png")


def test_what_telegram_does_not_serve_fails_the_step(
    backend: Backend, telegram: TelegramServer
) -> None:
    file_id = telegram.add_file(content(20.5))
    execution = run(backend, download(), upload(), fileId=file_id)
    assert execution["error"]["code"] == "request_rejected"
    assert backend.aws.objects() == {}


def reference_of(backend: Backend, telegram: TelegramServer) -> Any:
    file_id = telegram.add_file(b"secret plans", "documents/plans.txt")
    return run(backend, download(), fileId=file_id)["steps"][0]["output"]["file"]


def test_another_tenants_file_is_not_there(
    backend: Backend, telegram: TelegramServer, receiver: Receiver
) -> None:
    reference = reference_of(backend, telegram)
    url = "https://example.com/hooks/theirs"
    backend.save("webhook", {"url": url, "outboundUrl": receiver.url("/in")}, tenant="other")
    definition = {"name": "x", "trigger": {"type": "manual"}, "steps": [post("{{ trigger.file }}")]}
    workflow = backend.create_workflow(definition, tenant="other")
    path = f"/api/workflows/{workflow['workflowId']}/run"
    answer = backend.call("POST", path, {"input": {"file": reference}}, tenant="other")
    backend.drain()
    execution = backend.execution(answer.json["executionId"], tenant="other")
    assert execution["error"]["code"] == "unknown_file"
    assert receiver.received == []


def test_a_file_that_is_gone_fails_the_step_before_anything_is_sent(
    backend: Backend, telegram: TelegramServer, receiver: Receiver
) -> None:
    reference = reference_of(backend, telegram)
    (key,) = backend.aws.objects()
    backend.aws.client.s3.delete_object(Bucket=backend.aws.names["PayloadsBucket"], Key=key)
    execution = run(backend, post("{{ trigger.file }}"), file=reference)
    assert execution["error"]["code"] == "unknown_file"
    assert receiver.received == []


@pytest.mark.parametrize("size", [51 * 2**20, 1, "1"])
def test_how_large_a_file_is_the_bucket_says(
    backend: Backend, telegram: TelegramServer, receiver: Receiver, size: Any
) -> None:
    reference = reference_of(backend, telegram) | {"size": size}
    execution = run(backend, post("{{ trigger.file }}"), file=reference)
    assert execution["status"] == "succeeded", execution["error"]
    assert receiver.received[0].body == b"secret plans"


def test_files_that_are_too_large_together_are_refused_by_their_place(
    backend: Backend, telegram: TelegramServer
) -> None:
    file_id = telegram.add_file(content(17.5), "documents/third.pdf")
    reference = run(backend, download(), fileId=file_id)["steps"][0]["output"]["file"]
    params = {
        "to": "ann@example.com",
        "text": "Three of them",
        "attachments": ["{{ trigger.file }}", "{{ trigger.file }}", "{{ trigger.file }}"],
    }
    mail = {"id": "mail", "action": "email.sendEmail", "params": params}
    with MailServer("none") as server:
        address = {"host": "127.0.0.1", "port": server.port, "secure": "none"}
        backend.save("email", address | {"from": "shop@example.com"})
        execution = run(backend, mail, file=reference)
        assert execution["error"]["code"] == "invalid_params"
        assert "attachments[2]: The files have more than" in execution["error"]["message"]
        assert server.mails == []


def test_a_name_of_a_file_that_no_step_was_given_opens_nothing(
    backend: Backend, telegram: TelegramServer, receiver: Receiver
) -> None:
    reference = reference_of(backend, telegram)
    file = {"fileName": "x", "contentBase64": f"stored:12:{reference['id']}"}
    execution = run(backend, post(file))
    assert execution["error"]["code"] == "unknown_file"
    path = "/api/integrations/webhook/actions/send"
    answer = backend.call("POST", path, {"params": {"file": file}})
    assert (answer.status, answer.code) == (422, "invalid_params")
    assert receiver.received == []


@pytest.mark.parametrize("name", ["stored:-5:file_x", f"stored:{'9' * 30}:file_x", "stored:1_0:x"])
@pytest.mark.parametrize(
    ("action", "params", "place"),
    [
        ("telegram/actions/sendDocument", {"chatId": 42}, "document"),
        ("webhook/actions/send", {}, "file"),
        ("email/actions/sendEmail", {"to": "a@example.com", "subject": "x"}, "attachments"),
    ],
)
def test_a_name_of_a_file_that_is_none_is_the_senders_mistake(
    backend: Backend, action: str, params: dict[str, Any], place: str, name: str
) -> None:
    file: Any = {"fileName": "x", "contentBase64": name}
    sent = {**params, place: [file] if place == "attachments" else file}
    answer = backend.call("POST", f"/api/integrations/{action}", {"params": sent})
    assert (answer.status, answer.code) == (422, "invalid_params")
    assert "base64" in answer.body


GET = {"id": "dl", "action": "webhook.send", "params": {"method": "GET"}}


def test_fifty_megabytes_go_through_a_bounded_memory(
    backend: Backend, telegram: TelegramServer, receiver: Receiver
) -> None:
    url = "https://example.com/hooks/orders"
    signing = {"secret": "orders-webhook-secret", "outboundUrl": receiver.url("/in")}
    backend.save("webhook", {"url": url, **signing})
    peaks = []
    for megabytes in (1, 50):
        film = content(megabytes)
        receiver.reply(Reply(200, film, {"content-type": "video/mp4"}))
        peaks.append(processes.run(backend, started(backend, GET, upload(), post())))
        assert telegram.last.files["document"].content == film
        assert receiver.received[-1].body == film
    assert peaks[1] - peaks[0] < 25, peaks


def test_a_mail_goes_through_a_bounded_memory(backend: Backend, receiver: Receiver) -> None:
    params = {"to": "ann@example.com", "attachments": ["{{ steps.dl.output.file }}"]}
    mail = {"id": "mail", "action": "email.sendEmail", "params": params}
    peaks = []
    with MailServer("none") as server:
        address = {"host": "127.0.0.1", "port": server.port, "secure": "none"}
        backend.save("email", address | {"from": "shop@example.com"})
        for megabytes in (1, 20):
            film = content(megabytes)
            receiver.reply(Reply(200, film, {"content-type": "video/mp4"}))
            peaks.append(processes.run(backend, started(backend, GET, mail)))
            (attached,) = server.mails[-1].message.iter_attachments()
            assert attached.get_content() == film
    assert peaks[1] - peaks[0] < 12, peaks


def test_a_bucket_that_does_not_answer_is_tried_again(
    backend: Backend, telegram: TelegramServer
) -> None:
    file_id = telegram.add_file(b"cat", "photos/cat.png")
    backend.aws.fail_payloads()
    step = download() | {"retry": {"maxAttempts": 3, "backoffSeconds": 0.1}}
    execution_id = started(backend, step, given={"fileId": file_id})
    backend.run()
    assert backend.execution(execution_id)["status"] == "retrying"
    backend.aws.recover()
    backend.drain(pace=0.1)
    assert backend.execution(execution_id)["status"] == "succeeded"


def test_a_bucket_that_does_not_answer_in_the_middle_of_an_upload_is_tried_again(
    backend: Backend, telegram: TelegramServer
) -> None:
    file_id = telegram.add_file(content(0.5), "photos/cat.png")
    step = upload() | {"retry": {"maxAttempts": 3, "backoffSeconds": 0.1}}
    backend.aws.fail(f"GET /{backend.aws.names['PayloadsBucket']}/files", "InternalError")
    execution_id = started(backend, download(), step, given={"fileId": file_id})
    backend.run()
    waiting = backend.execution(execution_id)
    assert (waiting["status"], waiting["steps"][1]["status"]) == ("retrying", "retrying")
    assert telegram.called("sendDocument") == []
    backend.aws.recover()
    backend.drain(pace=0.1)
    assert backend.execution(execution_id)["status"] == "succeeded"
    assert len(telegram.called("sendDocument")) == 1


def test_an_answer_that_is_a_file_goes_on_as_one(
    backend: Backend, telegram: TelegramServer, receiver: Receiver
) -> None:
    picture = content(0.3)
    receiver.reply(Reply(200, picture, {"content-type": "image/png"}))
    execution = run(backend, GET, upload())
    assert execution["status"] == "succeeded", execution["error"]
    uploaded = telegram.last.files["document"]
    assert (uploaded.name, uploaded.content) == ("answer", picture)
    assert uploaded.content_type == "image/png"


@pytest.mark.parametrize("megabytes", [0.01, 1, 9])
def test_a_text_that_does_not_say_how_long_it_is_becomes_a_file_where_it_is_long(
    backend: Backend,
    telegram: TelegramServer,
    receiver: Receiver,
    megabytes: float,
) -> None:
    is_file = megabytes >= 1
    rows = (b"ann,42\n" * round(megabytes * 2**20))[: round(megabytes * 2**20)]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\nconnection: close\r\n\r\n"
    receiver.reply(Reply(raw=head + rows))
    execution = run(backend, GET, *([upload()] if is_file else []))
    assert execution["status"] == "succeeded", execution["error"]
    if is_file:
        assert telegram.last.files["document"].content == rows
    else:
        assert execution["steps"][0]["output"]["body"] == rows.decode()


def test_a_long_answer_of_json_is_seen_whole(backend: Backend, receiver: Receiver) -> None:
    rows = [{"id": number, "name": f"row {number}"} for number in range(20_000)]
    receiver.reply(Reply(200, json.dumps(rows).encode(), {"content-type": "application/json"}))
    last = {
        "id": "last",
        "action": "webhook.send",
        "params": {"json": "{{ steps.dl.output.body[-1] }}"},
    }
    execution = run(backend, GET, last)
    assert execution["status"] == "succeeded", execution["error"]
    assert receiver.received[1].json() == rows[-1]


def test_a_file_in_a_delivery_goes_on(backend: Backend, telegram: TelegramServer) -> None:
    picture = content(0.5)
    boundary = "frontier"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="photo"; filename="cat.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    body = head.encode() + picture + f"\r\n--{boundary}--\r\n".encode()
    hook = {"url": "https://example.com/pictures", "verification": {"type": "none"}}
    saved = backend.save("webhook", hook, "pictures")
    steps = [upload("{{ trigger.body.photo }}")]
    trigger = {"type": "webhook", "webhookId": saved["webhook"]["id"]}
    backend.create_workflow({"name": "pictures", "trigger": trigger, "steps": steps})
    kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
    assert backend.deliver(saved["webhook"]["id"], body, kind).status == 200
    backend.drain()
    (execution,) = backend.executions()
    assert execution["status"] == "succeeded", execution["error"]
    assert telegram.last.files["document"].content == picture
    assert execution["trigger"]["data"]["body"]["photo"]["size"] == len(picture)


@pytest.mark.parametrize(
    "text",
    ["A" * 98_305, "é" * 98_400, "data:image/png;base64," + "A" * 98_402, "-_" * 60_000, 7, None],
    ids=["cut", "not ASCII", "data URL", "of URLs", "number", "null"],
)
def test_what_only_looks_like_a_file_in_a_delivery_goes_on_as_it_came(
    backend: Backend, receiver: Receiver, text: Any
) -> None:
    looks = {"fileName": "a", "contentType": "b", "contentBase64": text}
    saved = backend.save(
        "webhook",
        {
            "url": "https://example.com/pictures",
            "verification": {"type": "none"},
            "outboundUrl": receiver.url(),
        },
        "pictures",
    )
    steps = [
        {
            "id": "a",
            "action": "webhook.send",
            "connection": "pictures",
            "params": {"json": "{{ trigger.body.x }}"},
        }
    ]
    trigger = {"type": "webhook", "webhookId": saved["webhook"]["id"]}
    backend.create_workflow({"name": "pictures", "trigger": trigger, "steps": steps})
    assert backend.deliver(saved["webhook"]["id"], {"x": looks}).status == 200
    backend.drain()
    (execution,) = backend.executions()
    assert execution["status"] == "succeeded", execution["error"]
    assert receiver.last.json() == looks


def test_run_by_itself_an_action_answers_with_its_file(
    backend: Backend, telegram: TelegramServer
) -> None:
    file_id = telegram.add_file(b"cat", "photos/cat.png")
    path = "/api/integrations/telegram/actions/downloadFile"
    answer = backend.call("POST", path, {"params": {"fileId": file_id}})
    assert base64.b64decode(answer.json["result"]["file"]["contentBase64"]) == b"cat"
    large = telegram.add_file(content(5))
    refused = backend.call("POST", path, {"params": {"fileId": large}})
    assert (refused.status, refused.code) == (422, "request_rejected")
    assert "4 MB" in refused.json["detail"]


def test_a_file_goes_into_a_mail(backend: Backend, telegram: TelegramServer) -> None:
    sent = content(15)
    file_id = telegram.add_file(sent, "documents/report.pdf")
    with MailServer("none") as server:
        address = {"host": "127.0.0.1", "port": server.port, "secure": "none"}
        backend.save("email", address | {"from": "shop@example.com"})
        params = {
            "to": "ann@example.com",
            "subject": "Report",
            "text": "Here it is",
            "attachments": ["{{ steps.dl.output.file }}"],
        }
        mail = {"id": "mail", "action": "email.sendEmail", "params": params}
        execution = run(backend, download(), mail, fileId=file_id)
        assert execution["status"] == "succeeded", execution["error"]
        (attached,) = server.mails[0].message.iter_attachments()
        assert attached.get_filename() == "report.pdf"
        assert attached.get_content_type() == "application/pdf"
        assert attached.get_content() == sent
