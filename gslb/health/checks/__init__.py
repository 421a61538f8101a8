"""The health checks, one file each; `health.check.CHECKS` finds them by name."""
