"""Drills: a region is lost on purpose, clients are played, and what they saw is measured."""
