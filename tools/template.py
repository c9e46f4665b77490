"""``template.yaml`` as data: what the documentation, the tests and the local platform take from it.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import yaml

ROOT = Path(__file__).parents[1]


class _Loader(yaml.CSafeLoader):
    """YAML with CloudFormation's tags, as its long form has them; no name stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as PyYAML calls it
        """A mapping; raises ConstructorError where a key is there twice, as CloudFormation does."""
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(name) for name in names if names.count(name) > 1}
        if twice:
            detail = f"twice: {', '.join(sorted(twice))}"
            raise yaml.constructor.ConstructorError(None, None, detail, node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _intrinsic(loader: yaml.CSafeLoader, tag: str, node: yaml.Node) -> Any:
    value: Any
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case yaml.MappingNode():
            value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _intrinsic)


@cache
def template() -> Mapping[str, Any]:
    """The whole template, its intrinsic functions in their long form."""
    with (ROOT / "template.yaml").open(encoding="utf-8") as file:
        return read(file)


def read(text: str | TextIO) -> Mapping[str, Any]:
    """A template as data; raises YAMLError where it is none, or has a name twice.

    Of a file, the error tells its name.
    """
    loaded: Mapping[str, Any] = yaml.load(text, _Loader)  # noqa: S506 - a safe loader with tags
    return loaded


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """The properties of the resources of one type, by logical id."""
    return {
        name: each.get("Properties", {})
        for name, each in template()["Resources"].items()
        if each["Type"] == kind
    }


# -- Functions and routes --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the API.

    Attributes:
        path: With its parameters in braces.
        function: The folder of the function that answers.
        public: Whether it needs no token.
    """

    method: str
    path: str
    function: str
    public: bool

    @property
    def key(self) -> str:
        """As API Gateway names it."""
        return f"{self.method} {self.path}"

    @property
    def openapi_path(self) -> str:
        """The path as OpenAPI has it.

        A parameter that takes several parts looks like any other, and a slash at the end, which
        some senders add, makes no other operation.
        """
        return self.path.replace("+}", "}").removesuffix("/")


def folder(properties: Mapping[str, Any]) -> str:
    """The folder of a function's code, e.g. ``test_connection``."""
    return Path(properties["CodeUri"]).name


@cache
def functions() -> Mapping[str, Mapping[str, Any]]:
    """The properties of each function, by its folder, in the template's order."""
    return {folder(each): each for each in resources("AWS::Serverless::Function").values()}


@cache
def routes() -> tuple[Route, ...]:
    """Every route of the API that the template declares."""
    return tuple(route for route in _routes() if route.path.startswith("/api/"))


@cache
def pages() -> tuple[Route, ...]:
    """Every other route: where browsers get the console."""
    return tuple(route for route in _routes() if not route.path.startswith("/api/"))


def _routes() -> Iterator[Route]:
    for function, properties in functions().items():
        for event in properties.get("Events", {}).values():
            if event["Type"] != "HttpApi":
                continue
            route = event["Properties"]
            public = route.get("Auth", {}).get("Authorizer") == "NONE"
            yield Route(route["Method"], route["Path"], function, public)


def route_of(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route that a request takes, and its path's parameters; the most literal one wins."""
    found = []
    for route in (*routes(), *pages()):
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path)
        pattern = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", pattern)
        match = re.fullmatch(pattern, path)
        if match and route.method == method:
            found.append((len(match.groupdict()), route, match.groupdict()))
    if not found:
        raise LookupError(f"no route {method} {path}")
    _, route, parameters = min(found, key=lambda each: each[0])
    return route, parameters


@dataclass(frozen=True, slots=True)
class Permission:
    """One action on one resource that a function's role allows, intrinsic functions and all.

    Attributes:
        context_keys: The names that KMS's encryption context may hold; ``None`` for any.
    """

    action: Any
    resource: Any
    context_keys: frozenset[str] | None = None


@cache
def permissions() -> Mapping[str, tuple[Permission, ...]]:
    """What each function's role allows, by the function's folder."""
    return {
        function: tuple(
            Permission(action, resource, _context_keys(statement))
            for policy in properties.get("Policies", ())
            for statement in policy["Statement"]
            for action in _listed(statement["Action"])
            for resource in _listed(statement["Resource"])
        )
        for function, properties in functions().items()
    }


def _context_keys(statement: Mapping[str, Any]) -> frozenset[str] | None:
    names = (statement.get("Condition") or {}).get("ForAllValues:StringEquals", {})
    return frozenset(names["kms:EncryptionContextKeys"]) if names else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# -- Intrinsic functions ---------------------------------------------------------------------


class Resolver:
    """Replaces intrinsic functions by what they stand for.

    Args:
        names: ``Ref`` and ``GetAtt`` (``Name.Attribute``) → value; parameters have their defaults.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        defaults = {
            name: each.get("Default", "") for name, each in template()["Parameters"].items()
        }
        self.names = ChainMap(names, defaults)

    def __call__(self, node: Any) -> Any:  # noqa: PLR0911 - YAML; a case for each function
        """``node`` without intrinsic functions.

        Raises:
            KeyError: It refers to what there is not.
            NotImplementedError: A condition is of a kind that the template has not used so far.
        """
        match node:
            case list():
                return [self(inner) for inner in node if inner != _NO_VALUE]
            case {"Ref": str(name)}:
                return self.names[name]
            case {"Fn::GetAtt": [str(name), str(attribute)]}:
                return self.names[f"{name}.{attribute}"]
            case {"Fn::Sub": str(text)}:
                return self._substituted(text, {})
            case {"Fn::Sub": [str(text), dict(own)]}:
                return self._substituted(text, self(own))
            case {"Fn::Select": [int(index), inner]}:
                return self(inner)[index]
            case {"Fn::Split": [str(separator), inner]}:
                return self(inner).split(separator)
            case {"Fn::If": [str(condition), yes, no]}:
                return self(yes if self._holds({"Condition": condition}) else no)
            case dict():
                return {name: self(inner) for name, inner in node.items() if inner != _NO_VALUE}
        return node

    def _substituted(self, text: str, own: Mapping[str, Any]) -> str:
        def stands_for(found: re.Match[str]) -> str:
            name = found[1]
            return str(own[name] if name in own else self.names[name])

        return re.sub(r"\$\{([^}]+)\}", stands_for, text)

    def _holds(self, node: Any) -> bool:
        match node:
            case {"Condition": str(name)}:
                return self._holds(template()["Conditions"][name])
            case {"Fn::Equals": [one, other]}:
                return str(self(one)) == str(self(other))
            case {"Fn::Not": [inner]}:
                return not self._holds(inner)
            case {"Fn::And": list(inner)}:
                return all(map(self._holds, inner))
            case {"Fn::Or": list(inner)}:
                return any(map(self._holds, inner))
        raise NotImplementedError(f"no such condition: {node}")


_NO_VALUE = {"Ref": "AWS::NoValue"}


class LogicalIds(dict[str, Any]):
    """For people: everything stands for its own name, as the stack on AWS has it."""

    def __init__(self) -> None:
        super().__init__({"AwsEndpointUrl": ""})

    def __missing__(self, name: str) -> str:
        return name if name.startswith("AWS::") else name.partition(".")[0]
