"""What the engine speaks in: ids, values, errors, commands, events, the rules of texts. Imports nothing else of it."""
