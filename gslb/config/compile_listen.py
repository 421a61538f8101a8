"""Listeners and TLS as the files have them -> as the data plane reads them. Pure; the compilers call it."""

from __future__ import annotations

from collections.abc import Iterable

from gslb.config.schema_listen import CertificateSection, ListenSection, ListenTlsSection, ServerTlsSection
from gslb.model import KeyPair, Listener, ListenTls, ServerTls


def compile_listeners(sections: Iterable[ListenSection]) -> tuple[Listener, ...]:
    """The listeners in the order of the file."""
    return tuple(
        Listener(
            address=one.address,
            tls=None if one.tls is None else _listen_tls(one.tls),
            proxy_networks=one.proxy_protocol,
            redirect=one.redirect_to_https,
            mode=int(one.mode, 8),
            pool=one.tcp or "",
        )
        for one in sections
    )


def key_pair(section: CertificateSection) -> KeyPair:
    """The files of a certificate."""
    return KeyPair(section.certificate, section.key, section.passphrase_file or "")


def compile_server_tls(section: ServerTlsSection | None) -> ServerTls | None:
    """TLS to a pool's servers; None is plain."""
    if section is None:
        return None
    pair = None
    if section.certificate is not None and section.key is not None:
        pair = KeyPair(section.certificate, section.key, section.passphrase_file or "")
    return ServerTls(section.verify, section.server_name or "", section.ca or "", pair)


def _listen_tls(section: ListenTlsSection) -> ListenTls:
    return ListenTls(
        pairs=tuple(key_pair(one) for one in section.certificates),
        min_version=section.min_version,
        ciphers=section.ciphers or "",
        client_ca=section.client_ca or "",
    )
