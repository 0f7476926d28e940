"""top.py SLUICECTL — sluicectl top before a daemon that answers as this file says, in a terminal that tmux keeps.

The daemon's counters are rates times its clock, so that what the screen must say is known.  Exit 77: no tmux.
"""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

MAGIC = 0x49504153
SEC = 1_000_000_000


class Daemon:
    """Answers `stats`; what goes wrong is set from outside."""

    def __init__(self, path):
        self.path, self.boot, self.since = path, "00000000000000aa", time.monotonic_ns() - 100 * SEC
        self.error, self.silent, self.endpoints = None, False, 3
        self.listener = None
        self.start()

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.clients = []
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        os.unlink(self.path)
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for c in self.clients:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self, listener):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            self.clients.append(c)
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        with c:
            while True:
                try:
                    head = c.recv(12, socket.MSG_WAITALL)
                except OSError:
                    return
                if len(head) < 12:
                    return
                magic, version, zero, length = struct.unpack("<IHHI", head)
                assert (magic, version, zero) == (MAGIC, 1, 0), head
                assert json.loads(c.recv(length, socket.MSG_WAITALL)) == {"verb": "stats"}
                while self.silent:
                    time.sleep(0.02)
                body = json.dumps(self.answer()).encode()
                try:
                    c.sendall(struct.pack("<IHHI", MAGIC, 1, 0, len(body)) + body)
                except OSError:
                    return

    def restart(self):
        self.boot, self.since = "00000000000000bb", time.monotonic_ns()

    def answer(self):
        if self.error:
            return {"ok": False, "verb": "stats", "error": {"code": "unavailable", "text": self.error, "hint": None}}
        at = time.monotonic_ns()
        up = at - self.since

        def n(per_second):
            return up * per_second // SEC

        worker = {"turns": n(4000), "turns_empty": n(3000), "rx_packets": n(20000), "tx_packets": n(10000),
                  "rx_bytes": n(12_500_000), "busy_ticks": n(9_000_000), "handoff_in": n(10000), "handoff_out": n(500),
                  "flow_active": 1234, "flow_capacity": 100_000, "flow_adopted": 77}
        endpoints = [{"service": "web", "name": f"web-{i}", "state": "draining" if i == 2 else "up", "packets": n(1000 * i),
                      "bytes": n(125_000 * i), "reply_packets": n(10 * i), "reply_bytes": n(1000), "new_flows": n(5 * i),
                      "flows": 10 * (self.endpoints - i)} for i in range(1, self.endpoints + 1)]
        return {
            "ok": True, "verb": "stats", "boot_id": self.boot, "generation": 7, "gateway": "edge-1", "at_ns": at,
            "ticks_per_s": SEC, "uptime_s": up / SEC, "pids": {"daemon": 4242, "dataplane": 4343},
            "total": dict(worker, flow_active=2468, flow_capacity=200_000),
            "workers": [dict(worker, worker=i) for i in range(2)],
            "ports": [],
            "drops": [{"reason": "ttl", "packets": n(3)}, {"reason": "martian", "packets": n(40)}],
            "listeners": [{"name": "web-v4", "address": "192.0.2.0/24", "ports": "80-89", "protocol": "tcp", "service": "web",
                           "packets": n(6000), "bytes": n(750_000), "new_flows": n(30), "refused": n(2)},
                          {"name": "web-v6", "address": "2001:db8::1", "ports": "80", "protocol": "tcp", "service": "web",
                           "packets": 0, "bytes": 0, "new_flows": 0, "refused": 0}],
            "services": [{"name": "web", "new_flows": n(30), "no_endpoint": n(100), "ports_used": 55, "ports_refused": n(4)}],
            "endpoints": endpoints,
        }


class Terminal:
    """A shell in a terminal of tmux."""

    def __init__(self, directory, columns, rows):
        self.socket = os.path.join(directory, "tmux")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "env", "PS1=ready> ",
                  "bash", "--norc", "--noprofile")
        self.until("the shell", lambda s: "ready>" in s)

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, *args], check=True, capture_output=True, text=True,
                              env=dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8")).stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def of(self, variable):
        return self.tmux("display-message", "-p", "#{" + variable + "}").strip()

    def size(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def until(self, what, good, seconds=10):
        end = time.monotonic() + seconds
        while True:
            s = self.screen()
            if good(s):
                return s
            if time.monotonic() > end:
                raise AssertionError(f"not seen: {what}\n{s}")
            time.sleep(0.03)

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)


def line_of(screen, start):
    return next(x for x in screen.splitlines() if x.startswith(start)).split()


def near(text, want, share=0.03):
    assert abs(float(text) - want) <= want * share, (text, want)


def check_once(ctl, path):
    r = subprocess.run([ctl, "-s", path, "top"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert r.returncode == 2 and "--once" in r.stderr, r
    r = subprocess.run([ctl, "-s", path, "top", "--once", "--interval", "200ms"], capture_output=True, text=True)
    assert r.returncode == 0, r
    worker = line_of(r.stdout, "1 ")
    near(worker[1], 75)
    near(worker[2], 20000)
    near(worker[4], 100)
    near(worker[5], 300)
    assert worker[6] == "1234"
    endpoint = line_of(r.stdout, "web-2")
    assert endpoint[1:4] == ["web", "draining", "10"], endpoint
    near(endpoint[5], 2000)
    near(endpoint[6], 2)
    assert "[2001:db8::1]:80/tcp" in r.stdout and "192.0.2.0/24:80-89/tcp" in r.stdout, r.stdout
    assert "most: martian" in r.stdout
    r = subprocess.run([ctl, "-s", path, "--json", "top", "--interval", "200ms"], capture_output=True, text=True)
    j = json.loads(r.stdout)
    near(j["listeners"][0]["pps"], 6000)
    near(j["services"][0]["no_endpoint_s"], 100, 0.1)
    assert j["services"][0]["ports_used"] == 55 and j["seconds"] > 0.19
    near(j["drops_s"], 43, 0.25)
    for wrong in ("50ms", "2h", "1", "-1s"):
        r = subprocess.run([ctl, "-s", path, "top", "--once", "--interval", wrong], capture_output=True, text=True)
        assert r.returncode == 2 and "no interval" in r.stderr, (wrong, r)
    r = subprocess.run([ctl, "-s", path, "status", "--once"], capture_output=True, text=True)
    assert r.returncode == 2 and "goes with top" in r.stderr, r


def rows_of(screen, prefix):
    return [x.split()[0] for x in screen.splitlines() if x.startswith(prefix)]


def check_screen(t, d):
    s = t.until("rates", lambda s: "new/s 30" in s and "MBIT/S" in s)
    lines = s.splitlines()
    assert lines[0].startswith("edge-1  gen 7  up 00:0") and "dataplane 4343  sluiced 4242" in lines[0], s
    assert lines[1].startswith("flows 2468 of 200.0k (1.2 %)") and "(martian)" in lines[1], s
    near(line_of(s, "0 ")[1], 75)
    assert "web-v4" in s and "web-3" in s, s
    assert rows_of(s, "web-")[-3:] == ["web-3", "web-2", "web-1"], s  # by packets, downwards
    assert max(len(x) for x in lines) <= 80

    t.keys("?")
    t.until("help", lambda s: "PgUp PgDn" in s)
    t.keys("x")
    t.until("the panes again", lambda s: "web-3" in s)
    t.keys("4", "r")
    t.until("the other order", lambda s: rows_of(s, "web-")[-3:] == ["web-1", "web-2", "web-3"] and "PPS reversed" in s)
    t.keys("r", "S", "S")
    t.until("by flows", lambda s: "sort: FLOWS" in s and rows_of(s, "web-")[-3:] == ["web-1", "web-2", "web-3"])
    t.keys("/", "D", "r", "a", "i")
    t.until("a filter", lambda s: rows_of(s, "web-") == ["web-2"] and "filter: Drai_" in s)
    t.keys("Enter", "z")
    t.until("one pane", lambda s: "web-2" in s and "LISTENER" not in s and "WORKER" not in s)
    t.keys("Escape")
    t.until("no filter", lambda s: "web-1" in s and "web-3" in s)
    t.keys("z", "1")
    t.until("the workers chosen", lambda s: "LISTENER" in s and "sort: WORKER" in s)
    t.keys("Space")
    s = t.until("paused", lambda s: "PAUSED" in s)
    d.endpoints = 2
    time.sleep(0.5)  # nothing may change: there is no event for that
    assert "web-3" in t.screen()
    t.keys("Space")
    t.until("going on", lambda s: "PAUSED" not in s and "web-3" not in s)
    d.endpoints = 60
    t.until("more than fits", lambda s: "web-11" in s)
    t.keys("4", "z", "End")
    t.until("the end of the list", lambda s: rows_of(s, "web-")[-1] == "web-60" and len(rows_of(s, "web-")) == 19)
    t.keys("Up")
    t.until("one line up", lambda s: rows_of(s, "web-")[0] == "web-41" and rows_of(s, "web-")[-1] == "web-59")
    t.keys("Home", "NPage")
    t.until("a page further", lambda s: rows_of(s, "web-")[0] == "web-20")
    d.endpoints = 3
    t.until("fewer than a page", lambda s: rows_of(s, "web-") == ["web-1", "web-2", "web-3"])
    t.keys("z")


def check_sizes(t):
    for columns, rows in ((40, 10), (200, 50), (20, 4), (3, 2), (80, 24)):
        t.size(columns, rows)
        if columns >= 20:
            t.until(f"{columns}x{rows}", lambda s: s.splitlines()[0].startswith("edge-1  gen 7")
                        and ("flows 2468" in s) and max(map(len, s.splitlines())) <= columns)
        if (columns, rows) == (40, 10):
            t.keys("2")
            t.until("listeners alone", lambda s: "LISTENER" in s and "ENDPOINT" not in s and "web-v4" in s)
            t.keys("4")
            t.until("endpoints alone", lambda s: "ENDPOINT" in s and "web-3" in s)
        if columns == 200:
            t.until("all columns", lambda s: "REPLY MBIT/S" in s and "[2001:db8::1]:80/tcp" in s and " OUT/S" in s)
    t.until("all panes", lambda s: all(x in s for x in ("WORKER", "LISTENER", "SERVICE", "ENDPOINT")))


def check_trouble(t, d, path):
    d.restart()
    s = t.until("a restart", lambda s: "the dataplane was restarted; it took over 77 flows" in s)
    s = t.until("rates again", lambda s: "new/s 30" in s)
    assert not re.search(r"(^|\s)-\d", s), s
    d.error = "the dataplane is not connected"
    t.until("no dataplane", lambda s: "the dataplane is not connected; trying again" in s)
    d.error = None
    t.until("a dataplane", lambda s: "not connected" not in s)
    d.stop()
    t.until("no daemon", lambda s: "trying again" in s)
    t.until("no socket", lambda s: "cannot reach sluiced at " + path in s)
    d.start()
    t.until("a daemon", lambda s: "trying again" not in s and "web-3" in s)
    d.silent = True
    t.until("a slow daemon", lambda s: "sluiced does not answer" in s)
    t.keys("?")
    t.until("keys are heard meanwhile", lambda s: "PgUp PgDn" in s)
    t.keys("?")
    d.silent = False
    t.until("it answers again", lambda s: "does not answer" not in s)


def main():
    ctl = os.path.realpath(sys.argv[1])
    if not shutil.which("tmux"):
        print("skipped: tmux is not installed")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="sluice-top-") as directory:
        path = os.path.join(directory, "api")
        d = Daemon(path)
        check_once(ctl, path)
        t = Terminal(directory, 80, 24)
        try:
            def back(what):
                t.until(what, lambda s: s.rstrip().endswith("ready>"))
                assert t.of("alternate_on") == "0" and t.of("cursor_flag") == "1", what
                t.keys("clear; stty -a | cksum", "Enter")
                return t.until("settings", lambda s: s.count("ready>") and len(s.split()) >= 3 and s.split()[0].isdigit()).split()[0]

            before = back("the shell")
            t.keys(f"TERM=none {ctl} -s {path} top", "Enter")
            t.until("a strange terminal", lambda s: "cannot use this terminal" in s.replace("\n", ""))
            assert back("the shell") == before
            start = f"clear; {ctl} -s {path} top --interval 200ms"
            t.keys(start, "Enter")
            check_screen(t, d)
            check_sizes(t)
            check_trouble(t, d, path)
            assert t.of("alternate_on") == "1" and t.of("cursor_flag") == "0"
            t.keys("q")
            assert back("q") == before, "q"
            for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT):
                t.keys(f"ulimit -c 0; {start}", "Enter")
                t.until("the screen", lambda s: "edge-1" in s)
                pid = int(subprocess.run(["pgrep", "-P", t.of("pane_pid"), "-x", "sluicectl"], check=True,
                                         capture_output=True, text=True).stdout)
                os.kill(pid, sig)
                assert back(sig.name) == before, sig.name
            t.keys(start, "Enter")
            t.until("the screen", lambda s: "edge-1" in s)
            t.keys("C-z")
            t.until("stopped", lambda s: "Stopped" in s and s.rstrip().endswith("ready>"))
            t.keys("fg", "Enter")
            t.until("the screen again", lambda s: "edge-1" in s and "web-3" in s)
            t.keys("q")
            back("q after fg")
        finally:
            t.close()
    print("top: all as it should be")


main()
