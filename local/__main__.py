"""`make run`: start the platform, say what is where, and wait for Ctrl-C."""

import signal
import sys
import threading
from types import FrameType

from local import settings
from local.errors import PlatformError
from local.ministack import REGION
from local.paths import ROOT
from local.platform import TENANT, Platform
from local.report import Report

READY = """
The stack is up. Ctrl-C stops it; everything is kept for the next start.

  API        {url}
  token      {token}
             (tenant {tenant}; the API above adds it to this machine's requests that have none)
  MiniStack  {endpoint}
             (the AWS tools reach it with AWS_ENDPOINT_URL={endpoint},
             AWS_DEFAULT_REGION={region} and test as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)
  logs       make logs, for the functions'; {log} for MiniStack's

Try first    curl {url}/api/integrations/status
"""


def main() -> None:
    """Run the platform until Ctrl-C or SIGTERM; a start that fails says why in one line."""
    report = Report()
    stopping = threading.Event()

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        # The second one must not interrupt the saving that the first one began.
        if not stopping.is_set():
            stopping.set()
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
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
                    region=REGION,
                    log=platform.log.relative_to(ROOT),
                )
            )
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                report.say("\nStopping; MiniStack saves its state.")
    except PlatformError as error:
        sys.exit(f"make run: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped before it was up.")


if __name__ == "__main__":
    main()
