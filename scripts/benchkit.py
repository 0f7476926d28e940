"""What the benchmarks in scripts/bench.d share: hugepages, processes under test, interleaved slices, the table.

A cycle count is TSC frequency x CPU time of the worker threads / packets. CPU time, not wall time: the machines are
shared, and a poll-mode worker is always busy when its port replays from memory. Two processes are compared in turns: one
is stopped (SIGSTOP) while the other runs a slice on the same core.
"""
import atexit
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("SLUICE_BUILD", os.path.join(TOP, "build"))
HUGE = "/proc/sys/vm/nr_hugepages"
CPUS = os.sched_getaffinity(0)  # of a process under test; the script confines itself
STARVED = 5  # tries of a slice
WARM_S = 0.15  # of a slice, not counted: caches and branch predictors were the other's


class Unavailable(Exception):
    """Something this benchmark needs is not there; the text says what and what to do."""


class Report:
    """The rows of a benchmark: printed as a table, written as JSON."""

    def __init__(self):
        self.rows, self.skipped = [], []

    def add(self, name, unit, ours, reference=None, reference_name=None, spread=None):
        ratio = ours / reference if reference and ours is not None else None
        self.rows.append({"name": name, "unit": unit, "ours": ours, "reference": reference,
                          "reference_name": reference_name, "ratio": ratio, "spread": spread})

    def skip(self, name, why):
        self.skipped.append((name, str(why)))
        print(f"  not run: {name}: {why}", flush=True)

    def print(self):
        def text(v):
            return "-" if v is None else f"{v:,.0f}" if abs(v) >= 1000 or v == 0 else f"{v:.2f}"
        head = ("name", "unit", "ours", "reference", "", "ratio", "spread")
        rows = [(r["name"], r["unit"], text(r["ours"]), text(r["reference"]), r["reference_name"] or "",
                 text(r["ratio"]), "-" if r["spread"] is None else f"{100 * r['spread']:.1f} %")
                for r in self.rows]
        wide = [max(len(r[i]) for r in [head] + rows) for i in range(len(head))]
        left = (0, 1, 4)
        for r in [head] + rows:
            print("  ".join(c.ljust(w) if i in left else c.rjust(w)
                            for i, (c, w) in enumerate(zip(r, wide))).rstrip())
        for name, why in self.skipped:
            print(f"not run: {name}: {why}")

    def write(self, path):
        with open(path, "w", encoding="utf-8") as f:
            json.dump(self.rows, f, indent=1)
            f.write("\n")


class Workdir:
    """A directory that goes away, and with it what was changed on the machine, on every way out."""

    def __init__(self):
        self.undo = []
        atexit.register(self.close)
        for s in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, lambda *_: sys.exit(1))
        self.path = tempfile.mkdtemp(prefix="sluice-bench-")
        self.undo.append(lambda: shutil.rmtree(self.path, ignore_errors=True))

    def close(self):
        while self.undo:
            self.undo.pop()()

    def file(self, name):
        return os.path.join(self.path, name)

    def hugepages(self, megabytes):
        """Makes sure that so much is free; raises Unavailable when the machine cannot."""
        def free():
            with open("/proc/meminfo", encoding="ascii") as f:
                m = {k: int(v.split()[0]) for k, v in (line.split(":") for line in f)}
            return m["HugePages_Free"] * m["Hugepagesize"] // 1024, m["Hugepagesize"] // 1024, \
                m["MemAvailable"] // 1024
        have, page, available = free()
        if have >= megabytes:
            return
        if megabytes - have > available * 0.8:
            raise Unavailable(f"needs {megabytes - have} MB more in hugepages, {available} MB are available")
        if not any(line.split()[2] == "hugetlbfs" for line in open("/proc/mounts", encoding="ascii")):
            os.makedirs("/dev/hugepages", exist_ok=True)
            subprocess.run(["mount", "-t", "hugetlbfs", "none", "/dev/hugepages"], check=True)
            self.undo.append(lambda: subprocess.run(["umount", "/dev/hugepages"], check=False))
        with open(HUGE, encoding="ascii") as f:
            before = now = int(f.read())
        self.undo.append(lambda: self._set_pages(before))
        for _ in range(4):  # memory is fragmented, and others take pages at the same time
            now += -(-(megabytes - free()[0]) // page)
            with open("/proc/sys/vm/compact_memory", "w", encoding="ascii") as f:
                f.write("1")
            self._set_pages(now)
            if free()[0] >= megabytes:
                return
        raise Unavailable(f"the kernel gives {free()[0]} MB in hugepages of {megabytes} MB needed")

    @staticmethod
    def _set_pages(n):
        with open(HUGE, "w", encoding="ascii") as f:
            f.write(str(n))


class Process:
    """A program with a log, that can be stopped and continued, and whose busiest threads are its workers."""

    end = signal.SIGTERM

    def __init__(self, work, name, argv, workers):
        self.name, self.workers = name, workers
        self.log = work.file(name + ".log")
        with open(self.log, "wb") as out:
            self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT,
                                      preexec_fn=lambda: os.sched_setaffinity(0, CPUS))
        work.undo.append(self.kill)
        self.paused = False

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-8:]).strip()

    def check(self):
        if self.p.poll() is not None:
            raise Unavailable(f"{self.name} ended with {self.p.returncode}: {self.tail()}")

    def wait(self, what, ready, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            v = ready()
            if v:
                return v
            time.sleep(0.02)
        raise Unavailable(f"{self.name}: no {what} within {seconds} s: {self.tail()}")

    def cpu(self):
        """Nanoseconds on a CPU, by thread."""
        out = {}
        for t in os.listdir(f"/proc/{self.p.pid}/task"):
            try:
                with open(f"/proc/{self.p.pid}/task/{t}/schedstat", encoding="ascii") as f:
                    out[t] = int(f.read().split()[0])
            except FileNotFoundError:
                pass
        return out

    def pause(self):
        os.kill(self.p.pid, signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.check()
        os.kill(self.p.pid, signal.SIGCONT)
        self.paused = False

    def packets(self):
        raise NotImplementedError

    def slice(self, seconds):
        """(CPU nanoseconds of the workers, packets) of one slice."""
        time.sleep(WARM_S)
        n0, c0 = self.packets(), self.cpu()
        time.sleep(seconds)
        n1, c1 = self.packets(), self.cpu()
        spent = sorted((c1[t] - c0.get(t, 0) for t in c1), reverse=True)[:self.workers]
        return sum(spent), n1 - n0

    def kill(self):
        if self.p.poll() is None:
            if self.paused:
                self.resume()
            self.p.send_signal(self.end)
            try:
                self.p.wait(5)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()


def replay_args(captures):
    return ",".join(f"rx_pcap={c}" for c in captures) + ",infinite_rx=1"


class Testpmd(Process):
    """DPDK's own forwarder, as the floor: macswap on a port that replays from memory."""

    end = signal.SIGKILL  # it has nothing to leave behind and takes seconds to end by itself

    def __init__(self, work, captures, cpus, room, buffers, burst=32):
        if not shutil.which("dpdk-testpmd"):
            raise Unavailable("dpdk-testpmd is not installed (Debian package dpdk-dev)")
        workers = len(captures)
        prefix = f"sluice-bench-{os.getpid()}-{id(self):x}"
        lcores = ",".join(["0@0"] + [f"{i + 1}@{c}" for i, c in enumerate(cpus[:workers])])
        super().__init__(work, "testpmd", [
            "dpdk-testpmd", "--lcores", lcores, "--no-pci", "--huge-unlink", "--file-prefix", prefix,
            "--vdev", "net_pcap0," + replay_args(captures), "--",
            "--auto-start", "--forward-mode=macswap", f"--nb-cores={workers}", f"--rxq={workers}",
            f"--txq={workers}", f"--burst={burst}", f"--mbuf-size={room + 128}",
            f"--total-num-mbufs={buffers}", "--no-lsc-interrupt"], workers)
        work.undo.append(lambda: shutil.rmtree(f"/var/run/dpdk/{prefix}", ignore_errors=True))
        path = f"/var/run/dpdk/{prefix}/dpdk_telemetry.v2"
        self.wait("telemetry socket", lambda: os.path.exists(path), 20)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.wait("telemetry", lambda: self.sock.connect_ex(path) == 0, 5)
        self.sock.recv(1 << 16)
        self.wait("packets", lambda: self.packets() > 0, 120)

    def packets(self):
        self.sock.send(b"/ethdev/stats,0")
        s = json.loads(self.sock.recv(1 << 16))["/ethdev/stats"]
        return s["ipackets"] if s else 0


class Dataplane(Process):
    """sluice-dataplane with one vdev port, by default the same as Testpmd's; tables are pushed by bench_drive."""

    def __init__(self, work, captures, cpus, room, buffers, flows, memory_mb, mac, key, device="net_pcap0", args=None,
                 main_cpu=0):
        workers = len(captures)
        tag = f"dp{len(os.listdir(work.path))}"
        self.control = work.file(tag + ".sock")
        boot = work.file(tag + ".conf")
        with open(boot, "w", encoding="ascii") as f:
            f.write(f"""control = "{self.control}";
workers = [ {', '.join(str(c) for c in cpus[:workers])} ];
main_cpu = {main_cpu};
memory = {{ hugepages = "require"; size_mb = {memory_mb}; }};
buffers = {buffers};
mbuf_data = {room};
flows = {flows};
rss_key = "{key}";
ports = ( {{ name = "p0"; device = "{device}"; driver = "vdev"; mac = "{mac}";
            args = "{args or replay_args(captures)}"; queues = {workers};
            rss = "{'assume' if workers > 1 else 'auto'}"; }} );
""")
        exe = os.path.join(BUILD, "dataplane", "sluice-dataplane")
        if not os.path.exists(exe):
            raise Unavailable(f"{exe} is not there")
        self.work, self.boot_argv, self.captures = work, [exe, "-c", boot], captures
        super().__init__(work, "sluice-dataplane", self.boot_argv, workers)
        self.wait("sign of being ready", lambda: "sluice-dataplane: ready" in self.tail(), 120)
        self.drive = subprocess.Popen([os.path.join(BUILD, "tests", "bench", "bench_drive"), self.control],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.up = self.answer()

    def answer(self):
        line = self.drive.stdout.readline()
        if not line:
            self.check()
            raise Unavailable("bench_drive ended")
        v = json.loads(line)
        if "error" in v:
            reasons = v.get("reasons", [])
            more = [f"and {len(reasons) - 2} more"] if len(reasons) > 2 else []
            raise Unavailable("; ".join([v["error"]] + reasons[:2] + more))
        return v

    def again(self, captures=None):
        """kill -9, and another on the same boot file, or with other captures; bench_drive stays and holds its flows."""
        if captures:
            with open(self.boot_argv[-1], encoding="ascii") as f:
                text = f.read()
            with open(self.boot_argv[-1], "w", encoding="ascii") as f:
                f.write(text.replace(replay_args(self.captures), replay_args(captures)))
            self.captures = captures
        self.p.kill()
        self.p.wait()
        self.expect("down")
        super().__init__(self.work, "sluice-dataplane", self.boot_argv, self.workers)
        self.up = self.expect("up")

    def expect(self, event):
        v = self.answer()
        if v["event"] != event:
            raise Unavailable(f"bench_drive says {v} where it should say {event}")
        return v

    def ask(self, command):
        self.drive.stdin.write(command + "\n")
        self.drive.stdin.flush()
        return self.answer()

    def load(self, conf):
        v = self.ask("load " + conf)
        if v["outcome"] != "active":
            raise Unavailable("the table was refused: " + "; ".join(v["reasons"]))
        return v

    def sample(self):
        return self.ask("sample")

    def packets(self):
        return self.total("rx")

    def total(self, key, sample=None):
        return sum(w[key] for w in (sample or self.sample())["workers"])

    def settle(self, seconds=30):
        """Waits until packets are forwarded and none is dropped any more (neighbours known, flows made)."""
        last = self.sample()

        def steady():
            nonlocal last
            time.sleep(0.2)
            now = self.sample()
            d = {k: self.total(k, now) - self.total(k, last) for k in ("rx", "forwarded", "dropped", "flow_insert")}
            last = now
            return d["rx"] and d["forwarded"] and not d["dropped"] and not d["flow_insert"]
        try:
            self.wait("steady forwarding", steady, seconds)
        except Unavailable as e:
            drops = [w["drop"] for w in last["workers"]]
            raise Unavailable(f"{e}; {self.total('flow_active', last)} flows, drops so far {drops}") from None

    def kill(self):
        super().kill()
        if hasattr(self, "drive") and self.drive.poll() is None:
            self.drive.stdin.close()
            self.drive.wait(5)


def interleave(a, b, rounds, seconds):
    """A B A B …: the nanoseconds per packet of each slice, ([a…], [b…]). A slice in which other programs left the workers less
    than a tenth of their CPU is measured again."""
    out = ([], [])
    a.pause()
    b.pause()
    for _ in range(rounds):
        for side, p in enumerate((a, b)):
            p.resume()
            for _ in range(STARVED):
                spent, n = p.slice(seconds)
                if spent >= seconds * 1e9 * p.workers / 10:
                    break
            p.pause()
            if n <= 0:
                raise Unavailable(f"{p.name} forwards nothing: {p.tail()}")
            out[side].append(spent / n)
    a.resume()
    b.resume()
    return out


def spread(values):
    """Half the distance between the quartiles, as a share of the median."""
    if len(values) < 3:
        return (max(values) - min(values)) / 2 / statistics.median(values)
    q = statistics.quantiles(values, n=4)
    return (q[2] - q[0]) / 2 / statistics.median(values)
