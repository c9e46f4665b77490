"""Who reaches the local stack: this project's processes and the developer, no page of a browser."""

import http.client
import json
import subprocess
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, override
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
import pytest
import requests

from local.paths import interpreter
from local.platform import Platform
from tests.e2e.conftest import Client
from tests.fakes.serving import Server
from tools.template import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

FRONTEND = "http://localhost:5173"

FETCH = """async ([url, options]) => {
    try {
        const answer = await fetch(url, options);
        return [answer.type, answer.status, await answer.text()];
    } catch (error) {
        return ["refused", 0, ""];
    }
}"""


class Blank(BaseHTTPRequestHandler):
    """A page with nothing in it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>A page</title>")

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def foreign() -> Iterator[str]:
    """A page of somebody else's, on another port of this machine."""
    with Server(("127.0.0.1", 0), Blank) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


def fetch(page: "Page", url: str, **options: Any) -> tuple[str, int, str]:
    kind, status, text = page.evaluate(FETCH, [url, options])
    return kind, status, text


def attempts(platform: Platform) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a page would try: to read, and to write without reading."""
    reset = {"method": "POST", "mode": "no-cors"}
    for base in (platform.endpoint_url, platform.url):
        for path in ("/_ministack/health", "/_ministack/ready", "/?Action=ListQueues", "/"):
            yield base + path, {}
        yield f"{base}/_ministack/reset", reset
        yield f"{base}/_ministack/reset", {"method": "POST"}
        yield f"{base}/api/../_ministack/reset", reset
        yield f"{base}/%5Fministack/reset", reset
    yield (
        platform.endpoint_url,
        {
            "method": "POST",
            "headers": {"X-Amz-Target": "DynamoDB_20120810.ListTables"},
            "body": "{}",
        },
    )
    credential = (
        "AWSAccessKeyId=test&X-Amz-Credential=test%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"
    )
    yield f"{platform.endpoint_url}/?Action=ListUsers&{credential}", {}
    yield f"{platform.endpoint_url}/2015-03-31/functions?{credential}", {}


def test_a_page_from_elsewhere_reads_nothing_and_changes_nothing(
    platform: Platform, foreign: str, page: "Page"
) -> None:
    platform.client("sqs").get_queue_attributes(QueueUrl=platform.name("EventsQueue"))
    page.goto(foreign)
    for url, options in attempts(platform):
        kind, _, text = fetch(page, url, **options)
        assert kind in {"refused", "opaque"}, (url, options)
        assert text == ""
    # All of it is there still.
    assert platform.client("dynamodb").list_tables()["TableNames"]
    platform.client("sqs").get_queue_attributes(QueueUrl=platform.name("EventsQueue"))


def test_a_page_from_elsewhere_does_not_write_as_the_developer(
    platform: Platform, foreign: str, page: "Page"
) -> None:
    name = f"by a page {uuid.uuid4().hex}"
    definition = {"name": name, "trigger": {"type": "manual"}, "steps": []}
    page.goto(foreign)

    for mode in ("no-cors", "cors"):
        kind, _, _ = fetch(
            page,
            f"{platform.url}/api/workflows",
            method="POST",
            mode=mode,
            body=json.dumps(definition),
        )
        assert kind in {"refused", "opaque"}
    page.evaluate(
        """([url]) => new Promise(resolve => {
            document.body.innerHTML = `<iframe name=f></iframe>
                <form target=f method=post enctype=text/plain action="${url}"></form>`;
            document.querySelector("iframe").onload = resolve;
            document.querySelector("form").submit();
        })""",
        [f"{platform.url}/api/workflows"],
    )

    developer = Client(platform, platform.token, "dev")
    names = [each["name"] for each in developer.get("/api/workflows").json()["items"]]
    assert name not in names


def test_the_frontends_page_and_our_own_read_with_the_developers_token(
    platform: Platform, page: "Page"
) -> None:
    page.route(f"{FRONTEND}/", lambda route: route.fulfill(body="<title>The frontend</title>"))
    page.goto(f"{FRONTEND}/")
    kind, status, text = fetch(page, f"{platform.url}/api/integrations/status")
    assert (kind, status) == ("cors", 200)
    assert "telegram" in json.loads(text)

    page.route(f"{platform.url}/", lambda route: route.fulfill(body="<title>Ours</title>"))
    page.goto(f"{platform.url}/")
    kind, status, _ = fetch(page, f"{platform.url}/api/integrations/status")
    assert (kind, status) == ("basic", 200)


def test_what_comes_through_a_tunnel_needs_a_token_of_its_own(platform: Platform) -> None:
    for headers in ({"Host": "abc.ngrok.app"}, {"X-Forwarded-For": "203.0.113.7"}):
        answer = requests.get(
            f"{platform.url}/api/integrations/status", headers=headers, timeout=30
        )
        assert answer.status_code in {401, 403}, headers


def test_what_another_tenant_has_the_stack_send_is_not_the_developer_s(platform: Platform) -> None:
    name = f"stranger-{uuid.uuid4().hex[:8]}"
    stranger = Client(platform, platform.tokens.create(tenant=name, name="e2e"), name)
    stranger.save("webhook", {"url": "https://example.com/hooks/orders"})
    for method, path in (("GET", "/api/integrations/status"), ("POST", "/api/workflows")):
        for headers in ({}, {"Via": "", "User-Agent": "curl/8"}):
            params = {"url": platform.url + path, "method": method, "headers": headers}
            answer = stranger.post(
                "/api/integrations/webhook/actions/send", {"params": params}
            ).json()
            assert answer["detail"].startswith("The receiver answered 401"), answer


def test_ministack_takes_no_key_that_everybody_knows(platform: Platform) -> None:
    for key in ("test", "000000000000", platform.aws["AWS_ACCESS_KEY_ID"]):
        stranger = boto3.client(
            "dynamodb",
            endpoint_url=platform.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key="test",
        )
        with pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch"):
            stranger.list_tables()


def test_a_function_s_keys_cannot_be_computed_from_its_name(platform: Platform) -> None:
    import hashlib

    functions = platform.client("lambda")
    found = functions.get_function_configuration(FunctionName=platform.name("GetStatusFunction"))
    Client(platform, platform.token, "dev").get("/api/integrations/status")
    digest = hashlib.sha256(f"{found['FunctionArn']}:{found['Role']}".encode()).hexdigest()
    stranger = boto3.client(
        "dynamodb",
        endpoint_url=platform.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=f"ASIA{digest[:16].upper()}",
        aws_secret_access_key=hashlib.sha256(f"secret:{digest}".encode()).hexdigest(),
        aws_session_token=hashlib.sha256(f"token:{digest}".encode()).hexdigest(),
    )
    with pytest.raises(botocore.exceptions.ClientError, match="UnrecognizedClient"):
        stranger.list_tables()


STARTING_TWICE = """
import os
os.environ |= {"AUTH": "1", "AWS_SECRET_ACCESS_KEY": "root"}
from local import keeper
from ministack import app
app.AUTH = True

class Sessions(dict):
    def __setitem__(self, key, session):
        assert keeper.secrets_of(key)["AWS_SESSION_TOKEN"] == session["SessionToken"]
        super().__setitem__(key, session)

keeper.sts._sessions = Sessions()
keeper.replace_credentials()
role = "arn:aws:iam::000000000000:role/of-a-function"
arn = "arn:aws:lambda:us-east-1:000000000000:function:it"
config = {"FunctionName": "it", "FunctionArn": arn, "Role": role}
first, second = (keeper.lambda_runtime.execution_credentials(config) for _ in range(2))
assert first == second
assert keeper.secret_of(first["AWS_ACCESS_KEY_ID"], first["AWS_SESSION_TOKEN"])
print(len(keeper.sts._sessions))
"""


def test_a_function_s_new_process_does_not_lock_the_others_out() -> None:
    """Its keys are kept again with each new process: never for a moment with other secrets."""
    python = interpreter(".venv-ministack")
    done = subprocess.run(
        [python, "-c", STARTING_TWICE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "1"


def test_the_api_is_reached_by_the_proxy_alone(platform: Platform) -> None:
    """Nor by a workflow's step that would name the API's host: it has no secret."""
    address = urlsplit(platform.endpoint_url)
    api = platform.name("HttpApi")
    connection = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=30)
    headers = {
        "Host": f"{api}.execute-api.localhost:{address.port}",
        "Authorization": f"Bearer {platform.token}",
    }
    connection.request("GET", "/api/integrations/status", headers=headers)
    assert connection.getresponse().status == 403
    connection.close()


def test_a_workflow_s_step_does_not_reach_ministack(client: Client, platform: Platform) -> None:
    client.save(
        "webhook",
        {
            "url": f"https://example.com/hooks/gate-{uuid.uuid4().hex}",
            "verification": {"type": "none"},
        },
    )
    for host in ("127.0.0.1", "localhost", "[::1]"):
        url = f"http://{host}:{urlsplit(platform.endpoint_url).port}/_ministack/health"
        client.refused_action("webhook.send", {"url": url, "method": "GET"}, 422, "address_refused")


def test_a_presigned_url_of_the_bucket_opens_its_object(platform: Platform) -> None:
    s3, bucket = platform.client("s3"), platform.name("PayloadsBucket")
    s3.put_object(Bucket=bucket, Key="payloads/a b", Body=b"held")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "payloads/a b"})
    assert requests.get(url, timeout=30).content == b"held"
    assert requests.get(url.replace("a%20b", "other"), timeout=30).status_code == 403
    s3.delete_object(Bucket=bucket, Key="payloads/a b")
