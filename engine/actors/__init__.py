"""Actors: a bounded mailbox with one reader, turns that one loop takes, supervision. Knows no chat."""
