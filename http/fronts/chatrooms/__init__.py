"""The chatrooms API: routes at the root, and a WebSocket at `/ws`. README.md tells what its spec leaves open."""

from chinwag.http.api.front import Front
from chinwag.http.api.rate_limits import RateLimit
from chinwag.http.fronts.chatrooms.errors import ErrorBody, encode_error, error_status
from chinwag.http.fronts.chatrooms.events import SOCKET_EVENTS
from chinwag.http.fronts.chatrooms.routes import ROUTES, UPLOADS
from chinwag.http.fronts.chatrooms.socket import ChatroomsSocket
from chinwag.http.kit.uuid_ids import IDS

FRONT = Front(
    name="chatrooms",
    title="Chatrooms",
    description="Chatrooms with roles, invitations, reactions, files, encryption, ranked search and summaries.",
    base="",
    routes=ROUTES,
    ids=IDS,
    encode_error=encode_error,
    error_status=error_status,
    error_type=ErrorBody,
    socket_path="/ws",
    socket_token_parameters=("token",),
    socket_events=SOCKET_EVENTS,
    socket=ChatroomsSocket,
    other_base="/api/v1",
    takes_trailing_slash=True,
    rate_limit=RateLimit(60, 60.0),
    rate_groups={UPLOADS: RateLimit(10, 3600.0)},
)
