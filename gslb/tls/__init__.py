"""TLS: certificates and their keys from files to contexts, and the choice between them. Config and nodes call it."""
