"""How what may not wait has something done that waits: what services and actors are handed."""

from collections.abc import Callable

Spawn = Callable[..., None]
"""Starts `task(*args)` beside everything else: it ends with the engine at the latest, and what it raises is logged."""
