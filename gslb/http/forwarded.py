"""Whose request this is, when trusted proxies stand between: X-Forwarded-For and Forwarded (RFC 7239). Pure.

Every hop appends the address it saw, so the truth is read from the right: the first address that isn't a trusted
proxy's is the client; what stands left of it anybody may have written. The front door calls this.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from gslb.http.heads import Field
from gslb.model import Address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HOPS_MAX = 32  # proxies looked through, from the right
NOBODY: Address = ipaddress.IPv4Address(0)  # a peer without an address, as on a Unix socket
_FOR = re.compile(rb"(?i:^|[;,])\s*for=(?:\"([^\"]*)\"|([^\s;,\"]*))", re.IGNORECASE)
_PORT = re.compile(r"(?:\[([^\]]*)\](?::\w*)?|([^:]*):\w*)").fullmatch


def parse_address(text: str) -> Address | None:
    """An address as sockets and forwarding fields write it: brackets, port and zone are left out; None if it is none.

    An IPv4 address inside IPv6, as dual-stack sockets show it, is the IPv4 address.
    """
    match = _PORT(text)
    if match is not None:
        text = match[1] or match[2] or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if address.version == 6 and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The configured networks; what isn't one has been refused by the configuration and is left out here."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return tuple(found)


def is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    """Whether the word of this peer is believed."""
    return any(address in network for network in trusted)


def client_address(specials: Sequence[Field], peer: Address, trusted: Sequence[Network]) -> Address:
    """The client's address: `peer` itself unless it is trusted and says otherwise.

    X-Forwarded-For counts before Forwarded: proxies that know only the former pass the latter through as it came.
    What can't be read as an address ends the search at the hop that reported it.
    """
    client = peer
    hops = _hops(specials)
    while hops and is_trusted(client, trusted):
        found = parse_address(hops.pop())
        if found is None:
            break
        client = found
    return client


def _hops(specials: Sequence[Field]) -> list[str]:
    """The last HOPS_MAX addresses of the forwarding fields, in order."""
    listed = b",".join(field.value for field in specials if field.name == b"x-forwarded-for")
    if listed:
        hops = [hop.strip() for hop in listed.split(b",")[-HOPS_MAX:]]
    else:
        elements = b",".join(field.value for field in specials if field.name == b"forwarded")
        hops = [quoted or plain for quoted, plain in _FOR.findall(elements)[-HOPS_MAX:]]
    return [hop.decode("latin-1") for hop in hops]
