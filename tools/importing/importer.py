"""The import itself: what is new is tested and kept, what is there stays, the rest is told."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from integrations.models import DEFAULT_CONNECTION
from local.report import one_line
from tools.importing.credentials import Credential, credentials_in, secrets_in
from tools.importing.executions import lines_of
from tools.importing.shapes import plain
from tools.importing.workflows import Flow, workflows_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tools.api import Answer, Api

KINDS: Final = ("credentials", "workflows", "executions")
SHORTEST_SECRET: Final = 6
"""A text of the credentials file that is shorter could be any word of a report."""


def kind_of(stem: str, document: Any) -> str:
    """Which of the three files this is, by its name, else by what it is wrapped in; or ``""``."""
    for kind in KINDS:
        if kind.rstrip("s") in plain(stem):
            return kind
    names = {plain(name) for name in document} if isinstance(document, dict) else set()
    fitting = [kind for kind in KINDS if kind in names]
    return fitting[0] if len(fitting) == 1 else ""


class Importer:
    """One import into one tenant.

    Args:
        api: The stack, with a token of the tenant.
        files: Kind → the contents of its files.
        tenant: Whose records are taken where the files name tenants; ``""`` for all.
        dry_run: Test and check everything, keep nothing.
        say: Takes a line of the report.
    """

    def __init__(
        self,
        api: Api,
        files: Mapping[str, list[Any]],
        *,
        tenant: str = "",
        dry_run: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        self._api = api
        self._files = files
        self._tenant = tenant
        self._dry_run = dry_run
        self._out = say
        secret = secrets_in(files["credentials"])
        self._secrets = sorted((each for each in secret if len(each) >= SHORTEST_SECRET), key=len)
        self._counts: Counter[str] = Counter()
        self._names: dict[tuple[str, str], str] = {}
        self._here: set[tuple[str, str]] = set()
        self._webhooks: dict[str, str] = {}

    def run(self) -> Counter[str]:
        """Import everything; how many things are kept, were there, and are not taken.

        Raises:
            Unexpected: The stack does not answer, or not as it must.
        """
        listed = self._api.send("GET", "/api/integrations", token=False).expect(HTTPStatus.OK)
        forms = {each["id"]: each for each in listed["items"]}
        self._api.send("GET", "/api/integrations/status").expect(HTTPStatus.OK)
        for document in self._files["credentials"]:
            for credential in credentials_in(document, forms):
                self._credential(credential)
        flows = [
            flow
            for document in self._files["workflows"]
            for flow in workflows_in(document, forms, self._connection)
        ]
        self._flows(flows, dict(self._existing()) if flows else {})
        for document in self._files["executions"]:
            for what, why in lines_of(document):
                self._say("left", f"executions: {what}", why)
        outcome = "would keep" if self._dry_run else "kept"
        counts = self._counts
        self._out(
            f"{counts[outcome]} {outcome}, {counts['there']} there already, "
            f"{counts['not taken']} not taken"
        )
        return counts

    # -- connections -----------------------------------------------------------------------------

    def _credential(self, credential: Credential) -> None:
        name = credential.connection or credential.place
        what = f"{credential.provider or 'credentials'} {name}"
        if refusal := credential.refusal or self._of_another(credential.tenant):
            self._say("not taken", what, refusal)
            return
        path = f"/api/integrations/{credential.provider}"
        body = {"credentials": credential.values, "connection": credential.connection}
        query = urlencode({"connection": credential.connection})
        found = self._api.send("GET", f"{path}/credentials?{query}")
        if found.status != HTTPStatus.NOT_FOUND:
            stored = found.expect(HTTPStatus.OK)
            if stored["status"] == "connected":
                self._there(credential, what, stored, self._api.send("POST", f"{path}/test", body))
                return
        if self._dry_run:
            answer = self._api.send("POST", f"{path}/test", body)
            if answer.status == HTTPStatus.OK and answer.body["success"]:
                self._know(credential, {})
                self._say("would keep", what, answer.body["message"])
            else:
                self._say("not taken", what, _reason(answer))
            return
        answer = self._api.send("POST", f"{path}/credentials", body)
        if answer.status == HTTPStatus.OK:
            self._know(credential, answer.body)
            self._say("kept", what, f"tested: {answer.body['account']['label']}")
        else:
            self._say("not taken", what, _reason(answer))

    def _there(
        self, credential: Credential, what: str, stored: Mapping[str, Any], tested: Answer
    ) -> None:
        """A connection of this name is there: the same account's, or another one's."""
        self._know(credential, stored)
        account = tested.body.get("account") if tested.status == HTTPStatus.OK else None
        if account and account["id"] == stored["account"]["id"]:
            self._say("there", what, stored["account"]["label"])
        elif account:
            self._say("not taken", what, "another account is connected under this name, and stays")
        else:
            why = f"a connection of this name is there, and stays; of the file's: {_reason(tested)}"
            self._say("not taken", what, why)

    def _know(self, credential: Credential, stored: Mapping[str, Any]) -> None:
        """Remember what workflows may call this connection, and its webhook."""
        self._here.add((credential.provider, credential.connection))
        for name in credential.known_as:
            self._names[credential.provider, name] = credential.connection
        url = credential.values.get("url")
        if isinstance(url, str):
            short = urlsplit(url).path.rstrip("/").rpartition("/")[2]
            self._webhooks[short] = (stored.get("webhook") or {}).get("id", short)

    def _connection(self, provider: str, name: str) -> str:
        """What the connection is called here that a workflow calls so."""
        return self._names.get((provider, name), name) or DEFAULT_CONNECTION

    # -- workflows ---------------------------------------------------------------------------------

    def _existing(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The workflows that there are, by name."""
        token = ""
        while True:
            query = urlencode({"limit": 100} | ({"nextToken": token} if token else {}))
            page = self._api.send("GET", f"/api/workflows?{query}").expect(HTTPStatus.OK)
            for each in page["items"]:
                yield each["name"], each
            token = page["nextToken"]
            if not token:
                return

    def _flows(self, flows: list[Flow], existing: Mapping[str, Mapping[str, Any]]) -> None:
        seen: dict[str, list[dict[str, Any]]] = {}
        for flow in flows:
            what = f"workflow {flow.name or flow.place}"
            if refusal := flow.refusal or self._of_another(flow.tenant):
                self._say("not taken", what, refusal)
                continue
            definition = self._with_its_webhook(flow.definition)
            named = seen.setdefault(definition["name"], [])
            if definition in named:
                self._say("there", what, "stands in the files twice")
                continue
            named.append(definition)
            if len(named) > 1:  # equal names are different workflows: the second is told apart
                suffix = f" ({len(named)})"
                definition = {
                    **definition,
                    "name": definition["name"][: 100 - len(suffix)] + suffix,
                }
            self._flow(f"workflow {definition['name']}", definition, existing)

    def _with_its_webhook(self, definition: dict[str, Any]) -> dict[str, Any]:
        trigger = definition["trigger"]
        if actual := self._webhooks.get(trigger.get("webhookId", "")):
            return {**definition, "trigger": {**trigger, "webhookId": actual}}
        return definition

    def _flow(
        self, what: str, definition: dict[str, Any], existing: Mapping[str, Mapping[str, Any]]
    ) -> None:
        stored = existing.get(definition["name"])
        if stored:
            if all(
                _without_nulls(stored[name]) == _without_nulls(definition[name])
                for name in definition
            ):
                self._say("there", what, stored["workflowId"])
            else:
                why = "a workflow of this name is there, is another one by now, and stays"
                self._say("not taken", what, f"{why} ({stored['workflowId']})")
            return
        if self._dry_run:
            answer = self._api.send("POST", "/api/workflows/check", definition)
            mistakes = [
                each
                for each in answer.expect(HTTPStatus.OK)["errors"]
                if not self._comes_of_this(each, definition)
            ]
            if mistakes:
                self._say("not taken", what, _sentences(mistakes))
            else:
                self._say("would keep", what, f"{len(definition['steps'])} steps")
            return
        answer = self._api.send("POST", "/api/workflows", definition)
        if answer.status == HTTPStatus.OK:
            self._say("kept", what, answer.body["warning"] or answer.body["workflowId"])
        else:
            self._say("not taken", what, _reason(answer))

    def _comes_of_this(self, mistake: Mapping[str, Any], definition: Mapping[str, Any]) -> bool:
        """Whether a connection or webhook is only missing because nothing is kept by a dry run."""
        place = mistake["field"]
        trigger = definition["trigger"]
        if mistake["code"] != "unknown":
            return False
        if place == "trigger.webhookId":
            return trigger["webhookId"] in self._webhooks.values()
        if place == "trigger.connection":
            name = trigger.get("connection", DEFAULT_CONNECTION)
            family = trigger["type"].partition(".")[0]
            return any(
                provider.startswith(family) and each == name for provider, each in self._here
            )
        for index, step in enumerate(definition["steps"]):
            if place == f"steps[{index}].connection":
                name = step.get("connection", DEFAULT_CONNECTION)
                return (step["action"].partition(".")[0], name) in self._here
        return False

    # -- the report --------------------------------------------------------------------------------

    def _of_another(self, tenant: str) -> str:
        if tenant and self._tenant and tenant != self._tenant:
            return f"is of the tenant {tenant[:64]}: import it with TENANT={tenant[:64]}"
        return ""

    def _say(self, mark: str, what: str, why: str) -> None:
        self._counts[mark] += 1
        line = f"{mark:10}  {what:40}  {why}"
        for secret in reversed(self._secrets):  # the longest first
            if secret in why:
                line = line.replace(secret, "•••")
        self._out(one_line(line))


def _reason(answer: Answer) -> str:
    """Why the stack refuses something, in its own words."""
    body = answer.body if isinstance(answer.body, dict) else {}
    if "success" in body:
        return str(body["message"])
    errors = body.get("errors") or []
    return _sentences(errors) if errors else str(body.get("detail") or f"status {answer.status}")


def _sentences(errors: list[Mapping[str, Any]]) -> str:
    return "; ".join(f"{each['field']} {each['message']}".strip() for each in errors)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
