"""PUT /api/secrets/{name}: save a secret that steps use as `{{ secrets.NAME }}`."""

from typing import Annotated

from pydantic import SecretStr

from integrations.entry import wiring
from integrations.entry.http import Api, Body, Request, SecretName
from integrations.services.answers.secrets import SecretAnswer

app = Api()


class SecretRequest(Request):
    """The value; it is sealed, used by steps, and never shown."""

    value: SecretStr


@app.put("/api/secrets/<name>", summary="Save a secret", tags=["Secrets"])
def save_secret(name: SecretName, body: Annotated[SecretRequest, Body()]) -> SecretAnswer:
    """Creates it, or replaces its value from the next step on."""
    return wiring.secret_service().save(app.tenant, name, body.value)


handler = app.handler
