"""decap.py — sends the decapsulator (decap.c, in e1) packets of every kind and looks at the answers.  In the client's namespace."""
import logging
import select
import socket
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import IP, UDP, IPv6, Raw, raw

ENDPOINT = {4: "10.77.2.11", 6: "fd77:2::11"}
CLIENT = {4: "10.77.1.100", 6: "fd77:1::100"}
VIP = {4: "10.77.9.13", 6: "fd77:9::13"}
OUTER = {4: ("172.16.5.1", "172.16.5.2"), 6: ("fd77:aa::1", "fd77:aa::2")}

out = {4: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
       6: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)}


def outer(v, source, proto, df=True):
    return IP(src=source, dst=ENDPOINT[4], proto=proto, flags="DF" if df else 0) if v == 4 \
        else IPv6(src=source, dst=ENDPOINT[6], nh=proto)


def gue(v, source, inner, proto, head=None, sport=50000):
    return outer(v, source, 17) / UDP(sport=sport, dport=6080) / Raw((head or bytes((0, proto, 0, 0))) + inner)


def send(v, packet):
    out[v].sendto(raw(packet), (ENDPOINT[v], 0))


def main():
    ear = {}
    for v in (4, 6):
        for at in range(5):  # a socket, so an inner flow, for each kind of tunnel; the last for what must not arrive
            s = socket.socket(socket.AF_INET if v == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
            s.bind((CLIENT[v], 0))
            ear[v, at] = s

    def inner(v, at, payload=b"0\n"):
        ip = IP(src=CLIENT[4], dst=VIP[4]) if v == 4 else IPv6(src=CLIENT[6], dst=VIP[6])
        return raw(ip / UDP(sport=ear[v, at].getsockname()[1], dport=7000) / Raw(payload))

    failed = 0

    def answered(v, at, what):
        nonlocal failed
        if not select.select([ear[v, at]], [], [], 20)[0]:
            print(f"{what}: no answer")
            failed = 1
            return
        data, peer = ear[v, at].recvfrom(65536)
        if peer[0] != VIP[v] or b'"e1"' not in data:
            print(f"{what}: {peer} answered {data!r}")
            failed = 1

    for o in (4, 6):
        for i in (4, 6):
            proto = 4 if i == 4 else 41
            for which in (0, 0, 1):  # the third: another outer source
                at = (o == 6)
                source = OUTER[o][which]
                send(o, outer(o, source, proto, df=not which == 1) / Raw(inner(i, at)))
                answered(i, at, f"{i} in {o}")
                send(o, gue(o, source, inner(i, 2 + at), proto))
                answered(i, 2 + at, f"{i} in GUE in {o}")
    # Without DF in IPv4: 2 above, and 2 here.
    for o in (4, 6):
        good = inner(4, 4)
        source = OUTER[o][0]
        bad = [gue(o, source, good, 4, head) for head in (
            b"\x40\x04\0\0",              # variant 1
            b"\x20\x04\0\0",              # control message
            b"\x01\x04\0\0\0\0\0\0",      # a header of 8 bytes
            b"\0\x04\x80\0", b"\0\x04\0\1",  # flags
            b"\0\x29\0\0", b"\0\x11\0\0")]  # protocol that the inner packet is not
        bad.append(outer(o, source, 4, df=False) / Raw(inner(6, 4)))
        bad.append(outer(o, source, 41, df=False) / Raw(good))
        for p in bad:
            send(o, p)
    if select.select([ear[4, 4], ear[6, 4]], [], [], 0.5)[0]:
        print("a bad packet was passed on")
        failed = 1
    return failed


sys.exit(main())
