"""How events and commands travel: WebSockets over sockets, streams and ASGI."""
