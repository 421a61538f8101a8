"""Listening sockets: groups on one address, wildcards made concrete, errors that name the address and the remedy."""

import socket

import pytest

from gslb.errors import NodeError
from gslb.node.handover import Inherited
from gslb.node.listen import concrete, local_addresses, open_group, open_socket, split
from tests.support.sandbox import free_port


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:53", "127.0.0.1", 53), ("[::1]:8080", "::1", 8080), ("0.0.0.0:1", "0.0.0.0", 1)],
)
def test_split(text, host, port):
    assert split(text) == (host, port)


@pytest.mark.parametrize("text", ["localhost:53", "127.0.0.1", "::1", "127.0.0.1:dns", ""])
def test_split_says_what_is_right(text):
    with pytest.raises(NodeError, match=r"write 127\.0\.0\.1:53"):
        split(text)


def test_a_wildcard_becomes_the_addresses_of_this_machine():
    assert "127.0.0.1" in local_addresses(4)
    found = concrete(["0.0.0.0:5300", "127.0.0.1:5300"])
    assert found.count(("127.0.0.1", 5300)) == 1
    assert all(host != "0.0.0.0" for host, _ in found)


def test_every_worker_of_a_group_can_accept():
    port = free_port()
    group = open_group([("127.0.0.1", port)], socket.SOCK_STREAM, 3, Inherited())
    try:
        assert [len(sockets) for sockets in group] == [1, 1, 1]
        assert {sock.getsockname() for sockets in group for sock in sockets} == {("127.0.0.1", port)}
    finally:
        for sockets in group:
            for sock in sockets:
                sock.close()


def test_a_group_refuses_an_address_that_another_program_shares():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(NodeError, match=rf"127\.0\.0\.1:{port}: another program has it"):
            open_group([("127.0.0.1", port)], socket.SOCK_STREAM, 2, Inherited())


def test_an_address_that_is_not_ours_is_named():
    with pytest.raises(NodeError, match=r"192\.0\.2\.1:5300: this machine has no such address"):
        open_socket("192.0.2.1", 5300, socket.SOCK_DGRAM)
