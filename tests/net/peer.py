"""peer.py — both ends of the end-to-end tests: a server that says who it is and whom it saw, and clients that judge.

  peer.py serve NAME PORT…                   TCP and UDP on every address; says "ready", ends at SIGTERM
  peer.py tcp HOST PORT [--count --up --down --keep]     transfers, each on a connection of its own or all on one
  peer.py udp HOST PORT [--count --up --down --keep]     datagrams, each from a port of its own or all from one
  peer.py hold HOST PORT --connections N [--every S]     N connections; asks on each every S seconds, at SIGUSR1 and
                                             at SIGTERM, which ends it; each must stay with its endpoint
  peer.py stream HOST PORT                   one connection that downloads until SIGTERM; at SIGUSR1, and at the end, a line with
                                             "mbit", what it got a second since the line before
  peer.py gone HOST PORT                     UDP; asks for an answer to a port that is closed by then: the endpoint must hear of it
  peer.py error HOST PORT WHAT               UDP; an ICMP error must come back as refused, hostunreach or toobig (--up)

  peer.py batch DIR                          lines "NAME VERB ARGS" of standard input, six at a time; results in DIR/NAME.json

TCP: the client writes a line {"up": N, "down": M} and N bytes; the answer is a line {"who", "peer", "port", "sha"} and M bytes.
UDP: a datagram "M\\n" filled up to --up bytes; the answer is the same line filled up to M bytes, from the address asked.
     "late KEY\\n": an answer after 0.3 s; "heard KEY\\n": "yes\\n" when that answer came back as a port unreachable, else "no\\n".
Clients print one line of JSON: asked, failed, by (who answered), peers (addresses that the server saw), errors, us (time that
TCP transfers took from the connection on).  --cc: congestion control of TCP, serve's too (a namespace may not choose each by sysctl).
"""
import argparse
import asyncio
import collections
import errno
import hashlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time

CHUNK = 65536
PATTERN = hashlib.shake_256(b"sluice").digest(1 << 20)
IP_PKTINFO, IP_RECVERR, IP_MTU, IP_MTU_DISCOVER, PMTUDISC_DO = 8, 11, 14, 10, 2
IPV6_MTU, IPV6_MTU_DISCOVER, IPV6_RECVERR = 24, 23, 25


def pattern(n):
    return (PATTERN * (n // len(PATTERN) + 1))[:n]


def plain(address):
    return address.removeprefix("::ffff:")


def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def congestion(s):
    if args.cc:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, args.cc.encode())


# ---- server ----

async def serve_tcp(name, reader, writer):
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer = writer.get_extra_info("peername")
    try:
        while line := await reader.readline():
            want = json.loads(line)
            digest, left = hashlib.sha256(), want["up"]
            while left:
                part = await reader.read(min(left, CHUNK))
                if not part:
                    return
                digest.update(part)
                left -= len(part)
            writer.write(json.dumps({"who": name, "peer": plain(peer[0]), "port": peer[1],
                                     "sha": digest.hexdigest()}).encode() + b"\n")
            writer.write(pattern(want["down"]))
            await writer.drain()
    except (OSError, ValueError, KeyError):
        pass  # a client that went away, or one that is none
    finally:
        writer.close()


late = {}  # (address, port) → key of an answer that is to come back as an error
heard = set()


def serve_late(s, v6, data, source, peer):
    verb, key = data.strip().split(b" ")
    answer = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source) if v6 else (socket.IPPROTO_IP, IP_PKTINFO, source)]
    if verb == b"late":
        late[peer[:2]] = key
        asyncio.get_running_loop().call_later(0.3, lambda: s.sendmsg([b"late\n"], answer, 0, peer))
    else:
        s.sendmsg([b"yes\n" if key in heard else b"no\n"], answer, 0, peer)


def serve_errors(s):
    """ICMP errors about our answers."""
    while True:
        try:
            _, extra, _, about = s.recvmsg(CHUNK, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        err = next(c[2] for c in extra if c[1] in (IP_RECVERR, IPV6_RECVERR))
        if struct.unpack("=I", err[:4])[0] == errno.ECONNREFUSED and about[:2] in late:
            heard.add(late.pop(about[:2]))


def serve_udp(name, s, v6):
    serve_errors(s)
    while True:
        try:
            data, extra, _, peer = s.recvmsg(CHUNK, 256, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            continue  # an ICMP error about an earlier answer
        to = next(c for c in extra if c[1] == (socket.IPV6_PKTINFO if v6 else IP_PKTINFO))[2]
        # Answer from the address that was asked, out of whatever device the routes say.
        source = (to[:16] + b"\0\0\0\0") if v6 else b"\0\0\0\0" + to[8:12] + b"\0\0\0\0"
        if data.startswith((b"late ", b"heard ")):
            serve_late(s, v6, data, source, peer)
            continue
        try:
            want = int(data.split(b"\n", 1)[0])
        except ValueError:
            continue
        head = json.dumps({"who": name, "peer": peer[0], "port": peer[1],
                           "sha": hashlib.sha256(data).hexdigest()}).encode() + b"\n"
        try:
            s.sendmsg([head + pattern(max(want - len(head), 0))],
                      [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source) if v6 else (socket.IPPROTO_IP, IP_PKTINFO, source)],
                      0, peer)
        except OSError as e:
            print(f"{name}: answer to {peer[0]} of {want} bytes: {e}", flush=True)


async def serve():
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    for port in args.port:
        for v6 in (False, True):
            host = "::" if v6 else "0.0.0.0"
            s = socket.socket(family(host), socket.SOCK_STREAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if v6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            congestion(s)
            s.bind((host, port))
            await asyncio.start_server(lambda r, w: serve_tcp(args.name, r, w), sock=s, backlog=4096)
            u = socket.socket(family(host), socket.SOCK_DGRAM)
            if v6:
                u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                u.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            u.setsockopt(*((socket.IPPROTO_IPV6, IPV6_RECVERR) if v6 else (socket.IPPROTO_IP, IP_RECVERR)), 1)
            u.bind((host, port))
            u.setblocking(False)
            loop.add_reader(u, serve_udp, args.name, u, v6)
    print("ready", flush=True)
    await done.wait()


# ---- clients ----

total = collections.Counter()
by, errors = collections.Counter(), collections.Counter()
peers = set()


def note(answer):
    total["asked"] += 1
    by[answer["who"]] += 1
    peers.add(answer["peer"])


def wrong(e):
    total["asked"] += 1
    total["failed"] += 1
    errors[e if isinstance(e, str) else f"{type(e).__name__}: {e}"] += 1


def result(**more):
    print(json.dumps({"asked": total["asked"], "failed": total["failed"], "by": by, "peers": sorted(peers),
                      "errors": errors, "us": total["us"], **more}), flush=True)


def dial(kind):
    s = socket.socket(family(args.host), kind)
    s.settimeout(args.timeout)
    if kind == socket.SOCK_STREAM:
        congestion(s)
    if args.source or args.sport:
        s.bind((args.source, args.sport))
    s.connect((args.host, args.to))
    return s


def transfer(s):
    up, start = pattern(args.up), time.monotonic()
    s.sendall(json.dumps({"up": args.up, "down": args.down}).encode() + b"\n" + up)
    data = b""
    while b"\n" not in data:
        part = s.recv(CHUNK)
        if not part:
            raise ConnectionResetError("closed before the answer")
        data += part
    line, rest = data.split(b"\n", 1)
    digest, sent = hashlib.sha256(rest), len(rest)
    while sent < args.down:
        part = s.recv(CHUNK)
        if not part:
            raise ConnectionResetError(f"closed after {sent} of {args.down} bytes")
        digest.update(part)
        sent += len(part)
    total["us"] += round((time.monotonic() - start) * 1e6)
    answer = json.loads(line)
    if answer["sha"] != hashlib.sha256(up).hexdigest():
        raise ValueError("the upload arrived changed")
    if digest.digest() != hashlib.sha256(pattern(args.down)).digest():
        raise ValueError("the download arrived changed")
    return answer


def datagram(s):
    head = f"{args.down}\n".encode()
    question = head + pattern(max(args.up - len(head), 0))
    s.send(question)
    data = s.recv(CHUNK)
    line, rest = data.split(b"\n", 1)
    if len(data) != max(args.down, len(line) + 1) or rest != pattern(len(rest)):
        raise ValueError(f"{len(data)} bytes came for {args.down}, or others")
    answer = json.loads(line)
    if answer["sha"] != hashlib.sha256(question).hexdigest():
        raise ValueError("the question arrived changed")
    return answer


def ask(kind, how):
    s = None
    for _ in range(args.count):
        try:
            s = s or dial(kind)
            note(how(s))
        except (OSError, ValueError) as e:
            wrong(e)
            if s:
                s.close()
            s = None
        if s and not args.keep:
            s.close()
            s = None
    result()


async def hold():
    """All connections open at once; each answer must come from the endpoint of the connection's first."""
    loop = asyncio.get_running_loop()
    done, now = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    loop.add_signal_handler(signal.SIGUSR1, now.set)
    first = {}

    async def once(i, reader, writer):
        try:
            writer.write(b'{"up": 0, "down": 0}\n')
            answer = json.loads(await asyncio.wait_for(reader.readline(), args.timeout))
            if first.setdefault(i, answer["who"]) != answer["who"]:
                wrong(f"moved from {first[i]} to {answer['who']}")
            else:
                note(answer)
        except (OSError, ValueError, asyncio.TimeoutError) as e:
            wrong(f"connection lost: {e!r}")

    async def opened():
        for again in range(5):
            try:
                return await asyncio.wait_for(asyncio.open_connection(args.host, args.to), args.timeout)
            except (OSError, asyncio.TimeoutError):
                if again == 4:
                    raise

    streams = []
    while len(streams) < args.connections:
        streams += await asyncio.gather(*(opened() for _ in range(min(100, args.connections - len(streams)))))

    async def every():
        for at in range(0, len(streams), 500):  # so many questions at a time
            await asyncio.gather(*(once(i, *streams[i]) for i in range(at, min(at + 500, len(streams)))))

    await every()
    print("ready", flush=True)
    while not done.is_set():
        waits = [asyncio.ensure_future(e.wait()) for e in (done, now)]
        await asyncio.wait(waits, timeout=args.every or None, return_when=asyncio.FIRST_COMPLETED)
        for w in waits:
            w.cancel()
        asked = now.is_set()
        now.clear()
        await every()
        if asked:
            result(connections=len(streams), spread=collections.Counter(first.values()))
    result(connections=len(streams), spread=collections.Counter(first.values()))


def stream():
    state = {"bytes": 0, "since": time.monotonic(), "done": False}

    def mark(*_):
        now = time.monotonic()
        result(mbit=round(state["bytes"] * 8e-6 / (now - state["since"]), 2))
        state["bytes"], state["since"] = 0, now

    def end(*_):
        state["done"] = True
    signal.signal(signal.SIGUSR1, mark)
    signal.signal(signal.SIGTERM, end)
    args.down = args.down or 100000
    try:
        with dial(socket.SOCK_STREAM) as s:
            print("ready", flush=True)
            while not state["done"]:
                note(transfer(s))
                state["bytes"] += args.down
    except (OSError, ValueError) as e:
        wrong(e)
    mark()


def gone():
    """The endpoint's answer comes when the port is closed; its kernel must hear our kernel's port unreachable."""
    key = b"%d" % os.getpid()
    end, again = time.monotonic() + args.timeout, 0
    while time.monotonic() < end:
        if time.monotonic() >= again:  # whoever did not come to close the port in time had the answer itself
            with dial(socket.SOCK_DGRAM) as s:
                s.send(b"late " + key + b"\n")
                time.sleep(0.05)  # the question must be out before the port closes
            again = time.monotonic() + 1
        for _ in range(20):  # the same endpoint is one of those that Maglev gives ports to
            with dial(socket.SOCK_DGRAM) as s:
                s.settimeout(1)  # a datagram that is lost must not take all the time
                s.send(b"heard " + key + b"\n")
                try:
                    if s.recv(100) == b"yes\n":
                        total["asked"] += 1
                        return result()
                except OSError:
                    continue
    wrong("the endpoint did not hear that the port is closed")
    return result()


def icmp_error():
    v6 = family(args.host) == socket.AF_INET6
    s = dial(socket.SOCK_DGRAM)
    level = socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP
    s.setsockopt(level, IPV6_RECVERR if v6 else IP_RECVERR, 1)
    if args.what == "toobig":
        s.setsockopt(level, IPV6_MTU_DISCOVER if v6 else IP_MTU_DISCOVER, PMTUDISC_DO)
    want = {"refused": errno.ECONNREFUSED, "hostunreach": errno.EHOSTUNREACH, "toobig": errno.EMSGSIZE}[args.what]
    payload = b"0\n" + pattern(max(args.up - 2, 0))
    s.send(payload)
    poll = select.poll()
    poll.register(s, 0)  # POLLERR comes unasked
    if not poll.poll(args.timeout * 500):
        s.send(payload)  # UDP may be lost on a busy machine
    if not poll.poll(args.timeout * 500):
        wrong(f"no ICMP error within {args.timeout} s")
        return result()
    _, extra, _, about = s.recvmsg(CHUNK, 512, socket.MSG_ERRQUEUE)
    err = next(c[2] for c in extra if c[1] in (IP_RECVERR, IPV6_RECVERR))
    code, origin, kind, icode = struct.unpack("=IBBB", err[:7])
    offender = plain(socket.inet_ntop(socket.AF_INET6, err[24:40]) if v6 else socket.inet_ntop(socket.AF_INET, err[20:24]))
    more = {"offender": offender, "about": about[0] if about else "", "type": kind, "code": icode}
    if v6 and args.what == "hostunreach":
        want = errno.ENETUNREACH  # "no route", as an IPv6 router says it
    if code != want or origin not in (2, 3):
        wrong(f"the error is {errno.errorcode.get(code, code)} from origin {origin}")
    elif args.what == "toobig":
        s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        try:
            s.send(payload)
            wrong("a second send of the same size went out")
        except OSError as e:
            if e.errno == errno.EMSGSIZE:
                total["asked"] += 1
            else:
                wrong(e)
        more["mtu"] = s.getsockopt(level, IPV6_MTU if v6 else IP_MTU)
    else:
        total["asked"] += 1
    return result(**more)


def batch(directory):
    """Each line in a child of its own, that no interpreter has to be started for."""
    running = 0
    for line in sys.stdin:
        name, *argv = line.split()
        if running == 6:
            os.wait()
            running -= 1
        if os.fork() == 0:
            os.dup2(os.open(f"{directory}/{name}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
            return main(argv)
        running += 1
    while running:
        os.wait()
        running -= 1
    return 0


def main(argv):
    global args
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="verb", required=True)
    v = sub.add_parser("serve")
    v.add_argument("name")
    v.add_argument("port", type=int, nargs="+")
    v.add_argument("--cc", default="")
    for name in ("tcp", "udp", "hold", "stream", "gone", "error"):
        v = sub.add_parser(name)
        v.add_argument("host")
        v.add_argument("to", type=int)
        if name == "error":
            v.add_argument("what", choices=("refused", "hostunreach", "toobig"))
        v.add_argument("--source", default="")
        v.add_argument("--cc", default="")
        v.add_argument("--sport", type=int, default=0)
        v.add_argument("--timeout", type=float, default=10)
        v.add_argument("--up", type=int, default=0)
        v.add_argument("--down", type=int, default=0)
        v.add_argument("--count", type=int, default=1)
        v.add_argument("--keep", action="store_true")
        v.add_argument("--connections", type=int, default=100)
        v.add_argument("--every", type=float, default=0)
    sub.add_parser("batch").add_argument("directory")
    args = p.parse_args(argv)
    if args.verb == "batch":
        return batch(args.directory)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if args.verb == "serve":
        asyncio.run(serve())
    elif args.verb == "tcp":
        ask(socket.SOCK_STREAM, transfer)
    elif args.verb == "udp":
        ask(socket.SOCK_DGRAM, datagram)
    elif args.verb == "hold":
        asyncio.run(hold())
    elif args.verb == "stream":
        stream()
    elif args.verb == "gone":
        gone()
    else:
        icmp_error()
    return 1 if total["failed"] else 0


sys.exit(main(sys.argv[1:]))
