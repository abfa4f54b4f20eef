"""Accepted connections: sockets, streams, TLS, and how they all end."""
