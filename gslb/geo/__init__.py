"""Where a client is: the GeoIP database, distances, and prefixes with their ECS scope."""
