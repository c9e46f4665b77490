"""What every registered provider keeps to."""

import inspect
import json
import re
import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.alias_generators import to_snake

from integrations import strict_json
from integrations.errors import InvalidInput, UnknownAction
from integrations.models import Delivery
from integrations.providers import registry
from integrations.providers.base import Action, Credentials, Params, Provider, Trigger

PROVIDERS = [registry.get(provider_id) for provider_id in registry.PROVIDER_IDS]
ACTIONS = [(provider, action) for provider in PROVIDERS for action in provider.actions]
TRIGGERS = [(provider, trigger) for provider in PROVIDERS for trigger in provider.triggers]

CLIENT = Path(__file__).parents[2] / "clients/typescript/src/connectionApi.ts"

CAMEL = re.compile(r"[a-z][a-zA-Z0-9]*")
SECRET_NAME = re.compile(
    r"(^|[a-z])(token|secret|password|pass|private_?key|api_?key)s?$", re.IGNORECASE
)
PUBLIC = {"verify_secret", "token_type", "private_key_id"}
"""Names that sound like a secret and hold none, or hold it wrapped beside other types."""

providers = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.id)
actions = pytest.mark.parametrize(
    ("provider", "action"), ACTIONS, ids=[f"{p.id}.{a.name}" for p, a in ACTIONS]
)
triggers = pytest.mark.parametrize(
    ("provider", "trigger"), TRIGGERS, ids=[f"{p.id}-{t.type}" for p, t in TRIGGERS]
)


def models(model: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> Iterator[Any]:
    """A model and every model inside it."""
    seen = set() if seen is None else seen
    if model in seen:
        return
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        for inner in _types(field.annotation):
            if inspect.isclass(inner) and issubclass(inner, BaseModel):
                yield from models(inner, seen)


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in typing.get_args(annotation):
        yield from _types(inner)


# -- The provider ----------------------------------------------------------------------------


@providers
def test_a_provider_tells_who_it_is(provider: Provider) -> None:
    assert registry.get(provider.id) is provider
    assert provider.title.strip()
    assert re.fullmatch(r"https://[\w.-]+/.*", provider.docs_url)
    assert re.fullmatch(r"[a-z_.]+", registry.ENTRIES[provider.id].module)


@providers
def test_a_provider_s_file_begins_with_the_vendor_s_documentation(provider: Provider) -> None:
    module = __import__(
        f"integrations.providers.{registry.ENTRIES[provider.id].module}", fromlist=["x"]
    )
    assert "https://" in (module.__doc__ or "")


@providers
def test_a_provider_cannot_be_changed(provider: Provider) -> None:
    with pytest.raises(AttributeError):
        provider.title = "x"  # type: ignore[misc]


@providers
def test_what_can_be_refreshed_says_when_it_ends(provider: Provider) -> None:
    assert provider.refresh is None or provider.expires_at is not None


@providers
def test_what_the_registry_says_about_families_is_true(provider: Provider) -> None:
    family = registry.family_of(provider.id)
    assert provider.id in registry.of_family(family)
    assert {trigger.type.partition(".")[0] for trigger in provider.triggers} <= {family}


@providers
def test_what_the_registry_says_about_shared_webhooks_is_true(provider: Provider) -> None:
    shared = provider.inbound.shared if provider.inbound else None
    assert registry.shared_webhook_of(provider.id) is shared
    if provider.inbound:
        assert (provider.inbound.endpoint is None) == (shared is not None)
    if shared:
        assert shared.provider_id == provider.id
        assert registry.shared_webhooks()[shared.webhook_id] is shared
        fields = {field for each in provider.triggers for field in each.filters.model_fields}
        assert to_snake(shared.target_field) in fields


@providers
def test_what_the_registry_says_about_events_is_true(provider: Provider) -> None:
    reader = registry.events_of(provider.id)
    assert (reader is None) == (provider.inbound is None)
    if reader and provider.inbound:
        assert provider.inbound.normalize == reader.normalize
    assert all(reader and trigger.matches == reader.matches for trigger in provider.triggers)


@providers
def test_names_are_told_once(provider: Provider) -> None:
    names = [action.name for action in provider.actions]
    types = [trigger.type for trigger in provider.triggers]
    assert len(names) == len(set(names)) > 0
    assert len(types) == len(set(types))


@providers
def test_an_unknown_action_is_answered_with_those_that_there_are(provider: Provider) -> None:
    with pytest.raises(UnknownAction, match=provider.actions[0].name):
        provider.action("noSuchAction")


@providers
def test_a_login_names_the_stack_s_parameters(provider: Provider) -> None:
    if provider.oauth:
        assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in provider.oauth.parameters)
        assert provider.revoke is not None


def test_the_client_s_six_calls_know_the_credentials_that_people_type_in() -> None:
    text = CLIENT.read_text(encoding="utf-8")
    listed = text.partition("interface CredentialsByProvider {")[2].partition("}")[0]
    typed_in = {each.id for each in PROVIDERS if each.oauth is None}
    assert set(re.findall(r"^  (\w+):", listed, re.MULTILINE)) == typed_in


# -- Credentials -----------------------------------------------------------------------------


@providers
def test_credentials_refuse_what_they_do_not_know(provider: Provider) -> None:
    assert issubclass(provider.credentials, Credentials)
    config = provider.credentials.model_config
    assert config["extra"] == "forbid"
    assert config["frozen"] is True
    assert config["hide_input_in_errors"] is True


@providers
def test_a_field_that_sounds_secret_is_one(provider: Provider) -> None:
    for model in models(provider.credentials):
        for name, field in model.model_fields.items():
            if SECRET_NAME.search(name) and name not in PUBLIC:
                types = set(_types(field.annotation))
                assert SecretStr in types or any(_holds_secret(each) for each in types), name


def _holds_secret(annotation: Any) -> bool:
    return "Secret" in repr(annotation)


def secret_fields(model: type[BaseModel]) -> list[str]:
    return [
        name
        for name, field in model.model_fields.items()
        if SecretStr in set(_types(field.annotation)) or _holds_secret(field.annotation)
    ]


@providers
def test_every_provider_has_a_secret_and_its_form_hides_it(provider: Provider) -> None:
    schema = str(provider.credentials.model_json_schema())
    secrets = [name for model in models(provider.credentials) for name in secret_fields(model)]
    assert secrets
    assert schema.count("'writeOnly': True") >= 1
    assert "'format': 'password'" in schema


MARK = "a-secret-that-nobody-may-see"


@providers
def test_a_mistake_does_not_repeat_a_secret(provider: Provider) -> None:
    secret = secret_fields(provider.credentials)
    given = {
        field.alias or name: MARK if name in secret else 7
        for name, field in provider.credentials.model_fields.items()
    }
    for wrong in (given, given | {"surplus": MARK}, {"surplus": [MARK]}, {MARK: MARK}):
        assert MARK not in told_of(provider.credentials, wrong)


def told_of(model: type[BaseModel], given: Any) -> str:
    """What a refusal of credentials says, or what accepted ones show."""
    try:
        return repr(model.model_validate(given))
    except ValidationError as refusal:
        errors = refusal.errors(include_url=False, include_input=False, include_context=False)
        # The name of a surplus field is told; its value is not.
        return "".join(f"{error['msg']}\n" for error in errors)


# -- Actions ---------------------------------------------------------------------------------


@actions
def test_an_action_tells_what_it_does(provider: Provider, action: Action) -> None:
    assert CAMEL.fullmatch(action.name)
    assert action.title == action.title.strip()
    assert action.title[0].isupper()
    assert not action.title.endswith(".")
    assert isinstance(action.idempotent, bool)
    assert callable(action.run)
    assert issubclass(action.params, Params)
    assert action.params.model_config["extra"] == "forbid"


@actions
def test_an_action_s_example_fits(provider: Provider, action: Action) -> None:
    action.params.model_validate(action.example)
    with pytest.raises(ValidationError):
        action.params.model_validate({**action.example, "no_such_parameter": 1})


@actions
def test_an_action_s_parameters_have_camel_case_names(provider: Provider, action: Action) -> None:
    for model in models(action.params):
        if not issubclass(model, Params):
            continue
        for name, field in model.model_fields.items():
            assert CAMEL.fullmatch(field.alias or name), f"{model.__name__}.{name}"


@actions
def test_an_action_s_parameters_are_a_json_schema(provider: Provider, action: Action) -> None:
    schema = action.params.model_json_schema()
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False


# -- Triggers --------------------------------------------------------------------------------


@triggers
def test_a_trigger_tells_what_happened(provider: Provider, trigger: Trigger) -> None:
    noun = registry.family_of(provider.id)
    assert trigger.type == noun or re.fullmatch(rf"{noun}\.[a-z_]+", trigger.type)
    assert trigger.title[0].isupper()
    assert not trigger.title.endswith(".")
    assert issubclass(trigger.filters, Params)


@triggers
def test_a_trigger_s_example_passes_its_filters(provider: Provider, trigger: Trigger) -> None:
    assert trigger.matches(trigger.example, trigger.completed({})) is True
    assert all(CAMEL.fullmatch(name) for name in trigger.example)


@triggers
def test_a_trigger_matches_by_what_is_stored_of_its_filters(
    provider: Provider, trigger: Trigger
) -> None:
    completed = trigger.completed({})
    assert json.loads(json.dumps(completed)) == completed
    fields = trigger.filters.model_fields.items()
    assert set(completed) == {field.alias or name for name, field in fields}


@triggers
@pytest.mark.parametrize("data", [{}, {"text": None}, {"message": [1]}, {"from": {}}], ids=range(4))
def test_filters_of_a_trigger_take_any_event(
    provider: Provider, trigger: Trigger, data: Mapping[str, Any]
) -> None:
    assert trigger.matches(data, trigger.completed({})) in {True, False}


@providers
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b"\xff\xfe",
        b"{",
        b"[" * 20_000,
        b'{"entry": 1, "message": 1, "update_id": "x"}',
        b'{"object": "page", "entry": [1, null, {}, {"changes": 1}, {"messaging": [1]}]}',
        b'{"update_id": 1, "message": []}',
        b'{"update_id": 1e999, "message": {"chat": 7}}',
        b'{"update_id": 7, "message": {"message_id": 1e999, "text": "a"}}',
        b'{"update_id": 7, "message": {"text": "a\\ud83d", "n": ' + b"1" * 400 + b"}}",
        b'{"object": "page", "entry": [{"id": "1", "time": 1e999, "changes": []}]}',
        b'{"object": "page", "entry": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"update_id": true}',
    ],
    ids=range(18),
)
def test_a_delivery_of_any_kind_is_events_or_a_refusal(provider: Provider, body: bytes) -> None:
    if provider.inbound is None:
        return
    delivery = Delivery("hook", "evt_1", datetime(2026, 11, 22, tzinfo=UTC), {}, {}, body)
    try:
        events = provider.inbound.normalize(delivery)
    except InvalidInput:
        return
    for event in events:
        # What no record could hold would be delivered again and again.
        json.dumps(dict(event.data), ensure_ascii=False, allow_nan=False).encode()
        strict_json.check_depth(dict(event.data))
    known = {trigger.type for trigger in provider.triggers}
    assert {event.type for event in events} <= known
    assert len({event.id for event in events}) == len(events)


@providers
def test_a_provider_with_triggers_takes_deliveries(provider: Provider) -> None:
    assert bool(provider.triggers) == (provider.inbound is not None)
    if provider.inbound:
        subscribe, unsubscribe = provider.inbound.subscribe, provider.inbound.unsubscribe
        assert (subscribe is None) == (unsubscribe is None)
