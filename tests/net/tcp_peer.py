"""tcp_peer.py — ends of TCP connections that do what ends of TCP connections do; run it on either side of mode tcp.

  tcp_peer.py serve NAME KIND:PORT…   both families; says "ready"; a line for each connection that ended; ends at SIGTERM
      eof     reads to the end, then answers with a line {"who", "bytes", "sha"} and closes
      first   sends 100,000 bytes and its end at once, then reads to the end
      echo    sends back what comes
      reset   resets the connection at its first byte
      mute    reads nothing, says nothing
  clients: exit 0 and a line of JSON when all was as it must be, else a sentence and 1
  tcp_peer.py half HOST PORT [BYTES]  sends, ends, and gets the answer of `eof` afterwards
  tcp_peer.py first HOST PORT         gets the end of `first` first, then sends 100,000 bytes and ends
  tcp_peer.py reset HOST PORT         resets a connection to `echo` that has had an answer
  tcp_peer.py is-reset HOST PORT      must be reset by `reset`
  tcp_peer.py stuck HOST PORT         sends to `mute` until nothing goes for a second; how many bytes went
  tcp_peer.py limit HOST PORT N       N connections to `echo`, one after the other, all kept until the last: how many were
                                      answered, refused, reset
  tcp_peer.py ends HOST PORT [S]      asks `echo` once, says "ready", waits up to S seconds for the end; how and how many ms
                                      after it asked
  tcp_peer.py opens HOST PORT         connects, asks `echo`; how long it took until the answer, or how it ended
"""
import asyncio
import collections
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import time

CHUNK = 65536
PATTERN = hashlib.shake_256(b"tcp").digest(1 << 20)


def pattern(n):
    return (PATTERN * (n // len(PATTERN) + 1))[:n]


# ---- server ----

ended = collections.Counter()


async def serve_eof(name, reader, writer):
    digest, n = hashlib.sha256(), 0
    while part := await reader.read(CHUNK):
        digest.update(part)
        n += len(part)
    writer.write(json.dumps({"who": name, "bytes": n, "sha": digest.hexdigest()}).encode() + b"\n")


async def serve_first(_, reader, writer):
    writer.write(pattern(100000))
    writer.write_eof()
    digest = hashlib.sha256()
    while part := await reader.read(CHUNK):
        digest.update(part)
    if digest.digest() != hashlib.sha256(pattern(100000)).digest():
        raise ValueError("other bytes than were sent")


async def serve_echo(_, reader, writer):
    while part := await reader.read(CHUNK):
        writer.write(part)
        await writer.drain()


async def serve_reset(_, reader, writer):
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def serve_mute(_, reader, __):
    reader._transport.pause_reading()
    await asyncio.sleep(3600)


KINDS = {"eof": serve_eof, "first": serve_first, "echo": serve_echo, "reset": serve_reset, "mute": serve_mute}


async def serve(name, what):
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)

    def one(kind):
        async def conversation(reader, writer):
            how = "ok"
            try:
                await KINDS[kind](name, reader, writer)
            except (OSError, ValueError) as e:
                how = type(e).__name__
            writer.close()
            print(f"{kind} {how}", flush=True)
        return conversation

    for w in what:
        kind, port = w.split(":")
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            s = socket.socket(family)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind((host, int(port)))
            await asyncio.start_server(one(kind), sock=s, backlog=4096, limit=2048 if kind == "mute" else CHUNK)
    print("ready", flush=True)
    await done.wait()
    os._exit(0)  # with whatever is open


# ---- clients ----

def dial(host, port):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.settimeout(20)
    s.connect((host, int(port)))
    return s


def read_all(s):
    data = b""
    while part := s.recv(CHUNK):
        data += part
    return data


def say(**what):
    print(json.dumps(what), flush=True)


def half(host, port, cnt="300000"):
    with dial(host, port) as s:
        up = pattern(int(cnt))
        s.sendall(up)
        s.shutdown(socket.SHUT_WR)
        answer = json.loads(read_all(s))
    if answer["bytes"] != len(up) or answer["sha"] != hashlib.sha256(up).hexdigest():
        sys.exit(f"{len(up)} bytes were sent, and this arrived: {answer}")
    say(**answer)


def first(host, port):
    with dial(host, port) as s:
        if read_all(s) != pattern(100000):
            sys.exit("not what the server sent before its end")
        s.sendall(pattern(100000))
        s.shutdown(socket.SHUT_WR)
    say(done=True)


def ask(s, what=b"are you there?\n"):
    s.sendall(what)
    got = b""
    while len(got) < len(what):
        part = s.recv(CHUNK)
        if not part:
            raise EOFError
        got += part
    if got != what:
        sys.exit(f"{what!r} was sent, {got!r} came back")


def reset(host, port):
    s = dial(host, port)
    ask(s)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    say(done=True)


def is_reset(host, port):
    with dial(host, port) as s:
        s.send(b"?")
        try:
            got = s.recv(10)
        except ConnectionResetError:
            return say(done=True)
    sys.exit(f"it was not reset: {got!r}")


def stuck(host, port):
    with dial(host, port) as s:
        s.settimeout(1)
        sent = 0
        try:
            while sent < 1 << 30:
                sent += s.send(PATTERN)
        except socket.timeout:
            return say(bytes=sent)
    sys.exit(f"{sent} bytes went to a server that reads nothing")


def how_it_went(host, port, kept):
    try:
        s = dial(host, port)
        kept.append(s)
        ask(s)
        return "answered"
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return "reset"
    except EOFError:
        return "ended"
    except socket.timeout:
        return "silent"
    except OSError as e:
        return str(e)


def limit(host, port, cnt):
    kept = []
    went = collections.Counter(how_it_went(host, port, kept) for _ in range(int(cnt)))
    for s in kept:
        s.close()
    say(**went)


def ends(host, port, seconds="10"):
    with dial(host, port) as s:
        start, how = time.monotonic(), "no end"  # before anything that an idle time-out is counted from
        ask(s)
        s.settimeout(float(seconds))
        print("ready", flush=True)
        try:
            how = "eof" if not s.recv(10) else "bytes"
        except ConnectionResetError:
            how = "reset"
        except socket.timeout:
            pass
    say(how=how, ms=round((time.monotonic() - start) * 1000))


def opens(host, port):
    start = time.monotonic()
    how = how_it_went(host, port, [])
    say(how=how, ms=round((time.monotonic() - start) * 1000))


VERBS = {"half": half, "first": first, "reset": reset, "is-reset": is_reset, "stuck": stuck, "limit": limit, "ends": ends,
         "opens": opens}
if sys.argv[1] == "serve":
    asyncio.run(serve(sys.argv[2], sys.argv[3:]))
else:
    try:
        VERBS[sys.argv[1]](*sys.argv[2:])
    except (OSError, EOFError) as e:
        sys.exit(f"{sys.argv[1]}: {type(e).__name__}: {e}")
