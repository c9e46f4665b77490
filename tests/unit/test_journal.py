"""What changed since the last write is an entry, and the entries together are the document."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.storage import journal
from integrations.storage.journal import Journal


def step(number: int, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"id": f"s{number}", "action": "fake.do", "status": "pending"}
    made |= dict.fromkeys(("output", "error", "rounds", "stored"))
    return made | fields


def document(steps: int = 2) -> dict[str, Any]:
    return {"status": "queued", "error": None, "steps": [step(number) for number in range(steps)]}


def reread(written: Journal) -> dict[str, Any]:
    """The document as another process reads it."""
    return journal.read(journal.unpack(written.packed())["tail"])


def test_a_change_of_one_step_is_an_entry_of_that_step_alone() -> None:
    state = document()
    written = journal.followed_by(Journal(), state)
    state["status"] = "running"
    state["steps"][1]["status"] = "running"
    state["steps"][1]["output"] = {"n": 1}
    written = journal.followed_by(written, state)
    assert written.tail[1] == {
        "set": {"status": "running"},
        "steps": {"1": {"status": "running", "output": {"n": 1}}},
    }
    assert reread(written) == state


def test_where_nothing_changed_nothing_is_written() -> None:
    state = document()
    written = journal.followed_by(Journal(), state)
    assert journal.followed_by(written, state).tail == written.tail


def test_what_changes_later_is_not_in_an_earlier_entry() -> None:
    state = document()
    written = journal.followed_by(Journal(), state)
    state["steps"][0] |= {"rounds": {"total": 2, "done": 0, "failures": []}, "output": []}
    written = journal.followed_by(written, state)
    before = copy.deepcopy(written.tail)
    state["steps"][0]["rounds"]["done"] = 1
    state["steps"][0]["rounds"]["failures"].append({"code": "x"})
    state["steps"][0]["output"].append("one")
    assert written.tail == before
    written = journal.followed_by(written, state)
    changed = {"0": {"rounds": {"done": 1, "failures": [{"code": "x"}]}}}
    assert written.tail[2] == {"steps": changed, "rounds": {"0": ["one"]}}
    assert reread(written) == state


def test_what_steps_gave_is_not_written_anew_where_the_workflow_was_changed() -> None:
    state = document(3)
    state["steps"][1] |= {"rounds": {"total": 9000, "done": 3, "failures": []}, "output": [1, 2, 3]}
    written = journal.followed_by(Journal(), state)
    removed, looped, other = state["steps"]
    state["steps"] = [other, looped, step(9)]
    looped["output"].append(4)
    looped["rounds"]["done"] = 4
    written = journal.followed_by(written, state)
    assert written.tail[-1] == {
        "order": [2, 1, step(9)],
        "steps": {"1": {"rounds": {"done": 4}}},
        "rounds": {"1": [4]},
    }
    assert reread(written) == state
    state["steps"][2]["status"] = "running"
    state["steps"].insert(0, removed)
    written = journal.followed_by(written, state)
    state["steps"][3]["status"] = "succeeded"
    written = journal.followed_by(written, state)
    assert reread(written) == state


def test_a_journal_that_was_read_goes_on_where_it_was() -> None:
    state = document()
    state["steps"][0] |= {"rounds": {"total": 2, "done": 1}, "output": ["one"]}
    first = journal.followed_by(Journal(), state)
    again = reread(first)
    opened = journal.opened(Journal(first.pages, first.tail), again)
    again["steps"][0]["output"].append("two")
    again["steps"][0]["rounds"]["done"] = 2
    written = journal.followed_by(opened, again)
    assert written.tail[-1] == {"steps": {"0": {"rounds": {"done": 2}}}, "rounds": {"0": ["two"]}}
    assert reread(written) == again


@pytest.mark.parametrize(("was", "becomes"), [(1, True), ([0], [False]), ({"a": 1}, {"a": 1.0})])
def test_values_that_python_calls_equal_are_told_apart(was: Any, becomes: Any) -> None:
    state = document()
    state["steps"][0]["input"] = was
    written = journal.followed_by(Journal(), state)
    state["steps"][0]["input"] = becomes
    written = journal.followed_by(written, state)
    assert json.dumps(reread(written)) == json.dumps(state)


@pytest.mark.parametrize(
    "document", [None, 0, "", [], {}, "ß" * 1000, {"a": ["\n", True, 1.5, None]}], ids=str
)
def test_what_is_packed_is_unpacked(document: Any) -> None:
    assert journal.unpack(journal.pack(document)) == document


def test_an_execution_of_one_step_is_packed_small() -> None:
    run = {
        "id": "tell", "action": "telegram.sendMessage", "status": "pending", "attempts": 0,
        "resumes": 0, "startedAt": None, "finishedAt": None, "durationMs": None, "retryAt": None,
        "waitingSince": None, "input": None, "output": None, "error": None, "rounds": None,
        "stored": None,
    }  # fmt: skip
    assert len(journal.pack([{"all": {"status": "queued", "steps": [run]}}])) < 60


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)


@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["status", "output", "round", "error", "place"]),
            JSON,
        ),
        max_size=30,
    ),
    stops=st.sets(st.integers(0, 30)),
)
@settings(max_examples=150, deadline=None)
def test_whatever_changes_the_entries_give_the_document(
    changes: list[tuple[int, str, Any]], stops: set[int]
) -> None:
    state = document(3)
    written = journal.followed_by(Journal(), state)
    for number, (index, name, value) in enumerate(changes):
        run = state["steps"][index]
        if name == "place":
            state["steps"].remove(run)
            state["steps"].insert(number % 3, run if number % 2 else step(number + 3))
        elif name == "round":
            run["rounds"] = run["rounds"] or {"done": 0}
            run["rounds"]["done"] += 1
            run["output"] = [*run["output"], value] if isinstance(run["output"], list) else [value]
        elif name != "output" or run["rounds"] is None:
            run[name] = value
        if number in stops:
            written = journal.followed_by(written, state)
            assert json.dumps(reread(written)) == json.dumps(state)
            state = json.loads(json.dumps(state))
            written = journal.opened(Journal(written.pages, written.tail), state)
    written = journal.followed_by(written, state)
    assert json.dumps(reread(written)) == json.dumps(state)
