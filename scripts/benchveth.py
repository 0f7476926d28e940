"""What the benchmarks of proxies over veth share: the network, client and endpoint, what a proxy costs, slices by turns.

Busy core-seconds are those of the proxy's CPU: of a process of the kernel's its own, those of soft interrupts, and all that is
taken from a program that runs there when nobody else does (soft interrupts, switches); of ours the turns that did something,
and the soft interrupts that fell between.  What other programs of the machine take of that CPU is in neither; soft
interrupts that fell into their time are in ours alone.  Receive work of each end is steered to its own CPU (RPS).
"""
import argparse
import collections
import contextlib
import json
import mmap
import os
import resource
import statistics
import struct
import subprocess
import sys
import time

import benchkit as kit

PEERS = os.path.join(kit.TOP, "scripts", "bench.d", "peers")
SOURCES = 8  # addresses of the client
PORTS = 4  # of the endpoint
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # of a process
HUGE_MB = 512
ALONE = 0.95  # share of its core that our worker has when nothing else runs there
BULK = ("up", "down", "tls-down")  # modes of bench_client that count bytes
QUICK_S = 140  # --quick begins nothing new after that
NETWORK = """gateway = { name = "bench"; };
network = { addresses = ( { port = "front"; address = "10.79.1.1/24"; }, { port = "back"; address = "10.79.2.1/24"; } );
            routes = ( ); };
"""

# Of one slice: amounts a second, and a second that the proxy's core was busy; share of it that was; microseconds of latency.
Slice = collections.namedtuple("Slice", "rate per_busy busy p50 p99")


def program(name):
    return os.path.join(kit.BUILD, "tests", "bench", name)


def sh(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


class Net:
    """Client and endpoint, and a gateway of each kind between them, over veths of the same kind.

      cl k0 10.78.1.100… ── front kg back ── k0 10.78.2.10 ep      the kernel's: HAProxy and nginx at 10.78.1.1
      cl o0 10.79.1.100… ── front og back ── o0 10.79.2.10 ep      ours: 10.79.9.10
      cl d0 10.80.1.100… ── d0 10.80.1.10 ep                       nobody between them
    """

    SYSCTL = ("net.ipv4.ip_local_port_range=1024 65535", "net.core.somaxconn=65535", "net.ipv4.tcp_max_syn_backlog=65535",
              "net.ipv4.tcp_max_tw_buckets=262144", "net.ipv6.conf.all.disable_ipv6=1")

    def __init__(self, work, ends_cpu, proxy_cpu):
        self.tag = f"slb{os.getpid()}-"
        for n in ("cl", "ep", "kg", "og"):
            sh("ip", "netns", "add", self.tag + n)
            work.undo.append(lambda n=n: subprocess.run(["ip", "netns", "del", self.tag + n], check=False))
            for s in self.SYSCTL:
                sh(*self.inside(n), "sysctl", "-qw", s)
            sh(*self.inside(n), "ip", "link", "set", "lo", "up")
        for gw, net, dev in (("kg", 78, "k0"), ("og", 79, "o0")):
            for side, gate, host in (("cl", "front", 1), ("ep", "back", 2)):
                sh("ip", "link", "add", dev, "netns", self.tag + side, "type", "veth", "peer", "name", gate, "netns", self.tag + gw)
                self.offload(side, dev, "off")
                self.offload(gw, gate, "off")
                self.steer(side, dev, ends_cpu)
                self.steer(gw, gate, proxy_cpu)
                for n, d in ((side, dev), (gw, gate)):
                    sh(*self.inside(n), "ip", "link", "set", d, "up")
                for i in range(SOURCES if side == "cl" else 1):
                    sh(*self.inside(side), "ip", "addr", "add", f"10.{net}.{host}.{100 + i if side == 'cl' else 10}/24", "dev", dev)
                if gw == "kg":
                    sh(*self.inside(gw), "ip", "addr", "add", f"10.{net}.{host}.1/24", "dev", gate)
        sh(*self.inside("cl"), "ip", "route", "add", "10.79.9.0/24", "via", "10.79.1.1")
        self.direct(ends_cpu)

    def direct(self, cpu):
        sh("ip", "link", "add", "d0", "netns", self.tag + "cl", "type", "veth", "peer", "name", "d0", "netns", self.tag + "ep")
        for n, hosts in (("cl", range(100, 100 + SOURCES)), ("ep", (10,))):
            self.offload(n, "d0", "off")
            self.steer(n, "d0", cpu)
            sh(*self.inside(n), "ip", "link", "set", "d0", "up")
            for h in hosts:
                sh(*self.inside(n), "ip", "addr", "add", f"10.80.1.{h}/24", "dev", "d0")

    def inside(self, n):
        return ["ip", "netns", "exec", self.tag + n]

    def offload(self, n, dev, how):
        sh(*self.inside(n), "ethtool", "-K", dev, "tx", how, "tso", how, "gso", how, "gro", how)

    def offload_kernel(self, how):
        for n, dev in (("cl", "k0"), ("ep", "k0"), ("kg", "front"), ("kg", "back")):
            self.offload(n, dev, how)

    def steer(self, n, dev, cpu):
        """Packets that arrive on dev are worked on by this CPU."""
        sh(*self.inside(n), "sh", "-c", f"echo {1 << cpu:x} > /sys/class/net/{dev}/queues/rx-0/rps_cpus")


class End(kit.Process):
    """A program with a CPU, in a namespace."""

    def __init__(self, work, net, where, name, argv, cpu):
        self.at = cpu
        super().__init__(work, name, net.inside(where) + ["taskset", "-c", str(cpu)] + argv, 1)


class Client(End):
    """bench_client; its standard output is ours to read."""

    def __init__(self, work, net, cpu, mode, proxy, conns):
        self.mode = mode
        argv = net.inside("cl") + ["taskset", "-c", str(cpu), program("bench_client"), mode, *proxy.address.split(":"),
                                   f"10.{proxy.net}.1.100", str(SOURCES), str(conns)]
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name, self.paused = "bench_client", False
        work.undo.append(self.kill)

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        answer = self.p.stdout.readline()
        if not answer:
            raise kit.Unavailable("bench_client ended")
        return json.loads(answer)

    def go(self, rate=0):
        self.ask(f"go {rate}")

    def stop(self):
        """No more connections or requests; what is under way ends."""
        self.ask("stop")
        end = time.monotonic() + 5
        while self.ask("sample")["busy"] and time.monotonic() < end:
            time.sleep(0.02)

    def count(self, sample):
        return sample["bytes" if self.mode in BULK else "done"]

    def tail(self):
        return ""


class Ksoftirqd:
    """The kernel's thread that goes on with soft interrupts of a CPU when they are many."""

    def __init__(self, cpu):
        self.path = None
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as f:
                if f.read().strip() == f"ksoftirqd/{cpu}":
                    self.path = f"/proc/{pid}/schedstat"
        if not self.path:
            raise kit.Unavailable(f"no ksoftirqd/{cpu} in /proc: what the kernel does for its proxies cannot be counted")

    def ran(self):
        """Nanoseconds."""
        with open(self.path, encoding="ascii") as f:
            return int(f.read().split()[0])


class Soak(kit.Process):
    """What others take of a CPU (bench_soak)."""

    def __init__(self, work, cpu):
        path = work.file("soak")
        super().__init__(work, "bench_soak", [program("bench_soak"), str(cpu), path], 1)
        self.cpu_no, self.softirqs = cpu, Ksoftirqd(cpu)
        self.wait("numbers", lambda: os.path.exists(path) and os.path.getsize(path) >= 4096, 5)
        with open(path, "rb") as f:
            self.map = mmap.mmap(f.fileno(), 4096, prot=mmap.PROT_READ)

    def left(self):
        """Seconds that nobody else wanted."""
        passed, taken, tsc_hz = struct.unpack_from("<QQQ", self.map)
        return (passed - taken) / tsc_hz if tsc_hz else 0


def cpu_stat(cpu):
    """(softirq, steal) seconds of a CPU."""
    with open("/proc/stat", encoding="ascii") as f:
        for line in f:
            v = line.split()
            if v[0] == f"cpu{cpu}":
                return int(v[7]) / os.sysconf("SC_CLK_TCK"), int(v[8]) / os.sysconf("SC_CLK_TCK")
    raise kit.Unavailable(f"no CPU {cpu} in /proc/stat")


def resident(pid):
    """Bytes that a process has in memory, its share of what it shares, and huge pages."""
    total = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            if line.split(":")[0] in ("Pss", "Private_Hugetlb", "Shared_Hugetlb"):
                total += int(line.split()[1]) * 1024
    return total


class Kernel(End):
    """A proxy on the kernel's TCP; all of a core's time that it causes is its."""

    net = 78

    def __init__(self, bench, name, argv, conf, port, maxconn, more=None):
        """conf: a file of PEERS, in which @WORD@ is replaced by what follows, and by more[WORD]."""
        self.soak, self.address = bench.soak, f"10.78.1.1:{port}"
        with open(os.path.join(PEERS, conf), encoding="utf-8") as f:
            text = f.read()
        marks = {"LISTEN": self.address, "ENDPOINT": "10.78.2.10", "MAXCONN": str(maxconn), "FILES": str(FILES), "DIR": bench.work.path}
        for k, v in (marks | (more or {})).items():
            text = text.replace(f"@{k}@", v)
        path = bench.write(f"{name}-{port}.conf", text)
        super().__init__(bench.work, bench.net, "kg", name, argv + [path], bench.proxy_cpu)
        self.wait("listener", lambda: self.listens(bench.net, port), 60)

    @staticmethod
    def listens(net, port):
        out = subprocess.run(net.inside("kg") + ["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True)
        return out.stdout.strip()

    def taken(self):
        """Seconds of the CPU: its own, those of the kernel's thread for soft interrupts, and what the soak ran but did not get."""
        ran = sum(self.cpu().values()) + sum(self.soak.cpu().values()) + self.soak.softirqs.ran()
        return ran / 1e9 - self.soak.left() - cpu_stat(self.soak.cpu_no)[1]

    def busy_begin(self):
        self.soak.resume()
        time.sleep(kit.WARM_S)
        return self.taken()

    def busy_end(self, begun):
        spent = self.taken() - begun
        self.soak.pause()
        return spent

    def resident(self):
        return resident(self.p.pid)


class Direct:
    """No proxy: the endpoint itself, for what remains of a latency without one."""

    net, address, name = 80, "10.80.1.10:9000", "direct"

    def pause(self):
        pass

    def resume(self):
        pass

    def busy_begin(self):
        time.sleep(kit.WARM_S)

    def busy_end(self, _begun):
        return 1e-9

    def tail(self):
        return ""


class Ours(kit.Dataplane):
    """sluice-dataplane between the veths of its namespace."""

    net, address, most = 79, "10.79.9.10:80", 1 << 30  # most: connections it can hold here
    had = 1  # share of its core in the last slice

    def __init__(self, bench, streams, table, boot_keys="", pairs=None):
        """table: its text behind NETWORK, @ENDPOINTS@ for the list of them.  pairs: {name: (certificate, key)}, PEM files."""
        work, self.at = bench.work, bench.proxy_cpu
        tag = f"dp{len(os.listdir(work.path))}"
        self.control = work.file(tag + ".sock")
        boot = bench.write(tag + ".conf", f"""control = "{self.control}";
workers = [ {bench.proxy_cpu} ];
main_cpu = {bench.ends_cpu};
memory = {{ hugepages = "require"; size_mb = {HUGE_MB}; }};
buffers = 65536;
flows = 65536;
tcp = {{ streams = {streams}; }};
{boot_keys}
ports = ( {{ name = "front"; device = "front"; }}, {{ name = "back"; device = "back"; }} );
""")
        exe = os.path.join(kit.BUILD, "dataplane", "sluice-dataplane")
        if not os.path.exists(exe):
            raise kit.Unavailable(f"{exe} is not there")
        work.hugepages(HUGE_MB + 64 + streams * 2048 // (1 << 20))
        self.work, self.captures = work, []
        self.boot_argv = bench.net.inside("og") + [exe, "-c", boot]
        kit.Process.__init__(self, work, "sluice-dataplane", self.boot_argv, 1)
        self.wait("sign of being ready", lambda: "sluice-dataplane: ready" in self.tail(), 60)
        self.drive = subprocess.Popen([program("bench_drive"), self.control], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      env=os.environ | {"SLUICE_COMPILE": os.path.join(kit.BUILD, "mgmt", "sluice-compile")})
        self.up = self.answer()
        for name, (cert, key) in (pairs or {}).items():
            self.ask(f"pair {name} {cert} {key}")
        self.load_text(bench, table)

    def load_text(self, bench, table):
        return self.load(self.table_file(bench, "table.conf", table))

    @staticmethod
    def table_file(bench, name, table):
        endpoints = ", ".join(f'{{ name = "e{i}"; address = "10.79.2.10"; port = {9000 + i}; }}' for i in range(PORTS))
        return bench.write(name, NETWORK + table.replace("@ENDPOINTS@", endpoints))

    def ticks(self):
        s = self.sample()
        return s["workers"][0]["busy_ticks"] / s["ticks_per_s"], s["workers"][0]["total_ticks"] / s["ticks_per_s"]

    def busy_begin(self):
        time.sleep(kit.WARM_S)
        return self.ticks(), cpu_stat(self.at)[0], self.cpu()

    def busy_end(self, begun):
        """A turn's ticks go on while another program has the CPU, of busy and idle turns alike: in the mean, and had is what it had."""
        (busy, total), soft, ran = self.ticks(), cpu_stat(self.at)[0] - begun[1], self.cpu()
        busy, total = busy - begun[0][0], total - begun[0][1]
        worker = max(ran[t] - begun[2].get(t, 0) for t in ran) / 1e9
        self.had = min(1, worker / total)
        return busy * self.had + soft * (1 - busy / total)

    def resident(self):
        return resident(self.p.pid)


class Bench:
    """A benchmark: name is that of its rows; run() runs it."""

    name = None

    def __init__(self, args):
        self.quick, self.begun = args.quick, time.monotonic()
        self.rounds, self.seconds = (3, 1.0) if args.quick else (7, 3.0)
        self.work, self.report = kit.Workdir(), kit.Report()
        cpus = sorted(os.sched_getaffinity(0))
        self.proxy_cpu, self.ends_cpu = cpus[-1], cpus[0]
        os.sched_setaffinity(0, {self.ends_cpu})
        os.nice(-10)  # before builds that run beside it
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
        self.net = self.soak = None
        self.had = []  # of our worker, each slice
        self.load_average()

    def say(self, text):
        print(f"  {text}", flush=True)

    def load_average(self):
        """A worker that polls loses its CPU to other programs for milliseconds at a time."""
        self.say("load average %.1f %.1f %.1f on %d CPUs" % (*os.getloadavg(), os.cpu_count()))
        if self.had and statistics.median(self.had) < ALONE:
            self.report.skip("a quiet machine", f"our worker had {statistics.median(self.had):.0%} of its core: what stands beside the "
                             "kernel's proxies is uncertain, latencies most of all; run it again when nothing else runs")

    def write(self, name, text):
        path = self.work.file(name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def set_up(self):
        if self.proxy_cpu == self.ends_cpu:
            raise kit.Unavailable("one CPU: a proxy needs one of its own")
        self.net = Net(self.work, self.ends_cpu, self.proxy_cpu)
        self.endpoint()
        self.soak = Soak(self.work, self.proxy_cpu)
        self.soak.pause()

    def endpoint(self, name="bench_endpoint"):
        """One more process that serves: each holds as many connections as it may have files."""
        e = End(self.work, self.net, "ep", name, [program("bench_endpoint"), "0.0.0.0", "9000", str(PORTS)], self.ends_cpu)
        e.wait("sign of being ready", lambda: "ready" in e.tail(), 5)

    def proxies(self, makers):
        """Those that there are, in this order; the others a line in the report."""
        out = {}
        for name, make in makers.items():
            try:
                out[name] = make()
                out[name].pause()
            except (kit.Unavailable, OSError) as e:
                self.report.skip(f"{self.name}.*: {name}", e)
        return out

    def slice(self, proxy, client, rate):
        """One in which something passed: other programs may leave a proxy nothing of its CPU."""
        for _ in range(kit.STARVED):
            s, sample = self.try_slice(proxy, client, rate)
            if s:
                return s
        raise kit.Unavailable(f"nothing passes {proxy.name}: {sample} {proxy.tail()}")

    def try_slice(self, proxy, client, rate):
        proxy.resume()
        client.go(rate)
        time.sleep(kit.WARM_S)
        begun = proxy.busy_begin()
        n0, t0 = client.count(client.ask("mark")), time.monotonic()
        time.sleep(self.seconds)
        sample, t1 = client.ask("sample"), time.monotonic()
        n, spent = client.count(sample) - n0, proxy.busy_end(begun)
        if isinstance(proxy, Ours):
            self.had.append(proxy.had)
        client.stop()
        proxy.pause()
        if n <= 0 or spent <= 0:
            return None, sample
        return Slice(n / (t1 - t0), n / spent, spent / (t1 - t0), sample["p50"], sample["p99"]), sample

    @contextlib.contextmanager
    def clients(self, proxies, mode, conns):
        """{name: Client}; in the end it says what failed."""
        out = {n: Client(self.work, self.net, self.ends_cpu, mode, p, conns) for n, p in proxies.items()}
        try:
            yield out
            for n, c in out.items():
                s = c.ask("sample")
                if s["failed"] and mode not in BULK:
                    self.say(f"{n}: {s['failed']} of {s['failed'] + s['done']} failed: {s['why']}")
        finally:
            for c in out.values():
                c.kill()

    def by_turns(self, proxies, clients, rate=0, rounds=None):
        """A B C A B C …: {name: [Slice, …]}."""
        out = {n: [] for n in proxies}
        for _ in range(rounds or self.rounds):
            for n, p in proxies.items():
                out[n].append(self.slice(p, clients[n], rate))
        return out

    def side_by_side(self, proxies, mode, conns, rate=0, rounds=None):
        with self.clients(proxies, mode, conns) as clients:
            return self.by_turns(proxies, clients, rate, rounds)

    def rows(self, name, unit, got, which, scale=1.0):
        """A row for each peer: ours over it.  which: a field of Slice."""
        def column(n):
            return [getattr(s, which) * scale for s in got[n]]
        ours = column("ours") if "ours" in got else None
        for n in got:
            busy = statistics.median(s.busy for s in got[n])
            self.say(f"{name}: {n}: {statistics.median(column(n)):,.2f} {unit}, {statistics.median(s.rate * scale for s in got[n]):,.2f} "
                     f"a second at {busy:.0%} of its core")
            if n == "ours":
                continue
            theirs = column(n)
            if ours:
                self.report.add(f"{name}.{n}", unit, statistics.median(ours), statistics.median(theirs), n,
                                kit.spread([a / b for a, b in zip(ours, theirs)]))
            else:
                self.report.add(f"{name}.{n}", unit, None, statistics.median(theirs), n, kit.spread(theirs))

    def grown(self, proxy, counts, mode):
        """{n: bytes by which a process grew for each of n idle connections}."""
        proxy.resume()
        before = getattr(proxy, "small", None) or proxy.resident()
        room, out, clients = FILES - 64, {}, []
        try:
            for n in sorted({min(c, proxy.most) for c in counts}):
                while len(clients) * room < n:
                    clients.append(Client(self.work, self.net, self.ends_cpu, mode, proxy, room))
                for i, c in enumerate(clients):
                    self.hold(proxy, c, min(room, n - i * room))
                time.sleep(1)
                out[n] = (proxy.resident() - before) / n
        finally:
            for c in clients:
                c.kill()
            proxy.pause()
        return out

    @staticmethod
    def hold(proxy, client, n):
        client.ask(f"conns {n}")
        client.go()
        end = time.monotonic() + 60
        while (s := client.ask("sample"))["held"] < n:
            if time.monotonic() > end:
                raise kit.Unavailable(f"{s['held']} of {n} connections through {proxy.name} are open, {s['failed']} failed: {s['why']}")
            time.sleep(0.1)

    def idle_rows(self, name, makers, counts, mode, peers_most, nginx_least):
        """Memory of a connection with nothing to do, each proxy alone.  makers: {name: function}."""
        got = {}
        for who, make in makers.items():
            proxy = None
            try:
                proxy = make()
                if who == "nginx":
                    proxy.small = nginx_least  # it sets aside at once what connections may need
                got[who] = self.grown(proxy, counts, mode)
                self.say(f"{name}: {who}: " + ", ".join(f"{v:,.0f} at {n:,}" for n, v in got[who].items()))
            except (kit.Unavailable, OSError) as e:
                self.report.skip(f"{name}: {who}", e)
            finally:
                if proxy:
                    proxy.kill()
        for n, row in ((max(counts), name), (min(counts), f"{name}.{min(counts) // 1000}k")):
            for peer in ("haproxy", "nginx"):
                theirs = got.get(peer, {})
                self.report.add(row if peer == "haproxy" else row + ".nginx", "bytes", got.get("ours", {}).get(n),
                                theirs.get(min(n, peers_most)), f"{peer} at {min(n, peers_most):,}")

    def json_lines(self, argv, seconds=300):
        """What a program says, a JSON object a line."""
        out = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=seconds,
                             preexec_fn=lambda: os.sched_setaffinity(0, {self.proxy_cpu})).stdout
        return list(map(json.loads, out.splitlines()))

    def json_row(self, r):
        spread = (r["p90"] - r["p10"]) / 2 / r["value"] if "p90" in r else r.get("spread")
        self.report.add(r["name"], r["unit"], r["value"], r.get("scan"), "bare scan" if "scan" in r else None, spread)

    def json_rows(self, argv):
        for r in self.json_lines(argv):
            self.json_row(r)

    def guard(self, name, run):
        """Runs a part; what it cannot do becomes a line of the report."""
        try:
            if self.quick and time.monotonic() - self.begun > QUICK_S:
                raise kit.Unavailable(f"no time left within --quick: {QUICK_S} s have passed, the machine is busy")
            return run()
        except (kit.Unavailable, subprocess.SubprocessError, OSError, ValueError, ZeroDivisionError) as e:
            self.report.skip(name, e)
            return None


def main(bench, doc):
    p = argparse.ArgumentParser(prog=f"scripts/bench {bench.name}", description=doc,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="within three minutes: fewer and shorter slices")
    p.add_argument("--json", metavar="FILE", help="write the rows there")
    args = p.parse_args()
    if os.geteuid() != 0:
        sys.exit(f"bench {bench.name}: run as root: it makes network namespaces")
    b = bench(args)
    b.run()
    b.load_average()
    print()
    b.report.print()
    if args.json:
        b.report.write(args.json)
    print(f"took {time.monotonic() - b.begun:.0f} s")
