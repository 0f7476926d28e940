#!/usr/bin/env python3
"""forwarder.py IN OUT READY [--pps N] [--depth N] [--delay S] [--drop N] [--double N] [--swap N]

A device with known limits between two interfaces: what comes in at IN goes out at OUT, at most N packets a second (a
token bucket of that depth, by the time the kernel received each packet), S seconds after it came; every Nth packet is
dropped, sent twice, or changes places with the one before it if that still waits.  On SIGTERM a line of JSON with what
it did, and the median of the delays in ms.
"""
import argparse
import collections
import json
import select
import signal
import socket
import statistics
import struct
import sys
import time

SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 32, 33, 35
ETH_P_ALL = 3

args = argparse.ArgumentParser()
args.add_argument("inside")
args.add_argument("outside")
args.add_argument("ready")
args.add_argument("--pps", type=float, default=0)
args.add_argument("--depth", type=float, default=64)
args.add_argument("--delay", type=float, default=0)
args.add_argument("--drop", type=int, default=0)
args.add_argument("--double", type=int, default=0)
args.add_argument("--swap", type=int, default=0)
args = args.parse_args()


def port(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)  # only what is policed is lost
    s.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 26)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.bind((name, 0))
    return s


def every(n):
    return n and done["received"] % n == 0


inside, outside = port(args.inside), port(args.outside)
done = dict.fromkeys(["received", "sent", "policed", "dropped", "doubled", "swapped"], 0)
tokens, last = args.depth, None
queue = collections.deque()  # [when it is due, when it came, frame]
delays = []


def end(*_):
    done["delay_ms"] = statistics.median(delays) * 1000 if delays else None
    print(json.dumps(done), flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
with open(args.ready, "w", encoding="utf-8"):
    pass
while True:
    wait = max(0.0, queue[0][0] - time.time()) if queue else None
    if select.select([inside], [], [], wait)[0]:
        frame, anc, _, addr = inside.recvmsg(2048, 128)
        if addr[2] == socket.PACKET_OUTGOING:
            continue
        came = time.time()
        for level, kind, data in anc:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                s, ns = struct.unpack("qq", data)
                came = s + ns / 1e9
        done["received"] += 1
        if args.pps:
            tokens = min(args.depth, tokens + (came - (last or came)) * args.pps)
            last = came
            if tokens < 1:
                done["policed"] += 1
                continue
            tokens -= 1
        if every(args.drop):
            done["dropped"] += 1
            continue
        queue.append([came + args.delay, came, frame])
        if every(args.double):
            done["doubled"] += 1
            queue.append([came + args.delay, came, frame])
        if every(args.swap) and len(queue) > 1:
            done["swapped"] += 1
            queue[-1][2], queue[-2][2] = queue[-2][2], queue[-1][2]
    while queue and queue[0][0] <= time.time():
        _, came, frame = queue.popleft()
        outside.send(frame)
        delays.append(time.time() - came)
        done["sent"] += 1
