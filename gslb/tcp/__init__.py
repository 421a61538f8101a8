"""TCP mode: connections passed on as they are to a pool's servers. `node/planes.py` uses it."""
