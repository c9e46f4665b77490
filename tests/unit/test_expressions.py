"""Templates keep their types, say where they fail, and can neither escape, run away nor grow."""

import resource
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.errors import ExpressionError
from integrations.models import Json
from integrations.workflows import expressions, references
from integrations.workflows.expressions import parser
from integrations.workflows.expressions.budget import Budget

NOW = datetime(2026, 11, 22, 12, 30, 5, tzinfo=UTC)
CONTEXT: dict[str, Json] = {
    "trigger": {
        "text": "/find  Ünïcode <b> & *stars*",
        "order": {"id": 7, "total": 12.5, "note": None, "paid": True},
        "items": [
            {"name": "pen", "count": 2, "tags": ["a", "b"], "sold": True},
            {"name": "Book", "count": 1, "tags": []},
        ],
        "date": 1795350605,
        "created": "2026-11-22T12:30:05+0000",
    },
    "steps": {
        "lookup": {"status": "succeeded", "output": {"rows": [["x", 1]]}, "error": None},
        "large": {
            "status": "succeeded",
            "output": {"truncated": True, "bytes": 99999, "preview": "[["},
            "error": None,
        },
    },
}


def render(value: Json, context: dict[str, Json] | None = None) -> Json:
    return expressions.render(value, context or CONTEXT, now=NOW, place="params")


def evaluate(source: str) -> Json:
    return expressions.evaluate(source, CONTEXT, now=NOW, place="when")


def failure(value: Json) -> str:
    with pytest.raises(ExpressionError) as caught:
        render(value)
    return caught.value.detail


def peak_bytes() -> int:
    """The most memory that this process ever had; macOS counts in bytes, Linux in KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


# -- Types -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ trigger.order.id }}", 7),
        ("{{ trigger.order.total }}", 12.5),
        ("{{ trigger.order.paid }}", True),
        ("{{ trigger.order.note }}", None),
        ("{{ trigger.order }}", {"id": 7, "total": 12.5, "note": None, "paid": True}),
        ("{{ steps.lookup.output.rows[0] }}", ["x", 1]),
        ("{{ trigger['items'][-1]['name'] }}", "Book"),
        ("{{ '7' }}", "7"),
        ("{{ '[1, 2]' }}", "[1, 2]"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_an_expression_alone_keeps_its_type(source: str, expected: Json) -> None:
    result = render(source)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("no. {{ trigger.order.id }}", "no. 7"),
        ("{{ trigger.order.id }}{{ trigger.order.id }}", "77"),
        ("<{{ trigger.order.note }}|{{ trigger.order.paid }}>", "<|true>"),
        ("x{{ steps.lookup.output.rows }}", 'x[["x",1]]'),
        ("{# nothing #}", ""),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("line\n", "line\n"),
    ],
)
def test_an_expression_within_text_becomes_text(source: str, expected: str) -> None:
    assert render(source) == expected


def test_templates_are_found_in_nested_values_and_names_are_left_alone() -> None:
    value: Json = {"{{ a }}": [{"n": "{{ trigger.order.id }}"}, 1, None, True, "x"]}
    assert render(value) == {"{{ a }}": [{"n": 7}, 1, None, True, "x"]}


def test_what_a_template_gives_is_never_evaluated_again() -> None:
    context: dict[str, Json] = {"trigger": {"text": "{{ trigger.secret }} {% for x in y %}"}}
    assert render("{{ trigger.text }}", context) == "{{ trigger.secret }} {% for x in y %}"
    assert render("> {{ trigger.text }}", context) == "> {{ trigger.secret }} {% for x in y %}"


def test_a_result_shares_nothing_with_the_data_it_came_from() -> None:
    result = render("{{ trigger.order }}")
    assert isinstance(result, dict)
    result["id"] = 8
    assert render("{{ trigger.order.id }}") == 7


@pytest.mark.parametrize("source", ["trigger.order.id > 3", "{{ trigger.order.id > 3 }}", " 1 "])
def test_a_condition_needs_no_braces(source: str) -> None:
    assert expressions.truth(source, CONTEXT, now=NOW, place="when") is True


@pytest.mark.parametrize("source", ["0", "''", "[]", "{}", "none", "false", "trigger.order.note"])
def test_what_is_empty_is_false(source: str) -> None:
    assert expressions.truth(source, CONTEXT, now=NOW, place="when") is False


@pytest.mark.parametrize(
    "source", ["{{ 1 }}{{ 2 }}", "{{ 1 }} and {{ 2 }}", "{% if x %}{% endif %}", "", "a b", "1)"]
)
def test_a_condition_is_one_expression(source: str) -> None:
    with pytest.raises(ExpressionError, match=r"^when: "):
        evaluate(source)


# -- What is not there -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ trigger.order.nope }}", "params.text: trigger.order has no 'nope'; it has: id, total"),
        ("{{ trigger.nope.deeper }}", "params.text: trigger has no 'nope'"),
        ("{{ nope }}", "params.text: there is no 'nope' here"),
        ("{{ trigger.text.length }}", "params.text: trigger.text is text and has no 'length'"),
        ("{{ trigger.order.note.x }}", "params.text: trigger.order.note is null and has no 'x'"),
        ("{{ steps.lookup.output.rows[9] }}", "rows has no [9]; its length is 1"),
        ("{{ trigger.nope ~ 'x' }}", "trigger has no 'nope'"),
        ("{{ trigger.nope|upper }}", "trigger has no 'nope'"),
        ("{% if trigger.nope %}x{% endif %}", "trigger has no 'nope'"),
        ("{{ []|first }}", "there is no first item"),
        ("{{ steps.large.output.rows }}", "was too large to be stored whole"),
    ],
)
def test_what_is_missing_is_an_error_that_names_the_place(source: str, reason: str) -> None:
    assert reason in failure({"text": source})


def test_an_error_deep_in_a_list_names_the_item() -> None:
    assert failure({"rows": [1, ["{{ nope }}"]]}).startswith("params.rows[1][0]: ")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ trigger.nope|default('x') }}", "x"),
        ("{{ trigger.nope.deeper.still|default('x') }}", "x"),
        ("{{ trigger.order.note|default('x') }}", None),
        ("{{ trigger.order.note|default('x', true) }}", "x"),
        ("{{ trigger.nope is defined }}", False),
        ("{{ trigger.nope is undefined }}", True),
        ("{{ trigger.order|get('nope') }}", None),
        ("{{ trigger.order|get('nope', 3) }}", 3),
    ],
)
def test_what_is_missing_can_be_asked_about(source: str, expected: Json) -> None:
    assert render(source) == expected


# -- The language ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("7 // 2 + 7 % 4 + 2 ** 5", 38),
        ("-trigger.order.id", -7),
        ("'a' ~ 1 ~ none ~ true", "a1true"),
        ("'a' + 'b'", "ab"),
        ("'ab' * 2", "abab"),
        ("[1] + [2]", [1, 2]),
        ("(1, 2)", [1, 2]),
        ("{'a': 1}", {"a": 1}),
        ("'x' if trigger.order.paid else 'y'", "x"),
        ("1 < 2 <= 2 != 3", True),
        ("'nd' in trigger.text and 'id' in trigger.order and 2 in [1, 2]", True),
        ("'x' not in ['y']", True),
        ("not trigger.order.paid or trigger.order.id == 7", True),
        ("trigger.text[:5]", "/find"),
        ("'abc'[::-1]", "cba"),
        ("[1, 2, 3][1:]", [2, 3]),
        ("trigger.text is startingwith '/find'", True),
        ("trigger.order.id is odd", True),
        ("trigger.order.id is in [7]", True),
        ("trigger['items'] is sequence", True),
        ("range(3)", [0, 1, 2]),
        ("now()", "2026-11-22T12:30:05.000Z"),
    ],
)
def test_operators_and_tests_do_what_they_do_in_jinja(source: str, expected: Json) -> None:
    assert evaluate(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'Ab c'|upper", "AB C"),
        ("'Ab c'|lower", "ab c"),
        ("'ab cd'|title", "Ab Cd"),
        ("'ab cd'|capitalize", "Ab cd"),
        ("' x '|trim", "x"),
        ("'aXbX'|replace('X', '--')", "a--b--"),
        ("'aXbX'|replace('X', '', 1)", "abX"),
        ("'the quick brown fox'|truncate(15)", "the quick..."),
        ("'the quick brown fox'|truncate(10, true, '…')", "the quick…"),
        ("trigger.text|split|first", "/find"),
        ("'a,b'|split(',')", ["a", "b"]),
        ("[1, 'b', none]|join('-')", "1-b-"),
        ("trigger['items']|join(', ', attribute='name')", "pen, Book"),
        ("trigger['items']|map(attribute='count')|sum", 3),
        ("trigger['items']|sum('count')", 3),
        ("trigger['items']|map(attribute='tags.0', default='?')", ["a", "?"]),
        ("['a', 'b']|map('upper')", ["A", "B"]),
        ("['a', 'b']|map('replace', 'a', 'c')", ["c", "b"]),
        ("trigger['items']|selectattr('sold')|map(attribute='name')", ["pen"]),
        ("trigger['items']|rejectattr('sold')|map(attribute='name')", ["Book"]),
        ("trigger['items']|selectattr('count', '>', 1)|length", 1),
        ("trigger['items']|selectattr('sold', 'undefined')|length", 1),
        ("[0, 1, '', 'a']|select", [1, "a"]),
        ("[1, 2, 3]|reject('odd')", [2]),
        ("['b', 'A', 'c']|sort", ["A", "b", "c"]),
        ("[3, 1, 2]|sort(reverse=true)", [3, 2, 1]),
        ("trigger['items']|sort(attribute='count')|first|get('name')", "Book"),
        ("['a', 'A', 'b']|unique", ["a", "b"]),
        ("[1, 2]|reverse", [2, 1]),
        ("[1, 2]|last", 2),
        ("[4, 9, 2]|max", 9),
        ("[4, 9, 2]|min", 2),
        ("trigger['items']|max('count')|get('name')", "pen"),
        ("'12.7'|int", 12),
        ("'x'|int(-1)", -1),
        ("'12345678901234567890'|int", 12345678901234567890),
        ("'12.5'|float", 12.5),
        ("(-3)|abs", 3),
        ("2.567|round(2)", 2.57),
        ("2.1|round(0, 'ceil')", 3.0),
        ("1234.5|number", "1234.50"),
        ("1234567.891|number(2, ',', '.')", "1.234.567,89"),
        ("trigger.order|tojson", '{"id":7,"total":12.5,"note":null,"paid":true}'),
        ("'{\"a\": [1]}'|fromjson", {"a": [1]}),
        ("trigger.order|items|first", ["id", 7]),
        ("trigger.order|keys", ["id", "total", "note", "paid"]),
        ("{'b': 1, 'A': 2}|dictsort", [["A", 2], ["b", 1]]),
        ("{'b': 1}|values", [1]),
        ("'a b&c/ü'|urlencode", "a%20b%26c%2F%C3%BC"),
        ("{'q': 'a b'}|urlencode", "q=a%20b"),
        ("'<a href=\"x\">'|escapeHtml", "&lt;a href=&quot;x&quot;&gt;"),
        ("'1.5 *x*'|escapeMarkdown", "1\\.5 \\*x\\*"),
        ("'abc'|length + [1]|length", 4),
        ("trigger.date|date('%d.%m.%Y %H:%M', 'Europe/Berlin')", "22.11.2026 13:30"),
        ("trigger.created|date('%A %-d %B, %-I %p %Z %%')", "Sunday 22 November, 12 PM UTC %"),
        ("(trigger.date * 1000)|date", "2026-11-22 12:30"),
        ("now()|dateAdd(days=1, hours=-1)", "2026-11-23T11:30:05.000Z"),
        ("now()|timestamp", 1795350605),
    ],
)
def test_filters(source: str, expected: Json) -> None:
    assert evaluate(source) == expected


def test_loops_conditions_and_variables_write_texts() -> None:
    source = (
        "{% set sign = '#' %}"
        "{% for item in trigger['items'] if item.count %}"
        "{{ sign }}{{ loop.index }}/{{ loop.length }} {{ item.name }}"
        "{% if not loop.last %}; {% elif item.tags %}!{% else %}.{% endif %}"
        "{% endfor %}"
        "{% for key, value in {'a': 1}|items %} {{ key }}={{ value }}{% endfor %}"
        "{% for x in [] %}{% else %} none{% endfor %}"
    )
    assert render(source) == "#1/2 pen; #2/2 Book. a=1 none"


def test_the_steps_and_names_that_a_template_needs_are_known() -> None:
    source = "{{ steps.a.output }}{{ steps['b'].status }}{% for x in item %}{{ x }}{% endfor %}"
    found = expressions.template(source)
    assert found.steps == {("a", None), ("a", "output"), ("b", None), ("b", "status")}
    assert found.names == {"steps", "item"}
    assert expressions.references({"x": [source], "y": "none"}) == {"a", "b"}


def test_a_template_is_understood_once_and_not_remembered_for_ever() -> None:
    source = "{{ trigger.order.id + 1234 }}"
    assert expressions.template(source) is expressions.template(source)
    for number in range(3000):
        expressions.template(f"{{{{ {number} }}}}" + "x" * 100)
    assert sum(len(text) for text, _ in parser._understood) <= parser.MAX_CACHED


# -- Hostile templates -----------------------------------------------------------------------

FORBIDDEN = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ trigger.__class__.__mro__[1].__subclasses__() }}",
    "{{ trigger|attr('__class__') }}",
    "{{ [trigger]|map(attribute='__class__') }}",
    "{{ ['x']|map('attr', '__class__') }}",
    "{{ ('__cl' ~ 'ass__') is defined and trigger['__cl' ~ 'ass__'] }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__}'|format(1) }}",
    "{{ trigger.items() }}",
    "{{ trigger.text.upper() }}",
    "{{ trigger.order.update({'id': 1}) }}",
    "{{ self }}",
    "{{ self._TemplateReference__context }}",
    "{{ config }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ lipsum() }}",
    "{{ dict(a=1) }}",
    "{{ namespace() }}",
    "{{ joiner() }}",
    "{{ range.__self__ }}",
    "{{ now.__globals__ }}",
    "{{ loop }}",
    "{% import 'os' as os %}",
    "{% include '/etc/passwd' %}",
    "{% extends 'x' %}",
    "{% from 'x' import y %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% call x() %}{% endcall %}",
    "{% block b %}{% endblock %}",
    "{% filter upper %}x{% endfilter %}",
    "{% set x %}y{% endset %}",
    "{% set trigger = 1 %}{{ trigger }}",
    "{% set trigger.x = 1 %}",
    "{% with x = 1 %}{{ x }}{% endwith %}",
    "{% autoescape true %}{% endautoescape %}",
    "{% for x in [[1]] recursive %}{{ loop(x) }}{% endfor %}",
    "{{ range(*[1, 2]) }}",
    "{{ 'x'|replace(**{'old': 'x'}) }}",
    "{{ '%s' % 'x' }}",
    "{{ 'x'|nope }}",
    "{{ 'x' is nope }}",
]


@pytest.mark.parametrize("source", FORBIDDEN)
def test_nothing_but_data_can_be_reached(source: str) -> None:
    assert failure({"x": source}).startswith("params.x: ")


GREEDY = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ [0] * 10**9 }}",
    "{{ ['a' * 200000] * 200000 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ 2 ** 1000 ** 2 }}",
    "{{ (2 ** 200) ** 1000 }}",
    "{{ 9.9 ** 1000 }}",
    "{{ 1e308 * 10 }}",
    "{{ (-8) ** 0.5 }}",
    "{{ 1 / 0 }}",
    "{{ 1 % 0 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ 'a'|center(10**9) }}",
    "{{ 'a'|indent(10**9) }}",
    "{{ range(10**9) }}",
    "{{ range(10**30) }}",
    "{% for x in range(10**9) %}{% endfor %}",
    "{% for x in range(9999) %}{% for y in range(9999) %}{% endfor %}{% endfor %}",
    "{% for x in range(9999) %}{{ 'a' * 1000 }}{% endfor %}",
    "{% for x in range(9999) %}{% set y = 'a' * 200000 %}{% endfor %}",
    "{{ ('a' * 100000)|replace('a', 'b' * 100000) }}",
    "{{ ('a' * 100000)|replace('', 'b' * 100) }}",
    "{{ ('a,' * 100000)|split(',')|join('b' * 1000) }}",
    "{{ range(9999)|map('string')|join('x' * 9999) }}",
    "{{ range(9999)|join('x' * 9999) }}",
    "{{ ('[' * 100000)|fromjson }}",
    "{{ ('1' * 100000)|fromjson }}",
    "{{ ('9' * 70)|int * ('9' * 70)|int }}",
    "{{ [[[]] * 500] * 500 }}",
    "{{ ([[1] * 300] * 40)|tojson(8) }}",
    "{{ now()|date('%9999999d') }}",
    "{{ now()|date('%c' * 99999) }}",
    "{{ now()|date('%A' * 99999) }}",
    "{{ now()|dateAdd(days=10**12) }}",
    "{{ (10**60)|date }}",
    "{{ now()|date('%Y', '../../etc/passwd') }}",
    "{{ 1.5|round(10**9) }}",
    "{{ 1.5|number(10**9) }}",
    "{{ 1|number(2, 'x' * 200000, 'y' * 200000) }}",
    "{{ ('<' * 100000)|escapeHtml }}",
    "{{ ('.' * 200000)|escapeMarkdown }}",
    "{{ ('ü' * 100000)|urlencode }}",
    "{% set a = [1, 1] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
    "{% set a = [1, 1] %}" + "{% set a = a + a %}" * 60 + "{{ a|length }}",
    "{% set a = 'xx' %}" + "{% set a = a ~ a %}" * 60 + "{{ a|length }}",
    "{% set a = 'xx' %}" + "{% set a = [a, a]|join %}" * 60 + "{{ a|length }}",
    "{% set a = {} %}" + "{% set a = {'x': a, 'y': a} %}" * 60 + "{{ a == a }}",
    "{% set a = [1] %}" + "{% set a = [a] %}" * 100 + "{{ a }}",
    "{% set a = 'x' * 250000 %}" + "".join(f"{{% set a{i} = a ~ 'x' %}}" for i in range(99)),
    "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
    "{{ " + "[" * 2000 + "]" * 2000 + " }}",
    "{{ " + "not " * 3000 + "1 }}",
    "{{ " + "-" * 5000 + "1 }}",
    "{{ a" + ".b" * 5000 + " }}",
    "{{ 1" + "+1" * 5000 + " }}",
    "{{ 'x'" + "|upper" * 2000 + " }}",
    "{% if 1 %}" * 500 + "{% endif %}" * 500,
    "{{ " + "9" * 10000 + " }}",
    "{{ 0x" + "f" * 10000 + " }}",
    "{{ 1" + "0" * 400 + ".0 }}",
    "{{ 'x' }}" * 10000,
    "{{ '" + "\\" * 15000,
    "{{ '\\N{NOPE}' }}",
    "{{ '\\ud800\\u12' }}",
    "{{",
    "{% for",
    "}}{{ }}",
    "{{ }}",
]


@pytest.mark.parametrize("source", GREEDY, ids=range(len(GREEDY)))
def test_a_greedy_template_fails_soon_and_in_little_memory(source: str) -> None:
    before = peak_bytes()
    started = time.process_time()
    failure(source)
    assert peak_bytes() - before < 64 * 1024 * 1024
    # Not a measure of speed, only of an end.
    assert time.process_time() - started < 30


def test_many_templates_share_one_budget() -> None:
    value: Json = ["{{ 'x' * 200000 }}", "{{ 'x' * 200000 }}"]
    assert "params[1]: makes it more than" in failure(value)


def test_large_data_is_refused_rather_than_passed_on() -> None:
    context: dict[str, Json] = {"trigger": {"body": "x" * 1_000_000, "rows": [0] * 1_000_000}}
    for source in "{{ trigger.body }}", "{{ trigger.rows }}", "{{ trigger.rows|tojson }}":
        with pytest.raises(ExpressionError):
            render(source, context)
    assert render("{{ trigger.body|truncate(10) }}", context) == "xxxxxxx..."
    assert render("{{ trigger.rows|length }}", context) == 1_000_000


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    context: dict[str, Json] = {"trigger": {"text": "a\ud83d", "rows": ["\udc00"]}}
    assert render("{{ trigger.text }}", context) == "a?"
    assert render("{{ trigger.rows }}", context) == ["?"]


def test_text_in_every_script_passes_through() -> None:
    text = "naïve 東京 مرحبا 👩‍👩‍👧 \u0000\u202e"
    context: dict[str, Json] = {"trigger": {"text": text}}
    assert render("{{ trigger.text }}", context) == text
    assert render("<{{ trigger.text }}>", context) == f"<{text}>"


PIECES = st.sampled_from(
    [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "for",
        "in",
        "if",
        "else",
        "endif",
        "endfor",
        "set",
        "trigger",
        "steps",
        ".",
        "[",
        "]",
        "(",
        ")",
        "|",
        "~",
        "+",
        "*",
        "**",
        "/",
        "//",
        "%",
        "-",
        "'a'",
        "1",
        "0",
        "2.5",
        "none",
        "true",
        "==",
        "<",
        "not",
        "and",
        "or",
        "is",
        "defined",
        "upper",
        "default",
        "join",
        "map",
        "items",
        "sort",
        "tojson",
        "range",
        "now",
        "__class__",
        ":",
        ",",
        "=",
        "loop",
        "x",
        "y",
        "\\",
        '"',
        "'",
        "\n",
        "ü",
        "10**9",
        "fromjson",
        "date",
        "int",
        "replace",
        "split",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=30).map(" ".join) | st.text(max_size=60))
def test_a_template_raises_nothing_but_its_own_error(source: str) -> None:
    for attempt in source, f"{{{{ {source} }}}}", f"{{% if {source} %}}x{{% endif %}}":
        problem = "params: "
        try:
            render(attempt)
        except ExpressionError as error:
            problem = error.detail
        assert problem.startswith("params: ")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_data_comes_out_of_an_expression_as_it_went_in(value: Json) -> None:
    assert render("{{ trigger }}", {"trigger": value}) == value


FILTERS_OF_ONE = st.sampled_from(
    [
        "abs",
        "capitalize",
        "count",
        "date",
        "dictsort",
        "escapeHtml",
        "escapeMarkdown",
        "first",
        "float",
        "fromjson",
        "int",
        "items",
        "keys",
        "last",
        "length",
        "list",
        "lower",
        "max",
        "min",
        "number",
        "reverse",
        "round",
        "select",
        "sort",
        "string",
        "sum",
        "timestamp",
        "title",
        "tojson",
        "trim",
        "truncate",
        "unique",
        "upper",
        "urlencode",
        "values",
        "split",
        "join",
    ]
)


@settings(max_examples=400, deadline=None)
@given(JSON, st.lists(FILTERS_OF_ONE, min_size=1, max_size=3))
def test_any_filter_on_any_data_gives_json_or_its_own_error(
    value: Json, filters: list[str]
) -> None:
    try:
        result = render(f"{{{{ trigger|{'|'.join(filters)} }}}}", {"trigger": value})
    except ExpressionError:
        return
    assert render("{{ trigger }}", {"trigger": result}) == result


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{{ trigger.to }}", ["{{ trigger.to }}"]),
        ("{{ a }}, b@example.com", ["{{ a }}", "b@example.com"]),
        ("{{ f(a, b) }},{{ 'x,}},' }}", ["{{ f(a, b) }}", "{{ 'x,}},' }}"]),
        ('"Doe, {{ first }}" <{{ a }}>, b@c.de', ['"Doe, {{ first }}" <{{ a }}>', "b@c.de"]),
        ("{% if a %}a@b.de, c@d.de{% endif %}", ["{% if a %}a@b.de, c@d.de{% endif %}"]),
        ("{{ unfinished, ", ["{{ unfinished,"]),
        ('"{{ name|default("Doe, J") }}" <{{ a }}>', ['"{{ name|default("Doe, J") }}" <{{ a }}>']),
        (
            r"{{ x|default('O\'Brien, Ann') }} <a@b.cc>",
            [r"{{ x|default('O\'Brien, Ann') }} <a@b.cc>"],
        ),
        ("{{ [{'b':{'c':'x'}}, 2][0].b.c }}, d", ["{{ [{'b':{'c':'x'}}, 2][0].b.c }}", "d"]),
        (r'"a \" , {{ b }}" <c>, "unclosed, d', [r'"a \" , {{ b }}" <c>', '"unclosed', "d"]),
    ],
)
def test_a_template_is_split_at_the_commas_that_its_author_wrote(
    text: str, parts: list[str]
) -> None:
    assert expressions.split_by_commas(text) == parts


def test_a_template_of_many_braces_in_quotes_is_one_part() -> None:
    hostile = "{{ 'a\\" + "'" + "{" * 15_000 + "' }}"
    assert expressions.split_by_commas(hostile) == [hostile]


def test_a_quote_that_nothing_closes_is_looked_for_once() -> None:
    hostile = '"' + r"\"" * 200_000  # whoever begins anew at each quote takes hours
    assert expressions.split_by_commas("{{ a }}, " + hostile) == ["{{ a }}", hostile]


def test_what_is_remembered_is_not_counted_anew_for_each_template() -> None:
    class Long(str):
        """A text that nobody measures once it is understood."""

        __slots__ = ("understood",)

        def __len__(self) -> int:
            assert not hasattr(self, "understood")
            return super().__len__()

    first = Long("{{ 1 + 4321 }}")
    expressions.template(first)
    first.understood = True
    expressions.template("{{ 2 + 4321 }}")


@pytest.mark.parametrize("source", [" " * 16_000 + "a + b", "{{" + " " * 16_000 + "a + b"])
def test_a_long_expression_is_no_path(source: str) -> None:
    assert references.plain_path(source) is None


def test_what_is_loaded_once_is_not_the_time_of_the_expression_that_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = parser._environment
    pauses = [0.2]

    def slow() -> Any:
        time.sleep(pauses.pop() if pauses else 0.0)
        return environment()

    monkeypatch.setattr(parser, "_environment", slow)
    monkeypatch.setattr(parser, "_understood", {})
    both = Budget(seconds=0.1, within=Budget(seconds=0.1))
    assert expressions.evaluate("1 + 41", {}, now=NOW, place="x", budget=both) == 42
