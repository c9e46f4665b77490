"""DELETE /api/secrets/{name}: remove a secret."""

from integrations.entry import wiring
from integrations.entry.http import Api, SecretName
from integrations.errors import UnknownSecret
from integrations.services.answers.secrets import SecretDeleted

app = Api(refuses=(UnknownSecret,))


@app.delete("/api/secrets/<name>", summary="Delete a secret", tags=["Secrets"])
def delete_secret(name: SecretName) -> SecretDeleted:
    """A step that names it fails from now on."""
    return wiring.secret_service().delete(app.tenant, name)


handler = app.handler
