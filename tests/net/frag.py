"""frag.py — fragments in any order.  In the client's namespace.

  frag.py VIP PORT [--tunnel]        a UDP question of 4 pieces: in each of 24 orders; each piece twice; pieces that overlap

Each question has a socket, so a flow, and an identification of its own: what is left of one for some seconds, in the gateway and in the
endpoint, is never taken for pieces of another.  A question that comes whole is answered with its sum; one with an overlap must
never be answered.  Prints a line of JSON: asked, failed, overlaps (frames of questions that must not arrive), errors.
"""
import hashlib
import itertools
import json
import logging
import random
import select
import socket
import sys
import time

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import IP, UDP, IPv6, IPv6ExtHdrFragment, Raw, raw

VIP, PORT = sys.argv[1], int(sys.argv[2])
V6 = ":" in VIP
FAMILY = socket.AF_INET6 if V6 else socket.AF_INET
ME = "fd77:1::100" if V6 else "10.77.1.100"
OUT = socket.socket(FAMILY, socket.SOCK_RAW, socket.IPPROTO_RAW)
SIZE = 3600
CUTS = (0, 1024, 1032, 2424)  # pieces of 1024, 8, 1392 bytes and the rest; they fit a tunnel, too
IDENTS = itertools.count(random.randrange(1, 60000))  # 16 bits, and never 0: for that a raw socket puts another one into each piece
failures = []
asked = overlaps = 0


def piece(whole, ident, start, end):
    """Bytes start to end of the UDP packet."""
    more = end < len(whole)
    if V6:
        return raw(IPv6(src=ME, dst=VIP) / IPv6ExtHdrFragment(nh=17, offset=start // 8, m=more, id=ident) / Raw(whole[start:end]))
    return raw(IP(src=ME, dst=VIP, proto=17, id=ident, flags="MF" if more else 0, frag=start // 8) / Raw(whole[start:end]))


class Question:
    def __init__(self, name):
        global asked
        asked += 1
        self.name = name
        self.sock = socket.socket(FAMILY, socket.SOCK_DGRAM)
        self.sock.bind((ME, 0))
        self.payload = b"300\n" + random.randbytes(SIZE - 12)
        udp = UDP(sport=self.sock.getsockname()[1], dport=PORT) / Raw(self.payload)
        ip = IPv6(src=ME, dst=VIP) if V6 else IP(src=ME, dst=VIP)
        self.whole = raw(ip / udp)[40 if V6 else 20:]  # the checksum is scapy's
        ident = next(IDENTS)
        ends = CUTS[1:] + (len(self.whole),)
        self.cut = lambda a, b: piece(self.whole, ident, a, b)
        self.other = lambda a, b: piece(bytes(x ^ 255 for x in self.whole), ident, a, b)
        self.pieces = [self.cut(a, b) for a, b in zip(CUTS, ends)]

    def send(self, frames):
        for f in frames:
            OUT.sendto(f, (VIP, 0))

    def answered(self):
        if not select.select([self.sock], [], [], 20)[0]:
            return "no answer"
        data, peer = self.sock.recvfrom(65536)
        if peer[:2] != (VIP, PORT):
            return f"the answer is from {peer}"
        return None if hashlib.sha256(self.payload).hexdigest().encode() in data else f"answered {data[:100]!r}"

    def expect(self):
        if (why := self.answered()):
            failures.append(f"{self.name}: {why}")
        self.sock.close()


def main():
    global overlaps
    # A warm one: neighbours are known from here on.
    q = Question("in order")
    q.send(q.pieces)
    q.expect()
    for order in itertools.permutations(range(4)):
        q = Question(f"order {order}")
        q.send(q.pieces[i] for i in order)
        q.expect()
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
        q = Question(f"each twice, order {order}")
        q.send(q.pieces[i] for i in order for _ in range(2))
        q.expect()
        q = Question(f"the whole before its last piece twice, order {order}")
        q.send(q.pieces[i] for i in order[:3] + order)
        q.expect()
    # Two datagrams of one host at once, their pieces mixed.
    pair = [Question("one of two at once"), Question("the other of two at once")]
    pair[0].send(f for both in zip(*(x.pieces for x in pair)) for f in both)
    for x in pair:
        x.expect()
    # Other bytes for what has come already: the first ones count.
    for order in ((0, 1, 2, 9, 3), (3, 2, 9, 1, 0)):
        q = Question(f"bytes replaced, order {order}")
        q.send(q.other(1100, 1900) if i == 9 else q.pieces[i] for i in order)
        q.expect()
    # Overlaps: partly old, partly new bytes.  Nothing of it may be put together.
    quiet = []
    for start, end, orders in ((2040, 2600, ((0, 1, 2, 9, 3), (0, 9, 1, 2, 3), (2, 9, 3, 1, 0), (9, 3, 2, 1, 0))),
                               (1000, 1040, ((0, 9, 1, 2, 3), (1, 9, 0, 2, 3), (2, 9, 0, 1, 3), (9, 3, 2, 1, 0)))):
        for order in orders:
            x = Question(f"{start} to {end} overlaps, order {order}")
            x.send(x.cut(start, end) if i == 9 else x.pieces[i] for i in order)
            overlaps += 1
            quiet.append(x)
    end = time.monotonic() + 1.0
    while (left := end - time.monotonic()) > 0:
        ready = select.select([x.sock for x in quiet], [], [], left)[0]
        for x in [x for x in quiet if x.sock in ready]:
            failures.append(f"{x.name}: it was answered")
            quiet.remove(x)
    print(json.dumps({"asked": asked, "failed": len(failures), "overlaps": overlaps, "errors": failures}))
    return 1 if failures else 0


sys.exit(main())
