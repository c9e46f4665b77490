"""``template.yaml`` as the documentation needs it: parameters, routes, permissions."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


class _Loader(yaml.SafeLoader):
    """YAML whose CloudFormation tags are dropped: ``!GetAtt Queue.Arn`` is ``"Queue.Arn"``."""


def _untagged(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> Any:  # noqa: ANN401 - YAML
    held: Any = None
    match node:
        case yaml.SequenceNode():
            held = loader.construct_sequence(node, deep=True)
        case yaml.MappingNode():
            held = loader.construct_mapping(node, deep=True)
        case yaml.ScalarNode():
            held = loader.construct_scalar(node)
    return held


_Loader.add_multi_constructor("!", _untagged)


@dataclass(frozen=True, slots=True)
class Route:
    """One route: ``function`` is the folder of the function that answers it."""

    method: str
    path: str
    function: str
    public: bool


@dataclass(frozen=True, slots=True)
class Permission:
    """What a function may do with one resource."""

    actions: tuple[str, ...]
    resource: str


@cache
def template() -> Mapping[str, Any]:
    """The whole template."""
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    loaded: Mapping[str, Any] = yaml.load(text, _Loader)  # noqa: S506 - a safe loader with tags
    return loaded


def _functions() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for resource in template()["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            properties = resource["Properties"]
            yield Path(properties["CodeUri"]).name, properties


def routes() -> list[Route]:
    """Every route, in the template's order."""
    return [
        Route(
            method=event["Properties"]["Method"],
            path=event["Properties"]["Path"],
            function=function,
            public=event["Properties"].get("Auth", {}).get("Authorizer") == "NONE",
        )
        for function, properties in _functions()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "HttpApi"
    ]


def permissions() -> dict[str, list[Permission]]:
    """Each function's permissions, in the template's order."""
    return {
        function: [
            Permission(tuple(_listed(statement["Action"])), _name(str(resource)))
            for policy in properties.get("Policies", [])
            for statement in policy["Statement"]
            for resource in _resources(statement["Resource"])
        ]
        for function, properties in _functions()
    }


def _listed(held: Any) -> list[Any]:  # noqa: ANN401 - YAML
    return held if isinstance(held, list) else [held]


def _resources(held: Any) -> list[Any]:  # noqa: ANN401 - YAML
    match held:
        case [str(text), dict(own)]:  # a `!Sub` with names of its own
            for name, meant in own.items():
                # `!If [IsOnAws, on AWS, on MiniStack]`
                on_aws = meant[1] if isinstance(meant, list) else meant
                text = text.replace(f"${{{name}}}", f"${{{on_aws}}}")
            return [text]
    return _listed(held)


def _name(resource: str) -> str:
    name = re.sub(r"\$\{(\w+)(?:\.\w+)?\}", r"\1", re.sub(r"^arn:.*:schedule/", "", resource))
    return re.sub(r"\.(?:Arn|Id)$", "", name)
