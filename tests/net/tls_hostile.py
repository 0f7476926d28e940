"""tls_hostile.py — strangers to TLS: in the handshake, and with keys in their hands after it.

  tls_hostile.py KIND HOST PORT N [SECONDS]   N strangers; prints a JSON object: "made", "ended" (by the gateway, within 20 s), "how" and
                                              "alerts": how many ended in which way
  before the handshake is over, all at once:
      http garbage record-long record-type hello-long hello-half hello-reset old slow silent gone
  after it, one after the other:
      tag long short inner ccs plain hello ticket finished endless value trailing split-update
      updates empties                         until the gateway has enough
  and  flood HOST PORT SECONDS                handshakes as fast as they go, each ended by RST
       warm HOST PORT N                       N whole handshakes with a request, one after the other
"""
import collections
import json
import os
import select
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
from tls_peer import (ALERT, CCS, DATA, HANDSHAKE, KEY_UPDATE, MAX, Ended, Session, aead, client_hello, dial)  # noqa: E402

LIMIT = 20  # seconds


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def record(kind, data, version=0x0301):
    return struct.pack(">BHH", kind, version, len(data)) + data


# ---- before: what is said, and whether more is to be said ----

def http():
    return b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"


def garbage():
    return os.urandom(2000)


def record_long():
    return struct.pack(">BHH", HANDSHAKE, 0x0301, 0xffff) + bytes(20000)


def record_type():
    return record(99, client_hello()[5:])


def hello_long():
    """A ClientHello of a megabyte, in records that are right."""
    return b"".join(record(HANDSHAKE, (struct.pack(">B3s", 1, b"\x10\0\0") if i == 0 else b"") + bytes(16000)) for i in range(20))


def hello_half():
    h = client_hello()
    return h[:len(h) // 2]


def old():
    """TLS 1.1 at most, and nothing that says otherwise."""
    suites = b"\xc0\x13\xc0\x14\x00\x2f"
    body = b"\x03\x02" + os.urandom(32) + b"\0" + struct.pack(">H", len(suites)) + suites + b"\1\0"
    return record(HANDSHAKE, b"\1" + struct.pack(">I", len(body))[1:] + body)


SAYS = {"http": http, "garbage": garbage, "record-long": record_long, "record-type": record_type, "hello-long": hello_long,
        "hello-half": hello_half, "hello-reset": hello_half, "old": old, "slow": client_hello, "silent": client_hello, "gone": hello_half}


def before(kind, host, port, n):
    """All at once.  slow: a byte each 200 ms.  silent: a whole ClientHello, then nothing."""
    open_, how, alerts = {}, collections.Counter(), collections.Counter()
    for _ in range(n):
        s, text = dial(host, port), SAYS[kind]()
        if kind == "slow":
            open_[s] = text
            continue
        try:
            s.sendall(text)
        except OSError:
            pass  # refused before all was sent
        if kind == "gone":
            s.shutdown(socket.SHUT_WR)
        if kind == "hello-reset":
            reset(s)
            how["reset by us"] += 1
            continue
        open_[s] = b""
    end, seen, due = time.monotonic() + LIMIT, collections.defaultdict(bytes), 0
    while open_ and time.monotonic() < end:
        if kind == "slow" and time.monotonic() > due:
            due = time.monotonic() + 0.2
            for s in open_:
                try:
                    s.send(open_[s][:1])
                except OSError:
                    pass
                open_[s] = open_[s][1:]
        poll = select.poll()
        for s in open_:
            poll.register(s, select.POLLIN)
        by = {s.fileno(): s for s in open_}
        for fd, _ in poll.poll(100):
            s = by[fd]
            try:
                part = s.recv(65536)
            except OSError:
                part = None
            if part:
                seen[s] += part
                continue
            how["closed" if part == b"" else "reset"] += 1
            last = seen[s][-7:]
            alerts[str(last[6] if len(last) == 7 and last[0] == ALERT else 0)] += 1
            s.close()
            del open_[s]
    return n, n - len(open_), how, alerts


# ---- after ----

def tag(t):
    r = bytearray(t.tx.seal(DATA, t.request()))
    r[-1] ^= 1
    t.s.sendall(r)


def long(t):
    t.s.sendall(struct.pack(">BHH", DATA, 0x0303, MAX + 257) + bytes(MAX + 257))


def short(t):
    t.s.sendall(struct.pack(">BHH", DATA, 0x0303, 8) + bytes(8))


def inner(t):
    """Nothing but zeros."""
    head = struct.pack(">BHH", DATA, 0x0303, 100 + 16)
    sealed, mark = aead(t.tx.cipher, True, t.tx.key, t.tx.nonce(), head, bytes(100))
    t.s.sendall(head + sealed + mark)


def ccs(t):
    t.s.sendall(record(CCS, b"\1", 0x0303))


def plain(t):
    t.s.sendall(record(ALERT, b"\2\50", 0x0303))


def hello(t):
    t.send(HANDSHAKE, client_hello()[5:])


def ticket(t):
    t.send(HANDSHAKE, b"\4\0\0\x20" + bytes(32))


def finished(t):
    t.send(HANDSHAKE, b"\x14\0\0\x20" + bytes(32))


def endless(t):
    """A handshake message of 16 MB."""
    t.send(HANDSHAKE, bytes([KEY_UPDATE]) + b"\xff\xff\xff" + bytes(1000))
    for _ in range(1100):
        t.send(HANDSHAKE, bytes(MAX))


def value(t):
    t.send(HANDSHAKE, bytes([KEY_UPDATE]) + b"\0\0\1\7")


def trailing(t):
    """What comes behind a key update in its record would be under the keys before (RFC 8446, 5.1)."""
    t.send(HANDSHAKE, (bytes([KEY_UPDATE]) + b"\0\0\1\0") * 2)


def split_update(t):
    """Data between the parts of a handshake message."""
    t.send(HANDSHAKE, bytes([KEY_UPDATE]) + b"\0\0")
    t.send(DATA, t.request())
    t.send(HANDSHAKE, b"\1\0")


def updates(t):
    for _ in range(100000):
        t.update(1)


def empties(t):
    for _ in range(1000):
        t.s.sendall(b"".join(t.tx.seal(DATA, b"") for _ in range(100)))


AFTER = {"tag": tag, "long": long, "short": short, "inner": inner, "ccs": ccs, "plain": plain, "hello": hello, "ticket": ticket,
         "finished": finished, "endless": endless, "value": value, "trailing": trailing, "split-update": split_update,
         "updates": updates, "empties": empties}


def after(kind, host, port, n):
    ended, how, alerts = 0, collections.Counter(), collections.Counter()
    for _ in range(n):
        t = Session(host, port)
        t.ask()
        try:
            AFTER[kind](t)
        except OSError:
            pass  # ended while we spoke
        t.s.settimeout(LIMIT)
        what, number = t.end()
        how[what] += 1
        alerts[str(number)] += 1
        ended += what != "open"
        t.s.close()
    return n, ended, how, alerts


def flood(host, port, seconds):
    end, done, failed = time.monotonic() + float(seconds), 0, 0
    while time.monotonic() < end:
        try:
            t = Session(host, port)
            reset(t.s)
            done += 1
        except (OSError, Ended):
            failed += 1
    print(json.dumps({"done": done, "failed": failed}))


def warm(host, port, n):
    for _ in range(int(n)):
        t = Session(host, port)
        t.ask()
        t.s.close()
    print(json.dumps({"done": int(n)}))


def main():
    kind, host, port, *rest = sys.argv[1:]
    if kind in ("flood", "warm"):
        globals()[kind](host, port, *rest)
        return
    made, ended, how, alerts = (before if kind in SAYS else after)(kind, host, int(port), int(rest[0]))
    print(json.dumps({"made": made, "ended": ended, "how": how, "alerts": alerts}))


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[1] not in {*SAYS, *AFTER, "flood", "warm"}:
        sys.exit(__doc__)
    main()
