"""An execution ends in a state that can be seen, whatever fails, and does nothing twice."""

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.errors import (
    Conflict,
    ConnectionPaused,
    CredentialsRejected,
    ExpressionError,
    FieldError,
    InvalidParams,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    ValueGone,
    VersionConflict,
)
from integrations.models import Json
from integrations.storage import journal
from integrations.storage.journal import Journal
from integrations.workflows import contexts, engine, lifecycle, limits
from integrations.workflows.outcomes import Finished, Outcome, OutOfTime, RetryAfter, Sent, StepCall
from integrations.workflows.records import Execution, StepDefinition, WorkflowDefinition

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone; nothing catches this."""


class Values:
    """Where large values are; counts what is asked of it."""

    def __init__(self) -> None:
        self.saved: dict[str, bytes] = {}
        self.read: list[str] = []

    def put(self, text: bytes) -> str:
        key = f"v{len(self.saved)}"
        self.saved[key] = text
        return key

    def get(self, key: str) -> Json:
        self.read.append(key)
        if key not in self.saved:
            raise ValueGone("It is no longer stored")
        return cast("Json", json.loads(self.saved[key]))


class World:
    """Everything outside the engine: a clock, a table, a queue and a provider."""

    def __init__(self, *steps: dict[str, Any], data: Json = None) -> None:
        definition = {"name": "Flow", "trigger": {"type": "manual"}, "steps": list(steps)}
        self.workflow = cast("WorkflowDefinition", definition)
        self.version = 1
        self.now = START
        self.calls: list[StepCall] = []
        self.saves: list[Execution] = []
        self.waits: list[float] = []
        self.answers: dict[str, list[Any]] = {}
        self.idempotent = True
        self.idempotent_but: set[str] = set()
        self.die_in_save: int | None = None
        self.seconds_per_call = 0.0
        self.time = timedelta(days=1)
        self.values = Values()
        new = lifecycle.new_execution(
            self.workflow,
            execution_id="exe_1",
            workflow_id="wf_1",
            workflow_version=1,
            event_id="evt_1",
            data=data,
            hops=2,
            clock=self.clock,
        )
        self.journal = journal.followed_by(Journal(), new)

    def clock(self) -> datetime:
        return self.now

    def answer(self, action: str, *answers: Any) -> None:
        """What the action does on its next calls: an error is raised, else it is the output."""
        self.answers[action] = list(answers)

    def perform(self, call: StepCall) -> Json:
        self.calls.append(call)
        self.now += timedelta(seconds=self.seconds_per_call)
        answers = self.answers.get(call.action, [])
        answer = answers.pop(0) if answers else {"did": call.action}
        if isinstance(answer, BaseException):
            raise answer
        return cast("Json", answer)

    def is_idempotent(self, action: str) -> bool:
        return self.idempotent and action not in self.idempotent_but

    def save(self, execution: Execution) -> None:
        if self.die_in_save == len(self.saves):
            self.die_in_save = None
            raise Killed
        self.write(execution)
        self.saves.append(copy.deepcopy(execution))

    def write(self, execution: Execution) -> None:
        """Store it as the tables do: by what has changed."""
        self.journal = journal.followed_by(self.journal, execution)
        assert self.execution == execution

    @property
    def execution(self) -> Execution:
        return cast("Execution", journal.read(json.loads(json.dumps(self.journal.tail))))

    def step(self, id_: str) -> dict[str, Any]:
        return next(dict(run) for run in self.execution["steps"] if run["id"] == id_)

    def invoke(self, deadline: datetime | None = None) -> Outcome:
        """One invocation of the function: read, lease, advance."""
        execution = self.execution
        self.journal = journal.opened(self.journal, execution)
        machine = engine.begin(
            execution,
            self.workflow,
            version=self.version,
            values=self.values,
            is_idempotent=self.is_idempotent,
            clock=self.clock,
        )
        self.write(execution)
        return machine.advance(
            perform=self.perform,
            save=self.save,
            deadline=deadline or self.now + self.time,
            jitter=lambda: 0.5,
        )

    def run(self, most: int = 100) -> str:
        """Invoke as a queue would, until the execution rests."""
        for _ in range(most):
            try:
                outcome = self.invoke()
            except Killed:
                continue
            if isinstance(outcome, Finished):
                return outcome.status
            if isinstance(outcome, RetryAfter):
                self.waits.append(outcome.seconds)
                self.now += timedelta(seconds=outcome.seconds)
        raise AssertionError("The execution never came to rest")

    def done(self) -> list[str]:
        return [call.action for call in self.calls]


def step(id_: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "action": f"fake.{id_}", **fields}


# -- The plain way ---------------------------------------------------------------------------


def test_steps_run_in_order_and_see_what_came_before() -> None:
    world = World(
        step("a", params={"order": "{{ trigger.id }}"}),
        step("b", connection="shop", params={"got": "{{ steps.a.output.n + 1 }}"}),
        data={"id": 7},
    )
    world.answer("fake.a", {"n": 41})
    assert world.run() == "succeeded"
    assert [each._replace(with_secrets=Sent) for each in world.calls] == [
        StepCall(
            action="fake.a",
            connection="default",
            params={"order": 7},
            secrets=frozenset(),
            with_secrets=Sent,
            idempotency_key="exe_1.a",
            hops=2,
        ),
        StepCall(
            action="fake.b",
            connection="shop",
            params={"got": 42},
            secrets=frozenset(),
            with_secrets=Sent,
            idempotency_key="exe_1.b",
            hops=2,
        ),
    ]
    assert world.step("b")["input"] == {"got": 42}
    assert world.execution["finishedAt"]


def test_one_save_records_the_end_of_a_step_and_the_start_of_the_next() -> None:
    world = World(step("a"), step("b"), step("c"))
    world.idempotent = False
    world.run()
    assert len(world.saves) == 3
    seen = [[run["status"] for run in saved["steps"]] for saved in world.saves]
    assert seen == [
        ["succeeded", "running", "pending"],
        ["succeeded", "succeeded", "running"],
        ["succeeded", "succeeded", "succeeded"],
    ]
    assert [saved["status"] for saved in world.saves] == ["running", "running", "succeeded"]


def test_times_and_durations_are_recorded() -> None:
    world = World(step("a"), step("b"))
    world.seconds_per_call = 1.5
    world.run()
    assert world.step("a")["durationMs"] == 1500
    assert world.step("b")["startedAt"] == "2026-11-22T12:00:01.500Z"
    assert world.execution["finishedAt"] == "2026-11-22T12:00:03.000Z"


def test_a_step_whose_condition_is_false_is_skipped() -> None:
    world = World(
        step("a", when="trigger.n > 5"),
        step("b", when=False),
        step("c", when="{{ steps.a.status == 'skipped' }}"),
        data={"n": 1},
    )
    assert world.run() == "succeeded"
    assert world.done() == ["fake.c"]
    assert [world.step(id_)["status"] for id_ in "abc"] == ["skipped", "skipped", "succeeded"]
    assert len(world.saves) == 1


def test_a_workflow_that_skips_everything_succeeds() -> None:
    world = World(step("a", when="false"))
    assert world.run() == "succeeded"
    assert world.calls == []
    assert world.execution["status"] == "succeeded"


def test_two_hundred_steps_run_with_two_hundred_saves() -> None:
    world = World(*(step(f"s{number}") for number in range(200)))
    world.idempotent = False
    assert world.run() == "succeeded"
    assert len(world.calls) == len(world.saves) == 200


def test_idempotent_steps_that_do_not_depend_on_each_other_have_one_save() -> None:
    world = World(*(step(f"s{number}") for number in range(90)))
    assert world.run() == "succeeded"
    assert len(world.calls) == 90
    assert len(world.saves) == 1


def test_a_run_of_idempotent_steps_is_saved_every_few_seconds_and_every_hundred_rounds() -> None:
    world = World(step("a", forEach="range(250)"))
    assert world.run() == "succeeded"
    assert [saved["steps"][0]["rounds"]["done"] for saved in world.saves] == [100, 200, 250]  # type: ignore[index]
    world = World(step("a", forEach="range(10)"))
    world.seconds_per_call = 2
    assert world.run() == "succeeded"
    assert [saved["steps"][0]["rounds"]["done"] for saved in world.saves] == [3, 6, 9, 10]  # type: ignore[index]


def test_a_step_that_is_not_idempotent_begins_with_a_record_of_all_before_it() -> None:
    world = World(step("a"), step("b"), step("once"), step("c"))
    world.idempotent_but = {"fake.once"}
    assert world.run() == "succeeded"
    seen = [[run["status"] for run in saved["steps"]] for saved in world.saves]
    assert seen == [
        ["succeeded", "succeeded", "running", "pending"],
        ["succeeded", "succeeded", "succeeded", "running"],
        ["succeeded"] * 4,
    ]


@pytest.mark.parametrize(
    "sees",
    [
        {"params": {"x": "{{ steps.a.output.did }}"}},
        {"params": {"at": "{{ now() }}"}},
        {"when": "steps['a'].status == 'succeeded'"},
        {"forEach": "[steps.a.output]"},
    ],
)
def test_what_a_step_sees_is_recorded_before_it_begins(sees: dict[str, Any]) -> None:
    world = World(step("a"), step("b", **sees))
    world.answer("fake.a", {"did": "one"}, {"did": "another"})
    world.answer("fake.b", Killed())
    assert world.run() == "succeeded"
    assert world.done() == ["fake.a", "fake.b", "fake.b"]
    assert world.calls[1].params == world.calls[2].params


def test_after_a_death_in_a_run_of_steps_the_one_that_kills_is_found() -> None:
    world = World(step("a"), step("b", onError="continue"), step("c"))
    world.answer("fake.b", *(Killed() for _ in range(100)))
    assert world.run() == "succeeded"
    assert world.step("b")["error"]["code"] == "crashed"
    assert world.done().count("fake.a") == 2


def test_a_finished_execution_is_left_alone() -> None:
    world = World(step("a"))
    world.run()
    assert world.invoke() == Finished("succeeded")
    assert len(world.calls) == len(world.saves) == 1


# -- forEach ---------------------------------------------------------------------------------


def test_each_item_has_its_round_with_its_own_key() -> None:
    world = World(
        step("a", forEach="trigger.rows", params={"x": "{{ index }}:{{ item.n }}"}),
        step("b", params={"all": "{{ steps.a.output|map(attribute='did')|list }}"}),
        data={"rows": [{"n": "p"}, {"n": "q"}]},
    )
    assert world.run() == "succeeded"
    assert [call.params for call in world.calls[:2]] == [{"x": "0:p"}, {"x": "1:q"}]
    assert [call.idempotency_key for call in world.calls[:2]] == ["exe_1.a.0", "exe_1.a.1"]
    assert world.calls[2].params == {"all": ["fake.a", "fake.a"]}
    assert world.step("a")["rounds"] == {"total": 2, "done": 2, "failed": 0, "failures": []}


class Counted(list[Json]):
    """A list that knows how often it was walked."""

    walks = 0

    def __iter__(self) -> Iterator[Json]:
        self.walks += 1
        return super().__iter__()


def test_a_list_that_is_written_out_is_not_walked_at_each_round() -> None:
    walks = []
    for count in (10, 100):
        items = Counted(range(count))
        world = World(step("a", forEach=items, params={"n": "{{ item }}"}))
        assert world.run() == "succeeded"
        assert len(world.calls) == count
        walks.append(items.walks)
    assert walks[0] == walks[1]


def test_no_items_are_no_rounds() -> None:
    world = World(step("a", forEach=[]), step("b", params={"n": "{{ steps.a.output|length }}"}))
    assert world.run() == "succeeded"
    assert [call.params for call in world.calls] == [{"n": 0}]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("trigger", "needs a list, not an object"),
        ("trigger.many", "has 20001 items; at most 20000"),
    ],
)
def test_rounds_need_a_list_of_bounded_length(source: str, reason: str) -> None:
    world = World(step("a", forEach=source), data={"many": [0] * 20_001})
    assert world.run() == "failed"
    error = world.execution["error"]
    assert error
    assert error["code"] == "expression_error"
    assert reason in error["message"]


def test_a_failed_round_stops_the_step_and_a_retry_goes_on_from_it() -> None:
    world = World(step("a", forEach=[1, 2, 3], params={"n": "{{ item }}"}))
    world.answer("fake.a", "one", RequestRejected("no"), "two", "three")
    assert world.run() == "failed"
    assert world.step("a")["rounds"]["done"] == 1
    execution = world.execution
    lifecycle.retry_from_failed(execution)
    world.write(execution)
    assert world.run() == "succeeded"
    assert [call.params["n"] for call in world.calls] == [1, 2, 2, 3]
    assert world.step("a")["output"] == ["one", "two", "three"]


def test_with_continue_the_other_rounds_still_run() -> None:
    world = World(
        step("a", forEach=[1, 2, 3], params={"n": "{{ 6 // (item - 1) }}"}, onError="continue"),
        step("b", params={"status": "{{ steps.a.status }}", "all": "{{ steps.a.output }}"}),
    )
    world.answer("fake.a", RequestRejected("no"), "three")
    assert world.run() == "succeeded"
    run = world.step("a")
    assert run["status"] == "failed"
    assert run["error"]["message"].startswith("2 of 3 rounds failed. ")
    assert [each["index"] for each in run["rounds"]["failures"]] == [0, 1]
    assert world.calls[-1].params == {"status": "failed", "all": [None, None, "three"]}


def test_a_round_killed_before_its_checkpoint_is_the_only_one_that_runs_again() -> None:
    world = World(step("a", forEach=[1, 2, 3], params={"n": "{{ item }}"}))
    world.seconds_per_call = 5
    world.die_in_save = 1
    assert world.run() == "succeeded"
    assert [call.params["n"] for call in world.calls] == [1, 2, 2, 3]
    assert world.calls[1].idempotency_key == world.calls[2].idempotency_key


def test_rounds_killed_before_their_checkpoint_run_again_with_their_own_keys() -> None:
    world = World(step("a", forEach=[1, 2, 3], params={"n": "{{ item }}"}))
    world.die_in_save = 0
    assert world.run() == "succeeded"
    assert [call.params["n"] for call in world.calls] == [1, 2, 3, 1, 2, 3]
    keys = [call.idempotency_key for call in world.calls]
    assert keys[:3] == keys[3:]
    assert len(set(keys)) == 3


# -- Failures --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestRejected("chat not found", status=400, provider_code="400"), "request_rejected"),
        (CredentialsRejected("token revoked"), "credentials_rejected"),
        (InvalidParams("wrong", [FieldError("chatId", "is empty")]), "invalid_params"),
    ],
)
def test_a_refusal_fails_at_once_and_says_why(error: Exception, code: str) -> None:
    world = World(step("a"), step("b"))
    world.answer("fake.a", error)
    assert world.run() == "failed"
    failure = world.execution["error"]
    assert failure
    assert (failure["code"], failure["step"]) == (code, "a")
    assert world.done() == ["fake.a"]
    assert [world.step(id_)["status"] for id_ in "ab"] == ["failed", "pending"]
    assert world.step("a")["error"]["status"] == getattr(error, "status", None)


def test_wrong_parameters_are_named() -> None:
    world = World(step("a"))
    world.answer("fake.a", InvalidParams("Wrong", [FieldError("chatId", "is empty")]))
    world.run()
    assert world.step("a")["error"]["message"] == "Wrong (chatId: is empty)"


def test_a_defect_ends_in_a_visible_state_without_its_details() -> None:
    world = World(step("a"))
    world.answer("fake.a", KeyError("secret"))
    assert world.run() == "failed"
    failure = world.step("a")["error"]
    assert failure["code"] == "internal_error"
    assert "KeyError" in failure["message"]
    assert "secret" not in failure["message"]


def test_an_expression_that_fails_names_its_place_and_calls_nothing() -> None:
    world = World(step("a", params={"chat": {"id": "{{ trigger.nope }}"}}), data={"x": 1})
    assert world.run() == "failed"
    assert world.step("a")["error"]["message"] == (
        "params.chat.id: trigger has no 'nope'; it has: x"
    )
    assert world.calls == []


def test_with_continue_a_failed_step_shows_and_the_execution_succeeds() -> None:
    world = World(
        step("a", onError="continue"),
        step("b", when="{{ nope }}", onError="continue"),
        step("c", params={"why": "{{ steps.a.error.code }}", "b": "{{ steps.b.status }}"}),
    )
    world.answer("fake.a", RequestRejected("no"))
    assert world.run() == "succeeded"
    assert [world.step(id_)["status"] for id_ in "abc"] == ["failed", "failed", "succeeded"]
    assert world.calls[-1].params == {"why": "request_rejected", "b": "failed"}
    assert world.execution["error"] is None


def test_failures_without_end_fit_a_row() -> None:
    """DynamoDB takes 400 KB; what fails again and again is told in few words."""
    often = {"action": "fake.failing", "onError": "continue"}
    loops = (step(f"a{number}", **often, forEach=[1, 2, 3]) for number in range(100))
    plain = (step(f"b{number}", **often) for number in range(100))
    world = World(*loops, *plain)
    world.answer("fake.failing", *(RequestRejected("ß" * 1000) for _ in range(400)))

    world.run()

    assert world.execution["status"] == "succeeded"
    assert all(run["status"] == "failed" for run in world.execution["steps"])
    assert all(run["error"] and "ß" in run["error"]["message"] for run in world.execution["steps"])
    assert len(json.dumps(world.execution, ensure_ascii=False).encode()) < 200 * 1024


def test_long_messages_are_cut() -> None:
    world = World(step("a"))
    world.answer("fake.a", RequestRejected("x" * 10_000))
    world.run()
    assert len(world.step("a")["error"]["message"]) == limits.MAX_MESSAGE


# -- Patience --------------------------------------------------------------------------------


def test_a_provider_that_is_down_is_tried_with_growing_pauses() -> None:
    world = World(step("a"), step("b"))
    world.answer("fake.b", *(ProviderUnavailable("down") for _ in range(4)), "up")
    assert world.run() == "succeeded"
    assert world.done() == ["fake.a", *["fake.b"] * 5]
    assert world.waits == [5.25, 31.5, 315.0, 1890.0]
    assert world.step("b")["attempts"] == 5
    assert {call.idempotency_key for call in world.calls[1:]} == {"exe_1.b"}


def test_the_state_between_attempts_shows_the_reason_and_the_next_attempt() -> None:
    world = World(step("a"))
    world.answer("fake.a", ProviderUnavailable("down", status=503))
    assert world.invoke() == RetryAfter(5.25)
    assert world.execution["status"] == "retrying"
    run = world.step("a")
    assert (run["status"], run["error"]["status"]) == ("retrying", 503)
    assert run["retryAt"] == world.execution["retryAt"] == "2026-11-22T12:00:05.250Z"
    assert lifecycle.due_in(world.execution, clock=world.clock) == 5.25
    world.now += timedelta(seconds=6)
    assert lifecycle.due_in(world.execution, clock=world.clock) == 0.0


def test_a_rate_limit_is_honoured_exactly() -> None:
    world = World(step("a"))
    world.answer("fake.a", RateLimited("slow down", retry_after=37.25))
    assert world.invoke() == RetryAfter(37.25)


def test_a_pause_of_the_connection_is_no_attempt() -> None:
    world = World(step("a", retry={"maxAttempts": 2}))
    world.answer("fake.a", *(ConnectionPaused("paused", retry_after=3) for _ in range(20)), "ok")
    assert world.run() == "succeeded"
    assert world.waits == [3.0] * 20
    assert world.step("a")["attempts"] == 1


def test_after_its_attempts_the_step_fails_and_can_be_retried() -> None:
    world = World(step("a"), step("b", retry={"maxAttempts": 3, "backoffSeconds": 100}))
    world.answer("fake.b", *(ProviderTimeout("slow") for _ in range(3)))
    assert world.run() == "failed"
    assert world.waits == [75.0, 150.0]
    assert world.step("b")["error"]["code"] == "provider_timeout"
    assert world.step("b")["error"]["message"].startswith("Gave up after 3 attempts. ")
    execution = world.execution
    lifecycle.retry_from_failed(execution)
    assert execution["status"] == "queued"
    world.write(execution)
    assert world.run() == "succeeded"
    assert world.done() == ["fake.a", *["fake.b"] * 4]
    assert world.execution["retryCount"] == 1


def test_a_backoff_that_is_given_is_capped_and_half_of_it_is_random() -> None:
    assert engine._backoff({"backoffSeconds": 2}, 20, lambda: 0.0) == 150.0
    assert engine._backoff({"backoffSeconds": 2}, 20, lambda: 0.5) == 225.0
    assert engine._backoff({"maxBackoffSeconds": 60}, 1, lambda: 0.0) == 1.0


def test_without_a_word_about_it_a_step_is_tried_for_more_than_a_day() -> None:
    world = World(step("a"))
    world.answer("fake.a", *(ProviderUnavailable("down") for _ in range(99)))
    assert world.run() == "failed"
    assert len(world.calls) == 9
    assert sum(world.waits) > 27 * 3600
    assert world.step("a")["error"]["message"].startswith("Gave up after 9 attempts. ")


def test_a_provider_that_asks_for_days_is_not_waited_for() -> None:
    world = World(step("a"))
    world.answer("fake.a", RateLimited("come back", retry_after=7 * 86400))
    assert world.run() == "failed"
    assert "604800 seconds away" in world.step("a")["error"]["message"]


def test_a_connection_that_stays_paused_does_not_hold_the_execution_for_ever() -> None:
    world = World(step("a"))
    world.answer("fake.a", *(ConnectionPaused("paused", retry_after=3600) for _ in range(80)))
    assert world.run() == "failed"
    assert len(world.waits) == 72


# -- Unknown outcomes ------------------------------------------------------------------------


@pytest.mark.parametrize("step_number", [0, 1, 2])
def test_killed_before_the_checkpoint_an_idempotent_step_runs_again(step_number: int) -> None:
    world = World(step("a"), step("b"), step("c"))
    world.seconds_per_call = 5
    world.die_in_save = step_number
    assert world.run() == "succeeded"
    expected = ["fake.a", "fake.b", "fake.c"]
    expected.insert(step_number, expected[step_number])
    assert world.done() == expected
    assert len({call.idempotency_key for call in world.calls}) == 3
    assert world.execution["resumeCount"] == 1


def test_killed_before_the_checkpoint_any_other_step_fails_as_unknown() -> None:
    world = World(step("a"), step("b"))
    world.idempotent = False
    world.die_in_save = 1
    assert world.run() == "failed"
    assert world.done() == ["fake.a", "fake.b"]
    failure = world.execution["error"]
    assert failure
    assert failure["code"] == "outcome_unknown"
    assert "may have been carried out" in failure["message"]


def test_who_allows_it_has_an_unknown_outcome_repeated() -> None:
    world = World(step("a", retry={"onUnknownOutcome": "repeat"}))
    world.idempotent = False
    world.die_in_save = 0
    assert world.run() == "succeeded"
    assert world.done() == ["fake.a", "fake.a"]
    assert world.step("a")["attempts"] == 1


def test_with_continue_an_unknown_outcome_does_not_stop_the_rest() -> None:
    world = World(step("a", onError="continue"), step("b"))
    world.idempotent = False
    world.die_in_save = 0
    assert world.run() == "succeeded"
    assert world.done() == ["fake.a", "fake.b"]
    assert world.step("a")["error"]["code"] == "outcome_unknown"


@pytest.mark.parametrize(
    ("idempotent", "policy", "status", "calls"),
    [
        (True, "fail", "succeeded", 2),
        (False, "repeat", "succeeded", 2),
        (False, "fail", "failed", 1),
    ],
)
def test_a_timeout_after_sending_is_judged_alike(
    *, idempotent: bool, policy: str, status: str, calls: int
) -> None:
    world = World(step("a", retry={"onUnknownOutcome": policy}))
    world.idempotent = idempotent
    world.answer("fake.a", ProviderTimeout("no answer", outcome_unknown=True))
    assert world.run() == status
    assert len(world.calls) == calls
    if status == "failed":
        assert world.step("a")["error"]["code"] == "outcome_unknown"


def test_a_step_that_kills_every_process_is_given_up() -> None:
    world = World(step("a"))
    world.answer("fake.a", *(Killed() for _ in range(100)))
    assert world.run() == "failed"
    assert world.step("a")["error"]["code"] == "crashed"
    assert len(world.calls) == engine.MAX_RESUMES + 1


def test_who_lost_the_lease_does_nothing_more() -> None:
    world = World(step("a"), step("b"))
    world.idempotent = False

    def lost(execution: Execution) -> None:
        raise VersionConflict("somebody else has it")

    world.save = lost  # type: ignore[method-assign]
    with pytest.raises(VersionConflict):
        world.invoke()
    assert world.done() == ["fake.a"]


# -- Time ------------------------------------------------------------------------------------


def test_rounds_that_fail_slowly_end_over_several_invocations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(step("a", forEach="trigger", onError="continue"), step("b"), data=[0] * 100)

    def slow(*_: Any, **__: Any) -> dict[str, Json]:
        world.now += timedelta(seconds=1)
        raise ExpressionError("params: does not fit")

    with monkeypatch.context() as patched:
        patched.setattr(engine.evaluation, "parameters", slow)
        began = world.now
        assert isinstance(world.invoke(deadline=began + timedelta(seconds=30)), OutOfTime)
        assert world.now - began < timedelta(seconds=32)
        assert world.execution["status"] == "queued"
        began = world.now
        world.invoke(deadline=began + timedelta(seconds=30))
        assert world.now - began < timedelta(seconds=32)
        assert world.step("a")["rounds"]["done"] > 50
        world.die_in_save = len(world.saves)
        with pytest.raises(Killed):
            world.invoke(deadline=world.now + timedelta(seconds=30))
    assert world.execution["status"] == "running"
    assert world.run() == "succeeded"
    assert world.step("a")["rounds"] | {"failures": []} == {
        "total": 100, "done": 100, "failed": 65, "failures": [],
    }  # fmt: skip


def test_when_time_is_up_nothing_is_started_and_the_next_invocation_goes_on() -> None:
    world = World(step("a"), step("b"), step("c"))
    world.seconds_per_call = 10
    assert isinstance(world.invoke(deadline=START + timedelta(seconds=15)), OutOfTime)
    assert world.execution["status"] == "queued"
    assert [world.step(id_)["status"] for id_ in "abc"] == ["succeeded", "succeeded", "pending"]
    world.idempotent = False
    assert world.run() == "succeeded"
    assert world.done() == ["fake.a", "fake.b", "fake.c"]
    assert world.execution["resumeCount"] == 0


def test_a_step_that_was_marked_but_not_attempted_is_put_back() -> None:
    world = World(step("a"))
    world.idempotent = False
    assert isinstance(world.invoke(deadline=START), OutOfTime)
    assert (world.step("a")["status"], world.step("a")["attempts"]) == ("pending", 0)
    assert world.run() == "succeeded"


def test_a_repetition_sends_the_same_time_again() -> None:
    world = World(step("a", params={"at": "{{ now() }}"}))
    world.now += timedelta(microseconds=123456)
    world.answer("fake.a", ProviderUnavailable("down"))
    assert world.run() == "succeeded"
    assert world.calls[0].params == world.calls[1].params == {"at": "2026-11-22T12:00:00.123Z"}


def test_a_template_that_fails_only_the_second_time_is_recorded_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(step("a"))
    results: list[Any] = [{}, ExpressionError("params: takes longer than 5 seconds")]

    def render(*args: Any, **kwargs: Any) -> Any:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr("integrations.workflows.expressions.render", render)
    world.answer("fake.a", ProviderUnavailable("down"))
    assert world.run() == "failed"
    assert world.step("a")["error"]["code"] == "expression_error"
    assert len(world.calls) == 1


# -- What is kept ----------------------------------------------------------------------------


def test_a_large_output_is_shown_by_its_beginning_and_seen_whole_by_later_steps() -> None:
    world = World(step("a"), step("b", params={"last": "{{ steps.a.output.rows[99]|length }}"}))
    world.answer("fake.a", {"rows": ["é" * 1000] * 100})
    assert world.run() == "succeeded"
    output = world.step("a")["output"]
    assert output["truncated"] is True
    assert output["bytes"] == 200_310
    assert output["preview"].startswith('{"rows":["éé')
    assert world.step("a")["stored"] == {"": {"key": "v0", "bytes": 200_310}}
    assert world.calls[1].params == {"last": 1000}


def test_a_large_output_is_seen_whole_after_a_resume() -> None:
    world = World(step("a"), step("b", params={"n": "{{ steps.a.output|length }}"}))
    world.answer("fake.a", "x" * 50_000)
    world.die_in_save = 1
    assert world.run() == "succeeded"
    assert [call.params for call in world.calls[1:]] == [{"n": 50_000}] * 2


@pytest.mark.parametrize(
    ("fields", "reads"),
    [
        ({"params": {"x": "{{ steps.a.status }}"}}, 1),
        ({"params": {"x": "{{ steps['a'].output|length }}"}}, 1),
        ({"params": {"x": "{{ steps[trigger].output|length }}"}}, 1),
        ({"when": "steps.a.output|length > 1"}, 1),
        ({"forEach": "steps.a.output[:2]|list"}, 1),
        ({"params": {"x": "{{ steps.other.status }}"}}, 0),
        ({"params": {"x": "{{ trigger }}"}}, 0),
        ({}, 0),
    ],
    ids=str,
)
def test_a_stored_output_is_read_once_and_only_where_it_may_be_touched(
    fields: dict[str, Any], reads: int
) -> None:
    world = World(step("other"), step("a"), step("b", **fields), data="a")
    world.answer("fake.a", ["x"] * 20_000)
    assert world.run() == "succeeded"
    assert len(world.values.read) == reads


def test_what_a_loop_sees_is_read_once_for_all_its_rounds_however_much_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contexts, "MAX_LOADED", 100_000)
    world = World(
        step("load", forEach="range(4)"),
        step("use", forEach="range(9)", params={"x": "{{ steps.load.output[3]|length + item }}"}),
    )
    world.answer("fake.load", *("x" * 50_000 for _ in range(4)))
    assert world.run() == "succeeded"
    assert [call.params["x"] for call in world.calls[4:]] == [50_000 + n for n in range(9)]
    assert sorted(world.values.read) == ["v0", "v1", "v2", "v3"]


@pytest.mark.parametrize("before", [[], [step("a")]], ids=["by the first step", "by a later one"])
def test_a_stored_trigger_is_read_once_where_it_is_touched(before: list[dict[str, Any]]) -> None:
    world = World(*before, step("b", params={"x": "{{ trigger.x }}"}))
    execution = world.execution
    execution["trigger"]["stored"] = {"key": world.values.put(b'{"x":1}'), "bytes": 7}
    world.write(execution)
    assert world.run() == "succeeded"
    assert world.calls[-1].params == {"x": 1}
    assert world.values.read == ["v0"]


def test_a_stored_value_that_is_gone_fails_the_step_that_needs_it_before_anything_is_sent() -> None:
    world = World(step("a"), step("b", params={"x": "{{ steps.a.output }}"}))
    world.answer("fake.a", "x" * 50_000)
    world.values.saved.clear()
    put = world.values.put
    world.values.put = lambda text: (put(text), world.values.saved.clear())[0]  # type: ignore[method-assign]
    assert world.run() == "failed"
    assert world.step("b")["error"]["code"] == "value_gone"
    assert world.done() == ["fake.a"]


def test_a_defect_before_a_step_begins_ends_in_a_state_that_can_be_seen() -> None:
    world = World(step("a"), step("b", params={"x": "{{ steps.a.output }}"}))
    world.answer("fake.a", "x" * 50_000)
    world.values.get = lambda _: 1 // 0  # type: ignore[method-assign, assignment, return-value]
    assert world.run() == "failed"
    assert world.step("b")["error"]["code"] == "internal_error"
    assert "ZeroDivisionError" in world.step("b")["error"]["message"]
    assert world.done() == ["fake.a"]


def test_values_that_cannot_be_stored_leave_the_step_as_interrupted() -> None:
    world = World(step("a"), step("b"))
    world.answer("fake.a", "x" * 50_000, "x" * 50_000)
    put = world.values.put

    def fails_once(_: bytes) -> str:
        world.values.put = put  # type: ignore[method-assign]
        raise Killed

    world.values.put = fails_once  # type: ignore[method-assign]
    assert world.run() == "succeeded"
    assert world.done() == ["fake.a", "fake.a", "fake.b"]
    assert len({call.idempotency_key for call in world.calls}) == 2


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [([11], "at most 10485760 are allowed"), ([9] * 6, "at most 52428800 are allowed")],
)
def test_an_output_over_a_bound_fails_its_step_before_the_next_effect(
    sizes: list[int], reason: str
) -> None:
    world = World(*(step(f"s{n}") for n in range(len(sizes) + 1)))
    for number, size in enumerate(sizes):
        world.answer(f"fake.s{number}", "x" * size * 1024 * 1024)
    assert world.run() == "failed"
    error = world.execution["error"]
    assert error
    assert error["code"] == "output_too_large"
    assert error["step"] == f"s{len(sizes) - 1}"
    assert reason in error["message"]
    assert "was carried out" in error["message"]
    assert len(world.calls) == len(sizes)


@pytest.mark.parametrize(
    "source",
    ["steps.rows.output", "steps.rows.output|selectattr('id')|list", "steps.rows.output[5:]"],
)
def test_a_whole_sheet_is_gone_through_by_a_path_a_filter_or_a_slice(source: str) -> None:
    rows = [{"id": n + 1, "name": f"customer {n}", "mail": f"{n}@example.com"} for n in range(9000)]
    world = World(step("rows"), step("each", forEach=source, params={"n": "{{ item.id }}"}))
    world.answer("fake.rows", rows)
    world.answer("fake.each", RequestRejected("no"))
    assert world.run() == "failed"
    rounds = world.step("each")["rounds"]
    assert rounds["total"] == 9000 - 5 * source.endswith("[5:]")


def test_of_twenty_thousand_items_one_bad_one_is_named() -> None:
    rows = [{"to": f"{number}@example.com"} for number in range(20_000)]
    del rows[12_345]["to"]
    world = World(
        step("rows"),
        step(
            "each", forEach="steps.rows.output", params={"to": "{{ item.to }}"}, onError="continue"
        ),
        step("after", params={"n": "{{ steps.each.output|length }}"}),
    )
    world.answer("fake.rows", rows)
    execution = world.execution
    machine = engine.begin(
        execution,
        world.workflow,
        version=1,
        values=world.values,
        is_idempotent=lambda _: True,
        clock=world.clock,
    )
    machine.advance(
        perform=world.perform, save=lambda *_: None, deadline=world.now + timedelta(days=1)
    )
    each = execution["steps"][1]
    assert execution["status"] == "succeeded"
    assert each["rounds"]
    assert (each["rounds"]["done"], each["rounds"]["failed"]) == (20_000, 1)
    assert each["rounds"]["failures"][0]["index"] == 12_345
    assert len(world.calls) == 1 + 19_999 + 1
    assert world.calls[-1].params == {"n": 20_000}


@pytest.mark.parametrize("invocations", ["one", "many"])
def test_all_the_outputs_and_inputs_together_are_bounded(invocations: str) -> None:
    world = World(
        *(step(f"s{n}", params={"x": "y" * 8000}) for n in range(99)),
        step("each", forEach="range(100)"),
    )
    if invocations == "many":
        world.seconds_per_call, world.time = 1.0, timedelta(seconds=10)
    for number in range(99):
        world.answer(f"fake.s{number}", "z" * 30_000)
    world.answer("fake.each", *("z" * 30_000 for _ in range(100)))
    assert world.run() == "succeeded"
    assert len(json.dumps(world.execution)) < 350_000


def test_an_output_that_is_no_json_does_not_undo_the_step() -> None:
    world = World(step("a"))
    world.answer("fake.a", {"x": float("nan")})
    assert world.run() == "succeeded"
    assert world.step("a")["output"]["truncated"] is True


def test_text_that_cannot_be_stored_is_mended_on_the_way_in() -> None:
    world = World(step("a", params={"x": "{{ trigger.x }}"}), data={"x": "a\ud83d"})
    world.answer("fake.a", "b\udc00")
    assert world.run() == "succeeded"
    assert world.calls[0].params == {"x": "a?"}
    assert world.step("a")["output"] == "b?"
    json.dumps(world.execution, ensure_ascii=False).encode()


# -- A workflow that changes -----------------------------------------------------------------


def test_a_waiting_execution_follows_its_changed_workflow() -> None:
    world = World(step("a"), step("b"), step("c"))
    world.answer("fake.b", ProviderUnavailable("down"))
    world.invoke()
    world.workflow["steps"] = [
        cast("StepDefinition", each) for each in (step("a"), step("new"), step("c"))
    ]
    world.version = 2
    assert world.run() == "succeeded"
    assert world.done() == ["fake.a", "fake.b", "fake.new", "fake.c"]
    assert [run["id"] for run in world.execution["steps"]] == ["b", "a", "new", "c"]
    assert world.step("b")["status"] == "skipped"
    assert world.execution["workflowVersion"] == 2


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_step_that_is_no_loop_any_more_is_carried_out_once(*, idempotent: bool) -> None:
    world = World(step("a", forEach="[1, 2, 3, 4]"), step("b"))
    world.idempotent = idempotent
    world.answer("fake.a", {"n": 1}, RequestRejected("no such chat"))
    assert world.run() == "failed"
    execution = world.execution
    lifecycle.retry_from_failed(execution)
    world.write(execution)
    world.workflow["steps"] = [cast("StepDefinition", each) for each in (step("a"), step("b"))]
    world.version = 2
    world.calls.clear()
    assert world.run() == "succeeded"
    assert [call.idempotency_key for call in world.calls] == ["exe_1.a", "exe_1.b"]
    assert (world.step("a")["rounds"], world.step("a")["output"]) == (None, {"did": "fake.a"})


def test_a_round_that_was_interrupted_stays_so_where_the_loop_is_taken_away() -> None:
    world = World(step("a", forEach="[1, 2, 3]"))
    world.idempotent = False
    world.die_in_save = 1
    with pytest.raises(Killed):
        world.invoke()
    world.workflow["steps"] = [cast("StepDefinition", step("a"))]
    world.version = 2
    assert world.run() == "failed"
    assert world.step("a")["error"]["code"] == "outcome_unknown"
    assert len(world.calls) == 2


def test_what_a_changed_step_has_done_before_it_became_a_loop_counts_as_no_round() -> None:
    world = World(step("a"))
    world.answer("fake.a", RequestRejected("no such chat"))
    assert world.run() == "failed"
    execution = world.execution
    lifecycle.retry_from_failed(execution)
    world.write(execution)
    world.workflow["steps"] = [cast("StepDefinition", step("a", forEach="[1, 2]"))]
    world.version = 2
    world.calls.clear()
    assert world.run() == "succeeded"
    assert [call.idempotency_key for call in world.calls] == ["exe_1.a.0", "exe_1.a.1"]


# -- Cancel and retry ------------------------------------------------------------------------


def test_a_cancelled_execution_stays_cancelled_until_it_is_retried() -> None:
    world = World(step("a"), step("b"))
    world.answer("fake.b", ProviderUnavailable("down"))
    world.invoke()
    execution = world.execution
    lifecycle.cancel(execution, clock=world.clock)
    world.write(execution)
    assert world.invoke() == Finished("cancelled")
    assert world.step("b")["error"]["code"] == "cancelled"
    lifecycle.retry_from_failed(execution)
    world.write(execution)
    assert world.run() == "succeeded"
    assert world.done() == ["fake.a", "fake.b", "fake.b"]


@pytest.mark.parametrize("change", [lifecycle.cancel, lifecycle.retry_from_failed])
def test_what_succeeded_can_neither_be_cancelled_nor_retried(
    change: Callable[[Execution], None],
) -> None:
    world = World(step("a"))
    world.run()
    with pytest.raises(Conflict, match="succeeded"):
        change(world.execution)


# -- Ids, filters, keys ----------------------------------------------------------------------


def test_the_execution_id_follows_from_workflow_and_event() -> None:
    first = lifecycle.execution_id("wf_1", "evt_1")
    assert first == lifecycle.execution_id("wf_1", "evt_1")
    assert len(first) == 36
    assert first.startswith("exe_")
    others = {
        lifecycle.execution_id("wf_2", "evt_1"),
        lifecycle.execution_id("wf_1", "evt_2"),
        lifecycle.execution_id("wf_1evt_", "1"),
        lifecycle.execution_id("wf_1", "other", "evt_1"),
    }
    assert len(others | {first}) == 5


def test_with_once_per_the_event_does_not_matter() -> None:
    assert lifecycle.execution_id("wf", "evt_1", "k") == lifecycle.execution_id("wf", "evt_2", "k")


def test_once_per_person_and_post() -> None:
    trigger: Any = {"type": "x", "oncePer": "[trigger.from.id, trigger.postId]"}
    assert lifecycle.once_key(trigger, {"from": {"id": "1"}, "postId": "p"}) == '["1", "p"]'
    assert lifecycle.once_key({"type": "x"}, {}) is None
    with pytest.raises(ExpressionError, match=r"trigger\.oncePer: trigger has no 'postId'"):
        lifecycle.once_key(trigger, {"from": {"id": "1"}})
    with pytest.raises(ExpressionError, match="null"):
        lifecycle.once_key({"type": "x", "oncePer": "trigger.id"}, {"id": None})
    whole: Any = {"type": "x", "oncePer": "trigger"}
    keys = {lifecycle.once_key(whole, text * 5000) for text in "aab"}
    assert len(keys) == 2
    assert all(key and len(key) < 100 for key in keys)


def test_a_filter_lets_through_what_it_holds_for() -> None:
    trigger: Any = {"type": "x", "filter": "trigger.n > 1"}
    assert lifecycle.passes_filter(trigger, {"n": 2}) is True
    assert lifecycle.passes_filter(trigger, {"n": 1}) is False
    assert lifecycle.passes_filter({"type": "x"}, None) is True
    with pytest.raises(ExpressionError, match=r"trigger\.filter: trigger has no 'n'"):
        lifecycle.passes_filter(trigger, {})


# -- Everything at once ----------------------------------------------------------------------

TROUBLE = st.sampled_from(
    [
        "ok",
        "ok",
        ProviderUnavailable("down"),
        ProviderTimeout("sent", outcome_unknown=True),
        RateLimited("slow", retry_after=1.0),
        ConnectionPaused("paused", retry_after=1.0),
        Killed(),
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(TROUBLE, max_size=25),
    st.lists(st.integers(0, 12), max_size=4),
    st.sampled_from(["stop", "continue"]),
    st.sampled_from(["repeatable", "once"]),
)
def test_whatever_happens_it_ends_and_what_was_recorded_as_done_never_runs_again(
    answers: list[Any], deaths: list[int], on_error: str, kind: str
) -> None:
    world = World(
        step("a", onError=on_error),
        step("b", forEach=[1, 2, 3], onError=on_error, params={"n": "{{ item }}"}),
        step("c", onError=on_error, params={"a": "{{ steps.a.output }}", "at": "{{ now() }}"}),
        step("d", onError=on_error, params={"b": "{{ steps.b.output }}"}),
    )
    world.seconds_per_call = 1.0
    world.idempotent = kind == "repeatable"
    for number, action in enumerate("abcd"):
        world.answer(f"fake.{action}", *answers[number:])
    recorded: set[str] = set()
    sent: dict[str, Json] = {}
    perform, save = world.perform, world.save

    def watched_perform(call: StepCall) -> Json:
        assert call.idempotency_key not in recorded
        assert sent.setdefault(call.idempotency_key, call.params) == call.params
        return perform(call)

    def watched_save(execution: Execution) -> None:
        if deaths and len(world.calls) == deaths[0]:
            deaths.pop(0)
            raise Killed
        save(execution)
        for run in execution["steps"]:
            if run["status"] in {"succeeded", "failed"}:
                recorded.add(f"exe_1.{run['id']}")
            if run["rounds"]:
                recorded.update(f"exe_1.{run['id']}.{n}" for n in range(run["rounds"]["done"]))

    world.perform = watched_perform  # type: ignore[method-assign]
    world.save = watched_save  # type: ignore[method-assign]
    assert world.run(most=500) in {"succeeded", "failed"}
    assert json.loads(json.dumps(world.execution)) == world.execution
    assert world.execution["finishedAt"]
