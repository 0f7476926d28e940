#!/usr/bin/env python3
"""agent_peer.py serve FILE PORT   an agent: to each who connects it says what FILE says now
   agent_peer.py count N URL       N connections, one after the other on 4 threads, one request each; prints how many each endpoint answered
   agent_peer.py fits X N P        whether X of N is believable of chance P: whatever is less likely than 1 in 10^8 is not

FILE holds the line, or one word for what is none: @silence, @nothing (closes), @flood (64 KiB without an end), @bytes (of all kinds), @slow LINE
(a byte at a time). FILE.asked counts who was answered, or heard nothing."""
import http.client
import math
import os
import socket
import sys
import threading
import time
import urllib.parse


def say(c, text):
    word, _, rest = text.partition(" ")
    if word == "@silence":
        c.settimeout(10)
        c.recv(1)  # until they have enough of it
    elif word == "@flood":
        c.sendall(b"5" * 65536)
    elif word == "@bytes":
        c.sendall(bytes(range(14, 256)) + b"\n")
    elif word == "@slow":
        for byte in (rest + "\n").encode():
            c.sendall(bytes([byte]))
            time.sleep(0.01)
    elif word != "@nothing":
        c.sendall(text.encode() + b"\n")


def serve(path, port):
    s = socket.create_server(("", port), backlog=64)
    asked = 0
    print("ready", flush=True)
    while True:
        c, _ = s.accept()
        with open(path, encoding="utf-8") as f:
            text = f.read().strip("\n")
        try:
            say(c, text)
        except OSError:
            pass
        c.close()
        asked += 1
        with open(path + ".counted", "w", encoding="ascii") as f:
            f.write(f"{asked}\n")
        os.rename(path + ".counted", path + ".asked")  # whoever reads it sees a number


def count(n, url):
    u = urllib.parse.urlsplit(url)
    got, bad, left, lock = {}, [], [n], threading.Lock()

    def client():
        while True:
            with lock:
                if left[0] == 0 or bad:
                    return
                left[0] -= 1
            try:
                c = http.client.HTTPConnection(u.hostname, u.port or 80, timeout=10)
                c.request("GET", "/", headers={"Connection": "close"})
                who = c.getresponse().read().decode().strip()
                c.close()
            except OSError as e:
                who = ""
                bad.append(str(e))
            with lock:
                got[who] = got.get(who, 0) + 1

    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if bad:
        sys.exit(f"a connection failed: {bad[0]}")
    print(*(f"{who}={cnt}" for who, cnt in sorted(got.items())))


def tail(lo, hi, n, p):
    """The chance that a binomial of n and p lies in [lo, hi]."""
    log = math.lgamma
    return sum(math.exp(log(n + 1) - log(k + 1) - log(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)) for k in range(lo, hi + 1))


def fits(x, n, p):
    """Tables of Maglev give an endpoint a part that is off by a hundredth at most."""
    return tail(0, x, n, 0.99 * p) > 1e-8 and tail(x, n, n, 1.01 * p) > 1e-8


if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]))
elif sys.argv[1] == "count":
    count(int(sys.argv[2]), sys.argv[3])
else:
    sys.exit(not fits(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
