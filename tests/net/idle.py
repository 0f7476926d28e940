#!/usr/bin/env python3
"""Connections that are held open while nothing is said, and the server they are held to.

    idle.py serve PORT                              echoes; both families
    idle.py hold READY CONNECTIONS HOST:PORT…       CONNECTIONS in all, dealt round over the targets

hold makes the file READY when every connection has had its first byte back.  At each SIGUSR1 it sends a byte over every
one, waits up to 15 s for the echoes, and prints {"held", "echoed", "lost", "ms", "errors"} as a line.  A connection whose
echo does not come, or comes from another server than before, is lost.  The echo is the server's own letter."""
import collections
import errno
import json
import os
import resource
import select
import signal
import socket
import sys
import time

resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def serve(port, letter):
    poll = select.epoll()
    conns = {}
    listeners = {}
    for family, any_host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        s = socket.socket(family, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((any_host, port))
        s.listen(8192)
        s.setblocking(False)
        listeners[s.fileno()] = s
        poll.register(s, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd in listeners:
                try:
                    while True:
                        c, _ = listeners[fd].accept()
                        c.setblocking(False)
                        conns[c.fileno()] = c
                        poll.register(c, select.EPOLLIN)
                except BlockingIOError:
                    continue
            try:
                got = conns[fd].recv(64)
                conns[fd].send(letter * len(got))
            except OSError:
                got = b""
            if not got:
                conns.pop(fd).close()


class Holder:
    def __init__(self):
        self.poll = select.epoll()
        self.conns = {}  # fd → socket
        self.letter = {}
        self.waiting = set()
        self.lost = collections.Counter()

    def lose(self, fd, why):
        self.lost[why] += 1
        self.waiting.discard(fd)
        self.poll.unregister(fd)
        self.conns.pop(fd).close()

    def connect(self, target):
        host, port = target.rsplit(":", 1)
        host = host.strip("[]")
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        s.setblocking(False)
        if s.connect_ex((host, int(port))) not in (0, errno.EINPROGRESS):
            raise OSError(f"connect to {target}")
        self.conns[s.fileno()] = s
        self.waiting.add(s.fileno())
        self.poll.register(s, select.EPOLLOUT)

    def events(self, seconds):
        for fd, what in self.poll.poll(seconds):
            s = self.conns[fd]
            try:
                if what & select.EPOLLOUT:
                    s.send(b"?")
                    self.poll.modify(fd, select.EPOLLIN)
                    continue
                got = s.recv(64)
            except OSError as e:
                self.lose(fd, errno.errorcode.get(e.errno, str(e)))
                continue
            if not got:
                self.lose(fd, "closed")
            elif self.letter.setdefault(fd, got[:1]) != got[:1]:
                self.lose(fd, "another server")
            else:
                self.waiting.discard(fd)

    def settle(self, limit):
        end = time.monotonic() + limit
        while self.waiting and time.monotonic() < end:
            self.events(0.2)
        for fd in list(self.waiting):
            self.lose(fd, "silent")

    def ask(self):
        start, before = time.monotonic(), len(self.conns)
        self.lost.clear()
        for fd in list(self.conns):
            self.waiting.add(fd)
            self.poll.modify(fd, select.EPOLLOUT)
        self.settle(15)
        print(json.dumps({"held": before, "echoed": len(self.conns), "lost": before - len(self.conns),
                          "ms": round((time.monotonic() - start) * 1000), "errors": self.lost}), flush=True)


def hold(ready, cnt, targets):
    h = Holder()
    wake = socket.socketpair()
    for w in wake:
        w.setblocking(False)
    signal.set_wakeup_fd(wake[1].fileno())
    signal.signal(signal.SIGUSR1, lambda *_: None)
    for i in range(cnt):
        h.connect(targets[i % len(targets)])
        while len(h.waiting) >= 256:  # so that no listener's queue is what is tested
            h.events(0.2)
    h.settle(15)
    if h.lost:
        sys.exit(f"not all could be opened: {dict(h.lost)}")
    open(ready, "w", encoding="ascii").close()
    while True:
        select.select([wake[0]], [], [])
        wake[0].recv(64)
        h.ask()


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]), os.environ["LETTER"].encode())
else:
    hold(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
