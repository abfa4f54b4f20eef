"""The load generator: people and rooms, sockets and requests, and the books on who got what."""
