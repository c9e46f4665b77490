"""The stack's own secret: read when it is needed, again after a while."""

import json

import pytest

from integrations.storage.app_secret import CACHE_SECONDS, AppSecret, fields_of
from tests.fakes.aws import FakeAws
from tools.template import Resolver, resources


def test_the_secret_is_read_once_and_again_after_its_time(aws: FakeAws) -> None:
    passed = [0.0]
    secret = AppSecret(aws.client, aws.names["AppSecret"], monotonic=lambda: passed[0])
    assert aws.calls["GetSecretValue"] == 0
    assert secret.values()["googleClientId"].endswith(".apps.googleusercontent.com")
    aws.set_secret(googleClientId="other")
    passed[0] = CACHE_SECONDS - 1
    assert secret.values()["googleClientId"] != "other"
    assert aws.calls["GetSecretValue"] == 1
    passed[0] = CACHE_SECONDS + 1
    assert secret.values() == {"googleClientId": "other"}


@pytest.mark.parametrize(
    "value",
    ['a "quoted" \\ one', "{}", "=", "a=b=c", "${GoogleClientId}", "  spaces  ", "Größe 🙂", ""],
)
def test_a_secret_may_hold_anything_but_the_end_of_a_line(value: str) -> None:
    resolve = Resolver({"SmtpPass": value, "GoogleClientId": value})
    (secret,) = resources("AWS::SecretsManager::Secret").values()
    fields = fields_of(resolve(secret["SecretString"]))
    assert (fields["smtpPass"], fields["googleClientId"]) == (value, value)
    assert fields["smtpHost"] == ""


def test_what_the_console_of_aws_saves_is_read_as_well() -> None:
    fields = {"smtpPass": 'a "b" \\', "smtpHost": ""}
    assert fields_of(json.dumps(fields)) == fields
    edited = {"smtpPort": 465, "facebookAppId": 112233445566778, "smtpUser": None}
    texts = {"smtpPort": "465", "facebookAppId": "112233445566778", "smtpUser": ""}
    assert fields_of(json.dumps(edited)) == texts


def test_the_template_writes_a_line_for_every_name(aws: FakeAws) -> None:
    values = AppSecret(aws.client, aws.names["AppSecret"]).values()
    assert set(values) == {
        *(f"google{part}" for part in ("ClientId", "ClientSecret")),
        *(f"facebook{part}" for part in ("AppId", "AppSecret", "VerifyToken")),
        *(f"smtp{part}" for part in ("Host", "Port", "User", "Pass", "From", "Tenants")),
    }
