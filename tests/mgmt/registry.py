"""registry — the registry's HTTP API as services use it: curl over the socket and with client certificates; what was answered is there
after kill -9; hostile and slow clients cost others nothing.

    registry.py SLUICED SLUICECTL
"""
import http.client
import json
import os
import random
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

SLUICED, SLUICECTL = sys.argv[1:3]
ROOT = "/v1/registry"


def check(ok, what):
    if not ok:
        raise SystemExit(f"FAILED: {what}")


def wait_for(seconds, what, fn):
    end = time.monotonic() + seconds
    while not fn():
        check(time.monotonic() < end, f"waited {seconds} s for {what}")
        time.sleep(0.01)


# ---- certificates ----

class Certificates:
    def __init__(self, d):
        self.d = d
        self.authority("ca")
        self.authority("stranger")
        self.leaf("server", "ca", "IP:127.0.0.1", "serverAuth")
        self.leaf("prod", "ca", "DNS:ignored.example,URI:spiffe://td/prod-web,URI:spiffe://td/other", "clientAuth")
        self.leaf("named", "ca", "DNS:Api.Example.org", "clientAuth")
        self.leaf("other", "ca", "URI:spiffe://td/staging,URI:spiffe://td/prod-web", "clientAuth")
        self.leaf("nameless", "ca", "IP:192.0.2.1", "clientAuth")
        self.leaf("wrong_usage", "ca", "URI:spiffe://td/prod-web", "serverAuth")
        self.leaf("foreign", "stranger", "URI:spiffe://td/prod-web", "clientAuth")
        self.leaf("expired", "ca", "URI:spiffe://td/prod-web", "clientAuth", days="-1")

    def path(self, name):
        return os.path.join(self.d, name)

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, cwd=self.d, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out",
                     f"{name}.pem", "-days", "30", "-subj", f"/CN={name}")

    def leaf(self, name, ca, san, usage, days="30"):
        with open(self.path("ext"), "w", encoding="utf-8") as f:
            f.write(f"subjectAltName={san}\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", "csr", "-subj",
                     "/CN=x")
        self.openssl("x509", "-req", "-in", "csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-extfile", "ext", "-out",
                     f"{name}.pem", "-days", days)


# ---- sluiced ----

class Daemon:
    def __init__(self, d, certs, port):
        self.d, self.certs, self.port, self.p = d, certs, port, None
        self.log = open(os.path.join(d, "log"), "a+", encoding="utf-8")
        with open(os.path.join(d, "conf"), "w", encoding="utf-8") as f:
            f.write("".join(f'{k} = "{d}/{k}";\n' for k in ("api_socket", "dataplane_socket", "state_dir", "audit_log")))
            f.write(f'''metrics = "unix:{d}/metrics.sock";
                registry = {{ listen = "127.0.0.1:{port}"; certificate = "{d}/server.pem"; key = "{d}/server.key"; trust = "{d}/ca.pem";
                  allow = ( {{ identity = "spiffe://td/prod-*"; services = ( "web", "api-*" ); addresses = ( "192.0.2.0/24" ); }},
                            {{ identity = "api.example.org"; services = ( "named" ); }},
                            {{ user = "nobody"; services = ( "mine" ); }} ); }};\n''')

    def start(self):
        self.p = subprocess.Popen([SLUICED, "-c", os.path.join(self.d, "conf")], stdout=self.log, stderr=self.log)
        wait_for(10, "sluiced", self.answers)

    def answers(self):
        check(self.p.poll() is None, "sluiced ended: " + open(self.log.name, encoding="utf-8").read()[-500:])
        try:
            return self.unix("GET", "")[0] == 200
        except OSError:
            return False

    def kill(self):
        self.p.send_signal(signal.SIGKILL)
        self.p.wait()

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        check(self.p.wait(10) == 0, "sluiced ended badly")

    @property
    def socket(self):
        return os.path.join(self.d, "registry.sock")

    def unix(self, method, path, body=None):
        return ask(UnixConnection(self.socket), method, path, body)

    def curl(self, method, path, body=None, name=None, more=()):
        """(status, JSON or None) by curl: over the socket, or with a client certificate; status 0: no connection."""
        args = ["curl", "-s", "-m", "10", "-X", method, "-w", "\n%{http_code}", *more]
        if name is None:
            args += ["--unix-socket", self.socket, f"http://localhost{ROOT}{path}"]
        else:
            args += ["--cacert", self.certs.path("ca.pem"), f"https://127.0.0.1:{self.port}{ROOT}{path}"]
            if name:
                args += ["--cert", self.certs.path(name + ".pem"), "--key", self.certs.path(name + ".key")]
        if body is not None:
            args += ["--data-binary", body if isinstance(body, str) else json.dumps(body)]
        out = subprocess.run(args, capture_output=True, text=True, check=False).stdout
        text, _, status = out.rpartition("\n")
        return int(status or 0), json.loads(text) if text else None

    def metrics(self):
        """What /metrics says of the registry: {series without "sluice_registry_": number}."""
        c = UnixConnection(os.path.join(self.d, "metrics.sock"))
        c.request("GET", "/metrics")
        lines = c.getresponse().read().decode().splitlines()
        c.close()
        return {k.removeprefix("sluice_registry_"): float(v) for k, v in (line.rsplit(" ", 1) for line in lines)
                if k.startswith("sluice_registry_")}

    def ctl(self, *args):
        p = subprocess.run([SLUICECTL, "-s", os.path.join(self.d, "api_socket"), *args], capture_output=True, text=True, check=False)
        return p.returncode, p.stdout + p.stderr


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def ask(c, method, path, body=None):
    c.request(method, ROOT + path, body=None if body is None else json.dumps(body))
    r = c.getresponse()
    text = r.read()
    return r.status, json.loads(text) if text else None


A = {"address": "192.0.2.1", "port": 80}


# ---- claims ----

def rose(before, now):
    return {k: now[k] - before[k] for k in now if now[k] != before[k]}


def socket_speaks_http(s):
    before = s.metrics()
    row = [
        ("PUT", "/web/w1", A, 201), ("PUT", "/web/w1", A, 200), ("PUT", "/web/w1", dict(A, weight=3), 200),
        ("POST", "/web/w1/heartbeat", None, 200), ("POST", "/web/w1/heartbeat", {"percent": 40, "drain": True}, 200),
        ("POST", "/web/w1/heartbeat", {"percent": 140}, 400), ("POST", "/web/w2/heartbeat", None, 404),
        ("POST", "/web/w1/maintenance", {"on": True, "reason": "disk"}, 200), ("POST", "/web/w1/maintenance", {}, 400),
        ("GET", "/web/w1", None, 200), ("GET", "/web", None, 200), ("GET", "", None, 200), ("GET", "/web/w2", None, 404),
        ("GET", "/none", None, 200), ("PUT", "/web", A, 405), ("POST", "/web/w1", A, 405), ("PATCH", "/web/w1", A, 405),
        ("GET", "/web/w1/heartbeat", None, 405), ("PUT", "/web/w1/x", A, 404), ("PUT", "/web/w1/heartbeat/x", A, 404),
        ("PUT", "/we%20b/w1", A, 400), ("PUT", "/web%2fw1", A, 405), ("PUT", "/" + "x" * 64 + "/w", A, 400), ("PUT", "/" + "x" * 200 + "/w", A, 404),
        ("PUT", "/web/w1", "{", 400), ("PUT", "/web/w1", "[" * 40 + "]" * 40, 400), ("PUT", "/web/w1", '{"port":1,"port":2}', 400),
        ("PUT", "/web/w1", "[]", 400), ("PUT", "/web/w1", " " * 16385, 413), ("PUT", "/web/w1", dict(A, x="y" * 20000), 413),
        ("DELETE", "/web/w1", None, 204), ("DELETE", "/web/w1", None, 404),
    ]
    for method, path, body, want in row:
        status, answer = s.curl(method, path, body)
        check(status == want, f"{method} {path} {str(body)[:60]}: {status}, not {want}: {answer}")
        if want >= 400:
            check(set(answer["error"]) == {"what", "where", "do"} and answer["error"]["what"] and answer["error"]["do"],
                  f"{method} {path}: {answer}")
    chunked = ["-H", "Transfer-Encoding: chunked", "-H", "Expect:"]
    check(s.curl("PUT", "/web/w1", " " * 20000, more=chunked)[0] == 413, "a chunked body that is too long")
    check(s.curl("PUT", "/web/w1", A, more=chunked)[0] == 201, "a chunked body")
    status, all_of_it = s.curl("GET", "")
    check(status == 200 and all_of_it["endpoint_cnt"] == 1 and all_of_it["endpoints"][0]["address"] == "192.0.2.1", f"GET: {all_of_it}")
    check(s.metrics()["endpoints"] == s.metrics()["services"] == 1, "metrics: one endpoint, of one service")
    check(s.curl("DELETE", "/web/w1")[0] == 204, "DELETE")
    new = rose(before, s.metrics())
    wanted = [want for *_, want in row] + [413]
    check(new.get('refused_total{reason="unknown"}') == wanted.count(404), f"metrics: unknown: {new}")
    check(new.get('refused_total{reason="malformed"}') == sum(wanted.count(n) for n in (400, 405, 413)), f"metrics: malformed: {new}")
    check([k for k in new if "refused" in k] == ['refused_total{reason="malformed"}', 'refused_total{reason="unknown"}'], f"metrics: {new}")
    # registered: new, with another weight, new again; kept besides: two maintenances' one, two removals
    check(new["registered_total"] == 3 and new["removed_total"] == 2 and new["heartbeats_total"] == 2, f"metrics: {new}")
    check(new["journal_records_total"] >= 6 and new["journal_writes_total"] >= 6 and new["journal_bytes"] > 0, f"metrics: {new}")
    check(s.metrics()["journal_failing"] == s.metrics()["journal_errors_total"] == 0, "metrics: the journal is well")


def sluicectl_does_the_same(s):
    rc, out = s.ctl("register", "web/w1", "--address", "192.0.2.1", "--port", "80", "--weight", "3", "--ttl", "60s", "--locality", "eu/a",
                    "--metadata", "version=v2", "--metadata", "canary=true")
    check(rc == 0 and "web/w1" in out, out)
    status, e = s.curl("GET", "/web/w1")
    check(status == 200 and e["weight"] == 3 and e["ttl_s"] == 60 and e["locality"] == "eu/a" and
          e["metadata"] == {"version": "v2", "canary": "true"} and e["state"] == "up", f"{e}")
    rc, out = s.ctl("heartbeat", "web/w1", "--percent", "50")
    check(rc == 0 and "50" in out, out)
    rc, out = s.ctl("show", "registry")
    check(rc == 0 and "web" in out and "192.0.2.1:80" in out and "v2" in out, out)
    rc, out = s.ctl("show", "registry", "none")
    check(rc == 0 and "192.0.2.1" not in out, out)
    rc, out = s.ctl("register", "web/w1", "--address", "127.0.0.1", "--port", "80")
    check(rc == 2 and "address" in out and "127.0.0.1" in out, out)
    rc, out = s.ctl("register", "web")
    check(rc == 2 and "SERVICE/ENDPOINT" in out, out)
    for args, word in ((["register", "web/w1"], "--address"), (["register", "web/w1", "--address", b"\xff"], "UTF-8"),
                       (["register", "web/w1", "--address", "192.0.2.1", "--metadata", "v2"], "KEY=VALUE"),
                       (["register", "web/w1", "--address", "192.0.2.1", "--metadata", b"v=\xff"], "UTF-8"),
                       (["register", "web/w1", "--address", "192.0.2.1", "--ttl", "1500ms"], "whole seconds"),
                       (["heartbeat", "web/w1", "--leaving", "perhaps"], "yes or no"), (["heartbeat", "web/w1", "--percent", "101"], "percent"),
                       (["show", "registry", b"\xff"], "UTF-8")):
        rc, out = s.ctl(*args)
        check(rc == 2 and word in out, f"{args}: {rc} {out}")
    rc, out = s.ctl("deregister", "web/w1")
    check(rc == 0, out)
    rc, out = s.ctl("deregister", "web/w1")
    check(rc == 1 and "no such endpoint" in out, out)
    with open(os.path.join(s.d, "audit_log"), encoding="utf-8") as f:
        verbs = [(json.loads(line)["verb"], json.loads(line).get("endpoint")) for line in f]
    check(("register", "w1") in verbs and ("deregister", "w1") in verbs and ("maintenance", "w1") in verbs, f"audit: {verbs}")


def certificates_decide(s):
    before = s.metrics()
    row = [
        ("prod", "/web/w1", "192.0.2.1", 201), ("prod", "/api-2/w1", "192.0.2.2", 201), ("prod", "/web/w2", "198.51.100.1", 403),
        ("prod", "/named/w1", "192.0.2.1", 403), ("named", "/named/n1", "198.51.100.9", 201), ("named", "/web/w1", "192.0.2.1", 403),
        ("other", "/web/w1", "192.0.2.1", 403), ("nameless", "/web/w1", "192.0.2.1", 403), ("wrong_usage", "/web/w1", "192.0.2.1", 0),
        ("foreign", "/web/w1", "192.0.2.1", 0), ("expired", "/web/w1", "192.0.2.1", 0), ("", "/web/w1", "192.0.2.1", 0),
    ]
    for name, path, address, want in row:
        status, answer = s.curl("PUT", path, {"address": address}, name)
        check(status == want, f"{name or 'no certificate'}: PUT {path} {address}: {status}, not {want}: {answer}")
    check([e["service"] for e in s.curl("GET", "", None, "prod")[1]["endpoints"]] == ["api-2", "web"], "prod sees what is not its own")
    check(s.curl("GET", "/web/w1")[1]["by"] == "spiffe://td/prod-web", "by whom")
    check(s.curl("DELETE", "/web/w1", None, "named")[0] == 403, "named may not remove web")
    denied = rose(before, s.metrics()).get('refused_total{reason="denied"}')
    check(denied == 1 + sum(want == 403 for *_, want in row), f"metrics: {denied} denied")
    check(s.curl("GET", "", None, "prod", ["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"])[0] == 0, "TLS 1.1")
    check(s.curl("GET", "", None, "prod", ["--tls-max", "1.2"])[0] == 200, "TLS 1.2")
    check(s.curl("DELETE", "/web/w1", None, "prod")[0] == 204, "prod may remove web")
    # another certificate of the same name takes over without a restart
    before = serial(s)
    s.certs.leaf("server", "ca", "IP:127.0.0.1", "serverAuth")
    wait_for(5, "the new certificate", lambda: serial(s) != before)
    # and one that is broken does not
    now = serial(s)
    with open(s.certs.path("server.pem"), "w", encoding="utf-8") as f:
        f.write("nothing\n")
    time.sleep(1.1)  # files are looked at once a second
    check(serial(s) == now and s.curl("GET", "", None, "prod")[0] == 200, "a broken file of the certificate")
    s.certs.leaf("server", "ca", "IP:127.0.0.1", "serverAuth")


def users_of_the_socket_decide(s):
    """Root is everything, nobody has a row, daemon has none."""
    def as_user(user, method, path, body=None):
        args = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}",
                "-X", method, "--unix-socket", s.socket, f"http://localhost{ROOT}{path}"] + (["-d", json.dumps(body)] if body else [])
        return int(subprocess.run(args, capture_output=True, text=True, check=False).stdout or 0)

    if os.getuid() != 0:
        print("not root: users of the socket were not tried")
        return
    nobody, daemon = "65534", "1"
    os.chmod(s.d, 0o755)
    check(as_user(nobody, "PUT", "/mine/m1", A) == 201, "nobody may register mine")
    check(as_user(nobody, "PUT", "/web/m1", A) == 403, "nobody may not register web")
    check(as_user(daemon, "PUT", "/mine/m1", A) == 0, "daemon may not even connect")
    check(s.curl("GET", "/mine/m1")[1]["by"] == "nobody", "by whom")
    check(as_user(nobody, "DELETE", "/mine/m1") == 204, "nobody may deregister mine")


def client_context(s, name):
    ctx = ssl.create_default_context(cafile=s.certs.path("ca.pem"))
    ctx.load_cert_chain(s.certs.path(name + ".pem"), s.certs.path(name + ".key"))
    return ctx


def serial(s):
    with socket.create_connection(("127.0.0.1", s.port), timeout=10) as raw:
        with client_context(s, "prod").wrap_socket(raw, server_hostname="127.0.0.1") as t:
            return t.getpeercert()["serialNumber"]


def kept_over_kill(s, rounds):
    """Registrations that were answered are there after SIGKILL, whenever it comes."""
    answered, lock = {}, threading.Lock()
    rng = random.Random(7)

    def client(number, round_):
        c = UnixConnection(s.socket)
        try:
            for i in range(100000):
                name = f"e{round_}-{number}-{i}"
                status, _ = ask(c, "PUT", f"/kill{number}/{name}", {"address": "192.0.2.7", "port": 1 + i % 60000})
                with lock:
                    answered[name] = status
        except (OSError, http.client.HTTPException):
            pass

    for round_ in range(rounds):
        threads = [threading.Thread(target=client, args=(n, round_), daemon=True) for n in range(4)]
        before = len(answered)
        for t in threads:
            t.start()
        wait_for(10, "answers", lambda before=before: len(answered) > before + 50)
        time.sleep(rng.random() / 20)
        s.kill()
        for t in threads:
            t.join()
        s.start()
        there = {e["endpoint"] for e in s.unix("GET", "")[1]["endpoints"]}
        lost = [n for n, status in answered.items() if status == 201 and n not in there]
        check(all(status == 201 for status in answered.values()), "PUT was refused")
        check(not lost, f"round {round_}: answered and lost: {lost[:5]}, {len(lost)} of {len(answered)}")
    print(f"kill -9: {len(answered)} registrations in {rounds} rounds, none lost")


def bad_clients_cost_others_nothing(s):
    ctx = client_context(s, "prod")
    ctx.check_hostname = False

    def raw(source="127.0.0.2"):
        return socket.create_connection(("127.0.0.1", s.port), timeout=20, source_address=(source, 0))

    def tls():
        return ctx.wrap_socket(raw())

    good, stop = {"ok": 0, "bad": [], "worst": 0.0}, threading.Event()

    def well_behaved():
        while not stop.is_set():
            start = time.monotonic()
            try:
                c = http.client.HTTPSConnection("127.0.0.1", s.port, context=client_context(s, "prod"), timeout=10)
                status, _ = ask(c, "PUT", "/web/good", A)
                c.close()
            except OSError as e:
                status = str(e)
            good["ok"] += status in (200, 201)
            good["worst"] = max(good["worst"], time.monotonic() - start)
            if status not in (200, 201):
                good["bad"].append(status)
            time.sleep(0.02)

    beside = threading.Thread(target=well_behaved, daemon=True)
    beside.start()
    held = [raw() for _ in range(60)]  # never say anything
    for _ in range(30):  # above the bound of an address: closed at once
        c = raw()
        held.append(c)
    for junk in (b"\x16\x03\x01\x40\x00" + os.urandom(4000), b"GET / HTTP/1.1\r\n\r\n", os.urandom(20000), b"\x80"):
        with raw("127.0.0.3") as c:
            c.sendall(junk)
    slow = []
    for junk in (b"PUT /v1/registry/web/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", b"PUT /v1/reg", b""):
        c = ctx.wrap_socket(raw("127.0.0.4"))
        c.sendall(junk)
        slow.append((c, time.monotonic()))
    drip, dripped = ctx.wrap_socket(raw("127.0.0.5")), time.monotonic()
    drip.sendall(b"GET /v1/registry HTTP/1.1\r\nHost: x\r\nX: ")
    for junk in (b"GET /v1/registry HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100000 + b"\r\n\r\n", b"\r\n" * 1000, b"PUT\r\n\r\n",
                 b"PUT /v1/registry/web/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", os.urandom(5000),
                 b"PUT /v1/registry/web/x HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                 b"PUT /v1/registry/web/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"):
        with ctx.wrap_socket(raw("127.0.0.6")) as c:
            try:
                c.sendall(junk)
                c.recv(1000)
            except OSError:
                pass
    # many requests at once on one connection, answers not read
    flood = ctx.wrap_socket(raw("127.0.0.7"))
    flood.settimeout(0.2)
    try:
        for _ in range(200):
            flood.sendall(b"GET /v1/registry HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
    except OSError:
        pass
    # each byte of the drip would start a time-out of silence anew
    def closed(c):
        c.settimeout(0.05)
        try:
            return c.recv(1000) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    while time.monotonic() - dripped < 14:
        try:
            drip.sendall(b"a")
        except OSError:
            break
        if closed(drip):
            break
        time.sleep(0.2)
    took = time.monotonic() - dripped
    check(8 < took < 13, f"a client that drips was closed after {took:.1f} s")
    for c, began in slow:
        wait_for(max(0.1, 13 - (time.monotonic() - began)), "slow clients to be closed", lambda c=c: closed(c))
    wait_for(5, "silent clients to be closed", lambda: all(closed(c) for c in held))
    stop.set()
    beside.join()
    check(not good["bad"] and good["ok"] > 50, f"beside them: {good}")
    check(len(os.listdir(f"/proc/{s.p.pid}/fd")) < 60, "descriptors are left: " + str(len(os.listdir(f"/proc/{s.p.pid}/fd"))))
    print(f"hostile clients: {good['ok']} requests beside them, none failed, the longest took {good['worst'] * 1000:.0f} ms; "
          f"a dripping client was closed after {took:.1f} s")


def rates_are_bounded(s):
    """A long list costs more; answers in a row, so that the client is not what is slow."""
    with socket.socket(socket.AF_UNIX) as c:
        c.settimeout(20)
        c.connect(s.socket)
        asked, text = 1500, b""
        rc, out = s.ctl("show", "registry", "--json")
        check(rc == 0, out)
        cost = 1 + len(json.loads(out)["registry"]) // 10  # of the 5,000 a second of an identity
        begun = time.monotonic()
        sender = threading.Thread(target=c.sendall, args=(b"GET /v1/registry HTTP/1.1\r\nHost: x\r\n\r\n" * asked,), daemon=True)
        sender.start()
        ok = refused = 0
        while ok + refused < asked:
            piece = c.recv(1 << 20)
            check(piece, f"the connection ended after {ok} and {refused}")
            text += piece
            ok += text.count(b"HTTP/1.1 200 ")
            refused += text.count(b"HTTP/1.1 429 ")
            text = text[-12:]  # shorter than what is counted
    took = time.monotonic() - begun
    check(ok > 20, f"answers to {asked} long lists: {ok}, refused {refused}")
    check((ok - 2) * cost <= 5000 * (took + 1), f"answers to {asked} long lists, each the cost of {cost} requests: {ok} in {took:.1f} s")
    time.sleep(1.5)
    check(s.unix("GET", "/none")[0] == 200, "afterwards")


def no_descriptors_is_no_busy_loop(s):
    """More clients than there are descriptors: who waits to be let in costs no time, and comes in once others are gone."""
    def ticks():
        with open(f"/proc/{s.p.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    held = len(os.listdir(f"/proc/{s.p.pid}/fd"))
    was = resource.prlimit(s.p.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(s.p.pid, resource.RLIMIT_NOFILE, (held + 10, was[1]))
    clients = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    for c in clients:
        c.connect(s.socket)
    before = ticks()
    time.sleep(1.5)
    used = ticks() - before
    check(used < 15, f"{used} ticks of 150 for clients that wait")
    for c in clients:
        c.close()
    resource.prlimit(s.p.pid, resource.RLIMIT_NOFILE, was)
    wait_for(10, "an answer when there is room again", lambda: s.unix("GET", "")[0] == 200)


def main():
    with tempfile.TemporaryDirectory(prefix="sluice-registry-") as d:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        s = Daemon(d, Certificates(d), port)
        try:
            s.start()
            socket_speaks_http(s)
            sluicectl_does_the_same(s)
            certificates_decide(s)
            users_of_the_socket_decide(s)
            bad_clients_cost_others_nothing(s)
            kept_over_kill(s, 5)
            rates_are_bounded(s)
            no_descriptors_is_no_busy_loop(s)
            s.stop()
            check(not os.path.exists(s.socket), "the socket's file is left")
        finally:
            if s.p and s.p.poll() is None:
                s.p.kill()
                s.p.wait()


main()
