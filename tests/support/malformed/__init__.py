"""Requests and responses that break HTTP or stand at its edge: each with its rule's source and the verdict."""
