"""The routes by which a provider tells that somebody took something back there."""

import base64
import binascii
import html
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from aws_lambda_powertools import Logger

from integrations.entry import invocation, settings, trail, wiring_tenants
from integrations.entry.callback import HEADERS
from integrations.entry.invocation import Context
from integrations.entry.problem import NEVER_STORED, problem_of
from integrations.errors import IntegrationError
from integrations.services.removals import Removals

MAX_FORM = 64 * 1024
"""What is signed has a few hundred bytes."""

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title></head>
<body><h1>{title}</h1>{paragraphs}</body>
</html>
"""


def deauthorize(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """End the connections of an account that has removed the app.

    Args:
        event: A request of payload format 2.0.
        context: Says how much time is left.

    Returns:
        ``200``; a problem where it is not what the provider sends.
    """
    invocation.begin(context)

    def ended(removals: Removals, provider_id: str, form: Mapping[str, str]) -> dict[str, Any]:
        tenants = removals.deauthorize(provider_id, form)
        _tell(event, "deauthorize_account", tenants)
        return {"connections": len(tenants)}

    return _answered(event, ended)


def delete(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Delete what is stored of an account.

    Args:
        event: A request of payload format 2.0.
        context: Says how much time is left.

    Returns:
        ``200 {url, confirmation_code}`` once it is deleted; a problem where it is not what the
        provider sends.
    """
    invocation.begin(context)

    def deleted(removals: Removals, provider_id: str, form: Mapping[str, str]) -> dict[str, Any]:
        deletion = removals.delete(provider_id, form)
        _tell(event, "delete_account", deletion.tenants)
        return {"url": deletion.url, "confirmation_code": deletion.code}

    return _answered(event, deleted)


def show(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Show a person what became of a deletion.

    Args:
        event: A request of payload format 2.0.
        context: Says how much time is left.

    Returns:
        A page: ``200``; ``404`` where there is no such deletion, ``503`` where nobody can say now.
    """
    invocation.begin(context)
    settings.learn_address(event)
    parameters = event["pathParameters"]
    code = str(parameters["code"])
    try:
        provider, asked = wiring_tenants.removals().deletion(str(parameters["providerId"]), code)
    except IntegrationError as failure:
        problem = problem_of(failure)
        known = problem.status == HTTPStatus.NOT_FOUND
        title = "No such deletion" if known else "This cannot be shown now"
        return _page(int(problem.status), title, [problem.detail], problem.waiting)
    days = settings.retention().days
    gone = (
        f"What {settings.application_name()} had of your account at {provider.title} is deleted: "
        "the access to it, its name, its id and the list of its pages."
    )
    when = f"You asked for it on {asked:%d %B %Y, %H:%M} UTC. Confirmation code: {code}."
    rest = f"Messages and comments that had come before are deleted {days} days after they came."
    return _page(200, "Your data was deleted", [gone, when, rest])


def _answered(
    event: dict[str, Any],
    act: Callable[[Removals, str, Mapping[str, str]], dict[str, Any]],
) -> dict[str, Any]:
    settings.learn_address(event)
    provider_id = str(event["pathParameters"]["providerId"])
    try:
        body = act(wiring_tenants.removals(), provider_id, _form(event))
    except IntegrationError as failure:
        Logger().info("removal refused", provider=provider_id, reason=failure.detail)
        return problem_of(failure).response(str(event["requestContext"].get("requestId", "")))
    headers = {"Content-Type": "application/json", **NEVER_STORED}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(body)}


def _form(event: Mapping[str, Any]) -> dict[str, str]:
    """The form that was posted; nothing of what is none, which no signature fits."""
    text = str(event.get("body") or "")
    try:
        if event.get("isBase64Encoded"):
            text = base64.b64decode(text).decode()
        return dict(parse_qsl(text[:MAX_FORM], max_num_fields=20))
    except (ValueError, binascii.Error):
        return {}


def _tell(event: Mapping[str, Any], action: str, tenants: tuple[str, ...]) -> None:
    actor = {"kind": "system", "id": str(event["pathParameters"]["providerId"]), "name": action}
    for tenant in sorted(set(tenants)):
        trail.record(event, tenant, actor, action, "succeeded")


def _page(
    status: int, title: str, paragraphs: list[str], waiting: Mapping[str, str] | None = None
) -> dict[str, Any]:
    written = "".join(f"<p>{html.escape(each)}</p>" for each in paragraphs)
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        **HEADERS,
        **(waiting or {}),
    }
    body = _PAGE.format(title=html.escape(title), paragraphs=written)
    return {"statusCode": status, "headers": headers, "body": body}
