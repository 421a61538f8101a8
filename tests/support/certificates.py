"""Certificates for tests, made where they are used: an authority, and what it signs. None is in the repository."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


@dataclass(frozen=True)
class Issued:
    """Files of a certificate and its key."""

    certificate: Path
    key: Path

    def copy_to(self, other: Issued) -> None:
        """Puts these in place of `other`, as a renewal does: by renaming, the key first."""
        for source, target in ((self.key, other.key), (self.certificate, other.certificate)):
            scratch = target.with_suffix(".new")
            scratch.write_bytes(source.read_bytes())
            scratch.replace(target)

    @property
    def listen(self) -> str:
        """As the configuration names it."""
        return f'{{certificate: "{self.certificate}", key: "{self.key}"}}'


class Authority:
    """Signs certificates; `file` is what clients trust."""

    def __init__(self, folder: Path, name: str = "gslb test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._made = 0
        self.certificate = self._sign(self._name, self._key.public_key(), authority=True)
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def issue(
        self, *names: str, days: float = 90, kind: str = "ec", passphrase: str = "", common_name: str = ""
    ) -> Issued:
        """A certificate for DNS names and IP addresses; it has expired if `days` is negative."""
        key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
        signed = self._sign(_name(common_name or (names[0] if names else "nobody")), key.public_key(), names, days=days)
        self._made += 1
        issued = Issued(self._folder / f"{self._made}.pem", self._folder / f"{self._made}.key")
        issued.certificate.write_bytes(signed.public_bytes(Encoding.PEM))
        lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
        issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
        return issued

    def _sign(self, subject, public, names=(), *, days: float = 3650, authority: bool = False) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=abs(days) + 1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if names:
            others = x509.SubjectAlternativeName([_general(one) for one in names])
            builder = builder.add_extension(others, critical=False)
        return builder.sign(self._key, SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
