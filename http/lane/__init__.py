"""The fast lane: our own HTTP/1.1 server, on plain sockets and over TLS."""
