"""Where files' bytes are kept."""
