"""What the catalogue says that an action gives is what it gives."""

from typing import Any

import pytest

from integrations.providers import registry
from tests.outputs import WORLDS


def shape(value: Any) -> Any:
    """The names and types of a JSON value, whatever it holds."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
    )


@pytest.mark.parametrize("name", WORLDS)
def test_each_action_gives_what_its_example_says(name: str) -> None:
    provider, world = WORLDS[name]
    with world() as run:
        for action in provider.actions:
            assert shape(run(action)) == shape(provider.output_examples[action.name]), action.name


def test_there_is_an_example_for_each_action_and_for_no_other() -> None:
    for provider_id in registry.PROVIDER_IDS:
        provider = registry.get(provider_id)
        assert {action.name for action in provider.actions} == provider.output_examples.keys()
        assert None not in provider.output_examples.values()


def test_a_login_s_actions_give_the_same() -> None:
    for provider_id in registry.PROVIDER_IDS:
        family = registry.get(registry.family_of(provider_id))
        provider = registry.get(provider_id)
        for action in provider.actions:
            assert provider.output_examples[action.name] == family.output_examples[action.name]
            assert action is family.action(action.name)
