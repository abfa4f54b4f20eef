"""What a server is told before it starts. Every field is an option of `chinwag serve`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from chinwag.http.api.rate_limits import RateLimit

RateLimits = Literal["documented", "off"]
ServerName = Literal["lane", "hypercorn"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
DEFAULT_SOCKETS_PER_USER = 100
DEFAULT_SOCKETS_PER_ADDRESS = 1000


class ListenAt(msgspec.Struct, frozen=True, kw_only=True):
    """Where to open a listener of a front's own, by the listener's name. Without a `port` at its usual one."""

    name: str
    host: str = DEFAULT_HOST
    port: int | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One server's settings. `fronts` are names, none for all; `port` 0 lets the system choose one.
    `listen` are the listeners of fronts' own that are open besides.

    `rate_limits` "documented" enforces the limits that the fronts' specs state, those of sockets, and waits after wrong
    passwords; "off" none of them. `rate_limit` puts another one in the place of a front's own (None: no limit at all),
    by its name. `sockets_per_user` and `sockets_per_address` bound WebSockets, None not at all. `trusted_proxies` are
    the addresses and networks whose word on their clients is taken. `admin_token` opens the fronts' admin
    endpoints, None closes them. `metrics_token` is needed for the metrics, None shows them to anybody.
    `cors_origins` are the web origins whose pages may read answers and open sockets, none for any.
    `public_url` is the address that clients know the server by, for links to it; None takes it from each request.
    `llm_url` and `llm_model` (both or neither) name a language model that writes the summaries; its key is never here.
    `server` is what speaks HTTP/1.1; with `tls_cert` and `tls_key` (PEM files, both or neither), inside TLS.
    """

    fronts: tuple[str, ...] = ()
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    listen: tuple[ListenAt, ...] = ()
    data_dir: Path = Path("chinwag-data")
    server: ServerName = "lane"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    rate_limits: RateLimits = "documented"
    rate_limit: Mapping[str, RateLimit | None] = {}
    sockets_per_user: int | None = DEFAULT_SOCKETS_PER_USER
    sockets_per_address: int | None = DEFAULT_SOCKETS_PER_ADDRESS
    trusted_proxies: tuple[str, ...] = ()
    admin_token: str | None = None
    metrics_token: str | None = None
    cors_origins: tuple[str, ...] = ()
    public_url: str | None = None
    access_token_minutes: float = 30.0
    llm_url: str | None = None
    llm_model: str | None = None
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"
