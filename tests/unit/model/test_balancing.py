from gslb.balancing.algorithms.round_robin import RoundRobin
from gslb.model import ServerTls
from gslb.model.balancing import Balancer, Pool, Server

PLAIN, SECURE, OWN = (
    Server(word or "own", "127.0.0.1", 9000 + i, protocol=word) for i, word in enumerate(("http", "https", ""))
)
TLS = ServerTls(ca="ca.pem")


def test_a_servers_own_protocol_goes_before_its_pools():
    with_tls = Pool("web", (PLAIN, SECURE, OWN), RoundRobin(), tls=TLS)
    without = Pool("web", (PLAIN, SECURE, OWN), RoundRobin())
    assert [with_tls.tls_to(one) for one in with_tls.servers] == [None, TLS, TLS]
    assert [without.tls_to(one) for one in without.servers] == [None, ServerTls(), None]


def test_every_way_of_speaking_tls_is_known():
    pools = {"a": Pool("a", (OWN,), RoundRobin(), tls=TLS), "b": Pool("b", (SECURE,), RoundRobin())}
    assert Balancer("eu", (), pools).server_tls == {TLS, ServerTls()}
    assert Balancer("eu", (), {"b": Pool("b", (OWN, PLAIN), RoundRobin())}).server_tls == set()
