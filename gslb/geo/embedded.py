"""IPv4 clients inside IPv6 addresses: 6to4, mapped, NAT64 and Teredo. Pure; for the geo room.

What a full-length address says of its client is a function of the address alone; a shorter source prefix is read as
its first address (bits beyond it are zero, RFC 7871 §6). So an answer for a prefix is the answer for one full-length
client, with a scope inside which every full-length client gets that same answer, whether or not the prefix covered
the embedded address:

- 6to4 (RFC 3056), mapped (RFC 4291 §2.5.5.2) and NAT64's well-known prefix (RFC 6052) hold the IPv4 address in
  order, so IPv4's own scope, shifted, is right.
- Teredo (RFC 4380 §4) ends with the client's address inverted. Its scope is all 128 bits. A shorter prefix ends in
  zeros, which say 255.255.255.255: that is nobody, so such a client counts as not located.
- ::/96 (unspecified, loopback and the deprecated IPv4-compatible form) is nobody either; databases keep IPv4 there.

What a database says of these ranges itself is not looked at, and no scope outside of them may cover them.
"""

from __future__ import annotations

# (first address, prefix length) in address order
RANGES = (
    (0, 96),
    (0xFFFF << 32, 96),
    (0x0064_FF9B << 96, 96),
    (0x2001_0000 << 96, 32),
    (0x2002 << 112, 16),
)
WHOLE_ADDRESS = 128
_LOW_32 = 0xFFFF_FFFF


def is_embedded(address: int) -> bool:
    """Whether an IPv6 address is in one of the RANGES."""
    return any(address >> (128 - length) == first >> (128 - length) for first, length in RANGES)


def unwrap(address: int) -> tuple[int, int] | None:
    """The IPv4 client of an address in one of the RANGES.

    Returns:
        Its address, and what to add to an IPv4 scope (the sum is at most 128, see `shifted`); None if it is nobody's.
    """
    top = address >> 96
    if top >> 16 == 0x2002:
        return address >> 80 & _LOW_32, 16
    if top == 0x2001_0000:
        client = ~address & _LOW_32
        return None if client == _LOW_32 else (client, WHOLE_ADDRESS)
    if address >> 32 == 0:
        return None
    return address & _LOW_32, 96


def shifted(scope: int, shift: int) -> int:
    """An IPv4 scope as a scope of the IPv6 address that the client was unwrapped from."""
    return min(WHOLE_ADDRESS, shift + scope)


def scope_outside(address: int) -> int:
    """The length of the shortest prefix of `address`, which is in none of the RANGES, that covers none of them."""
    return max(129 - (address ^ first).bit_length() for first, _ in RANGES)
