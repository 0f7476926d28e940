"""tls_pass.py — clients of a listener of mode tls-passthrough, good and bad ones.  Each verb ends with status 0 when all was as it must be,
and says what was not.

  tls_pass.py pieces HOST PORT NAME CA WANT   the ClientHello byte by byte, and in records of every size: the endpoint answers WANT
  tls_pass.py unknown HOST PORT NAME          a name of nobody ("": none): the alert unrecognized_name, then the end
  tls_pass.py garbage HOST PORT               what is no ClientHello ends the connection, without a byte; how many were tried
  tls_pass.py size HOST PORT NAME             16384 bytes reach the endpoint, one more does not; nor do 16385 in small records
  tls_pass.py slow HOST PORT NAME             hellos that never end, and silence, are ended after 10 s
  tls_pass.py steady HOST PORT NAME CA WANT STOP   requests, each on its own connection, until the file STOP is there; JSON
  tls_pass.py hold HOST PORT NAME CA WANT GO   two requests on one connection, the second one when the file GO is there
"""
import json
import os
import select
import socket
import ssl
import statistics
import struct
import sys
import threading
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n"


def connect(host, port, seconds=20):
    s = socket.create_connection((host, int(port)), timeout=seconds)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def context(ca):
    return ssl.create_default_context(cafile=ca)


def in_records(hello, size):
    """The one record of `hello`, its message in records of so many bytes."""
    out = b""
    message = hello[5:]
    for at in range(0, len(message), size):
        part = message[at:at + size]
        out += b"\x16\x03\x01" + struct.pack(">H", len(part)) + part
    return out


def asked(sock, name, ca, send_first):
    """What the endpoint answers; its first flight is sent by send_first."""
    back, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(ca).wrap_bio(back, out, server_hostname=name)

    def until(step):
        while True:
            try:
                got = step()
                sock.sendall(out.read())
                return got
            except ssl.SSLWantReadError:
                flight = out.read()
                if until.first:
                    until.first = False
                    send_first(flight)
                else:
                    sock.sendall(flight)
                more = sock.recv(65536)
                if not more:
                    raise ConnectionError("ended")
                back.write(more)

    until.first = True
    until(tls.do_handshake)
    tls.write(REQUEST % b"close")
    answer = b""
    while True:
        try:
            more = until(lambda: tls.read(65536))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError, ConnectionError):
            break
        if not more:
            break
        answer += more
    return answer.partition(b"\r\n\r\n")[2].decode().strip()


def pieces(host, port, name, ca, want):
    def byte_by_byte(sock):
        def send(flight):
            for i in range(len(flight)):
                sock.sendall(flight[i:i + 1])
        return send

    def records_of(sock, size):
        return lambda flight: sock.sendall(in_records(flight, size))

    wrong = []
    ways = [("byte by byte", byte_by_byte)]
    ways += [(f"records of {n}", lambda s, n=n: records_of(s, n)) for n in (1, 2, 3, 5, 50, 100, 250, 500)]
    for what, way in ways:
        with connect(host, port) as sock:
            try:
                got = asked(sock, name, ca, way(sock))
            except (OSError, ssl.SSLError) as e:
                got = repr(e)
        if not got.startswith(want):
            wrong.append(f"{what}: {got!r}")
    return wrong


def hello(name, size=None, extra=b""):
    """A ClientHello that offers what nobody has: an endpoint answers with an alert.  size: bytes with the record's header."""
    ext = b""
    if name:
        n = name.encode()
        ext += struct.pack(">HHHBH", 0, len(n) + 5, len(n) + 3, 0, len(n)) + n
    ext += extra
    if size:
        fill = size - 52 - len(ext) - 4
        ext += struct.pack(">HH", 0xFE00, fill) + bytes(fill)
    body = b"\x03\x03" + bytes(range(32)) + b"\0" + b"\0\2\xfe\xfe" + b"\1\0" + struct.pack(">H", len(ext)) + ext
    message = b"\1" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


def rest(sock, seconds=15):
    """All that comes until the end; "reset", "silent" or "end"."""
    got = b""
    sock.settimeout(seconds)
    try:
        while True:
            more = sock.recv(65536)
            if not more:
                return got, "end"
            got += more
    except (ConnectionResetError, BrokenPipeError):
        return got, "reset"
    except socket.timeout:
        return got, "silent"


def told(host, port, data):
    with connect(host, port) as sock:
        try:
            sock.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            return b"", "reset"
        return rest(sock)


def unknown(host, port, name):
    got = told(host, port, hello(name))
    return [] if got == (b"\x15\x03\x03\0\2\2\x70", "end") else [f"{name!r}: {got}"]


def garbage(host, port):
    good = hello("one.example")

    def changed(at, byte):
        return good[:at] + bytes([byte]) + good[at + 1:]

    rows = {
        "HTTP": b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n",
        "SSH": b"SSH-2.0-x\r\n",
        "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(40),
        "zeros": bytes(600),
        "ones": b"\xff" * 600,
        "an alert": b"\x15\x03\x03\0\2\2\x28",
        "application data": b"\x17\x03\x03\0\x20" + bytes(32),
        "a ServerHello": changed(5, 2),
        "an empty record": b"\x16\x03\x01\0\0" + good,
        "a record too long": b"\x16\x03\x01\x40\x01" + bytes(100),
        "a session identifier too long": changed(43, 33),
        "extensions past the end": changed(50, 200),
        "bytes behind the hello in its record": good[:4] + bytes([good[4] + 1]) + good[5:] + b"\0",
        "two names": hello("", extra=b"\0\0\0\x0c\0\x0a\0\0\2aa\0\0\2bb"),
        "the extension twice": hello("one.example", extra=b"\0\0\0\6\0\4\0\0\1a"),
        "a NUL in the name": hello("one.example\0.x"),
        "a name with a slash": hello("one.example/x"),
        "a name of 300 bytes": hello("a" * 60 + ".example" * 30),
        "an alert within": in_records(good, 20)[:25] + b"\x15\x03\x03\0\2\2\x28",
        "half a hello, then the end": None,
    }
    wrong = []
    for what, data in rows.items():
        if data is None:
            with connect(host, port) as sock:
                sock.sendall(good[:-1])
                sock.shutdown(socket.SHUT_WR)
                got = rest(sock)
        else:
            got = told(host, port, data)
        if got[0] or got[1] == "silent":
            wrong.append(f"{what}: {got}")
    print(json.dumps({"tried": len(rows)}))
    return wrong


def size(host, port, name):
    wrong = []
    got = told(host, port, hello(name, 16384))
    if got[0][:1] != b"\x15" or got[0][-1:] == b"\x70":
        wrong.append(f"16384 bytes: {got}")
    for what, data in (("16385 bytes", hello(name, 16385)), ("small records", in_records(hello(name, 14000), 20))):
        got = told(host, port, data)
        if got[0] or got[1] == "silent":
            wrong.append(f"{what}: {got}")
    return wrong


def slow(host, port, name):
    data = hello(name, 2000)
    took = {}

    def one(what, step):
        start = time.monotonic()  # before anything that the gateway counts from
        with connect(host, port) as sock:
            at = 0
            try:
                while not select.select([sock], [], [], 0.25)[0]:
                    sock.sendall(data[at:at + step])
                    at += step
                    if time.monotonic() - start > 25:
                        break
                got = rest(sock, 1)
            except (ConnectionResetError, BrokenPipeError):
                got = (b"", "reset")
            took[what] = (time.monotonic() - start, got)

    threads = [threading.Thread(target=one, args=(what, step))
               for what, step in (("silent", 0), ("a byte at a time", 1), ("30 bytes at a time", 30))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return [f"{what}: {seconds:.1f} s, {got}" for what, (seconds, got) in took.items()
            if got[0] or got[1] != "reset" or not 9.5 < seconds < 14]


def request(tls, how=b"close"):
    tls.sendall(REQUEST % how)
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"\n"):
        more = tls.recv(65536)
        if not more:
            break
        answer += more
    return answer.partition(b"\r\n\r\n")[2].decode().strip()


def steady(host, port, name, ca, want, stop):
    ctx = context(ca)
    done, failed, took = 0, [], []
    while not os.path.exists(stop):
        start = time.monotonic()
        try:
            with ctx.wrap_socket(connect(host, port), server_hostname=name) as tls:
                got = request(tls)
        except OSError as e:
            got = repr(e)
        took.append(time.monotonic() - start)
        if got.startswith(want):
            done += 1
        else:
            failed.append(got)
        if done == 1:
            print("ready", flush=True)
    print(json.dumps({"done": done, "slowest_ms": int(1000 * max(took)), "median_ms": int(1000 * statistics.median(took))}))
    return failed[:5] + ([] if done else ["nothing was asked"])


def hold(host, port, name, ca, want, go):
    with context(ca).wrap_socket(connect(host, port), server_hostname=name) as tls:
        got = [request(tls, b"keep-alive")]
        print("ready", flush=True)
        end = time.monotonic() + 30
        while not os.path.exists(go) and time.monotonic() < end:
            select.select([tls], [], [], 0.02)
        got.append(request(tls))
    return [] if all(g.startswith(want) for g in got) else [repr(got)]


wrong = globals()[sys.argv[1]](*sys.argv[2:])
for line in wrong:
    print(line)
sys.exit(1 if wrong else 0)
