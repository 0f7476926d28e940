"""http_hostile.py — strangers to mode http by the hundred, and a good client that measures beside them.

  http_hostile.py good FILE HOST…          a request after the other on kept connections, each tenth on a new one, until SIGTERM; a
                                           line "TIME MICROSECONDS" per request in FILE; an error is a line "TIME error WHAT"
  http_hostile.py slices FILE START END…   of the good client's file: median and upper quartile of the 99th percentiles of slices of
                                           400 ms within the spans (seconds), how many requests, how many errors
  http_hostile.py KIND HOST N SECONDS      N strangers; says how many were ended by the gateway. "ready" when all have begun.
      heads       a header line each 100 ms         bodies      a body that stops        readers    an answer that nobody reads
      half        a request that ends in its middle    resets   RST in the middle of the answer    idle    nothing is said
      oversized   heads of 70 KB, again and again      extensions   chunk extensions without an end, again and again
"""
import json
import selectors
import signal
import socket
import statistics
import struct
import sys
import time


def connect(host, small=False):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if small:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.settimeout(10)
    s.connect((host, 80))
    return s


def good(file, *hosts):
    over = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(1))
    kept, n = {h: connect(h) for h in hosts}, 0
    used = dict.fromkeys(hosts, time.monotonic())
    with open(file, "w", encoding="ascii") as f:
        while not over:
            host = hosts[n % len(hosts)]
            n += 1
            new = n % 10 == 0
            start = time.monotonic()
            try:
                if start - used[host] > 1:  # who stood still that long may find it closed for idleness
                    kept[host] = connect(host)
                used[host] = start
                s = connect(host) if new else kept[host]
                s.sendall(b"GET /good HTTP/1.1\r\nHost: good.test\r\n\r\n")
                data = b""
                while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < 3:
                    part = s.recv(4096)
                    if not part:
                        raise ConnectionResetError("closed")
                    data += part
                if not data.startswith(b"HTTP/1.1 200"):
                    raise ValueError(data[:40])
                f.write(f"{start:.6f} {(time.monotonic() - start) * 1e6:.0f}\n")
                if new:
                    s.close()
            except (OSError, ValueError) as e:
                f.write(f"{start:.6f} error {e!r}\n")
                kept[host] = connect(host)
            if n % 20 == 0:
                f.flush()
            if n == 20:
                print("ready", flush=True)
            time.sleep(0.001)


def slices(file, *spans):
    edges = [float(x) for x in spans]
    spans, of, errors, n = list(zip(edges[::2], edges[1::2])), {}, 0, 0
    for line in open(file, encoding="ascii"):
        words = line.split(" ", 2)
        at = float(words[0])
        span = next((x for x in spans if x[0] <= at < x[1]), None)
        if not span or not line.endswith("\n"):
            continue
        n += 1
        if words[1] == "error":
            errors += 1
            print(line.strip(), file=sys.stderr)
        else:
            of.setdefault((span, int((at - span[0]) / 0.4)), []).append(int(words[1]))
    p99 = [sorted(x)[len(x) * 99 // 100] for x in of.values() if len(x) >= 20]
    p50 = [statistics.median(x) for x in of.values() if len(x) >= 20]
    print(json.dumps({"requests": n, "errors": errors, "slices": len(p99), "p99": statistics.median(p99 or [0]),
                      "p99_high": sorted(p99 or [0])[len(p99) * 3 // 4],
                      "p50": statistics.median(p50 or [0])}))


# ---- strangers ----

POST = b"POST /peer/echo HTTP/1.1\r\nHost: bad.test\r\n"
START = {
    "heads": b"GET /peer/who HTTP/1.1\r\nHost: bad.test\r\n", "bodies": POST + b"Content-Length: 100000\r\n\r\nabc",
    "readers": b"GET /gigabyte HTTP/1.1\r\nHost: bad.test\r\n\r\n", "half": POST + b"Content-Length: 1000\r\n\r\nhalf of",
    "resets": b"GET /gigabyte HTTP/1.1\r\nHost: bad.test\r\n\r\n", "idle": b"",
    "oversized": b"GET / HTTP/1.1\r\nHost: bad.test\r\n" + b"".join(b"x-%d: %s\r\n" % (i, b"y" * 2000) for i in range(35)),
    "extensions": POST + b"Transfer-Encoding: chunked\r\n\r\n3;" + b"e" * 60000,
}
REPEATED = {"half": 0.05, "resets": 0.15, "oversized": 0.1, "extensions": 0.1}  # how often a new one comes


def slow(kind, host, n, seconds):
    """All at once, then what they do until the gateway ends them."""
    sel, ended, begun = selectors.DefaultSelector(), 0, []
    for _ in range(n):
        s = connect(host, kind == "readers")
        s.sendall(START[kind])
        s.setblocking(False)
        if kind != "readers":
            sel.register(s, selectors.EVENT_READ)
        begun.append(s)
    print("ready", flush=True)
    end, last = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < end and ended < n:
        for key, _ in sel.select(0.05):
            try:
                over = not key.fileobj.recv(65536)
            except OSError:
                over = True
            if over:
                ended += 1
                sel.unregister(key.fileobj)
                key.fileobj.close()
        if kind == "heads" and time.monotonic() - last > 0.1:
            last = time.monotonic()
            for key in list(sel.get_map().values()):
                try:
                    key.fileobj.send(b"x: y\r\n")
                except OSError:
                    pass
        if kind == "readers":  # RST shows without reading
            ended = sum(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in (7, 8) for s in begun)
    return n, ended


def repeated(kind, host, n, seconds):
    """n at a time, for so long: each does what it does and is followed by the next."""
    made = ended = 0
    end = time.monotonic() + seconds
    print("ready", flush=True)
    while time.monotonic() < end:
        batch = []
        for _ in range(n):
            start = time.monotonic()
            s = connect(host, kind == "resets")
            try:
                s.sendall(START[kind])
                if kind == "half":
                    s.shutdown(socket.SHUT_WR)
                elif kind == "resets":
                    s.recv(100)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    s.close()
                    made += time.monotonic() - start < 1  # who was kept from it longer may have been ended for silence
            except OSError:
                pass
            batch.append(s)
        made += n if kind != "resets" else 0
        for s in batch:
            if kind != "resets":
                try:
                    while s.recv(65536):
                        pass
                    ended += 1
                except socket.timeout:
                    pass
                except OSError:
                    ended += 1
            s.close()
        time.sleep(REPEATED[kind])
    return made, made if kind == "resets" else ended


if __name__ == "__main__":
    if sys.argv[1:2] == ["good"]:
        good(*sys.argv[2:])
    elif sys.argv[1:2] == ["slices"]:
        slices(*sys.argv[2:])
    elif len(sys.argv) == 5 and sys.argv[1] in START:
        kind, host, n, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
        made, ended = (repeated if kind in REPEATED else slow)(kind, host, n, seconds)
        print(json.dumps({"made": made, "ended": ended}))
    else:
        sys.exit(__doc__)
