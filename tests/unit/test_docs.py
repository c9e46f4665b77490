"""The documentation says what the code does: generated parts, examples, links."""

import json
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import SecretStr

from integrations.errors import CredentialsRejected, RateLimited
from integrations.providers import registry as providers
from integrations.providers.base import Addresses, Call
from integrations.services.checking import ProviderCatalogue
from integrations.workflows.definition import check
from integrations.workflows.expressions import registry as filters
from tools import generated, openapi, postman, provider_pages, tables
from tools.template import ROOT, routes
from tools.unresolved import REFUSALS

BESIDE = ("events/README.md", "examples/web/README.md", "clients/typescript/README.md")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / page for page in BESIDE)]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
METHODS = {"get", "post", "put", "patch", "delete", "head"}


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [match[2] for match in FENCE.finditer(text) if match[1] == language]


# -- What is generated -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def files() -> dict[Path, str]:
    return generated.files()


def test_what_is_generated_is_what_the_code_gives(files: dict[Path, str]) -> None:
    for path, made in files.items():
        assert path.is_file(), f"{path.relative_to(ROOT)}: run make docs"
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":  # shipped compact, compared so that one can read the difference
            assert json.loads(text) == json.loads(made), f"{path.relative_to(ROOT)}: run make docs"
        assert text == made, f"{path.relative_to(ROOT)}: run make docs"


def test_the_postman_collection_has_every_operation(document: dict[str, Any]) -> None:
    folders = json.loads(postman.collection())["item"]
    requests = [each["request"] for folder in folders for each in folder["item"]]
    shown = {(each["method"], each["url"]["raw"].removeprefix("{{baseUrl}}")) for each in requests}
    assert shown == {
        (method, re.sub(r"\{(\w+)\}", r":\1", path)) for method, path, _ in operations(document)
    }
    assert all(each["value"] for request in requests for each in request["url"]["variable"])


def test_a_page_names_the_webhook_that_all_connections_of_its_provider_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = providers.get("facebook_oauth")
    assert real.inbound
    assert real.inbound.shared
    shared = real.inbound.shared._replace(webhook_id="chat")
    by_hand = real.inbound._replace(shared=shared, subscribe=None, unsubscribe=None)
    other = replace(real, inbound=by_hand)
    monkeypatch.setattr(providers, "PROVIDER_IDS", ("facebook_oauth",))
    monkeypatch.setattr(providers, "get", lambda _: other)
    page = provider_pages.files()[provider_pages.FOLDER / "facebook_oauth.md"]
    assert "the stack's own webhook, `/api/webhooks/chat`" in page
    assert "/api/webhooks/facebook" not in page
    assert "Who runs the stack gives the URL to the provider" in page


def test_every_provider_s_page_belongs_to_a_provider(files: dict[Path, str]) -> None:
    assert set((ROOT / "docs/providers").iterdir()) <= files.keys()


# -- OpenAPI ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    written: dict[str, Any] = json.loads(openapi.document())
    return written


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method in METHODS
            yield method.upper(), path, operation


def test_the_document_is_openapi(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_the_document_has_the_template_s_routes(document: dict[str, Any]) -> None:
    described = {
        (method, path): op.get("security") == [] for method, path, op in operations(document)
    }
    assert described == {(route.method, route.openapi_path): route.public for route in routes()}


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    known = {tag["name"] for tag in document["tags"]}
    for _, path, operation in operations(document):
        assert operation["summary"], path
        assert set(operation["tags"]) <= known, path
        assert "200" in operation["responses"], path


def refusals(document: dict[str, Any]) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """Every operation's refusals with what their codes are about."""
    shared = document["components"]["responses"]
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and "text/html" not in response.get("content", {}):
                name = response.get("$ref", "").rpartition("/")[2]
                yield method, path, int(status), shared[name] if name else response


def test_a_route_names_its_own_refusals(document: dict[str, Any]) -> None:
    """That none is left out is seen wherever a test sends a request: see ``backend.documented``."""
    named = {
        (method, path): set(response["x-codes"])
        for method, path, status, response in refusals(document)
        if status == 404
    }
    assert named["GET", "/api/events/{eventId}"] == {"not_found", "unknown_event"}
    assert named["DELETE", "/api/secrets/{name}"] == {"not_found", "unknown_secret"}
    assert ("GET", "/api/events") not in named
    assert ("POST", "/api/workflows") not in named
    for _, path, _, response in refusals(document):
        ours = {"signature_refused", "challenge_refused", "not_stored"} & {*response["x-codes"]}
        assert path.startswith(("/api/webhooks/", "/api/integrations/oauth/")) or not ours, path
        assert all(f"`{code}`" in response["description"] for code in response["x-codes"])


def test_every_code_is_some_route_s(document: dict[str, Any]) -> None:
    named = {code for *_, response in refusals(document) for code in response["x-codes"]}
    assert set(document["components"]["schemas"]["ProblemCode"]["enum"]) - named == {
        *("handshake_refused", "unknown_deletion"),  # pages for a browser say it
        # of an execution and its steps
        *("cycle_detected", "expression_error", "provider_error"),
        *("unknown_file", "unknown_webhook"),
    }


def test_every_refusal_is_a_problem(document: dict[str, Any]) -> None:
    for _, _, _, response in refusals(document):
        schema = response["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
    assert not openapi.BY_POWERTOOLS & document["components"]["schemas"].keys()


def test_request_bodies_have_examples(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body and method != "GET" and not path.startswith("/api/webhooks/"):
            assert body["examples"], path


def test_every_function_with_a_route_says_what_it_refuses() -> None:
    without_resolver = {
        route.function
        for route in routes()
        if (route.method, route.path) in openapi.WITHOUT_RESOLVER
    }
    # The others say it beside their route, and need no table.
    assert REFUSALS.keys() == without_resolver


def test_the_served_document_holds_no_secret_value() -> None:
    assert "ib_…" in openapi.document()
    assert not re.search(r"ib_[A-Za-z0-9_-]{20}", openapi.document())


# -- Examples --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", blocks("docs/workflows.md", "json"))
def test_the_workflows_of_the_page_check(text: str) -> None:
    check(json.loads(text), ProviderCatalogue())


def test_every_filter_has_an_example() -> None:
    shown = set()
    for examples in tables.FILTERS.values():
        for example in examples:
            shown |= set(re.findall(r"\|(\w+)", example))
    assert filters.FILTERS.keys() - tables.ALIASES.keys() <= shown
    text = (ROOT / "docs/expressions.md").read_text(encoding="utf-8")
    for alias, name in tables.ALIASES.items():
        assert filters.FILTERS[alias] is filters.FILTERS[name]
        assert f"`{alias}`" in text


def test_every_test_of_expressions_is_named() -> None:
    text = (ROOT / "docs/expressions.md").read_text(encoding="utf-8")
    signs = {"!=", "<", "<=", "==", ">", ">=", "equalto", "greaterthan", "lessthan"}
    for name in filters.TESTS.keys() - signs:
        assert re.search(rf"`{name}[`(]", text), name


def test_every_parameter_s_table_is_in_its_page(files: dict[Path, str]) -> None:
    described = {path: text for path, text in files.items() if path.parent == ROOT / "docs"}
    names = {name for text in described.values() for name, _ in _places(text)}
    assert names == tables.TABLES.keys()


def _places(text: str) -> list[tuple[str, str]]:
    return [(match[2], match[0]) for match in tables.PLACE.finditer(text)]


# -- The provider of docs/adding-a-provider.md -----------------------------------------------


class Answer:
    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self.text = json.dumps(body)
        self.content = self.text.encode()

    def json(self) -> Any:
        return json.loads(self.text)


class Ntfy:
    """A server that knows one token."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.busy = False

    def request(self, method: str, url: str, **options: Any) -> Answer:
        if self.busy:
            return Answer(429, {"error": "too many requests"})
        if options["headers"] != {"Authorization": "Bearer tk_good"}:
            return Answer(401, {"error": "unauthorized"})
        if (method, url) == ("GET", "https://ntfy.sh/v1/account"):
            return Answer(200, {"username": "ann"})
        assert (method, url) == ("POST", "https://ntfy.sh/")
        self.sent.append(options["json"])
        return Answer(200, {"id": "hwQ2YpKdmg", "time": 1795348800})


@pytest.fixture(scope="module")
def provider() -> Iterator[Any]:
    (source,) = blocks("docs/adding-a-provider.md", "python")
    module = types.ModuleType("ntfy")
    with pytest.MonkeyPatch.context() as installed:
        installed.setitem(sys.modules, "ntfy", module)
        exec(compile(source, "docs/adding-a-provider.md", "exec"), module.__dict__)  # noqa: S102
        yield module.PROVIDER


def call(provider: Any, server: Ntfy, token: str) -> Call[Any]:
    credentials = provider.credentials.model_validate({"accessToken": token})
    assert token not in repr(credentials)
    return Call(credentials=credentials, http=server, addresses=Addresses())  # type: ignore[arg-type]


def test_the_example_provider_tests_its_token(provider: Any) -> None:
    server = Ntfy()
    assert provider.verify(call(provider, server, "tk_good")).account.label == "ann"
    with pytest.raises(CredentialsRejected):
        provider.verify(call(provider, server, "tk_bad"))


def test_the_example_provider_acts(provider: Any) -> None:
    server = Ntfy()
    for action in provider.actions:
        params = action.params.model_validate(action.example)
        assert action.run(call(provider, server, "tk_good"), params)["id"] == "hwQ2YpKdmg"
    assert server.sent == [{"topic": "orders", "message": "Order 42 is paid"}]
    server.busy = True
    with pytest.raises(RateLimited):
        provider.verify(call(provider, server, "tk_good"))


def test_the_example_provider_declares_its_secret(provider: Any) -> None:
    (field,) = provider.credentials.model_fields.values()
    assert field.annotation is SecretStr
    schema = provider.credentials.model_json_schema()
    assert schema["properties"]["accessToken"]["writeOnly"] is True


# -- What runs the checks --------------------------------------------------------------------


def test_what_runs_before_a_commit_and_on_a_push_is_what_make_and_ci_run_have() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    entries = [hook["entry"] for repo in hooks for hook in repo["hooks"]]
    assert "make lint" in entries
    assert {entry.removeprefix("make ") for entry in entries} <= targets
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    steps = [step.get("run") for job in jobs.values() for step in job["steps"]]
    assert ".ci/run" in steps
    assert json.loads((ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))["image"]


# -- Links -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link}: there is no {file.relative_to(ROOT)}"
        if anchor:
            assert anchor in anchors(file), f"{link}: there is no such heading"


def anchors(page: Path) -> set[str]:
    """A page's headings, as a code host makes anchors of them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# -- Names -----------------------------------------------------------------------------------

SPAN = re.compile(r"`([^`\n]+)`")
FOLDERS = "benchmarks|clients|console|docs|events|examples|functions|layers|local|tests|tools"
MADE = {"functions/get_console/site"}
"""What is not in the repository before it is built."""

FOREIGN = {
    *("TargetErrorCount", "TargetErrorThrottledCount", "BatchWriteItem"),  # AWS's own names
    *("ERROR_CODE", "ERROR_MESSAGE", "TARGET_ARN"),  # attributes that the scheduler gives
    *("ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED"),  # states of a stack
}


def spans(page: Path) -> set[str]:
    """What a page sets in code, but for the provider that a page makes up."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {span for span in SPAN.findall(text) if "ntfy" not in span.lower()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    for span in spans(page):
        path = span.rstrip("/")
        if re.fullmatch(rf"({FOLDERS})(/[\w.-]+)+", path) and path not in MADE:
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_target_that_a_page_names_is_make_s(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = "\n".join([*SPAN.findall(text), *(match[2] for match in FENCE.finditer(text))])
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony
    named = set(re.findall(r"\bmake (?:-s )?([a-z][a-z-]+)", code))
    assert named <= set(phony[1].split())


@pytest.fixture(scope="module")
def sources() -> str:
    """All code, and the template."""
    folders = ("layers/provider", "functions", "local", "tools", "benchmarks", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    files += [ROOT / "template.yaml", ROOT / "Makefile", *(ROOT / ".github").rglob("*.yml")]
    files.remove(Path(__file__).resolve())
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_variable_and_parameter_that_a_page_names_is_somewhere(
    page: Path, sources: str
) -> None:
    for span in spans(page):
        name = span.partition("=")[0]
        if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|([A-Z][a-z0-9]+){2,}", name):
            assert name in FOREIGN or name in sources, name
