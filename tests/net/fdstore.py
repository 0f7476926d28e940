#!/usr/bin/env python3
"""Plays the part of systemd that keeps descriptors for a service and watches it.  This is not systemd: it knows READY, FDSTORE,
FDSTOREREMOVE, FDNAME and WATCHDOG of the notification protocol, and gives what it keeps to the service's next start.

    fdstore.py LOG COMMAND…     starts COMMAND whenever it has ended, until SIGTERM, which it passes on

WATCHDOG=SECONDS in the environment: a service that has said READY=1 and does not say WATCHDOG=1 for so long gets SIGABRT, and SIGKILL
a second later.
A line in LOG for each message, each start and each end."""
import array
import os
import signal
import socket
import sys
import time

log = open(sys.argv[1], "a", buffering=1, encoding="ascii")
path = sys.argv[1] + ".notify"
store = []  # (name, fd), in the order they came
stopping = False
watchdog = float(os.environ.pop("WATCHDOG", 0))
until = None  # when the service is to have been heard of
sent = None  # when SIGABRT was
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(path)


def start():
    """As exec with descriptors from 3 on: the numbers and the pid are known in the child alone."""
    pid = os.fork()
    if pid:
        print("started", pid, *(n for n, _ in store), file=log)
        return pid
    high = [os.dup2(fd, 100 + i, inheritable=False) for i, (_, fd) in enumerate(store)]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i)  # inheritable
    env = dict(os.environ, NOTIFY_SOCKET=path)
    if watchdog:
        env.update(WATCHDOG_USEC=str(int(watchdog * 1e6)), WATCHDOG_PID=str(os.getpid()))
    if store:
        env.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(store)), LISTEN_FDNAMES=":".join(n for n, _ in store))
    os.execve(sys.argv[2], sys.argv[2:], env)


def message():
    global until
    text, control, _, _ = sock.recvmsg(4096, socket.CMSG_SPACE(16 * 4))
    fds = array.array("i")
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[:len(data) - len(data) % 4])
    words = dict(line.split("=", 1) for line in text.decode().splitlines())
    name = words.get("FDNAME", "stored")
    print("said", " ".join(text.decode().split()), len(fds), file=log)
    if watchdog and ("READY" in words or "WATCHDOG" in words):
        until = time.monotonic() + watchdog
    if "STOPPING" in words:
        until = None
    if words.get("FDSTOREREMOVE") == "1":
        for n, fd in [s for s in store if s[0] == name]:
            os.close(fd)
            store.remove((n, fd))
    if words.get("FDSTORE") == "1":
        store.extend((name, fd) for fd in fds)
    else:
        for fd in fds:
            os.close(fd)


def on_signal(sig, _):
    global stopping
    stopping = stopping or sig == signal.SIGTERM


signal.signal(signal.SIGTERM, on_signal)
signal.signal(signal.SIGCHLD, on_signal)
sock.settimeout(0.05)
child = start()
while child:
    try:
        message()
        continue
    except (socket.timeout, InterruptedError):
        pass
    if until and time.monotonic() > until:
        print("silent", child, file=log)
        os.kill(child, signal.SIGABRT)
        until, sent = None, time.monotonic()
    if sent and time.monotonic() > sent + 1:
        os.kill(child, signal.SIGKILL)
    if stopping:
        os.kill(child, signal.SIGTERM)
    gone, status = os.waitpid(child, os.WNOHANG)
    if gone:
        print("ended", os.waitstatus_to_exitcode(status), file=log)
        until = sent = None
        child = None if stopping else start()
os.unlink(path)
