"""`make run`: start the platform, say what is where, and wait for Ctrl-C."""

import os
import sys
import time
from collections.abc import Mapping

from yaml import YAMLError

from local import programs, settings, stand_ins, watch
from local.errors import PlatformError
from local.paths import ROOT
from local.platform import Platform, clear_template
from local.report import Report

READY = """
The stack is up. Ctrl-C stops it; everything is kept for the next start. A change of the code or of
.env is deployed by itself.

  console    {url}/
  API        {url}/api/
  token      {token}
             (tenant {tenant}; the API above adds it to this machine's requests that have none)
  MiniStack  {endpoint}
             (eval "$(make -s aws-env)" lets the AWS tools reach it)
  logs       make logs, for the functions'; {log} for MiniStack's

Try first    curl {url}/api/integrations/status
"""


STAND_INS = """  stand-ins  {page}: write to the bot, press a consent, comment, read the mail
             (the bot's token is {bot})
"""


def redeploy(
    platform: Platform, over: Mapping[str, str], started: settings.Settings, report: Report
) -> None:
    """Deploy what changed; what is wrong with it is said, and the stack goes on as it was."""
    began = time.monotonic()
    try:
        clear_template()  # settings are held against it
        now = settings.load(over=over)
        if (now.port, now.ministack_port) != (started.port, started.ministack_port):
            report.say("Another port needs another start: Ctrl-C, and make run.")
        if changed := platform.update(now.parameters, now.frontend_urls):
            seconds = time.monotonic() - began
            report.say(f"Redeployed in {seconds:.1f} s: {', '.join(changed)}")
    except Exception as error:  # noqa: BLE001 - what is half written can be wrong in any way
        report.say(f"Nothing was redeployed: {reason(error)}")


def reason(error: Exception) -> str:
    """Return in one line why something was not to be; whose error it is, where it is not ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, PlatformError) else f"{type(error).__name__}: {text}"


def serve(report: Report, others: stand_ins.StandIns | None) -> None:
    """Run the platform until Ctrl-C or SIGTERM; raises PlatformError where it does not start."""
    over = others.settings if others else {}
    before = watch.snapshot()
    chosen = settings.load(over=over)
    if others:
        os.environ["SSL_CERT_FILE"] = others.trusted
    platform = Platform(
        port=chosen.port,
        ministack_port=chosen.ministack_port,
        parameters=chosen.parameters,
        frontend_urls=chosen.frontend_urls,
        report=report,
    )
    with platform:
        report.say(
            READY.format(
                url=platform.url,
                token=platform.token,
                tenant=settings.TENANT,
                endpoint=platform.endpoint_url,
                log=platform.log.relative_to(ROOT),
            )
        )
        if others:
            report.say(STAND_INS.format(page=others.page, bot=others.bot))
        try:
            for _ in watch.changes(before):
                redeploy(platform, over, chosen, report)
        except KeyboardInterrupt:
            report.say("\nStopping; MiniStack saves its state.")


def main() -> None:
    """Run the platform; a start that fails says why in one line."""
    report = Report()
    programs.heed_the_end()
    try:
        with stand_ins.beside(os.environ.get("STANDINS", "")) as others:
            serve(report, others)
    except (PlatformError, YAMLError) as error:
        sys.exit(f"make run: {reason(error)}")
    except KeyboardInterrupt:
        sys.exit("Stopped before it was up.")


if __name__ == "__main__":
    main()
