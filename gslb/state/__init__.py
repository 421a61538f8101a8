"""What nodes tell each other, and what a node remembers: shared stores, the loop that keeps them, the state directory.

No answer and no request waits for anything here; only control imports it (and the parent, for the directory's lock).
"""
