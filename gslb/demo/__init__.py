"""The demo: sample backends, a whole cluster on loopback, and a rehearsal that loses a region and measures it."""
