"""An engine's own life: its tasks, its commits, its jobs, and the one look at the time for everybody."""
