"""impair.py — judges the bad line of impair.c: frames in at one end, what comes out at the other.

  impair.py NETNS_A NETNS_B IMPAIR NETNS_LINE LOG        every case; eth0 in A and B, la and lb in the line's namespace

One process has a raw socket in either namespace, so it knows what was sent when it looks at what came.
"""
import collections
import ctypes
import hashlib
import json
import math
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time

A, B, IMPAIR, LINE, LOG = sys.argv[1:6]
ETHERTYPE = 0x88b5  # for experiments
MACS = [b"\x02\0\0\0\x11\x01", b"\x02\0\0\0\x11\x02"]
libc = ctypes.CDLL(None, use_errno=True)
wrong = 0


def claim(ok, text):
    global wrong
    print(("ok    " if ok else "WRONG ") + text, flush=True)
    wrong += not ok


def raw_socket(netns, kind=ETHERTYPE):
    with open(f"/run/netns/{netns}", encoding="ascii") as there, open("/proc/self/ns/net", encoding="ascii") as here:
        libc.setns(there.fileno(), 0)
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
        s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        s.bind(("eth0", kind))
        s.setblocking(False)
        libc.setns(here.fileno(), 0)
    return s


class Line:
    def __init__(self, *options):
        self.log = open(LOG, "w+", encoding="ascii")
        self.p = subprocess.Popen(["ip", "netns", "exec", LINE, IMPAIR, "la", "lb", *options], stdout=self.log,
                                  stderr=subprocess.STDOUT)
        end = time.monotonic() + 5
        while "ready" not in open(LOG, encoding="ascii").read():
            if time.monotonic() > end or self.p.poll() is not None:
                sys.exit(f"the bridge does not start: {open(LOG, encoding='ascii').read()}")
            select.select([], [], [], 0.005)

    def figures(self):
        said = len(open(LOG, encoding="ascii").read().splitlines())
        self.p.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 5
        while len(lines := open(LOG, encoding="ascii").read().splitlines(keepends=True)) <= said or lines[-1][-1] != "\n":
            if time.monotonic() > end:
                sys.exit("the bridge does not say what it did")
            select.select([], [], [], 0.005)
        return json.loads(lines[-1])

    def taken(self, way, cnt):
        """Waits until so many frames have gone in there: what is on its way to a bridge that hardly gets to run may be lost."""
        end = time.monotonic() + 20
        while (f := self.figures()[way])["in"] < cnt:
            if time.monotonic() > end:
                sys.exit(f"of {cnt} frames not all came to the bridge: {f}")

    def empty(self, way):
        """Waits until no frame is inside any more, and none comes."""
        end, before = time.monotonic() + 20, None
        while time.monotonic() < end:
            f = self.figures()[way]
            if f == before and f["in"] and f["out"] == f["in"] - f["lost"] - f["queue_full"] + f["doubled"]:
                return
            before = f
            select.select([], [], [], 0.1)
        sys.exit(f"frames stay inside the bridge: {f}")

    def end(self):
        self.p.send_signal(signal.SIGTERM)
        self.p.wait()
        self.log.close()
        return json.loads(open(LOG, encoding="ascii").read().splitlines()[-1])


def frames(cnt, seed, kind=ETHERTYPE):
    r = random.Random(seed)
    return [MACS[1] + MACS[0] + kind.to_bytes(2, "big") + i.to_bytes(4, "big") + r.randbytes(r.randrange(46, 1490))
            for i in range(cnt)]


def through(source, target, what, want=None, quiet=0.6, over=None, taken=None):
    """What comes out, in order, when `what` goes in, until so many came as are wanted, or nothing for `quiet` seconds once
    `over` came back, when all is in.  taken(n) comes back when n frames are in."""
    got, i = [], 0
    while True:
        for f in what[i:i + 32]:
            source.send(f)
        i += 32
        if taken and i % 256 == 0:
            taken(min(i, len(what)))
        if i >= len(what) and over:
            over()
        while select.select([target], [], [], 0 if i < len(what) else quiet)[0]:
            while True:
                try:
                    got.append(target.recv(65536))
                except BlockingIOError:
                    break
            if len(got) == want:
                return got
        if i >= len(what):
            return got


def close_to(seen, cnt, share):
    """Within 5 standard deviations of a binomial."""
    return abs(seen - cnt * share) <= 5 * math.sqrt(cnt * share * (1 - share))


def main():
    a, b = raw_socket(A), raw_socket(B)
    sent = frames(20000, 1)

    line = Line()
    forth = through(a, b, sent, 20000, over=lambda: line.empty("a_to_b"), taken=lambda n: line.taken("a_to_b", n))
    back = through(b, a, sent, 20000, over=lambda: line.empty("b_to_a"), taken=lambda n: line.taken("b_to_a", n))
    f = line.end()
    claim(forth == sent and back == sent, "a clean line changes nothing, both ways")
    claim(f["a_to_b"]["in"] == f["a_to_b"]["out"] == 20000 and f["a_to_b"]["unfinished"] == 0, "and counts it")

    # held as long as who sends or the bridge may be kept from running: what leaves for the time that went by is no function of the seed
    bad = ["--loss", "5", "--dup", "2", "--reorder", "5", "--corrupt", "1", "--hold", "5000"]
    runs = {}
    for name, seed in (("once", 7), ("again", 7), ("other", 8)):
        line = Line(*bad, "--seed", str(seed))
        forth = through(a, b, sent, over=lambda: line.empty("a_to_b"), taken=lambda n: line.taken("a_to_b", n))
        back = through(b, a, sent, over=lambda: line.empty("b_to_a"), taken=lambda n: line.taken("b_to_a", n))
        runs[name] = (forth, back, line.end())
    claim(runs["once"] == runs["again"], "the same seed does the same to the same frames, both ways")
    claim(runs["once"][0] != runs["other"][0], "another seed does not")
    claim(runs["once"][0] != runs["once"][1], "the ways are independent")

    got, _, f = runs["once"]
    f = f["a_to_b"]
    whole = {hashlib.md5(x).digest(): i for i, x in enumerate(sent)}
    order = [whole[hashlib.md5(x).digest()] for x in got if hashlib.md5(x).digest() in whole]
    changed = [x for x in got if hashlib.md5(x).digest() not in whole]
    twice = sum(n == 2 for n in collections.Counter(got).values())
    bits = [bin(int.from_bytes(x, "big") ^ int.from_bytes(sent[int.from_bytes(x[14:18], "big")], "big")).count("1")
            for x in set(changed) if int.from_bytes(x[14:18], "big") < len(sent)]
    late = sum(1 for i, n in enumerate(order) if i and n < max(order[max(0, i - 30):i]))
    claim(len(got) == 20000 - f["lost"] + f["doubled"] == f["out"], "what comes out is what it says")
    claim(close_to(f["lost"], 20000, 0.05), f"lost {f['lost']} of 20000 at 5 %")
    claim(twice == f["doubled"] and close_to(twice, 19000, 0.02), f"doubled {twice} at 2 %")
    claim(len(set(changed)) == f["corrupted"] and close_to(f["corrupted"], 19000, 0.01), f"corrupted {f['corrupted']} at 1 %")
    claim(sum(n == 1 for n in bits) > 0.9 * len(bits) and all(x[:14] == sent[0][:14] for x in changed),
          "by one bit, never in the Ethernet header")
    claim(close_to(f["reordered"], 19000, 0.05) and f["reordered"] * 0.9 < late < f["reordered"] * 1.2,
          f"reordered {f['reordered']} at 5 %, {late} came late")
    moved = [i for i, n in enumerate(order) if i and n < order[i - 1]]
    claim(all(max(order[max(0, i - 30):i]) - order[i] < 30 for i in moved), "none by far")

    line = Line("--delay", "40", "--jitter", "10")
    got = through(a, b, sent[:500], 500, over=lambda: line.empty("a_to_b"))
    claim(got == sent[:500], "delay and jitter lose and reorder nothing")
    took = []
    while len(took) < 5 and (not took or min(took) >= 120):
        start = time.monotonic()
        a.send(sent[0])
        select.select([b], [], [], 5)
        took.append((time.monotonic() - start) * 1000)
        b.recv(65536)
    claim(29.5 <= min(took) < 120, f"40 ± 10 ms of delay: {took[-1]:.1f} ms")
    line.end()

    line = Line("--rate", "20", "--queue", "400")
    full = [x[:18] + bytes(1232) for x in sent[:300]]
    got, took = full, []
    while got == full and len(took) < 5 and (not took or min(took) >= 300):
        start = time.monotonic()
        for x in full:
            a.send(x)
        got = []
        while len(got) < 300 and select.select([b], [], [], 5)[0]:
            got.append(b.recv(65536))
        took.append((time.monotonic() - start) * 1000)
    claim(got == full and 148 <= min(took) < 300, f"300 frames of 1,250 bytes at 20 Mbit/s: {took[-1]:.0f} ms, 150 by the book")
    for _ in range(5):  # who comes to it slowly does not fill the queue
        before = line.figures()["a_to_b"]
        got = through(a, b, full * 5, over=lambda: line.empty("a_to_b"))
        came, full_queue = (line.figures()["a_to_b"][k] - before[k] for k in ("in", "queue_full"))
        if full_queue > 500 or len(got) != came - full_queue:
            break
    claim(full_queue > 500 and len(got) == came - full_queue, f"a full queue drops: {full_queue} of {came}")
    line.end()

    arp_a, arp_b = raw_socket(A, 0x0806), raw_socket(B, 0x0806)
    arp = frames(100, 2, 0x0806)
    line = Line("--loss", "100")
    claim(through(arp_a, arp_b, arp, 100, over=lambda: line.empty("a_to_b")) == arp and not through(a, b, sent[:100]), "ARP passes where nothing else does")
    claim(line.end()["a_to_b"]["spared"] == 100, "and is counted")
    line = Line("--loss", "100", "--spare-arp", "off")
    claim(not through(arp_a, arp_b, arp), "unless told")
    line.end()

    path = LOG + ".pcap"
    line = Line("--pcap", path, "--loss", "50")
    through(a, b, sent[:10], over=lambda: line.taken("a_to_b", 10))
    line.end()
    data, at, seen = open(path, "rb").read(), 24, []
    while at < len(data):
        n = int.from_bytes(data[at + 8:at + 12], sys.byteorder)
        seen.append(data[at + 16:at + 16 + n])
        at += 16 + n
    os.unlink(path)
    claim(seen == sent[:10], "the capture holds what arrived")
    return 1 if wrong else 0


sys.exit(main())
