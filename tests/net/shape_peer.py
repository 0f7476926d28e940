"""shape_peer.py — ends of connections that move bytes for a time and say how many; for services with a bandwidth.

  shape_peer.py serve PORT    HTTP/1.1: GET /bytes/N, /chunked/N (the pattern); PUT /KEY (counted as it comes); GET /seen/KEY: how
                              many bytes of bodies came for KEY, all right so far or not; an upgrade: 101, then bytes for ever
  clients: a line of JSON
  shape_peer.py down HOST PORT SECONDS CONNECTIONS [upgrade]   reads as much as comes
  shape_peer.py up HOST PORT SECONDS CONNECTIONS SEEN_PORT     sends as much as goes; what has come is asked of SEEN_PORT; most: by how
                                                               much from the first byte on, what was saved up among it
  shape_peer.py whole HOST PORT PATH N                         GET, or PUT /KEY when PATH is no number's: all bytes, and right
"""
import json
import select
import socket
import socketserver
import sys
import threading
import time

PATTERN = bytes(range(251)) * 1024  # of a length that is no power of 2


def pattern(at, n):
    at %= 251
    return PATTERN[at : at + n]


class Peer(socketserver.StreamRequestHandler):
    seen, wrong = {}, set()
    lock = threading.Lock()

    def bytes_out(self, n, chunked=False):
        at = 0
        while at < n:
            part = pattern(at, min(65000, n - at))
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            at += len(part)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def body_in(self, key, n):
        at = 0
        while at < n:
            part = self.rfile.read1(min(65536, n - at))
            if not part:
                return False
            with self.lock:
                if part != pattern(at, len(part)):
                    self.wrong.add(key)
                self.seen[key] = self.seen.get(key, 0) + len(part)
            at += len(part)
        return True

    def text(self, what):
        body = json.dumps(what).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def handle(self):
        try:
            while self.one():
                pass
        except (ConnectionError, TimeoutError):
            pass

    def one(self):
        line = self.rfile.readline().split()
        if len(line) < 3:
            return False
        fields = {}
        while (field := self.rfile.readline().strip()):
            name, _, value = field.partition(b":")
            fields[name.lower()] = value.strip()
        kind, _, rest = line[1].decode().strip("/").partition("/")
        if b"upgrade" in fields:
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: bytes\r\n\r\n")
            self.bytes_out(1 << 40)
        elif line[0] == b"PUT":
            if not self.body_in(kind, int(fields[b"content-length"])):
                return False
            self.text({"wrong": kind in self.wrong, "bytes": self.seen[kind]})
        elif kind == "bytes":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % int(rest))
            self.bytes_out(int(rest))
        elif kind == "chunked":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.bytes_out(int(rest), True)
        else:
            self.text({"bytes": self.seen.get(rest, 0), "wrong": rest in self.wrong})
        return fields.get(b"connection") != b"close"


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 1024


def serve(port):
    with Server(("0.0.0.0", int(port)), Peer) as s:
        print("ready", flush=True)
        s.serve_forever()


def dial(host, port):
    return socket.create_connection((host, int(port)), 20)


def head(s):
    got = b""
    while b"\r\n\r\n" not in got:
        part = s.recv(65536)
        if not part:
            sys.exit(f"no answer but {got!r}")
        got += part
    return got.partition(b"\r\n\r\n")


def down(host, port, seconds, cnt, upgrade=""):
    begin = time.monotonic()
    all_of = []
    extra = "Connection: upgrade\r\nUpgrade: bytes\r\n" if upgrade else ""
    for _ in range(int(cnt)):
        s = dial(host, port)
        s.sendall(f"GET /bytes/{1 << 40} HTTP/1.1\r\nHost: shaped\r\n{extra}\r\n".encode())
        all_of.append(s)
    got = {s: 0 for s in all_of}
    ended = 0
    while time.monotonic() < begin + float(seconds):
        for s in select.select(list(got), [], [], 0.05)[0]:
            n = len(s.recv(1 << 20))
            got[s] += n
            if n == 0:
                ended += 1
                got.pop(s)
    span = time.monotonic() - begin
    each = [got.get(s, 0) for s in all_of]
    print(json.dumps({"bytes": sum(each), "begin": begin, "seconds": span, "rate": sum(each) / span, "min": min(each), "max": max(each), "ended": ended}))


def seen(host, port, key):
    with dial(host, port) as s:
        s.sendall(f"GET /seen/{key} HTTP/1.1\r\nHost: free\r\n\r\n".encode())
        _, _, body = head(s)
        while not body.endswith(b"}"):
            body += s.recv(4096)
        return json.loads(body), time.monotonic()


def up(host, port, seconds, cnt, seen_port):
    begin = time.monotonic()
    key = f"up{begin}"
    stop = threading.Event()
    failed = []

    def send(key):
        at = 0
        try:
            with dial(host, port) as s:
                s.sendall(f"PUT /{key} HTTP/1.1\r\nHost: shaped\r\nContent-Length: {1 << 40}\r\n\r\n".encode())
                while not stop.is_set():
                    at += s.send(pattern(at, 32000))
        except OSError as e:
            if not stop.is_set():
                failed.append(repr(e))

    keys = [f"{key}-{i}" for i in range(int(cnt))]
    for k in keys:
        threading.Thread(target=send, args=(k,), daemon=True).start()
    time.sleep(0.7)  # what was saved up has gone
    before = [seen(host, seen_port, k) for k in keys]
    time.sleep(float(seconds))
    after = [seen(host, seen_port, k) for k in keys]
    stop.set()
    each = [a[0]["bytes"] - b[0]["bytes"] for a, b in zip(after, before)]
    rate = sum(n / (a[1] - b[1]) for n, a, b in zip(each, after, before))
    most = sum(a[0]["bytes"] / (a[1] - begin) for a in after)
    print(json.dumps({"rate": rate, "most": most, "min": min(each), "max": max(each), "wrong": any(a[0]["wrong"] for a in after), "failed": failed}))


def whole(host, port, path, n):
    n = int(n)
    with dial(host, port) as s:
        begin = time.monotonic()
        if path.startswith("/bytes/") or path.startswith("/chunked/"):
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: shaped\r\nConnection: close\r\n\r\n".encode())
            _, _, body = head(s)
            s.settimeout(60)
            while part := s.recv(1 << 20):
                body += part
            if "/chunked/" in path:
                rest, body = body, b""
                while (size := int(rest.partition(b"\r\n")[0], 16)):
                    rest = rest.partition(b"\r\n")[2]
                    body, rest = body + rest[:size], rest[size + 2 :]
            right = body == b"".join(pattern(i, min(65000, n - i)) for i in range(0, n, 65000))
        else:
            s.sendall(f"PUT {path} HTTP/1.1\r\nHost: shaped\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n".encode())
            at = 0
            while at < n:
                at += s.send(pattern(at, min(32000, n - at)))
            s.settimeout(60)
            _, _, body = head(s)
            while not body.endswith(b"}"):
                body += s.recv(4096)
            said = json.loads(body)
            right = not said["wrong"] and said["bytes"] == n
        print(json.dumps({"right": right, "seconds": time.monotonic() - begin}))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
