"""An engine's own life: its tasks, and the one look at the time for everybody."""
