"""Where connections come in and how those to servers go out: listeners, certificates' files, PROXY protocol.

Everybody imports these from `gslb.model`.
"""

from __future__ import annotations

from dataclasses import dataclass

UNIX = "unix:"  # what the address of a Unix socket starts with


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Where a certificate (its chain in the same file), its key and the key's passphrase are; "" is no passphrase."""

    certificate: str
    key: str
    passphrase_file: str = ""


@dataclass(frozen=True, slots=True)
class ListenTls:
    """TLS of a listener: `pairs` are chosen by the name that a client asks for (SNI), the first is the default.

    `min_version` is "1.2" or "1.3"; `ciphers` in OpenSSL's words, for TLS 1.2; clients must show a certificate of
    `client_ca` if that is not "".
    """

    pairs: tuple[KeyPair, ...]
    min_version: str = "1.2"
    ciphers: str = ""
    client_ca: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket.

    Attributes:
        address: `address:port`, or `unix:/path`.
        tls: None is a plain one.
        proxy_networks: connections begin with a PROXY protocol header, and only peers in these may connect; () is none.
        redirect: every request is redirected to HTTPS: "https" on the same host, or to this base URL; "" is not.
        mode: the permissions of a Unix socket.
        pool: connections are passed on as they are to this pool's servers; "" speaks HTTP.
    """

    address: str
    tls: ListenTls | None = None
    proxy_networks: tuple[str, ...] = ()
    redirect: str = ""
    mode: int = 0o660
    pool: str = ""

    @property
    def scheme(self) -> bytes:
        """What its clients say."""
        return b"http" if self.tls is None else b"https"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS to the servers of a pool.

    `server_name` "" is each server's host; `ca` "" is what this system trusts; `pair` is what we show of ourselves.
    """

    verify: bool = True
    server_name: str = ""
    ca: str = ""
    pair: KeyPair | None = None
