"""The DNS authority: wire, edns, records, zones, answers and responder are core; server is the shell."""
