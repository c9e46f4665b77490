"""What Meta posts where somebody removes the app from their account, or asks for their data to go.

https://developers.facebook.com/docs/facebook-login/security#deauthorize
https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback
https://developers.facebook.com/docs/games/gamesonfacebook/login#parsingsr
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from integrations import strict_json
from integrations.errors import FieldError, InvalidInput, SignatureRefused
from integrations.models import Json, from_epoch, now
from integrations.providers.base import OAuthApp, Removal

FIELD = "signed_request"


def removal_of(app: OAuthApp, form: Mapping[str, str]) -> Removal:
    """Whose account it is, by the app's own signature.

    Args:
        app: The stack's app, whose secret signs.
        form: What was posted.

    Raises:
        SignatureRefused: It is not signed, or not by the app's secret.
        InvalidInput: What is signed names no account.
    """
    encoded, _, payload = form.get(FIELD, "").partition(".")
    secret = app.client_secret.get_secret_value().encode()
    expected = hmac.new(secret, payload.encode(), hashlib.sha256).digest()
    if not payload or not hmac.compare_digest(_decoded(encoded), expected):
        raise SignatureRefused("signed_request is not signed by this app")
    try:
        signed = strict_json.read(_decoded(payload))
    except strict_json.NotJson:
        signed = None
    fields = signed if isinstance(signed, dict) else {}
    user_id = fields.get("user_id")
    if isinstance(user_id, bool) or not str(user_id).isdecimal():
        detail = "is signed and names no user_id"
        raise InvalidInput(f"{FIELD} {detail}", [FieldError(FIELD, detail)])
    at = from_epoch(_issued_at(fields.get("issued_at")))
    return Removal(account_id=str(user_id), at=at)


def _decoded(text: str) -> bytes:
    """Base64url without its padding; nothing where it is none, which no signature is."""
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return b""


def _issued_at(issued_at: Json) -> float:
    present = now().timestamp()
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        return present
    return min(max(float(issued_at), 0.0), present)
