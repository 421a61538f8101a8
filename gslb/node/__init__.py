"""A node: the parent that keeps the sockets, control, the data workers, and the messages between them.

The composition root: the only room that knows all the others. The CLI and the demo call it.
"""
