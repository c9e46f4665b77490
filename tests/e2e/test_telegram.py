"""A Telegram bot, from its first test to its removal, through the documented API."""

from typing import Any

import pytest

from tests.e2e.conftest import Client, StandIns
from tests.fakes.telegram import TOKEN

pytestmark = pytest.mark.e2e


@pytest.fixture
def bot(client: Client) -> dict[str, Any]:
    return client.save("telegram", {"botToken": TOKEN})


def test_a_message_to_the_bot_is_answered_by_a_workflow(
    client: Client, bot: dict[str, Any], stand_ins: StandIns
) -> None:
    workflow = client.create_workflow(
        {
            "name": "echo",
            "trigger": {"type": "telegram.message"},
            "steps": [
                {
                    "id": "answer",
                    "action": "telegram.sendMessage",
                    "params": {
                        "chatId": "{{ trigger.chatId }}",
                        "text": "You said: {{ trigger.text }}",
                    },
                }
            ],
        }
    )
    update = {
        "update_id": 1001,
        "message": {
            "message_id": 5,
            "date": 1_795_000_000,
            "chat": {"id": 42, "type": "private", "first_name": "Ann"},
            "from": {"id": 42, "is_bot": False, "first_name": "Ann"},
            "text": "hello",
        },
    }

    assert stand_ins.telegram.tell(update) == 200
    assert stand_ins.telegram.tell(update) == 200

    (execution,) = client.finished(workflowId=workflow["workflowId"])
    assert execution["status"] == "succeeded"
    assert execution["trigger"]["data"]["text"] == "hello"
    texts = [call.params["text"] for call in stand_ins.telegram.called("sendMessage")]
    assert texts.count("You said: hello") == 1
