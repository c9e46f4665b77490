"""The stack's own secret: read when it is needed, again after a while."""

from integrations.storage.app_secret import CACHE_SECONDS, AppSecret
from tests.fakes.aws import FakeAws


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


def test_the_template_makes_it_valid_json_with_every_name(aws: FakeAws) -> None:
    values = AppSecret(aws.client, aws.names["AppSecret"]).values()
    assert set(values) == {
        *(f"google{part}" for part in ("ClientId", "ClientSecret")),
        *(f"facebook{part}" for part in ("AppId", "AppSecret", "VerifyToken")),
        *(f"smtp{part}" for part in ("Host", "Port", "User", "Pass", "From", "Tenants")),
    }
