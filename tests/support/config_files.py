"""A small configuration to make mistakes in, and what the loader says of it. Imported by the tests of this folder."""

from pathlib import Path

from gslb.config.load import load
from gslb.config.schema import Config
from gslb.errors import ConfigError, Problem

CLUSTER = """\
cluster: test
state:
  redis: []
  directory: state
edge:
  workers: 2
  dns: {listen: ["127.0.0.1:5300", "[::1]:5300"]}
  frontdoor: {listen: ["127.0.0.1:8080"], trusted_proxies: [10.0.0.0/8]}
  admin: {listen: "127.0.0.1:9470"}
edges:
  edge-1: {}
  edge-2: {workers: 4, admin: {listen: "127.0.0.1:9480"}}
probe: {interval: 1s, fast_interval: 300ms, timeout: 800ms, fall: 3, rise: 10}
zones:
  example.com:
    nameservers: {ns1: ["192.0.2.53", "2001:db8::53"], ns2: ["198.51.100.53"]}
    ttl: 1h
    records:
      - {name: "@", type: MX, data: "10 mail"}
      - {name: mail, type: A, ttl: 5m, data: 192.0.2.25}
      - {name: blog, type: CNAME, data: www}
services:
  www.example.com:
    regions: [west, east]
    steering: [nearest]
    ttl: {min: 5s, max: 60s}
    when_all_down: all
  api.example.com:
    regions: [east]
log: {format: text, level: info}
"""

WEST = """\
region: west
location: {latitude: 53.34, longitude: -6.26, country: IE}
addresses: ["192.0.2.10", "2001:db8:1::10"]
url: "http://127.0.0.1:8101"
capacity: 20000
balancer:
  workers: auto
  listen: ["127.0.0.1:8101"]
  admin: "127.0.0.1:9471"
  timeouts: {connect: 1s}
  routes:
    - {match: {host: www.example.com, path: /api/*}, pool: api}
    - {match: {}, pool: web}
  pools:
    api:
      servers: [{id: api-1, host: 127.0.0.1, port: 9004}]
    web:
      algorithm: least_connections
      servers:
        - {id: web-1, host: 127.0.0.1, port: 9001, weight: 2, max_connections: 500}
        - {id: web-2, host: "::1", port: 9002}
      health: {type: http, path: /health, interval: 2s, timeout: 1s, rise: 2, fall: 3}
      retries: {attempts: 3}
"""

EAST = """\
region: east
location: {latitude: 38.95, longitude: -77.45}
addresses: ["198.51.100.10"]
url: http://east.example.net
balancer:
  listen: ["0.0.0.0:80"]
  pools:
    web:
      servers: [{host: backend.example.net, port: 80}]
"""

FILES = {"gslb.yaml": CLUSTER, "west.yaml": WEST, "east.yaml": EAST}


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def loaded(folder: Path, changes: dict[str, str | bytes] | None = None, **environment: str) -> Config:
    return load(write(folder, {**FILES, **(changes or {})}), environment=environment)


def problems(folder: Path, changes: dict[str, str | bytes] | None = None, **environment: str) -> list[Problem]:
    """What the loader says of the files with these in place of theirs."""
    try:
        loaded(folder, changes, **environment)
    except ConfigError as error:
        found = list(error.problems)
    else:
        return []
    assert found, "a ConfigError says what is wrong"
    return found


def changed(file: str, old: str, new: str) -> str:
    """A file with `old`, which must be in it once, replaced."""
    text = FILES[file]
    assert text.count(old) == 1, f"{old!r} is in {file} {text.count(old)} times"
    return text.replace(old, new)
