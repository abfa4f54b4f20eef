"""The servers that Chinwag is measured against: programs of their own, each run by its path."""
