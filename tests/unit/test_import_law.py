"""Who may import whom: functions → entry → services → {providers, workflows, storage} → outbound
→ words.

The three siblings never meet, one module reads the environment, one layer knows Powertools, and
what every webhook pays for stays small.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.providers import registry
from tools.template import ROOT

PACKAGE = ROOT / "layers" / "provider" / "integrations"
FUNCTIONS = sorted((ROOT / "functions").glob("*/app.py"))
MODULES = sorted(PACKAGE.rglob("*.py"))
WORDS = {
    "comparison",
    "errors",
    "memory",
    "mistakes",
    "models",
    "postponed",
    "secret_headers",
    "signatures",
    "strict_json",
    "strict_model",
}
SIBLINGS = {"providers", "workflows", "storage"}
ALLOWED = {
    "functions": {"entry", "services", "workflows"} | WORDS,
    "entry": {"entry", "services", "outbound"} | SIBLINGS | WORDS,
    "services": {"services", "outbound"} | SIBLINGS | WORDS,
    "providers": {"providers", "outbound"} | WORDS,
    "workflows": {"workflows"} | WORDS,
    "storage": {"storage"} | WORDS,
    "outbound": {"outbound"} | WORDS,
    "comparison": set[str](),
    "errors": set[str](),
    "memory": set[str](),
    "mistakes": {"errors"},
    "models": set[str](),
    "postponed": set[str](),
    "secret_headers": set[str](),
    "signatures": {"errors", "models", "strict_json"},
    "strict_json": {"models"},
    "strict_model": {"postponed"},
    "__init__": set[str](),
}
FOREIGN = {
    "aws_lambda_powertools": {"entry", "functions"},
    "boto3": {"storage"},
    "botocore": {"storage", "entry"},
    "cryptography": {"storage", "providers"},
    "jinja2": {"workflows"},
    "jwt": {"services"},
    "requests": {"outbound"},
    "urllib3": {"outbound", "storage"},
    "smtplib": {"providers"},
}
"""Packages that belong to some layers alone."""


def layer_of(path: Path) -> str:
    if path.is_relative_to(ROOT / "functions"):
        return "functions"
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, each.name) for each in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield node.lineno, module
                if module in {"integrations", "tests.unit", "tests.integration", "tests.e2e"}:
                    yield from ((node.lineno, f"{module}.{each.name}") for each in names)
            case ast.ImportFrom(level=level) if level:
                raise AssertionError(f"{path}:{node.lineno} imports relatively")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*MODULES, *FUNCTIONS], ids=named)
def test_a_layer_imports_only_those_below_it(path: Path) -> None:
    allowed = ALLOWED[layer_of(path)]
    for line, module in imports(path):
        parts = module.split(".")
        if parts[0] == "integrations" and len(parts) > 1:
            assert parts[1] in allowed, f"{named(path)}:{line} imports {module}"


@pytest.mark.parametrize("path", [*MODULES, *FUNCTIONS], ids=named)
def test_a_foreign_package_stays_in_its_layer(path: Path) -> None:
    for line, module in imports(path):
        owners = FOREIGN.get(module.partition(".")[0])
        if owners is not None:
            assert layer_of(path) in owners, f"{named(path)}:{line} imports {module}"


@pytest.mark.parametrize("layer", ["entry", "services", "storage", "workflows"])
def test_a_vendor_is_named_in_its_own_house_alone(layer: str) -> None:
    vendors = {registry.family_of(each) for each in registry.PROVIDER_IDS} - {"email", "webhook"}
    files = [path for path in (PACKAGE / layer).rglob("*") if path.suffix != ".pyc"]
    texts = {path: path.read_text(encoding="utf-8").lower() for path in files if path.is_file()}
    assert not [(named(path), each) for path in texts for each in vendors if each in texts[path]]


@pytest.mark.parametrize("path", [*MODULES, *FUNCTIONS], ids=named)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    if path == PACKAGE / "entry" / "settings.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "getenv" | "putenv"):
                raise AssertionError(f"{named(path)}:{node.lineno} reads the environment")
            case ast.ImportFrom(module="os", names=names):
                names_ = {each.name for each in names}
                assert not names_ & {"environ", "getenv"}, f"{named(path)}:{node.lineno}"


@pytest.mark.parametrize("path", FUNCTIONS, ids=named)
def test_a_function_is_short_and_of_one_order(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    made = {"__pycache__", "site"}  # by Python, and by the console's build
    assert [each.name for each in path.parent.iterdir() if each.name not in made] == ["app.py"]
    assert len(text.splitlines()) <= 50
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "it begins with its route"
    last = tree.body[-1]
    assert isinstance(last, ast.Assign), "it ends with its handler"
    (target,) = last.targets
    assert isinstance(target, ast.Name)
    assert target.id == "handler"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=named)
def test_no_test_lends_to_another(path: Path) -> None:
    """What two modules of tests need has a room of its own, beside them."""
    for line, module in imports(path):
        assert ".test_" not in module, f"{named(path)}:{line} imports {module}"


# -- What an import costs --------------------------------------------------------------------

OF_ACTIONS = re.compile(r"providers\.(email|webhook)\.actions$|\.actions\.(?!params$)")
HEAVY = {
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "cryptography.x509",
    "dataclasses",
    "jinja2",
    "pydantic",
    "requests",
}


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has after some code."""
    script = f"import sys\n{code}\nprint(*sorted(sys.modules))"
    path = f"{ROOT / 'layers' / 'provider'}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": path, "PATH": "", "PYDANTIC_DISABLE_PLUGINS": "__all__"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_a_webhook_pays_for_no_framework() -> None:
    loaded = loaded_by(
        "from integrations.entry import webhook, wiring\n"
        "import integrations.services.webhooks, integrations.storage.webhooks\n"
        "import integrations.storage.queues, integrations.storage.envelope"
    )
    heavy = HEAVY | {"ipaddress", "pathlib", "urllib.parse"}
    assert not heavy & loaded, heavy & loaded
    ours = {name for name in loaded if name.startswith("integrations.")}
    assert not {name for name in ours if name.split(".")[1] == "workflows"}
    providers = {name for name in ours if name.startswith("integrations.providers.")}
    assert providers <= {"integrations.providers.registry"}


def test_what_is_known_of_providers_without_them_is_light() -> None:
    loaded = loaded_by(
        "from integrations.providers import registry\n"
        "registry.shared_webhooks(), registry.of_family('x')"
    )
    assert not HEAVY & loaded, HEAVY & loaded
    assert "integrations.providers.base" not in loaded


def test_the_authorizer_pays_for_no_framework_and_no_jwt() -> None:
    loaded = loaded_by(
        "import integrations.entry.authorizer, integrations.storage.tokens\n"
        "from integrations.entry import wiring"
    )
    assert not (HEAVY | {"jwt"}) & loaded


def test_a_provider_loads_no_action_and_one_action_not_all_others() -> None:
    for provider_id in registry.PROVIDER_IDS:
        provider = f"from integrations.providers import registry; registry.get({provider_id!r})"
        assert not {name for name in loaded_by(provider) if OF_ACTIONS.search(name)}
    asked = "from integrations.providers import registry\nregistry.get('telegram').action('{}')"
    message, photo = (
        {name for name in loaded_by(asked.format(action)) if OF_ACTIONS.search(name)}
        for action in ("sendMessage", "sendPhoto")
    )
    assert {name.rpartition(".")[2] for name in photo - message} == {"media"}


def test_the_status_loads_no_provider() -> None:
    loaded = loaded_by("import integrations.services.connections.reading")
    modules = {name for name in loaded if name.startswith("integrations.providers.")}
    assert modules <= {
        "integrations.providers.base",
        "integrations.providers.masking",
        "integrations.providers.registry",
        "integrations.providers.shared_webhook",
    }


def test_a_route_without_executions_loads_nothing_of_them() -> None:
    loaded = loaded_by("import integrations.entry.http, integrations.services.answers.connections")
    assert not {name for name in loaded if name.startswith("integrations.workflows.expressions")}
    assert "integrations.services.executions" not in loaded


def test_a_runner_pays_for_no_dispatcher() -> None:
    loaded = loaded_by("import integrations.entry.queue, integrations.services.runner")
    assert "integrations.services.dispatch" not in loaded


def test_a_consumer_that_fails_at_nothing_pays_for_no_logger() -> None:
    loaded = loaded_by(
        "import integrations.entry.queue, integrations.services.dispatch\n"
        "import integrations.services.runner"
    )
    assert "aws_lambda_powertools" not in loaded


def test_a_dispatcher_pays_for_no_framework_and_no_provider() -> None:
    loaded = loaded_by(
        "import integrations.entry.queue, integrations.services.dispatch\n"
        "from integrations.providers import registry\n"
        "registry.shared_webhooks(), [registry.events_of(each) for each in registry.PROVIDER_IDS]"
    )
    assert not HEAVY & loaded, HEAVY & loaded
    assert "integrations.providers.base" not in loaded


def test_what_only_libraries_import_is_loaded_when_somebody_asks_for_it() -> None:
    code = (
        "import integrations.entry.http\n"
        "from integrations.postponed import NAMES, Postponed\n"
        "assert all(isinstance(sys.modules[each], Postponed) for each in NAMES)\n"
        "import asyncio, tempfile, zipfile\n"
        "from aws_lambda_powertools.utilities import jmespath_utils\n"
        "from importlib.metadata import version\n"
        "assert asyncio.run and tempfile.mkdtemp and zipfile.ZipFile and version('pydantic')\n"
        "assert jmespath_utils.query({'a': 1}, 'a') == 1\n"
        "assert not any(isinstance(sys.modules[each], Postponed) for each in NAMES)"
    )
    assert "asyncio.events" in loaded_by(code)


def test_no_module_makes_anything_at_import() -> None:
    everything = "\n".join(
        "import " + ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in MODULES
        if path.name != "__init__.py"
    )
    # Without credentials, region or any other variable, and without a network.
    assert "integrations.entry.http" in loaded_by(everything)


def test_no_module_is_too_long_to_be_read_in_one_go() -> None:
    longest = {PACKAGE / "providers": 450, **{ROOT / name: 650 for name in OURS}}
    for folder, most in longest.items():
        for file in folder.rglob("*.py"):
            lines = len(file.read_text(encoding="utf-8").splitlines())
            assert lines <= most, f"{file.relative_to(ROOT)} has {lines} lines"


OURS = ("layers/provider", "functions", "local", "benchmarks", "tools")
