"""The fronts, a folder each: what clients speak. None knows another."""
