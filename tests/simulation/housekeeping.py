"""What people make and take away in a day: workflows, connections, secrets, tokens, log-ins, jobs.

Each thing that is taken away is told to ``removed``, which looks whether it stays away.
"""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from tests.fakes.facebook import signed_request
from tests.simulation.chance import Chance
from tests.simulation.clock import CLOCK
from tests.simulation.invariants import Invariants
from tests.simulation.morning import HOOKS, extra, hook_of, token_of, workflows
from tests.simulation.providers import APP_SECRET, MARK
from tests.simulation.story import Action
from tests.simulation.world import Answer, World

TRIES = 12
"""Who wants to be erased, or a provider who tells of it, asks again until there is an answer."""

FORM = {"content-type": "application/x-www-form-urlencoded"}


class Housekeeping:
    """Those of a day's actions.

    Args:
        world: Where they happen.
        watch: Knows what is there.
    """

    def __init__(self, world: World, watch: Invariants) -> None:
        self.world = world
        self.chance: Chance = world.chance
        self.watch = watch
        self.removed = watch.removed
        self.spares: dict[str, str] = {}
        self.tokens: dict[str, list[tuple[str, str]]] = {}
        self.made: list[str] = []

    def _ask(
        self, action: Action, name: str, method: str, path: str, body: Any = None, **more: Any
    ) -> None:
        more.setdefault("token", token_of(action.tenant))
        self.world.call(name, method, path, body, **more)

    def _until_answered(
        self, name: str, method: str, path: str, body: Any = None, **more: Any
    ) -> None:
        """Ask again, later and later, until it is done or refused."""
        done = more.pop("done")
        beginning, _, end = name.partition("@")

        def ask(attempt: int) -> None:
            def answered(answer: Answer) -> None:
                if answer.status >= 500 and attempt < TRIES:
                    self.world.scheduler.after(2.0**attempt, lambda: ask(attempt + 1))
                else:
                    done(answer)

            named = f"{beginning}.{attempt}@{end}"
            self.world.call(named, method, path, body, done=answered, **more)

        ask(1)

    # -- workflows ---------------------------------------------------------------------------

    def make_workflow(self, action: Action, name: str) -> None:
        """One more, hourly or for the webhook's events."""
        hourly = self.chance.fraction(f"{name}:hourly") < 0.5
        definition = extra(action.tenant, action.number, hourly)

        def made(answer: Answer) -> None:
            if answer.status == 200:
                self.made.append(answer.json["workflowId"])

        self._ask(action, name, "POST", "/api/workflows", definition, done=made)

    def delete_workflow(self, action: Action, name: str) -> None:
        """One of those of which somebody was told that they are there."""
        rows = self.world.cloud.tables.rows("WorkflowsTable")
        own = {row["workflowId"]["S"] for row in rows if row["tenant"]["S"] == action.tenant}
        found = [each for each in self.made if each in own]
        if not found:
            return
        workflow_id = self.chance.one_of(f"{name}:which", found)
        self.removed.leaving.add(workflow_id)

        def answered(answer: Answer) -> None:
            if answer.status == 200:
                self.removed.workflow(workflow_id)

        self._ask(action, name, "DELETE", f"/api/workflows/{workflow_id}", done=answered)

    def try_workflow(self, action: Action, name: str) -> None:
        """Checks and previews a definition before it is saved."""
        definition = workflows(action.tenant)[self.chance.whole(f"{name}:which", 0, 5)]
        self._ask(action, f"check-{name}", "POST", "/api/workflows/check", definition)
        body = {"definition": definition}
        self._ask(action, f"preview-{name}", "POST", "/api/workflows/preview", body)

    # -- connections -------------------------------------------------------------------------

    def connect_spare(self, action: Action, name: str) -> None:
        """A second webhook of the tenant, for the day or for some minutes."""
        body = {"credentials": hook_of(action.tenant, "spare"), "connection": "spare"}

        def answered(answer: Answer) -> None:
            if answer.status == 200:
                self.spares[action.tenant] = answer.json["webhook"]["id"]
                self.removed.hooks.pop(self.spares[action.tenant], None)
                if self.chance.fraction(f"{name}:for minutes") < 0.5:
                    wait = self.chance.between(f"{name}:minutes", 10.0, 600.0)
                    end = partial(self.disconnect_spare, action, f"end-{name}")
                    self.world.scheduler.after(wait, end)

        # From now on it may be there again, be it that nobody is told: its webhook comes first.
        self.removed.hooks.pop(self.spares.get(action.tenant, ""), None)
        path = "/api/integrations/webhook/credentials"
        self._ask(action, name, "POST", path, body, done=answered)

    def disconnect_spare(self, action: Action, name: str) -> None:
        """Takes it away again; its senders do not know that."""
        hook = self.spares.get(action.tenant)
        if hook is None:
            return

        def answered(answer: Answer) -> None:
            if answer.status == 200:
                self.removed.hooks[hook] = CLOCK.now

        for wait in (5, 100):
            send = partial(self.deliver_to_spare, action, f"after{wait}-{name}")
            self.world.scheduler.after(wait, send)
        path, query = "/api/integrations/webhook/credentials", {"connection": "spare"}
        self._ask(action, name, "DELETE", path, query=query, done=answered)

    def deliver_to_spare(self, action: Action, name: str) -> None:
        """A sender that knows the second webhook, be it there or not."""
        hook = self.spares.get(action.tenant)
        if hook is None:
            return
        began = CLOCK.now
        body = {"id": f"spare{action.number} of {action.tenant}", "kind": "none"}

        def answered(answer: Answer) -> None:
            if answer.status == 200:
                self.watch.accept(answer.json["eventId"], action.tenant, str(body["id"]))
                self.removed.delivered(hook, began)

        headers = {"X-Webhook-Secret": hook_of(action.tenant)["secret"]}
        path = f"/api/webhooks/{hook}"
        self.world.call(name, "POST", path, body, headers=headers, done=answered)

    def challenge(self, action: Action, name: str) -> None:
        """Somebody asks a webhook whether it is ours."""
        query = {"hub.mode": "subscribe", "hub.verify_token": "wrong", "hub.challenge": "42"}
        self.world.call(name, "GET", f"/api/webhooks/{HOOKS[action.tenant]}/verify", query=query)

    def act(self, action: Action, name: str) -> None:
        """Does one thing at a provider, apart from any workflow."""
        params = {"spreadsheetId": "1" * 44, "range": "Sheet1!A1:B1"}
        path = "/api/integrations/sheets_oauth/actions/readRange"
        self._ask(action, name, "POST", path, {"params": params})

    def log_in(self, action: Action, name: str) -> None:
        """A person logs in once more, at Google or at Facebook."""
        provider = self.chance.one_of(f"{name}:where", ("sheets_oauth", "facebook_oauth"))
        begin = f"/api/integrations/oauth/start/{provider}"

        def begun(answer: Answer) -> None:
            if answer.status != 200:
                return
            path, query = self.world.providers.consent(
                answer.json["authUrl"], action.tenant, f"{action.tenant}-{action.number}"
            )
            self.world.call(f"back-{name}", "GET", path, query=query)
            look = f"/api/integrations/oauth/status/{answer.json['handshakeId']}"
            self.world.scheduler.after(
                self.chance.seconds(f"{name}:look"),
                lambda: self._ask(action, f"look-{name}", "GET", look),
            )

        self._ask(action, name, "POST", begin, {}, done=begun)

    def remove_app(self, action: Action, name: str) -> None:
        """The person takes the app out of the account at Facebook, which tells us so."""
        self.world.providers.revoke_app(action.tenant)
        signed = signed_request(self.world.providers.people[action.tenant], APP_SECRET)
        path = "/api/integrations/oauth/deauthorize/facebook_oauth"
        body = urlencode({"signed_request": signed})
        self._until_answered(name, "POST", path, body, headers=FORM, done=lambda _: None)

    def forget_account(self, action: Action, name: str) -> None:
        """The person wants what is stored of the account deleted, and looks what became of it."""
        account, asked = self.world.providers.people[action.tenant], int(CLOCK.now)
        signed = signed_request(account, APP_SECRET)

        def answered(answer: Answer) -> None:
            if answer.status != 200:
                self.watch.fail("what is removed stays removed", f"{name}: {answer}")
                return
            self.removed.accounts[account] = asked
            path = answer.json["url"].partition("example.com")[2]
            self.world.call(f"look-{name}", "GET", path)

        path = "/api/integrations/oauth/delete/facebook_oauth"
        body = urlencode({"signed_request": signed})
        self._until_answered(name, "POST", path, body, headers=FORM, done=answered)

    # -- secrets and tokens ------------------------------------------------------------------

    def save_secret(self, action: Action, name: str) -> None:
        """A secret that no workflow has."""
        body = {"value": f"{MARK}-spare-of-{action.tenant}"}
        self._ask(action, name, "PUT", "/api/secrets/SPARE", body)

    def delete_secret(self, action: Action, name: str) -> None:
        """Takes it away again."""
        self._ask(action, name, "DELETE", "/api/secrets/SPARE")

    def make_token(self, action: Action, name: str) -> None:
        """A second token; somebody begins to use it."""

        def made(answer: Answer) -> None:
            if answer.status == 200:
                token_id, token = answer.json["tokenId"], answer.json["token"]
                self.tokens.setdefault(action.tenant, []).append((token_id, token))
                self._use(action, f"use-{name}", token)

        body = {"name": f"second {action.number}", "scopes": ["read"], "expiresInDays": 30}
        self._ask(action, name, "POST", "/api/tokens", body, done=made)

    def end_token(self, action: Action, name: str) -> None:
        """Ends one of those; whoever has it goes on trying."""
        for number, (token_id, token) in enumerate(self.tokens.get(action.tenant, [])):

            def answered(answer: Answer, token: str = token) -> None:
                if answer.status == 200:
                    self.removed.tokens[token] = CLOCK.now

            path = f"/api/tokens/{token_id}"
            self._ask(action, f"a{number}-{name}", "DELETE", path, done=answered)
            for wait in (5, 100):
                use = partial(self._use, action, f"after{wait}-{number}-{name}", token)
                self.world.scheduler.after(wait, use)

    def _use(self, action: Action, name: str, token: str) -> None:
        began = CLOCK.now

        def answered(answer: Answer) -> None:
            if answer.status < 400:
                self.removed.used(token, began)

        self._ask(action, name, "GET", "/api/workflows", token=token, done=answered)

    def share(self, action: Action, name: str) -> None:
        """Has somebody else connect something, by a session of a few minutes."""

        def made(answer: Answer) -> None:
            if answer.status == 200:
                session = answer.json["token"]
                self._ask(action, f"use-{name}", "GET", "/api/connect/session", token=session)

        body = {"providers": ["telegram", "sheets_oauth"], "connection": "shared"}
        self._ask(action, name, "POST", "/api/connect/sessions", body, done=made)

    # -- jobs --------------------------------------------------------------------------------

    def stop_job(self, action: Action, name: str) -> None:
        """Looks at a job that runs, and stops it."""
        rows = self.world.cloud.tables.rows("JobsTable")
        found = sorted(
            row["jobId"]["S"]
            for row in rows
            if row["tenant"]["S"] == action.tenant and row["kind"]["S"] != "erase_tenant"
        )
        if found:
            path = f"/api/jobs/{self.chance.one_of(f'{name}:which', found)}"
            self._ask(action, f"look-{name}", "GET", path)
            self._ask(action, name, "POST", f"{path}/cancel")

    def erase(self, action: Action, name: str) -> None:
        """The tenant leaves, with all that is stored of it; some have not heard of it yet."""
        self.watch.erased.add(action.tenant)

        def answered(answer: Answer) -> None:
            if answer.status not in {200, 401, 403}:  # its token may be gone
                self.watch.fail("what is removed stays removed", f"{name}: {answer}")

        self._until_answered(
            name, "DELETE", "/api/tenant", token=token_of(action.tenant), done=answered
        )
        late = (self.make_workflow, self.save_secret, self.log_in, self.connect_spare, self.share)
        for number, do in enumerate(late):
            wait = self.chance.between(f"{name}:late{number}", 0.0, 50.0)
            if self.chance.fraction(f"{name}:goes on{number}") < 0.5:
                self.world.scheduler.after(wait, partial(do, action, f"late{number}-{name}"))
