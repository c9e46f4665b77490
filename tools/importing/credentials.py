"""Credentials of the old backend, in the form that this one's catalogue has for them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from integrations.models import DEFAULT_CONNECTION
from tools.importing.shapes import (
    BOOKKEEPING,
    Fields,
    NotTaken,
    Record,
    moment,
    plain,
    records,
    rfc3339,
    unwrapped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

type Form = Mapping[str, Any]

OTHER_NAMES: Final[Mapping[str, str]] = {
    "googlesheets": "sheets",
    "googlesheet": "sheets",
    "gsheets": "sheets",
    "googlesheetsoauth": "sheets_oauth",
    "googleoauth": "sheets_oauth",
    "telegrambot": "telegram",
    "fb": "facebook",
    "facebookpage": "facebook",
    "facebookpages": "facebook",
    "facebookmessenger": "facebook",
    "fboauth": "facebook_oauth",
    "facebookpagesoauth": "facebook_oauth",
    "smtp": "email",
    "mail": "email",
    "emailsmtp": "email",
    "webhooks": "webhook",
    "customwebhook": "webhook",
    "http": "webhook",
}
"""What the old backend may call a provider → its id."""

SYNONYMS: Final[Mapping[str, str]] = {
    "password": "pass",
    "username": "user",
    "login": "user",
    "server": "host",
    "hostname": "host",
    "fromaddress": "from",
    "fromemail": "from",
    "sender": "from",
    "targeturl": "outboundurl",
    "callbackurl": "outboundurl",
    "signingsecret": "secret",
    "sharedsecret": "secret",
    "sheetid": "spreadsheetid",
    "spreadsheet": "spreadsheetid",
    "credentialsjson": "serviceaccount",
    "keyfile": "serviceaccount",
}
INNER: Final = ("credentials", "credential", "secrets", "config", "values", "fields", "data")
NESTED: Final = frozenset({"auth", "oauth", "smtp", "options", "settings", "credentials", "data"})
GONE: Final = frozenset({"disconnected", "revoked", "deleted", "removed", "inactive", "disabled"})
LOGGED_IN: Final = frozenset({"refreshtoken", "accesstoken", "useraccesstoken", "idtoken"})
ENCRYPTED: Final = frozenset({"iv", "authtag", "tag", "ciphertext", "encrypted", "encrypteddata"})
MASKED: Final = re.compile(r"\*{3}|•{3}|…$|^\[?redacted\]?$|^x{6,}$", re.IGNORECASE)
OPEN: Final = frozenset({"status", "state", "type", "kind", "provider", "providerid", "tenant"})
"""What is nobody's secret, and stands in the report."""

UNREADABLE: Final = "its credentials are encrypted: decrypt them with the old backend first"
LEAST_TAIL: Final = 5
"""So many letters a name must have in common with the one that it is taken for."""

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One set of credentials.

    Attributes:
        place: Where it stands in the file.
        provider: The provider's id.
        connection: The name of the connection that it becomes.
        values: The credentials in the catalogue's form.
        known_as: What workflows of the old backend may call it.
        tenant: Whose it is, where the file says so.
        refusal: Why it cannot be taken; ``""`` where it can be tried.
    """

    place: str
    provider: str
    connection: str
    values: Mapping[str, Any] = field(repr=False)
    known_as: frozenset[str] = frozenset()
    tenant: str = ""
    refusal: str = ""


def credentials_in(document: Any, forms: Mapping[str, Form]) -> list[Credential]:
    """Everything in a credentials file.

    Args:
        document: The file's JSON.
        forms: Provider id → its entry in the catalogue.

    Returns:
        What can be tried, and what cannot with the reason. Where there is one connection of a
        provider and nothing names it, it is the default one.
    """
    found: list[_Found] = []
    try:
        found.extend(_found(unwrapped(document, "credentials", "connections"), forms))
    except NotTaken as refusal:
        return [_refused("", "", str(refusal))]
    many: dict[tuple[str, str], int] = {}
    for each in found:
        key = (each.tenant, each.provider)
        many[key] = many.get(key, 0) + 1
    taken: set[tuple[str, str, str]] = set()
    made = []
    for each in found:
        one = _credential(each, forms, alone=many[each.tenant, each.provider] == 1)
        key3 = (one.tenant, one.provider, one.connection)
        if not one.refusal and key3 in taken:
            why = f"another record of this file is the {one.provider} connection {one.connection!r}"
            one = _refused(one.place, one.provider, why)
        elif not one.refusal:
            taken.add(key3)
        made.append(one)
    return made


def secrets_in(document: Any) -> set[str]:
    """Every text in a credentials file that may be a secret: what no report may show."""
    if isinstance(document, dict):
        return {
            text
            for name, value in document.items()
            if plain(name) not in OPEN or not isinstance(value, str)
            for text in secrets_in(value)
        }
    if isinstance(document, list):
        return {text for value in document for text in secrets_in(value)}
    return {document} if isinstance(document, str) else set()


def provider_of(name: str, forms: Mapping[str, Form]) -> str:
    """The id of the provider that a name of the old backend means; ``""`` where there is none."""
    by_plain = {plain(each): each for each in forms}
    known = by_plain.get(plain(name)) or OTHER_NAMES.get(plain(name), "")
    return known if known in forms else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    place: str
    provider: str
    name: str = ""
    tenant: str = ""
    record: Any = field(repr=False)


def _found(document: Any, forms: Mapping[str, Form], tenant: str = "") -> Iterator[_Found]:
    for each in records(document):
        provider = provider_of(each.key, forms)
        if provider:
            yield from _of_provider(each, provider, forms, tenant)
        elif not isinstance(each.value, dict):
            if plain(each.key) not in BOOKKEEPING:
                yield _Found(place=each.place, provider="", record=None, tenant=tenant)
        elif not _named(each.value, forms) and any(provider_of(key, forms) for key in each.value):
            for inner in _found(each.value, forms, each.key):
                yield _Found(
                    place=f"{each.place}.{inner.place}",
                    provider=inner.provider,
                    name=inner.name,
                    tenant=inner.tenant,
                    record=inner.record,
                )
        else:
            provider = _named(each.value, forms)
            yield _Found(place=each.place, provider=provider, record=each.value, tenant=tenant)


def _of_provider(
    each: Record, provider: str, forms: Mapping[str, Form], tenant: str
) -> Iterator[_Found]:
    """What stands under a provider's name: one record, a list, or a map by connection."""
    value = each.value
    if isinstance(value, list):
        for index, record in enumerate(value):
            place = f"{each.place}[{index}]"
            yield _Found(place=place, provider=provider, record=record, tenant=tenant)
        return
    if isinstance(value, dict) and value and _is_by_connection(value, forms[provider]):
        for name, record in value.items():
            place = f"{each.place}.{name[:64]}"
            yield _Found(place=place, provider=provider, name=name, record=record, tenant=tenant)
        return
    yield _Found(place=each.place, provider=provider, record=value, tenant=tenant)


def _is_by_connection(value: Mapping[str, Any], form: Form) -> bool:
    fields = {plain(name) for name in form["credentials"]["properties"]}
    known = {*fields, *BOOKKEEPING, *map(plain, INNER), *NESTED}
    return all(isinstance(each, dict) and plain(name) not in known for name, each in value.items())


def _named(record: Mapping[str, Any], forms: Mapping[str, Form]) -> str:
    """The provider that a record itself names."""
    fields = Fields(record)
    for name in ("provider", "providerId", "integration", "integrationId", "service", "platform"):
        if provider := provider_of(fields.take_text(name), forms):
            return provider
    return provider_of(fields.take_text("type", "kind"), forms)


def _credential(found: _Found, forms: Mapping[str, Form], *, alone: bool) -> Credential:
    if not found.provider:
        known = ", ".join(forms)
        return _refused(found.place, "", f"no provider of this backend is named: it has {known}")
    record = _parsed(found.record)
    if not isinstance(record, dict):
        why = "is no object, but something encrypted or cut" if record else "is empty"
        return _refused(found.place, found.provider, why)
    fields = Fields(record)
    tenant = fields.take_text("tenant", "tenantId") or found.tenant
    metadata = record.get("metadata")
    alias = fields.take_text("connection", "connectionName", "alias")
    titles = [fields.take_text(each) for each in ("name", "label", "title")]
    old_id = fields.take_text("id", "_id", "credentialId")
    name = alias or found.name or next((each for each in titles if each), "") or old_id
    if fields.take("isDefault", "default") is True or (alone and not alias and not found.name):
        name = DEFAULT_CONNECTION
    connection = _name(name)
    known_as = {each for each in (alias, found.name, old_id, *titles, connection) if each}
    try:
        values, refusal = _values(found.provider, fields, metadata, forms), ""
    except NotTaken as why:
        values, refusal = {}, str(why)
    if not connection and not refusal:
        refusal = "does not say which of the provider's connections it is: give it a name"
    return Credential(
        place=found.place,
        provider=found.provider,
        connection=connection,
        values=values,
        known_as=frozenset(known_as),
        tenant=tenant,
        refusal=refusal,
    )


def _refused(place: str, provider: str, why: str) -> Credential:
    return Credential(place=place, provider=provider, connection="", values={}, refusal=why)


def _name(title: str) -> str:
    """A connection's name for what people called it: ``My shop!`` becomes ``My-shop``."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", title).strip("-._")[:64]
    return name if NAME.fullmatch(name) else ""


def _parsed(value: Any) -> Any:
    """A text that is JSON, as its value; anything else as it is."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _values(
    provider: str, fields: Fields, metadata: Any, forms: Mapping[str, Form]
) -> dict[str, Any]:
    """The credentials in the catalogue's form.

    Raises:
        NotTaken: They are not whole, not readable, or of something that this backend does not have.
    """
    status = fields.take_text("status", "state")
    if plain(status) in GONE:
        raise NotTaken(f"was {status} in the old backend")
    form = forms[provider]
    inner = None
    for name in INNER:
        inner = inner or fields.take(name)
    given = _parsed(inner)
    fields.take("provider", "providerId", "integration", "integrationId", "service", "platform")
    if given is None:
        given = fields.left
    if not isinstance(given, dict):
        raise NotTaken(UNREADABLE)
    given = _wrapped(unwrapped(given, "credentials"), form)
    if {plain(name) for name in given} & ENCRYPTED and not _known(given, form):
        raise NotTaken(UNREADABLE)
    _check_typed(given, provider, forms)
    values = _mapped(given, provider, form)
    for name, value in _known(metadata if isinstance(metadata, dict) else {}, form):
        values.setdefault(name, value)
    required = form["credentials"].get("required", [])
    if missing := [each for each in required if each not in values]:
        raise NotTaken(f"{', '.join(missing)} missing")
    return values


def _check_typed(given: Mapping[str, Any], provider: str, forms: Mapping[str, Form]) -> None:
    """Refuse what a log-in made: its grant is bound to the client that asked for it."""
    by_login = provider if forms[provider]["oauth"] else f"{provider}_oauth"
    names = {plain(name) for name in given}
    required = {plain(each) for each in forms[provider]["credentials"].get("required", [])}
    made_so = names & LOGGED_IN and required - names
    if forms[provider]["oauth"] or (by_login in forms and made_so):
        raise NotTaken(
            f"was made by logging in, which no file can stand for: log in to {by_login} again"
        )


def _properties(form: Form) -> dict[str, tuple[str, Mapping[str, Any]]]:
    properties = form["credentials"]["properties"]
    return {plain(name): (name, schema) for name, schema in properties.items()}


def _wrapped(given: dict[str, Any], form: Form) -> dict[str, Any]:
    """What is itself the object that one field takes, such as a key's file, under that field."""
    for name, schema in form["credentials"]["properties"].items():
        for each in schema.get("anyOf", []):
            needed = each.get("required", [])
            if needed and all(isinstance(given.get(key), str) for key in needed):
                inside = {k: v for k, v in given.items() if k in each["properties"]}
                others = {k: v for k, v in given.items() if plain(k) in _properties(form)}
                return {**others, name: inside}
    return given


def _known(given: Mapping[str, Any], form: Form) -> list[tuple[str, Any]]:
    """What fields of the form are in a record, by their own names."""
    properties = _properties(form)
    return [
        (properties[plain(name)][0], value)
        for name, value in given.items()
        if plain(name) in properties
        and not properties[plain(name)][1].get("readOnly")
        and isinstance(value, str | int | float | bool)
        and value != ""
    ]


def _mapped(given: Mapping[str, Any], provider: str, form: Form) -> dict[str, Any]:
    """Each given field under the form's name for it.

    Raises:
        NotTaken: The form has nothing like it, or a secret is not there whole.
    """
    properties = _properties(form)
    values: dict[str, Any] = {}
    surplus = []
    for name, value in given.items():
        if value is None or value == "":
            continue
        proper = _proper(name, provider, properties)
        schema = properties[proper][1] if proper else {}
        nested = isinstance(value, dict) and plain(name) in NESTED
        if nested and schema.get("type") in (None, "string"):
            values |= _mapped(value, provider, form)
        elif schema.get("readOnly"):
            continue
        elif proper:
            values[properties[proper][0]] = _typed(value, name, schema)
        elif plain(name) not in BOOKKEEPING and plain(name) not in ("expiresat", "status"):
            surplus.append(name[:64])
    if surplus:
        raise NotTaken(f"{provider} has no {', '.join(sorted(surplus))} here")
    return values


def _proper(name: str, provider: str, properties: Mapping[str, Any]) -> str:
    """The plain name of the form's field that a name means; ``""`` where it is not clear."""
    short = plain(name)
    beginnings = {plain(provider), *(old for old, new in OTHER_NAMES.items() if new == provider)}
    spellings = [short, *(short.removeprefix(each) for each in beginnings)]
    spellings += [each.removesuffix("json") for each in spellings]
    for each in spellings:
        for spelling in (each, SYNONYMS.get(each, "")):
            if spelling in properties:
                return spelling
    ends = [each for each in properties if len(short) >= LEAST_TAIL and each.endswith(short)]
    return ends[0] if len(ends) == 1 else ""


def _typed(value: Any, name: str, schema: Mapping[str, Any]) -> Any:
    """A value of the type that the form asks for, where another one clearly means it.

    Raises:
        NotTaken: It is a mask in the place of a secret.
    """
    if isinstance(value, str):
        value = value.strip()
    if any(MASKED.search(each) for each in secrets_in(value)):
        raise NotTaken(f"{name[:64]} is masked: the file does not have the secret itself")
    kind = schema.get("type")
    if kind == "integer" and isinstance(value, str) and value.isdecimal():
        return int(value)
    if schema.get("format") == "date-time" and (found := moment(value)):
        return rfc3339(found)
    if kind == "string" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if kind == "array" and isinstance(value, str):
        return [each.strip() for each in value.split(",") if each.strip()]
    return value
