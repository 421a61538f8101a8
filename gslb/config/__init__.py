"""The configuration room: files -> Config (load.py, by schema.py's models) -> Plan (compile.py)."""
