"""Who does something next: simulated processes, one of which runs at a time, and their waiting.

Each invocation of a function is a process of one greenlet, or several where it has threads. They
meet the world in effects alone (a call to AWS, a request to a provider, a sleep): there a process
lets the others go on, or dies.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from greenlet import getcurrent, greenlet

from tests.simulation.chance import Chance
from tests.simulation.clock import CLOCK


class Killed(BaseException):
    """The process ends here, between two lines: nothing that it holds is tidied up."""


class Stuck(AssertionError):
    """The world does not come to rest."""


@dataclass(slots=True, eq=False)
class Process:
    """One invocation.

    Attributes:
        name: Stable: what it was caused by, not when.
        deadline: Lambda ends it then.
        sandbox: What it remembers from one invocation to the next.
        alive: Whether it still runs.
        frozen_until: It gets no processor before.
        effects: How many effects it has had.
    """

    name: str
    deadline: float
    sandbox: Any = None
    alive: bool = True
    frozen_until: float = 0.0
    effects: int = 0
    tasks: list[greenlet] = field(default_factory=list)
    context: dict[str, Any] = field(default_factory=dict)


class Scheduler:
    """The world's events in the order of their time."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance
        self.steps = 0
        self.after_step: Callable[[], None] = lambda: None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._hub = getcurrent()
        self._of_task: dict[greenlet, Process] = {}
        self.switched: Callable[[], Callable[[], None]] = lambda: lambda: None
        CLOCK.sleep = self.sleep

    # -- time --------------------------------------------------------------------------------

    def at(self, moment: float, do: Callable[[], None]) -> None:
        """Have something happen at a moment."""
        self._count += 1
        heapq.heappush(self._events, (max(moment, CLOCK.now), self._count, do))

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Have something happen after so long."""
        self.at(CLOCK.now + seconds, do)

    def run(self, until: float, *, idle: Callable[[], bool] = lambda: False) -> None:
        """Let what is to happen happen, up to a moment or until the world is ``idle``."""
        while self._events and self._events[0][0] <= until and not idle():
            moment, _, do = heapq.heappop(self._events)
            CLOCK.now = moment
            self.steps += 1
            do()
            self.after_step()
        if not idle():
            CLOCK.now = max(CLOCK.now, until)

    # -- processes ---------------------------------------------------------------------------

    @property
    def process(self) -> Process:
        """Whose turn it is."""
        return self._of_task[getcurrent()]

    @property
    def in_process(self) -> bool:
        """Whether a process runs, not the world around it."""
        return getcurrent() in self._of_task

    def start(
        self, process: Process, work: Callable[[], Any], done: Callable[[Any, str], None]
    ) -> None:
        """Run a process; ``done`` is told what it gave, or why it died."""

        def main() -> None:
            try:
                result = work()
            except Killed:
                return  # whoever killed it has said so
            except Exception as failure:  # noqa: BLE001 - as Lambda's runtime does
                self._end(process)
                done(None, f"{type(failure).__name__}: {failure}")
                return
            if process.alive:
                self._end(process)
                done(result, "")

        process.context["done"] = done
        self.at(process.deadline, lambda: self.kill(process, "timeout"))
        self.spawn(process, main)

    def spawn(self, process: Process, work: Callable[[], None]) -> greenlet:
        """One more thread of a process; it gets its first turn after the present one."""

        def guarded() -> None:
            try:
                work()
            except Killed:
                return
            finally:
                self._of_task.pop(task, None)

        task = greenlet(guarded, self._hub)
        self._of_task[task] = process
        process.tasks.append(task)
        self.after(0, lambda: self._turn(process, task))
        return task

    def _turn(self, process: Process, task: greenlet) -> None:
        if not process.alive or task.dead:
            return
        if process.frozen_until > CLOCK.now:
            self.at(process.frozen_until, lambda: self._turn(process, task))
            return
        task.switch()

    def _end(self, process: Process) -> None:
        process.alive = False

    def kill(self, process: Process, why: str) -> None:
        """End a process where it stands, and tell whoever waits for it."""
        if not process.alive:
            return
        self._end(process)
        done = process.context.get("done")
        if done:
            self.after(0, lambda: done(None, why))
        for task in process.tasks:
            if task is not getcurrent() and not task.dead and task:
                # From outside: what it would do while it is unwound is refused, see ``pause``.
                self.after(0, lambda task=task: None if task.dead else task.throw(Killed))  # type: ignore[misc]
        if getcurrent() in process.tasks:
            raise Killed

    # -- what a process does -----------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """Let the others go on for so long.

        Raises:
            Killed: The process has died meanwhile.
        """
        task = getcurrent()
        process = self._of_task[task]
        if not process.alive:
            raise Killed
        back = self.switched()
        self.after(seconds, lambda: self._turn(process, task))
        self._hub.switch()
        back()
        if not process.alive:
            raise Killed

    def sleep(self, seconds: float) -> None:
        """``time.sleep`` of whoever runs."""
        if seconds > 0 and self.in_process:
            self.pause(seconds)

    def wait(self, ready: Callable[[], bool], timeout: float | None, woken: list[greenlet]) -> bool:
        """Wait until ``ready``, or so long; whoever makes it so wakes those in ``woken``."""
        task = getcurrent()
        process = self._of_task[task]
        if timeout is not None:
            self.after(timeout, lambda: self._wake(process, task, woken))
        woken.append(task)
        back = self.switched()
        self._hub.switch()
        back()
        if not process.alive:
            raise Killed
        return ready()

    def _wake(self, process: Process, task: greenlet, woken: list[greenlet]) -> None:
        if task in woken:
            woken.remove(task)
            self._turn(process, task)

    def wake(self, woken: list[greenlet]) -> None:
        """Let those go on who wait."""
        for task in woken:
            process = self._of_task.get(task)
            if process:
                self.after(0, lambda process=process, task=task: self._turn(process, task))  # type: ignore[misc]
        woken.clear()


# -- threads ---------------------------------------------------------------------------------


class Threads:
    """What the modules under test use of ``threading`` and ``concurrent.futures``.

    Args:
        scheduler: Gives the scheduler of the present world.
    """

    def __init__(self, scheduler: Callable[[], Scheduler]) -> None:
        def event() -> "_Event":
            return _Event(scheduler())

        def thread(*, target: Callable[[], None], daemon: bool) -> "_Thread":
            assert daemon, "a thread that outlives the function's answer"
            return _Thread(scheduler(), target)

        def pool(workers: int) -> "_Pool":
            return _Pool(scheduler(), workers)

        self.Event = event
        self.Thread = thread
        self.ThreadPoolExecutor = pool


class _Event:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._set = False
        self._waiting: list[greenlet] = []

    def set(self) -> None:
        self._set = True
        self._scheduler.wake(self._waiting)

    def wait(self, timeout: float | None = None) -> bool:
        if self._set:
            return True
        return self._scheduler.wait(lambda: self._set, timeout, self._waiting)


class _Thread:
    def __init__(self, scheduler: Scheduler, target: Callable[[], None]) -> None:
        self._scheduler, self._target = scheduler, target

    def start(self) -> None:
        self._scheduler.spawn(self._scheduler.process, self._target)


class _Pool:
    """As many at once as there are workers; the results in the order of what was given."""

    def __init__(self, scheduler: Scheduler, workers: int) -> None:
        self._scheduler, self._workers = scheduler, workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map[A, B](self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        waiting = list(enumerate(items))
        results: dict[int, tuple[B | None, Exception | None]] = {}
        total = len(waiting)
        finished = _Event(self._scheduler)

        def worker() -> None:
            while waiting:
                number, item = waiting.pop(0)
                try:
                    results[number] = work(item), None
                except Exception as failure:  # noqa: BLE001 - raised where the result is asked for
                    results[number] = None, failure
                if len(results) == total:
                    finished.set()

        for _ in range(min(self._workers, total)):
            self._scheduler.spawn(self._scheduler.process, worker)
        if total:
            finished.wait()
        for number in range(total):
            result, failure = results[number]
            if failure:
                raise failure
            yield result  # type: ignore[misc]
