"""Which region a client gets: the engine, and one file a policy."""
