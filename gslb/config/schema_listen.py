"""The models of listeners and of TLS, in and out. See schema.py."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from annotated_types import MaxLen, MinLen
from pydantic import AfterValidator, Field, PlainValidator, Strict, ValidationInfo, model_validator

from gslb.config.values import (
    FilePath,
    Hint,
    HostName,
    Name,
    Section,
    listen_address,
    network,
    refusal,
    surroundings,
    url,
)
from gslb.model import UNIX

CERTIFICATES_MAX = 1000  # of one listener
NETWORKS_MAX = 1000
UNIX_PATH_BYTES_MAX = 107  # sun_path, unix(7)

_CIPHERS = re.compile(r"[A-Za-z0-9:+!@=,_-]{1,1024}")
_MODE = re.compile(r"0?[0-7]{3}")


# ---------------------------------------------------------------- values
def _address(text: str, info: ValidationInfo) -> str:
    if not text.startswith(UNIX):
        return listen_address(text)
    path = str(surroundings(info).resolve(text.removeprefix(UNIX)))
    if text == UNIX or len(path.encode()) > UNIX_PATH_BYTES_MAX or "\0" in path:
        remedy = f"write unix:/run/gslb/http.sock, {UNIX_PATH_BYTES_MAX} bytes at most"
        raise refusal(f"{text!r} is no Unix socket", remedy)
    return UNIX + path


def _mode(text: str) -> str:
    if not _MODE.fullmatch(text):
        raise refusal(f"{text!r} is no file mode", 'write three octal digits in quotes, as "660"')
    return text


def _ciphers(text: str) -> str:
    if not _CIPHERS.fullmatch(text):
        raise refusal(f"{text!r} is no list of ciphers", "write it as OpenSSL does: ECDHE+AESGCM:ECDHE+CHACHA20")
    return text


def _networks(value: Any) -> tuple[str, ...]:
    if value is False:
        return ()
    if value is True:
        return ("0.0.0.0/0", "::/0")
    fine = isinstance(value, list) and 0 < len(value) <= NETWORKS_MAX and all(isinstance(one, str) for one in value)
    if not fine:
        remedy = "write true, or the networks of your proxies: [10.0.0.0/8]"
        raise refusal("this says not who sends PROXY headers", remedy)
    return tuple(network(one) for one in value)


def _redirect(value: Any) -> str:
    if value is False:
        return ""
    if value is True:
        return "https"
    where = url(value) if isinstance(value, str) else ""
    if not where.startswith("https://"):
        remedy = "write true for the same host, or https://www.example.com:8443"
        raise refusal("this is no HTTPS URL to redirect to", remedy)
    return where


ListenAddress = Annotated[str, AfterValidator(_address), Hint("address:port or unix:path")]
Mode = Annotated[str, AfterValidator(_mode), Hint("octal digits")]
Ciphers = Annotated[str, AfterValidator(_ciphers), Hint("OpenSSL's words")]
ProxyNetworks = Annotated[Any, PlainValidator(_networks), Hint("`true`, `false` or list of networks")]
Redirect = Annotated[Any, PlainValidator(_redirect), Hint("`true`, `false` or URL")]


# ---------------------------------------------------------------- listeners
class CertificateSection(Section):
    """A certificate and its key. Both files are read again when they change."""

    certificate: FilePath = Field(description="PEM file: the certificate, then those between it and its authority")
    key: FilePath = Field(description="PEM file of its private key")
    passphrase_file: FilePath | None = Field(None, description="file with the key's passphrase, if it has one")


class ListenTlsSection(Section):
    """TLS of a listener."""

    certificates: Annotated[
        tuple[CertificateSection, ...], Strict(False), MinLen(1), MaxLen(CERTIFICATES_MAX)
    ] = Field(
        description="chosen by the name that the client asks for (SNI): an exact name, then a wildcard, else the first"
    )
    min_version: Literal["1.2", "1.3"] = Field("1.2", description="the oldest TLS that is spoken")
    ciphers: Ciphers | None = Field(None, description="ciphers of TLS 1.2; else OpenSSL's choice")
    client_ca: FilePath | None = Field(
        None, description="PEM file of authorities: clients must show a certificate of one of them (mTLS)"
    )


class ListenSection(Section):
    """A listener; just its address is the short form: `"127.0.0.1:8101"`."""

    address: ListenAddress = Field(description="`0.0.0.0:443`, `[::]:443` or `unix:/run/gslb/http.sock`")
    tls: ListenTlsSection | None = Field(None, description="HTTPS; without it HTTP")
    proxy_protocol: ProxyNetworks = Field(
        False, validate_default=True, description="connections begin with a PROXY protocol header (v1 or v2): from "
        "anybody, or from these networks and nobody else may connect",
    )
    redirect_to_https: Redirect = Field(
        False, validate_default=True, description="redirect every request to HTTPS: on the same host, or to this URL; "
        "hosts that are not configured get 421",
    )
    tcp: Name | None = Field(
        None, description="TCP: pass connections on as they are to this pool (a region's listeners only)"
    )
    mode: Mode = Field("660", description="permissions of a Unix socket")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """An address alone. Strict(False) above: what comes out of here is no longer JSON."""
        return {"address": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> ListenSection:
        if self.tls is not None and self.redirect_to_https:
            raise refusal("a listener with TLS can't redirect to HTTPS", "remove redirect_to_https, or tls")
        if self.tcp is not None and (self.tls is not None or self.redirect_to_https):
            raise refusal("TCP passes connections on as they are", "remove tls and redirect_to_https, or tcp")
        return self


# ---------------------------------------------------------------- to servers
class ServerTlsSection(Section):
    """TLS to a pool's servers."""

    verify: bool = Field(True, description="false: any certificate will do, whoever shows it")
    server_name: HostName | None = Field(
        None, description="the name that is asked for (SNI) and must be in the certificate; else the server's `host`"
    )
    ca: FilePath | None = Field(None, description="PEM file of the authorities to believe; else the system's")
    certificate: FilePath | None = Field(None, description="what we show of ourselves (mTLS), PEM")
    key: FilePath | None = Field(None, description="the key of `certificate`, PEM")
    passphrase_file: FilePath | None = Field(None, description="file with the key's passphrase, if it has one")

    @model_validator(mode="after")
    def _whole(self) -> ServerTlsSection:
        if (self.certificate is None) != (self.key is None):
            raise refusal("a certificate and its key belong together", "write both, or neither")
        return self
