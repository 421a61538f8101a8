"""What a user sees of a running cluster with the tools they have: dig, curl, and the commands."""

import json
import subprocess

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest

from gslb.demo.clients import PLACES, get
from tests.support.sandbox import until

pytestmark = pytest.mark.e2e


def dig(box, *words):
    host, port = box.dns
    out = subprocess.run(["dig", f"@{host}", "-p", str(port), "+tries=1", "+time=2", *words],
                         capture_output=True, text=True, timeout=20, check=True)
    return out.stdout


@pytest.mark.parametrize(
    ("subnet", "address"),
    [("141.20.0.0/24", "192.0.2.10"), ("143.107.0.0/24", "198.51.100.10"), ("133.11.0.0/24", "203.0.113.10")],
    ids=["Germany", "Brazil", "Japan"],
)
def test_dig_as_a_client_of_a_country(shared, subnet, address):
    box, _ = shared
    out = dig(box, "www.example.com", "A", f"+subnet={subnet}")
    assert "www.example.com." in out and address in out
    assert "flags: qr aa" in out
    scope = int(out.split("CLIENT-SUBNET: ")[1].split("/")[2].split()[0])
    assert 0 < scope <= 32


def test_dig_over_tcp_and_for_aaaa(shared):
    box, _ = shared
    assert "2001:db8:1::10" in dig(box, "+tcp", "www.example.com", "AAAA", "+subnet=141.20.0.0/24")


def test_dig_soa_ns_mx_txt_caa_and_glue(shared):
    box, _ = shared
    assert "example.com." in dig(box, "+short", "example.com", "SOA")
    out = dig(box, "example.com", "NS")
    assert "ns1.example.com." in out and "192.0.2.53" in out
    for kind in ("MX", "TXT", "CAA"):
        assert dig(box, "+short", "example.com", kind).strip()


def test_other_types_on_a_steered_name_are_nodata_with_soa(shared):
    box, _ = shared
    out = dig(box, "www.example.com", "TXT")
    assert "status: NOERROR" in out and "ANSWER: 0" in out and "SOA" in out


def test_outside_our_zones_is_refused(shared):
    box, _ = shared
    assert "status: REFUSED" in dig(box, "www.example.net", "A")


def test_an_unknown_name_is_nxdomain_with_soa(shared):
    box, _ = shared
    out = dig(box, "nope.nope.www.example.com", "A")
    assert "status: NXDOMAIN" in out and "SOA" in out


def test_dig_subnet_zero_and_badvers(shared):
    box, _ = shared
    out = dig(box, "www.example.com", "A", "+subnet=0")
    assert "status: NOERROR" in out
    assert "BADVERS" in dig(box, "+edns=1", "+noednsneg", "www.example.com", "A")


def test_dnspython_hears_the_same_over_udp_and_tcp(shared):
    box, _ = shared
    query = dns.message.make_query("wWw.ExAmPlE.cOm", "A", use_edns=0,
                                   options=[dns.edns.ECSOption("133.11.0.0", 24)])
    host, port = box.dns
    udp = dns.query.udp(query, host, port=port, timeout=2)
    tcp = dns.query.tcp(query, host, port=port, timeout=2)
    assert udp.rcode() == dns.rcode.NOERROR
    assert udp.answer == tcp.answer
    assert udp.question == query.question
    assert str(udp.question[0].name) == "wWw.ExAmPlE.cOm."


def test_curl_follows_the_front_door_to_a_backend(shared):
    box, _ = shared
    out = subprocess.run(
        ["curl", "-sS", "-L", "--max-time", "5", "-H", "Host: www.example.com", f"{box.front}/a/b?c=d"],
        capture_output=True, text=True, timeout=20, check=True,
    )
    said = json.loads(out.stdout)
    assert said["path"] == "/a/b?c=d"
    assert said["region"] == "eu-west"
    assert said["forwarded_for"] == "127.0.0.1"


def test_curl_sees_302_for_get_307_for_post_and_421_for_an_unknown_host(shared):
    box, _ = shared

    def curl(*words):
        out = subprocess.run(["curl", "-sS", "-D", "-", "-o", "/dev/null", "--max-time", "5", *words],
                             capture_output=True, text=True, timeout=20, check=True)
        return out.stdout

    head = curl("-H", "Host: www.example.com", f"{box.front}/x?y=1")
    assert " 302 " in head.splitlines()[0]
    assert f"http://127.0.0.1:{box.ports['8101']}/x?y=1" in head
    assert "cache-control: no-store" in head.lower() and "x-gslb-region: eu-west" in head.lower()
    assert " 307 " in curl("-X", "POST", "-d", "a=b", "-H", "Host: www.example.com", f"{box.front}/x").splitlines()[0]
    assert " 421 " in curl("-H", "Host: evil.example", f"{box.front}/x").splitlines()[0]


def test_dns_and_front_door_agree_with_explain(shared):
    box, _ = shared
    for place in PLACES[:3]:  # one near each region
        out = box.gslb("explain", "www.example.com", "--client", place.subnet, "--json")
        assert out.returncode == 0, out.stderr
        told = json.loads(out.stdout)
        assert told["offline"] is False
        assert told["answers"]["A"]["regions"] == [box.region_of(place.subnet)]
        assert told["answers"]["front door"]["regions"] == told["answers"]["A"]["regions"]
        assert {region["name"] for region in told["regions"]} == {"eu-west", "us-east", "ap-south"}
        for region in told["regions"]:
            assert region["notes"] and region["state"] == "up" and region["distance_km"] > 0
            assert region["evidence"]["probe"]["age_s"] < 5


def test_explain_says_why_in_words(shared):
    box, _ = shared
    out = box.gslb("explain", "www.example.com", "--client", "81.2.69.142")
    assert out.returncode == 0, out.stderr
    for word in ("GB", "eu-west", "us-east", "ap-south", "km", "TTL", "scope"):
        assert word in out.stdout
    assert box.gslb("explain", "nope.example.com", "--client", "81.2.69.142").returncode == 1
    wrong = box.gslb("explain", "www.example.com", "--client", "banana")
    assert wrong.returncode == 1 and "banana" in wrong.stderr


def test_status_shows_regions_servers_and_processes(shared):
    box, _ = shared
    out = box.gslb("status", "--json")
    assert out.returncode == 0, out.stderr
    told = json.loads(out.stdout)
    assert told["edge-1"]["role"] == "edge"
    assert [one["state"] for one in told["edge-1"]["regions"].values()] == ["up"] * 3
    assert len(told["eu-west"]["servers"]) >= 3
    assert {"control", "worker"} == {process["role"] for process in told["us-east"]["processes"]}
    text = box.gslb("status")
    assert text.returncode == 0 and "ap-south" in text.stdout


def test_metrics_are_summed_and_count_what_was_asked(shared):
    box, _ = shared

    def queries():
        page = get(f"{box.admin}/metrics")
        assert page.status == 200, page.body
        text = page.body.decode()
        rows = [line for line in text.splitlines() if line.startswith("gslb_dns_queries_total{")]
        assert rows, text
        return sum(float(line.rsplit(" ", 1)[1]) for line in rows)

    before = queries()
    for _ in range(5):
        box.region_of()
    until(lambda: queries() >= before + 5, 10, "all to be counted: a batch is, once it is answered")
    text = get(f"{box.admin}/metrics").body.decode()
    assert 'gslb_region_up{region="eu-west"' in text
