"""TLS of whole nodes: names, resumption across workers, renewal, redirects; curl and openssl are the judges."""

import os
import re
import signal
import socket
import ssl
import subprocess
from dataclasses import dataclass

import pytest

from gslb.demo.clients import get
from tests.support.certificates import Authority, Issued
from tests.support.sandbox import Sandbox, free_port, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


@dataclass
class Secure:
    """A region of two workers and an edge, both with TLS."""

    box: Sandbox
    authority: Authority
    default: Issued
    ports: dict[str, int]

    def curl(self, host: str, *words: str, port: str = "tls", path: str = "/", scheme: str = "https"):
        """curl for `host` at one of the ports; stdout is the answer with its head."""
        where = f"{host}:{self.ports[port]}"
        return subprocess.run(
            ["curl", "-sS", "-i", "--max-time", "10", "--cacert", str(self.authority.file),
             "--resolve", f"{where}:127.0.0.1", *words, f"{scheme}://{where}{path}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def s_client(self, *words: str, port: str = "tls") -> str:
        """What `openssl s_client` says of a handshake."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.ports[port]}", "-CAfile", str(self.authority.file),
             *words],
            input="GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n", capture_output=True,
            text=True, check=False, timeout=20,
        )  # fmt: skip
        return done.stdout + done.stderr

    def subject(self, name: str) -> str:
        """The common name of the certificate that is shown for `name`."""
        found = re.search(r"subject=.*CN ?= ?(\S+)", self.s_client("-servername", name))
        return found[1] if found else ""

    def status(self) -> dict:
        return self.box.status("9471")

    def workers(self) -> dict[int, int]:
        return {p["index"]: p["pid"] for p in self.status()["processes"] if p["role"] == "worker" and p["ready"]}


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder / "keys")
    default = authority.issue("eu.example.com", "www.example.com", "127.0.0.1")
    wildcard = authority.issue("*.apps.example.com", kind="rsa")
    box = Sandbox(folder)
    names = ("tls", "redirect", "base", "front", "frontredirect", "mtls")
    ports = {name: free_port() for name in names} | {"plain": box.ports["8101"]}
    box.edit("eu-west.yaml", "workers: auto", "workers: 2")
    box.edit(
        "eu-west.yaml",
        f'listen: ["127.0.0.1:{ports["plain"]}"]',
        f"""listen:
    - "127.0.0.1:{ports['plain']}"
    - {{address: "127.0.0.1:{ports['tls']}", tls: {{certificates: [{default.listen}, {wildcard.listen}]}}}}
    - {{address: "127.0.0.1:{ports['redirect']}", redirect_to_https: true}}
    - {{address: "127.0.0.1:{ports['base']}", redirect_to_https: "https://www.example.com:{ports['tls']}"}}
    - address: "127.0.0.1:{ports['mtls']}"
      tls: {{certificates: [{default.listen}], min_version: "1.3", client_ca: "{authority.file}"}}
    - {{address: "unix:http.sock", mode: "600"}}""",
    )
    box.edit(
        "gslb.yaml",
        f'listen: ["127.0.0.1:{box.ports["8080"]}"]',
        f"""listen: ["127.0.0.1:{box.ports['8080']}",
      {{address: "127.0.0.1:{ports['front']}", tls: {{certificates: [{default.listen}]}}}},
      {{address: "127.0.0.1:{ports['frontredirect']}", redirect_to_https: true}}]""",
    )
    box.edit(
        "eu-west.yaml",
        "\n  pools:\n",
        f"""
  pools:
    checked:
      servers: [{{id: door, host: 127.0.0.1, port: {ports['front']}}}]
      tls: {{ca: "{authority.file}"}}
      health: {{type: tls, interval: 1s}}
""",
    )
    box.edit("gslb.yaml", "\nservices:", "\nalerts: {rules: {certificate_expiry: {days: 100}}}\nservices:")
    one = Secure(box, authority, default, ports)
    cluster = box.cluster()
    cluster.members["eu-west-backends"].command.remove(f"127.0.0.1:{ports['front']}")
    with running(cluster, "edge-1", "eu-west", "eu-west-backends"):
        plain = f"http://127.0.0.1:{ports['plain']}/"
        until(lambda: get(plain, host="www.example.com").status == 200, 30, "the region")
        until(lambda: len(one.workers()) == 2, 20, "two workers")
        until(lambda: box.front_region() == "eu-west", 20, "the front door")
        yield one


# ---------------------------------------------------------------- a region
def test_https_is_served_and_verified(secure):
    done = secure.curl("www.example.com", "--http1.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("HTTP/1.1 200")


def test_the_server_is_told_that_it_was_https(secure):
    shown = secure.s_client("-quiet", "-servername", "www.example.com")
    assert "200 OK" in shown
    # an https target is right here, and nowhere else
    assert "HTTP/1.1 200" in secure.curl("www.example.com", "--request-target", "https://www.example.com/").stdout
    assert "HTTP/1.1 421" in secure.curl("www.example.com", "--request-target", "http://www.example.com/").stdout


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("eu.example.com", "eu.example.com"),
        ("WWW.example.com", "eu.example.com"),
        ("a.apps.example.com", "*.apps.example.com"),
        ("b.a.apps.example.com", "eu.example.com"),
        ("elsewhere.example.org", "eu.example.com"),
    ],
)
def test_the_certificate_follows_the_name(secure, name, shown):
    assert secure.subject(name) == shown


def test_without_a_name_the_first_certificate_is_shown(secure):
    assert "CN = eu.example.com" in secure.s_client("-noservername").replace("CN=", "CN = ")


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_tls_1_2_and_1_3_are_spoken(secure, version):
    assert f"New, TLSv1.{version[-1]}" in secure.s_client(f"-{version}") or f"Protocol  : TLSv1.{version[-1]}" in (
        secure.s_client(f"-{version}")
    )


def test_older_tls_and_http2_are_not(secure):
    assert "no peer certificate available" in secure.s_client("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "ALPN protocol: http/1.1" in secure.s_client("-alpn", "h2,http/1.1")
    assert "No ALPN negotiated" in secure.s_client("-alpn", "h2")


def served_by(secure, context, session):
    """One request on a new connection: the session for the next, whether this one was resumed."""
    raw = socket.create_connection(("127.0.0.1", secure.ports["tls"]), timeout=10)
    with context.wrap_socket(raw, server_hostname="www.example.com", session=session) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n")
        while sock.recv(65536):
            pass
        return sock.session, sock.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_at_every_worker_and_after_a_replacement(secure, version):
    context = ssl.create_default_context(cafile=str(secure.authority.file))
    context.minimum_version = context.maximum_version = version
    session, reused = served_by(secure, context, None)
    assert not reused
    for _ in range(20):  # the kernel spreads connections over both workers
        session, reused = served_by(secure, context, session)
        assert reused
    before = secure.workers()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: {*secure.workers()} == {1, 2} and not {*secure.workers().values()} & {*before.values()}, 20, "both")
    until(lambda: secure.curl("www.example.com").returncode == 0, 10, "TLS is back")
    for _ in range(10):
        session, reused = served_by(secure, context, session)
        assert reused, "the parent's ticket keys outlive the workers"


def test_openssl_resumes_too(secure, tmp_path):
    kept = tmp_path / "session"
    assert "New, TLS" in secure.s_client("-sess_out", str(kept), "-tls1_2")
    for _ in range(6):
        assert "Reused, TLS" in secure.s_client("-sess_in", str(kept), "-tls1_2")


@pytest.fixture
def restored(secure):
    """The default certificate is put back behind a test that replaces it."""
    files = {path: path.read_bytes() for path in (secure.default.certificate, secure.default.key)}
    yield
    for path, data in files.items():
        path.write_bytes(data)
    until(lambda: secure.subject("www.example.com") == "eu.example.com", 15, "the certificate that was there")


@pytest.mark.usefixtures("restored")
def test_a_renewed_certificate_is_served_and_open_connections_go_on(secure):
    context = ssl.create_default_context(cafile=str(secure.authority.file))
    raw = socket.create_connection(("127.0.0.1", secure.ports["tls"]), timeout=10)
    with context.wrap_socket(raw, server_hostname="www.example.com") as sock:
        request = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
        sock.sendall(request)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        old = sock.getpeercert(True)
        # another kind of key, too: nothing of the old one may stay behind
        secure.authority.issue("www.example.com", kind="rsa", common_name="renewed").copy_to(secure.default)
        until(lambda: secure.subject("www.example.com") == "renewed", 15, "the new certificate")
        for sigalgs in ("ECDSA+SHA256:RSA-PSS+SHA256", "RSA-PSS+SHA256"):
            assert "CN = renewed" in secure.s_client("-sigalgs", sigalgs).replace("CN=", "CN = ")
        sock.sendall(request)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        assert sock.getpeercert(True) == old
    # a pair that does not fit changes nothing and is told
    good = secure.default.key.read_bytes()
    secure.default.key.write_bytes(secure.authority.issue("www.example.com").key.read_bytes())
    port = secure.box.ports["9471"]

    def problem() -> str:
        rows = {row["certificate"]: row["problem"] for row in secure.status()["certificates"]}
        return rows[str(secure.default.certificate)]

    until(lambda: "is not the key of its certificate" in problem(), 15, "the problem in the status")
    assert b"gslb_tls_certificates_ok 0.0" in get(f"http://127.0.0.1:{port}/metrics").body
    assert secure.subject("www.example.com") == "renewed"
    assert secure.curl("www.example.com").returncode == 0
    refused = secure.box.gslb("reload", "--node", f"http://127.0.0.1:{port}")
    assert refused.returncode == 2 and "eu-west.yaml:" in refused.stdout + refused.stderr
    secure.default.key.write_bytes(good)
    until(lambda: problem() == "", 15, "all is well again")


def test_a_reload_adds_a_name(secure):
    added = secure.authority.issue("added.example.com")
    secure.box.edit("eu-west.yaml", "tls: {certificates: [", f"tls: {{certificates: [{added.listen}, ")
    assert secure.box.gslb("reload").returncode == 0
    until(lambda: secure.subject("added.example.com") == "added.example.com", 10, "the added certificate")
    secure.box.edit("eu-west.yaml", f"{added.listen}, ", "")
    assert secure.box.gslb("reload").returncode == 0
    until(lambda: secure.subject("added.example.com") != "added.example.com", 10, "it is gone again")


def test_expiry_is_a_metric_and_a_warning(secure):
    metrics = get(f"http://127.0.0.1:{secure.box.ports['9471']}/metrics").body.decode()
    labels = r'certificate="\*.apps.example.com",listener="([^"]+)"'
    found = re.search(rf"gslb_tls_certificate_expiry_seconds\{{{labels}\}} (\S+)", metrics)
    assert found is not None and found[1] == f"127.0.0.1:{secure.ports['tls']}"
    assert float(found[2]) > 1.7e9


def test_clients_show_a_certificate_where_they_must(secure):
    client = secure.authority.issue("client")
    shown = ("--cert", str(client.certificate), "--key", str(client.key))
    assert "HTTP/1.1 200" in secure.curl("www.example.com", *shown, port="mtls").stdout
    assert secure.curl("www.example.com", port="mtls").returncode != 0
    stranger = Authority(secure.box.folder / "other", "somebody else").issue("client")
    shown = ("--cert", str(stranger.certificate), "--key", str(stranger.key))
    assert secure.curl("www.example.com", *shown, port="mtls").returncode != 0
    assert secure.curl("www.example.com", "--tls-max", "1.2", port="mtls").returncode != 0


def test_http_is_redirected_to_https(secure):
    same = "https://www.example.com"
    for port, base in (("redirect", same), ("base", f"{same}:{secure.ports['tls']}")):
        done = secure.curl("www.example.com", port=port, path="/a/b?c=d", scheme="http")
        assert done.stdout.startswith("HTTP/1.1 301 ")
        assert f"Location: {base}/a/b?c=d\n" in done.stdout.replace("\r", "")
        assert secure.curl("www.example.com", "-d", "x", port=port, scheme="http").stdout.startswith("HTTP/1.1 308 ")
        assert secure.curl("evil.example.org", port=port, scheme="http").stdout.startswith("HTTP/1.1 421 ")
    metrics = get(f"http://127.0.0.1:{secure.box.ports['9471']}/metrics").body.decode()
    assert 'gslb_http_refused_total{code="308"} 2.0' in metrics


def test_a_unix_socket_serves(secure):
    path = secure.box.config / "http.sock"
    done = secure.curl("www.example.com", "--unix-socket", str(path), port="plain", scheme="http")
    assert done.stdout.startswith("HTTP/1.1 200 ")
    assert path.stat().st_mode & 0o777 == 0o600


# ---------------------------------------------------------------- the front door
def test_the_front_door_redirects_over_tls(secure):
    done = secure.curl("www.example.com", port="front", path="/x?y")
    assert done.stdout.startswith("HTTP/1.1 302 ")
    assert f"Location: http://127.0.0.1:{secure.ports['plain']}/x?y" in done.stdout
    assert secure.curl("other.example.com", "-k", port="front").stdout.startswith("HTTP/1.1 421 ")


def test_the_front_door_redirects_http_to_https(secure):
    done = secure.curl("www.example.com", port="frontredirect", path="/x", scheme="http")
    assert done.stdout.startswith("HTTP/1.1 301 ") and "Location: https://www.example.com/x" in done.stdout
    assert secure.curl("x.example.org", port="frontredirect", scheme="http").stdout.startswith("HTTP/1.1 421 ")


def test_a_certificate_that_ends_soon_is_told_of_ours_and_a_checked_servers(secure):
    def told():
        return {one["subject"] for one in secure.status()["alerts"] if one["rule"] == "certificate_expiry"}

    until(lambda: "eu-west/demo checked/door" in told(), 15, "the one that a check was shown")
    assert any(str(secure.ports["tls"]) in subject for subject in told()), "the one that is shown here"
    port = secure.box.ports["9471"]
    text = str(get(f"http://127.0.0.1:{port}/metrics").body, "utf-8")
    series = 'gslb_checked_certificate_expiry_seconds{target="checked/door"} '
    shown = next(one for one in text.splitlines() if one.startswith(series))
    assert 80 * 86_400 < float(shown.split()[1]) < 90 * 86_400
