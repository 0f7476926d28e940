#!/usr/bin/env python3
"""Holds one thread of a process, and lets it go when told (SIGTERM).

    stand_still.py PID NAME     says `held` when the thread of that name stands still; the others go on

Ends with the process, too: one that is traced is not gone before its tracer has looked."""
import ctypes
import os
import signal
import sys
import time

pid, name = int(sys.argv[1]), sys.argv[2]
tids = [int(t) for t in os.listdir(f"/proc/{pid}/task") if open(f"/proc/{pid}/task/{t}/comm", encoding="ascii").read().strip() == name]
if len(tids) != 1:
    sys.exit(f"{len(tids)} threads of {pid} are called {name}")
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, tids[0], None, None):
    sys.exit(f"attach: {os.strerror(ctypes.get_errno())}")
os.waitpid(tids[0], 0x40000000)
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
print("held", flush=True)
while not told and os.waitpid(tids[0], 0x40000001)[0] == 0:
    time.sleep(0.02)
libc.ptrace(17, tids[0], None, None)
