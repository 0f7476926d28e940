"""kernel.py — what a test of the exception path sends and hears besides connections.

  kernel.py hear IF GROUP4 GROUP6 PORT   as a daemon of the kernel: joins both groups on IF and takes LLDP frames; says "ready",
                                         then a line "v4", "v6" or "lldp" for the first of each; ends when it has all three
  kernel.py say IF GROUP4 GROUP6 PORT    sends one of each
  kernel.py ttl HOST PORT                TCP as BGP does to a neighbour, with TTL 1: "ok" when it was answered
  kernel.py open HOST PORT SECONDS       how a connection goes: "open", "refused" or "nothing"
"""
import select
import socket
import struct
import sys
import time

LLDP = 0x88CC
LLDP_GROUP = bytes.fromhex("0180c200000e")


def joined(name, group4, group6, port):
    index = socket.if_nametoindex(name)
    four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    four.bind((group4, port))
    four.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group4) + struct.pack("@ii", 0, index))
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    six.bind((group6, port, 0, index))
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group6) + struct.pack("@i", index))
    return four, six


def hear(name, group4, group6, port):
    four, six = joined(name, group4, group6, int(port))
    lldp = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(LLDP))
    lldp.bind((name, LLDP))
    waiting = {four: "v4", six: "v6", lldp: "lldp"}
    print("ready", flush=True)
    while waiting:
        for s in select.select(list(waiting), [], [])[0]:
            s.recv(2048)
            print(waiting.pop(s), flush=True)


def say(name, group4, group6, port):
    index = socket.if_nametoindex(name)
    four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), bytes(4), index))
    four.sendto(b"x", (group4, int(port)))
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    six.sendto(b"x", (group6, int(port), 0, index))
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind((name, 0))
    raw.send(LLDP_GROUP + raw.getsockname()[4] + struct.pack(">H", LLDP) + bytes(46))


def ttl(host, port):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.settimeout(5)
    if ":" in host:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
    else:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
    s.connect((host, int(port)))
    s.send(b'{"up": 0, "down": 5}\n')
    print("ok" if s.recv(10) else "closed")


def open_(host, port, seconds):
    try:
        end = time.monotonic() + float(seconds)
        socket.create_connection((host, int(port)), float(seconds)).close()
        print("open")
    except ConnectionRefusedError:
        print("refused")
    except OSError:
        print("nothing" if time.monotonic() >= end else "unreachable")


if __name__ == "__main__":
    {"hear": hear, "say": say, "ttl": ttl, "open": open_}[sys.argv[1]](*sys.argv[2:])
