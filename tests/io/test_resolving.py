"""The DNS client of control against a resolver of its own kind: UDP, TCP, silence, failures, the next resolver."""

import dns.rcode
import pytest

from gslb.model import Discovery
from gslb.node import resolving
from gslb.node.discovering import resolve
from gslb.node.resolving import NoReply, ask, system_resolvers
from tests.support.names import Names

NAME = "app.example.com"


@pytest.fixture
def names():
    with Names() as found:
        yield found


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(resolving, "TRY_S", 0.1)


def at(*names):
    return [("127.0.0.1", one.port) for one in names]


async def test_an_answer_over_udp(names):
    names.rows[NAME, "A"] = 17, ["192.0.2.1", "192.0.2.2"]
    reply = await ask(at(names), NAME, "A")
    assert (sorted(reply.addresses), reply.ttl_s) == (["192.0.2.1", "192.0.2.2"], 17)
    assert names.asked == [(NAME, "A", "udp")]


async def test_what_does_not_fit_comes_over_tcp(names):
    names.rows[NAME, "A"] = 60, [f"10.0.{n // 250}.{n % 250}" for n in range(400)]
    assert len((await ask(at(names), NAME, "A")).addresses) == 400
    assert [how for _, _, how in names.asked] == ["udp", "tcp"]


async def test_the_next_resolver_is_asked(names, hasty):
    with Names() as silent:
        silent.silent = True
        names.rows[NAME, "A"] = 60, ["192.0.2.1"]
        assert (await ask([("127.0.0.1", 1), *at(silent, names)], NAME, "A")).addresses == ("192.0.2.1",)


async def test_nobody_answers(names, hasty):
    names.rcode = dns.rcode.SERVFAIL
    with Names() as silent:
        silent.silent = True
        with pytest.raises(NoReply) as told:
            await ask(at(names, silent), NAME, "A")
        assert "SERVFAIL" in str(told.value)
        assert "no answer within" in str(told.value)
        assert (len(names.asked), len(silent.asked)) == (2, 2)
    with pytest.raises(NoReply, match="no resolver"):
        await ask([], NAME, "A")


async def test_targets_and_their_addresses(names):
    rule = Discovery("_http._tcp.example.com", "SRV", resolvers=tuple(at(names)))
    targets = ["10 5 8080 a.example.com.", "20 5 8081 b.example.com.", "10 5 8082 c.example.com."]
    names.rows[rule.name, "SRV"] = 60, targets
    names.rows["a.example.com", "A"] = 30, ["192.0.2.1"]
    names.rows["a.example.com", "AAAA"] = 50, ["2001:db8::1"]
    names.rows["b.example.com", "A"] = 40, ["192.0.2.2"]
    servers, ttl_s = await resolve(rule)
    assert ttl_s == 30
    assert [(one.id, one.priority) for one in servers] == [
        ("192.0.2.1:8080", 0), ("[2001:db8::1]:8080", 0), ("192.0.2.2:8081", 1),
    ]  # fmt: skip


async def test_that_there_is_no_such_service(names):
    rule = Discovery("_http._tcp.example.com", "SRV", resolvers=tuple(at(names)))
    names.rows[rule.name, "SRV"] = 60, ["0 0 0 ."]
    assert (await resolve(rule))[0] == ()


def test_the_systems_resolvers(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text("# x\nsearch a\nnameserver 10.0.0.2\nnameserver\nnameserver 2001:db8::53 # y\noptions rotate\n")
    assert system_resolvers(file) == [("10.0.0.2", 53), ("2001:db8::53", 53)]
    assert system_resolvers(tmp_path / "none") == []
