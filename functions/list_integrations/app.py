"""GET /api/integrations: the catalogue of providers, their forms, actions and triggers."""

from integrations.entry.http import Api
from integrations.services import catalogue
from integrations.services.answers import CatalogueAnswer

app = Api()


@app.get("/api/integrations", summary="The catalogue", tags=["Integrations"])
def list_integrations() -> CatalogueAnswer:
    """Every provider with the JSON Schema of its credentials, its actions and its triggers."""
    return catalogue.held()


handler = app.handler
