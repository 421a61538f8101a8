"""HTTP/1.1: heads and framing (core), the regional proxy and the front door (shells). See docs/proxy.md."""
