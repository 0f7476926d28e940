"""tcp_hostile.py — a stranger on the client's link who speaks TCP as he likes.  Run in the client's namespace.

  tcp_hostile.py cases GATEWAY_MAC METRICS_SOCKET    every case below: what must come back, which counter must rise, and that
                                                     the connection does what it must afterwards
  tcp_hostile.py stalled GATEWAY_MAC N               N connections that ask for a download and open no window; says "ready",
                                                     resets them all at SIGTERM

The stranger is 10.77.1.200, an address that the kernel does not have; it answers ARP for it itself.  10.77.9.20 is the VIP:
port 7004 echoes, 7000 is peer.py.
"""
import json
import logging
import random
import select
import signal
import socket
import struct
import sys
import time

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import IP, TCP, Ether, Raw

ME, VIP, MAC = "10.77.1.200", "10.77.9.20", "02:00:00:00:66:03"
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
GATEWAY = sys.argv[2]
BIG = 1 << 30
PAUSE = 0.6  # behind an answer: a stream is challenged at most twice a second
PATIENCE = 10  # s for what must come: longer than a machine stands still
wrong = 0


def claim(ok, text):
    global wrong
    print(("ok    " if ok else "WRONG ") + text, flush=True)
    wrong += not ok


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def total(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f">{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def segment(sport, dport, flags, seq, ack, payload=b"", options=b"", win=65535, urg=0):
    """By hand, for those that are sent by the thousand."""
    head = struct.pack(">HHIIBBHHH", sport, dport, seq % (1 << 32), ack % (1 << 32), (20 + len(options)) // 4 << 4, flags, win,
                       0, urg) + options
    pseudo = socket.inet_aton(ME) + socket.inet_aton(VIP) + struct.pack(">HH", 6, len(head) + len(payload))
    head = head[:16] + struct.pack(">H", total(pseudo + head + payload)) + head[18:]
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(head) + len(payload), 0, 0x4000, 64, 6, 0, socket.inet_aton(ME),
                     socket.inet_aton(VIP))
    ip = ip[:10] + struct.pack(">H", total(ip)) + ip[12:]
    return mac(GATEWAY) + mac(MAC) + b"\x08\0" + ip + head + payload


class Segment:
    def __init__(self, frame):
        at = 14 + (frame[14] & 15) * 4
        self.sport, self.dport, self.seq, self.ack, off, self.flags, self.win = struct.unpack(">HHIIBBH", frame[at:at + 16])
        self.options = frame[at + 20:at + (off >> 4) * 4]
        self.payload = frame[at + (off >> 4) * 4:14 + struct.unpack(">H", frame[16:18])[0]]


class Link:
    """The wire; segments for us are dealt out by our port."""

    def __init__(self):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.s.bind(("eth0", 3))
        self.s.setblocking(False)
        self.waiting = {}

    def send(self, frame):
        while True:
            try:
                return self.s.send(frame)
            except OSError:  # the queue is full
                select.select([], [self.s], [], 0.01)

    def turn(self, seconds):
        """What is there, or comes within so many seconds; whether anything was."""
        if not select.select([self.s], [], [], max(seconds, 0))[0]:
            return False
        while True:
            try:
                f = self.s.recv(65536)
            except BlockingIOError:
                return True
            if f[12:14] == b"\x08\x06" and f[20:22] == b"\0\1" and f[38:42] == socket.inet_aton(ME):
                self.send(f[6:12] + mac(MAC) + f[12:20] + b"\0\2" + mac(MAC) + f[38:42] + f[22:32])
            elif f[12:14] == b"\x08\0" and f[23] == 6 and f[30:34] == socket.inet_aton(ME):
                seg = Segment(f)
                self.waiting.setdefault(seg.dport, []).append(seg)


link = Link()
ports = iter(random.sample(range(20000, 60000), 30000))


opened_here = []


class Conn:
    def __init__(self, dport=7004, options=b"", win=65535, opened=True):
        self.dport, self.sport, self.win = dport, next(ports), win
        self.nxt, self.got, self.at = random.getrandbits(32), b"", 0
        self.end = None
        opened_here.append(self)
        if opened:
            self.send(SYN, options=options)
            answer = self.take(lambda g: g.flags & SYN)
            if not answer:
                raise TimeoutError("no SYN+ACK")
            self.nxt, self.at, self.mss = self.nxt + 1, answer.seq + 1, answer.options
            self.send(ACK)

    def send(self, flags, payload=b"", seq=0, ack=0, **more):
        """seq, ack: off from what they should be."""
        link.send(segment(self.sport, self.dport, flags, self.nxt + seq, self.at + ack, payload, **{"win": self.win, **more}))

    def scapy(self, payload=b"", seq=0, ack=0, **fields):
        link.send(bytes(Ether(src=MAC, dst=GATEWAY) / IP(src=ME, dst=VIP, flags="DF")
                        / TCP(sport=self.sport, dport=self.dport, seq=(self.nxt + seq) % (1 << 32),
                              ack=(self.at + ack) % (1 << 32), **{"flags": "A", "window": self.win, **fields}) / Raw(payload)))

    def segments(self):
        return link.waiting.pop(self.sport, [])

    def take(self, want, seconds=PATIENCE):
        """The next segment that is wanted, others are forgotten; None: it did not come."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            link.turn(min(0.05, end - time.monotonic()))
            for g in self.segments():
                if want(g):
                    return g
        return None

    def read(self, cnt, seconds=PATIENCE):
        """Bytes in order, acknowledged as they come, until so many or the end."""
        end = time.monotonic() + seconds
        while len(self.got) < cnt and not self.end and time.monotonic() < end:
            link.turn(0.05)
            for g in self.segments():
                if g.flags & RST:
                    self.end = "reset"
                ahead = (self.at - g.seq) % (1 << 32)
                if ahead <= len(g.payload) and g.payload[ahead:]:
                    self.got += g.payload[ahead:]
                    self.at = (self.at + len(g.payload) - ahead) % (1 << 32)
                if g.flags & FIN and (g.seq + len(g.payload)) % (1 << 32) == self.at:
                    self.at, self.end = self.at + 1, "fin"
                if g.payload or g.flags & FIN:
                    self.send(ACK)
        out, self.got = self.got[:cnt], self.got[cnt:]
        return out

    def alive(self):
        what = b"%032x" % random.getrandbits(128)
        self.send(ACK | PSH, what)
        self.nxt += len(what)
        return self.read(len(what)) == what

    def dead(self):
        """Whether nothing is left of it: a segment for it is answered with RST."""
        self.segments()
        self.send(ACK | PSH, b"?")
        return self.take(lambda g: g.flags & RST) is not None

    def drop(self):
        self.send(RST | ACK)


# ---- counters ----

def counters():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(sys.argv[3])
        s.sendall(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")
        text = b""
        while part := s.recv(65536):
            text += part
    out = {}
    for line in text.decode().splitlines():
        if line.startswith("sluice_tcp_events_total{") and 'event="' in line:
            name = line.split('event="')[1].split('"')[0]
            out[name] = out.get(name, 0) + float(line.rsplit(" ", 1)[1])
    return out


def rises(before, name, by=1):
    end = time.monotonic() + PATIENCE
    while (seen := counters()[name] - before[name]) < by:
        if time.monotonic() > end:
            claim(False, f"  {name} rose by {seen:.0f}, not {by}")
            return
        time.sleep(0.05)


# ---- cases: what must rise, and the function ----

def blind_reset():
    c = Conn()
    c.send(RST, seq=100)
    g = c.take(lambda g: g.flags & ACK)
    claim(g is not None and not g.flags & RST and g.ack == c.nxt % (1 << 32), "a RST inside the window, not at its edge, is challenged")
    c.send(RST, seq=BIG)
    c.send(RST, seq=-5)
    claim(c.alive(), "RSTs outside of it change nothing")
    c.send(RST)
    claim(c.dead(), "the exact one ends the connection")


def syn_inside():
    c = Conn()
    for off in (0, 100, BIG):
        c.send(SYN, seq=off)
        claim(c.take(lambda g: g.flags & (ACK | RST | SYN) == ACK) is not None, f"a SYN at {off} is challenged")
        time.sleep(PAUSE)
    c.send(SYN | ACK)
    claim(c.alive(), "and the connection goes on")


def data_outside():
    c = Conn()
    for off in (BIG, -BIG, 20_000_000):
        c.send(ACK | PSH, b"evil", seq=off)
        claim(c.take(lambda g: g.flags & ACK and g.ack == c.nxt % (1 << 32)) is not None, f"data at {off} is answered with where we are")
        time.sleep(PAUSE)
    claim(c.alive(), "and nothing of it is delivered")


def acks_outside():
    c = Conn()
    c.alive()
    c.send(ACK | PSH, b"evil", ack=1000)
    claim(c.take(lambda g: g.flags & ACK and g.ack == c.nxt % (1 << 32)) is not None, "an ACK of what was not sent is answered, its data dropped")
    time.sleep(PAUSE)
    c.send(ACK | PSH, b"evil", ack=-BIG)
    claim(c.take(lambda g: g.flags & ACK and g.ack == c.nxt % (1 << 32)) is not None, "one far too old, too")
    claim(c.alive(), "and the connection goes on")


def challenge_limit():
    c = Conn()
    for _ in range(5000):
        c.send(SYN, seq=5)
    cnt, end = 0, time.monotonic() + 0.5
    while time.monotonic() < end:
        link.turn(0.05)
        cnt += len(c.segments())
    claim(0 < cnt < 2500, f"5,000 SYNs in a connection: {cnt} answers")
    time.sleep(1.1)  # the worker's limit is one of a second
    claim(c.alive(), "and the connection goes on")


OPTIONS = [b"\x02\x00\0\0", b"\x02\x01\0\0", b"\x02\x03\0\0", b"\x02\x05\x05\xb4", b"\x08\x0a\0\0", b"\x08\x02\x01\x01", b"\x05\x09" + bytes(10),
           b"\x05\xff\0\0", b"\x03\x04\x07\x01", b"\xfe\x00\0\0", b"\xfe\x29\0\0", b"\x01\x01\x01\x02", b"\x01\x01\x01\x08"]


def options():
    c = Conn()
    for o in OPTIONS:
        c.send(ACK | PSH, b"evil", options=o, seq=len(b"evil"))
    claim(c.alive(), f"{len(OPTIONS)} kinds of malformed options in a connection")
    c.drop()
    for o in OPTIONS:
        s = Conn(opened=False)
        s.send(SYN, options=o)
        s.take(lambda g: True, 0.02)
        s.send(RST, seq=1)
    claim(Conn().alive(), "and in SYNs")
    c = Conn()
    for words in (0, 4, 15):
        c.scapy(b"evil", dataofs=words)
    c.scapy(b"evil", options=[("MSS", 1), ("WScale", 14), ("Timestamp", (1, 2)), ("SAckOK", b"")])
    c.nxt += 4
    c.read(4)
    claim(c.alive(), "header lengths that lie; options of a SYN in data")


def tiny_mss():
    for mss in (0, 1, 7, 64):
        c = Conn(options=struct.pack(">BBH", 2, 4, mss))
        what = random.randbytes(6000)
        for at in range(0, len(what), 1000):
            c.send(ACK | PSH, what[at:at + 1000])
            c.nxt += 1000
        claim(c.read(6000) == what, f"an MSS of {mss} is served")
        c.drop()


def sack_panic():
    c = Conn(7000, options=b"\x02\x04\0\x01\x01\x01\x04\x02\x01\x03\x03\x07")
    c.send(ACK | PSH, b'{"up": 0, "down": 50000}\n')
    c.nxt += 25
    c.take(lambda g: g.payload)
    for i in range(3000):
        blocks = b"".join(struct.pack(">II", (c.at + 2 * i + 8 * k + 2) % (1 << 32), (c.at + 2 * i + 8 * k + 3) % (1 << 32))
                          for k in range(4))
        c.send(ACK, options=b"\x01\x01\x05\x22" + blocks)
    wild = b"".join(struct.pack(">II", (c.at + BIG + k) % (1 << 32), (c.at - BIG + k) % (1 << 32)) for k in range(4))
    for _ in range(20):
        c.send(ACK, options=b"\x01\x01\x05\x22" + wild)
    want = c.read(50000, 30)
    claim(len(want) == 50000 and want.startswith(b'{"who"'), "3,000 ACKs that select single bytes: the download comes all the same")


def optimistic():
    c = Conn(7000, options=b"\x02\x04\x05\xb4")
    c.send(ACK | PSH, b'{"up": 0, "down": 300000}\n')
    c.nxt += 26
    start, seen, end = c.at, 0, time.monotonic() + 3
    while time.monotonic() < end and seen < 250000:
        link.turn(0.05)
        for g in c.segments():
            seen = max(seen, (g.seq + len(g.payload) - start) % (1 << 32))
            c.at = start + seen
            c.send(ACK, ack=3000)  # two segments further than what is there
            c.send(ACK)
    claim(seen > 1000, f"ACKs ahead of what came: {seen} bytes sent, and nothing breaks")
    c.send(RST | ACK)
    claim(Conn().alive(), "and others are served")


def overlap():
    c = Conn()
    c.send(ACK | PSH, b"C" * 100, seq=200)
    c.send(ACK | PSH, b"B" * 200, seq=50)
    c.send(ACK | PSH, b"D" * 120, seq=190)
    c.send(ACK | PSH, b"A" * 100)
    got = c.read(300)
    c.nxt += 300
    got += c.read(10, 0.3)
    claim(got[:50] == b"A" * 50 and len(got) in (300, 310) and set(got[50:100]) <= set(b"AB") and set(got[100:190]) <= set(b"B")
          and set(got[190:200]) <= set(b"BD") and set(got[200:250]) <= set(b"BCD") and set(got[250:300]) <= set(b"CD"),
          "overlapping pieces with other bytes: each byte is one that was sent for its place")
    c.nxt += len(got) - 300
    claim(c.alive(), "and what follows is in order")


def flags():
    for f in (0, FIN, FIN | PSH | URG, SYN | RST, SYN | FIN, SYN | FIN | RST | ACK, 63, SYN | ACK, ACK, 255):
        s = Conn(opened=False)
        s.send(f)
        g = s.take(lambda g: True, 0.05)
        claim(not (g and g.flags & RST and f & RST), f"flags {f:#x} to a listener: {'nothing' if not g else hex(g.flags)}")
        s.send(RST, seq=1)
    c = Conn()
    for f in (0, PSH, URG, PSH | URG):
        c.send(f, b"evil")
    claim(c.alive(), "segments without ACK deliver nothing")
    c.send(ACK | PSH | URG, b"urgent", urg=3)
    c.nxt += 6
    claim(c.read(6) == b"urgent", "urgent data is data")


def checksums():
    c = Conn()
    for s in (0, 1, 0xffff):
        c.scapy(b"evil", chksum=s, flags="PA")
    bad = bytearray(segment(c.sport, c.dport, ACK | PSH, c.nxt, c.at, b"evil"))
    bad[-1] ^= 1
    link.send(bytes(bad))
    claim(c.alive(), "wrong checksums deliver nothing")
    s = Conn(opened=False)
    s.scapy(flags="S", chksum=1)
    claim(s.take(lambda g: True, 0.2) is None, "and open nothing")


def after_the_end():
    c = Conn()
    claim(c.alive(), "a connection")
    c.send(FIN | ACK)
    c.nxt += 1
    for _ in range(3):
        c.send(ACK | PSH, b"evil")
        c.send(FIN | ACK, seq=-1)
    got = c.read(100)
    claim(not got and c.end == "fin", f"data behind its end is not delivered ({got!r}, {c.end})")
    c.send(ACK)


CASES = [(blind_reset, {"challenge": 1, "bad_seq": 1, "end_reset": 1}), (syn_inside, {"challenge": 3}), (data_outside, {"bad_seq": 3}),
         (acks_outside, {"bad_ack": 2}), (challenge_limit, {"challenge_limit": 1000}), (options, {"bad_options": 5}), (tiny_mss, {}),
         (sack_panic, {"bad_sack": 20}), (optimistic, {"bad_ack": 1}), (overlap, {}), (flags, {"rst_sent": 1}),
         (checksums, {"bad_csum": 5}), (after_the_end, {})]


def cases():
    for f, must in CASES:
        before = counters()
        print(f"--- {f.__name__}", flush=True)
        try:
            f()
        except TimeoutError as e:
            claim(False, f"{e}")
        for name, by in must.items():
            rises(before, name, by)
    for c in opened_here:
        c.drop()
    return 1 if wrong else 0


def stalled(cnt):
    conns = []
    for at in range(0, cnt, 100):
        new = [Conn(7000, opened=False) for _ in range(min(100, cnt - at))]
        for c in new:
            c.send(SYN, options=b"\x02\x04\x05\xb4")
        end = time.monotonic() + 5
        while any(not c.at for c in new) and time.monotonic() < end:
            link.turn(0.05)
            for c in new:
                for g in c.segments():
                    if g.flags & SYN and not c.at:
                        c.nxt, c.at, c.win = c.nxt + 1, g.seq + 1, 0
                        c.send(ACK | PSH, b'{"up": 0, "down": 60000}\n')
                        c.nxt += 25
        conns += [c for c in new if c.at]
    print(json.dumps({"stalled": len(conns)}), flush=True)
    print("ready", flush=True)
    done = []
    signal.signal(signal.SIGTERM, lambda *_: done.append(1))
    while not done:
        link.turn(0.2)
        for c in conns:
            if c.segments():
                c.send(ACK)  # still no window
    for _ in range(3):  # some of so many at once may be lost
        for c in conns:
            c.drop()
        time.sleep(0.2)
    return 0 if len(conns) == cnt else 1


sys.exit(cases() if sys.argv[1] == "cases" else stalled(int(sys.argv[3])))
