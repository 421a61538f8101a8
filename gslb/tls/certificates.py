"""What a certificate and its key say, and whether they can serve. Pure: bytes in, facts or TlsError out.

`cryptography` reads them, because Python's ssl module tells neither the names in a certificate nor when it ends, nor
which of several things is wrong. Only what checks and control call this: workers get the facts (material.py).
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gslb.errors import TlsError
from gslb.tls.material import Facts

CHAIN_MAX = 16  # certificates in one file
AUTHORITIES_MAX = 1000


def facts(certificate: bytes, key: bytes, passphrase: bytes | None) -> Facts:
    """The facts of the first certificate in `certificate`. Raises TlsError if the key does not belong to it.

    That it has expired, or is not valid yet, is no error here: a node may have nothing better (see `expired`).

    Args:
        certificate: PEM, the server's own first (RFC 8446 §4.4.2).
        key: PEM.
        passphrase: of the key; None if there is none.
    """
    chain = _certificates(certificate, CHAIN_MAX)
    if not chain:
        raise TlsError("holds no certificate", "write it in PEM, -----BEGIN CERTIFICATE-----, the server's own first")
    leaf = chain[0]
    public = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if _public_of(key, passphrase) != public:
        remedy = "write the key that the certificate was asked for with"
        raise TlsError("is not the key of its certificate", remedy, "key")
    return Facts(_names(leaf), leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp())


def check_authorities(pem: bytes) -> None:
    """Raises TlsError unless `pem` holds certificates."""
    if not _certificates(pem, AUTHORITIES_MAX):
        raise TlsError("holds no certificate", "write the authorities' certificates in PEM", "ca")


def expired(known: Facts, now: float) -> TlsError | None:
    """The error to tell of a certificate that is past its end, or not valid yet, at `now` (Unix seconds)."""
    if now >= known.expires:
        return TlsError(f"expired on {day(known.expires)}", "renew it")
    if now < known.not_before:
        return TlsError(f"is not valid before {day(known.not_before)}", "wait, or set this machine's clock")
    return None


def day(at: float) -> str:
    """The day of a Unix time, for people."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _certificates(pem: bytes, count_max: int) -> list[x509.Certificate]:
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        return []
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise TlsError(f"holds a certificate that can't be read: {_first_line(error)}", "write it in PEM") from None
    if len(found) > count_max:
        raise TlsError(f"holds {len(found)} certificates", f"{count_max} at most")
    return found


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The subject's alternative names; the common name only where there are none (RFC 6125 §6.4.4)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(one.value) for one in common[:1])
    addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _public_of(key: bytes, passphrase: bytes | None) -> bytes:
    """The public half of a private key. Raises TlsError."""
    if b"PRIVATE KEY-----" not in key:
        raise TlsError("holds no private key", "write the key in PEM, -----BEGIN PRIVATE KEY-----", "key")
    try:
        private = load_pem_private_key(key, passphrase)
    except TypeError as error:  # its words: a passphrase is missing, or there is one too many
        if passphrase is not None:
            return _public_of(key, None)
        raise TlsError("is encrypted", "name the file of its passphrase: passphrase_file", "key") from error
    except ValueError as error:
        if passphrase is not None:
            remedy = "write its passphrase there, as the only line"
            raise TlsError("does not open the key", remedy, "passphrase_file") from error
        raise TlsError(f"holds a key that can't be read: {_first_line(error)}", "write it in PEM", "key") from error
    except UnsupportedAlgorithm as error:
        raise TlsError(f"holds a key of an unknown kind: {_first_line(error)}", "use RSA or ECDSA", "key") from error
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:100]
