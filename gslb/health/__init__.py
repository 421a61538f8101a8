"""Is it up: checks judge replies, trackers turn results into states, quorum turns everybody's evidence into a status.

All core but `runner.py`, which sends the probes. Control calls this room; the data plane only reads the Status.
"""
