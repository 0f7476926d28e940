"""limits — clients that ask more than they may, and an endpoint that counts.

    limits.py serve PORT FILE                   each request: a line "HOST PATH" in FILE
    limits.py flood ADDR[,SOURCE] HOST PATH SECONDS CONNECTIONS NUMBER PER_MS [NAME:VALUE]…
        asks as fast as it is answered, and on until somebody was refused of whom `least` says something, at most a minute more;
        SIGTERM ends it at once; prints {"passed", "refused", "other", "most", "least", "retry", "lines", "seconds"}

most: the largest number that surely passed within one window of PER_MS: sent after its beginning and answered before its end.
least: of each refused request, how many may have passed within PER_MS before it, over NUMBER; the least of them.  Below 1 somebody was
    refused for whom there was room, however fast or slow this machine asks.  Not of requests within the first PER_MS: others may have
    asked before.
"""
import asyncio
import bisect
import json
import signal
import sys
import time


async def head_of(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    return lines[0], dict((k.lower(), v.strip()) for k, _, v in (x.partition(":") for x in lines[1:] if x))


async def serve(port, path):
    out = open(path, "w", buffering=1, encoding="utf-8")

    async def answer(reader, writer):
        try:
            while True:
                first, lines = await head_of(reader)
                out.write(f"{lines.get('host')} {first.split(' ')[1]}\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(answer, "0.0.0.0", port, backlog=512) as s:
        print("ready", flush=True)
        await s.serve_forever()


class Flood:
    def __init__(self, number, per, seconds):
        self.number, self.per, self.until = number, per, time.monotonic() + seconds
        self.first, self.judged = None, False
        self.passed, self.refused, self.other = [], [], {}
        self.retry, self.lines = set(), None

    def goes_on(self):
        return time.monotonic() < self.until + (0 if self.judged else 60)

    def end(self):
        self.until, self.judged = 0, True

    async def one(self, addr, source, request):
        reader, writer = await asyncio.open_connection(addr, 80, local_addr=(source, 0) if source else None)
        while self.goes_on():
            sent = time.monotonic()
            writer.write(request)
            first, lines = await head_of(reader)
            await reader.readexactly(int(lines.get("content-length", 0)))
            got = time.monotonic()
            status = first.split(" ")[1]
            if status == "200":
                self.passed.append((sent, got))
                self.first = min(sent, self.first or sent)
                self.lines = self.lines or {k: v for k, v in lines.items() if "ratelimit" in k}
            elif status == "429":
                self.refused.append((sent, got))
                self.judged |= self.first is not None and sent > self.first + self.per
                self.retry.add(lines.get("retry-after"))
            else:
                self.other[status] = self.other.get(status, 0) + 1
        writer.close()

    def least(self):
        """As if each had passed as late, and been refused as early, as its client can tell; a hundredth of PER_MS for what rounds."""
        sent, got = sorted(s for s, _ in self.passed), sorted(g for _, g in self.passed)
        judged = [(s, g) for s, g in self.refused if s > self.first + self.per] if sent else []
        return min((bisect.bisect_right(sent, g) - bisect.bisect_right(got, s - self.per * 1.01) for s, g in judged),
                   default=0) / self.number


def most(passed, per):
    """Of windows that begin with a request: those sent from then on that were answered before its end."""
    order = sorted(passed)
    best = 0
    for i, (sent, _got) in enumerate(order):
        end = bisect.bisect_left(order, (sent + per,))
        best = max(best, sum(1 for s, g in order[i:end] if g < sent + per))
    return best


async def flood(where, host, path, seconds, cnt, number, per_ms, *lines):
    addr, _, source = where.partition(",")
    f = Flood(int(number), int(per_ms) / 1000, float(seconds))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, f.end)
    more = "".join(f"{x.partition(':')[0]}: {x.partition(':')[2]}\r\n" for x in lines)
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()
    begin = time.monotonic()
    await asyncio.gather(*(f.one(addr, source, request) for _ in range(int(cnt))))
    took = time.monotonic() - begin
    print(json.dumps({"passed": len(f.passed), "refused": len(f.refused), "other": f.other, "most": most(f.passed, f.per),
                      "least": f.least(), "retry": sorted(map(str, f.retry)), "lines": f.lines, "seconds": took}))


if sys.argv[1] == "serve":
    asyncio.run(serve(int(sys.argv[2]), sys.argv[3]))
else:
    asyncio.run(flood(*sys.argv[2:]))
