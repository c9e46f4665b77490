"""``make logs``: what is shown of a line."""

import json

from local.logs import shown


def test_what_is_for_cloudwatch_alone_is_not_shown() -> None:
    line = {"message": "delivery", "outcome": "accepted", "_aws": {"Timestamp": 1}}
    assert json.loads(shown(json.dumps(line) + "\n")) == {
        "message": "delivery",
        "outcome": "accepted",
    }


def test_any_other_line_stays_as_it_is() -> None:
    for line in ('{"level": "INFO"}', "plain words, and no JSON", '"_aws"', "[]"):
        assert shown(line + "\n") == line
