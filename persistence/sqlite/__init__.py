"""The store on SQLite: one connection that writes, several that read, the journal, search."""
