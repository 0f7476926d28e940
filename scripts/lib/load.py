"""load.py — a client that counts: requests, failures, who answered.

  load.py --seconds 3 --threads 4 http://10.77.9.10 http://[fd77:9::10] dns://10.77.9.53
  load.py --ca root.pem --name shop.example --cert client https://10.77.9.40

Each thread takes the targets in turn; the seconds are from the first answer on.  http: a new connection per request, or with
--keepalive one connection for the whole time, on which every answer must come from the same endpoint, unless --spread says that each
may come from another one.  -H: a header more.  https: the certificate must be good for --name and of --ca; --cert FILE: FILE.pem and FILE.key
are ours; "certificates" of the object counts connections by the serial numbers that were shown.  dns: who.test, A.
A refused or reset connection is tried again for up to --retry seconds (as a browser or curl --retry does) and
counted as retried; what still fails is failed.  SIGTERM ends the run early.  Prints one JSON object; progress on stderr with --progress; --so-far FILE: the object of now is there,
written again 20 times a second.
"""
import argparse
import collections
import json
import os
import random
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

PORTS = {"http": 80, "https": 443, "dns": 53}
args = None
lock = threading.Lock()
total = collections.Counter()
by = collections.defaultdict(collections.Counter)
errors = collections.Counter()
certificates = collections.Counter()
tls = None


def connect(host, port, kind, scheme="http"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, kind)
    s.settimeout(args.timeout)
    try:
        s.connect((host, port))
        if scheme == "https":
            s = tls.wrap_socket(s, server_hostname=args.name)
            with lock:
                certificates[s.getpeercert()["serialNumber"]] += 1
        return s
    except Exception:
        s.close()
        raise


def get(s, host, path="/"):
    name = args.name or (f"[{host}]" if ":" in host else host)
    more = "".join(f"{h}\r\n" for h in args.header)
    if not any(h.lower().startswith("host:") for h in args.header):
        more += f"Host: {name}\r\n"
    s.sendall(f"GET {path or '/'} HTTP/1.1\r\n{more}\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        part = s.recv(65536)
        if not part:
            raise ConnectionResetError("closed before the answer")
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length"))
    while len(body) < length:
        part = s.recv(65536)
        if not part:
            raise ConnectionResetError("closed inside the answer")
        body += part
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(head.split(b"\r\n")[0].decode())
    return body.decode().strip()


def http(scheme, host, port, path):
    with connect(host, port, socket.SOCK_STREAM, scheme) as s:
        return get(s, host, path)


def dns(_scheme, host, port, _path):
    ident = random.randrange(65536)
    query = struct.pack(">6H", ident, 0x0100, 1, 0, 0, 0) + b"\3who\4test\0" + struct.pack(">2H", 1, 1)
    with connect(host, port, socket.SOCK_DGRAM) as s:
        s.settimeout(args.timeout / 4)
        for again in range(4):  # as resolvers do
            s.send(query)
            try:
                answer = s.recv(2048)
                break
            except socket.timeout:
                if again == 3:
                    raise
    if struct.unpack(">H", answer[:2])[0] != ident or struct.unpack(">H", answer[6:8])[0] != 1:
        raise ValueError("not an answer to the question")
    return "e" + str(answer[-1] - 10)


def attempt(kind, host, port, path):
    """One request, with retries of what was refused or reset; (who, retries)."""
    until = time.monotonic() + args.retry
    retries = 0
    while True:
        try:
            return (dns if kind == "dns" else http)(kind, host, port, path), retries
        except (ConnectionError, socket.timeout, OSError):
            if time.monotonic() >= until:
                raise
            retries += 1
            time.sleep(0.02)


def note(url, who, retries=0, error=None):
    with lock:
        total["requests"] += 1
        total["retried"] += retries > 0
        if error:
            total["failed"] += 1
            errors[f"{url}: {error}"] += 1
        else:
            by[url][who] += 1


def worker(urls, stop, start):
    while not stop.is_set():
        for url in urls[start:] + urls[:start]:
            u = urllib.parse.urlparse(url)
            try:
                who, retries = attempt(u.scheme, u.hostname, u.port or PORTS[u.scheme], u.path)
                note(url, who, retries)
            except Exception as e:  # every failure is counted with its text
                note(url, None, error=f"{type(e).__name__}: {e}")
            if stop.is_set():
                return
            if args.pause:
                time.sleep(args.pause)


def keeper(url, stop):
    """One connection for the whole time; every answer from the same endpoint, or not."""
    u = urllib.parse.urlparse(url)
    try:
        with connect(u.hostname, u.port or PORTS[u.scheme], socket.SOCK_STREAM, u.scheme) as s:
            first = None
            while not stop.is_set():
                who = get(s, u.hostname, u.path)
                first = who if args.spread else first or who
                note(url, who, error=None if who == first else f"moved from {first} to {who}")
                time.sleep(args.pause or 0.01)
    except Exception as e:
        note(url, None, error=f"{type(e).__name__}: {e}")


def result():
    with lock:
        return json.dumps({"requests": total["requests"], "failed": total["failed"], "retried": total["retried"],
                           "by": by, "errors": errors, "certificates": certificates})


def write(path, text):
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(text)
    os.rename(path + ".new", path)


def tls_context():
    c = ssl.create_default_context(cafile=args.ca)
    if args.cert:
        c.load_cert_chain(args.cert + ".pem", args.cert + ".key")
    return c


def main():
    global args, tls
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--requests", type=int, default=0, help="stop after so many")
    p.add_argument("--threads", type=int, default=4)
    p.add_argument("--keepalive", action="store_true")
    p.add_argument("--spread", action="store_true", help="answers on a kept connection may come from several endpoints")
    p.add_argument("-H", dest="header", action="append", default=[], help="'name: value'")
    p.add_argument("--ca", help="https: PEM file of those whose certificates are good")
    p.add_argument("--name", help="https: name of the server; also the Host of requests")
    p.add_argument("--cert", help="https: our certificate is FILE.pem, its key FILE.key")
    p.add_argument("--pause", type=float, default=0)
    p.add_argument("--timeout", type=float, default=5)
    p.add_argument("--retry", type=float, default=0)
    p.add_argument("--progress", action="store_true")
    p.add_argument("--ready", help="a file to make when the first answer is there")
    p.add_argument("--so-far", metavar="FILE")
    p.add_argument("targets", nargs="+")
    args = p.parse_args()
    tls = tls_context() if any(t.startswith("https:") for t in args.targets) else None
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())  # ends early and in order
    if args.keepalive:
        threads = [threading.Thread(target=keeper, args=(args.targets[i % len(args.targets)], stop))
                   for i in range(args.threads)]
    else:
        threads = [threading.Thread(target=worker, args=(args.targets, stop, i % len(args.targets)))
                   for i in range(args.threads)]
    for t in threads:
        t.start()
    end = time.monotonic() + args.seconds
    shown = 0
    while not stop.is_set() and time.monotonic() < end and not (args.requests and total["requests"] >= args.requests):
        stop.wait(0.05)
        if not total["requests"]:  # --seconds are from the first answer on
            end = time.monotonic() + args.seconds
        ready = total["requests"] > 0
        if args.so_far:
            write(args.so_far, result())
        if args.ready and ready and not os.path.exists(args.ready):  # behind --so-far: whoever saw this may read that
            open(args.ready, "w", encoding="ascii").close()
        if args.progress and time.monotonic() - shown > 1:
            shown = time.monotonic()
            print(f"\r  {total['requests']} requests, {total['failed']} failed ", end="", file=sys.stderr, flush=True)
    stop.set()
    for t in threads:
        t.join()
    if args.progress:
        print("\r" + " " * 50 + "\r", end="", file=sys.stderr)
    print(result())


main()
