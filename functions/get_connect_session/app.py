"""GET /api/connect/session: what the caller's connect session is for."""

from integrations.entry import wiring
from integrations.entry.http import Api
from integrations.services.answers.tokens import SessionAnswer

app = Api(scope="connect", connect=True)


@app.get("/api/connect/session", summary="Get the connect session", tags=["Access"])
def get_connect_session() -> SessionAnswer:
    """For the session's own page; only a connect session's token has one."""
    session = app.session
    return wiring.token_service().session(
        session.providers, session.connection_name, session.redirect_uri, session.ends
    )


handler = app.handler
