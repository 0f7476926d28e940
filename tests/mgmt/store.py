"""store.py SLUICED SLUICECTL DOUBLE [CASE…] — tables that two gateways take from etcd, and what they write back: real daemons with a
double of the dataplane each, a real etcd.
"""
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import etcd_bed as bed
from etcd_bed import Etcd, Proxy, check, wait_for

sluiced, sluicectl, double = sys.argv[1:4]
KEY = "/sluice/tables/edge"


def table(n, extra=""):
    return ('gateway = { name = "g"; };\nnetwork = { addresses = ( { port = "front"; address = "10.0.0.1/24"; } ); };\n'
            'services = ( { name = "web"; forward = "nat"; endpoints = ( %s ); } );\n'
            'listeners = ( { name = "web"; address = "203.0.113.10"; port = 80; protocol = "tcp"; mode = "l4"; service = "web"; } );\n%s'
            % (", ".join('{ name = "w%d"; address = "10.0.0.%d"; port = 80; }' % (i, 20 + i) for i in range(n)), extra))


class Gateway:
    def __init__(self, name, url, store='table = "edge"; ', more="", source=""):
        self.dir = tempfile.mkdtemp(dir=bed.home)
        self.name, self.process, self.dp = name, None, None
        self.socket = os.path.join(self.dir, "api")
        self.conf = os.path.join(self.dir, "sluiced.conf")
        keys = "".join(f'{k} = "{self.dir}/{v}";\n' for k, v in (
            ("api_socket", "api"), ("dataplane_socket", "dp"), ("state_dir", "state"), ("audit_log", "audit")))
        with open(self.conf, "w") as f:
            f.write(keys + 'metrics = "unix:%s/metrics";\nsources = ( { name = "e"; type = "etcd"; urls = ( "%s" ); timeout = "1s"; %s} );\n'
                    'store = { source = "e"; gateway = "%s"; %s};\n%s' % (self.dir, url, source, name, store, more))

    def start(self):
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen([sluiced, "-c", self.conf], stdout=self.log, stderr=self.log)
        bed.children.append(self.process)
        wait_for(lambda: self.ctl("status")[0] == 0, f"{self.name} answers")
        return self

    def stop(self, how=15):
        self.process.send_signal(how)
        return self.process.wait(10)

    def dataplane(self):
        self.dp = subprocess.Popen([double, os.path.join(self.dir, "dp")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        bed.children.append(self.dp)
        self.dp.stdout.readline()
        return self

    def tell(self, line):
        self.dp.stdin.write(line.encode() + b"\n")
        self.dp.stdin.flush()
        self.dp.stdout.readline()

    def ctl(self, *args):
        p = subprocess.run([sluicectl, "-s", self.socket, "--json", *args], capture_output=True, timeout=30)
        try:
            return p.returncode, json.loads(p.stdout)
        except ValueError:
            return p.returncode, p.stdout + p.stderr

    def push(self, text, *args):
        path = os.path.join(self.dir, "table.conf")
        with open(path, "w") as f:
            f.write(text)
        return self.ctl("push", path, *args)

    def metrics(self):
        """What /metrics says of the store: {series without "sluice_store_": number}."""
        p = subprocess.run(["curl", "-s", "-m", "10", "--unix-socket", self.dir + "/metrics", "http://sluiced/metrics"], capture_output=True)
        rows = (line.rsplit(" ", 1) for line in p.stdout.decode().splitlines())
        return {k[len("sluice_store_"):]: float(v) for k, v in rows if k.startswith("sluice_store_")}

    def endpoints(self):
        code, a = self.ctl("show", "endpoints")
        return len(a["endpoints"]) if code == 0 else None

    def rows(self):
        code, a = self.ctl("show", "store")
        return {r["gateway"]: r for r in a["store"]} if code == 0 else {}

    def state(self, name=None):
        return self.rows().get(name or self.name, {}).get("state")

    def logged(self, words):
        with open(os.path.join(self.dir, "log"), "rb") as f:
            return words.encode() in f.read()

    def generations(self):
        return len(self.ctl("show", "generations")[1]["generations"])


def wait_state(g, state, what, name=None):
    check(bool(wait_for(lambda: g.state(name) == state, what)), what)


def shared():
    """One push --store, two gateways; what became of it is in etcd, and shown by both."""
    e = Etcd().start()
    a, b = (Gateway(n, e.url).dataplane().start() for n in ("gw-a", "gw-b"))
    check(a.state() == "none", "nothing is there")
    code, out = a.push(table(2), "--store")
    check(code == 0 and out["key"] == KEY and out["revision"] > 0, "push --store says the revision") or print(out)
    for g in (a, b):
        wait_state(g, "active", f"{g.name} has taken it")
        check(g.endpoints() == 2, "with its endpoints")
    wait_state(a, "active", "each shows the other", "gw-b")
    s = json.loads(e.get("/sluice/status/gw-b/edge"))
    check(s["state"] == "active" and s["revision"] == out["revision"] and s["generation"] == 1, "the status is in etcd")
    code, out = b.push(table(3))
    check(code == 1 and out["error"]["code"] == "refused" and "--store" in out["error"]["hint"], "push alone is refused")
    check(b.endpoints() == 2, "and changes nothing")
    code, out = a.push(table(3) + "oops = 1;\n", "--store")
    check(code != 0 and out["problems"][0]["line"] > 4, "a bad file does not get there")
    since = time.monotonic()
    e.put(KEY, table(3))
    wait_for(lambda: b.endpoints() == 3, "who else writes there is heard, too")
    check(time.monotonic() - since < 8, "soon")
    wait_state(b, "active", "and taken")
    code, out = b.push(table(5), "--force")
    check(code == 0 and b.endpoints() == 5, "--force is for this one alone")
    wait_state(b, "replaced", "which is told")
    m = b.metrics()
    check(m['table{state="replaced"}'] == 1 and sum(v for k, v in m.items() if k.startswith("table{")) == 1, "in metrics, too") or print(m)
    check(m["connected"] == 1 and m["revision"] == e_rev(e) and 0 <= m["age_seconds"] < 60 and m["troubles_total"] == 0, "which say how etcd is") or print(m)
    check("registrations" not in m, "and nothing of registrations that are not shared")
    check(a.endpoints() == 3, "the other one stays")
    text = subprocess.run([sluicectl, "-s", a.socket, "show", "store"], capture_output=True).stdout.decode()
    print(text)
    check("gw-b" in text and "replaced" in text, "show store in words")
    e.put(KEY, table(4))
    wait_for(lambda: a.endpoints() == 4 and b.endpoints() == 4, "the next change is for all again")
    n = a.generations()
    a.stop()
    a.start()
    wait_state(a, "active", "after a restart")
    check(a.generations() == n, "the same table is not pushed again")
    for g in (a, b):
        check(g.stop() == 0, f"{g.name} ends")
    e.stop()


def refused():
    """Tables that are nonsense, or that a dataplane refuses, are told, and change nothing; deletion does neither."""
    e = Etcd().start()
    a, b = (Gateway(n, e.url).dataplane().start() for n in ("gw-a", "gw-b"))
    e.put(KEY, table(2))
    for g in (a, b):
        wait_state(g, "active", f"{g.name} has taken it")
    for bad, words in (("services = (", "syntax"), ("x" * 1000000, ""), (b"\0\1\2\xff", "NUL"), (table(1) + "colour = 1;", "colour"),
                       (b" ", ""), ("{" * 5000, "")):
        e.put(KEY, bad)
        for g in (a, b):
            ok = wait_for(lambda: g.state() == "refused" and g.rows()[g.name]["revision"] == e_rev(e), "refused")
            check(ok and words in g.rows()[g.name]["problem"], f"refused with a reason: {g.rows()[g.name]['problem'][:60]!r}")
            check(g.endpoints() == 2, "the active one stays")
    n = a.generations()
    time.sleep(0.5)  # nothing shall happen
    check(a.generations() == n, "and is not tried again")
    b.tell("refuse too much for me")
    e.put(KEY, table(3))
    wait_state(a, "active", "one dataplane takes it")
    wait_state(b, "refused", "the other does not")
    check("too much for me" in b.rows()["gw-b"]["problem"], "and says why")
    wait_for(lambda: a.rows()["gw-b"]["state"] == "refused", "which the first one shows")
    b.tell("accept")
    e.put(KEY, table(4))
    wait_state(b, "active", "the next one is taken again")
    e.delete(KEY)
    check(bool(wait_for(lambda: a.logged("is not there any more"), "deletion is told")), "deletion is told")
    check(a.endpoints() == 4 and b.endpoints() == 4, "and changes nothing")
    code, _ = a.push(table(1), "--store")
    check(code == 0, "a new one can be put where there is none")
    wait_for(lambda: b.endpoints() == 1, "and is taken")
    for g in (a, b):
        check(g.stop() == 0, f"{g.name} ends")
    e.stop()


def e_rev(e):
    return json.loads(e.ctl("get", KEY, "-w", "json"))["kvs"][0]["mod_revision"]


def meanwhile():
    """push --store goes by what this gateway saw: somebody else's change is not written over, unless it is meant."""
    e = Etcd().start()
    p = Proxy(e.port)
    a = Gateway("gw-a", f"http://127.0.0.1:{p.port}").dataplane().start()
    code, out = a.push(table(2), "--store")
    wait_state(a, "active", "the first one")
    p.blind = True
    e.put(KEY, table(3))
    code, out = a.push(table(4), "--store")
    check(code == 1 and out["error"]["code"] == "refused" and "somebody else" in out["error"]["text"], "refused") or print(out)
    check(e.get(KEY) == table(3).rstrip("\n"), "what is there stays")
    check(a.metrics()["conflicts_total"] == 1, "counted")
    code, out = a.push(table(4), "--store", "--force")
    check(code == 0 and e.get(KEY) == table(4).rstrip("\n"), "unless forced")
    p.blind = False
    wait_for(lambda: a.endpoints() == 4, "it comes back as a table")
    check(a.endpoints() == 4, "it comes back as a table")
    p.stopped = True
    code, out = a.push(table(5), "--store")
    check(code == 3 and out["error"]["code"] == "unavailable", "no etcd: said") or print(code, out)
    code, out = a.ctl("show", "store")
    check(code == 0 and out["trouble"], "and shown")
    check(bool(wait_for(lambda: a.metrics()["connected"] == 0 and a.metrics()["troubles_total"] > 0, "and counted")), "and counted")
    p.stopped = False
    check(bool(wait_for(lambda: a.metrics()["connected"] == 1, "until it answers again")), "until it answers again")
    check(a.stop() == 0, "it ends")
    e.stop()


def away():
    """etcd absent, killed, restored from an older copy; sluiced killed; the dataplane away: nothing is lost."""
    e = Etcd()
    a = Gateway("gw-a", e.url).start()
    check(a.logged("Connection refused"), "an etcd that is not there is told")
    e.start()
    e.put(KEY, table(2))
    wait_state(a, "pending", "taken without a dataplane")
    a.dataplane()
    wait_state(a, "active", "active once it comes")
    wait_for(lambda: json.loads(e.get("/sluice/status/gw-a/edge"))["state"] == "active", "also in etcd")
    e.stop()
    a.stop(9)
    a.start()
    wait_for(lambda: a.endpoints() == 2, "killed, and restarted without etcd")
    check(a.endpoints() == 2, "the table is there without etcd")
    e.start()
    e.put(KEY, table(3))
    wait_for(lambda: a.endpoints() == 3, "followed again")
    check(a.endpoints() == 3, "and is followed again when it comes")
    subprocess.run(["cp", "-r", e.dir, e.dir + ".copy"], check=True) if not e.stop(15) else None
    e.start()
    for n in (4, 5, 6):
        e.put(KEY, table(n))
    wait_for(lambda: a.endpoints() == 6, "the newest")
    e.stop()
    subprocess.run(["rm", "-r", e.dir], check=True)
    subprocess.run(["mv", e.dir + ".copy", e.dir], check=True)
    e.start()
    wait_for(lambda: "older state" in (a.ctl("show", "store")[1].get("trouble") or ""), "an older state is told")
    check(a.endpoints() == 6, "and not taken")
    check(a.stop() == 0, "it ends")
    e.stop()


DISCOVERS = ('gateway = { name = "g"; };\nnetwork = { addresses = ( { port = "front"; address = "10.0.0.1/24"; } ); };\n'
             'services = ( { name = "web"; forward = "nat"; discover = ( { source = "e"; } ); } );\n'
             'listeners = ( { name = "web"; address = "203.0.113.10"; port = 80; protocol = "tcp"; mode = "l4"; service = "web"; } );\n')


def names(g):
    code, a = g.ctl("show", "endpoints")
    return sorted(e["name"] for e in a["endpoints"]) if code == 0 else None


def keys_of(e):
    return sorted(k.split("/")[-1] for k in e.ctl("get", "--prefix", "--keys-only", "/sluice/endpoints/web/").split())


def registered():
    """What registers with one gateway is seen by the other, as long as it is heard and its gateway lives."""
    e = Etcd().start()
    a, b = (Gateway(n, e.url, 'registry = true; table = "edge"; ').dataplane().start() for n in ("gw-a", "gw-b"))
    e.put(KEY, DISCOVERS)
    for g in (a, b):
        wait_state(g, "active", f"{g.name} has the table")

    def register(g, name, n, *more):
        return g.ctl("register", f"web/{name}", "--address", f"10.0.0.{n}", "--port", "80", *more)[0] == 0

    check(register(a, "still", 30), "registered without a TTL")
    check(register(a, "beats", 31, "--ttl", "6s"), "registered with one")
    beating = [True]

    def beat():
        while beating[0]:
            a.ctl("heartbeat", "web/beats")
            time.sleep(0.3)

    t = threading.Thread(target=beat)
    t.start()
    check(register(b, "other", 32, "--ttl", "60s", "--metadata", "v=2"), "and with the other gateway")
    for g in (a, b):
        ok = wait_for(lambda: names(g) == ["beats", "other", "still"], f"{g.name} sees all three")
        check(bool(ok), f"{g.name} sees all three")
    check(json.loads(e.get("/sluice/endpoints/web/other"))["metadata"] == {"v": "2"}, "with what they said")
    shown = a.ctl("show", "store")[1]
    check((shown["registered"], shown["shared"]) == (2, 2), "which is shown")
    m = a.metrics()
    check((m["registrations"], m["registrations_shared"]) == (2, 2), "and in metrics") or print(m)
    end = time.monotonic() + 9  # longer than its TTL
    while time.monotonic() < end:
        if keys_of(e) != ["beats", "other", "still"]:
            check(False, "a heartbeat keeps it")
            break
        time.sleep(0.1)
    lease = json.loads(e.ctl("lease", "list", "-w", "json"))["leases"]
    check(len(lease) == 2, "one lease for each TTL")
    for one in lease:
        e.ctl("lease", "revoke", format(one["id"] if isinstance(one, dict) else one, "x"))
    ok = wait_for(lambda: keys_of(e) == ["beats", "other", "still"], "leases that were lost are made anew", 40)
    check(bool(ok), "leases that were lost are made anew")
    e.stop()
    check(register(a, "late", 33, "--ttl", "60s"), "registered while etcd is away")
    e.start()
    ok = wait_for(lambda: names(b) == ["beats", "late", "other", "still"], "is seen when it is back", 40)
    check(bool(ok), "is seen when it is back")
    beating[0] = False
    t.join()
    ok = wait_for(lambda: names(b) == ["late", "other", "still"], "who is silent is gone", 40)
    check(bool(ok), "who is silent is gone")
    beating[0] = True
    t = threading.Thread(target=beat)
    t.start()
    wait_for(lambda: "beats" in names(b), "and back when it is heard")
    a.ctl("deregister", "web/late")
    ok = wait_for(lambda: names(b) == ["beats", "other", "still"], "who deregisters, too")
    check(bool(ok), "who deregisters is gone, too")
    register(a, "brief", 35)
    wait_for(lambda: "brief" in names(b), "one without a TTL")
    a.ctl("deregister", "web/brief")
    ok = wait_for(lambda: keys_of(e) == ["beats", "other", "still"], "is gone, too")
    check(bool(ok), "also one without a TTL")
    check(register(b, "still", 30), "the same registers with the other one")
    a.ctl("deregister", "web/still")
    time.sleep(0.5)  # nothing shall happen
    ok = wait_for(lambda: keys_of(e) == ["beats", "other", "still"], "which is enough to keep it")
    check(bool(ok), "which is enough to keep it")
    e.ctl("del", "--prefix", "/sluice/endpoints/")
    ok = wait_for(lambda: keys_of(e) == ["beats", "other", "still"], "what is deleted by hand is put again")
    check(bool(ok), "what is deleted by hand is put again")
    e.stop()
    subprocess.run(["rm", "-r", e.dir], check=True)
    e.token = "wiped"
    e.start()
    ok = wait_for(lambda: keys_of(e) == ["beats", "other", "still"], "what an emptied etcd lost is put again", 40)
    check(bool(ok), "what an emptied etcd lost is put again, also without a TTL")
    beating[0] = False
    t.join()
    check(register(a, "short", 34, "--ttl", "5s"), "registered for 5 s")
    wait_for(lambda: "short" in names(b), "seen")
    a.stop(9)
    time.sleep(1)
    a.start()
    check("short" in keys_of(e), "a restart of its gateway loses nobody")
    a.stop(9)
    ok = wait_for(lambda: names(b) == ["other", "still"], "the gateway's death ends the leases", 30)
    check(bool(ok), "the gateway's death ends what has a TTL")
    check(b.stop() == 0, "it ends")
    e.stop()


def users():
    """With a user of etcd: what it may not do is said, and done once it may."""
    e = Etcd().start()
    root = ("--user", "root:r")
    for cmd in ("user add root:r", "user add sluice:s", "role add gate", "role grant-permission gate --prefix=true read /sluice/",
                "user grant-role sluice gate"):
        e.ctl(*cmd.split())
    try:
        e.ctl("user", "grant-role", "root", "root")
    except subprocess.CalledProcessError:
        e.ctl("role", "add", "root")
        e.ctl("user", "grant-role", "root", "root")
    e.ctl("auth", "enable")
    password = os.path.join(bed.home, "password")
    with open(password, "w") as f:
        f.write("s\n")
    e.put(KEY, table(2), user="root:r")
    a = Gateway("gw-a", e.url, source=f'user = "sluice"; password_file = "{password}"; ').dataplane().start()
    wait_state(a, "active", "it takes the table")
    ok = wait_for(lambda: a.logged("permission denied"), "that the status cannot be written is told")
    check(bool(ok), "that the status cannot be written is told")
    code, out = a.push(table(3), "--store")
    check(code != 0 and "permission denied" in out["error"]["text"], "nor the table") or print(out)
    e.ctl(*root, "role", "grant-permission", "gate", "--prefix=true", "readwrite", "/sluice/status/")
    ok = wait_for(lambda: "active" in e.ctl(*root, "get", "/sluice/status/gw-a/edge"), "the status comes once it may", 40)
    check(bool(ok), "the status comes once it may")
    e.ctl(*root, "role", "grant-permission", "gate", "--prefix=true", "readwrite", "/sluice/tables/")
    code, out = a.push(table(3), "--store")
    check(code == 0, "and the table")
    wait_for(lambda: a.endpoints() == 3, "which is taken")
    check(a.stop() == 0, "it ends")
    e.stop()


def words():
    """What is wrong with the group is said."""
    for keys, said in (('source = "x"; table = "t";', 'no source "x"'), ('source = "d"; table = "t";', "of type dns"), ('table = "t";', "missing"),
                       ('source = "e";', "shares nothing"), ('source = "e"; tabel = "t";', "table"), ('source = "e"; table = "a b";', "a b"),
                       ('source = "e"; registry = 1;', "neither true nor false"),
                       ('source = "e"; limits = 1;', "store.limits")):
        path = os.path.join(bed.home, "bad.conf")
        with open(path, "w") as f:
            f.write('sources = ( { name = "e"; type = "etcd"; urls = ( "http://127.0.0.1:1" ); }, { name = "d"; type = "dns"; } );\n'
                    'store = { %s };\n' % keys)
        p = subprocess.run([sluiced, "-c", path], capture_output=True, timeout=10)
        check(p.returncode != 0 and said in p.stderr.decode(), f"{keys} {said}") or print(p.stderr.decode())


for case in [shared, refused, meanwhile, away, registered, users, words]:
    if len(sys.argv) == 4 or case.__name__ in sys.argv[4:]:
        print(f"== {case.__name__}: {case.__doc__}", flush=True)
        case()
bed.finish()
