"""What a platform remembers from one start to the next, in its state folder."""

import fcntl
import json
import os
import secrets
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from local.errors import PlatformError
from local.paths import STATE

DEFAULT = STATE
LOCK_SECONDS = 30
KEY_LETTERS = string.ascii_uppercase + "234567"


@dataclass
class State:
    """A platform's memory: where it and MiniStack listen, and what was deployed into it."""

    stack: str = "integrations-local"
    port: int | None = None
    ministack_port: int | None = None
    deployed: str | None = None
    api_id: str | None = None

    @property
    def endpoint_url(self) -> str | None:
        """MiniStack's address, once it has one."""
        return f"http://127.0.0.1:{self.ministack_port}" if self.ministack_port else None


def read(state_dir: Path) -> State:
    """Return what the folder remembers; nothing, where it is new or holds what nobody can read."""
    try:
        return State(**json.loads((state_dir / "platform.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return State()


def write(state_dir: Path, state: State) -> None:
    """Remember `state`, wholly or not at all."""
    new = state_dir / "platform.json.new"
    new.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    new.replace(state_dir / "platform.json")


@dataclass(frozen=True)
class Credentials:
    """What opens a platform's MiniStack: its root user's keys, and the secret of its gate."""

    access_key: str
    secret_key: str
    gate_secret: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the AWS tools know the root user."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }


def credentials(state_dir: Path) -> Credentials:
    """Return a folder's credentials; they are random, and made once."""
    file = state_dir / "credentials.json"
    try:
        return Credentials(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        # None yet, or a file that was not written to its end.
        made = Credentials(
            access_key="AKIA" + "".join(secrets.choice(KEY_LETTERS) for _ in range(16)),
            secret_key=secrets.token_urlsafe(30),
            gate_secret=secrets.token_urlsafe(32),
        )
        write_secret(file, json.dumps(asdict(made)) + "\n")
        return made


def write_secret(path: Path, text: str) -> None:
    """Write a file that its owner alone reads, wholly or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8")
    new.replace(path)


@contextmanager
def locked(state_dir: Path) -> Iterator[int]:
    """Take the folder for this process, and for those that inherit the lock's descriptor.

    Raises:
        PlatformError: Another process has it.
    """
    # What MiniStack keeps in there includes secrets, in the clear.
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    state_dir.chmod(0o700)
    with (state_dir / "lock").open("a+", encoding="utf-8") as lock:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                lock.seek(0)
                owner = lock.read().strip()
                # Without its owner it is held by a MiniStack that is saving its state.
                if is_running(owner) or time.monotonic() > deadline:
                    raise PlatformError(
                        f"the platform in {state_dir} is running already (process {owner})"
                    ) from None
                time.sleep(0.2)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield lock.fileno()


def is_running(pid: str) -> bool:
    """Tell whether a process of that id runs."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, ProcessLookupError):
        return False
    return True
