"""From files to `Material`, read and tried. A shell; config's checks and control call it, workers don't.

Importing this loads `cryptography`, 17 MB: processes without TLS leave it alone.
"""

from __future__ import annotations

from pathlib import Path

from gslb.errors import TlsError
from gslb.model import KeyPair
from gslb.tls.certificates import check_authorities, facts
from gslb.tls.contexts import try_pair
from gslb.tls.material import Material

FILE_BYTES_MAX = 4 << 20
PASSPHRASE_BYTES_MAX = 1024
_UNENCRYPTED = b""


def read_pair(pair: KeyPair) -> Material:
    """Reads a certificate and its key and tries them. Raises TlsError that names the file."""
    certificate = _read(pair.certificate, "certificate")
    key = _read(pair.key, "key")
    passphrase = _UNENCRYPTED
    if pair.passphrase_file:
        passphrase = _read(pair.passphrase_file, "passphrase_file", PASSPHRASE_BYTES_MAX).rstrip(b"\r\n")
    try:
        material = Material(certificate, key, passphrase, facts(certificate, key, passphrase or None))
        try_pair(material)
    except TlsError as error:
        where = {"key": pair.key, "passphrase_file": pair.passphrase_file}.get(error.part, pair.certificate)
        raise TlsError(f"{where} {error}", error.remedy, error.part) from error
    return material


def read_authorities(path: str) -> bytes:
    """Reads certificates of authorities. Raises TlsError that names the file."""
    pem = _read(path, "ca")
    try:
        check_authorities(pem)
    except TlsError as error:
        raise TlsError(f"{path} {error}", error.remedy, "ca") from error
    return pem


def _read(path: str, part: str, size_max: int = FILE_BYTES_MAX) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(size_max + 1)
    except OSError as error:
        remedy = "write the path from the folder of these files, and let gslb's user read it"
        raise TlsError(f"can't read {path}: {error.strerror}", remedy, part) from None
    if len(data) > size_max:
        raise TlsError(f"{path} is longer than {size_max} bytes", "it is not what it should be", part)
    return data
