"""Rooms: their rules, memory and actors, the registry of those that are awake; the service `engine.rooms`."""
