"""A page for each provider, from the provider's own code."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from pydantic import BaseModel

from integrations.providers import registry
from integrations.providers.base import Action, NoParams, Provider, Trigger
from integrations.services import schemas
from tools.template import ROOT

FOLDER = ROOT / "docs/providers"
NOTICE = "<!-- Written by `make docs` from the provider's code. -->"
ONE_LINE = 96
"""Characters of JSON that still read well in one line."""

LONG_PAGE = 700
"""Lines; a provider with more has its actions and its triggers' data on pages by group."""

LONG_TABLE = 12
"""With more fields than this, those that need no explanation are only named."""


def files() -> dict[Path, str]:
    """The pages, and their index."""
    pages = {FOLDER / "README.md": _index()}
    for name in registry.PROVIDER_IDS:
        provider = registry.get(name)
        for page, lines in _parts(provider).items():
            text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"
            pages[FOLDER / f"{page}.md"] = text
    return pages


# -- Pages -----------------------------------------------------------------------------------


def _index() -> str:
    rows = []
    for name in registry.PROVIDER_IDS:
        provider = registry.get(name)
        how = "a login" if provider.oauth else "saved credentials"
        counts = f"{len(provider.actions)} | {len(provider.triggers)}"
        rows.append(f"| [`{name}`]({name}.md) | {provider.title} | {how} | {counts} |")
    return "\n".join([
        "# Providers",
        "",
        NOTICE,
        "",
        "The same as data: `GET /api/integrations`, with every form as JSON Schema.",
        "A provider may hold several named connections; each request takes `connection`, and",
        "`default` is meant where it is left out.",
        "",
        "| id | provider | connected by | actions | triggers |",
        "| --- | --- | --- | --: | --: |",
        *rows,
        "",
        "[Write another one](../adding-a-provider.md).",
        "",
    ])  # fmt: skip


def _parts(provider: Provider) -> dict[str, list[str]]:
    """The provider's page, and those that it is too long for: name → lines."""
    whole = list(_page(provider, split=False))
    if len(whole) <= LONG_PAGE:
        return {provider.id: whole}
    parts = {provider.id: list(_page(provider, split=True))}
    for name, (title, actions) in _action_groups(provider).items():
        lines = [f"# {provider.title}: {title}", "", NOTICE, "", _back(provider, "actions"), ""]
        parts[name] = [*lines, *(line for action in actions for line in _action(action, "##"))]
    for name, (title, triggers) in _trigger_groups(provider).items():
        lines = [f"# {provider.title}: {title}", "", NOTICE, "", _back(provider, "triggers"), ""]
        parts[name] = [*lines, *(line for each in triggers for line in _data(each))]
    return parts


def _back(provider: Provider, section: str) -> str:
    return f"Of [{provider.title}'s {section}]({provider.id}.md#{section})."


def _action_groups(provider: Provider) -> dict[str, tuple[str, list[Action]]]:
    """The actions by the module that they stand in: name of the page → title and actions."""
    package = import_module(f"integrations.providers.{provider.id}.actions")
    modules = [each for each in vars(package).values() if isinstance(each, ModuleType)]
    groups = {}
    for module in modules:
        actions: Sequence[Action] = getattr(module, "ACTIONS", ())
        if actions:
            title = _first(module.__doc__).rstrip(".")
            groups[f"{provider.id}-{module.__name__.rpartition('.')[2]}"] = (title, list(actions))
    grouped = [action for _, actions in groups.values() for action in actions]
    assert sorted(each.name for each in grouped) == sorted(each.name for each in provider.actions)  # noqa: S101 - a page that leaves one out must not be written
    return groups


def _trigger_groups(provider: Provider) -> dict[str, tuple[str, list[Trigger]]]:
    """The triggers by the filters that they take: name of the page → title and triggers."""
    groups: dict[str, tuple[str, list[Trigger]]] = {}
    for trigger in provider.triggers:
        kind = trigger.filters.__name__.removesuffix("Filters").lower()
        kind = "other" if trigger.filters is NoParams else kind
        page = f"{provider.id}-data-{kind}"
        title = f"data of the triggers, {kind}"
        groups.setdefault(page, (title, []))[1].append(trigger)
    return groups


def _page(provider: Provider, *, split: bool) -> Iterator[str]:
    module = import_module(f"integrations.providers.{registry.ENTRIES[provider.id].module}")
    yield from (f"# {provider.title}", "", NOTICE, "")
    yield f"{_first(module.__doc__)} Its id in the API is `{provider.id}`."
    yield from ("", f"See also <{provider.docs_url}>.", "")
    yield from _credentials(provider)
    yield from _actions(provider, split=split)
    yield from _triggers(provider, split=split)
    yield from _webhooks(provider)


def _credentials(provider: Provider) -> Iterator[str]:
    yield from ("## Credentials", "")
    if provider.oauth:
        yield from _login(provider)
    else:
        yield from (_paragraphs(provider.credentials.__doc__), "")
        yield from _table(provider.credentials)
        yield from ("", "Save them (they are tested first, and saved only where they work):", "")
        yield f"`POST /api/integrations/{provider.id}/credentials`"
        yield from ("", *_saving(provider))
    yield from ("**Test.** " + _paragraphs(provider.verify.__doc__), "")
    if provider.stack_credentials:
        yield (
            "Where a tenant has saved none, the connection `default` takes the stack's own "
            "([parameters](../deploying.md#parameters))."
        )
        yield ""
    if provider.refresh:
        yield (
            "They are refreshed on use, when under five minutes are left, and by the daily check. "
            "Where only a person can help, the connection's status is `needs_reauth`."
        )
        yield ""
    if provider.revoke:
        yield from ("Removing the connection revokes them at the provider.", "")


def _saving(provider: Provider) -> Iterator[str]:
    examples = []
    for file in sorted((ROOT / "events/save_credentials").glob("*.json")):
        event = json.loads(file.read_text(encoding="utf-8"))
        if event["pathParameters"]["providerId"] == provider.id:
            examples.append(json.loads(event["body"]))
    for example in examples:
        yield from (*_json(example), "")


def _login(provider: Provider) -> Iterator[str]:
    assert provider.oauth is not None  # noqa: S101 - the caller has looked
    client_id, client_secret = provider.oauth.parameters
    yield "Made by logging in; nobody types them. The stack needs its own client at the provider: "
    yield f"the parameters `{client_id}` and `{client_secret}` "
    yield "([how to get one](../deploying.md#log-in-at-the-vendors))."
    yield from ("", f"1. `POST /api/integrations/oauth/start/{provider.id}` answers `authUrl`.")
    yield "2. Open it in a browser; the provider sends the browser back to"
    yield f"   `/api/integrations/oauth/callback/{provider.id}`."
    yield "3. `GET /api/integrations/oauth/status/{handshakeId}` says how it went."
    yield ""


def _actions(provider: Provider, *, split: bool) -> Iterator[str]:
    yield from ("## Actions", "")
    yield f"`POST /api/integrations/{provider.id}/actions/{{action}}` with"
    yield f"`{{params, connection?}}`, or in a workflow's step as `{provider.id}.{{action}}`."
    yield "What may not be repeated is not repeated by itself where nobody knows whether it was"
    yield "carried out ([retry](../workflows.md#retry-and-errors))."
    yield ""
    twin = _twin(provider)
    if twin:
        link = f"[`{twin.id}`]({twin.id}.md#actions)"
        yield from (f"The same as those of {link}, with parameters and examples there.", "")
    yield from ("| action | what it does | may be repeated |", "| --- | --- | :-: |")
    place = f"{twin.id}.md" if twin else ""
    pages: dict[str, str] = {}
    if split:
        for page, (_, actions) in _action_groups(provider).items():
            pages |= {action.name: f"{page}.md" for action in actions}
    for action in provider.actions:
        name = f"[`{action.name}`]({pages.get(action.name, place)}#{action.name.lower()})"
        yield f"| {name} | {_plain(action.title)} | {'yes' if action.idempotent else 'no'} |"
    yield ""
    if not twin and not split:
        for action in provider.actions:
            yield from _action(action, "###")


def _action(action: Action, level: str) -> Iterator[str]:
    yield from (f"{level} {action.name}", "")
    text = _paragraphs(action.params.__doc__)
    if isinstance(action.run, FunctionType) and action.run.__doc__:
        yield _paragraphs(action.run.__doc__)
    else:
        yield f"{_sentence(action.title)} {text}" if "<http" in text else _sentence(action.title)
    yield from ("", *_table(action.params), "", *_json(action.example), "")


def _triggers(provider: Provider, *, split: bool) -> Iterator[str]:
    if not provider.triggers:
        return
    yield from ("## Triggers", "")
    twin = _twin(provider)
    if twin:
        link = f"[`{twin.id}`]({twin.id}.md#triggers)"
        yield f"Those of {link}: {', '.join(f'`{each.type}`' for each in provider.triggers)}."
        yield ""
        return
    yield "A workflow's `trigger` names the `type`, the `connection` and, where wanted, the type's"
    yield "own filters; the data is what its templates see as `trigger`"
    yield "([more](../workflows.md#triggers))."
    yield ""
    for page, (_, triggers) in _trigger_groups(provider).items():
        yield from ("| type | what happened |", "| --- | --- |")
        for each in triggers:
            anchor = each.type.replace(".", "")
            name = f"[`{each.type}`]({page}.md#{anchor})" if split else f"`{each.type}`"
            yield f"| {name} | {_plain(each.title)} |"
        yield from ("", *_table(triggers[0].filters, "Filters"), "")
        for trigger in () if split else triggers:
            yield f"<details><summary>Data of <code>{trigger.type}</code></summary>"
            yield from ("", *_json(trigger.example), "", "</details>", "")


def _data(trigger: Trigger) -> Iterator[str]:
    yield from (f"## {trigger.type}", "", f"{_sentence(trigger.title)} The data, e.g.:", "")
    yield from (*_json(trigger.example), "")


def _webhooks(provider: Provider) -> Iterator[str]:
    inbound = provider.inbound
    if inbound is None:
        return
    yield from ("## Webhooks", "")
    if inbound.shared is None:
        yield "Each connection has a webhook of its own; the metadata shows its URL, how deliveries"
        yield "are verified, and why the last one was refused."
    else:
        path = f"/api/webhooks/{inbound.shared.webhook_id}"
        yield f"Events come to the stack's own webhook, `{path}`, which serves all"
        yield "connections of its app."
    yield ""
    if inbound.subscribe:
        yield "It is registered at the provider when the first workflow needs it, and removed with"
        yield "the last one. " + _paragraphs(inbound.subscribe.__doc__)
    elif inbound.shared:
        yield "Who runs the stack gives the URL to the provider"
        yield "([how](../deploying.md#log-in-at-the-vendors))."
    else:
        yield "Whoever sends must be given the URL; the ways to verify are in"
        yield "[Webhooks](../api.md#webhooks)."
    yield from ("", _paragraphs(inbound.normalize.__doc__), "")


# -- Pieces ----------------------------------------------------------------------------------


def _twin(provider: Provider) -> Provider | None:
    """The provider that has the very same actions and stands before this one."""
    for name in registry.PROVIDER_IDS:
        if name == provider.id:
            return None
        if registry.get(name).actions == provider.actions:
            return registry.get(name)
    return None


def _table(model: type[BaseModel], title: str = "Name") -> list[str]:
    """A table of a model's fields; of many, those without explanation follow in one line."""
    schema = schemas.form(model, title="")
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    fields: Mapping[str, Any] = schema.get("properties", {})
    rows, others = [], []
    for name, field in fields.items():
        kind = _type(field, definitions)
        description = _description(field, definitions)
        if name in required or description or len(fields) <= LONG_TABLE:
            need = " **required**" if name in required else ""
            rows.append(f"| `{name}`{need} | {kind} | {description} |")
        else:
            others.append(f"`{name}` ({kind})")
    rows.sort(key=lambda row: "**required**" not in row)
    lines = []
    if rows:
        lines += [f"| {title} | Type | |", "| --- | --- | --- |", *rows]
    if others:
        lines += ["", f"{'Also takes' if rows else 'Takes'} {', '.join(others)}."]
    if not lines:
        lines.append("No filters." if title == "Filters" else "No parameters.")
    return lines


def _description(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    text = str(field.get("description", ""))
    if not text:
        text = next((_description(each, {}) for each in field.get("anyOf", ()) if each != {}), "")
    if not text and "$ref" in field:
        named = definitions.get(_referred(field), {})
        text = "" if "properties" in named else str(named.get("description", ""))
    default = field.get("default")
    parts = [_sentence(text)] if text else []
    if default not in (None, "", [], {}):
        parts.append(f"Default `{json.dumps(default)}`.")
    return " ".join(parts)


def _type(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A JSON Schema's type in a few words."""
    if "$ref" in field:
        name = _referred(field)
        return "any JSON" if name == "Json" else _type(definitions.get(name, {}), definitions)
    if "anyOf" in field:
        kinds = [_type(each, definitions) for each in field["anyOf"]]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "null"))
    if "enum" in field:
        return " or ".join(f"`{each}`" for each in field["enum"])
    kind = "secret" if field.get("writeOnly") else str(field.get("type", "any JSON"))
    if kind == "array":
        kind = f"array of {_type(field.get('items', {}), definitions)}"
    if "properties" in field:
        kind = f"object ({', '.join(f'`{name}`' for name in field['properties'])})"
    return kind


def _referred(field: Mapping[str, Any]) -> str:
    return str(field["$ref"]).rpartition("/")[2]


def _json(value: object) -> Sequence[str]:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > ONE_LINE:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    return ("```json", text, "```")


def _first(doc: str | None) -> str:
    return _paragraphs((doc or "").strip().split("\n\n")[0])


_LINK = re.compile(r"https?://[^\s`)]+[^\s`).,:]")


def _paragraphs(doc: str | None) -> str:
    """A docstring's prose as Markdown: no sections, and no bare links but in code."""
    prose = re.split(r"\n\s*(?:Raises|Args|Attributes|Returns):\n", cleandoc(doc or ""))[0]
    code = r"``.*?``"
    parts = [
        part if re.fullmatch(code, part, re.DOTALL) else _LINK.sub(r"<\g<0>>", _plain(part))
        for part in re.split(f"({code})", prose, flags=re.DOTALL)
    ]
    prose = "".join(parts).replace("``", "`")
    return "\n\n".join(" ".join(each.split()) for each in prose.strip().split("\n\n"))


def _plain(text: str) -> str:
    """Text that neither reStructuredText nor Markdown's own signs disturb."""
    return text.replace("``", "`").replace("|", "\\|").replace("<", "&lt;")


def _sentence(text: str) -> str:
    text = re.sub(r"\s+", " ", _plain(text)).strip()
    return text if text.endswith((".", "…", "?")) else f"{text}."
