"""The messenger API: routes below `/api`, and a WebSocket at `/ws`. README.md tells what its spec leaves open."""

from chinwag.http.api.front import Front
from chinwag.http.api.rate_limits import RateLimit
from chinwag.http.fronts.messenger.errors import encode_error, error_status
from chinwag.http.fronts.messenger.events import SOCKET_EVENTS
from chinwag.http.fronts.messenger.routes import ROUTES
from chinwag.http.fronts.messenger.socket import MessengerSocket
from chinwag.http.kit.plain_errors import ErrorBody
from chinwag.http.kit.uuid_ids import IDS

FRONT = Front(
    name="messenger",
    title="Messenger",
    description="Conversations of two and groups over HTTP; a WebSocket that brings all of a user's messages.",
    base="/api",
    routes=ROUTES,
    ids=IDS,
    encode_error=encode_error,
    error_status=error_status,
    error_type=ErrorBody,
    socket_path="/ws",
    socket_token_parameters=("token",),
    socket_events=SOCKET_EVENTS,
    socket=MessengerSocket,
    rate_limit=RateLimit(600, 60.0),
)
