"""What is kept, how it is sealed, who may open it, and what the API refuses."""

import base64
import json
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from integrations.entry.problem import MAX_BODY_BYTES
from local.platform import Platform
from tests.e2e.conftest import Client, StandIns, problem
from tests.e2e.secrecy import lines
from tests.fakes.telegram import TelegramServer, together

pytestmark = pytest.mark.e2e

CREDENTIALS = "/api/integrations/telegram/credentials"
SEND = "/api/integrations/telegram/actions/sendMessage"
HELLO = {"params": {"chatId": 42, "text": "Hello"}}
# AWS's own policies, which SAM attaches for logs and traces.
BASIC = {
    "AWSLambdaBasicExecutionRole",
    "AWSXRayDaemonWriteAccess",
    "AWSXrayWriteOnlyAccess",
}
SEALED = ("ciphertext", "nonce", "dataKey", "keyId")


@pytest.fixture
def telegram(stand_ins: StandIns) -> TelegramServer:
    return stand_ins.telegram


def new_bot(telegram: TelegramServer) -> str:
    unique = uuid.uuid4()
    token = f"{unique.int % 10**9 + 10**9}:AA{unique.hex}"
    telegram.add_bot(token)
    return token


@pytest.fixture
def token(telegram: TelegramServer) -> str:
    """The token of a bot that is this test's alone."""
    return new_bot(telegram)


@pytest.fixture
def other(platform: Platform) -> Client:
    """A client of another tenant."""
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    return Client(platform, platform.tokens.create(tenant=tenant, name="e2e"), tenant)


class Rows:
    """The Connections table, as somebody sees it who got hold of it."""

    def __init__(self, platform: Platform) -> None:
        self._dynamodb = platform.client("dynamodb")
        self._table = platform.name("ConnectionsTable")

    def read(self, client: Client, connection: str = "telegram#default") -> dict[str, Any]:
        key = {"tenant": {"S": client.tenant}, "connection": {"S": connection}}
        row: dict[str, Any] = self._dynamodb.get_item(TableName=self._table, Key=key)["Item"]
        return row

    def write(self, row: Mapping[str, Any]) -> None:
        self._dynamodb.put_item(TableName=self._table, Item=dict(row))


@pytest.fixture
def rows(platform: Platform) -> Rows:
    return Rows(platform)


# -- What lies in the table ------------------------------------------------------------------


def test_a_row_holds_no_part_of_the_token(client: Client, token: str, rows: Rows) -> None:
    client.save("telegram", {"botToken": token})

    row = rows.read(client)

    secret = token.partition(":")[2]
    stored = json.dumps(row, default=lambda value: value.decode("latin-1"))
    stored += "".join(base64.b64encode(row[name]["B"]).decode() for name in SEALED[:3])
    pieces = {secret[at : at + 6] for at in range(len(secret) - 5)}
    assert not {piece for piece in pieces if piece in stored}
    assert {name for name in SEALED if name in row} == set(SEALED)
    assert len(row["nonce"]["B"]) == 12
    assert row["account"]["S"].startswith('{"id"')  # the metadata stands there in the clear


def test_each_write_has_its_own_data_key_and_nonce(client: Client, token: str, rows: Rows) -> None:
    client.save("telegram", {"botToken": token})
    first = rows.read(client)
    client.save("telegram", {"botToken": token})
    second = rows.read(client)

    assert all(first[name] != second[name] for name in SEALED[:3])
    assert int(second["version"]["N"]) == int(first["version"]["N"]) + 1


def test_nothing_that_the_stack_logs_holds_the_token(
    client: Client, token: str, telegram: TelegramServer, platform: Platform
) -> None:
    client.save("telegram", {"botToken": token})
    client.act("telegram", "sendMessage", HELLO["params"])
    telegram.revoke(token)
    problem(client.post(SEND, HELLO), 422, "credentials_rejected")
    client.post("/api/integrations/telegram/test", {})
    client.delete(CREDENTIALS)

    log = "\n".join([platform.log.read_text(encoding="utf-8", errors="replace"), *lines(platform)])
    assert "DELETE /api/integrations/{providerId}/credentials" in log
    assert token.partition(":")[2] not in log
    assert client.token not in log


@pytest.mark.parametrize(
    "moved", [SEALED, SEALED[:2]], ids=["with its data key", "without its data key"]
)
def test_a_ciphertext_that_was_moved_to_another_row_does_not_open(
    client: Client,
    other: Client,
    telegram: TelegramServer,
    rows: Rows,
    moved: tuple[str, ...],
) -> None:
    stolen, own = new_bot(telegram), new_bot(telegram)
    client.save("telegram", {"botToken": stolen})
    other.save("telegram", {"botToken": own})
    sealed, row = rows.read(client), rows.read(other)

    rows.write(row | {name: sealed[name] for name in moved})
    answer = other.post(SEND, HELLO)

    problem(answer, 422, "credentials_unreadable")
    assert not [call for call in telegram.called("sendMessage") if call.token in {stolen, own}]
    rows.write(row)
    assert other.post(SEND, HELLO).status_code == 200


def test_a_ciphertext_that_was_moved_within_the_tenant_does_not_open_either(
    client: Client, telegram: TelegramServer, rows: Rows
) -> None:
    client.save("telegram", {"botToken": new_bot(telegram)}, "one")
    client.save("telegram", {"botToken": new_bot(telegram)}, "two")
    one, two = rows.read(client, "telegram#one"), rows.read(client, "telegram#two")

    rows.write(two | {name: one[name] for name in SEALED})

    answer = client.post(SEND, {**HELLO, "connection": "two"})
    problem(answer, 422, "credentials_unreadable")


# -- Who may open it -------------------------------------------------------------------------


def statements(platform: Platform, function: str) -> list[dict[str, Any]]:
    """What a deployed function's role allows beyond what SAM attaches."""
    iam, role = platform.client("iam"), platform.name(f"{function}Role")
    found: list[dict[str, Any]] = []
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        found += document["Statement"]
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert {policy["PolicyName"] for policy in attached} <= BASIC
    return found


def as_list(stored: str | list[str]) -> list[str]:
    return [stored] if isinstance(stored, str) else stored


def actions(platform: Platform, function: str) -> set[str]:
    return {
        action
        for statement in statements(platform, function)
        for action in as_list(statement["Action"])
    }


@contextmanager
def without(platform: Platform, function: str, action: str) -> Iterator[None]:
    """Take one permission off a deployed function's role, and put it back."""
    iam, role = platform.client("iam"), platform.name(f"{function}Role")
    stored = {
        name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    }
    for name, document in stored.items():
        allowed = [
            {**statement, "Action": left}
            for statement in document["Statement"]
            if (left := [one for one in as_list(statement["Action"]) if one != action])
        ]
        if allowed:
            less = json.dumps({**document, "Statement": allowed})
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=less)
        else:
            iam.delete_role_policy(RoleName=role, PolicyName=name)
    try:
        yield
    finally:
        for name, document in stored.items():
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))


def assume(platform: Platform, function: str, service: str) -> Any:
    """A client of a service with the rights of a deployed function."""
    iam, sts = platform.client("iam"), platform.client("sts")
    role = iam.get_role(RoleName=platform.name(f"{function}Role"))["Role"]
    # A function's role trusts Lambda alone: for this test it trusts the account as well.
    trust = role["AssumeRolePolicyDocument"]
    account = role["Arn"].split(":")[4]
    also = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "sts:AssumeRole",
    }
    wider = json.dumps({**trust, "Statement": [*trust["Statement"], also]})
    iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=wider)
    try:
        given = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    finally:
        iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(trust))
    make: Any = boto3.client  # by a name that is known at run time only
    return make(
        service,
        region_name="us-east-1",
        endpoint_url=platform.endpoint_url,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


def test_the_metadata_is_shown_by_a_role_that_cannot_decrypt(
    client: Client, token: str, rows: Rows, platform: Platform
) -> None:
    client.save("telegram", {"botToken": token})
    assert client.get(CREDENTIALS).json()["status"] == "connected"

    reader = actions(platform, "GetCredentialsFunction")
    assert "dynamodb:GetItem" in reader
    assert not {action for action in reader if action.startswith("kms:") or "*" in action}

    sealed = {
        "CiphertextBlob": rows.read(client)["dataKey"]["B"],
        "KeyId": rows.read(client)["keyId"]["S"],
        "EncryptionContext": {
            "tenant": client.tenant,
            "provider": "telegram",
            "connection": "default",
        },
    }
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(platform, "GetCredentialsFunction", "kms").decrypt(**sealed)
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(platform, "GetStatusFunction", "kms").decrypt(**sealed)
    # The same call by a role that may: the refusal above is about the role and nothing else.
    opened = assume(platform, "RunActionFunction", "kms").decrypt(**sealed)
    assert len(opened["Plaintext"]) == 32


def test_a_data_key_opens_in_its_own_context_alone(
    client: Client, token: str, rows: Rows, platform: Platform
) -> None:
    client.save("telegram", {"botToken": token})
    row = rows.read(client)

    with pytest.raises(ClientError, match="InvalidCiphertext"):
        platform.client("kms").decrypt(
            CiphertextBlob=row["dataKey"]["B"],
            KeyId=row["keyId"]["S"],
            EncryptionContext={
                "tenant": "somebody-else",
                "provider": "telegram",
                "connection": "default",
            },
        )


def test_no_role_may_do_more_with_the_key_than_its_route_does(platform: Platform) -> None:
    """Reading metadata and lists, checking tokens and dispatching need no credentials."""
    for function in (
        "ListIntegrationsFunction",
        "GetStatusFunction",
        "GetCredentialsFunction",
        "AuthorizeRequestFunction",
        "GetOAuthStatusFunction",
        "ListWorkflowsFunction",
        "GetWorkflowFunction",
        "ListExecutionsFunction",
        "GetExecutionFunction",
        "DispatchEventFunction",
    ):
        allowed = actions(platform, function)
        assert not {action for action in allowed if action.startswith("kms:")}, function
        assert "*" not in allowed
    # It opens the stack's own key, by which it knows its own requests, and no credentials.
    (opens,) = [
        each for each in statements(platform, "StartWorkflowFunction") if "kms" in str(each)
    ]
    (condition,) = opens["Condition"].values()
    assert condition == {"kms:EncryptionContextKeys": ["tenant", "webhook"]}


def test_a_permission_that_is_taken_away_is_missed_until_it_is_put_back(
    client: Client, token: str, platform: Platform
) -> None:
    credentials = {"credentials": {"botToken": token}}

    with without(platform, "GetStatusFunction", "dynamodb:Query"):
        problem(client.get("/api/integrations/status"), 500, "internal_error")
    assert client.get("/api/integrations/status").status_code == 200

    with without(platform, "SaveCredentialsFunction", "kms:GenerateDataKey"):
        problem(client.post(CREDENTIALS, credentials), 500, "internal_error")
    problem(client.get(CREDENTIALS), 404, "unknown_connection")
    assert client.post(CREDENTIALS, credentials).status_code == 200

    with without(platform, "RunActionFunction", "kms:Decrypt"):
        problem(client.post(SEND, HELLO), 500, "internal_error")
    assert client.post(SEND, HELLO).status_code == 200

    with without(platform, "GetCredentialsFunction", "dynamodb:GetItem"):
        problem(client.get(CREDENTIALS), 500, "internal_error")
    assert client.get(CREDENTIALS).status_code == 200

    with without(platform, "DeleteCredentialsFunction", "dynamodb:DeleteItem"):
        problem(client.delete(CREDENTIALS), 500, "internal_error")
    assert client.delete(CREDENTIALS).status_code == 200


# -- Whose it is -----------------------------------------------------------------------------


def test_another_tenants_connection_does_not_exist(
    client: Client, other: Client, token: str
) -> None:
    client.save("telegram", {"botToken": token})

    problem(other.get(CREDENTIALS), 404, "unknown_connection")
    problem(other.delete(CREDENTIALS), 404, "unknown_connection")
    problem(other.post("/api/integrations/telegram/test", {}), 404, "unknown_connection")
    problem(other.post(SEND, HELLO), 404, "unknown_connection")
    assert other.get("/api/integrations/status").json()["telegram"]["connections"] == []

    assert client.get(CREDENTIALS).json()["status"] == "connected"


def test_no_field_header_or_query_makes_a_request_another_tenants(
    client: Client, other: Client, token: str
) -> None:
    client.save("telegram", {"botToken": token})

    answer = other.get(CREDENTIALS, headers={"X-Tenant": client.tenant})
    query = {"tenant": client.tenant}
    body = {**HELLO, "tenant": client.tenant}

    problem(answer, 404, "unknown_connection")
    problem(other.get(CREDENTIALS, params=query), 422, "invalid_input")
    problem(other.post(SEND, body), 422, "invalid_input")


def test_several_connections_of_one_provider_live_side_by_side(
    client: Client, telegram: TelegramServer
) -> None:
    bots = {name: new_bot(telegram) for name in ("default", "sales", "support.eu-1")}
    for name, token in bots.items():
        client.save("telegram", {"botToken": token}, name)

    for name, token in bots.items():
        client.act("telegram", "sendMessage", {"chatId": 42, "text": name}, name)
        (call,) = [call for call in telegram.called("sendMessage") if call.token == token]
        assert call.params["text"] == name
        shown = client.get(CREDENTIALS, params={"connection": name}).json()
        assert shown["account"]["id"] == token.partition(":")[0]
    state = client.get("/api/integrations/status").json()["telegram"]
    assert {each["connection"] for each in state["connections"]} == set(bots)
    assert state["account"]["id"] == bots["default"].partition(":")[0]

    assert client.delete(CREDENTIALS, params={"connection": "sales"}).status_code == 200
    problem(client.get(CREDENTIALS, params={"connection": "sales"}), 404, "unknown_connection")
    assert client.get(CREDENTIALS).status_code == 200


# -- Who may call ----------------------------------------------------------------------------


def test_a_caller_without_a_token_is_refused(platform: Platform) -> None:
    # The proxy lends its token to this machine's own programs, never to a foreign page.
    foreign = {"Origin": "https://elsewhere.example"}

    for path in ("/api/integrations/status", "/api/workflows", "/api/executions"):
        answer = requests.get(f"{platform.url}{path}", headers=foreign, timeout=30)
        assert answer.status_code == 401, path


@pytest.mark.parametrize(
    "header",
    ["Bearer ib_unknown", "Bearer ", "Basic YW5uOnNlY3JldA==", "ib_unknown", "Bearer eyJ.e30."],
)
def test_a_token_that_nobody_was_given_is_refused(platform: Platform, header: str) -> None:
    answer = requests.get(
        f"{platform.url}/api/integrations/status", headers={"Authorization": header}, timeout=30
    )

    assert answer.status_code in {401, 403}


def test_expired_and_revoked_tokens_are_refused(platform: Platform) -> None:
    expired = f"ib_{uuid.uuid4().hex}{uuid.uuid4().hex[:11]}"
    platform.tokens.put(expired, tenant="gone", name="expired", scopes=("read",), days=-1)
    revoked = platform.tokens.create(tenant="gone", name="revoked")
    platform.tokens.revoke(tenant="gone", name="revoked")

    for token in (expired, revoked):
        assert Client(platform, token, "gone").get("/api/workflows").status_code == 401


def test_a_token_that_may_read_alone_changes_nothing(
    client: Client, platform: Platform, token: str
) -> None:
    client.save("telegram", {"botToken": token})
    reading = platform.tokens.create(tenant=client.tenant, name="reader", scopes=["read"])
    reader = Client(platform, reading, client.tenant)

    assert reader.get("/api/integrations/status").json()["telegram"]["status"] == "connected"
    assert reader.get(CREDENTIALS).status_code == 200
    for answer in (
        reader.post(SEND, HELLO),
        reader.post(CREDENTIALS, {"credentials": {"botToken": token}}),
        reader.post("/api/integrations/telegram/test", {}),
        reader.delete(CREDENTIALS),
    ):
        problem(answer, 403, "insufficient_scope")
    assert client.get(CREDENTIALS).status_code == 200


def test_a_token_that_may_write_alone_reads_nothing(client: Client, platform: Platform) -> None:
    writing = platform.tokens.create(tenant=client.tenant, name="writer", scopes=["write"])

    answer = Client(platform, writing, client.tenant).get("/api/integrations/status")

    problem(answer, 403, "insufficient_scope")


# -- What is refused -------------------------------------------------------------------------


def test_an_unknown_provider_is_named_with_those_that_there_are(client: Client) -> None:
    path = "/api/integrations/carrier-pigeon"

    for answer in (
        client.post(f"{path}/test", {"credentials": {}}),
        client.post(f"{path}/credentials", {"credentials": {}}),
        client.get(f"{path}/credentials"),
        client.delete(f"{path}/credentials"),
        client.post(f"{path}/actions/send", {"params": {}}),
    ):
        detail = problem(answer, 404, "unknown_provider")["detail"]
        assert "'carrier-pigeon'" in detail
        assert "telegram" in detail


def test_an_unknown_action_is_named_with_those_that_there_are(client: Client) -> None:
    answer = client.post("/api/integrations/telegram/actions/sendPigeon", {"params": {}})

    assert "sendMessage" in problem(answer, 404, "unknown_action")["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"credentials": {"botToken": ',
        b"{'a': 1}",
        b'{"credentials": NaN}',
        b"\xff\xfe",
        b'"\\ud800"',
    ],
    ids=["cut off", "not JSON", "NaN", "not UTF-8", "half a character"],
)
def test_a_body_that_is_not_json_is_told(client: Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    answer = client.post(CREDENTIALS, data=body, headers=headers)

    problem(answer, 400, "malformed_json")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (None, "body"),
        ([], "body"),
        ({}, "credentials"),
        ({"credentials": "text"}, "credentials"),
        ({"credentials": None}, "credentials"),
        ({"credentials": {}}, "credentials.botToken"),
        ({"credentials": {"botToken": 5}}, "credentials.botToken"),
        ({"credentials": {"botToken": ["a"]}}, "credentials.botToken"),
        ({"credentials": {"botToken": "no token"}}, "credentials.botToken"),
        ({"credentials": {"botToken": "1:../../x"}}, "credentials.botToken"),
        ({"credentials": {"botToken": "GOOD", "surplus": 1}}, "credentials.surplus"),
        ({"credentials": {"botToken": "GOOD", "apiBase": "ftp://x"}}, "credentials.apiBase"),
        ({"credentials": {"botToken": "GOOD"}, "surplus": 1}, "surplus"),
        ({"credentials": {"botToken": "GOOD"}, "connection": 5}, "connection"),
        ({"credentials": {"botToken": "GOOD"}, "connection": "a#b"}, "connection"),
        ({"credentials": {"botToken": "GOOD"}, "connection": "x" * 65}, "connection"),
        ({"credentials": {"botToken": "GOOD"}, "connection": ""}, "connection"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named_and_nothing_is_asked_or_kept(
    client: Client, telegram: TelegramServer, token: str, body: Any, field: str
) -> None:
    sent = json.loads(json.dumps(body).replace("GOOD", token))

    answer = client.post(CREDENTIALS, sent)

    refused = problem(answer, 422, "invalid_input")
    assert field in {error["field"] for error in refused["errors"]}, refused
    assert token.partition(":")[2] not in answer.text
    assert not [call for call in telegram.called("getMe") if call.token == token]
    problem(client.get(CREDENTIALS), 404, "unknown_connection")


def test_a_body_of_seven_megabytes_is_too_large(client: Client) -> None:
    answer = client.post(CREDENTIALS, {"credentials": {"botToken": "x" * 7_000_000}})

    assert str(MAX_BODY_BYTES) in problem(answer, 413, "payload_too_large")["detail"]


def test_what_is_in_the_query_is_checked_too(client: Client) -> None:
    for name in ("a#b", "", "../x", "ä"):
        answer = client.get(CREDENTIALS, params={"connection": name})
        problem(answer, 422, "invalid_input")


def test_a_token_that_telegram_refuses_is_not_kept_and_the_earlier_one_goes_on(
    client: Client, telegram: TelegramServer, token: str
) -> None:
    before = client.save("telegram", {"botToken": token})

    refused = client.post(CREDENTIALS, {"credentials": {"botToken": f"{token}x"}})

    body = problem(refused, 422, "credentials_rejected")
    assert "Unauthorized" in body["detail"]
    assert body["provider"]["status"] == 401
    shown = client.get(CREDENTIALS).json()
    assert shown["status"] == "connected"
    assert shown["updatedAt"] == before["updatedAt"]
    client.act("telegram", "sendMessage", HELLO["params"])
    assert telegram.called("sendMessage")[-1].token == token


def test_a_provider_that_is_connected_by_logging_in_takes_no_credentials(client: Client) -> None:
    for provider in ("sheets_oauth", "facebook_oauth"):
        answer = client.post(
            f"/api/integrations/{provider}/credentials", {"credentials": {"accessToken": "x"}}
        )
        assert "oauth/start" in problem(answer, 422, "invalid_input")["detail"]


# -- Two at once -----------------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True], ids=["the first save", "a later save"])
def test_of_two_who_save_at_once_one_wins_and_what_is_kept_is_whole(
    client: Client,
    telegram: TelegramServer,
    platform: Platform,
    rows: Rows,
    known: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    earlier = None
    if known:
        client.save("telegram", {"botToken": new_bot(telegram)})
        earlier = int(rows.read(client)["version"]["N"])
    bots = [new_bot(telegram), new_bot(telegram)]
    telegram.fail(*together(2), method="getMe")

    def save(token: str) -> requests.Response:
        own = Client(platform, client.token, client.tenant)
        return own.post(CREDENTIALS, {"credentials": {"botToken": token}})

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(save, bots))

    statuses = [answer.status_code for answer in answers]
    version = int(rows.read(client)["version"]["N"])
    print(f"\n  two savers at once: {statuses}, version {version}")  # noqa: T201 - what was seen
    winners = [bot for bot, answer in zip(bots, answers, strict=True) if answer.ok]
    assert winners
    for answer in answers:
        if not answer.ok:
            problem(answer, 409, "version_conflict")
    assert earlier is None or version == earlier + len(winners)
    shown = client.get(CREDENTIALS).json()
    client.act("telegram", "sendMessage", HELLO["params"])
    allowed = telegram.called("sendMessage")[-1].token
    assert allowed in winners
    assert shown["account"]["id"] == allowed.partition(":")[0]
    # The one who lost leaves no webhook behind.
    found = platform.client("dynamodb").scan(
        TableName=platform.name("WebhooksTable"),
        # A released id stays its tenant's for good, and nothing is delivered to it.
        FilterExpression="tenant = :tenant AND attribute_not_exists(releasedAt)",
        ExpressionAttributeValues={":tenant": {"S": client.tenant}},
    )["Items"]
    assert [row["webhookId"]["S"] for row in found] == [shown["webhook"]["id"]]
