"""Executions of the old backend: its history, of which this one's log takes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tools.importing.shapes import Fields, NotTaken, moment, plain, records

if TYPE_CHECKING:
    from collections.abc import Iterator

FINISHED: Final = frozenset(
    {
        *("succeeded", "success", "successful", "completed", "complete", "done", "ok", "finished"),
        *("failed", "failure", "error", "errored", "cancelled", "canceled", "aborted", "timeout"),
        *("timedout", "skipped"),
    }
)


def lines_of(document: Any) -> Iterator[tuple[str, str]]:
    """What is to be said of an executions file: what, and why it is not taken."""
    try:
        found = list(records(document, "executions", "runs", "history"))
    except NotTaken as refusal:
        yield "the file", str(refusal)
        return
    finished: list[str] = []
    for each in found:
        if not isinstance(each.value, dict):
            yield each.place, "is no object"
            continue
        fields = Fields(each.value)
        name = fields.take_text("id", "_id", "executionId", "runId") or each.place
        status = fields.take_text("status", "state", "result")
        ended = moment(fields.take("finishedAt", "endedAt", "completedAt", "stoppedAt"))
        if plain(status) in FINISHED or ended:
            began = moment(fields.take("startedAt", "createdAt", "timestamp", "at"))
            finished += [f"{each:%Y-%m-%d}" for each in (ended or began,) if each] or [""]
        else:
            why = (
                f"is {status[:32] or 'unfinished'}: nobody knows which of its steps were carried "
                "out, so it does not go on here; start its workflow by hand if it must"
            )
            yield name[:64], why
    if finished:
        days = sorted(filter(None, finished))
        when = f", {days[0]} to {days[-1]}" if days else ""
        yield (
            f"{len(finished)} finished{when}",
            "are what the old backend did; this one's log is of what it did itself: keep the file",
        )
