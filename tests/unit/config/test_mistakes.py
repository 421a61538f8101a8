"""Every mistake is told with its file, its line and what would be right, and none invents another."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.config_files import FILES, changed, problems

G, W, E = "gslb.yaml", "west.yaml", "east.yaml"
MARK = "§"  # in the changed text: the line that must be named

# (file, text, what takes its place with the line marked, words of the message, words of the remedy)
MISTAKES = [
    # ------------------------------------------------------------ words that don't exist, and values of the wrong kind
    (
        G, "cluster: test", "§clutser: x\ncluster: test", "unknown key 'clutser'",
        "did you mean 'cluster'? known: alerts, cluster",
    ),
    (G, "cluster: test\n", "", "'cluster' is missing", "the cluster's name", 1),
    (G, "cluster: test", "§cluster: 2024", "2024 is not text", "put it in quotes"),
    (G, "cluster: test", '§cluster: "a b"', "'a b' can't be a name", "letters, digits"),
    (G, "workers: 2", "§workers: 1000", "1000 is no number of workers", "auto, or a number from 0 to 64"),
    (G, "workers: 2", "§workers: yes", "'yes' is no number of workers", "auto, or a number"),
    (G, "workers: 2", "§wrokers: 2", "unknown key 'wrokers'", "did you mean 'workers'?"),
    (G, "rise: 10}", "rise: 0}§", "0 is out of bounds", "at least 1"),
    (G, "rise: 10}", "rise: 101}§", "101 is out of bounds", "at most 100"),
    (G, "rise: 10}", 'rise: "10"}§', "'10' is not a whole number", "without quotes"),
    (G, "rise: 10}", "rise: 1.5}§", "1.5 is not a whole number", "write a number, as 10"),
    (G, "interval: 1s,", "interval: 1,§", "1 is not a duration", "a number with its unit, as 500ms"),
    (G, "interval: 1s,", "interval: 2.5,§", "2.5 is not a duration", "a number with its unit"),
    (G, "interval: 1s,", "interval: 2h,§", "is out of bounds", "from 10ms to 1h"),
    (G, "interval: 1s,", "interval: 1 second,§", "'1 second' is not a duration", "2s, 1m30s or 1h"),
    (G, "rise: 10}", "rise: 10, addresses: 1}§", "1 is neither true nor false", "without quotes"),
    (G, "format: text", "§format: xml", "'xml' is not known here", "known: json, text"),
    (G, "level: info", "§level: warn", "'warn' is not known here", "did you mean 'warning'?"),
    (G, "  redis: []", "§  redis: redis://h", "this is not a list", "in brackets"),
    (
        G, "  redis: []", '  redis:\n    - redis://127.0.0.1\n§    - "http://u:hunter2@h"', "not the URL of a Redis",
        "redis://127.0.0.1:6379",
    ),
    (G, "edge:\n  workers: 2", "edges_: 1§\nedge:\n  workers: 2", "unknown key 'edges_'", "did you mean 'edges'?"),
    (G, "  edge-1: {}", "§  edge-1:", "this is not a mapping", "known keys: admin, dns"),
    (G, "  edge-1: {}", "§  west: {}", "'west' is the name of a region", "its own name"),
    (G, "probe: {", "geo: {database: nowhere.mmdb}§\nprobe: {", "nowhere.mmdb: No such file", "gslb geo build"),
    # ------------------------------------------------------------ listen lines
    (G, '"127.0.0.1:5300"', '§"127.0.0.1"', "no address to listen on", "127.0.0.1:53 or [::1]:53"),
    (G, '"127.0.0.1:5300"', '§":53"', "no address to listen on", "0.0.0.0:53 and [::]:53"),
    (G, '"127.0.0.1:5300"', "§localhost:5300", "no address to listen on", "write the address: 127.0.0.1:5300"),
    (G, '"127.0.0.1:5300"', '§"127.0.0.1:70000"', "names no port", "1 to 65535"),
    (G, '"127.0.0.1:5300"', '§"127.0.0.1:0"', "names no port", "1 to 65535"),
    (G, '"[::1]:5300"', '§"::1:5300"', "no address to listen on", "[::1]:53"),
    (
        G, '["127.0.0.1:8080"]', '["127.0.0.1:5300"]§', "127.0.0.1:5300 overlaps with 127.0.0.1:5300 on line 7",
        "its own port",
    ),
    (G, '["127.0.0.1:8080"]', '["0.0.0.0:9470"]', "127.0.0.1:9470 overlaps with 0.0.0.0:9470", "its own port", 9),
    (
        G, '"127.0.0.1:9480"', '"127.0.0.1:8080"§', "127.0.0.1:8080 overlaps with 127.0.0.1:8080 on line 8",
        "its own port",
    ),
    (G, "[10.0.0.0/8]", "[10.0.0.1/8]§", "'10.0.0.1/8' is not a network", "the network is 10.0.0.0/8"),
    (G, "[10.0.0.0/8]", "[proxy]§", "'proxy' is not a network", "10.0.0.0/8"),
    # ------------------------------------------------------------ zones
    (
        G, "  example.com:\n", "  example.com:\n§    nameserver: 1\n", "unknown key 'nameserver'",
        "did you mean 'nameservers'?",
    ),
    (
        G, "  example.com:\n    name", "  exämple.com: {nameservers: {ns1.x.: []}}§\n  example.com:\n    name",
        "letters that DNS has not", "xn--exmple-cua.com",
    ),
    (
        G, "  example.com:\n    name", "  example.com.: {nameservers: {ns: [192.0.2.1]}}§\n  example.com:\n    name",
        "example.com is example.com. on line 15", "remove one", 16,
    ),
    (G, '"2001:db8::53"]', '"2001:db8:::53"]§', "'2001:db8:::53' is not an IP address", "192.0.2.10 or 2001:db8::10"),
    (G, 'ns2: ["198.51.100.53"]', "ns2: []§", "ns2.example.com has no address", "ns2: [192.0.2.53]"),
    (
        G, 'ns2: ["198.51.100.53"]', "ns.example.net.: [192.0.2.1]§", "ns.example.net is outside the zone",
        "ns.example.net.: []",
    ),
    (G, 'ns2: ["198.51.100.53"]', '"*": [192.0.2.1]§', "a name server has no wildcard", "write its name, as ns1"),
    (G, "[nearest]", f"[{', '.join(['nearest'] * 17)}]§", "holds too much", "at most 16"),
    (G, 'ns2: ["198.51.100.53"]', "api: [192.0.2.1]§", "api.example.com is a service", "a name of its own"),
    (G, "    ttl: 1h\n", "    ttl: 3600§\n", "3600 is not a duration", "1m30s or 1h"),
    (G, "    ttl: 1h\n", "    ttl: 1500ms§\n", "no whole number of seconds", "1s or more"),
    (G, "    ttl: 1h\n", "    contact: a b§\n", "'a b' is no mail address", "hostmaster@example.com"),
    (G, "    ttl: 1h\n", "    file: nowhere.zone§\n", "can't read", "from this file's folder"),
    (E, "location: {", "§loction: {}\nlocation: {", "unknown key 'loction'", "did you mean 'location'?"),
    (G, "type: MX", "type: MXX§", "unknown record type 'MXX'", "did you mean 'MX'?"),
    (G, "type: MX", "type: SOA§", "the SOA record is made from the zone", "contact, ttl"),
    (G, '"10 mail"', '"mail"§', "MX wants 2 fields, not 1", "10 mail"),
    (G, '"10 mail"', '"ten mail"§', "is not the data of MX", "10 mail"),
    (G, "192.0.2.25", '"192.0.2.256"§', "192.0.2.256", "192.0.2.10"),
    (G, "192.0.2.25}", "192.0.2.25, prio: 1}§", "unknown key 'prio'", "known: data, name, ttl, type"),
    (
        G, "{name: mail, type: A, ttl: 5m, data: 192.0.2.25}", "{name: mail, type: A, ttl: 5m}§", "'data' is missing",
        "as in a zone file",
    ),
    (
        G, "name: mail,", "name: mail.example.net.,§", "mail.example.net is outside the zone example.com",
        "without their last dot",
    ),
    (G, "name: mail,", 'name: "ma il",§', "'ma il' is not a record's name", "@ for the zone itself"),
    (G, "name: mail,", "name: www,§", "www.example.com is a service", "remove this record, or the service"),
    (G, "name: blog,", "name: api,§", "api.example.com is a service", "remove this record, or the service"),
    (G, "name: blog,", "name: mail,§", "mail.example.com has A beside its CNAME", "a CNAME stands alone"),
    (G, "name: blog,", 'name: "@",§', "example.com has MX, NS, SOA beside its CNAME", "a CNAME stands alone"),
    (G, "name: mail,", "name: ns1,§", "the addresses of ns1.example.com come from", "write them there"),
    (
        G, "name: mail, type: A, ttl: 5m, data: 192.0.2.25", 'name: "@", type: NS, data: ns9§',
        "own NS records come from", "write the server there",
    ),
    (
        G, "name: mail, type: A, ttl: 5m, data: 192.0.2.25", "name: www, type: NS, data: ns.example.net.",
        "below a delegation", "change or remove", 15,
    ),
    (
        G, "      - {name: blog", "§      - {name: mail, type: A, ttl: 5m, data: 192.0.2.25}\n      - {name: blog",
        "A record of mail.example.com is there twice", "remove one",
    ),
    (
        G, "      - {name: blog", "§      - {name: mail, type: A, data: 192.0.2.26}\n      - {name: blog",
        "differ in TTL", "300s for all",
    ),
    (G, "    ttl: 1h\n", "    recrods: []§\n", "unknown key 'recrods'", "did you mean 'records'?"),
    # ------------------------------------------------------------ services
    (G, "  www.example.com:", "§  www.example.org:", "www.example.org is in no configured zone", "known: example.com"),
    (G, "  www.example.com:", "§  www_.exa mple.com:", "is not a DNS name", "www.example.com"),
    (
        G, "regions: [west, east]", "§regions: [west, eats]", "there is no region 'eats'",
        "did you mean 'east'? known: east, west",
    ),
    (
        G, "regions: [west, east]", "regions:\n      - west\n      - east\n§      - west",
        "the region 'west' is there twice", "line 25",
    ),
    (G, "regions: [west, east]", "regions: []§", "is empty", "at least one"),
    (G, "regions: [west, east]", "regions: west§", "'west' is not a list", "in brackets"),
    (G, "    regions: [west, east]\n", "", "'regions' is missing", "the regions that serve it", 23),
    (
        G, "steering: [nearest]", "§steering: [nearst]", "unknown policy 'nearst'",
        "did you mean 'nearest'? known: failover, geo, limit",
    ),
    (G, "steering: [nearest]", "§steering: nearest", "'nearest' is not a list", "in brackets"),
    (
        G, "steering: [nearest]", "steering:\n      - nearest\n§      - {weighted: {by: coin}}",
        "'coin' is not known here", "known: answer, client",
    ),
    (
        G, "steering: [nearest]", "steering:\n      - weighted:\n§          wieghts: {west: 1}",
        "unknown key 'wieghts'", "did you mean 'weights'? known: by, weights",
    ),
    (
        G, "steering: [nearest]",
        "steering:\n      - weighted:\n          weights:\n            west: 1\n§            eest: 2",
        "the region 'eest' is none of this service's", "known: east, west",
    ),
    (
        G, "steering: [nearest]",
        "steering:\n      - failover:\n          order:\n            - east\n§            - north",
        "the region 'north' is none", "known: east, west",
    ),
    (
        G, "steering: [nearest]", "steering:\n      - nearest:\n          bias:\n§            west: 120",
        "120 is out of bounds", "at most 99",
    ),
    (
        G, "steering: [nearest]", "steering:\n      - geo:\n§          countries: {UK-: [west]}",
        "'UK-' is no country", "two-letter", 26,
    ),
    (G, "steering: [nearest]", "steering: [{limit: {regions: true}}]§", "true is not a whole number", "write a number"),
    (
        G, "steering: [nearest]", "steering: [{limit: 2}]§", "these are no options",
        "{limit: {option: value}}; known: regions, addresses",
    ),
    (G, "steering: [nearest]", "steering: [{limit: {}, nearest: {}}]§", "this names no policy", "known: failover"),
    (G, "{min: 5s, max: 60s}", "{min: 5m, max: 60s}§", "min is greater than max", "the smaller one as min"),
    (
        G, "when_all_down: all", "§when_all_down: al", "not what to do when all is down",
        "did you mean 'all'? known: all, last_good, primary",
    ),
    (G, "when_all_down: all", "§when_all_down: fallback", "fallback names no address", "{fallback: [192.0.2.80]}"),
    (G, "when_all_down: all", "§when_all_down: {fallback: []}", "is empty", "at least one"),
    (
        G, "when_all_down: all", "when_all_down:\n      fallback:\n        - 192.0.2.1\n§        - host",
        "'host' is not an IP address", "192.0.2.10",
    ),
    # ------------------------------------------------------------ secrets
    (G, "log: {", "secrets: {cookie: hunter2}§\nlog: {", "says not where the secret is", "{file: path} or {env: NAME}"),
    (G, "log: {", "secrets: {cookie: {file: nowhere}}§\nlog: {", "can't read", "name another one"),
    (G, "log: {", "secrets: {admin_token: {env: UNSET}}§\nlog: {", "the variable UNSET is not set", "made up"),
    # ------------------------------------------------------------ regions
    (W, "region: west", "§region: east", "the region 'east' is there twice", "rename one"),
    (W, "region: west\n", "", "'region' is missing", "the region's name", 1),
    (W, "  workers: auto", "§  upgrades: [h2c]\n  workers: auto", "h2c can't be passed on", "speak HTTP/1.1"),
    (W, "  workers: auto", "§  upgrades: [Web Socket]\n  workers: auto", "is no protocol name", "websocket"),
    (W, "latitude: 53.34", "latitude: 153.34§", "153.34 is out of bounds", "at most 90"),
    (W, "latitude: 53.34", 'latitude: "53.34"§', "'53.34' is not a number", "without quotes"),
    (W, "country: IE", "country: ie§", "'ie' is no country", "in capitals, as IE"),
    (W, "country: IE", "contry: IE§", "unknown key 'contry'", "did you mean 'country'?"),
    (W, '"192.0.2.10", ', '"192.0.2.10", "192.0.2.10", §', "the address '192.0.2.10' is there twice", "line 3"),
    (W, '"192.0.2.10", ', '"224.0.0.1", §', "is no address of one host", "clients connect to"),
    (W, '"192.0.2.10", ', '"::ffff:192.0.2.10", §', "an address of another kind", "plain IPv4"),
    (W, '"http://127.0.0.1:8101"', '"ftp://127.0.0.1"§', "not an http or https URL", "http:// or https://"),
    (
        W, '"http://127.0.0.1:8101"', '"http://127.0.0.1/x"§', "says more than scheme, host and port",
        "http://192.0.2.1:8080",
    ),
    (W, '"http://127.0.0.1:8101"', "http://EAST.example.net:80/§", "has this url, too", "redirects and probes"),
    (W, "capacity: 20000", "§capacity: -1", "-1 is out of bounds", "at least 0"),
    (W, '  listen: ["127.0.0.1:8101"]\n', "", "'listen' is missing", "where HTTP is served", 6),
    (W, '"127.0.0.1:9471"', '"127.0.0.1:8101"§', "127.0.0.1:8101 overlaps", "its own port"),
    (W, "connect: 1s", "conect: 1s§", "unknown key 'conect'", "did you mean 'connect'?"),
    (W, "pool: web}", "pool: wbe}§", "there is no pool 'wbe'", "did you mean 'web'? known: api, web"),
    (
        W, "{match: {}, pool: web}", "{match: {}, pool: web}\n§    - {match: {path: /img/*}, pool: web}",
        "no request reaches this route: the one on line 13", "put it before",
    ),
    (
        W, "{match: {}, pool: web}", "{match: {host: WWW.example.com, path: /api/v1}, pool: web}§",
        "the one on line 12 takes them all", "put it before",
    ),
    (W, "path: /api/*", "path: api§", "'api' is not a path to match", "start it with /"),
    (W, "path: /api/*", "path: /a***b§", "'/a***b' is not a path to match", "** for anything"),
    (
        W, "algorithm: least_connections", "§algorithm: least_conections", "unknown algorithm 'least_conections'",
        "did you mean 'least_connections'?",
    ),
    (
        W, "algorithm: least_connections", "§algorithm: {least_connections: {slow: 1}}", "unknown key 'slow'",
        "there are none",
    ),
    (
        W, "algorithm: least_connections", "§algorithm: {peak_ewma: {decay: 10}}", "10 is not a duration",
        "write a number with its unit",
    ),
    (
        W, "algorithm: least_connections", "§algorithm: {peak_ewma: {decay: 1h}}", "is out of bounds",
        "write a duration from 100ms to 10m",
    ),
    (
        W, "algorithm: least_connections", "§algorithm: {consistent_hash: {key: colour}}", "'colour' is no key",
        "client_ip, host, path",
    ),
    (
        W, "algorithm: least_connections", "§algorithm: {maglev: {balance_factor: 0.5}}", "leaves no room",
        "",
    ),
    (
        W, "algorithm: least_connections", "§algorithm: {power_of_two: {choices: 9}}", "9 is out of bounds",
        "at most 8",
    ),
    (W, "id: web-2", "id: web-1§", "the server id 'web-1' is there twice", "line 20"),
    (W, "port: 9001", "port: 8101§", "web-1 is this balancer itself", "a server behind it"),
    (W, "port: 9001", "port: 90010§", "90010 is out of bounds", "at most 65535"),
    (W, 'host: "::1"', 'host: "[::1]"§', "'[::1]' is not a host", "without brackets or port"),
    (W, 'host: "::1"', "host: 127.0.0.1:80§", "'127.0.0.1:80' is not a host", "without brackets or port"),
    (W, 'host: "::1"', "host: 127.0.0.256§", "'127.0.0.256' is not a host", "an IP address"),
    (W, "weight: 2,", "wieght: 2,§", "unknown key 'wieght'", "did you mean 'weight'?"),
    (W, "type: http,", "type: htpp,§", "unknown check 'htpp'", "did you mean 'http'? known: dns, exec, grpc, http, "),
    (W, "type: http, ", "§", "this names no check", "known: dns, exec, grpc, http, tcp, tls"),
    (W, "path: /health", "path: health§", "'health' is not a path", "/health"),
    (W, "path: /health", "expect: [200]§", "is not text", "write text"),
    (W, "path: /health", "intervall: 1s§", "unknown key 'intervall'", "did you mean 'interval'?"),
    (W, "timeout: 1s,", "timeout: 1,§", "1 is not a duration", "500ms"),
    (W, "health: {type", "healt: {type", "unknown key 'healt'", "did you mean 'health'?", 22),
    (
        E, "    web:\n", "    web:\n§      health: tcp\n", "this is no check",
        "{type: http, path: /health}; types: dns, exec, grpc, http, tcp, tls",
    ),
    (W, "retries:", "sticky: {by: sid}§\n      retries:", "'sid' is nothing a session", "cookie, client_ip"),
    (W, "retries:", 'sticky: {by: "learned:"}§\n      retries:', "nothing a session is known by", "learned:NAME"),
    (W, "retries:", "sticky: {name: a b}§\n      retries:", "'a b' can't be a cookie's name", "letters, digits"),
    (W, "retries:", "sticky: {failback: soon}§\n      retries:", "'soon' is no failback", "never, immediate, or after"),
    (W, "retries:", "sticky: {same_site: lax}§\n      retries:", "'lax' is not known here", "did you mean 'Lax'"),
    (W, "retries:", "sticky: {domain: com}§\n      retries:", "'com' is no domain", "at least two labels"),
    (
        W, "retries:", "sticky: {domain: example.com}§\n      retries:", "they share no secret",
        "secrets: {cookie: {file: …}}",
    ),
    (W, "attempts: 3", "attempts: 0§", "0 is out of bounds", "at least 1"),
    (W, "attempts: 3", "on: [conect]§", "'conect' is nothing to retry on", "connect, reset, timeout"),
    (W, "attempts: 3", "on: [404]§", "404 is nothing to retry on", "statuses from 500 to 599"),
    (W, "attempts: 3", "on: reset§", "this is not a list", "[connect, reset, 502, 503]"),
    (W, "attempts: 3", "budget: 0.2§", "0.2 is not a percentage", "20%"),
    (W, "attempts: 3", "budget: 120%§", "is out of bounds", "at most 1"),
    (E, "      servers: [{host: backend.example.net, port: 80}]", "      servers: []§", "is empty", "at least one"),
    (E, "{host: backend.example.net, port: 80}", "{host: backend.example.net}§", "'port' is missing", "its port"),
    (
        E, "    web:\n", "    two: {servers: [{host: h, port: 1}]}\n    web:\n", "2 pools, but no routes",
        "routes: [{match: {}, pool: two}]", 5,
    ),
    # ------------------------------------------------------------ YAML
    (G, "cluster: test", "§cluster: a: b", "not YAML: mapping values are not allowed", "in quotes"),
    (G, "  workers: 2", "§\tworkers: 2", "not YAML: found character '\\t'", "spaces, not tabs"),
    (G, "cluster: test", "cluster: test\n§cluster: two", "the key 'cluster' is there twice", "on line 1, too"),
    (G, "cluster: test", "§cluster: !!python/name:os.system test", "the tag", "remove it"),
    (G, "probe: {", "§<<: {}\nprobe: {", "merge keys (<<) are not YAML 1.2", "by *alias"),
    (W, "region: west", "§region: *west", "*west is not known here", "quote text that starts with *"),
    (W, "capacity: 20000", f"§capacity: {'9' * 30}", "a number that long", "quote it"),
    (W, "capacity: 20000", "capacity: 20000\n§---\nx: 1", "a second document begins", "remove the ---"),
]


def case_id(case):
    return f"{case[0]} {case[3]}"


@pytest.mark.parametrize("case", MISTAKES, ids=case_id)
def test_a_mistake_is_told_with_file_line_and_remedy(case, tmp_path):
    file, old, new, message, remedy, *lines = case
    text = changed(file, old, new)
    line = lines[0] if lines else text[: text.find(MARK)].count("\n") + 1
    found = problems(tmp_path, {file: text.replace(MARK, "")})
    assert [(problem.file, problem.line) for problem in found] == [(str(tmp_path / file), line)], found
    assert message in found[0].message
    assert remedy in found[0].remedy
    assert found[0].kind == "invalid"


# while a region's own name is in doubt, nobody can say that another one doesn't exist
SHARED = st.sampled_from([case for case in MISTAKES if case[0] == G and "region" not in case[3]])
# … nor, while gslb.yaml can't be read, whether it has the secret that a region wants
REGIONAL = st.sampled_from([case for case in MISTAKES if case[0] == W and "share no secret" not in case[3]])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SHARED, REGIONAL)
def test_a_mistake_in_one_file_hides_none_in_another(tmp_path, shared, region):
    texts = {file: changed(file, old, new).replace(MARK, "") for file, old, new, *_ in (shared, region)}
    found = problems(tmp_path, texts)
    for file, _, _, message, *_ in (shared, region):
        assert any(problem.file == str(tmp_path / file) and message in problem.message for problem in found), found


def test_there_are_many_of_them_and_they_differ():
    assert len({(file, old, new) for file, old, new, *_ in MISTAKES}) == len(MISTAKES) > 100


def test_the_files_without_mistakes_have_none(tmp_path):
    assert problems(tmp_path, dict(FILES)) == []
