"""``make smoke URL=… TOKEN=…``: a deployed stack shows over HTTP alone that it works.

It needs a token with `read` and `write`, and takes about two minutes, most of it for the schedule's
first tick. Whatever it makes has a name of its own, ``smoke-…``, and is removed in the end, also
where a check fails. It calls nobody but the stack: what its workflow sends goes to a webhook of the
stack itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from tools.api import Answer, Api, Unexpected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXECUTION_SECONDS = 60.0
TICK_SECONDS = 110.0
"""A `rate(1 minute)` begins within a minute of its creation."""

LARGE_BYTES = 200 * 1024
"""More than the 128 KiB that travel by the queue itself; what is sent does not pack."""

SIGNATURE_HEADER = "X-Smoke-Signature"

SURPRISES = (LookupError, TypeError, AttributeError)
"""What an answer of another shape ends in."""


class CheckFailed(Unexpected):
    """What a check found is not what a working stack shows; the message says what."""


class NotConfigured(Exception):
    """The stack was deployed without what a check is about; the message says what."""


class Smoke:
    """The checks, in the order of `checks`; each may need what an earlier one has made.

    Args:
        api: The stack.
        say: Takes a line of the report.
        wait_for_tick: Wait for the schedule's tick; otherwise its workflow is started by hand.
    """

    def __init__(
        self, api: Api, *, say: Callable[[str], None] = print, wait_for_tick: bool = True
    ) -> None:
        self._api = api
        self._say = say
        self._wait_for_tick = wait_for_tick
        self._name = f"smoke-{secrets.token_hex(6)}"
        self._secret = secrets.token_hex(24)
        # Standard Webhooks' own form of a secret.
        self._signing = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
        self._hooks: dict[str, str] = {}
        self._workflow = ""
        self._scheduled = ""
        self._made_at = 0.0
        self.checks: dict[str, Callable[[], str]] = {
            "catalogue": self._catalogue,
            "token": self._token,
            "webhooks saved": self._webhooks,
            "workflows made": self._workflows,
            "delivery": lambda: self._delivery({"text": "hello"}),
            "unsigned delivery": self._unsigned,
            "large delivery": lambda: self._delivery(
                {"text": secrets.token_urlsafe(LARGE_BYTES)[:LARGE_BYTES]}
            ),
            "event log": self._event_log,
            "log-in": self._log_in,
            "schedule": self._schedule,
        }

    @property
    def inward(self) -> str:
        """The connection whose webhook starts the workflow."""
        return f"{self._name}-in"

    @property
    def outward(self) -> str:
        """The connection that the workflow sends by, to its own webhook."""
        return f"{self._name}-out"

    def run(self) -> bool:
        """Make every check, clean up, and tell whether all went well."""
        good = True
        try:
            for title, check in self.checks.items():
                good = self._one(title, check) and good
        finally:
            good = self._one("clean up", self._clean_up) and good
        return good

    def _one(self, title: str, check: Callable[[], str]) -> bool:
        began = time.monotonic()
        try:
            found, mark, good = check(), "ok", True
        except NotConfigured as missing:
            found, mark, good = str(missing), "skipped", True
        except Unexpected as failure:
            found, mark, good = str(failure), "FAILED", False
        except SURPRISES as surprise:
            found, mark, good = _surprise(surprise), "FAILED", False
        self._say(f"{mark:8} {title:18} {time.monotonic() - began:6.1f} s  {found}")
        return good

    # -- the checks; each returns what it found ------------------------------------------------

    def _catalogue(self) -> str:
        items = self._api.send("GET", "/api/integrations", token=False).expect(200)["items"]
        providers = [each["id"] for each in items]
        if "webhook" not in providers:
            raise CheckFailed(f"the catalogue has no webhook, only {providers}")
        return f"{len(providers)} providers"

    def _token(self) -> str:
        self._api.send("GET", "/api/integrations/status").expect(200)
        stranger = Api(self._api.url, "ib_nobody")
        stranger.send("GET", "/api/integrations/status").expect(401, 403)
        return "opens; a wrong one does not"

    def _webhooks(self) -> str:
        self._save(
            self.inward,
            {
                "secret": self._secret,
                "verification": {"type": "hmac", "header": SIGNATURE_HEADER},
            },
        )
        signed = {"secret": self._signing, "verification": {"type": "standard-webhooks"}}
        self._save(self.outward, signed)
        own = f"{self._api.url}/api/webhooks/{self._hook(self.outward)}"
        self._save(self.outward, signed | {"outboundUrl": own})
        return f"{self.inward}, {self.outward}"

    def _save(self, name: str, credentials: Mapping[str, Any]) -> None:
        """Save a webhook under an id of the stack's choice: short ones are for the application."""
        body = {"connection": name, "credentials": dict(credentials)}
        answer = self._api.send("POST", "/api/integrations/webhook/credentials", body)
        self._hooks[name] = answer.expect(200)["webhook"]["id"]

    def _hook(self, name: str) -> str:
        """The id of a connection's webhook."""
        return self._needs(self._hooks.get(name, ""))

    def _workflows(self) -> str:
        step = {
            "id": "send",
            "action": "webhook.send",
            "connection": self.outward,
            "params": {"json": {"length": "{{ trigger.body.text | length }}"}},
        }
        trigger = {"type": "webhook", "webhookId": self._hook(self.inward)}
        made = {"name": self._name, "trigger": trigger, "steps": [step]}
        self._workflow = self._api.send("POST", "/api/workflows", made).expect(200)["workflowId"]
        tick = {"type": "schedule", "expression": "rate(1 minute)"}
        timed = {**made, "name": f"{self._name}-schedule", "trigger": tick}
        timed["steps"] = [{**step, "params": {"json": {"tick": True}}}]
        self._scheduled = self._api.send("POST", "/api/workflows", timed).expect(200)["workflowId"]
        self._made_at = time.monotonic()
        return f"{self._workflow}, {self._scheduled}"

    def _delivery(self, body: Mapping[str, str]) -> str:
        workflow = self._needs(self._workflow)
        raw = json.dumps({**body, "at": time.time()}).encode()
        signature = hmac.new(self._secret.encode(), raw, hashlib.sha256).hexdigest()
        received = self._post(raw, {SIGNATURE_HEADER: signature}).expect(200)
        event_id = received["eventId"]
        execution = self._eventually(
            lambda: self._execution_of(event_id), EXECUTION_SECONDS, f"an execution of {event_id}"
        )
        self._sent({"length": len(body["text"])}, f"what {execution} of {workflow} sent")
        return f"{len(raw)} bytes, {event_id}, {execution}"

    def _post(self, raw: bytes, headers: Mapping[str, str]) -> Answer:
        path = f"/api/webhooks/{self._hook(self.inward)}"
        return self._api.send("POST", path, raw=raw, headers=headers, token=False)

    def _execution_of(self, event_id: str) -> str | None:
        event = self._api.send("GET", f"/api/events/{event_id}")
        if event.status == HTTPStatus.NOT_FOUND:  # not in the log yet
            return None
        for each in event.expect(200)["workflows"]:
            if each["executionId"]:
                return self._succeeded(each["executionId"])
        return None

    def _succeeded(self, execution_id: str) -> str | None:
        """The execution's id once it has succeeded; None while it goes on."""
        state = self._api.send("GET", f"/api/executions/{execution_id}").expect(200)
        if state["status"] in {"failed", "cancelled"}:
            raise CheckFailed(f"{execution_id} is {state['status']}: {state['error']}")
        return execution_id if state["status"] == "succeeded" else None

    def _sent(self, wanted: Mapping[str, Any], what: str) -> None:
        """Wait until the event log has this body at the webhook that the workflow sends to."""

        def look() -> bool | None:
            query = urlencode({"webhookId": self._hook(self.outward), "limit": 20})
            for item in self._api.send("GET", f"/api/events?{query}").expect(200)["items"]:
                event = self._api.send("GET", f"/api/events/{item['eventId']}").expect(200)
                if event["verification"]["verified"] and event["body"] == wanted:
                    return True
            return None

        self._eventually(look, EXECUTION_SECONDS, f"{what}, {dict(wanted)},")

    def _unsigned(self) -> str:
        self._needs(self._workflow)
        self._post(b'{"text": "forged"}', {}).expect(401)
        return "refused"

    def _event_log(self) -> str:
        self._needs(self._workflow)
        query = urlencode({"webhookId": self._hook(self.inward), "outcome": "dispatched"})
        items = self._api.send("GET", f"/api/events?{query}").expect(200)["items"]
        if not items or any(each["executions"] != 1 for each in items):
            raise CheckFailed(f"deliveries with one execution each are expected: {items}")
        return f"{len(items)} deliveries, one execution each"

    def _log_in(self) -> str:
        items = self._api.send("GET", "/api/integrations", token=False).expect(200)["items"]
        begun = []
        for provider_id in [each["id"] for each in items if each["oauth"]]:
            path = f"/api/integrations/oauth/start/{quote(provider_id)}"
            answer = self._api.send("POST", path, {"connection": self._name})
            unset = (
                answer.status == HTTPStatus.CONFLICT
                and answer.body["code"] == "provider_not_configured"
            )
            if not unset:
                begun.append(f"{provider_id} → {urlsplit(answer.expect(200)['authUrl']).netloc}")
        if not begun:
            raise NotConfigured("no log-in's client is configured")
        return ", ".join(begun)

    def _schedule(self) -> str:
        workflow = self._needs(self._scheduled)
        how = "ticked"
        seconds = EXECUTION_SECONDS
        if self._wait_for_tick:
            seconds = max(1.0, self._made_at + TICK_SECONDS - time.monotonic())
        else:
            self._api.send("POST", f"/api/workflows/{workflow}/run", {"input": {}}).expect(200)
            how = "started by hand"

        def look() -> str | None:
            query = urlencode({"workflowId": workflow})
            items = self._api.send("GET", f"/api/executions?{query}").expect(200)["items"]
            return next((self._succeeded(each["executionId"]) for each in items), None)

        return f"{how}, {self._eventually(look, seconds, 'an execution of the schedule')}"

    def _clean_up(self) -> str:
        """Remove whatever has this run's name, also what a lost answer was about."""
        mistakes: list[str] = []
        removed = 0
        # What is known is removed though the list does not come, which may have more.
        workflows = {_workflow(each): None for each in (self._workflow, self._scheduled) if each}
        try:
            workflows |= dict.fromkeys(self._own_workflows())
        except Unexpected as failure:
            mistakes.append(str(failure))
        except SURPRISES as surprise:
            mistakes.append(_surprise(surprise))
        for path in [*workflows, *map(_credentials, (self.inward, self.outward))]:
            try:
                answer = self._api.send("DELETE", path)
            except Unexpected as failure:
                mistakes.append(str(failure))
                continue
            removed += answer.status == HTTPStatus.OK
            if answer.status not in {200, 404}:
                mistakes.append(f"DELETE {path}: {answer.status} {json.dumps(answer.body)[:200]}")
        if mistakes:
            raise CheckFailed("; ".join(mistakes))
        return f"{removed} things removed"

    def _own_workflows(self) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            query = urlencode({"limit": 100} | ({"nextToken": token} if token else {}))
            page = self._api.send("GET", f"/api/workflows?{query}").expect(200)
            found += [
                _workflow(each["workflowId"])
                for each in page["items"]
                if each["name"].startswith(self._name)
            ]
            token = page["nextToken"]
            if not token:
                return found

    # -- how ---------------------------------------------------------------------------------------

    @staticmethod
    def _needs(made: str) -> str:
        if not made:
            raise CheckFailed("not tried: what it needs was not made")
        return made

    @staticmethod
    def _eventually[T](look: Callable[[], T | None], seconds: float, what: str) -> T:
        until = time.monotonic() + seconds
        while (found := look()) is None:
            if time.monotonic() > until:
                raise CheckFailed(f"{what} did not come within {seconds:.0f} s")
            time.sleep(1)
        return found


def _surprise(surprise: Exception) -> str:
    return f"an answer of another shape: {type(surprise).__name__}: {surprise}"


def _workflow(workflow_id: str) -> str:
    return f"/api/workflows/{workflow_id}"


def _credentials(connection: str) -> str:
    return f"/api/integrations/webhook/credentials?{urlencode({'connection': connection})}"


def main() -> None:
    """Check the stack at `URL` with `TOKEN`, both from the environment, where make puts them."""
    url, token = os.environ.get("URL", ""), os.environ.get("TOKEN", "")
    if urlsplit(url).scheme not in {"http", "https"} or not token:
        sys.exit("which stack? make smoke URL=https://… TOKEN=ib_… [WAIT=0]")
    began = time.monotonic()
    good = Smoke(Api(url, token), wait_for_tick=os.environ.get("WAIT", "1") != "0").run()
    print(f"{'all is well' if good else 'NOT well'} at {url}: {time.monotonic() - began:.0f} s")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
