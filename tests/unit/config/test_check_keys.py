"""Certificates and keys that the files name: read, tried, and told with file and line."""

import time

import pytest

from gslb.config.load import load
from gslb.config.source import KeyChecks
from gslb.errors import ConfigError
from tests.support.certificates import Authority
from tests.support.config_files import FILES, changed, write

SHORT = 'listen: ["127.0.0.1:8101"]'


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "keys")


def with_tls(pair: str, more: str = "") -> dict:
    tls = f"{{certificates:\n        [{pair}]{more}}}"
    listen = f'listen:\n    - address: "127.0.0.1:8101"\n      tls: {tls}'
    return {**FILES, "west.yaml": changed("west.yaml", SHORT, listen)}


def told(folder, files, keys=None):
    folder = folder / "files"
    folder.mkdir(exist_ok=True)
    write(folder, files)
    try:
        load(folder, environment={}, keys=keys)
    except ConfigError as error:
        return list(error.problems)
    return []


ALL = KeyChecks(None, time.time())


def test_good_pairs_are_no_problem(tmp_path, authority):
    issued = authority.issue("a.example.com", passphrase="secret")
    (tmp_path / "pass").write_text("secret\n")
    pair = issued.listen.replace("}", f', passphrase_file: "{tmp_path / "pass"}"}}')
    assert told(tmp_path, with_tls(pair, f', client_ca: "{authority.file}"'), ALL) == []


@pytest.mark.parametrize(
    ("spoil", "path", "message", "remedy"),
    [
        (lambda i, a: i.key.unlink(), "key", "can't read", "write the path"),
        (lambda i, a: i.certificate.unlink(), "certificate", "can't read", "write the path"),
        (lambda i, a: i.key.write_bytes(a.issue("b").key.read_bytes()), "key", "is not the key of", "asked for with"),
        (lambda i, a: a.issue("a", days=-2).copy_to(i), "certificate", "expired on", "renew it"),
        (lambda i, a: a.issue("a", passphrase="x").copy_to(i), "key", "is encrypted", "passphrase_file"),
        (lambda i, a: i.certificate.write_text("nothing"), "certificate", "holds no certificate", "PEM"),
    ],
)
def test_bad_pairs_are_told(tmp_path, authority, spoil, path, message, remedy):
    issued = authority.issue("a.example.com")
    spoil(issued, authority)
    [problem] = told(tmp_path, with_tls(issued.listen), ALL)
    assert problem.file.endswith("west.yaml") and problem.line == 11
    assert problem.path == f"balancer.listen[0].tls.certificates[0].{path}"
    assert message in problem.message and remedy in problem.remedy


def test_a_wrong_passphrase(tmp_path, authority):
    issued = authority.issue("a.example.com", passphrase="right")
    (tmp_path / "pass").write_text("wrong")
    [problem] = told(tmp_path, with_tls(issued.listen.replace("}", f', passphrase_file: "{tmp_path / "pass"}"}}')), ALL)
    assert "does not open the key" in problem.message and str(tmp_path / "pass") in problem.message


def test_authorities_and_ciphers(tmp_path, authority):
    issued = authority.issue("a.example.com")
    [problem] = told(tmp_path, with_tls(issued.listen, f', client_ca: "{issued.key}"'), ALL)
    assert problem.path.endswith("tls.client_ca") and "holds no certificate" in problem.message
    [problem] = told(tmp_path, with_tls(issued.listen, ", ciphers: NOSUCH"), ALL)
    assert problem.path.endswith("tls.ciphers") and "knows no cipher" in problem.message


def test_a_pools_files(tmp_path, authority):
    issued = authority.issue("a.example.com")
    words = f'retries: {{attempts: 3}}\n      tls: {{ca: missing, certificate: "{issued.certificate}", key: other}}'
    found = told(tmp_path, {**FILES, "west.yaml": changed("west.yaml", "retries: {attempts: 3}", words)}, ALL)
    assert [problem.path for problem in found] == ["balancer.pools.web.tls.key", "balancer.pools.web.tls.ca"]


def test_only_those_are_read_who_are_asked_for(tmp_path):
    files = with_tls("{certificate: missing.pem, key: missing.key}")
    assert told(tmp_path, files) == []  # other hosts' files are not here
    assert told(tmp_path, files, KeyChecks("east")) == []
    assert told(tmp_path, files, KeyChecks("edge-1")) == []
    assert len(told(tmp_path, files, KeyChecks("west"))) == 1
    assert len(told(tmp_path, files, ALL)) == 1


def test_edges_read_their_own(tmp_path):
    door = 'frontdoor: {listen: [{address: "127.0.0.1:%d", tls: {certificates: [{certificate: %s, key: k}]}}]'
    text = changed("gslb.yaml", 'frontdoor: {listen: ["127.0.0.1:8080"]', door % (8080, "common"))
    assert "edge-2: {" in text
    text = text.replace("edge-2: {", f"edge-2: {{{door % (8090, 'own')}}}, ")
    files = {**FILES, "gslb.yaml": text}

    def paths(node):
        return [problem.path.partition("[")[0] for problem in told(tmp_path, files, KeyChecks(node))]

    assert paths("edge-1") == ["edge.frontdoor.listen"]
    assert paths("edge-2") == ["edges.edge-2.frontdoor.listen"]
    assert paths(None) == ["edge.frontdoor.listen", "edges.edge-2.frontdoor.listen"]
    assert paths("west") == []


def test_a_node_that_starts_takes_what_has_expired(tmp_path, authority):
    issued = authority.issue("a.example.com", days=-2)
    assert told(tmp_path, with_tls(issued.listen), KeyChecks("west")) == []
