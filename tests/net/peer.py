"""peer.py — both ends of the end-to-end tests: a server that says who it is and whom it saw, and clients that judge.

  peer.py serve NAME PORT…                   TCP and UDP on every address; says "ready", ends at SIGTERM
  peer.py tcp HOST PORT [--count --up --down --keep]     transfers, each on a connection of its own or all on one
  peer.py udp HOST PORT [--count --up --down --keep]     datagrams, each from a port of its own or all from one
  peer.py hold HOST PORT --connections N [--every S]     N connections; asks on each every S seconds, at SIGUSR1 and
                                             at SIGTERM, which ends it; each must stay with its endpoint
  peer.py error HOST PORT WHAT               UDP; an ICMP error must come back as refused, hostunreach or toobig (--up)

TCP: the client writes a line {"up": N, "down": M} and N bytes; the answer is a line {"who", "peer", "port", "sha"} and M bytes.
UDP: a datagram "M\\n" filled up to --up bytes; the answer is the same line filled up to M bytes, from the address asked.
Clients print one line of JSON: asked, failed, by (who answered), peers (addresses that the server saw), errors.
"""
import argparse
import asyncio
import collections
import errno
import hashlib
import json
import select
import signal
import socket
import struct
import sys

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


def serve_udp(name, s, v6):
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
            s.bind((host, port))
            await asyncio.start_server(lambda r, w: serve_tcp(args.name, r, w), sock=s, backlog=4096)
            u = socket.socket(family(host), socket.SOCK_DGRAM)
            if v6:
                u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                u.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
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
                      "errors": errors, **more}), flush=True)


def dial(kind):
    s = socket.socket(family(args.host), kind)
    s.settimeout(args.timeout)
    if args.source:
        s.bind((args.source, 0))
    s.connect((args.host, args.to))
    return s


def transfer(s):
    sent, up = 0, pattern(args.up)
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
            result(connections=len(streams))
    result(connections=len(streams))


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
    if not poll.poll(args.timeout * 1000):
        wrong(f"no ICMP error within {args.timeout} s")
        return result()
    _, extra, _, about = s.recvmsg(CHUNK, 512, socket.MSG_ERRQUEUE)
    err = next(c[2] for c in extra if c[1] in (IP_RECVERR, IPV6_RECVERR))
    code, origin, kind, icode = struct.unpack("=IBBB", err[:7])
    offender = plain(socket.inet_ntop(socket.AF_INET6, err[24:40]) if v6 else socket.inet_ntop(socket.AF_INET, err[20:24]))
    more = {"offender": offender, "about": about[0] if about else "", "type": kind, "code": icode}
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


def main():
    global args
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="verb", required=True)
    v = sub.add_parser("serve")
    v.add_argument("name")
    v.add_argument("port", type=int, nargs="+")
    for name in ("tcp", "udp", "hold", "error"):
        v = sub.add_parser(name)
        v.add_argument("host")
        v.add_argument("to", type=int)
        if name == "error":
            v.add_argument("what", choices=("refused", "hostunreach", "toobig"))
        v.add_argument("--source", default="")
        v.add_argument("--timeout", type=float, default=3)
        v.add_argument("--up", type=int, default=0)
        v.add_argument("--down", type=int, default=0)
        v.add_argument("--count", type=int, default=1)
        v.add_argument("--keep", action="store_true")
        v.add_argument("--connections", type=int, default=100)
        v.add_argument("--every", type=float, default=0)
    args = p.parse_args()
    if args.verb == "serve":
        asyncio.run(serve())
    elif args.verb == "tcp":
        ask(socket.SOCK_STREAM, transfer)
    elif args.verb == "udp":
        ask(socket.SOCK_DGRAM, datagram)
    elif args.verb == "hold":
        asyncio.run(hold())
    else:
        icmp_error()
    return 1 if total["failed"] else 0


sys.exit(main())
