"""etcd_bed — real etcd servers on ports of the kernel's choice, a proxy that is slow or silent, a gateway that lies, and `ask`.

Everything ends with the test: each process is a child, killed by its pid.
"""
import atexit
import base64
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

if not shutil.which("etcd"):
    print("etcd is not installed")
    sys.exit(77)

children = []
home = tempfile.mkdtemp(prefix="etcd_bed.")
failed = []


def clean_up():
    for p in children:
        if p.poll() is None:
            p.kill()
            p.wait()
    shutil.rmtree(home, ignore_errors=True)


atexit.register(clean_up)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def check(ok, what):
    print(("ok   " if ok else "FAIL ") + what, flush=True)
    if not ok:
        failed.append(what)
    return ok


def finish():
    print(f"{len(failed)} failed")
    sys.exit(1 if failed else 0)


def wait_for(fn, what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = fn()
        if got:
            return got
        time.sleep(0.01)
    check(False, f"{what} within {seconds} s")
    return None


def free_ports(n):
    socks = [socket.socket() for _ in range(n)]
    for s in socks:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


class Etcd:
    """One server.  Its data directory and ports stay the same over stop and start."""

    def __init__(self, name="default", tls=None, token="one"):
        self.name, self.tls, self.token = name, tls, token
        self.dir = os.path.join(home, f"{name}-{token}-{len(children)}")
        self.port, self.peer = free_ports(2)
        self.scheme = "https" if tls else "http"
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self.cluster = f"{name}=http://127.0.0.1:{self.peer}"
        self.process = None

    def start(self, wait=True):
        args = ["etcd", "--name", self.name, "--data-dir", self.dir, "--listen-client-urls", self.url,
                "--advertise-client-urls", self.url, "--listen-peer-urls", f"http://127.0.0.1:{self.peer}",
                "--initial-advertise-peer-urls", f"http://127.0.0.1:{self.peer}", "--initial-cluster", self.cluster,
                "--initial-cluster-token", self.token, "--heartbeat-interval", "50", "--election-timeout", "500",
                "--logger=zap"]
        if self.tls:
            args += ["--cert-file", self.tls["cert"], "--key-file", self.tls["key"], "--trusted-ca-file",
                     self.tls["ca"], "--client-cert-auth"]
        self.log = open(os.path.join(home, "etcd.log"), "ab")
        self.process = subprocess.Popen(args, stdout=self.log, stderr=self.log)
        children.append(self.process)
        if wait:
            wait_for(self.healthy, f"etcd at {self.url} answers")
        return self

    def healthy(self):
        try:
            self.ctl("get", "x")
            return True
        except subprocess.SubprocessError:
            return False

    def stop(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()

    def ctl(self, *args, user=None, stdin=None):
        cmd = ["etcdctl", "--endpoints", self.url, "--command-timeout=10s", "--dial-timeout=2s"]  # a disk may stall
        if self.tls:
            cmd += ["--cacert", self.tls["ca"], "--cert", self.tls["cert"], "--key", self.tls["key"]]
        if user:
            cmd += ["--user", user]
        return subprocess.run(cmd + list(args), check=True, capture_output=True, input=stdin, timeout=30,
                              env=dict(os.environ, ETCDCTL_API="3")).stdout.decode()

    def put(self, key, value, user=None):
        if not isinstance(value, (str, bytes)):
            value = json.dumps(value)
        if isinstance(value, str):
            value = value.encode()
        self.ctl("put", key, stdin=value, user=user)

    def put_many(self, pairs):
        """By the gateway, 100 in a transaction; not over TLS."""
        for i in range(0, len(pairs), 100):
            puts = [{"request_put": {"key": b64(k), "value": b64(json.dumps(v))}} for k, v in pairs[i:i + 100]]
            request = urllib.request.Request(self.url + "/v3/kv/txn", json.dumps({"success": puts}).encode())
            urllib.request.urlopen(request, timeout=30).read()

    def delete(self, *key):
        self.ctl("del", *key)

    def get(self, key):
        return self.ctl("get", "--print-value-only", key).rstrip("\n")

    def revision(self):
        return json.loads(self.ctl("get", "x", "-w", "json"))["header"]["revision"]


class Ask:
    """The program `ask`, and what it said so far."""

    def __init__(self, program, conf, service="web", *args):
        self.process = subprocess.Popen([program, conf, "e", service, *args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        children.append(self.process)
        self.said = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            one = json.loads(line)
            one["at"] = time.monotonic()
            self.said.append(one)

    def last(self, kind):
        for one in reversed(self.said):
            if kind in one:
                return one
        return None

    def names(self):
        one = self.last("answer")
        return None if one is None else sorted(e["name"] for e in one["answer"])

    def wait_names(self, names, what, seconds=20):
        ok = wait_for(lambda: self.names() == sorted(names), what, seconds)
        return check(bool(ok), what) if ok else None

    def wait_said(self, kind, words, since, seconds=20):
        return wait_for(lambda: next((o for o in self.said[since:] if kind in o and words in str(o[kind])), None),
                        f"{kind} “{words}”", seconds)

    def end(self):
        self.process.stdin.close()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return -1


class Proxy:
    """TCP to a port; `stopped` holds everything back, `blind` what watches say, `delay` each piece of an answer."""

    def __init__(self, port):
        self.to, self.stopped, self.delay, self.blind = port, False, 0, False
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(64)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            a, _ = self.sock.accept()
            try:
                b = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                a.close()
                continue
            watch = []
            threading.Thread(target=self.copy, args=(a, b, False, watch), daemon=True).start()
            threading.Thread(target=self.copy, args=(b, a, True, watch), daemon=True).start()

    def copy(self, a, b, answer, watch):
        try:
            while data := a.recv(65536):
                if not answer and data.startswith(b"POST /v3/watch"):
                    watch.append(True)
                while self.stopped or (answer and watch and self.blind):
                    time.sleep(0.02)
                if answer and self.delay:
                    time.sleep(self.delay)
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def kv(key, value, rev=5, created=5):
    return {"key": b64(key), "value": b64(value), "create_revision": str(created), "mod_revision": str(rev)}


class Liar:
    """A gateway whose answers the test makes: range(body) → bytes or an object, watch(body) → list of them (None: wait)."""

    def __init__(self):
        liar = self
        self.range = lambda body: {}
        self.watch = lambda body: []
        self.ranges, self.watches = 0, 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    liar.answer(self, body)
                except OSError:
                    pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, h, body):
        if h.path == "/v3/kv/range":
            self.ranges += 1
            out = self.range(body)
            out = out if isinstance(out, bytes) else json.dumps(out).encode()
            h.send_response(200)
            h.send_header("Content-Length", str(len(out)))
            h.end_headers()
            h.wfile.write(out)
            return
        self.watches += 1
        h.send_response(200)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        for one in self.watch(body):
            if one is None:
                time.sleep(3600)
            out = one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n"
            for i in range(0, len(out), 65536):
                piece = out[i:i + 65536]
                h.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            h.wfile.flush()
        h.wfile.write(b"0\r\n\r\n")


def header(rev=5, cluster=7):
    return {"cluster_id": str(cluster), "member_id": "1", "revision": str(rev), "raft_term": "2"}


def conf_file(urls, **more):
    path = os.path.join(home, f"conf-{time.monotonic_ns()}")
    keys = "".join(f' {k} = "{v}";' for k, v in more.items())
    with open(path, "w") as f:
        f.write('sources = ( { name = "e"; type = "etcd"; urls = ( %s );%s } );\n' %
                (", ".join(f'"{u}"' for u in urls), keys))
    return path
