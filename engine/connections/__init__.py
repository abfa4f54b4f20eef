"""Connections: who is admitted, sessions, fan-out, presence, and a transport within the process."""
