"""source_etcd.py ASK [CASE…] — endpoints from etcd: real servers that restart, die, go back in time, are compacted, want a user or
a certificate; proxies that are slow or silent; gateways that lie.
"""
import os
import shutil
import signal
import subprocess
import sys
import time

import etcd_bed as bed
from etcd_bed import Ask, Etcd, Liar, Proxy, check, conf_file, header, kv, wait_for

ask_program = sys.argv[1]
P = "/sluice/endpoints/web/"


def address(n):
    return {"address": f"192.0.2.{n}", "port": 80}


def ask(conf, *args):
    return Ask(ask_program, conf, *args)


def follows():
    """Puts, changes and deletions arrive, and soon; what cannot be read is left out and named."""
    e = Etcd().start()
    e.put(P + "a", address(1))
    e.put("/sluice/endpoints/other/z", address(9))
    a = ask(conf_file([e.url]))
    a.wait_names(["a"], "the first answer is the range")
    since = time.monotonic()
    e.put(P + "b", {"address": "2001:db8::1", "weight": 7, "priority": 1, "percent": 50, "drain": True,
                    "locality": "eu/a", "metadata": {"version": "v2"}})
    a.wait_names(["a", "b"], "a put is seen")
    check(a.last("answer")["at"] - since < 8, "soon")
    b = a.last("answer")["answer"][1]
    check((b["weight"], b["priority"], b["percent"], b["drain"], b["locality"], b["metadata"]) ==
          (7, 1, 50, True, "eu/a", "version=v2"), "with all that it says")
    e.put(P + "c", "{")
    e.put(P + "d/e", address(3))
    e.put(P + "f", {"address": "192.0.2.300"})
    wait_for(lambda: a.last("answer")["left_out"] == 3, "three are left out")
    check(a.names() == ["a", "b"] and "not JSON" in a.last("answer")["note"], "what cannot be read is named")
    e.put("/sluice/endpoints/other/y", address(8))
    e.delete(P + "a")
    a.wait_names(["b"], "a deletion is seen")
    n = len(a.said)
    a.wait_said("confirm", "True", n)
    e.delete("--prefix", P)
    a.wait_names([], "that there are none is an answer")
    other = ask(conf_file([e.url]), "some", "name=other")
    other.wait_names(["y", "z"], "another name may be asked for")
    check(a.end() == 0 and other.end() == 0, "it ends")
    e.stop()


def restarts():
    """Absent at first, stopped, killed: trouble is said, nothing is lost, changes are seen afterwards."""
    e = Etcd()
    a = ask(conf_file([e.url]))
    a.wait_said("trouble", "Connection refused", 0)
    e.start()
    a.wait_names([], "it comes up empty")
    e.put(P + "a", address(1))
    a.wait_names(["a"], "and is followed")
    for how, n in ((signal.SIGTERM, 2), (signal.SIGKILL, 3)):
        since, answers = len(a.said), sum("answer" in o for o in a.said)
        e.stop(how)
        a.wait_said("trouble", "", since)
        e.start()
        e.put(P + "a", address(n))
        wait_for(lambda: a.last("answer")["answer"][0]["address"] == f"192.0.2.{n}", f"a change after {how!r}")
        check(all(o["answer"] for o in a.said[since:] if "answer" in o), f"no answer is empty over {how!r}")
    check(a.end() == 0, "it ends")
    e.stop()


def back_in_time():
    """A data directory restored from an older copy is not believed until it has caught up; another cluster is, at once."""
    e = Etcd().start()
    e.put(P + "a", address(1))
    e.stop(signal.SIGTERM)
    shutil.copytree(e.dir, e.dir + ".backup")
    e.start()
    for n in range(2, 8):
        e.put(P + "b", address(n))
    a = ask(conf_file([e.url]))
    a.wait_names(["a", "b"], "the present")
    since, seen = len(a.said), e.revision()
    e.stop()
    shutil.rmtree(e.dir)
    shutil.copytree(e.dir + ".backup", e.dir)
    e.start()
    check(e.revision() < seen, "etcd is at an older revision")
    a.wait_said("trouble", "an older state", since)
    check(not any("answer" in o for o in a.said[since:]), "and is not believed")
    while e.revision() < seen:
        e.put(P + "c", address(3))
    a.wait_names(["a", "c"], "until it has caught up")
    since = len(a.said)
    e.stop()
    shutil.rmtree(e.dir)
    e.token = "two"
    e.start()
    a.wait_said("say", "another cluster", since)
    a.wait_names([], "another cluster's keys count")
    e.put(P + "n", address(4))
    a.wait_names(["n"], "and are followed")
    check(a.end() == 0, "it ends")
    e.stop()


def many_servers():
    """Three members: the one that is asked dies, another one is asked."""
    nodes = [Etcd(f"n{i}") for i in range(3)]
    cluster = ",".join(n.cluster for n in nodes)
    for n in nodes:
        n.cluster = cluster
        n.start(wait=False)
    for n in nodes:
        wait_for(n.healthy, "a member answers", 40)
    dead = f"http://127.0.0.1:{bed.free_ports(1)[0]}"
    nodes[0].put(P + "a", address(1))
    a = ask(conf_file([dead] + [n.url for n in nodes]))
    a.wait_names(["a"], "a dead server is passed over")
    check(a.last("trouble") is None, "without trouble")
    nodes[0].stop()
    wait_for(nodes[2].healthy, "the others elect", 40)
    nodes[2].put(P + "b", address(2))
    a.wait_names(["a", "b"], "the next member is followed")
    check(a.end() == 0, "it ends")
    for n in nodes[1:]:
        n.stop()


def compaction():
    """What was compacted away is no obstacle: neither between range and watch nor during a silence."""
    e = Etcd().start()
    e.put(P + "a", address(1))
    p = Proxy(e.port)
    a = ask(conf_file([f"http://127.0.0.1:{p.port}"], timeout="1s"))
    a.wait_names(["a"], "the first answer")
    p.stopped = True
    for n in range(2, 9):
        e.put(P + "b", address(n))
    e.ctl("compaction", str(e.revision()))
    since = len(a.said)
    a.wait_said("trouble", "within 1000 ms", since)
    p.stopped = False
    wait_for(lambda: a.names() == ["a", "b"] and a.last("answer")["answer"][1]["address"] == "192.0.2.8", "all is read anew")
    check(a.names() == ["a", "b"], "a silent connection is noticed and made anew")
    p.delay = 0.3
    e.put(P + "c", address(3))
    a.wait_names(["a", "b", "c"], "a slow one is waited for")
    check(a.end() == 0, "it ends")
    e.stop()


def big():
    """Huge values are left out one by one; pages shrink and grow; 10,000 keys."""
    e = Etcd().start()
    for i in range(12):
        e.put(P + f"huge{i}", '{"address": "192.0.2.1", "metadata": {"x": "%s"}}' % ("y" * 1000000))
    e.put(P + "z", address(1))
    a = ask(conf_file([e.url]))
    a.wait_names(["z"], "12 values of 1 MB are left out, the one behind them is not")
    check(a.last("answer")["left_out"] == 12, "and are counted")
    check("64 KiB" in a.last("answer")["note"], "and named")
    e.put_many([(f"/sluice/endpoints/many/e{i:05}", {"address": f"10.0.{i >> 8}.{i & 255}"}) for i in range(10000)])
    many = ask(conf_file([e.url]), "many")
    wait_for(lambda: len(many.names() or ()) == 10000, "10,000 endpoints in pages")
    check(len(many.names() or ()) == 10000, "10,000 endpoints in pages")
    since = time.monotonic()
    e.put("/sluice/endpoints/many/e00000", address(77))
    wait_for(lambda: many.last("answer")["answer"][0]["address"] == "192.0.2.77", "one of them changes")
    check(many.last("answer")["at"] - since < 8, "soon")
    check(a.end() == 0 and many.end() == 0, "they end")
    e.stop()


def users():
    """With authentication: a user is needed, let in, and let in again when etcd has forgotten the token."""
    e = Etcd().start()
    for cmd in (("user", "add", "root:r"), ("user", "grant-role", "root", "root"), ("user", "add", "sluice:pass word"),
                ("role", "add", "reader"), ("role", "grant-permission", "reader", "--prefix=true", "read", "/sluice/"),
                ("user", "grant-role", "sluice", "reader")):
        try:
            e.ctl(*cmd)
        except subprocess.CalledProcessError:
            if cmd[0] != "user" or cmd[1] != "grant-role" or cmd[2] != "root":
                raise
            e.ctl("role", "add", "root")
            e.ctl(*cmd)
    e.put(P + "a", address(1))
    e.ctl("auth", "enable")
    password = os.path.join(bed.home, "password")
    none = ask(conf_file([e.url]))
    none.wait_said("trouble", "wants a user", 0) or print(none.said)
    with open(password, "w") as f:
        f.write("wrong\n")
    a = ask(conf_file([e.url], user="sluice", password_file=password))
    a.wait_said("trouble", "user sluice is not let in", 0)
    with open(password, "w") as f:
        f.write("pass word\n")
    a.wait_names(["a"], "the right password, put into the file later, is used")
    since = len(a.said)
    e.stop()
    e.start(wait=False)
    a.wait_said("trouble", "", since)
    wait_for(lambda: "name" in e_put(e), "etcd is back")
    a.wait_names(["a", "b"], "a token that etcd forgot is fetched anew")
    missing = ask(conf_file([e.url], user="sluice", password_file="/nowhere"))
    missing.wait_said("trouble", "cannot be read", 0)
    for one in (none, a, missing):
        check(one.end() == 0, "it ends")
    e.stop()


def e_put(e):
    try:
        e.put(P + "b", address(2), user="root:r")
        return "name"
    except subprocess.SubprocessError:
        return ""


def tls():
    """https with a client certificate; without one, or with another's bundle: trouble that says so."""
    d = bed.home

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=d, check=True, capture_output=True)

    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for ca in ("ca", "other"):
        openssl("req", "-x509", *new, "-keyout", ca + ".key", "-out", ca + ".pem", "-days", "30", "-subj", "/CN=" + ca)
    with open(os.path.join(d, "ext"), "w") as f:
        f.write("subjectAltName=IP:127.0.0.1")
    openssl("req", *new, "-keyout", "s.key", "-out", "s.csr", "-subj", "/CN=server")
    openssl("x509", "-req", "-in", "s.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30", "-extfile", "ext", "-out",
            "s.pem", "-CAcreateserial")
    f = {k: os.path.join(d, v) for k, v in (("ca", "ca.pem"), ("cert", "s.pem"), ("key", "s.key"), ("other", "other.pem"))}
    e = Etcd(tls=f).start()
    e.put(P + "a", address(1))
    a = ask(conf_file([e.url], ca=f["ca"], certificate=f["cert"], key=f["key"]))
    a.wait_names(["a"], "over TLS with a client's certificate")
    e.put(P + "b", address(2))
    a.wait_names(["a", "b"], "the watch, too")
    other = ask(conf_file([e.url], ca=f["other"], certificate=f["cert"], key=f["key"]))
    other.wait_said("trouble", "certificate", 0)
    bare = ask(conf_file([e.url], ca=f["ca"]))
    bare.wait_said("trouble", e.url, 0)
    check(not bare.names() and not other.names(), "nobody else is answered")
    for one in (a, other, bare):
        check(one.end() == 0, "it ends")
    e.stop()


def lies():
    """A gateway that answers nonsense: each is trouble, and the last good answer is not replaced."""
    good = {"header": header(), "kvs": [kv(P + "a", '{"address":"192.0.2.1"}')], "count": "1"}
    created = {"result": {"header": header(), "created": True}}
    ranges = [
        (b"garbage", "not JSON"),
        (b"", "empty"),
        (b"[" * 100000, "32 levels"),
        (b"[]", "not an object"),
        ({}, "no header"),
        ({"header": {"revision": "-1"}}, "no header"),
        ({"header": {"cluster_id": "7", "revision": "99999999999999999999999"}}, "no header"),
        ({"header": header(), "kvs": 5}, "no list"),
        ({"header": header(), "kvs": [5]}, "without its parts"),
        ({"header": header(), "kvs": [{"key": "%%%%"}]}, "not base64"),
        ({"header": header(), "kvs": [kv("/elsewhere", "x")]}, "not asked for"),
        ({"header": header(), "kvs": [dict(kv(P + "a", ""), value="=")]}, "not base64"),
        ({"header": header(), "kvs": [dict(kv(P + "a", ""), mod_revision="x")]}, "no number"),
        ({"header": header(), "more": True}, "do not come to an end"),
        (dict(good, more=True), "do not come to an end"),
        (b"x" * (9 << 20), "longer than"),
        (b'{"header":{},"header":{}}', "duplicate"),
    ]
    watches = [
        (b"garbage\n", "not JSON"),
        (b"{}\n", "no result"),
        (b"x" * (9 << 20), "stopped"),
        ({"error": {"grpc_code": 14, "message": "leader \n changed"}}, "leader"),
        ({"result": {"header": header()}}, "does not begin"),
        ({"result": {"header": header(), "created": True, "canceled": True, "cancel_reason": "no\x07"}}, "no\\x07"),
        ({"result": {"header": header(4), "created": True}}, "another state"),
        ({"result": {"header": header(5, 8), "created": True}}, "another state"),
        ({"result": {"header": header(), "canceled": True, "compact_revision": "9"}}, "another state"),
        ({"result": {"header": header(), "created": True, "events": [{"type": "HUG", "kv": kv(P + "a", "")}]}}, "neither"),
        ({"result": {"header": header(), "created": True, "events": [{"kv": kv("/else", "")}]}}, "not asked"),
        (b"", "ended the stream"),
    ]
    l = Liar()
    l.range = lambda body: good
    l.watch = lambda body: [created, None]
    a = ask(conf_file([l.url], timeout="1s"))
    a.wait_names(["a"], "an honest gateway")
    check(a.last("answer")["answer"][0]["address"] == "192.0.2.1", "is believed")
    a.end()
    for lie, words in ranges:
        l.range = lambda body: lie
        a = ask(conf_file([l.url], timeout="1s"))
        check(a.wait_said("trouble", words, 0), f"a range: {words}") or print(a.said)
        check(a.names() is None, "is no answer")
        a.end()
    l.range = lambda body: good
    for lie, words in watches:
        l.watch = lambda body: [lie]
        a = ask(conf_file([l.url], timeout="1s"))
        check(a.wait_said("trouble", words, 0), f"a watch: {words}") or print(a.said)
        a.wait_names(["a"], "the answer stays")  # it may come after the trouble
        a.end()
    l.watch = lambda body: [None]
    a = ask(conf_file([l.url], timeout="300ms"))
    check(a.wait_said("trouble", "did not begin", 0), "a watch that never begins")
    a.end()
    l.watch = lambda body: [created, None]
    a = ask(conf_file([l.url], timeout="1s"))
    a.wait_names(["a"], "a watch that says nothing")
    l.range = lambda body: {"header": header(9), "kvs": [kv(P + "b", '{"address":"192.0.2.2"}', 9, 9)], "count": "1"}
    a.wait_said("say", "missed changes", 0)
    a.wait_names(["b"], "what it missed is found")
    a.end()


cases = [follows, restarts, back_in_time, many_servers, compaction, big, users, tls, lies]
for case in cases:
    if len(sys.argv) == 2 or case.__name__ in sys.argv[2:]:
        print(f"== {case.__name__}: {case.__doc__}", flush=True)
        case()
bed.finish()
