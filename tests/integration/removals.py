"""What Facebook tells of an account that takes something back, and what is stored of it."""

from typing import Any
from urllib.parse import urlencode

from tests.backend import Answer, Backend
from tests.fakes.facebook import FacebookStandIn, signed_request

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def tell(
    backend: Backend, what: str, signed: str, provider: str = "facebook_oauth", **more: Any
) -> Answer:
    """Post a signed request to `deauthorize` or `delete`."""
    path = f"/api/integrations/oauth/{what}/{provider}"
    raw = urlencode({"signed_request": signed}).encode()
    return backend.call("POST", path, raw=raw, headers=FORM, **more)


def signed(facebook: FacebookStandIn, user_id: str | None = None, **more: Any) -> str:
    """A signed request about who is logged in at the stand-in, or somebody else."""
    return signed_request(user_id or str(facebook.login_user), facebook.app_secret, **more)


def states(backend: Backend) -> dict[str, str]:
    """Tenant and connection → the state of each Facebook log-in."""
    return {
        f"{row['tenant']} {row['name']}": row["status"]
        for row in backend.aws.rows("ConnectionsTable")
        if row["provider"] == "facebook_oauth"
    }
