#!/usr/bin/env python3
"""source_kubernetes.py ASK: the source "kubernetes" against a server of ours (kubernetes_server.py: written from the public
description of the API) that is honest, cuts watches, forgets versions, is absent, lies, and talks nonsense."""

import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from asking import Ask, make_ca, make_cert, never_empty, wait_for  # noqa: E402
from kubernetes_server import NOT_READY, TERMINATING, Api, a_slice, endpoint, status  # noqa: E402

PROGRAM = sys.argv[1]
A, B, C = endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2"), endpoint("c", "10.0.0.3")


def ask(d, api, more=(), service="web", **keys):
    return Ask(PROGRAM, d, "kubernetes", dict({"urls": [api.url], "timeout": "1s", "wait": "60s"}, **keys), service, more)


def watching(api, n=1):
    wait_for("watch %d" % n, lambda: len(api.watches()) >= n)


def calm(q, api):
    """A watch is there and works: what went wrong before is forgotten."""
    wait_for("a watch", lambda: api.asked()[-1]["watch"])
    q.quiet()
    api.put(a_slice("web-1", [A]))
    q.next("confirm")


def finish(q):
    lines = q.end()
    q.end = lambda: lines
    never_empty(lines)
    return lines


def a_list_and_a_watch(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        s.put(a_slice("shop-1", [C], service="shop"))
        with ask(d, s) as q:
            q.names(["a"])
            watching(s)
            first, then = s.asked()[0], s.asked()[1]
            assert first["path"] == "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
            assert first["query"] == {"labelSelector": "kubernetes.io/service-name", "limit": "100"}, first
            assert then["query"] == {"labelSelector": "kubernetes.io/service-name", "watch": "1",
                                     "allowWatchBookmarks": "true", "resourceVersion": "102",
                                     "timeoutSeconds": "60"}, then
            at = time.monotonic()
            s.put(a_slice("web-1", [A, B]))
            late = q.names(["a", "b"])["at"] - at
            assert late < 5, "told after %.3f s" % late
            s.put(a_slice("shop-1", [], service="shop"))
            s.delete("shop-1")
            s.put(a_slice("web-2", [C]))
            q.names(["a", "b", "c"])
            s.delete("web-2")
            q.names(["a", "b"])
            assert len(s.asked()) == 2
            finish(q)


def slices_make_a_union_and_endpoints_move_between_them(d):
    with Api() as s:
        s.put(a_slice("web-1", [A, B]))
        s.put(a_slice("web-2", [C]))
        with ask(d, s) as q:
            q.names(["a", "b", "c"])
            watching(s)
            s.put(a_slice("web-2", [C, B]))  # b in both
            q.next("confirm")
            s.put(a_slice("web-1", [A]))
            q.next("confirm")
            with s.changed:  # removed here before it is added there: together, in one turn
                s.put(a_slice("web-2", [C]))
                s.put(a_slice("web-1", [A, B]))
            q.next("confirm")
            stale = endpoint("b", "10.0.0.2", conditions=NOT_READY)
            s.put(a_slice("web-2", [C, stale]))  # of two views of one the better counts
            q.next("confirm")
            s.delete("web-1")
            got = q.names(["b", "c"])["answer"]
            assert got[0]["down"] and not got[1]["down"]
            finish(q)


def terminating_drains(d):
    with Api() as s:
        s.put(a_slice("web-1", [A, B]))
        with ask(d, s) as q:
            q.names(["a", "b"])
            s.put(a_slice("web-1", [endpoint("a", "10.0.0.1", conditions=TERMINATING), B]))
            got = q.next("answer")["answer"]
            assert got[0]["drain"] and not got[0]["down"] and not got[1]["drain"]
            s.put(a_slice("web-1", [endpoint("a", "10.0.0.1", conditions=dict(TERMINATING, serving=False)), B]))
            got = q.next("answer")["answer"]
            assert got[0]["drain"] and got[0]["down"]
            s.put(a_slice("web-1", [B]))
            q.names(["b"])


def zones_and_hints_are_told(d):
    e = endpoint("a", "10.0.0.1", zone="eu-a", hints={"forZones": [{"name": "eu-a"}, {"name": "eu-b"}]})
    with Api() as s:
        s.put(a_slice("web-1", [e]))
        with ask(d, s, region="eu") as q:
            got = q.next("answer")["answer"][0]
            assert got["locality"] == "eu/eu-a" and got["metadata"] == "for-zones=eu-a/eu-b,node=node-1", got
        with ask(d, s) as q:
            assert q.next("answer")["answer"][0]["locality"] == "-/eu-a"


def ports_go_by_name(d):
    with Api() as s:
        s.put(a_slice("web-1", [A], ports=(("http", 8080), ("admin", 9000))))
        with ask(d, s, more=["port_name=admin"]) as q:
            assert q.next("answer")["answer"][0]["port"] == 9000
        with ask(d, s) as q:
            q.trouble("has several ports: say which with port_name")
        with ask(d, s, more=["port_name=none"]) as q:
            q.trouble("has no port of that name")


def namespaces_are_apart(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        s.put(a_slice("web-1", [B]), space="prod")
        with ask(d, s, more=["namespace=prod"]) as q:
            q.names(["b"])
            watching(s)
            s.put(a_slice("web-1", [A, C]))
            s.put(a_slice("web-1", [B, C]), space="prod")
            q.names(["b", "c"])


def a_watch_that_ends_goes_on_where_it_was(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        with ask(d, s, wait="1s") as q:
            q.names(["a"])
            watching(s, 2)
            s.put(a_slice("web-1", [A, B]))
            q.names(["a", "b"])
            watching(s, 4)
            assert len(s.lists()) == 1
            assert s.watches()[-1]["query"]["resourceVersion"] == "102"
            assert not any("trouble" in line for line in finish(q))


def a_watch_cut_in_the_middle_of_a_line_goes_on_where_it_was(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        with ask(d, s) as q:
            q.names(["a"])
            watching(s)
            s.put(a_slice("web-1", [A, B]))
            q.names(["a", "b"])
            event = {"type": "MODIFIED", "object": dict(a_slice("web-1", []))}
            event["object"]["metadata"]["resourceVersion"] = "999999"
            s.cut(json.dumps(event).encode())  # whole, but for the end of the line
            watching(s, 2)
            assert s.watches()[1]["query"]["resourceVersion"] == "102"
            s.put(a_slice("web-1", [A, B, C]))
            q.names(["a", "b", "c"])
            s.cut(json.dumps(event).encode()[:77])
            watching(s, 3)
            s.put(a_slice("web-1", [A, C]))
            q.names(["a", "c"])
            assert len(s.lists()) == 1
            assert not any("trouble" in line for line in finish(q))


def events_come_in_any_pieces(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))

        def drip(handler, query):
            event = {"type": "MODIFIED", "object": dict(a_slice("web-1", [A, B]))}
            event["object"]["metadata"]["resourceVersion"] = "500"
            text = json.dumps(event).encode() + b"\r\n\n" + json.dumps(event).encode() + b"\n"
            handler.begin()
            for i in range(0, len(text), 7):
                handler.say(text[i:i + 7])
            time.sleep(2)
            handler.finish_watch()

        s.watch_lie = drip
        with ask(d, s) as q:
            q.names(["a", "b"])
            finish(q)


def bookmarks_move_the_version(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        with ask(d, s, wait="1s") as q:
            q.names(["a"])
            watching(s)
            s.bookmark()
            wait_for("a watch from the bookmark on",
                     lambda: s.watches()[-1]["query"]["resourceVersion"] == str(s.version))
            assert len(s.lists()) == 1
            q.next("confirm")


def a_version_that_is_gone_leads_to_a_list(d):
    for as_event in (True, False):
        with Api() as s:
            s.gone_as_event = as_event
            s.put(a_slice("web-1", [A]))
            with ask(d, s) as q:
                q.names(["a"])
                watching(s)
                with s.changed:
                    s.slices.clear()
                    s.put(a_slice("web-9", [B]))
                    s.forget()
                s.cut()
                q.names(["b"])
                watching(s, 3)
                s.put(a_slice("web-9", [B, C]))
                q.names(["b", "c"])
                assert len(s.lists()) == 2
                assert not any("trouble" in line for line in finish(q))


def versions_that_are_always_gone_are_paced(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        s.watch_lie = lambda handler, query: handler.answer(410, status(410, "too old"))
        with ask(d, s) as q:
            q.names(["a"])
            time.sleep(2)
            assert 2 <= len(s.lists()) <= 8, len(s.lists())
            finish(q)


def lists_come_in_pages(d):
    with Api() as s:
        for i in range(250):
            s.put(a_slice("web-%03d" % i, [endpoint("p%03d" % i, "10.1.%d.%d" % (i // 100, i % 100 + 1))]))
        with ask(d, s) as q:
            assert len(q.next("answer")["answer"]) == 250
            asked = [r["query"].get("continue") for r in s.asked() if not r["watch"]]
            assert asked == [None, "350+100", "350+200"], asked


def a_page_that_is_gone_begins_anew(d):
    with Api() as s:
        for i in range(150):
            s.put(a_slice("web-%03d" % i, [endpoint("p%03d" % i, "10.1.0.%d" % (i + 1))]))
        once = []

        def expire(handler, query):
            if "continue" in query and not once:
                once.append(query)
                s.list_lie = None
                handler.answer(410, status(410, "The provided continue parameter is too old"))
            else:
                handler.list(s, "default", query)

        s.list_lie = expire
        with ask(d, s) as q:
            assert len(q.next("answer")["answer"]) == 150
            assert "limit" not in s.lists()[-1]["query"]
            finish(q)


def restart_and_absence_are_trouble_until_it_is_back(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        with ask(d, s) as q:
            q.names(["a"])
            watching(s)
            s.close()
            q.trouble("cannot connect")
            s.open()
            q.next("confirm")
            s.put(a_slice("web-1", [A, B]))
            q.names(["a", "b"])
            finish(q)


def another_server_is_tried(d):
    with Api() as dead, Api() as s:
        dead.close()
        s.put(a_slice("web-1", [A]))
        with ask(d, s, urls=[dead.url, s.url]) as q:
            q.trouble("cannot connect")
            q.names(["a"])


def slow_answers_are_trouble(d):
    def never(handler, query):
        time.sleep(3)
        handler.close_connection = True

    with Api() as s:
        s.put(a_slice("web-1", [A]))
        s.list_lie = never
        with ask(d, s, timeout="300ms") as q:
            q.trouble("within 300 ms")
            s.list_lie, s.watch_lie = None, never
            q.names(["a"])
            q.trouble("no watch within 300 ms")
            s.watch_lie = None
            q.next("confirm")
            n = len(s.watches())
            watching(s, n)
            s.put(a_slice("web-1", [A, B]))
            q.names(["a", "b"])
            finish(q)


def huge_answers_are_bounded(d):
    big = a_slice("web-1", [A])
    big["metadata"]["annotations"] = {"x": "y" * (3 << 20)}
    with Api() as s:
        s.put(a_slice("web-0", [B]))
        with ask(d, s, timeout="5s") as q:
            q.names(["b"])
            watching(s)

            def endless(handler, query):
                handler.begin()
                while True:
                    handler.say(b"[" * 65536)

            s.watch_lie = endless
            s.cut()
            q.trouble("is longer than 8 MB")
            s.watch_lie = None
            q.next("confirm")
            for i in range(1, 9):  # 24 MB in all: pages become smaller
                big["metadata"]["name"] = "web-%d" % i
                s.put(big)
            s.forget()
            s.cut()
            q.names(["a", "b"], timeout=60)
            s.list_lie = endless
            s.forget()
            s.cut()
            q.trouble("is longer than 8 MB", timeout=60)
            finish(q)


def nonsense_is_trouble_and_nothing_else(d):
    lists = [b"", b"{}", b"null", b"<html>no</html>", b"[" * 100, status(200, "no"),
             b'{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{},"items":[]}',
             b'{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"1"},'
             b'"items":[{}]}']
    lines = [b"garbage\n", b"{}\n", b"[" * 100 + b"\n", b'{"type":"MODIFIED","object":{"kind":"Pod"}}\n',
             b'{"type":"DELETED","object":{"kind":"EndpointSlice","metadata":{"name":"web-1"}}}\n', b"\x00\n",
             b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd: \\u001b[2J"}}\n']
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        with ask(d, s) as q:
            q.names(["a"])
            for text in lists:
                calm(q, s)
                s.list_lie = lambda handler, query: handler.answer(200, text)
                s.forget()
                s.cut()
                q.next("trouble")
                s.list_lie = None
                q.next("confirm")
            for text in lines:
                def say(handler, query):
                    handler.begin()
                    handler.say(text)
                    time.sleep(1)

                calm(q, s)
                s.watch_lie = say
                s.cut()
                got = q.next("trouble")["trouble"]
                assert "\x1b" not in got and "\x00" not in got
                s.watch_lie = None
                q.next("confirm")
            finish(q)


def refusals_are_trouble(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        with ask(d, s) as q:
            q.names(["a"])
            for code in (301, 400, 401, 403, 404, 429, 500, 503):
                for which in ("list_lie", "watch_lie"):
                    calm(q, s)
                    setattr(s, which, lambda handler, query: handler.answer(code, status(code, "endpointslices is forbidden")))
                    if which == "list_lie":
                        s.forget()
                    s.cut()
                    q.trouble('answers %d: "endpointslices is forbidden"' % code)
                    setattr(s, which, None)
                    q.next("confirm")
            s.watch_lie = lambda handler, query: handler.answer(502, b"<html>Bad Gateway</html>")
            s.cut()
            q.next("trouble")
            finish(q)


def watches_that_end_at_once_are_paced(d):
    def nothing(handler, query):
        handler.begin()
        handler.finish_watch()

    with Api() as s:
        s.put(a_slice("web-1", [A]))
        s.watch_lie = nothing
        with ask(d, s) as q:
            q.names(["a"])
            q.trouble("ends each watch of namespace default at once")
            time.sleep(1)
            assert len(s.watches()) < 15, len(s.watches())
            finish(q)


def whole_answers_without_lines_are_nonsense(d):
    """Not cut: such a watch must not be asked again and again."""
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        with ask(d, s) as q:
            q.names(["a"])
            for text in (b"[" * 5000, b"<html>", b'{"type":"MODI'):
                calm(q, s)
                s.watch_lie = lambda handler, query: handler.answer(200, text)
                s.cut()
                q.trouble("what is n")
                n = len(s.watches())
                time.sleep(0.5)
                assert len(s.watches()) - n <= 3, len(s.watches()) - n
                s.watch_lie = None
                q.next("confirm")
            calm(q, s)

            def cut(handler, query):
                handler.begin()
                handler.say(b'{"type":"MODI')
                handler.cut()

            s.watch_lie = cut
            s.cut()
            q.trouble("ends each watch")
            finish(q)


def lies_that_empty_are_told_as_what_they_are(d):
    fqdn = a_slice("web-1", [endpoint("x", "web.example")], kind="FQDN")
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        with ask(d, s) as q:
            q.names(["a"])
            s.put(fqdn)
            q.trouble("neither IPv4 nor IPv6")
            s.put(a_slice("web-1", [endpoint("x", "127.0.0.1")]))
            q.trouble("unicast")
            s.put(a_slice("web-1", [A]))
            q.names(["a"])
            never_empty(q.seen)
            s.put(a_slice("web-1", []))
            q.names([])  # that there are none: the roster's to believe


def tokens_are_read_for_each_request(d):
    token = os.path.join(d, "token")
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        s.token = "first"
        with ask(d, s, token_file=token, wait="1s") as q:
            q.trouble("cannot be read")
            with open(token, "w") as f:
                f.write("first\n")
            q.names(["a"])
            watching(s)
            s.token = "second"
            q.trouble("answers 401")
            with open(token + ".new", "w") as f:
                f.write("second")
            os.rename(token + ".new", token)
            q.next("confirm")
            s.put(a_slice("web-1", [A, B]))
            q.names(["a", "b"])
            assert s.asked()[-1]["headers"]["Authorization"] == "Bearer second"


def tls_with_a_ca_and_a_certificate(d):
    ca, other = make_ca(d, "ca"), make_ca(d, "other")
    cert, key = make_cert(d, ca, "server", "IP:127.0.0.1")
    mine, my_key = make_cert(d, ca, "client", "DNS:gateway")
    with Api(tls=(cert, key, ca)) as s:
        s.put(a_slice("web-1", [A]))
        with ask(d, s, ca=ca, certificate=mine, key=my_key) as q:
            q.names(["a"])
            watching(s)
            s.put(a_slice("web-1", [A, B]))
            q.names(["a", "b"])
        with ask(d, s, ca=other, certificate=mine, key=my_key) as q:
            q.trouble("certificate")
        with ask(d, s, ca=ca) as q:
            q.next("trouble")


def a_slice_that_changes_its_service_leaves_the_old_one(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        s.put(a_slice("web-2", [B]))
        with ask(d, s) as q:
            q.names(["a", "b"])
            watching(s)
            s.put(a_slice("web-2", [B], service="shop"))
            q.names(["a"])
            s.put(a_slice("web-2", [B]))
            q.names(["a", "b"])


def many_changes_are_told_together(d):
    with Api() as s:
        s.put(a_slice("web-1", [A]))
        with ask(d, s) as q:
            q.names(["a"])
            watching(s)
            with s.changed:
                for i in range(500):
                    s.put(a_slice("web-2", [endpoint("p%d" % i, "10.2.%d.%d" % (i // 200, i % 200 + 1))]))
            q.names(["a", "p499"])
            told = sum("answer" in line for line in finish(q))
            assert told < 100, "%d answers for 500 changes" % told


def it_ends_cleanly_under_way(d):
    with Api() as s:
        s.list_lie = lambda handler, query: time.sleep(1)
        with ask(d, s):
            wait_for("a list", lambda: s.asked())


def main():
    tests = [f for f in list(globals().values())
             if getattr(f, "__code__", None) and f.__code__.co_varnames[:f.__code__.co_argcount] == ("d",)]
    only = sys.argv[2:]
    for test in tests:
        if only and test.__name__ not in only:
            continue
        with tempfile.TemporaryDirectory(prefix="sluice-kubernetes-") as d:
            began = time.monotonic()
            test(d)
            print("%-60s %.1f s" % (test.__name__, time.monotonic() - began), flush=True)


main()
