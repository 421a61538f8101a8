"""The peers and the backends: gdnsd, nginx and HAProxy on the server's core, their backends on the load's.

Configured as an operator would for one core: no access log, keep-alive on both sides, the answers as in gslb's bench.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from machine import LOAD_CORE, SERVER_CORE, NotMeasuredError, Processes, accepts, children, free_port, tree, wait_for

BODY = "hello from a backend, a small body of about sixty-four bytes.\n"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Peer:
    """A running server: its port and the processes that do its work."""

    name: str
    port: int
    pids: tuple[int, ...]
    tcp: int = 0  # where it passes connections on unread


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def gdnsd(processes: Processes) -> Peer:
    """Geo-steered A and AAAA of www.example.com, one UDP thread."""
    folder, port = processes.folder / "gdnsd", free_port()
    for name in ("run", "state"):
        (folder / name).mkdir(parents=True)
    _write(
        folder / "config",
        f"""options => {{ listen => 127.0.0.1, dns_port => {port}, udp_threads => 1, tcp_threads => 1,
  run_dir = {folder}/run, state_dir = {folder}/state }}
plugins => {{ geoip => {{
  maps => {{ m => {{ datacenters => [eu, us, ap],
    nets => {{ "127.0.0.0/8" => [eu, us, ap], "10.0.0.0/8" => [ap, us, eu], "128.0.0.0/2" => [us, eu, ap] }} }} }}
  resources => {{ www => {{ map => m, service_types => up,
    dcmap => {{ eu => {{ addrs_v4 => 192.0.2.1, addrs_v6 => "2001:db8::1" }},
               us => {{ addrs_v4 => 192.0.2.2, addrs_v6 => "2001:db8::2" }},
               ap => {{ addrs_v4 => 192.0.2.3, addrs_v6 => "2001:db8::3" }} }} }} }} }} }}
""",
    )
    _write(
        folder / "zones/example.com",
        "@ SOA ns1 hostmaster 1 7200 1800 259200 900\n@ NS ns1\n@ NS ns2\nns1 A 127.0.0.1\nns2 A 127.0.0.2\n"
        "www 30 DYNA geoip!www\n",
    )
    process = processes.start("gdnsd", ["gdnsd", "-c", str(folder), "start"])
    wait_for(f"gdnsd ({processes.log_tail('gdnsd')})", lambda: accepts(port))
    return Peer("gdnsd", port, tuple(tree(process.pid)))


def _nginx(processes: Processes, name: str, http: str, core: int) -> tuple[int, ...]:
    """Starts nginx with one worker; returns that worker."""
    folder = processes.folder / name
    folder.mkdir()
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = _write(
        folder / "nginx.conf",
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        "worker_rlimit_nofile 20000; events { worker_connections 19000; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; {temporary}\n{http} }}\n",
    )
    process = processes.start(name, ["nginx", "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(config)], core)
    wait_for(f"{name}'s worker", lambda: process.poll() is not None or children(process.pid))
    if process.poll() is not None:
        raise NotMeasuredError(f"{name} does not start: {processes.log_tail(name)}")
    return tuple(children(process.pid))


def backends(processes: Processes) -> tuple[int, int, int]:
    """Three ports of one nginx on the load's core: `/` is a small body, `/1m` one MiB, `/health` says ok."""
    ports = free_port(), free_port(), free_port()
    files = processes.folder / "files"
    files.mkdir()
    (files / "1m").write_bytes(bytes(MIB))
    listens = " ".join(f"listen 127.0.0.1:{port} backlog=4096;" for port in ports)
    body = BODY.replace("\n", "\\n")
    http = f"""server {{ {listens} default_type text/plain; root {files};
  location = /1m {{ try_files /1m =404; }}
  location / {{ return 200 "{body}"; }} }}"""
    _nginx(processes, "backends", http, LOAD_CORE)
    wait_for("the backends", lambda: all(accepts(port) for port in ports))
    return ports


def nginx(processes: Processes, servers: tuple[int, ...]) -> tuple[Peer, Peer]:
    """A proxy in front of `servers`, and a `return 302`, in one worker. It spools no large body to disk."""
    proxy, redirect = free_port(), free_port()
    upstream = " ".join(f"server 127.0.0.1:{port};" for port in servers)
    http = f"""upstream u {{ {upstream} keepalive 256; keepalive_requests 1000000000; }}
proxy_max_temp_file_size 0;
server {{ listen 127.0.0.1:{proxy} backlog=4096; location / {{ proxy_pass http://u; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }}
server {{ listen 127.0.0.1:{redirect} backlog=4096;
  location / {{ return 302 https://eu-west.example.com$request_uri; }} }}"""
    pids = _nginx(processes, "nginx", http, SERVER_CORE)
    wait_for("nginx", lambda: accepts(proxy) and accepts(redirect))
    return Peer("nginx", proxy, pids), Peer("nginx", redirect, pids)


def haproxy(processes: Processes, servers: tuple[int, ...]) -> Peer:
    """A proxy in front of `servers` with one thread."""
    port, tcp = free_port(), free_port()
    lines = "".join(f"  server s{number} 127.0.0.1:{server}\n" for number, server in enumerate(servers))
    config = _write(
        processes.folder / "haproxy.cfg",
        f"""global
  nbthread 1
  maxconn 9900
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  option forwardfor
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  balance roundrobin
{lines}
frontend t
  mode tcp
  bind 127.0.0.1:{tcp}
  default_backend u
backend u
  mode tcp
  balance leastconn
{lines}""",
    )
    process = processes.start("haproxy", ["haproxy", "-db", "-f", str(config)])
    wait_for("haproxy", lambda: accepts(port))
    return Peer("haproxy", port, tuple(tree(process.pid)), tcp)


def powerdns(processes: Processes, database: Path) -> Peer:
    """www.example.com as a Lua record with pickclosest, located by our own database."""
    folder, port = processes.folder / "pdns", free_port()
    # places that the database knows: pickclosest measures the distance to each
    lua = "pickclosest({'193.0.6.139', '198.41.0.4', '202.12.27.33'})"
    zone = _write(
        folder / "zones.yaml",
        f"""domains:
- domain: example.com
  ttl: 30
  records:
    example.com:
      - soa: ns1.example.com hostmaster.example.com 1 7200 1800 259200 900
      - ns: ns1.example.com
    www.example.com:
      - lua: A "{lua}"
""",
    )
    process = processes.start(
        "pdns",
        [
            "pdns_server", f"--config-dir={folder}", f"--socket-dir={folder}", "--daemon=no", "--guardian=no",
            "--local-address=127.0.0.1", f"--local-port={port}", "--launch=geoip", f"--geoip-zones-file={zone}",
            f"--geoip-database-files=mmdb:{database}", "--enable-lua-records=yes", "--receiver-threads=1",
            "--distributor-threads=1", "--edns-subnet-processing=yes", "--security-poll-suffix=",
        ],
    )  # fmt: skip
    wait_for(f"PowerDNS ({processes.log_tail('pdns')})", lambda: accepts(port))
    return Peer("PowerDNS Lua", port, tuple(tree(process.pid)))
