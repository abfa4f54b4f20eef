"""Measuring servers beside each other: who they are, how they run, the works they are compared by."""
