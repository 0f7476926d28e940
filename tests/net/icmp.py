"""icmp.py — ICMP errors that nobody asked for: about flows that are not, and cut short.  They must go nowhere.  In the client's namespace."""
import logging
import socket
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ICMP, IP, TCP, UDP, ICMPv6DestUnreach, ICMPv6PacketTooBig, IPv6, Raw, raw

VIP4, VIP6 = sys.argv[1:]


def main():
    out = []
    for sport in range(40000, 40020):
        quote = raw(IP(src=VIP4, dst="10.77.1.100") / TCP(sport=7000, dport=sport))
        out += [IP(src="10.77.1.100", dst=VIP4) / ICMP(type=3, code=4, nexthopmtu=68) / Raw(quote),
                IP(src="10.77.1.100", dst=VIP4) / ICMP(type=3, code=3) / Raw(quote[:28])]
        quote = raw(IPv6(src=VIP6, dst="fd77:1::100") / UDP(sport=7000, dport=sport) / Raw(b"x" * 8))
        out += [IPv6(src="fd77:1::100", dst=VIP6) / ICMPv6PacketTooBig(mtu=1280) / Raw(quote), IPv6(src="fd77:1::100", dst=VIP6) / ICMPv6DestUnreach(code=4) / Raw(quote)]
    for family, host in ((socket.AF_INET, VIP4), (socket.AF_INET6, VIP6)):
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
            for p in out:
                if (p.version == 6) == (family == socket.AF_INET6):
                    s.sendto(raw(p), (host, 0))


main()
