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
            assert action.output_example is not None, action.name
            assert shape(run(action)) == shape(action.output_example), action.name


def test_a_login_s_actions_give_the_same() -> None:
    for provider_id in registry.PROVIDER_IDS:
        family = registry.get(registry.family_of(provider_id))
        for action in registry.get(provider_id).actions:
            assert action.output_example == family.action(action.name).output_example
