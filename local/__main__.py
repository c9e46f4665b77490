"""`make run`: start the platform, say what is where, and wait for Ctrl-C."""

import signal
import sys
from types import FrameType

from local import settings
from local.errors import PlatformError
from local.paths import ROOT
from local.platform import TENANT, Platform
from local.report import Report

READY = """
The stack is up. Ctrl-C stops it; everything is kept for the next start.

  API        {url}
  token      {token}
             (tenant {tenant}; the API above adds it to this machine's requests that have none)
  MiniStack  {endpoint}
             (eval "$(make -s aws-env)" lets the AWS tools reach it)
  logs       make logs, for the functions'; {log} for MiniStack's

Try first    curl {url}/api/integrations/status
"""


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Stop; a second signal must not interrupt the saving that the first one began."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    raise KeyboardInterrupt


def main() -> None:
    """Run the platform until Ctrl-C or SIGTERM; a start that fails says why in one line."""
    report = Report()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        chosen = settings.load()
        platform = Platform(
            port=chosen.port,
            ministack_port=chosen.ministack_port,
            parameters=chosen.parameters,
            report=report,
        )
        with platform:
            report.say(
                READY.format(
                    url=platform.url,
                    token=platform.token,
                    tenant=TENANT,
                    endpoint=platform.endpoint_url,
                    log=platform.log.relative_to(ROOT),
                )
            )
            try:
                while True:
                    signal.pause()
            except KeyboardInterrupt:
                report.say("\nStopping; MiniStack saves its state.")
    except PlatformError as error:
        sys.exit(f"make run: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped before it was up.")


if __name__ == "__main__":
    main()
