"""limits_shared — clients of several gateways at once, by one clock.

    limits_shared.py run FILE SECONDS NAME=ADDR…    asks each gateway as the file NAME.demand says: connections, each with a request every 5 ms;
                                                    a line "NAME SENT GOT" in FILE for each that passed, and for each that was
                                                    refused one with " refused" behind it
    limits_shared.py count FILE PER_MS FROM TO      {"most", "rate": per PER_MS, "names": {NAME: rate}, "refused": how many} of what was sent from FROM to TO
    limits_shared.py first FILE NAME N PER_MS FROM  when NAME let N pass within PER_MS for the first time, seconds after FROM

most: the largest number that surely passed within one window of PER_MS: sent after its beginning and answered before its end.
"""
import asyncio
import bisect
import json
import os
import sys
import time

MOST = 8  # connections to each gateway


async def one(out, name, addr, i, wanted, until):
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    reader = writer = None
    while time.time() < until:
        if i >= wanted[name]:
            await asyncio.sleep(0.02)
            continue
        try:
            if writer is None:
                reader, writer = await asyncio.wait_for(asyncio.open_connection(addr, 80), 1)
            sent = time.time()
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 1)
            length = [int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length")]
            await asyncio.wait_for(reader.readexactly(length[0] if length else 0), 1)
            if head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 429")):
                out.write(f"{name} {sent:.6f} {time.time():.6f}{' refused' if head.startswith(b'HTTP/1.1 429') else ''}\n")
            await asyncio.sleep(0.005)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            if writer:
                writer.transport.abort()
            reader = writer = None
            await asyncio.sleep(0.05)


async def watch(path, names, wanted, until):
    while time.time() < until:
        for name in names:
            try:
                with open(os.path.join(path, name + ".demand"), encoding="utf-8") as f:
                    wanted[name] = int(f.read() or 0)
            except (OSError, ValueError):
                wanted[name] = 0
        await asyncio.sleep(0.02)


async def run(path, seconds, *gateways):
    until = time.time() + float(seconds)
    at = dict(x.split("=") for x in gateways)
    wanted = dict.fromkeys(at, 0)
    with open(path, "w", buffering=1, encoding="utf-8") as out:
        print("ready", flush=True)
        await asyncio.gather(watch(os.path.dirname(path), at, wanted, until),
                             *(one(out, n, a, i, wanted, until) for n, a in at.items() for i in range(MOST)))


def passed(path, begin=0.0, end=1e18, columns=3):
    rows = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            part = line.split()
            if len(part) == columns and begin <= float(part[1]) < end:
                rows.append((float(part[1]), float(part[2]), part[0]))
    return sorted(rows)


def count(path, per_ms, begin, end):
    per, begin, end = int(per_ms) / 1000, float(begin), float(end)
    rows = passed(path, begin, end)
    best, names = 0, {}
    for i, (sent, _got, name) in enumerate(rows):
        names[name] = names.get(name, 0) + 1
        last = bisect.bisect_left(rows, (sent + per,))
        best = max(best, sum(1 for r in rows[i:last] if r[1] < sent + per))
    spans = max((end - begin) / per, 1e-9)
    print(json.dumps({"most": best, "rate": round(len(rows) / spans, 1), "names": {n: round(c / spans, 1) for n, c in names.items()},
                      "refused": len(passed(path, begin, end, 4))}))


def first(path, name, number, per_ms, begin):
    per, n = int(per_ms) / 1000, int(number)
    sent = [r[0] for r in passed(path, float(begin)) if r[2] == name]
    for i in range(len(sent) - n + 1):
        if sent[i + n - 1] - sent[i] <= per:
            print(round(sent[i + n - 1] - float(begin), 2))
            return
    print("never")


if sys.argv[1] == "run":
    asyncio.run(run(*sys.argv[2:]))
elif sys.argv[1] == "count":
    count(*sys.argv[2:])
else:
    first(*sys.argv[2:])
