"""Agents beside servers, asked by control, heard in the workers; and a node's own zone."""

import contextlib
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gslb.demo.clients import get
from tests.support.sandbox import free_port, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


@contextlib.contextmanager
def agent(host, port):
    """One server's agent; `.said` is what it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(server.said).encode()
            self.send_response(200 if self.path == "/load" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer((host, port), Handler)
    server.said = {"cpu_utilization": 0.2, "rps_fractional": 100}
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def shares(box, count=60):
    """How often each server answers."""
    url = f"http://127.0.0.1:{box.ports['8101']}/"
    names = [get(url, host="www.example.com").headers["x-server"] for _ in range(count)]
    return {name: names.count(name) for name in sorted(set(names))}


def test_resource_goes_by_what_agents_say(sandbox):
    port = free_port()
    text = (sandbox.config / "eu-west.yaml").read_text()
    start, end = text.index("      servers:\n"), text.index("      health:")
    hosts = "127.0.0.1", "127.0.0.2"
    servers = ", ".join(f"{{id: s{n}, host: {host}, port: {sandbox.ports['9001']}}}" for n, host in enumerate(hosts))
    pool = f"      servers: [{servers}]\n      agent: {{port: {port}, path: /load, interval: 200ms}}\n"
    text = (text[:start] + pool + text[end:]).replace("least_connections", "{resource: {blackout: 0s}}")
    (sandbox.config / "eu-west.yaml").write_text(text.replace("workers: auto", "workers: 2"))
    with agent(hosts[0], port) as idle, agent(hosts[1], port) as busy:
        busy.said = {"cpu_utilization": 0.8, "rps_fractional": 100}
        with running(sandbox.cluster(), "eu-west", "eu-west-backends"):
            until(lambda: bool(shares(sandbox, 1)), 20, "eu-west")

            def four_to_one():
                found = shares(sandbox)
                return len(found) == 2 and max(found.values()) >= 44

            until(four_to_one, 20, "4 : 1")
            shown = sandbox.status("9471")["servers"]["web/s1"]["agent"]
            assert (shown["cpu"], shown["problem"]) == (0.8, "")
            idle.said = {"nothing": 1}
            until(lambda: sandbox.status("9471")["servers"]["web/s0"]["agent"]["problem"] != "", 10, "a useless answer")

            def listed():
                done = sandbox.gslb("servers", "--json", "--node", f"http://127.0.0.1:{sandbox.ports['9471']}")
                return {one["server_id"]: one for one in json.loads(done.stdout)["node"]["servers"]}

            until(lambda: listed()["s1"]["cpu_usage"] == 0.8, 5, "the list has it, too")


def test_a_node_says_its_own_zone(sandbox):
    for server, zone in (("web-1", "a"), ("web-2", "b"), ("web-3", "b")):
        sandbox.edit("eu-west.yaml", f"id: {server},", f"id: {server}, zone: {zone},")
    sandbox.edit("eu-west.yaml", "least_connections", "round_robin")
    sandbox.edit("eu-west.yaml", "  workers: auto", "  zone: b\n  workers: 1")
    cluster = sandbox.cluster()
    cluster.members["eu-west"].command += ["--zone", "a"]
    place = {name: f"127.0.0.1:{sandbox.ports[port]}" for name, port in (("web-1", "9001"), ("web-2", "9002"))}
    with running(cluster, "eu-west", "eu-west-backends"):
        until(lambda: bool(shares(sandbox, 1)), 20, "eu-west")
        assert set(shares(sandbox, 20)) == {place["web-1"]}
        node = ("--node", f"http://127.0.0.1:{sandbox.ports['9471']}")
        assert sandbox.gslb("servers", "set", "web/web-2", "--zone", "a", *node).returncode == 0
        until(lambda: set(shares(sandbox, 20)) == set(place.values()), 10, "two servers of the zone")
        assert sandbox.gslb("servers", "set", "web/web-2", "--priority", "1", *node).returncode == 0
        until(lambda: set(shares(sandbox, 20)) == {place["web-1"]}, 10, "the other is a backup now")


class Line(socketserver.StreamRequestHandler):
    """A text agent: waits for the word it is asked by, and says its line."""

    def handle(self):
        if self.rfile.readline() == b"state\n":
            self.wfile.write(self.server.said)


def test_a_text_agent_takes_its_server_out_by_share_by_drain_and_by_its_word_that_it_is_down(sandbox):
    port = free_port()
    sandbox.edit("eu-west.yaml", "least_connections", "round_robin")
    sandbox.edit("eu-west.yaml", "weight: 2, max_connections: 500", "weight: 1")
    agent = f"      agent: {{type: text, port: {port}, send: 'state\\n', interval: 200ms}}\n"
    sandbox.edit("eu-west.yaml", "      health:", f"{agent}      health:")
    for server in ("web-2", "web-3"):
        text = (sandbox.config / "eu-west.yaml").read_text()
        (sandbox.config / "eu-west.yaml").write_text("\n".join(
            line for line in text.split("\n") if f"id: {server}," not in line
        ))  # fmt: skip
    other = f"        - {{id: other, host: 127.0.0.2, port: {sandbox.ports['9001']}}}\n"
    sandbox.edit("eu-west.yaml", "      agent:", f"{other}      agent:")
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), Line) as server:
        server.said = b"100% ready up\n"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

        def row(name="web-1"):
            return sandbox.status("9471")["servers"][f"web/{name}"]

        with running(sandbox.cluster(), "eu-west", "eu-west-backends"):
            until(lambda: row()["agent"]["says"] == "100%", 20, "it is heard")
            assert "Connection refused" in row("other")["agent"]["problem"], "and that is no failure"
            assert row("other")["state"] == "up"
            server.said = b"drain 0%\n"
            until(lambda: row()["state"] == "draining", 5, "it drains")
            server.said = b"ready 0%\n"
            until(lambda: row()["state"] == "up", 5, "ready")
            server.said = b"100% down#no disk\n"
            until(lambda: row()["state"] == "down" and "no disk" in row()["why"], 5, "down by its own word")
            server.said = b"up\n"
            until(lambda: row()["state"] == "up", 5, "up again")
        server.shutdown()
