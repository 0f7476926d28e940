"""hostile.py — what a hostile neighbour sends, and which counter each kind must raise.  Run in the client's namespace.

  hostile.py CTL SOCKET GATEWAY_MAC [KIND…]             every class of KINDS: sent, counted exactly, nothing else counted
  hostile.py claims SECONDS BACK_MAC                    on eth1: the endpoints' addresses are mine, 200 times a second
  hostile.py flood KIND SECONDS GATEWAY_MAC             arp, nd, syn: as fast as this machine sends; prints frames sent

10.77.1.100 and fd77:1::100 are the client, .1 the gateway, 10.77.9.10 and fd77:9::10 the VIPs (scripts/lib/net.sh).
"""
import json
import logging
import random
import socket
import struct
import subprocess
import sys
import time

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import (ARP, ICMP, IP, TCP, UDP, Ether, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA,
                       ICMPv6ND_Redirect, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6, IPv6ExtHdrDestOpt,
                       IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, HBHOptUnknown, PadN, Raw)

ME4, ME6, GW4, GW6 = "10.77.1.100", "fd77:1::100", "10.77.1.1", "fd77:1::1"
VIP4, VIP6 = "10.77.9.10", "fd77:9::10"
MAC = "02:00:00:00:66:01"  # a stranger's
EACH = 7                   # copies of every frame

# What the kernels of the test network say on their own: listener reports (also from ::), router solicitations.
AMBIENT = {"not_ours", "icmp_ignored", "martian"}


def kinds(gw):
    """name → (reason, frames): the reason is that of drop.def; None: no counter at all may rise."""
    e = Ether(src=MAC, dst=gw)
    ip, ip6 = IP(src=ME4, dst=VIP4), IPv6(src=ME6, dst=VIP6)
    syn = TCP(sport=7, dport=80, flags="S")

    def cut(frame, n):
        return bytes(frame)[:n]

    def poke(frame, at, value):
        b = bytearray(bytes(frame))
        b[at:at + len(value)] = value
        return bytes(b)

    def sum4(frame):
        """The IPv4 header checksum made right again, so that only what was poked is wrong."""
        b = bytearray(frame)
        b[24:26] = b"\0\0"
        header = bytes(b[14:14 + max((b[14] & 15) * 4, 20)])
        s = sum(struct.unpack(f">{len(header) // 2}H", header))
        while s >> 16:
            s = (s & 0xffff) + (s >> 16)
        b[24:26] = struct.pack(">H", ~s & 0xffff)
        return bytes(b)

    f4, f6 = e / ip / syn, e / ip6 / syn
    k = {}
    k["cut short"] = ("runt", [cut(f4, 14), cut(f4, 15), cut(f4, 33), cut(f6, 14), cut(f6, 53),
                               cut(e / ARP(), 14), cut(e / ARP(), 41)])
    k["EtherTypes"] = ("ethertype", [Ether(src=MAC, dst=gw, type=t) / Raw(b"x" * 60)
                                     for t in (0x1234, 0x8847, 0x88cc, 0x0600, 0x8863, 0x0842)]
                       + [cut(Ether(src=MAC, dst=gw, type=0x0026) / Raw(b"\x42\x42\x03" + b"\0" * 57), 60)])
    k["versions"] = ("ip_version", [poke(f4, 14, b"\x65"), poke(f4, 14, b"\x05"), poke(f4, 14, b"\xf5"),
                                    poke(f6, 14, b"\x45"), poke(f6, 14, b"\x00")])
    k["lying lengths"] = ("ip_header", [
        sum4(poke(f4, 14, b"\x44")), sum4(poke(f4, 14, b"\x40")), sum4(poke(f4, 14, b"\x4f")),
        sum4(poke(f4, 16, b"\x00\x13")), sum4(poke(f4, 16, b"\x00\x00")), sum4(poke(f4, 16, b"\x00\x29")),
        sum4(poke(f4, 16, b"\xff\xff")), poke(f6, 18, b"\x00\x15"), poke(f6, 18, b"\xff\xff"), cut(f4, 40), cut(f6, 60)])
    k["header sums"] = ("ip_csum", [e / IP(src=ME4, dst=VIP4, chksum=c) / syn for c in (0, 1, 0x1234)]
                        + [poke(f4, 22, b"\x3f")])
    k["options"] = ("ip_options", [sum4(bytes(e / IP(src=ME4, dst=VIP4, ihl=5 + len(o) // 4,
                                                     len=20 + len(o) + 20) / Raw(o) / syn))
                                   for o in (b"\x83\x07\x04\x0a\x4d\x02\x0b\x00", b"\x89\x07\x04\x0a\x4d\x02\x0b\x00",
                                             b"\x07\x00\x00\x00", b"\x07\x01\x00\x00", b"\x07\x05\x00\x00",
                                             b"\x01\x01\x01\x44", b"\x01\x83\x03\x04", b"\x44\x29" + b"\0" * 38)])
    k["martians"] = ("martian", [e / IP(src=s, dst=VIP4) / syn for s in
                                 ("127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "255.255.255.255")]
                     + [e / IP(src=ME4, dst=d) / syn for d in ("127.0.0.1", "0.0.0.0")]
                     + [e / IPv6(src=s, dst=VIP6) / syn for s in ("::1", "::", "ff02::1", "::ffff:10.77.1.100")]
                     + [e / IPv6(src=ME6, dst=d) / syn for d in ("::1", "::", "::ffff:10.77.9.10")])
    k["own addresses as source"] = ("martian", [
        e / IP(src=VIP4, dst=VIP4) / TCP(sport=80, dport=80, flags="S"), e / IP(src=GW4, dst=VIP4) / syn,
        e / IP(src="10.77.9.53", dst="10.77.9.53") / UDP(sport=53, dport=53) / Raw(b"x" * 20),
        e / IPv6(src=VIP6, dst=VIP6) / TCP(sport=80, dport=80, flags="S"), e / IPv6(src=GW6, dst=VIP6) / syn])
    k["last hop"] = ("ttl", [e / IP(src=ME4, dst=VIP4, ttl=t) / syn for t in (0, 1)]
                     + [e / IPv6(src=ME6, dst=VIP6, hlim=t) / syn for t in (0, 1)])
    k["fragments"] = ("fragment", [e / IP(src=ME4, dst=VIP4, flags=f, frag=o) / syn
                                   for f, o in (("MF", 0), ("MF", 3), (0, 1), (0, 2), (0, 8191), ("MF", 8191))]
                      + [e / ip6 / IPv6ExtHdrFragment(m=m, offset=o, id=9) / syn for m, o in ((1, 0), (1, 2), (0, 2))]
                      + [e / IP(src=ME4, dst=VIP4, flags="MF") / ICMP() / Raw(b"x" * 1400)])
    rh0 = IPv6ExtHdrRouting(type=0, addresses=[VIP6], segleft=1)
    k["extension headers"] = ("ext_header", [
        e / ip6 / rh0 / syn, e / ip6 / IPv6ExtHdrRouting(type=4, addresses=[VIP6], segleft=1) / syn,
        e / ip6 / IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop() / syn,
        e / ip6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrHopByHop() / syn,
        e / ip6 / IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x7e, optdata=b"abcd")]) / syn,
        e / ip6 / IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0xfe, optdata=b"abcd")]) / syn,
        e / ip6 / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / syn,
        e / ip6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment() / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrFragment() / syn,
        e / IPv6(src=ME6, dst=VIP6, nh=0) / Raw(b"\x06\xff" + b"\x01\x04\0\0\0\0" + b"x" * 40),
        e / IPv6(src=ME6, dst=VIP6, nh=60) / Raw(b"\x06\x00\x01\x20\0\0\0\0" + bytes(syn)),
        e / IPv6(src=ME6, dst=VIP6, nh=43) / Raw(b"\x06\x00"), e / IPv6(src=ME6, dst=VIP6, nh=44) / Raw(b"\x06\0\0")])
    dns = IP(src=ME4, dst="10.77.9.53")
    k["transport headers"] = ("l4_header", [e / ip / TCP(dport=80, flags="S", dataofs=n) for n in (0, 4, 6, 15)]
        + [e / ip6 / TCP(dport=80, flags="S", dataofs=6), e / IP(src=ME4, dst=VIP4, proto=6) / Raw(bytes(syn)[:19]),
           e / IP(src=ME4, dst=VIP4, proto=6), e / IPv6(src=ME6, dst=VIP6, nh=6) / Raw(bytes(syn)[:19]),
           e / IPv6(src=ME6, dst=VIP6, nh=6), e / dns / UDP(dport=53, len=7), e / dns / UDP(dport=53, len=9),
           e / dns / UDP(dport=53, len=0), e / IPv6(src=ME6, dst="fd77:9::53") / UDP(dport=53, len=0xffff),
           e / IP(src=ME4, dst=dns.dst, proto=17) / Raw(b"1234567"), e / IP(src=ME4, dst=VIP4, proto=1) / Raw(b"\x08\0\0"),
           e / IPv6(src=ME6, dst=VIP6, nh=58) / Raw(b"\x80")])
    k["sums of what the gateway answers"] = ("l4_csum", [
        e / ip / ICMP(id=9, chksum=0x1111) / Raw(b"x" * 56), e / ip6 / ICMPv6EchoRequest(id=9, cksum=0x1111),
        e / IPv6(src=ME6, dst=GW6, hlim=255) / ICMPv6ND_NS(tgt=GW6, cksum=0x1111) / ICMPv6NDOptSrcLLAddr(lladdr=MAC)])
    k["TCP flags"] = ("tcp_flags", [e / ip / TCP(dport=80, flags=f) for f in (0, "SF", "SR", "SFRPAU", "SRA", "SFPU")]
                      + [e / ip6 / TCP(dport=80, flags=f) for f in (0, "SF", "SR")])
    k["protocols"] = ("protocol", [e / IP(src=ME4, dst=VIP4, proto=p) / Raw(b"x" * 40)
                                   for p in (0, 2, 4, 41, 47, 50, 51, 58, 89, 103, 132, 255)]
                      + [e / IPv6(src=ME6, dst=VIP6, nh=p) / Raw(b"x" * 40) for p in (1, 4, 41, 47, 59, 132, 255)])
    k["not for us"] = ("not_ours", [
        Ether(src=MAC, dst="02:00:00:00:77:77") / ip / syn, Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ip / syn,
        Ether(src=MAC, dst="01:00:5e:00:00:01") / ip / syn, Ether(src=MAC, dst="33:33:00:00:00:01") / ip6 / syn,
        e / IP(src=ME4, dst="10.77.9.99") / ICMP(), e / IPv6(src=ME6, dst="fd77:9::99") / ICMPv6EchoRequest()])
    k["closed ports"] = ("no_listener", [e / ip / TCP(dport=p, flags="S") for p in (0, 79, 81, 443, 65535)]
                         + [e / ip / UDP(dport=80), e / ip6 / TCP(dport=22, flags="S"),
                            e / IPv6(src=ME6, dst="fd77:9::53") / UDP(dport=54)])
    k["TCP to its own address"] = (None, [e / IP(src=ME4, dst=GW4) / syn])  # answered with RST
    k["strange destinations"] = ("no_flow", [
        e / IP(src=ME4, dst=d) / syn for d in ("10.77.9.99", "8.8.8.8", "10.77.2.11", "255.255.255.255", "224.0.0.1")]
        + [e / IPv6(src=ME6, dst=d) / syn for d in ("fd77:9::99", "ff02::1", "2001:db8::1")])
    arp = {"hwsrc": MAC, "psrc": ME4, "pdst": GW4}
    k["ARP nonsense"] = ("arp_bad", [e / ARP(**{**arp, **a}) for a in (
        {"op": 0}, {"op": 3}, {"op": 0xffff}, {"hwtype": 6}, {"ptype": 0x86dd}, {"hwsrc": "01:00:00:00:00:01"},
        {"hwsrc": "00:00:00:00:00:00"}, {"hwsrc": "ff:ff:ff:ff:ff:ff"}, {"psrc": "127.0.0.1"}, {"psrc": "224.0.0.1"},
        {"psrc": "255.255.255.255"}, {"pdst": "127.0.0.1"}, {"pdst": "224.0.0.1"})]
        + [poke(e / ARP(**arp), 18, b"\x05\x04"), poke(e / ARP(**arp), 18, b"\x06\x10")])
    nd = IPv6(src=ME6, dst=GW6, hlim=255)
    opt = ICMPv6NDOptSrcLLAddr(lladdr=MAC)
    k["neighbour discovery nonsense"] = ("nd_bad", [
        e / IPv6(src=ME6, dst=GW6, hlim=h) / ICMPv6ND_NS(tgt=GW6) / opt for h in (0, 1, 64, 254)]
        + [e / IPv6(src=ME6, dst=GW6, hlim=64) / ICMPv6ND_NA(tgt=ME6, S=1) / ICMPv6NDOptDstLLAddr(lladdr=MAC),
           e / nd / ICMPv6ND_NS(tgt=GW6, code=1) / opt, e / nd / ICMPv6ND_NS(tgt="ff02::1") / opt,
           e / nd / ICMPv6ND_NS(tgt="::") / opt, e / nd / ICMPv6ND_NS(tgt="::ffff:1.2.3.4") / opt,
           e / nd / ICMPv6ND_NS(tgt=GW6) / ICMPv6NDOptSrcLLAddr(lladdr=MAC, len=0),
           e / nd / ICMPv6ND_NS(tgt=GW6) / ICMPv6NDOptSrcLLAddr(lladdr=MAC, len=9),
           e / nd / ICMPv6ND_NS(tgt=GW6) / ICMPv6NDOptSrcLLAddr(lladdr="01:00:00:00:00:01"),
           e / nd / IPv6ExtHdrDestOpt() / ICMPv6ND_NS(tgt=GW6) / opt,
           e / IPv6(src="::", dst=GW6, hlim=255) / ICMPv6ND_NS(tgt=GW6) / opt,
           e / IPv6(src=ME6, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=ME6, S=1) / ICMPv6NDOptDstLLAddr(lladdr=MAC)])
    k["ICMP not answered"] = ("icmp_ignored", [
        e / ip / ICMP(type=t, code=c) / Raw(b"x" * 28) for t, c in
        ((0, 0), (4, 0), (5, 1), (8, 1), (9, 0), (13, 0), (17, 0), (255, 255))]
        + [e / nd / ICMPv6ND_RA(), e / nd / ICMPv6ND_Redirect(tgt=GW6, dst=VIP6),
           e / ip6 / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"ab")]) / ICMPv6EchoRequest()])
    # Errors that quote no packet of any flow or listener; ME4 complains about what the VIP never sent.
    def quote(*packets):
        return [e / ip / ICMP(type=t, code=0) / Raw(bytes(q)) for t in (3, 11) for q in packets]
    sent = IP(src=VIP4, dst=ME4)
    k["ICMP errors"] = ("icmp_error", quote(
        sent / TCP(sport=9999, dport=7), sent / ICMP() / Raw(b"x" * 20), IP(src=VIP4, dst=ME4, frag=5) / UDP() / Raw(b"x" * 20),
        IP(src="10.77.9.99", dst=ME4) / TCP(sport=80, dport=7)))
    # Taken, believed by nobody: claims to addresses that are not the sender's.
    k["ARP claims"] = (None, [
        e / ARP(op=op, hwsrc=MAC, psrc=who, hwdst=gw, pdst=GW4)
        for op in (1, 2) for who in ("10.77.2.11", VIP4, "10.77.9.11", GW4, "10.77.2.1", "8.8.8.8")]
        + [Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=op, hwsrc=MAC, psrc=who, pdst=who)
           for op in (1, 2) for who in ("10.77.2.11", VIP4, "10.77.9.11", GW4)])
    k["neighbour advertisement claims"] = (None, [
        e / IPv6(src=ME6, dst=GW6, hlim=255) / ICMPv6ND_NA(tgt=who, S=s, O=1) / ICMPv6NDOptDstLLAddr(lladdr=MAC)
        for s in (0, 1) for who in ("fd77:2::11", VIP6, "fd77:9::11", GW6)]
        + [e / IPv6(src=who, dst=GW6, hlim=255) / ICMPv6ND_NS(tgt=GW6) / opt for who in ("fd77:2::11", VIP6)])
    k["large echo requests"] = (None, [e / ip / ICMP(id=9) / Raw(b"x" * 1472), e / ip6 / ICMPv6EchoRequest(id=9, data=b"x" * 1452)])
    return k


class Gateway:
    def __init__(self, ctl, path):
        self.command = [ctl, "--socket", path, "--json", "show", "drops"]

    def drops(self):
        j = json.loads(subprocess.run(self.command, check=True, capture_output=True).stdout)
        return {d["reason"]: d["packets"] for d in j["drops"]}


def packet_socket(dev):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((dev, 0))
    return s


def rose(before, after):
    return {r: after[r] - before[r] for r in after if after[r] != before[r]}


def check(name, reason, frames, gateway, sock):
    """None, or what went wrong."""
    frames = [bytes(f) for f in frames] * EACH
    before = gateway.drops()
    for f in frames + ([] if reason else [MARKER]):  # it comes behind what nothing else tells of
        sock.send(f)
    end = time.monotonic() + 20
    while True:
        got = rose(before, gateway.drops())
        if got.get(reason or "ethertype", 0) >= (len(frames) if reason else 1) or time.monotonic() > end:
            break
        time.sleep(0.02)
    if not reason and got.pop("ethertype", 0) != 1:
        return f"{name}: what was sent behind it did not come through"
    mine = got.pop(reason, 0) if reason else 0
    others = {r: n for r, n in got.items() if r not in AMBIENT or n > 50}
    print(f"  {name}: {len(frames)} frames, {reason} +{mine}{', also ' + str(others) if others else ''}", flush=True)
    if reason and (mine < len(frames) or (reason not in AMBIENT and mine > len(frames))):
        return f"{name}: {len(frames)} sent, {reason} rose by {mine}"
    return f"{name}: others rose too: {others}" if others else None


def flood(kind, seconds, gw):
    sock = packet_socket("eth0")
    frames = []
    e = Ether(src=MAC, dst=gw)
    if kind == "syn":
        base4 = bytearray(bytes(e / IP(src="198.18.0.0", dst=VIP4) / TCP(sport=1024, dport=80, flags="S")))
        for _ in range(100000):
            f = base4[:]
            f[26:36] = bytes((198, 18 + random.getrandbits(1))) + random.randbytes(2) + f[30:34] + random.randbytes(2)
            s = sum(struct.unpack(">10H", bytes(f[14:24]) + b"\0\0" + bytes(f[26:34])))
            s = (s & 0xffff) + (s >> 16)
            f[24:26] = struct.pack(">H", ~(s + (s >> 16)) & 0xffff)
            frames.append(bytes(f))
    else:
        for i in range(20000):
            mac = bytes((2, 0, 1, 0, i >> 8, i & 255))
            if kind == "arp":  # on the link and not
                who = bytes((10, 77, 1, 120 + i % 100)) if i % 2 else bytes((10, 77, 128 + (i >> 8), i & 255))
                frames.append(b"\xff" * 6 + mac + struct.pack(">HHHBBH", 0x0806, 1, 0x800, 6, 4, 1) + mac + who
                              + b"\0" * 6 + socket.inet_aton(GW4))
            else:
                src = "fe80::%x" % (i + 1) if i % 2 else "fd77:1::1:%x" % i
                text = ":".join("%02x" % b for b in mac)
                frames.append(bytes(Ether(src=text, dst=gw) / IPv6(src=src, dst=GW6, hlim=255)
                                    / ICMPv6ND_NS(tgt=GW6) / ICMPv6NDOptSrcLLAddr(lladdr=text)))
    sent, end = 0, time.monotonic() + seconds
    while True:
        for f in frames:
            try:
                sock.send(f)
                sent += 1
            except OSError:  # the device's queue is full
                time.sleep(0)
            if sent & 255 == 0 and time.monotonic() > end and (kind == "syn" or sent >= len(frames)):
                print(f"  {kind} flood: {sent} frames in {seconds:g} s or a little more")
                return


def claims(seconds, gw):
    sock = packet_socket("eth1")
    every = Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff")
    frames = []
    for i in range(11, 15):
        who4, who6 = f"10.77.2.{i}", f"fd77:2::{i}"
        frames += [every / ARP(op=op, hwsrc=MAC, psrc=who4, pdst=who4) for op in (1, 2)]
        frames += [Ether(src=MAC, dst=gw) / ARP(op=1, hwsrc=MAC, psrc=who4, pdst="10.77.2.1")]
        frames += [Ether(src=MAC, dst=gw) / IPv6(src=who6, dst="fd77:2::1", hlim=255)
                   / ICMPv6ND_NS(tgt="fd77:2::1") / ICMPv6NDOptSrcLLAddr(lladdr=MAC),
                   Ether(src=MAC, dst="33:33:00:00:00:01") / IPv6(src=who6, dst="ff02::1", hlim=255)
                   / ICMPv6ND_NA(tgt=who6, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=MAC)]
    frames = [bytes(f) for f in frames]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for f in frames:
            sock.send(f)
            time.sleep(0.005)


if sys.argv[1] == "claims":
    claims(float(sys.argv[2]), sys.argv[3])
    sys.exit(0)
if sys.argv[1] == "flood":
    flood(sys.argv[2], float(sys.argv[3]), sys.argv[4])
    sys.exit(0)

GATEWAY = Gateway(sys.argv[1], sys.argv[2])
MARKER = bytes(Ether(src=MAC, dst=sys.argv[3], type=0x1234) / Raw(b"x" * 46))
EVERY = kinds(sys.argv[3])
SOCK = packet_socket("eth0")
only = sys.argv[4:]
wrong = [w for n, (r, f) in EVERY.items() if not only or n in only for w in [check(n, r, f, GATEWAY, SOCK)] if w]
print("\n".join(wrong))
sys.exit(1 if wrong else 0)
