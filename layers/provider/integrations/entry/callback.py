"""The OAuth callback's side of a function: the provider's redirect in, a page or a redirect out."""

import html
import json
import secrets
from typing import Any
from urllib.parse import parse_qsl

from aws_lambda_powertools import Logger

from integrations.entry import browser, invocation, settings, trail, wiring
from integrations.entry.invocation import Context
from integrations.entry.problem import problem_of
from integrations.errors import HandshakeRefused, ServiceUnavailable, UnknownProvider

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 20vh auto; max-width: 28rem; padding: 1rem; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{message}</p>
<p>{application}</p>
<p>You can close this window.</p>
<script nonce="{nonce}">
const outcome = {outcome_json};
if (window.opener) {{
  let origins = outcome.origins;
  try {{
    // A page of ours opened it: the browser would warn about each other origin.
    origins = [window.opener.location.origin];
  }} catch {{ /* the application's page did, which shows itself to nobody */ }}
  for (const origin of origins) window.opener.postMessage(outcome.message, origin);
  window.close();
}}
</script>
</body>
</html>
"""


def complete(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """End a handshake.

    Args:
        event: A request of payload format 2.0.
        context: Says how much time is left.

    Returns:
        ``303`` to the handshake's ``redirectUri``, or a small page that tells its opener and
        closes; ``400`` where the state is not good, ``503`` where AWS is busy.
    """
    invocation.begin(context)
    settings.learn_address(event)
    provider_id = str(event["pathParameters"]["providerId"])
    try:
        query = parse_qsl(
            event.get("rawQueryString") or "", keep_blank_values=True, max_num_fields=50
        )
    except ValueError:
        query = []
    try:
        outcome = wiring.oauth_service().complete(
            provider_id, query, browser=browser.secret_of(event)
        )
    except (HandshakeRefused, UnknownProvider) as refusal:
        Logger().info("login refused", reason=refusal.detail)
        status = int(problem_of(refusal).status)
        return _page(status, "Not connected", refusal.detail, {"status": "failed"})
    except Exception as failure:  # noqa: BLE001 - a person waits for a page, whatever happened
        Logger().exception("callback failed", provider=provider_id)
        if isinstance(failure, ServiceUnavailable):
            detail = "Something is not available here now. Start again in a moment."
            page = _page(503, "Not connected", detail, {"status": "failed"})
            page["headers"] |= problem_of(failure).waiting
            return page
        detail = "Something went wrong here. Start again."
        return _page(500, "Not connected", detail, {"status": "failed"})
    Logger().info(
        "login ended",
        provider=outcome.provider,
        handshake_id=outcome.handshake_id,
        status=outcome.status,
    )
    actor = {"kind": "system", "id": outcome.handshake_id, "name": "log-in"}
    result = "succeeded" if outcome.status == "completed" else outcome.code
    trail.record(event, outcome.tenant, actor, "log_in", result)
    if outcome.redirect:
        return {"statusCode": 303, "headers": {"Location": outcome.redirect, **HEADERS}, "body": ""}
    title = "Connected" if outcome.status == "completed" else "Not connected"
    ended = {"handshakeId": outcome.handshake_id, "status": outcome.status}
    return _page(200, title, outcome.message, ended)


def _page(status: int, title: str, message: str, ended: dict[str, str]) -> dict[str, Any]:
    nonce = secrets.token_urlsafe(16)
    message_out = {"type": "integrations:oauth", **ended}
    script = json.dumps({"message": message_out, "origins": settings.frontend_urls()})
    body = _PAGE.format(
        title=html.escape(title),
        message=html.escape(message),
        application=html.escape(f"This is about the log-in of {settings.application_name()}."),
        nonce=nonce,
        outcome_json=script.replace("<", "\\u003c"),
    )
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
        f"script-src 'nonce-{nonce}'"
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        **HEADERS,
    }
    return {"statusCode": status, "headers": headers, "body": body}
