"""The HTTP/2 server, on h2."""
