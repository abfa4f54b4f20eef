"""What the engine speaks in: ids, values, errors, commands, events, positions, limits, the rules of texts.

Also the protocols that services are given: store, commits, publisher, clock. Imports nothing else of the engine.
"""
