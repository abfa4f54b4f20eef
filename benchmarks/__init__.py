"""Load, figures, and other servers beside this one: what `chinwag bench` runs."""
