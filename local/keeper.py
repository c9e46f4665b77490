"""Run MiniStack for as long as the process that started it lives. Runs in .venv-ministack.

Standard input is a pipe that its parent holds open. When the parent ends, however it ends, the pipe
closes and MiniStack is asked to stop, which saves its state: nothing is lost and nothing is left.
"""

import os
import signal
import sys
import threading

from ministack.app import main  # type: ignore[import-not-found]  # is in an environment of its own


def stop_with_parent() -> None:
    """Wait for the pipe to close, then ask this process to stop."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    # Ctrl-C at a terminal reaches the whole foreground group; stopping is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=stop_with_parent, daemon=True).start()
    sys.argv = ["ministack"]
    main()
