"""Filters for lists and objects.

https://jinja.palletsprojects.com/en/stable/templates/#builtin-filters
"""

import json
from collections.abc import Callable, Mapping
from typing import Final

from integrations.errors import ExpressionError
from integrations.workflows.expressions.access import (
    ACCEPT_MISSING,
    Evaluation,
    at_path,
    column,
    look_up,
    nearest,
    shown,
)
from integrations.workflows.expressions.values import (
    Missing,
    Value,
    as_list,
    as_number,
    as_object,
    checked_number,
    present,
)


def _folded(value: Value, case_sensitive: Value) -> Value:
    return value.lower() if isinstance(value, str) and not case_sensitive else value


def _called(kind: str, name: Value) -> Callable[..., Value]:
    """The filter or the test that a filter is told to use."""
    from integrations.workflows.expressions.registry import FILTERS, TESTS

    known: Mapping[str, Callable[..., Value]] = FILTERS if kind == "filter" else TESTS
    found = known.get(name) if isinstance(name, str) else None
    if found is None:
        raise ExpressionError(f"there is no {kind} {shown(name)}{nearest(name, known)}")
    return found


def _truthy(_: Evaluation, value: Value) -> bool:
    return bool(present(value))


def _first(evaluation: Evaluation, value: Value) -> Value:
    items = value if isinstance(value, str) else column(evaluation, value, None)
    return items[0] if items else Missing("there is no first item: the list is empty")


def _last(evaluation: Evaluation, value: Value) -> Value:
    items = value if isinstance(value, str) else column(evaluation, value, None)
    return items[-1] if items else Missing("there is no last item: the list is empty")


def _list(evaluation: Evaluation, value: Value) -> Value:
    if isinstance(value, str):
        evaluation.budget.step(len(value))
        return evaluation.budget.built(list(value))
    return evaluation.budget.built(list(column(evaluation, value, None)))


def _reverse(evaluation: Evaluation, value: Value) -> Value:
    if isinstance(value, str):
        evaluation.budget.read(value)
        return evaluation.budget.text(value[::-1])
    return evaluation.budget.built(column(evaluation, value, None)[::-1])


def _sort(
    evaluation: Evaluation,
    value: Value,
    reverse: Value = False,
    case_sensitive: Value = False,
    attribute: Value = None,
) -> Value:
    """By the items, by an attribute of theirs, or by several: ``attribute='last,first'``."""
    items = as_list(value)
    paths = attribute.split(",") if isinstance(attribute, str) else [attribute]
    columns = [column(evaluation, value, path) for path in paths]
    evaluation.budget.step(len(items) * max(1, len(items).bit_length()) * len(paths))
    evaluation.budget.weigh(columns)
    order = sorted(
        range(len(items)),
        key=lambda index: [_folded(keys[index], case_sensitive) for keys in columns],
        reverse=bool(reverse),
    )
    return evaluation.budget.built([items[index] for index in order])


def _unique(
    evaluation: Evaluation,
    value: Value,
    case_sensitive: Value = False,
    attribute: Value = None,
) -> Value:
    keys = column(evaluation, value, attribute)
    evaluation.budget.weigh(keys)
    first: dict[str, Value] = {}
    for key, item in zip(keys, as_list(value), strict=True):
        first.setdefault(json.dumps(_folded(key, case_sensitive), sort_keys=True), item)
    return evaluation.budget.built(list(first.values()))


def _extreme(which: Callable[..., Value]) -> Callable[..., Value]:
    def pick(
        evaluation: Evaluation,
        value: Value,
        attribute: Value = None,
        case_sensitive: Value = False,
    ) -> Value:
        keys = column(evaluation, value, attribute)
        items = as_list(value)
        evaluation.budget.weigh(keys)
        if not items:
            return Missing("there is no such item: the list is empty")
        folded = [_folded(key, case_sensitive) for key in keys]
        return items[which(range(len(items)), key=folded.__getitem__)]

    return pick


def _sum(evaluation: Evaluation, value: Value, attribute: Value = None, start: Value = 0) -> Value:
    total = as_number(start)
    for item in column(evaluation, value, attribute):
        total = checked_number(total + as_number(item))
    return total


def _map(
    evaluation: Evaluation,
    value: Value,
    *arguments: Value,
    attribute: Value = None,
    default: Value = None,
) -> Value:
    """``map(attribute='name')``, or ``map('upper')`` with the filter's own arguments."""
    items = as_list(value)
    evaluation.budget.step(1 + len(items))
    if attribute is not None:
        if arguments:
            raise ExpressionError("map needs an attribute or a filter, not both")
        found = [at_path(evaluation, item, attribute) for item in items]
        if default is not None:
            found = [default if isinstance(item, Missing) else item for item in found]
        return evaluation.budget.built([present(item) for item in found])
    if not arguments:
        raise ExpressionError("map needs an attribute or a filter")
    run = _called("filter", arguments[0])
    return evaluation.budget.built(
        [present(run(evaluation, item, *arguments[1:])) for item in items]
    )


def _picking(*, wanted: bool, by_attribute: bool) -> Callable[..., Value]:
    def pick(evaluation: Evaluation, value: Value, *arguments: Value) -> Value:
        items = as_list(value)
        evaluation.budget.step(1 + len(items))
        keys = items
        if by_attribute:
            if not arguments:
                raise ExpressionError("needs the name of an attribute")
            keys = [at_path(evaluation, item, arguments[0]) for item in items]
            arguments = arguments[1:]
        run = _called("test", arguments[0]) if arguments else _truthy
        asks = bool(arguments) and arguments[0] in ACCEPT_MISSING
        picked = [
            item
            for item, key in zip(items, keys, strict=True)
            # Filtering by a field that some items lack is what one does with other people's data.
            if wanted
            == ((asks or not isinstance(key, Missing)) and run(evaluation, key, *arguments[1:]))
        ]
        return evaluation.budget.built(picked)

    return pick


def _items(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.built([[key, item] for key, item in as_object(value).items()])


def _dictsort(
    evaluation: Evaluation,
    value: Value,
    case_sensitive: Value = False,
    by: Value = "key",
    reverse: Value = False,
) -> Value:
    if by not in {"key", "value"}:
        raise ExpressionError("needs by='key' or by='value'")
    pairs = list(as_object(value).items())
    evaluation.budget.step(1 + len(pairs) * max(1, len(pairs).bit_length()))
    evaluation.budget.weigh([list(pair) for pair in pairs])
    place = int(by == "value")
    ordered = sorted(
        pairs, key=lambda pair: _folded(pair[place], case_sensitive), reverse=bool(reverse)
    )
    return evaluation.budget.built([[key, item] for key, item in ordered])


def _keys(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.built(list(as_object(value)))


def _values(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.built(list(as_object(value).values()))


def _get(_: Evaluation, value: Value, key: Value, default: Value = None) -> Value:
    found = look_up(value, key)
    return default if isinstance(found, Missing) else found


FILTERS: Final[Mapping[str, Callable[..., Value]]] = {
    "dictsort": _dictsort,
    "first": _first,
    "get": _get,
    "items": _items,
    "keys": _keys,
    "last": _last,
    "list": _list,
    "map": _map,
    "max": _extreme(max),
    "min": _extreme(min),
    "reject": _picking(wanted=False, by_attribute=False),
    "rejectattr": _picking(wanted=False, by_attribute=True),
    "reverse": _reverse,
    "select": _picking(wanted=True, by_attribute=False),
    "selectattr": _picking(wanted=True, by_attribute=True),
    "sort": _sort,
    "sum": _sum,
    "unique": _unique,
    "values": _values,
}
