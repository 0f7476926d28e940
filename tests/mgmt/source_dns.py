"""source_dns.py ASK — the source "dns" against dnsmasq, unbound, and a server that lies (dns_server.py)."""
import os
import shutil
import socket
import sys
import tempfile
import time

from asked import Asked, Failed, Server, claim, free_port, run, wait_for, write
from dns_server import A, AAAA, SRV, DnsServer, a, aaaa, cname, reply, srv

ASK = sys.argv[1]
V4 = "record=ipv4"
SRV_NAME = "name=_web._tcp.test"


def same(got, wanted):
    if got != wanted:
        raise Failed("%s instead of %s" % (got, wanted))


def holds(text, *parts):
    for part in parts:
        if part not in text:
            raise Failed("%r has no %r" % (text, part))


def always(*records):
    return lambda name, kind, query, tcp: reply(query, records if kind == A else ())


# ---- a server that lies ----

def trouble_then_good(says, *words, raw_tcp=None, keys=(V4,)):
    """What is said makes trouble, in these words, and no answer; then the server comes to its senses."""
    with DnsServer() as server:
        server.says, server.raw_tcp = says, raw_tcp
        with Asked(ASK, server.source(), "web.test", *keys) as asked:
            for _ in range(3):  # an answer that a machine held up too long is trouble of its own
                text = asked.trouble()
                if all(w in text for w in words):
                    break
            holds(text, *words)
            server.says, server.raw_tcp = always(a("192.0.2.1")), None
            wait_for("an answer", lambda: asked.next("answer")["answer"])


@claim
def garbage_is_trouble():
    trouble_then_good(lambda n, k, q, t: os.urandom(60), "A web.test: ")


@claim
def an_empty_datagram_is_trouble():
    trouble_then_good(lambda n, k, q, t: b"", "A web.test: ")


@claim
def an_answer_cut_anywhere_is_trouble():
    for keep in (2, 11, 12, 20, 27, 40):
        trouble_then_good(lambda n, k, q, t, keep=keep: reply(q, [a("192.0.2.9")])[:keep], "A web.test: ")


@claim
def another_id_is_no_answer():
    trouble_then_good(lambda n, k, q, t: bytes([q[0] ^ 1]) + reply(q, [a("192.0.2.9")])[1:], "no answer in time")


@claim
def another_question_is_no_answer():
    other = b"\3bad\4test\0\0\1\0\1"
    trouble_then_good(lambda n, k, q, t: reply(q, [a("192.0.2.9")], question=other), "no answer in time")


@claim
def a_question_back_is_trouble():
    trouble_then_good(lambda n, k, q, t: q, "A web.test: ")


@claim
def names_that_lead_forwards_are_trouble():
    trouble_then_good(lambda n, k, q, t: reply(q, [a("192.0.2.9", owner=b"\xc0\xff")]), "not well formed")
    trouble_then_good(lambda n, k, q, t: reply(q, [a("192.0.2.9", owner=b"\xc0\x1a")]), "not well formed")


@claim
def circles_of_aliases_are_trouble():
    trouble_then_good(lambda n, k, q, t: reply(q, [cname("b.test"), cname("web.test", owner="b.test")]),
                      "its aliases (CNAME) go in a circle")


@claim
def more_records_announced_than_sent_is_trouble():
    trouble_then_good(lambda n, k, q, t: reply(q, [a("192.0.2.9")])[:6] + b"\xff\xff" + reply(q, [a("192.0.2.9")])[8:],
                      "not well formed")


@claim
def errors_are_trouble():
    for rcode, word in ((2, "SERVFAIL"), (4, "NOTIMP"), (5, "REFUSED"), (1, "FORMERR"), (9, "an error that has no name here")):
        trouble_then_good(lambda n, k, q, t, rcode=rcode: reply(q, rcode=rcode), word)


@claim
def one_of_two_families_is_trouble_with_a_hint():
    trouble_then_good(lambda n, k, q, t: reply(q, [a("192.0.2.9")]) if k == A else reply(q, rcode=2), "AAAA web.test",
                      "SERVFAIL", 'record = "ipv4"', keys=())


@claim
def silence_is_trouble_within_the_timeout():
    took = []
    while len(took) < 5 and (not took or min(took) > 1200):  # a machine may stand still meanwhile
        with DnsServer() as server:
            with Asked(ASK, server.source(timeout="900ms"), "web.test", V4) as asked:
                line = asked.next("trouble")
                holds(line["trouble"], "no answer in time")
                took.append(line["ms"])
    if not 400 <= min(took) <= 1200:
        raise Failed("told after %s ms" % took)


@claim
def pauses_grow_while_there_is_trouble():
    seen = []
    for _ in range(5):  # a trouble that is told late makes one pause longer, and the next one shorter
        with DnsServer() as server:
            server.says = lambda n, k, q, t: reply(q, rcode=5)
            with Asked(ASK, server.source(), "web.test", V4) as asked:
                times = [asked.next("trouble")["ms"] for _ in range(5)]
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        seen.append(gaps)
        if all(least <= gap <= most for gap, least, most in zip(gaps, (180, 370, 750, 1500), (400, 700, 1300, 2400))):
            return
    raise Failed("pauses %s" % seen)


@claim
def a_cut_off_answer_is_asked_for_by_tcp():
    many = [a("10.1.%d.%d" % (i // 250, i % 250 + 1)) for i in range(4000)]
    with DnsServer() as server:
        server.says = lambda n, k, q, tcp: reply(q, many) if tcp else reply(q, flags=0x8380)
        with Asked(ASK, server.source(), "web.test", V4) as asked:
            same(len(asked.answer()), 4000)
        same({tcp for _, _, _, tcp in server.asked}, {False, True})


@claim
def tcp_that_does_not_help_is_trouble():
    def cut(n, k, q, t):
        return reply(q, [a("192.0.2.9")], flags=0x8380)

    def drip(connection):
        connection.recv(512)
        for byte in b"\xff\xff" + b"\0" * 60:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    def lie(connection):
        connection.recv(512)
        connection.sendall(b"\xff\xff" + b"\0" * 30)

    def nothing(connection):
        connection.recv(512)
        connection.sendall(b"\0\0\0\0\0\1x")

    trouble_then_good(cut, "A web.test: ")
    for raw in (drip, lie, nothing, lambda connection: None):
        trouble_then_good(cut, "A web.test: ", raw_tcp=raw)


@claim
def answers_from_elsewhere_are_none():
    with DnsServer() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        udp_sendto = server.udp.sendto

        class Elsewhere:
            recvfrom, close = server.udp.recvfrom, server.udp.close

            @staticmethod
            def sendto(message, client):
                other.sendto(message, client)
                time.sleep(0.05)
                udp_sendto(reply(message, [a("192.0.2.1")]), client)

        server.says = always(a("192.0.2.66"))
        server.udp = Elsewhere
        with Asked(ASK, server.source(), "web.test", V4) as asked:
            wait_for("an answer", lambda: any("answer" in s for s in asked.seen) or asked.next())
            for line in asked.seen:
                if "192.0.2.66" in str(line):
                    raise Failed("an answer from another port was believed")


@claim
def no_name_and_no_records_are_answers():
    for rcode, note in ((3, "DNS has no such name"), (0, "DNS has no such records")):
        with DnsServer() as server:
            server.says = lambda n, k, q, t, rcode=rcode: reply(q, rcode=rcode)
            with Asked(ASK, server.source(), "web.test") as asked:
                line = asked.next("answer", "trouble")
                same((line.get("answer"), line.get("note")), ([], note))
                server.says = always(a("192.0.2.1"))
                asked.until(["192.0.2.1"])


@claim
def a_ttl_is_kept_within_its_bounds():
    for ttl, more, least, most in ((1, "", 1.0, 1.4), (0, 'min_ttl = "300ms";', 0.3, 0.7), (9999, 'max_ttl = "400ms";', 0.4, 0.8)):
        with DnsServer() as server:
            server.says = always(a("192.0.2.1", ttl))
            source = server.source().replace('min_ttl = "100ms";', "") if "min" in more else server.source()
            with Asked(ASK, source + more, "web.test", V4) as asked:
                asked.next("answer")
                asked.next("confirm")
                asked.next("confirm")
            gaps = [y[0] - x[0] for x, y in zip(server.asked, server.asked[1:])]
            if min(gaps) < least or min(gaps) > most:  # a busy machine may ask late once
                raise Failed("TTL %d: asked after %s s" % (ttl, gaps))


@claim
def the_smallest_ttl_counts():
    with DnsServer() as server:
        server.says = lambda n, k, q, t: reply(q, [cname("b.test", 1), a("192.0.2.1", 99, "b.test"), a("192.0.2.2", 50, "b.test")])
        with Asked(ASK, server.source(), "web.test", V4) as asked:
            first = asked.next("answer")["ms"]
            gap = asked.next("confirm")["ms"] - first
            if not 900 <= gap <= 5000:  # the others are 50 s and more; the answer may be told late
                raise Failed("asked again after %d ms" % gap)


@claim
def changes_are_seen_and_the_same_is_confirmed():
    with DnsServer() as server:
        server.says = always(a("192.0.2.1"), a("192.0.2.2"))
        with Asked(ASK, server.source('max_ttl = "150ms";'), "web.test") as asked:
            same(asked.answer(), ["192.0.2.1", "192.0.2.2"])
            server.says = always(a("192.0.2.2"), a("192.0.2.1"))  # in another order: the same
            for _ in range(4):
                asked.next("confirm")
            same([line for line in asked.seen if "answer" in line][1:], [])
            server.says = always(a("192.0.2.3"))
            asked.until(["192.0.2.3"])


@claim
def flapping_is_told_as_it_is():
    turns = [lambda q: reply(q, [a("192.0.2.1", 0)]), lambda q: reply(q, rcode=3), lambda q: b"\0" * 12, lambda q: reply(q, rcode=2)]
    with DnsServer() as server:
        server.says = lambda n, k, q, t: turns[len(server.asked) % 4](q)
        with Asked(ASK, server.source('max_ttl = "100ms";'), "web.test", V4) as asked:
            wait_for("answers and troubles", lambda: asked.next() and sum("trouble" in s for s in asked.seen) > 1
                     and sum("answer" in s for s in asked.seen) > 1)
            for line in asked.seen:
                if "answer" in line:
                    same([e["address"] for e in line["answer"]] in ([], ["192.0.2.1"]), True)


@claim
def addresses_that_nobody_can_have_are_left_out():
    with DnsServer() as server:
        server.says = always(a("127.0.0.1"), a("0.0.0.0"), a("224.0.0.1"), a("192.0.2.1"))
        with Asked(ASK, server.source(), "web.test") as asked:
            line = asked.next("answer")
            same(([e["address"] for e in line["answer"]], line["left_out"]), (["192.0.2.1"], 3))
            holds(line["note"], "0.0.0.0 is no address that an endpoint can have")


# ---- SRV ----

def services(**targets):
    """SRV to each target; addresses only when they are asked for."""

    def says(name, kind, query, tcp):
        if kind == SRV:
            return reply(query, [srv(10, 300, 8080, t + ".test") for t in targets])
        found = targets.get(name.split(".")[0])
        if found == "SERVFAIL":
            return reply(query, rcode=2)
        return reply(query, [a(found)] if kind == A and found else [])

    return says


@claim
def targets_are_asked_for_their_addresses():
    with DnsServer() as server:
        server.says = services(s1="192.0.2.1", s2="192.0.2.2", s3=None)
        with Asked(ASK, server.source(), "web", SRV_NAME, "record=srv") as asked:
            line = asked.next("answer", "trouble")
            same([(e["name"], e["port"], e["weight"]) for e in line["answer"]],
                 [("s1.test-192.0.2.1-8080", 8080, 256), ("s2.test-192.0.2.2-8080", 8080, 256)])
            same((line["left_out"], line["note"]), (1, "s3.test has no address"))
        same(sorted({(n, k) for _, n, k, _ in server.asked}),
             [("_web._tcp.test", SRV)] + [("s%d.test" % i, k) for i in (1, 2, 3) for k in (A, AAAA)])


@claim
def what_is_missing_is_asked_for_again_before_the_ttl():
    """A target without address now, in records for an hour."""
    with DnsServer() as server:
        found = []
        server.says = lambda n, k, q, t: (reply(q, [srv(1, 0, 80, s + ".test", 3600) for s in ("s1", "s2")]) if k == SRV
                                          else reply(q, [], rcode=3) if n == "s2.test" and not found
                                          else reply(q, [a("192.0.2." + n[1], 3600)] if k == A else []))
        with Asked(ASK, server.source('max_ttl = "1h";'), "web", SRV_NAME, "record=srv") as asked:
            same(asked.answer(), ["192.0.2.1"])
            found.append(1)
            asked.until(["192.0.2.1", "192.0.2.2"])


@claim
def a_target_that_fails_is_trouble_for_all():
    with DnsServer() as server:
        server.says = services(s1="192.0.2.1", s2="SERVFAIL")
        with Asked(ASK, server.source(), "web", SRV_NAME, "record=srv") as asked:
            holds(asked.trouble(), "s2.test: the server failed (SERVFAIL)")
            server.says = services(s1="192.0.2.1", s2="192.0.2.2")
            same(asked.next("answer")["answer"][1]["address"], "192.0.2.2")


@claim
def addresses_that_came_along_are_not_asked_for():
    with DnsServer() as server:
        server.says = lambda n, k, q, t: (reply(q, [srv(1, 0, 80, "s1.test"), srv(1, 0, 81, "S1.test")],
                                                [a("192.0.2.1", owner="s1.test"), aaaa("2001:db8::1", owner="s1.test")])
                                          if k == SRV else reply(q, rcode=2))
        with Asked(ASK, server.source(), "web", SRV_NAME, "record=srv") as asked:
            same(asked.answer(), ["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::1"])


@claim
def no_service_is_an_answer():
    with DnsServer() as server:
        server.says = lambda n, k, q, t: reply(q, [srv(0, 0, 0, "")])
        with Asked(ASK, server.source(), "web", SRV_NAME, "record=srv") as asked:
            line = asked.next("answer")
            same(line["answer"], [])
            holds(line["note"], "there is no such service")


@claim
def two_thousand_targets_are_asked_for():
    names = {"t%d" % i: "10.2.%d.%d" % (i // 250, i % 250 + 1) for i in range(2000)}
    with DnsServer() as server:
        says = services(**names)
        server.says = lambda n, k, q, tcp: reply(q, flags=0x8380) if k == SRV and not tcp else says(n, k, q, tcp)
        with Asked(ASK, server.source('max_ttl = "1h";', timeout="10s"), "web", SRV_NAME, "record=srv") as asked:
            same(len(asked.answer()), 2000)


# ---- several servers ----

@claim
def the_next_server_answers_for_one_that_does_not():
    with DnsServer() as bad, DnsServer() as good:
        good.says = always(a("192.0.2.1"))
        both = good.source().replace('( "', '( "127.0.0.1:%d", "' % bad.port)
        for says in (lambda n, k, q, t: None, lambda n, k, q, t: reply(q, rcode=2), lambda n, k, q, t: reply(q, rcode=5)):
            bad.says = says
            with Asked(ASK, both, "web.test", V4) as asked:
                same(asked.answer(), ["192.0.2.1"])
        good.says = bad.says
        with Asked(ASK, both, "web.test", V4) as asked:
            holds(asked.trouble(), "each one is away, failed or refused")
        good.says = always(a("192.0.2.1"))
        dead = good.source().replace('( "', '( "127.0.0.1:%d", "' % free_port())
        with Asked(ASK, dead, "web.test", V4) as asked:
            same(asked.answer(), ["192.0.2.1"])


@claim
def servers_of_the_system_are_read_again_after_trouble():
    """In a mount namespace with an /etc/resolv.conf of its own; port 53 and mounts are root's."""
    if os.geteuid() != 0:
        print("skipped: not root")
        return
    address = "127.77.%d.%d" % (os.getpid() // 250 % 250, os.getpid() % 250 + 1)
    with tempfile.NamedTemporaryFile("w") as resolv, DnsServer(address, 53) as server:
        server.says = always(a("192.0.2.1", 1))
        resolv.write("nameserver 127.77.251.1\n")
        resolv.flush()
        asked = Asked(ASK, 'type = "dns"; timeout = "2s"; max_ttl = "500ms"; min_ttl = "100ms";', "web.test", V4)
        asked.command[:0] = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolv.name]
        with asked:
            asked.trouble()
            resolv.seek(0)
            resolv.write("nameserver %s\n" % address)
            resolv.truncate()
            resolv.flush()
            asked.until(["192.0.2.1"])


@claim
def servers_have_ipv6_addresses_too():
    many = [a("10.1.%d.%d" % (i // 250, i % 250 + 1)) for i in range(500)]
    with DnsServer("::1") as server:
        server.says = lambda n, k, q, tcp: reply(q, many) if tcp else reply(q, flags=0x8380)
        with Asked(ASK, server.source(), "web.test", V4) as asked:
            same(len(asked.answer()), 500)
        with Asked(ASK, server.source().replace('( "', '( "::1", "'), "web.test", V4) as asked:  # nobody on port 53
            same(len(asked.answer()), 500)


# ---- real servers ----

def port_answers(port):
    """Whether something on a UDP port answers a question."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        try:
            s.connect(("127.0.0.1", port))
            s.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\tlocalhost\0\0\1\0\1")
            return len(s.recv(4096)) >= 12
        except OSError:
            return False


def source_at(*ports, more=""):
    return 'type = "dns"; servers = ( %s ); timeout = "3s"; min_ttl = "200ms"; %s' % (
        ", ".join('"127.0.0.1:%d"' % p for p in ports), more)


def program(name):
    found = shutil.which(name) or "/usr/sbin/" + name
    if not os.path.exists(found):
        raise Failed("%s is not installed" % name)
    return found


def dnsmasq(directory, port, *options):
    hosts = os.path.join(directory, "hosts.d")
    os.makedirs(hosts, exist_ok=True)
    os.chmod(directory, 0o755)
    return Server(program("dnsmasq"), "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--port=%d" % port,
                  "--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file=", "--local-ttl=1", "--local=/test/",
                  "--hostsdir=" + hosts, *options, ready=lambda: port_answers(port))


@claim
def dnsmasq_changes_restarts_and_is_absent():
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        server = dnsmasq(directory, port, "--host-record=web.test,192.0.2.1,2001:db8::1", "--cname=www.test,web.test")
        more = dnsmasq(directory, port, "--host-record=web.test,192.0.2.1", "--host-record=web.test,192.0.2.7")
        with Asked(ASK, source_at(port), "www.test") as asked:
            holds(asked.trouble(), "is away")  # it is not there yet
            with server:
                same(asked.next("answer")["answer"][1]["name"], "2001-db8--1-0")
                asked.next("confirm")
            asked.next("trouble")
        with Asked(ASK, source_at(port), "web.test") as asked:
            with more:
                asked.until(["192.0.2.1", "192.0.2.7"])
            asked.next("trouble")
            with server:
                asked.until(["192.0.2.1", "2001:db8::1"])


@claim
def dnsmasq_tells_of_services():
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        with dnsmasq(directory, port, "--srv-host=_web._tcp.test,s1.test,8080,10,60", "--srv-host=_web._tcp.test,s2.test,8081,20,5",
                     "--host-record=s1.test,192.0.2.11", "--host-record=s2.test,192.0.2.12,2001:db8::12"):
            with Asked(ASK, source_at(port), "web", SRV_NAME, "record=srv") as asked:
                same([(e["address"], e["port"], e["priority"], e["weight"]) for e in asked.next("answer")["answer"]],
                     [("192.0.2.11", 8080, 0, 60), ("192.0.2.12", 8081, 1, 5), ("2001:db8::12", 8081, 1, 5)])
            with Asked(ASK, source_at(port), "web", "name=_none._tcp.test", "record=srv") as asked:
                same(asked.next("answer")["answer"], [])


UNBOUND = """server:
 interface: 127.0.0.1
 port: %(port)d
 do-daemonize: no
 use-syslog: no
 logfile: ""
 username: ""
 chroot: ""
 pidfile: ""
 directory: "%(directory)s"
 do-not-query-localhost: no
 module-config: "iterator"
 num-threads: 1
 cache-min-ttl: 0
 local-zone: "test." transparent
%(zone)s
forward-zone:
 name: "%(forwarded)s"
 forward-addr: 127.0.0.1@%(upstream)d
remote-control:
 control-enable: no
"""


def unbound(directory, port, upstream, *data):
    conf = os.path.join(directory, "unbound.conf")
    zone = "\n".join(' local-data: "%s"' % line for line in data)
    write(conf, UNBOUND % {"port": port, "directory": directory, "zone": zone, "upstream": upstream, "forwarded": "up."})
    return Server(program("unbound"), "-d", "-c", conf, ready=lambda: port_answers(port))


@claim
def unbound_sends_large_answers_by_tcp():
    data = ["web.test. 1 A 10.3.%d.%d" % (i // 200, i % 200 + 1) for i in range(600)]  # 9.6 KB
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        with unbound(directory, port, free_port(), *data):
            with Asked(ASK, source_at(port), "web.test") as asked:
                same(len(asked.answer()), 600)
                asked.next("confirm")


@claim
def unbound_resolves_aliases_and_counts_ttls_down():
    with tempfile.TemporaryDirectory() as directory, DnsServer() as upstream:
        upstream.says = lambda n, k, q, t: (reply(q, [cname("real.up", 60), a("192.0.2.1", 2, "real.up")]) if (n, k) == ("web.up", A)
                                            else reply(q, [a("192.0.2.1", 2)] if (n, k) == ("real.up", A) else []))
        port = free_port()
        with unbound(directory, port, upstream.port):
            with Asked(ASK, source_at(port), "web.up", V4) as asked:
                same(asked.answer(), ["192.0.2.1"])
                upstream.says = lambda n, k, q, t: reply(q, [a("192.0.2.2", 2)] if k == A else [])
                start = asked.seen[-1]["ms"]
                while True:
                    line = asked.next("answer", "trouble")
                    if "answer" in line:
                        break
                same([e["address"] for e in line["answer"]], ["192.0.2.2"])
                if not 1500 <= line["ms"] - start <= 12000:  # the alias is good for 60 s
                    raise Failed("a record of 2 s was asked for again after %d ms" % (line["ms"] - start))


@claim
def unbound_without_upstream_is_trouble_and_comes_back():
    with tempfile.TemporaryDirectory() as directory, DnsServer() as upstream:
        upstream.says = lambda n, k, q, t: reply(q, rcode=2)
        port = free_port()
        with unbound(directory, port, upstream.port):
            with Asked(ASK, source_at(port), "web.up", V4) as asked:
                holds(asked.trouble(), "A web.up: ")
                upstream.says = always(a("192.0.2.1"))
                asked.until(["192.0.2.1"])


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:]))
