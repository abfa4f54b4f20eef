"""What the server asks of others over HTTP."""
