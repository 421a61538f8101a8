"""The certificates and keys that the files name, read and tried. For load.py.

Only where its caller asks for it: the files of one region's nodes are not on another's.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence

from gslb.config.compile_listen import key_pair
from gslb.config.plugins import Place
from gslb.config.reader import Document
from gslb.config.schema import CertificateSection, ClusterFile, ListenSection, ListenTlsSection, PoolSection, RegionFile
from gslb.config.source import KeyChecks, Source
from gslb.errors import TlsError
from gslb.tls.certificates import expired
from gslb.tls.contexts import set_ciphers
from gslb.tls.reading import read_authorities, read_pair


def check_keys(main: Source[ClusterFile], regions: Sequence[Source[RegionFile]], wanted: KeyChecks) -> None:
    """Tells every file that can't be used, on the line that names it."""
    for source in regions:
        if source.model is not None and wanted.node in {None, source.region}:
            balancer = source.model.balancer
            _check_listeners(source.document, ("balancer", "listen"), balancer.listen, wanted)
            for name, pool in balancer.pools.items():
                _check_pool(source.document, ("balancer", "pools", name, "tls"), pool, wanted)
    if main.model is not None and wanted.node not in {source.region for source in regions}:
        for path, listen in _frontdoors(main.model, wanted.node):
            _check_listeners(main.document, path, listen, wanted)


def _frontdoors(cluster: ClusterFile, node: str | None) -> Iterator[tuple[Place, tuple[ListenSection, ...]]]:
    """What edges serve, and where it is written: what all have in common, or what one says for itself."""
    own = {
        name: edge.frontdoor
        for name, edge in cluster.edges.items()
        if "frontdoor" in edge.model_fields_set and "listen" in edge.frontdoor.model_fields_set
    }
    if node is None or node not in own:
        yield ("edge", "frontdoor", "listen"), cluster.edge.frontdoor.listen
    for name, door in own.items():
        if node in {None, name}:
            yield ("edges", name, "frontdoor", "listen"), door.listen


def _check_listeners(document: Document, path: Place, listen: Sequence[ListenSection], wanted: KeyChecks) -> None:
    for index, one in enumerate(listen):
        if one.tls is not None:
            _check_listener(document, (*path, index, "tls"), one.tls, wanted)


def _check_listener(document: Document, path: Place, tls: ListenTlsSection, wanted: KeyChecks) -> None:
    for index, section in enumerate(tls.certificates):
        _check_pair(document, (*path, "certificates", index), section, wanted)
    try:
        set_ciphers(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls.ciphers or "")
        if tls.client_ca is not None:
            read_authorities(tls.client_ca)
    except TlsError as error:
        document.blame((*path, {"ca": "client_ca"}.get(error.part, error.part)), str(error), error.remedy)


def _check_pool(document: Document, path: Place, pool: PoolSection, wanted: KeyChecks) -> None:
    tls = pool.tls
    if tls is None:
        return
    if tls.certificate is not None and tls.key is not None:
        pair = CertificateSection.model_construct(
            certificate=tls.certificate, key=tls.key, passphrase_file=tls.passphrase_file
        )
        _check_pair(document, path, pair, wanted)
    if tls.ca is not None:
        try:
            read_authorities(tls.ca)
        except TlsError as error:
            document.blame((*path, "ca"), str(error), error.remedy)


def _check_pair(document: Document, path: Place, section: CertificateSection, wanted: KeyChecks) -> None:
    try:
        known = read_pair(key_pair(section)).facts
    except TlsError as error:
        document.blame((*path, error.part), str(error), error.remedy)
        return
    late = expired(known, wanted.now) if wanted.now is not None else None
    if late is not None:
        document.blame((*path, late.part), f"{section.certificate} {late}", late.remedy)
