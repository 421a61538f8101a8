"""What certificates say, and what is refused, with which words; openssl is the judge of what was read."""

import subprocess
import time

import pytest

from gslb.errors import TlsError
from gslb.tls import certificates
from gslb.tls.certificates import check_authorities, expired, facts
from tests.support.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("keys"))


def read(issued):
    return issued.certificate.read_bytes(), issued.key.read_bytes()


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_the_facts_are_those_that_openssl_reads(authority, kind):
    issued = authority.issue("www.example.com", "*.example.com", "192.0.2.1", kind=kind)
    known = facts(*read(issued), None)
    assert known.names == ("www.example.com", "*.example.com", "192.0.2.1")
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", issued.certificate],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert told == f"notAfter={time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(known.expires))}\n"


def test_the_common_name_stands_in_where_there_are_no_others(authority):
    assert facts(*read(authority.issue(common_name="old.example.com")), None).names == ("old.example.com",)


def test_a_key_with_a_passphrase(authority):
    certificate, key = read(authority.issue("a.example.com", passphrase="open sesame"))
    assert facts(certificate, key, b"open sesame").names == ("a.example.com",)
    with pytest.raises(TlsError, match="is encrypted") as missing:
        facts(certificate, key, None)
    assert missing.value.part == "key" and "passphrase_file" in missing.value.remedy
    with pytest.raises(TlsError, match="does not open the key") as wrong:
        facts(certificate, key, b"wrong")
    assert wrong.value.part == "passphrase_file"


def test_a_passphrase_for_a_key_that_has_none_does_no_harm(authority):
    assert facts(*read(authority.issue("a.example.com")), b"needless").names == ("a.example.com",)


@pytest.mark.parametrize(
    ("spoil", "part", "words"),
    [
        (lambda c, k, o: (b"", k), "certificate", "holds no certificate"),
        (lambda c, k, o: (k, k), "certificate", "holds no certificate"),
        (lambda c, k, o: (c[:100] + b"!!!" + c[103:], k), "certificate", "can't be read"),
        (lambda c, k, o: (c * (certificates.CHAIN_MAX + 1), k), "certificate", "holds 17 certificates"),
        (lambda c, k, o: (c, c), "key", "holds no private key"),
        (lambda c, k, o: (c, k[:60] + b"!!!" + k[63:]), "key", "can't be read"),
        (lambda c, k, o: (c, o), "key", "is not the key of its certificate"),
    ],
)
def test_what_can_not_serve_is_refused(authority, spoil, part, words):
    certificate, key = read(authority.issue("a.example.com"))
    other = authority.issue("a.example.com").key.read_bytes()
    with pytest.raises(TlsError, match=words) as refused:
        facts(*spoil(certificate, key, other), None)
    assert refused.value.part == part and refused.value.remedy


def test_what_has_expired_is_read_and_told_apart(authority):
    known = facts(*read(authority.issue("a.example.com", days=-3)), None)
    late = expired(known, time.time())
    assert late is not None and "expired on" in str(late)
    assert expired(known, known.expires - 1) is None
    early = expired(known, known.not_before - 1)
    assert early is not None and "not valid before" in str(early)


def test_authorities(authority):
    check_authorities(authority.file.read_bytes() * 2)
    with pytest.raises(TlsError, match="holds no certificate") as refused:
        check_authorities(b"-----BEGIN PRIVATE KEY-----")
    assert refused.value.part == "ca"
