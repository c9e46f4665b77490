"""The flows of docs/flows, posted as they are and run from the event to the last effect."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from local.paths import ROOT
from tests.e2e.conftest import Client, StandIns
from tests.fakes.google import Book
from tests.fakes.telegram import TelegramServer

pytestmark = pytest.mark.e2e

ORDERS: list[list[Any]] = [["Id", "Status"], [1001, "open"], [1002, "paid"], [1003, "open"]]
SECRET = "5ecret-of-the-shop"


def flow(name: str) -> dict[str, Any]:
    """A flow, as its file has it."""
    definition: dict[str, Any] = json.loads((ROOT / "docs/flows" / name).read_text("utf-8"))
    return definition


@pytest.fixture
def bot(client: Client, stand_ins: StandIns) -> str:
    """A bot of this test's own, connected; its token."""
    token = f"{uuid.uuid4().int % 10**9}:{uuid.uuid4().hex}"
    stand_ins.telegram.add_bot(token)
    client.save("telegram", {"botToken": token})
    return token


def connect_sheet(client: Client, stand_ins: StandIns, rows: list[list[Any]]) -> Book:
    book = stand_ins.google.add_book({"Orders": rows})
    key = stand_ins.google.add_service_account()
    client.save("sheets", {"serviceAccount": key, "spreadsheetId": book.id})
    return book


def sent_by(telegram: TelegramServer, token: str) -> list[str]:
    """The texts that a bot has sent, in order."""
    return [call.params["text"] for call in telegram.called("sendMessage") if call.token == token]


def command(text: str) -> dict[str, Any]:
    person = {"id": 4711, "is_bot": False, "first_name": "Ann"}
    return {
        "update_id": uuid.uuid4().int % 10**9,
        "message": {
            "message_id": 5,
            "date": 1_795_000_000,
            "chat": {"id": 4711, "type": "private", "first_name": "Ann"},
            "from": person,
            "text": text,
            "entities": [{"offset": 0, "length": 6, "type": "bot_command"}],
        },
    }


def test_a_comment_is_answered_in_public_and_in_private_once_per_person_and_post(
    client: Client, stand_ins: StandIns
) -> None:
    facebook = stand_ins.facebook
    page = facebook.add_page("Bakery")
    owner = facebook.add_user("Ann Owner", pages=[page])
    person = facebook.add_person("Zoë", "Müller")
    author = {"id": person, "name": "Zoë Müller"}
    post, other_post = facebook.add_post(page, "Fresh cake"), facebook.add_post(page, "Tea")
    first = facebook.add_comment(post, "How much is it?", author)
    second = facebook.add_comment(post, "And the price of two?", author)
    elsewhere = facebook.add_comment(other_post, "What does it cost?", author)
    praise = facebook.add_comment(post, "Lovely!", author)
    app = {"appId": facebook.app_id, "appSecret": facebook.app_secret}
    client.save("facebook", app | {"accessToken": facebook.user_token(owner)})

    workflow = client.create_workflow(flow("facebook_comment_reply.json"))
    # Queues keep no order: the first comment has its answer before the others come.
    for comments, count in (((first,), 1), ((first, second, praise, elsewhere), 2)):
        for comment in comments:
            payload = facebook.comment_payload(comment)
            assert facebook.deliver(payload, workflow["webhookUrl"]) == 200
        executions = client.finished(count, workflowId=workflow["workflowId"])

    assert [each["status"] for each in executions] == ["succeeded", "succeeded"]
    replies = [c["_parent"] for c in facebook.comments.values() if c["from"].get("id") == page]
    assert sorted(replies) == sorted([first, elsewhere])
    private = [
        m for m in facebook.messages if m["recipient"].get("comment_id") in {first, elsewhere}
    ]
    assert len(private) == 2
    assert "How much is it?" in json.dumps(private, ensure_ascii=False)


def test_the_pages_own_reply_starts_nothing(client: Client, stand_ins: StandIns) -> None:
    facebook = stand_ins.facebook
    page = facebook.add_page("Bakery")
    owner = facebook.add_user("Ann Owner", pages=[page])
    own = facebook.add_comment(
        facebook.add_post(page, "Cake"), "The price is on our site", {"id": page, "name": "Bakery"}
    )
    app = {"appId": facebook.app_id, "appSecret": facebook.app_secret}
    client.save("facebook", app | {"accessToken": facebook.user_token(owner)})
    workflow = client.create_workflow(flow("facebook_comment_reply.json"))
    asked = facebook.add_comment(
        facebook.add_post(page, "Tea"), "How much?", {"id": facebook.add_person("Bo", "Lee")}
    )

    for comment in (own, asked):
        facebook.deliver(facebook.comment_payload(comment), workflow["webhookUrl"])
    (execution,) = client.finished(1, workflowId=workflow["workflowId"])

    assert execution["trigger"]["data"]["commentId"] == asked


def test_an_order_becomes_a_row_a_message_and_a_mail(
    client: Client, stand_ins: StandIns, bot: str
) -> None:
    webhook_id = f"orders-{uuid.uuid4().hex[:8]}"
    url = f"https://shop.example.com/hooks/{webhook_id}"
    saved = client.save("webhook", {"url": url, "secret": SECRET, "verifySecret": True})
    book = connect_sheet(client, stand_ins, [["Id", "Customer", "Total", "Items"]])
    definition = flow("order_to_sheet.json")
    definition["trigger"]["webhookId"] = saved["webhook"]["id"]
    workflow = client.create_workflow(definition)
    address = f"ann-{webhook_id}@example.com"
    order = {
        "id": 1004,
        "total": 24.5,
        "customer": {"name": "Ann", "email": address},
        "items": [{"name": "Cake"}, {"name": "Tea"}],
    }

    for body in ({"order": order}, {"order": order | {"total": 0}}, {"ping": True}):
        headers = {"X-Webhook-Secret": SECRET}
        answer = requests.post(workflow["webhookUrl"], json=body, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
    (execution,) = client.finished(workflowId=workflow["workflowId"])

    assert execution["status"] == "succeeded", execution
    assert [step["status"] for step in execution["steps"]] == ["succeeded"] * 3
    assert book.rows("Orders")[1] == [1004, "Ann", 24.5, "Cake, Tea"]
    assert sent_by(stand_ins.telegram, bot) == ["Order 1004 of Ann: 24.5 EUR (row 2)"]
    mails = [mail for mail in stand_ins.mail.mails if address in str(mail.message["To"])]
    assert [mail.message["Subject"] for mail in mails] == ["Your order 1004"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("/order 1002", "Order 1002 is paid."),
        ("/order 7", "There is no order 7."),
        ("/order cake", "There is no order cake."),
        ("/order", "Which order? Say /order 1001."),
    ],
)
def test_a_command_is_looked_up_and_answered(
    client: Client, stand_ins: StandIns, bot: str, text: str, answer: str
) -> None:
    connect_sheet(client, stand_ins, ORDERS)
    workflow = client.create_workflow(flow("telegram_lookup.json"))

    assert stand_ins.telegram.tell(command(text), bot) == 200
    assert stand_ins.telegram.tell(command("just talking"), bot) == 200
    (execution,) = client.finished(workflowId=workflow["workflowId"])

    assert execution["status"] == "succeeded", execution
    assert sent_by(stand_ins.telegram, bot) == [answer]


def test_the_schedule_reminds_of_the_open_orders(
    client: Client, stand_ins: StandIns, bot: str
) -> None:
    connect_sheet(client, stand_ins, ORDERS)
    reminder = flow("morning_reminder.json")
    workflow = client.create_workflow(reminder)
    group = client.platform.name("ScheduleGroup")
    schedules = client.platform.client("scheduler").list_schedules(GroupName=group)["Schedules"]
    assert any(each["Name"].startswith(workflow["workflowId"]) for each in schedules)

    # MiniStack, which looks each second, has seen the cron: it does not count as having fired.
    time.sleep(2)
    soon = datetime.now(UTC) + timedelta(seconds=15)
    reminder["trigger"] = {"type": "schedule", "expression": f"at({soon:%Y-%m-%dT%H:%M:%S})"}
    client.put(f"/api/workflows/{workflow['workflowId']}", reminder).raise_for_status()
    (execution,) = client.finished(workflowId=workflow["workflowId"])
    client.delete(f"/api/workflows/{workflow['workflowId']}").raise_for_status()

    assert execution["status"] == "succeeded", execution
    assert sent_by(stand_ins.telegram, bot) == ["Good morning! 2 open orders: 1001, 1003"]
    schedules = client.platform.client("scheduler").list_schedules(GroupName=group)["Schedules"]
    assert not any(each["Name"].startswith(workflow["workflowId"]) for each in schedules)
