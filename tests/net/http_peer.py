"""http_peer.py — ends of HTTP/1.1 that do as they are told, byte by byte; run it on either side of mode http.

  http_peer.py serve NAME PORT RECORD   both families; says "ready"; what each request was, exactly, is appended to RECORD as a
                                        line of JSON {"head", "body", "conn", "n"}; ends at SIGTERM.  What stands in file RECORD.mood, if
                                        there is one, is done to each request: "status N", "delay MS" or "do KIND", as
                                        a path without a number.  By the path:
      /who            NAME
      /echo           a JSON object: the request's head, length and sha256 of its body
      /bytes/N        N bytes with Content-Length; /chunked/N: in chunks of all sizes, with a trailer; /close/N: until the end
      /status/N       that status, with a body
      /slow/MS        answers after MS ms; /stall/N: N bytes of 1,000,000 announced, then nothing more
      /die-before     closes without an answer; /reset-before: with RST; /die-in: in the middle of the body
      /garbage        what is not HTTP; /two-lengths, /both: framing that is ambiguous
      /early          answers before the body is read, and closes
      /continue       100 Continue before it reads the body; /refuse-continue: 417 instead
      /upgrade        101 to whoever asked, then sends back what comes; else 426
      /interim        103 before the answer
      /keep-close     answers, and closes the connection a moment later without having said so
  http_peer.py ask HOST PORT FILE       sends the cases of FILE (JSON list of {"name", "send": [pieces], "want": [statuses],
                                        "closed": bool}), each on a connection of its own, and says which answers differ; exit 1
                                        when there is one.  A piece is text; bytes as \\u00XX; a number waits that many ms.
  http_peer.py slow HOST PORT KIND      a slow client: head, body or read; prints how it ended
  http_peer.py up HOST PORT PATH N [chunked]   sends N bytes, compares the sum that /echo answers
  http_peer.py down HOST PORT PATH N    N bytes must come, with the right sum
  http_peer.py hold HOST PORT PATH N    N requests, each on a connection of its own, whose answers it does not wait for; ended, it
                                        resets them
"""
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import threading
import time

PATTERN = hashlib.shake_256(b"http").digest(1 << 20)
lock = threading.Lock()


def pattern(n):
    return (PATTERN * (n // len(PATTERN) + 1))[:n]


class Ended(Exception):
    pass


class Reader:
    def __init__(self, s):
        self.s, self.data = s, b""

    def more(self):
        part = self.s.recv(65536)
        if not part:
            raise Ended
        self.data += part

    def until(self, mark):
        while mark not in self.data:
            self.more()
        head, _, self.data = self.data.partition(mark)
        return head

    def exactly(self, n):
        while len(self.data) < n:
            self.more()
        part, self.data = self.data[:n], self.data[n:]
        return part


def headers(head):
    lines = head.split(b"\r\n")
    return lines[0], [(k.strip().lower(), v.strip()) for k, _, v in (line.partition(b":") for line in lines[1:])]


def body_of(r, fields, sink):
    f = dict(fields)
    if b"transfer-encoding" in f:
        while True:
            n = int(r.until(b"\r\n").split(b";")[0], 16)
            if n == 0:
                trailers = b""
                while True:
                    line = r.until(b"\r\n")
                    if not line:
                        return trailers
                    trailers += line + b"\n"
            left = n
            while left:
                part = r.exactly(min(left, 65536))
                sink(part)
                left -= len(part)
            if r.exactly(2) != b"\r\n":
                raise ValueError("no CR LF behind a chunk")
    left = int(f.get(b"content-length", 0))
    while left:
        part = r.exactly(min(left, 65536))
        sink(part)
        left -= len(part)
    return b""


# ---- server ----

class Server:
    def __init__(self, name, port, record):
        self.name, self.port, self.conns = name, port, 0
        self.record, self.mood = open(record, "a", encoding="ascii"), record + ".mood"

    def note(self, **what):
        with lock:
            self.record.write(json.dumps(what) + "\n")
            self.record.flush()

    def serve(self, s):
        with lock:
            self.conns += 1
            conn = self.conns
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        r, n = Reader(s), 0
        try:
            while True:
                head = r.until(b"\r\n\r\n")
                n += 1
                if not self.request(s, r, head, conn, n):
                    return
        except (Ended, OSError) as e:
            if r.data or not isinstance(e, Ended):
                self.note(conn=conn, left=r.data.decode("latin1"), error=repr(e))
        finally:
            s.close()

    @staticmethod
    def reset(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def request(self, s, r, head, conn, n):
        line, fields = headers(head)
        path = line.split(b" ")[1].split(b"?")[0].decode("latin1")
        kind, _, arg = path[1:].partition("/")
        sha, size = hashlib.sha256(), [0]

        def sink(part):
            sha.update(part)
            size[0] += len(part)

        def tell(**more):
            self.note(head=head.decode("latin1"), body=size[0], conn=conn, n=n, **more)

        pause = 0
        try:
            what, value = open(self.mood, encoding="ascii").read().split()
            if what == "status":
                kind, arg = "status", value
            elif what == "do":
                kind, arg = value, ""
            else:
                pause = int(value) / 1000
        except (OSError, ValueError):
            pass
        if kind == "die-before":
            tell()
            return False
        if kind == "reset-before":
            tell()
            self.reset(s)
            return False
        if kind == "early":
            tell()
            s.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
            return False
        if kind == "continue":
            s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if kind == "refuse-continue":
            tell()
            s.sendall(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
            return True
        trailers = body_of(r, fields, sink)
        tell(trailers=trailers.decode("latin1"))
        time.sleep(pause)  # its line is there: what is under way is known
        bare = line.startswith(b"HEAD ")
        goes_on = self.answer(s, r, kind, arg, bare, dict(fields), head, sha, size[0], trailers)
        return goes_on and dict(fields).get(b"connection", b"").lower() != b"close"

    def answer(self, s, r, kind, arg, bare, fields, head, sha, size, trailers):
        def text(body, status="200 OK", more=""):
            raw = body.encode()
            s.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(raw)}\r\nx-who: {self.name}\r\n{more}\r\n".encode()
                      + (b"" if bare else raw))
            return True

        if kind == "echo" or kind == "continue":
            return text(json.dumps({"who": self.name, "head": head.decode("latin1"), "body": size, "sha": sha.hexdigest(),
                                    "trailers": trailers.decode("latin1")}) + "\n")
        if kind == "bytes":
            s.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {arg}\r\n\r\n".encode())
            if not bare:
                for at in range(0, int(arg), 1 << 20):
                    s.sendall(PATTERN[:min(1 << 20, int(arg) - at)])
            return True
        if kind == "chunked":
            s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n")
            data, at, size = pattern(int(arg)), 0, 1
            while at < len(data):
                part = data[at:at + size]
                s.sendall(b"%x;name=\"va lue\"\r\n" % len(part) + part + b"\r\n")
                at += len(part)
                size = size * 3 + 1 if size < 100000 else 7
            s.sendall(b"0\r\nx-sum: " + hashlib.sha256(data).hexdigest().encode() + b"\r\n\r\n")
            return True
        if kind == "close":
            s.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + pattern(int(arg)))
            return False
        if kind == "status":
            if arg in ("204", "304"):
                s.sendall(f"HTTP/1.1 {arg} X\r\nETag: \"1\"\r\n\r\n".encode())
                return True
            return text(f"{self.name}\n", f"{arg} X")
        if kind == "slow":
            time.sleep(int(arg) / 1000)
            return text(f"{self.name}\n")
        if kind == "stall":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + pattern(int(arg)))
            try:
                r.more()
            except Ended:
                pass
            return False
        if kind == "die-in":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + pattern(1000))
            return False
        if kind == "garbage":
            s.sendall(b"220 mail.example ESMTP\r\n\r\n")
            return False
        if kind == "two-lengths":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nabcde")
            return False
        if kind == "both":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            return False
        if kind == "interim":
            s.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            return text(f"{self.name}\n")
        if kind == "upgrade":
            if b"upgrade" not in fields:
                return text("", "426 Upgrade Required")
            s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            while True:
                if r.data:
                    s.sendall(r.data)
                    r.data = b""
                r.more()
        if kind == "keep-close":
            text(f"{self.name}\n")
            time.sleep(0.05)
            return False
        return text(f"{self.name}\n")


def listen(port):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", port))
    s.listen(1024)
    return s


def serve(name, port, record):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server, s = Server(name, int(port), record), listen(int(port))
    print("ready", flush=True)
    while True:
        c, _ = s.accept()
        threading.Thread(target=server.serve, args=(c,), daemon=True).start()


# ---- clients ----

def connect(host, port):
    s = socket.create_connection((host, int(port)), timeout=15)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def read_answer(r, bare=False):
    head = r.until(b"\r\n\r\n")
    line, fields = headers(head)
    status = int(line.split(b" ")[1])
    data = []
    if status >= 200 and status not in (204, 304) and not bare:
        f = dict(fields)
        if b"content-length" in f or b"transfer-encoding" in f:
            body_of(r, fields, data.append)
        else:
            try:
                while True:
                    data.append(r.data)
                    r.data = b""
                    r.more()
            except Ended:
                pass
    return status, dict(fields), b"".join(data)


def case(host, port, c):
    s = connect(host, port)
    r, got = Reader(s), []
    try:
        for piece in c["send"]:
            if isinstance(piece, (int, float)):
                time.sleep(piece / 1000)
            else:
                s.sendall(piece.encode("latin1"))
    except OSError:
        pass  # refused before all was sent
    try:
        for _ in c["want"]:
            got.append(read_answer(r, c.get("head", False))[0])
        if c.get("closed"):
            s.settimeout(5)
            r.more()
            got.append("more: " + repr(r.data[:40]))
        else:
            s.settimeout(0.1)
            r.more()
            got.append("more: " + repr(r.data[:40]))
    except Ended:
        if not c.get("closed"):
            got.append("closed")
    except socket.timeout:
        if c.get("closed"):
            got.append("open")
    except OSError as e:
        if not (c.get("closed") and len(got) == len(c["want"])):
            got.append(repr(e))
    s.close()
    return got


def ask(host, port, file):
    bad = 0
    cases = json.load(open(file, encoding="utf-8"))
    for c in cases:
        got = case(host, port, c)
        if got != c["want"]:
            bad += 1
            print(f"{c['name']}: {got} in place of {c['want']}")
    print(f"{len(cases)} cases, {bad} wrong")
    sys.exit(bad > 0)


def slow(host, port, kind):
    s, start = connect(host, port), time.monotonic()
    s.settimeout(30)
    r = Reader(s)
    status = None
    try:
        if kind == "head":
            s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            for i in range(200):
                try:
                    s.sendall(b"x-%d: y\r\n" % i)
                except OSError:
                    pass  # who came too late for that still has the answer
                s.settimeout(0.1)
                try:
                    status = read_answer(r)[0]
                    break
                except socket.timeout:
                    pass
        elif kind == "body":
            s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
            status = read_answer(r)[0]
        else:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(b"GET /bytes/100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            while time.monotonic() - start < 20:
                time.sleep(0.2)
                if not s.recv(1):
                    break
    except Ended:
        status = status or "closed"
    except OSError as e:
        status = status or type(e).__name__
    print(json.dumps({"how": status, "ms": round((time.monotonic() - start) * 1000)}))


def up(host, port, path, n, chunked=None):
    n, s = int(n), connect(host, port)
    s.settimeout(120)
    sha = hashlib.sha256()
    if chunked:
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    else:
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {n}\r\n\r\n".encode())
    at, size = 0, 1
    while at < n:
        part = PATTERN[:min(n - at, size if chunked else len(PATTERN))]
        sha.update(part)
        s.sendall(b"%x\r\n" % len(part) + part + b"\r\n" if chunked else part)
        at += len(part)
        size = size * 3 + 1 if size < len(PATTERN) // 4 else 65536
    if chunked:
        s.sendall(b"0\r\nx-end: yes\r\n\r\n")
    status, _, body = read_answer(Reader(s))
    j = json.loads(body)
    if status != 200 or j["body"] != n or j["sha"] != sha.hexdigest() or (chunked and "x-end: yes" not in j["trailers"]):
        sys.exit(f"{path}: {status}, {j['body']} of {n} bytes, the sum {'is right' if j['sha'] == sha.hexdigest() else 'differs'}")
    print(json.dumps({"ok": True, "who": j["who"]}))


def down(host, port, path, n):
    s = connect(host, port)
    s.settimeout(120)
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    status, _, body = read_answer(Reader(s))
    want = hashlib.sha256()
    for at in range(0, int(n), len(PATTERN)):
        want.update(PATTERN[:min(len(PATTERN), int(n) - at)])
    if status != 200 or len(body) != int(n) or hashlib.sha256(body).digest() != want.digest():
        sys.exit(f"{path}: {status}, {len(body)} of {n} bytes")
    print(json.dumps({"ok": True}))


def hold(host, port, path, n):
    held = []
    for _ in range(int(n)):
        s = connect(host, port)
        Server.reset(s)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        held.append(s)
    signal.pause()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("serve", "ask", "slow", "up", "down", "hold"):
        sys.exit(__doc__)
    globals()[sys.argv[1]](*sys.argv[2:])
