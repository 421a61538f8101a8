"""What people and programs see of a node: its log, its admin API, its metrics' extras, and the commands that ask it."""
