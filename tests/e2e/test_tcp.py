"""TCP mode end to end: a real Redis behind a region, redis-cli in front of it."""

import contextlib
import socket
import subprocess

import pytest

from tests.support.redis_server import RedisServer
from tests.support.sandbox import free_port, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def cache(sandbox):
    """eu-west with a TCP listener before two Redis servers: the sandbox, the port, the servers."""
    port = free_port()
    with RedisServer() as one, RedisServer() as two:
        sandbox.edit("eu-west.yaml", "workers: auto", "workers: 2")
        web = sandbox.ports["8101"]
        listen = f'["127.0.0.1:{web}", {{address: "127.0.0.1:{port}", tcp: cache}}]'
        sandbox.edit("eu-west.yaml", f'["127.0.0.1:{web}"]', listen)
        servers = ", ".join(f"{{host: 127.0.0.1, port: {redis.port}}}" for redis in (one, two))
        pool = (
            f"    cache:\n      servers: [{servers}]\n      algorithm: least_connections\n"
            "      health: {type: tcp, interval: 200ms, timeout: 200ms, rise: 1, fall: 2}\n"
        )
        sandbox.edit("eu-west.yaml", "  pools:\n", f"  pools:\n{pool}")
        with running(sandbox.cluster(), "eu-west"):  # not its sample backends, which would want the servers' ports
            until(lambda: cli(port, "PING") == "PONG", 20, "TCP")
            yield sandbox, port, (one, two)


def cli(port, *words):
    done = subprocess.run(
        ["redis-cli", "-p", str(port), *words], capture_output=True, text=True, timeout=10, check=False
    )
    return done.stdout.strip()


@contextlib.contextmanager
def holding(port, count):
    """Connections that stay."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(count)]


def ask(sock):
    """What is answered; b"" if the connection is gone."""
    try:
        sock.sendall(b"PING\r\n")
        return sock.recv(100)
    except OSError:
        return b""


def test_a_client_speaks_with_a_server_and_load_is_shared(cache):
    box, port, servers = cache
    assert cli(port, "SET", "key", "v" * 100_000) == "OK"
    with holding(port, 8) as held:
        assert {ask(one) for one in held} == {b"+PONG\r\n"}
        clients = [redis.ask("CLIENT", "LIST", "TYPE", "normal").count("\n") for redis in servers]
        assert min(clients) >= 2  # each worker shares its own connections out
        until(lambda: box.metric('gslb_tcp_active_connections{pool="cache"}') == 8, 5, "eight connections")
    until(lambda: box.metric('gslb_tcp_active_connections{pool="cache"}') == 0, 5, "none")
    assert box.metric('gslb_tcp_connections_total{pool="cache",result="ok"}') >= 9
    assert box.metric('gslb_tcp_received_bytes_total{pool="cache"}') > 100_000


def test_connections_outlive_a_reload_and_a_lost_server_is_left_alone(cache):
    box, port, (one, _) = cache
    with holding(port, 6) as held:
        assert {ask(each) for each in held} == {b"+PONG\r\n"}
        assert box.gslb("reload", "--node", f"http://127.0.0.1:{box.ports['9471']}").returncode == 0
        assert {ask(each) for each in held} == {b"+PONG\r\n"}
        one.stop()
        until(lambda: box.status("9471")["servers"][f"cache/127.0.0.1:{one.port}"]["state"] == "down", 10, "down")
        assert {cli(port, "PING") for _ in range(6)} == {"PONG"}
        left = [ask(each) for each in held]
        assert 2 <= left.count(b"+PONG\r\n") <= 4
        assert set(left) == {b"+PONG\r\n", b""}


def test_what_can_not_be_is_told(sandbox):
    web = sandbox.ports["8101"]
    sandbox.edit("eu-west.yaml", f'["127.0.0.1:{web}"]', f'[{{address: "127.0.0.1:{web}", tcp: wev}}]')
    door = sandbox.ports["8080"]
    sandbox.edit("gslb.yaml", f'["127.0.0.1:{door}"]', f'[{{address: "127.0.0.1:{door}", tcp: web}}]')
    told = sandbox.gslb("check")
    assert told.returncode == 2
    assert "there is no pool 'wev'" in told.stderr
    assert "no listener speaks HTTP" in told.stderr
    assert "a front door speaks HTTP" in told.stderr
