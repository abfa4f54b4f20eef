"""The ChatterStack API: routes below `/v1`, and a WebSocket at `/ws`. README.md tells what its spec leaves open."""

from chinwag.http.api.front import Front
from chinwag.http.fronts.chatterstack.errors import encode_error, error_status
from chinwag.http.fronts.chatterstack.events import SOCKET_EVENTS
from chinwag.http.fronts.chatterstack.ids import IDS
from chinwag.http.fronts.chatterstack.routes import ROUTES
from chinwag.http.fronts.chatterstack.socket import ChatterstackSocket
from chinwag.http.kit.plain_errors import ErrorBody

FRONT = Front(
    name="chatterstack",
    title="ChatterStack",
    description="Rooms, direct messages, receipts and search over HTTP, live events over a WebSocket.",
    base="/v1",
    routes=ROUTES,
    ids=IDS,
    encode_error=encode_error,
    error_status=error_status,
    error_type=ErrorBody,
    socket_path="/ws",
    socket_token_parameters=("access_token",),
    socket_events=SOCKET_EVENTS,
    socket=ChatterstackSocket,
)
