"""Contexts of Python's ssl: a listener's, which lives as long as its node, and those to servers. Shells call it.

Python can neither set nor share the keys of session tickets. So the parent makes each listener's context before it
forks (OpenSSL makes the ticket keys with it), and it stays: tickets of one worker are good at all others, at those
that replace them and after any reload (OpenSSL takes ticket keys from the context that the connection began with).
The certificates are in contexts of their own, which the SNI callback switches to: a reload makes new ones and swaps
the table, so that a key of another kind leaves nothing of the old one behind, and open connections keep theirs.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial

from gslb.errors import TlsError
from gslb.model import ListenTls, ServerTls
from gslb.tls.material import Keys, Material
from gslb.tls.sni import Names

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
HTTP = "http/1.1"
_ALPN = [HTTP]


class ServerSide:
    """TLS of one listener. Made in the parent; each process calls `update` with the certificates it learns of."""

    def __init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.options |= ssl.OP_NO_RENEGOTIATION
        self.context.set_alpn_protocols(_ALPN)
        self.context.sni_callback = self._switch
        self._names: Names[ssl.SSLContext] = Names(())
        self._made_of: object = None

    def update(self, tls: ListenTls, keys: Keys) -> None:
        """Serves by `tls` from the next handshake on. Pairs that `keys` lacks are left out.

        Raises TlsError if OpenSSL refuses something; then all is as it was.
        """
        made_of = tls, [keys.pairs.get(pair) for pair in tls.pairs], keys.authorities.get(tls.client_ca)
        if made_of == self._made_of:
            return
        found = [keys.pairs[pair] for pair in tls.pairs if pair in keys.pairs]
        contexts = [(one.facts.names, self._certified(tls, keys, one)) for one in found]
        self._settle(self.context, tls, keys)
        self._names, self._made_of = Names(contexts), made_of

    def _switch(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        """The SNI callback, called for every handshake, with or without a name."""
        del context
        found = self._names.find(name)
        if found is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = found
        return None

    def _certified(self, tls: ListenTls, keys: Keys, material: Material) -> ssl.SSLContext:
        """A context with one certificate; what OpenSSL takes from it after the switch is set as in the first."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(_ALPN)
        self._settle(context, tls, keys)
        load_pair(context, material)
        return context

    @staticmethod
    def _settle(context: ssl.SSLContext, tls: ListenTls, keys: Keys) -> None:
        context.minimum_version = _VERSIONS[tls.min_version]
        set_ciphers(context, tls.ciphers)
        context.verify_mode = ssl.CERT_REQUIRED if tls.client_ca else ssl.CERT_NONE
        if tls.client_ca:
            _believe(context, keys.authorities.get(tls.client_ca))


def set_ciphers(context: ssl.SSLContext, ciphers: str) -> None:
    """The ciphers of TLS 1.2, in OpenSSL's words; "" leaves its choice. Raises TlsError."""
    if ciphers:
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError:
            raise TlsError(f"OpenSSL knows no cipher of {ciphers!r}", "see openssl ciphers -v", "ciphers") from None


def client_context(tls: ServerTls, keys: Keys, alpn: str = HTTP) -> ssl.SSLContext:
    """The context for connections to the servers of a pool, which asks for the protocol `alpn`. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([alpn])
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca:
        _believe(context, keys.authorities.get(tls.ca))
    else:
        context.load_default_certs()
    if tls.pair is not None:
        material = keys.pairs.get(tls.pair)
        if material is None:
            raise TlsError(f"{tls.pair.certificate} could not be read", "see what control has logged of it")
        load_pair(context, material)
    return context


def client_contexts(
    wanted: Iterable[ServerTls], before: Mapping[ServerTls, ssl.SSLContext], keys: Keys, told: Callable[[str], None],
    alpn: str = HTTP,
) -> dict[ServerTls, ssl.SSLContext]:
    """A context for each of `wanted`.

    Where none can be made, it is the one `before`, or one that believes nobody; `told` hears why.
    """
    made: dict[ServerTls, ssl.SSLContext] = {}
    for tls in wanted:
        try:
            made[tls] = client_context(tls, keys, alpn)
        except TlsError as error:
            told(f"{error} ({error.remedy})")
            made[tls] = before.get(tls) or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return made


def try_pair(material: Material) -> None:
    """Loads a pair into a context that is thrown away. Raises TlsError."""
    load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), material)


def load_pair(context: ssl.SSLContext, material: Material) -> None:
    """Gives `context` a certificate and its key. Raises TlsError.

    Python loads them from files only: these are in memory, and gone when this returns.
    """
    with ExitStack() as stack:
        paths = []
        for data in (material.certificate, material.key):
            descriptor = os.memfd_create("gslb-tls", os.MFD_CLOEXEC)
            stack.callback(partial(os.close, descriptor))
            os.pwrite(descriptor, data, 0)
            paths.append(f"/proc/self/fd/{descriptor}")
        try:
            # always a passphrase: without one OpenSSL would ask the terminal for it
            context.load_cert_chain(paths[0], paths[1], password=material.passphrase)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            raise TlsError(f"is refused by OpenSSL: {reason}", "make a certificate that it takes") from error


def _believe(context: ssl.SSLContext, pem: bytes | None) -> None:
    if pem is None:
        return  # nobody is believed: every certificate is refused
    try:
        context.load_verify_locations(cadata=pem.decode("ascii", "replace"))
    except ssl.SSLError as error:
        raise TlsError(f"authorities are refused by OpenSSL: {error.reason}", "write them in PEM", "ca") from error
