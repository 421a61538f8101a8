"""gslb: a geo-distributed global server load balancer that one team can run itself."""

__version__ = "0.1.0"
