"""Listeners as values."""

from gslb.model.listening import KeyPair, Listener, ListenTls


def test_the_scheme_is_what_clients_say():
    assert Listener("127.0.0.1:80").scheme == b"http"
    assert Listener("127.0.0.1:443", ListenTls((KeyPair("c", "k"),))).scheme == b"https"
