"""Messages: the service `engine.messages`, what a connection missed, search."""
