"""GET /api/integrations/oauth/status/{handshakeId}: how far a log-in is."""

from integrations.entry import wiring
from integrations.entry.http import Api, HandshakeId
from integrations.errors import UnknownHandshake
from integrations.services.answers.handshakes import HandshakeAnswer

app = Api(connect=True, refuses=(UnknownHandshake,))


@app.get(
    "/api/integrations/oauth/status/<handshakeId>", summary="Get a log-in's state", tags=["OAuth"]
)
def get_oauth_status(handshake_id: HandshakeId) -> HandshakeAnswer:
    """`pending`, `completed` with the metadata, `failed` with the reason, or `expired`."""
    session = app.caller.session
    return wiring.oauth_service().status(
        app.tenant, handshake_id, session_id=session.session_id if session else None
    )


handler = app.handler
