"""Listeners from the words of the files."""

from pathlib import Path

import pytest

from gslb.config.compile import compile_plan, edge_settings, region_settings
from gslb.config.compile_listen import compile_listeners, compile_server_tls
from gslb.config.schema import ListenSection, ServerTlsSection
from gslb.model import KeyPair, Listener, ListenTls, ServerTls
from tests.support.config_files import changed, loaded, problems

SHORT = 'listen: ["127.0.0.1:8101"]'
LONG = """listen:
    - "127.0.0.1:8101"
    - address: "[::1]:443"
      tls:
        certificates: [{certificate: a.pem, key: a.key}, {certificate: b.pem, key: b.key, passphrase_file: b.txt}]
        min_version: "1.3"
        ciphers: ECDHE+AESGCM
        client_ca: ca.pem
      proxy_protocol: [10.0.0.0/8]
    - {address: "unix:run/http.sock", mode: "600", proxy_protocol: true}
    - {address: "127.0.0.1:80", redirect_to_https: true}
    - {address: "127.0.0.1:81", redirect_to_https: "https://www.example.com:8443/"}"""


def test_the_short_form_is_an_address(tmp_path):
    assert region_settings(loaded(tmp_path), "west").listeners == (Listener("127.0.0.1:8101"),)
    assert compile_listeners([ListenSection(address="127.0.0.1:80")]) == (Listener("127.0.0.1:80"),)


def test_all_that_a_listener_may_say(tmp_path):
    config = loaded(tmp_path, {"west.yaml": changed("west.yaml", SHORT, LONG)})
    plain, tls, unix, same, other = compile_plan(config, generation=1, region="west", geo=None).listeners

    def file(name: str) -> str:
        return str(Path(tmp_path, name))

    assert plain == Listener("127.0.0.1:8101")
    pairs = KeyPair(file("a.pem"), file("a.key")), KeyPair(file("b.pem"), file("b.key"), file("b.txt"))
    assert tls == Listener("[::1]:443", ListenTls(pairs, "1.3", "ECDHE+AESGCM", file("ca.pem")), ("10.0.0.0/8",))
    assert unix == Listener(f"unix:{file('run/http.sock')}", None, ("0.0.0.0/0", "::/0"), mode=0o600)
    assert (same.redirect, other.redirect) == ("https", "https://www.example.com:8443")


def test_an_edge_has_its_front_doors_listeners(tmp_path):
    text = changed("gslb.yaml", 'frontdoor: {listen: ["127.0.0.1:8080"]', f"frontdoor: {{listen: [{door('a')}]")
    config = loaded(tmp_path, {"gslb.yaml": text})
    [listener] = compile_plan(config, generation=1, region=None, geo=None, edge="edge-1").listeners
    assert listener == edge_settings(config, "edge-1").frontdoor[0]
    assert listener.tls is not None


def door(name: str) -> str:
    return f'{{address: "127.0.0.1:8080", tls: {{certificates: [{{certificate: {name}.pem, key: {name}.key}}]}}}}'


def test_tls_to_servers(tmp_path):
    assert compile_server_tls(None) is None
    assert compile_server_tls(ServerTlsSection(server_name="a.example.com")) == ServerTls(server_name="a.example.com")
    words = "retries: {attempts: 3}\n      tls: {ca: ca.pem, certificate: a.pem, key: a.key}\n      proxy_protocol: v2"
    config = loaded(tmp_path, {"west.yaml": changed("west.yaml", "retries: {attempts: 3}", words)})
    balancer = compile_plan(config, generation=1, region="west", geo=None).balancer
    pair = KeyPair(str(tmp_path / "a.pem"), str(tmp_path / "a.key"))
    assert balancer.pools["web"].tls == ServerTls(ca=str(tmp_path / "ca.pem"), pair=pair)
    assert balancer.pools["web"].proxy_protocol == "v2"
    assert (balancer.pools["api"].tls, balancer.pools["api"].proxy_protocol) == (None, "")


def test_what_a_reload_can_change(tmp_path):
    one, other = Listener("127.0.0.1:1"), Listener("127.0.0.1:1", ListenTls(()))

    def fixed(listener: Listener) -> dict:
        settings = region_settings(loaded(tmp_path), "west")
        return type(settings)(1, (listener,), "").fixed()

    assert fixed(one) != fixed(other)
    assert fixed(other) == fixed(Listener("127.0.0.1:1", ListenTls((KeyPair("a", "b"),), "1.3")))
    assert fixed(one) != fixed(Listener("127.0.0.1:1", proxy_networks=("10.0.0.0/8",)))


@pytest.mark.parametrize(
    ("listen", "message", "remedy"),
    [
        ("8101", "8101 is not a mapping", "known keys: address, mode"),
        ('{mode: "600"}', "'address' is missing", "0.0.0.0:443"),
        ('{address: "127.0.0.1:1", tsl: {}}', "unknown key 'tsl'", "did you mean 'tls'?"),
        ('{address: "127.0.0.1:1", tls: {certificates: []}}', "is empty", "at least one"),
        ('{address: "127.0.0.1:1", tls: {certificates: [{certificate: a}]}}', "'key' is missing", "private key"),
        ('{address: "127.0.0.1:1", tls: {certificates: [{certificate: a, key: b}], min_version: "1.1"}}',
         "'1.1' is not known here", "known: 1.2, 1.3"),
        ('{address: "127.0.0.1:1", tls: {certificates: [{certificate: a, key: b}], ciphers: "a b"}}',
         "is no list of ciphers", "ECDHE+AESGCM"),
        ('{address: "127.0.0.1:1", tls: {certificates: [{certificate: a, key: b}]}, redirect_to_https: true}',
         "can't redirect to HTTPS", "remove redirect_to_https"),
        ('{address: "127.0.0.1:1", redirect_to_https: "http://a.example.com"}', "no HTTPS URL", "write true"),
        ('{address: "127.0.0.1:1", proxy_protocol: []}', "says not who", "write true"),
        ('{address: "127.0.0.1:1", proxy_protocol: [10.0.0.1/8]}', "is not a network", "10.0.0.0/8"),
        ('"unix:"', "is no Unix socket", "unix:/run/gslb/http.sock"),
        (f'"unix:/{"x" * 120}"', "is no Unix socket", "107 bytes"),
        ('{address: "unix:/run/a", mode: "999"}', "is no file mode", '"660"'),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_file_line_and_remedy(tmp_path, listen, message, remedy):
    text = changed("west.yaml", SHORT, f"listen:\n    - {listen}")
    [problem] = problems(tmp_path, {"west.yaml": text})
    assert problem.file.endswith("west.yaml") and problem.line == 9
    assert message in problem.message and remedy in problem.remedy


def test_two_listeners_want_the_same_place(tmp_path):
    text = changed("west.yaml", SHORT, 'listen: ["unix:/run/a", {address: "unix:/run/a"}, "127.0.0.1:8101"]')
    [problem] = problems(tmp_path, {"west.yaml": text})
    assert "overlaps with unix:/run/a" in problem.message


def test_a_certificate_without_its_key(tmp_path):
    words = "retries: {attempts: 3}\n      tls: {certificate: a.pem}"
    [problem] = problems(tmp_path, {"west.yaml": changed("west.yaml", "retries: {attempts: 3}", words)})
    assert "belong together" in problem.message
