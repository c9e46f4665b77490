"""``make logs``: which lines are shown, and what of a line."""

import json
import time
from typing import Any

import boto3
import botocore.exceptions
import pytest
from moto import mock_aws

from local import logs
from local.logs import Logs, shown
from local.state import State
from tools.template import functions

GROUPS = "/aws/lambda/stack-"
NOW = int(time.time() * 1000) - 1_000_000


def test_what_is_for_cloudwatch_alone_is_not_shown() -> None:
    line = {"message": "delivery", "outcome": "accepted", "_aws": {"Timestamp": 1}}
    assert json.loads(shown(json.dumps(line) + "\n")) == {
        "message": "delivery",
        "outcome": "accepted",
    }


def test_any_other_line_stays_as_it_is() -> None:
    for line in ('{"level": "INFO"}', "plain words, and no JSON", '"_aws"', "[]"):
        assert shown(line + "\n") == line


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield boto3.client("logs", region_name="us-east-1")


def log(client: Any, function: str, at: int, message: str) -> None:
    place = {"logGroupName": GROUPS + function, "logStreamName": "stream"}
    client.put_log_events(**place, logEvents=[{"timestamp": at, "message": message}])


def test_every_function_is_followed_however_many_there_are(client: Any) -> None:
    names = sorted(name.replace("_", "-") for name in functions())
    assert len(names) > 50  # which is a page of groups
    for name in names:
        client.create_log_group(logGroupName=GROUPS + name)
        client.create_log_stream(logGroupName=GROUPS + name, logStreamName="stream")
        log(client, name, NOW, name)
    assert [line for _, line in Logs(client, GROUPS, NOW).new()] == names


def test_each_line_is_told_once_and_none_from_before(client: Any) -> None:
    client.create_log_group(logGroupName=GROUPS + "a")
    client.create_log_stream(logGroupName=GROUPS + "a", logStreamName="stream")
    log(client, "a", NOW - 1, "before")
    follow = Logs(client, GROUPS, NOW)
    log(client, "a", NOW + 100_000, "first")
    assert list(follow.new()) == [(GROUPS + "a", "first")]
    log(client, "a", NOW + 99_000, "of another process, a little later")
    log(client, "a", NOW + 200_000, "second")
    assert [line for _, line in follow.new()] == ["of another process, a little later", "second"]
    assert list(follow.new()) == []
    # What was told and is long over is neither asked for again nor remembered.
    assert list(follow._seen[GROUPS + "a"]) == [("stream", NOW + 200_000, "second")]


def test_a_function_that_there_is_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCTION", "get-stauts")
    with pytest.raises(SystemExit, match="no function get-stauts"):
        logs.main()


def test_the_end_of_the_stack_is_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Gone:
        def get_paginator(self, _: str) -> Any:
            raise botocore.exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    monkeypatch.setenv("FUNCTION", "get_status")
    monkeypatch.setattr(logs.ministack, "running", lambda: (State(), lambda _: Gone()))
    logs.main()
    said = capsys.readouterr().out
    assert said == "Listening to get-status; Ctrl-C ends it.\nThe stack has ended.\n"
