#!/usr/bin/env python3
"""source_consul.py ASK: the source "consul" against a server of ours (consul_server.py: written from the public description
of the interface) that is honest, slow, absent, restarted, lies, and talks nonsense."""

import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from asking import Ask, make_ca, make_cert, never_empty, wait_for  # noqa: E402
from consul_server import Agent, instance  # noqa: E402

PROGRAM = sys.argv[1]
BURST_AND_TWO_SECONDS = 40  # queries: eight at once, ten a second, and some for a slow machine
A, B, C = instance("a", "192.0.2.1"), instance("b", "192.0.2.2"), instance("c", "192.0.2.3")


def ask(d, agent, more=(), **keys):
    return Ask(PROGRAM, d, "consul", dict({"urls": [agent.url], "timeout": "1s", "wait": "60s"}, **keys), more=more)


def body(entries):
    return json.dumps(entries).encode()


def changes_come_by_blocking_queries(d):
    with Agent() as s:
        s.set("web", [A])
        with ask(d, s) as q:
            q.names(["a"])
            wait_for("a query that waits", lambda: len(s.asked()) == 2)
            assert s.asked()[0]["query"] == {}
            assert s.asked()[1]["query"] == {"index": "11", "wait": "60s"}
            at = time.monotonic()
            s.set("web", [A, B])
            late = q.names(["a", "b"])["at"] - at
            assert late < 5, "told after %.3f s" % late
            wait_for("the next one", lambda: s.asked()[-1]["query"].get("index") == "12")
            assert len(s.asked()) == 3


def a_wait_that_ends_confirms(d):
    with Agent() as s:
        s.set("web", [A])
        with ask(d, s, wait="1s") as q:
            q.names(["a"])
            q.next("confirm")
            q.next("confirm")
            assert not any("answer" in line for line in q.quiet())


def what_changes_nothing_confirms(d):
    with Agent() as s:
        s.set("web", [B, A])
        with ask(d, s) as q:
            q.names(["a", "b"])
            s.set("web", [A, B])
            q.next("confirm")
            s.set("other", [A])
            q.next("confirm")


def an_index_that_went_back_begins_anew(d):
    with Agent() as s:
        s.set("web", [A, B], index=1000)
        with ask(d, s) as q:
            q.names(["a", "b"])
            wait_for("a query that waits", lambda: len(s.asked()) == 2)
            seen = []

            def old(handler, query):  # once, of the past; what is asked without an index gets the truth
                seen.append(query)
                handler.server.agent.lie = None
                handler.answer(200, body([C]), 5)

            with s.changed:
                s.lie, s.index = old, 1001
                s.changed.notify_all()
            q.next("confirm")
            wait_for("the lie to be asked for", lambda: seen)
            said = q.next("say")
            assert "went back from index" in said["say"], said
            q.next("confirm")  # a, b: asked without an index
            asked = [r["query"] for r in s.asked()]
            assert {} in asked[2:], asked
            # a snapshot was restored: lower for good
            s.set("web", [B], index=7)
            with s.changed:
                s.index = 7
            s.set("web", [B], index=1002)
            q.names(["b"])
            lines = q.end()
            assert not any("answer" in x and [e["name"] for e in x["answer"]] == ["c"] for x in lines)
            q.end = lambda: None


def a_restored_snapshot_is_believed(d):
    with Agent() as s:
        s.set("web", [A, B], index=1000)
        with ask(d, s) as q:
            q.names(["a", "b"])
            wait_for("a query that waits", lambda: len(s.asked()) == 2)
            s.close()
            s.services["web"], s.index = [C], 3
            s.open()
            q.names(["c"])
            s.set("web", [A, C])
            q.names(["a", "c"])


def index_zero_is_no_busy_loop(d):
    with Agent() as s:
        s.tell(lambda handler, query: handler.answer(200, body([A]), 0))
        with ask(d, s) as q:
            q.names(["a"])
            for _ in range(5):
                q.next("confirm")
            time.sleep(2)
            asked = s.asked()
            assert all("index" not in r["query"] for r in asked), asked
            assert len(asked) < 25, "%d queries in two seconds" % len(asked)


def an_index_that_never_waits_is_no_busy_loop(d):
    with Agent() as s:
        s.tell(lambda handler, query: handler.answer(200, body([A]), 77))
        with ask(d, s) as q:
            q.names(["a"])
            time.sleep(2)
            assert 3 <= len(s.asked()) < 25, "%d queries in two seconds" % len(s.asked())


def flapping_is_paced_and_told(d):
    with Agent() as s:
        turn = [0]

        def flap(handler, query):
            turn[0] += 1
            handler.answer(200, body([A, B] if turn[0] % 2 else [A]), 100 + turn[0])

        s.tell(flap)
        with ask(d, s) as q:
            time.sleep(2)
            n = len(s.asked())
            assert 10 <= n <= BURST_AND_TWO_SECONDS, "%d queries in two seconds" % n
            never_empty(q.end())
            q.end = lambda: None


def restart_and_absence_are_trouble_until_it_is_back(d):
    with Agent() as s:
        s.set("web", [A])
        with ask(d, s) as q:
            q.names(["a"])
            wait_for("a query that waits", lambda: len(s.asked()) == 2)
            s.close()
            q.next("trouble")
            q.trouble("cannot connect")
            s.open()
            q.next("confirm")
            s.set("web", [A, B])
            q.names(["a", "b"])
            never_empty(q.end())
            q.end = lambda: None


def another_server_is_tried(d):
    with Agent() as dead, Agent() as s:
        dead.close()
        s.set("web", [A])
        with ask(d, s, urls=[dead.url, s.url]) as q:
            q.trouble("cannot connect")
            q.names(["a"])


def slow_answers_are_trouble(d):
    with Agent() as s:
        s.set("web", [A])
        with ask(d, s, timeout="300ms", wait="1s") as q:
            q.names(["a"])

            def never(handler, query):
                time.sleep(3)
                handler.close_connection = True

            s.tell(never)
            q.trouble("within")

            def drip(handler, query):
                text = body([A, B])
                handler.send_response(200)
                handler.send_header("X-Consul-Index", "5000")
                handler.send_header("Content-Length", str(len(text)))
                handler.end_headers()
                for i in range(len(text)):
                    handler.wfile.write(text[i:i + 1])
                    time.sleep(0.02)

            s.tell(drip)
            q.trouble("within")
            s.tell(None)
            q.next("confirm")
            never_empty(q.end())
            q.end = lambda: None


def huge_answers_are_bounded(d):
    with Agent() as s:
        many = [instance("n%04d" % i, "10.1.%d.%d" % (i // 200, i % 200 + 1)) for i in range(4000)]
        s.set("web", many)
        with ask(d, s, timeout="10s") as q:
            assert len(q.next("answer", timeout=30)["answer"]) == 4000
            s.tell(lambda handler, query: handler.answer(200, b"[" + b" " * (9 << 20) + b"]", 9000))
            q.trouble("longer than")

            def endless(handler, query):
                handler.send_response(200)
                handler.send_header("X-Consul-Index", "9001")
                handler.send_header("Transfer-Encoding", "chunked")
                handler.end_headers()
                while True:
                    handler.wfile.write(b"10000\r\n" + b"[" * 65536 + b"\r\n")

            s.tell(endless)
            q.trouble("longer than")
            s.tell(None)
            q.next("confirm", timeout=30)
            never_empty(q.end())
            q.end = lambda: None


def nonsense_is_trouble_and_nothing_else(d):
    nonsense = [b"", b"{}", b"null", b"<html>no</html>", body([A])[:-5], b"[" * 100, b'[{"a":1,"a":2}]',
                b'[{"Node":"\xff"}]', b"[" + b"[]," * 400000 + b"[]]", b"\x00" * 100]
    with Agent() as s:
        s.set("web", [A])
        with ask(d, s) as q:
            q.names(["a"])
            for n, text in enumerate(nonsense):
                s.tell(lambda handler, query: handler.answer(200, text, 5000 + n))
                q.trouble("its answer about web")
                s.tell(None)
                q.next("confirm")
            for text, words in [([], None), ([{}], "has no node"), ([instance("x", "web.example")], "not an IPv4"),
                                ([instance("x", "127.0.0.1")], "unicast"),
                                ([instance("x", "192.0.2.9", service="shop")], "another service")]:
                s.tell(lambda handler, query: handler.answer(200, body(text), s.index))
                if words:
                    q.trouble(words)
                else:
                    q.names([])  # that there are none: the roster's to believe
                s.tell(None)
                q.next("answer" if not words else "confirm")


def answers_that_are_none_are_trouble(d):
    with Agent() as s:
        s.set("web", [A])
        with ask(d, s) as q:
            q.names(["a"])
            for status in (301, 403, 404, 429, 500):
                s.tell(lambda handler, query: handler.answer(status, b"rpc error: No cluster leader\x1b[2J", 9999))
                got = q.trouble("answers %d: " % status)["trouble"]
                assert "\x1b" not in got
                s.tell(None)
                q.next("confirm")
            for index in (None, "x", "-5", "18446744073709551616", "9" * 4000):
                s.tell(lambda handler, query: handler.answer(200, body([B]), index))
                q.trouble("without X-Consul-Index")
                s.tell(None)
                q.next("confirm")
            never_empty(q.end())
            q.end = lambda: None


def tokens_are_read_for_each_query(d):
    token = os.path.join(d, "token")
    with Agent() as s:
        s.set("web", [A])
        s.token = "first"
        with ask(d, s, token_file=token) as q:
            q.trouble("cannot be read")
            with open(token, "w") as f:
                f.write("first\n")
            q.names(["a"])
            assert s.asked()[-1]["headers"].get("X-Consul-Token") == "first"
            assert "Authorization" not in s.asked()[-1]["headers"]
            wait_for("a query that waits", lambda: "index" in s.asked()[-1]["query"])
            with s.changed:
                s.token = "second"
            s.set("web", [A, B])  # the query that waits still comes through
            q.names(["a", "b"])
            q.trouble("answers 403")
            with open(token + ".new", "w") as f:
                f.write("second\n")
            os.rename(token + ".new", token)
            q.next("confirm")
            wait_for("a query that waits", lambda: "index" in s.asked()[-1]["query"])
            with open(token, "w") as f:
                f.write("bad\x01token\n")
            s.set("web", [A])
            q.names(["a"])
            q.trouble("is no token")


def a_token_that_may_not_read_empties_nothing(d):
    filtered = [("X-Consul-Results-Filtered-By-ACLs", "true")]
    with Agent() as s:
        s.set("web", [A, B])
        with ask(d, s) as q:
            q.names(["a", "b"])
            s.tell(lambda handler, query: handler.answer(200, b"[]", 5000, filtered))
            q.trouble("the token may not read")
            s.tell(lambda handler, query: handler.answer(200, body([A]), 5001, filtered))
            assert q.names(["a"])["note"] == "the token may not read all instances"
            never_empty(q.end())
            q.end = lambda: None


def tls_with_a_ca_and_a_certificate(d):
    ca, other = make_ca(d, "ca"), make_ca(d, "other")
    cert, key = make_cert(d, ca, "server", "IP:127.0.0.1")
    mine, my_key = make_cert(d, ca, "client", "DNS:gateway")
    with Agent(tls=(cert, key, ca)) as s:
        s.set("web", [A])
        with ask(d, s, ca=ca, certificate=mine, key=my_key) as q:
            q.names(["a"])
            s.set("web", [A, B])
            q.names(["a", "b"])
        with ask(d, s, ca=other, certificate=mine, key=my_key) as q:
            q.trouble("certificate")
        with ask(d, s, ca=ca) as q:
            q.next("trouble")
        with ask(d, s, certificate=mine, key=my_key) as q:
            q.trouble("certificate")
    wrong, wrong_key = make_cert(d, ca, "wrong", "DNS:elsewhere.example")
    with Agent(tls=(wrong, wrong_key, None)) as s:
        s.set("web", [A])
        with ask(d, s, ca=ca) as q:
            q.next("trouble")


def states_weights_and_metadata_are_told(d):
    entries = [
        instance("n1", "192.0.2.1", checks=(("_node_maintenance", "critical"), "passing")),
        instance("n2", "192.0.2.2", checks=("passing", "critical")),
        instance("n3", "192.0.2.3", checks=("warning",), weights=(10, 5)),
        instance("n4", "", weights=(7, 1), meta={"version": "v2"}, tags=["x"], ident="web-4"),
    ]
    with Agent() as s:
        s.set("web", entries)
        with ask(d, s) as q:
            got = {e["name"]: e for e in q.next("answer")["answer"]}
            assert list(got) == ["n1", "n2", "n3", "n4.web-4"]
            assert got["n1"]["drain"] and not got["n1"]["down"]
            assert got["n2"]["down"] and not got["n2"]["drain"]
            assert got["n3"]["percent"] == 50 and got["n3"]["weight"] == 10
            assert got["n4.web-4"]["address"] == "10.255.0.1" and got["n4.web-4"]["weight"] == 7
            assert got["n4.web-4"]["metadata"] == "version=v2" and got["n4.web-4"]["locality"] == "dc1"


def questions_are_escaped(d):
    with Agent() as s:
        s.set("a/b", [instance("n1", "192.0.2.1", service="a/b", tags=["v2"]),
                      instance("n2", "192.0.2.2", service="a/b")])
        with ask(d, s, more=["name=a/b", "tag=v2"], datacenter="dc-2") as q:
            q.names(["n1"])
            r = s.asked()[0]
            assert r["path"] == "/v1/health/service/a%2Fb" and r["query"] == {"dc": "dc-2", "tag": "v2"}


def hostile_names_and_doubles_make_no_trouble(d):
    entries = [instance("../../etc/passwd", "192.0.2.1"), instance("n\x1b[2J\n", "192.0.2.2"),
               instance("n" * 4000, "192.0.2.3"), instance("", "192.0.2.4", ident="x y"),
               instance("d", "192.0.2.5"), instance("d", "192.0.2.5"), instance("d", "192.0.2.6"),
               instance("e", "192.0.2.6", checks=("critical",))]
    with Agent() as s:
        s.set("web", entries)
        with ask(d, s) as q:
            got = q.next("answer")["answer"]
            names = [e["name"] for e in got]
            assert len(names) == 6 and len(set(names)) == 6, names
            assert all(0 < len(n) < 64 and n.replace("-", "a").replace(".", "a").isalnum() for n in names), names


def many_questions_end_cleanly_under_way(d):
    with Agent() as s:
        s.tell(lambda handler, query: time.sleep(1))
        with ask(d, s) as q:
            wait_for("a question", lambda: s.asked())
            q.end()
            q.end = lambda: None


def main():
    tests = [f for name, f in list(globals().items())
             if callable(f) and getattr(f, "__code__", None) and f.__code__.co_varnames[:1] == ("d",)
             and f.__code__.co_argcount == 1]
    only = sys.argv[2:]
    for test in tests:
        if only and test.__name__ not in only:
            continue
        with tempfile.TemporaryDirectory(prefix="sluice-consul-") as d:
            began = time.monotonic()
            test(d)
            print("%-55s %.1f s" % (test.__name__, time.monotonic() - began), flush=True)


main()
