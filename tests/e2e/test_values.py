"""What steps hand on: a whole sheet, a file of many megabytes."""

import os
import time
import uuid
from random import Random

import pytest

from tests.e2e.conftest import MAIL_PASSWORD, MAIL_USER, Client, StandIns

pytestmark = pytest.mark.e2e

ROWS = int(os.environ.get("SHEET_ROWS", "60"))


def test_a_file_goes_from_telegram_into_a_mail_and_a_webhook_byte_for_byte(
    client: Client, stand_ins: StandIns
) -> None:
    film = Random(13).randbytes(15 * 2**20)
    file_id = stand_ins.telegram.add_file(film, f"videos/{uuid.uuid4().hex}.mp4")
    path = f"/{uuid.uuid4().hex}"
    client.save("telegram", {"botToken": stand_ins.telegram.token})
    url = f"https://example.com/{uuid.uuid4().hex}"
    client.save("webhook", {"url": url, "outboundUrl": stand_ins.receiver.url(path)})
    file = "{{ steps.film.output.file }}"
    mail = {"to": "ann@example.com", "subject": path, "text": "A film", "attachments": [file]}
    workflow = client.create_workflow(
        {
            "name": "films",
            "trigger": {"type": "manual"},
            "steps": [
                {
                    "id": "film",
                    "action": "telegram.downloadFile",
                    "params": {"fileId": "{{ trigger.fileId }}"},
                },
                {"id": "mail", "action": "email.sendEmail", "params": mail},
                {"id": "post", "action": "webhook.send", "params": {"file": file}},
            ],
        }
    )
    client.post(f"/api/workflows/{workflow['workflowId']}/run", {"input": {"fileId": file_id}})
    (execution,) = client.finished(seconds=180)
    assert execution["status"] == "succeeded", execution["error"]
    assert execution["steps"][0]["output"]["file"]["size"] == len(film)
    (message,) = [each.message for each in stand_ins.mail.mails if each.message["subject"] == path]
    (attached,) = message.iter_attachments()
    assert attached.get_content_type() == "video/mp4"
    assert attached.get_content() == film
    (posted,) = [each for each in stand_ins.receiver.received if each.path == path]
    assert posted.body == film
    print({step["id"]: step["durationMs"] for step in execution["steps"]})  # noqa: T201


def test_each_row_of_a_sheet_becomes_a_mail(client: Client, stand_ins: StandIns) -> None:
    unique = uuid.uuid4().hex
    rows = [["Customer", "Mail"]]
    rows += [[f"Customer {number}", f"{number}.{unique}@example.com"] for number in range(ROWS)]
    book = stand_ins.google.add_book({"Customers": rows}, title="Shop")
    key = stand_ins.google.add_service_account()
    client.save("sheets", {"serviceAccount": key, "spreadsheetId": book.id})
    # A mail server of one's own: the stack's takes two hundred recipients a day.
    own = {"host": "localhost", "port": stand_ins.mail.port, "from": MAIL_USER}
    client.save("email", own | {"user": MAIL_USER, "pass": MAIL_PASSWORD})
    workflow = client.create_workflow(
        {
            "name": "letters",
            "trigger": {"type": "manual"},
            "steps": [
                {
                    "id": "rows",
                    "action": "sheets.getRows",
                    "params": {"sheet": "Customers", "limit": ROWS},
                },
                {
                    "id": "mail",
                    "action": "email.sendEmail",
                    "forEach": "steps.rows.output.rows",
                    "params": {
                        "to": "{{ item.Mail }}",
                        "subject": "For {{ item.Customer }}",
                        "text": "Letter {{ index }}",
                    },
                },
            ],
        }
    )
    started = time.monotonic()
    client.post(f"/api/workflows/{workflow['workflowId']}/run", {"input": {}})
    (execution,) = client.finished(seconds=150 + ROWS)
    assert execution["status"] == "succeeded", execution["error"]
    assert execution["steps"][1]["rounds"] == {
        "total": ROWS,
        "done": ROWS,
        "failed": 0,
        "failures": [],
    }
    got = [
        recipient
        for each in stand_ins.mail.mails
        for recipient in each.recipients
        if unique in recipient
    ]
    assert sorted(got) == sorted(mail for _, mail in rows[1:])
    print(f"{ROWS} mails in {time.monotonic() - started:.0f} s")  # noqa: T201 - the counts
