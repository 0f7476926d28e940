"""http_smuggle.py — requests with another one hidden in them, and whether everybody reads the same of what the gateway made of them.

  http_smuggle.py serve PORT DIR       an endpoint that records: DIR/N.raw, the bytes of each connection, and DIR/record, a line
                                       {"head", "body", "conn", "n", "end": its last byte's place} for each whole request; says "ready"; ends at
                                       SIGTERM
  http_smuggle.py send HOST PORT SEED COUNT    COUNT requests, each on its own connection, made from a few by random changes of
                                       framing lines, separators, chunk sizes; says how many were answered how
  http_smuggle.py replay PORT DIR      sends each DIR/N.raw to a server whose answers say in x-saw what they are to: it must see the
                                       requests of DIR/record, in order, and no other; one in 100 it may refuse.  Exit 1 when not.
  http_smuggle.py logged DIR LOG       what the gateway's access log says was forwarded and answered is what arrived.  Exit 1 when not.
"""
import collections
import concurrent.futures
import json
import os
import random
import re
import signal
import socket
import sys
import threading

lock = threading.Lock()


class Ended(Exception):
    pass


class Reader:
    def __init__(self, s, copy=None):
        self.s, self.copy, self.data, self.got = s, copy, b"", 0

    def more(self):
        part = self.s.recv(65536)
        if not part:
            raise Ended
        if self.copy:
            self.copy.write(part)
            self.copy.flush()
        self.data += part
        self.got += len(part)

    def line(self):
        while b"\n" not in self.data:
            self.more()
        line, _, self.data = self.data.partition(b"\n")
        if not line.endswith(b"\r"):
            raise ValueError("a line that CR LF does not end")
        return line[:-1]

    def exactly(self, n):
        while len(self.data) < n:
            self.more()
        part, self.data = self.data[:n], self.data[n:]
        return part


# ---- the endpoint: reads one way only, and says so when it cannot ----

def read_request(r):
    lines = [r.line()]
    while lines[-1]:
        lines.append(r.line())
    head = b"\r\n".join(lines[:-1])
    fields = [(k.lower(), v.strip(b" \t")) for k, _, v in (x.partition(b":") for x in lines[1:-1])]
    lengths = [v for k, v in fields if k == b"content-length"]
    codings = [v for k, v in fields if k == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise ValueError("framed twice")
    size = 0
    if codings:
        if codings[0] != b"chunked":
            raise ValueError("coding")
        while True:
            line = r.line()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", line):
                raise ValueError("chunk size")
            n = int(line, 16)
            if n == 0:
                while r.line():
                    pass
                break
            size += len(r.exactly(n))
            if r.exactly(2) != b"\r\n":
                raise ValueError("chunk end")
    elif lengths:
        if not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
            raise ValueError("length")
        size = len(r.exactly(int(lengths[0])))
    return head, size


def connection(s, conn, folder, record):
    with open(f"{folder}/{conn}.raw", "wb") as raw:
        r, n = Reader(s, raw), 0

        def note(**what):
            with lock:
                record.write(json.dumps(dict(what, conn=conn, n=n)) + "\n")
                record.flush()

        try:
            while True:
                head, size = read_request(r)
                n += 1
                note(head=head.decode("latin1"), body=size, end=r.got - len(r.data))
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: " + (b"0" if head.startswith(b"HEAD ") else b"2\r\n\r\nok"))
                if head.startswith(b"HEAD "):
                    s.sendall(b"\r\n\r\n")
        except (Ended, OSError):
            pass  # a request that was not finished
        except ValueError as e:
            note(left=r.data.decode("latin1") or "?", error=str(e))
        finally:
            s.close()


def serve(port, folder):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    os.makedirs(folder, exist_ok=True)
    record = open(f"{folder}/record", "a", encoding="ascii")
    s = socket.create_server(("", int(port)), backlog=1024)
    print("ready", flush=True)
    conn = 0
    while True:
        c, _ = s.accept()
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn += 1
        threading.Thread(target=connection, args=(c, conn, folder, record), daemon=True).start()


# ---- the smuggler ----

LENGTHS = ["+{n}", "0{n}", "{n} ", "{n},{n}", "{n}, 0", "{n};", "0x{n}", "{n}\0", "", "-0", "{n}e0", "0000000000000000000000{n}",
           "18446744073709551616", "{n}\t", "{n} {n}", "0", "{n}\r\n 1", "\v{n}", "{n}.0", "1{n}", "\xb2"]
CODINGS = ["Chunked", "chunked ", "\tchunked", "chunked, identity", "identity, chunked", "xchunked", "chunked;q=1", '"chunked"',
           "chunked\0", "identity", "", ",chunked", "chunked,", "chunk\r\n ed", "\r\n chunked", "chunked, chunked", "gzip",
           "\vchunked", "chunked\v", "CHUNKED", "chun\u212aed".encode().decode("latin1"), "chunked\r"]
COLONS = [":", " : ", ":\t", " :", ":  ", ":\v", ": \0", "\0: ", ":\r\n ", ":\n", "", "::", "\t:", "\r:", ";"]
ENDS = ["\n", "\r", "\r\r\n", "\r\n\r\n", "\n\r", "\r\n ", "\r\0\n", "\r\n\t", "\v\r\n", "\0\r\n", " \r\n", "\n\n"]
NAMES = ["content_length", "Content-Length\0", "Content Length", "Content-\tLength", " Content-Length", "Content-Length ", "Transfer_Encoding",
         "Transfer-Encoding\t", "\tTransfer-Encoding", "Transfer Encoding", "X\r\nTransfer-Encoding", "TRANSFER-ENCODING", "cONTENT-lENGTH",
         "\x85Transfer-Encoding", "Transfer-Encoding\xa0", ""]
SIZES = ["{n} ", "0{n}", "0x{n}", "{n};a", "{n};a=b", "{n};\n", "{n}\0", "-{n}", "+{n}", " {n}", "{n}\t", "FFFFFFFFFFFFFFFF{n}", "{n}\n", "{n}\r",
         "", "{n};a=\"\r\n\"", "{n}h", "0", "1", "ff", "00000000000000000{n}", "{n}\v", "{n} ;a", "{n}; a"]
MORE = ["Expect: 100-continue", "Connection: Transfer-Encoding", "Connection: Content-Length", "Connection: close, Host", "Upgrade: h2c\r\nConnection: upgrade",
        "Trailer: Content-Length", "TE: trailers, chunked", "X: y\r\n\r\nGET /m-0/hidden HTTP/1.1", "X-HTTP-Method-Override: PUT",
        "Content-Encoding: chunked", "Keep-Alive: chunked", "Host: other.test", "Content-Length: 3", "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity", "Content-Length: 0", ": empty", "\0: x", "Content-Length", "Proxy-Connection: Host"]
TRAILERS = ["Content-Length: 4", "Transfer-Encoding: chunked", "x: y", "Host: e", "x: y\n", " fold", "x", "GET /m-0/hidden HTTP/1.1"]
VERSIONS = ["HTTP/1.0", "HTTP/01.1", "HTTP/1.01", "http/1.1", "HTTP/1.1 ", "HTTP/1.1\t", "HTTP/1.2", "HTTP/0.9", " HTTP/1.1", ""]


class Made:
    """A request of parts that can be changed one by one."""

    def __init__(self, g, number):
        self.g = g
        self.method = g.choice(["GET", "POST", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"])
        self.path, self.version = f"/m-{number}/a", "HTTP/1.1"
        self.hidden = f"GET /m-{number}/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
        self.lines = [["Host", ": ", "shop.test", "\r\n"], ["x", ": ", "y", "\r\n"]]
        self.kind = g.randrange(5)
        self.chunks, self.trailers, self.body = [], [], ""
        if self.kind in (0, 3):  # the hidden request in the body, or behind it
            self.body = g.choice(["", "ABC", "0\r\n\r\n"]) + self.hidden
            self.lines.append(["Content-Length", ": ", str(g.choice([len(self.body), 0, 3, 5])), "\r\n"])
        if self.kind in (1, 3):
            if self.kind == 1 or g.random() < .5:
                self.chunks = [[f"{len(d):x}", "\r\n", d, "\r\n"] for d in (g.choice(["ABC", "0\r\n\r\n"]), self.hidden)]
                self.body = ""
            self.lines.append(["Transfer-Encoding", ": ", "chunked", "\r\n"])
        if self.kind == 2:
            self.body = self.hidden  # behind it, or the body of what needs none
        if self.kind == 4:
            self.lines.append(["Content-Length", ": ", "3", "\r\n"])
            self.body = "ABC" + self.hidden
        g.shuffle(self.lines)

    def framing(self):
        of = [x for x in self.lines if x[0].lower() in ("content-length", "transfer-encoding")]
        return self.g.choice(of or self.lines)

    def change(self):
        g, line = self.g, self.framing()
        what = g.randrange(13)
        if what == 0:
            line[2] = g.choice(LENGTHS if line[0].lower() == "content-length" else CODINGS).format(n=line[2])
        elif what == 1:
            line[1] = g.choice(COLONS)
        elif what == 2:
            g.choice(self.lines)[3] = g.choice(ENDS)
        elif what == 3:
            line[0] = g.choice(NAMES)
        elif what == 4:
            self.lines.insert(g.randrange(len(self.lines) + 1), list(line))
        elif what == 5:
            copy = list(line)
            copy[2] = g.choice(LENGTHS + CODINGS).format(n=3)
            self.lines.insert(g.randrange(len(self.lines) + 1), copy)
        elif what == 6:
            self.lines.insert(g.randrange(len(self.lines) + 1), [g.choice(MORE), "", "", "\r\n"])
        elif what == 7:
            self.version = g.choice(VERSIONS)
        elif what == 8:
            part = g.randrange(4)
            at = g.randrange(len(line[part]) + 1)
            line[part] = line[part][:at] + chr(g.randrange(256)) + line[part][at + g.randrange(2):]
        elif self.chunks:
            chunk = g.choice(self.chunks)
            if what == 9:
                chunk[0] = g.choice(SIZES).format(n=chunk[0])
            elif what == 10:
                chunk[g.choice([1, 3])] = g.choice(ENDS + [""])
            elif what == 11:
                self.trailers.append(g.choice(TRAILERS))
            else:
                chunk[0] = f"{max(0, len(chunk[2]) + g.choice([-2, -1, 1, 2])):x}"

    def bytes(self):
        text = f"{self.method} {self.path} {self.version}\r\n" + "".join("".join(x) for x in self.lines) + "\r\n"
        if self.chunks:
            text += "".join("".join(c) for c in self.chunks) + "0\r\n" + "".join(t + "\r\n" for t in self.trailers) + "\r\n"
        return (text + self.body).encode("latin1")


def one(host, port, seed, number):
    g = random.Random(seed * 1000003 + number)
    m = Made(g, number)
    for _ in range(g.choice([0, 1, 1, 1, 2, 2, 3])):
        m.change()
    raw = m.bytes() + f"GET /m-{number}/end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    got = b""
    try:
        with socket.create_connection((host, port), timeout=10) as s:
            if g.random() < .3:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                at = g.randrange(len(raw))
                s.sendall(raw[:at])
                s.sendall(raw[at:])
            else:
                s.sendall(raw)
            s.settimeout(1)
            while True:
                part = s.recv(65536)
                if not part:
                    break
                got += part
    except socket.timeout:
        return "waits"
    except OSError:
        return "reset" if not got else got[9:12].decode()
    return ",".join(x.decode() for x in re.findall(rb"HTTP/1\.1 (\d+)", got)) or "closed"


def send(host, port, seed, count):
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        how = collections.Counter(pool.map(lambda n: one(host, int(port), int(seed), n), range(1, int(count) + 1)))
    print(json.dumps(dict(how.most_common())))


# ---- others read it ----

def requests_of(folder):
    """By connection: what was asked for, and where in the connection's bytes that ends."""
    of = collections.defaultdict(list)
    for line in open(f"{folder}/record", encoding="ascii"):
        j = json.loads(line)
        if "head" in j:
            of[j["conn"]].append((" ".join(j["head"].split("\r\n")[0].split(" ")[:2]), j["end"]))
    return of


def read_answers(s, want):
    """What a server says that it saw: as many answers as are wanted, then what comes after our end."""
    r, saw = Reader(s), []
    try:
        while True:
            lines = [r.line()]
            while lines[-1]:
                lines.append(r.line())
            fields = {k.lower(): v.strip() for k, _, v in (x.partition(b":") for x in lines[1:-1])}
            status = int(lines[0].split(b" ")[1])
            if status < 200:
                continue
            saw.append(fields.get(b"x-saw", b"refused: %d" % status).decode("latin1"))
            if not saw[-1].startswith("HEAD "):
                r.exactly(int(fields.get(b"content-length", 0)))
            if len(saw) == want:
                s.shutdown(socket.SHUT_WR)
                s.settimeout(2)
    except socket.timeout:
        if len(saw) < want:
            saw.append("nothing more")
    except (Ended, OSError):
        pass
    return saw


def replay_once(port, raw, want):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        sender = threading.Thread(target=quiet_send, args=(s, raw))
        sender.start()
        if not want:  # not one whole request: nothing may be seen
            sender.join()
            s.shutdown(socket.SHUT_WR)
        saw = read_answers(s, len(want))
        sender.join()
    return saw


def replay_one(port, raw, requests):
    """(read as it was meant, what was seen, how many were refused).  On whom a server refuses it may hang up: the next one comes on
    a new connection then."""
    want, refused, at, skip = [x for x, _ in requests], 0, 0, 0
    while True:
        saw = replay_once(port, raw[skip:], want[at:])
        for i, x in enumerate(saw):
            no = re.match("refused: [45]", x)
            if at == len(want):
                return bool(no) and i == len(saw) - 1, saw, refused  # what was not finished may be refused, not taken
            if x != want[at] and not no:
                return False, saw, refused
            at += 1
            refused += bool(no)
        if at == len(want):
            return True, saw, refused
        if not saw or not no:
            return False, saw, refused
        skip = requests[at - 1][1]


def quiet_send(s, raw):
    try:
        s.sendall(raw)
    except OSError:
        pass


def replay(port, folder):
    of, bad, seen, refused = requests_of(folder), 0, 0, 0
    conns = sorted(int(f[:-4]) for f in os.listdir(folder) if f.endswith(".raw"))
    raws = {c: open(f"{folder}/{c}.raw", "rb").read() for c in conns}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        done = {c: pool.submit(replay_one, int(port), raws[c], of[c]) for c in conns if raws[c]}
    for c, f in done.items():
        good, saw, no = f.result()
        seen += len(of[c])
        refused += no
        if not good:
            bad += 1
            names = [x for x, _ in of[c]]
            at = next((i for i, x in enumerate(saw) if x not in names), len(saw))
            last = of[c][names.index(saw[at - 1])][1] if at else 0
            print(f"connection {c}: {len(names)} requests; seen: {saw[max(0, at - 2):at + 2]}\n{raws[c][last:last + 600]}")
    print(f"{seen} requests on {len(done)} connections, {refused} refused, {bad} connections read otherwise")
    sys.exit(bad > 0 or seen == 0 or refused * 100 > seen)


def logged(folder, log):
    arrived = collections.Counter(x for of in requests_of(folder).values() for x, _ in of)
    told, answered = collections.Counter(), collections.Counter()
    for line in open(log, encoding="utf-8"):
        j = json.loads(line)
        name = f"{j['method']} {j['path']}"
        told[name] += j["endpoint"] is not None
        answered[name] += j["upstream_status"] is not None
    bad = [x for x in arrived if arrived[x] > told[x]] + [x for x in answered if answered[x] > arrived[x]]
    for x in bad[:10]:
        print(f"{x}: arrived {arrived[x]}, forwarded {told[x]}, answered {answered[x]}")
    print(f"{sum(arrived.values())} requests arrived, {sum(told.values())} forwarded, {sum(answered.values())} answered, {len(bad)} differ")
    sys.exit(bool(bad) or not arrived)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("serve", "send", "replay", "logged"):
        sys.exit(__doc__)
    globals()[sys.argv[1]](*sys.argv[2:])
