"""Runs `ask` against a server: lines of it, as they come; certificates for servers of tests."""

import json
import os
import queue
import subprocess
import threading
import time


class Ask:
    """One question to one source.  keys: of the source's entry in sluiced's file; more: of the question."""

    def __init__(self, program, directory, type_, keys, service="web", more=()):
        self.file = os.path.join(directory, "sluiced-%d.conf" % time.monotonic_ns())
        rows = "".join("%s = %s; " % (k, self._value(v)) for k, v in keys.items())
        with open(self.file, "w") as f:
            f.write('sources = ( { name = "s"; type = "%s"; %s } );\n' % (type_, rows))
        self.lines = queue.Queue()
        self.seen = []
        self.process = subprocess.Popen([program, self.file, "s", service, *more], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @staticmethod
    def _value(v):
        if isinstance(v, list):
            return "( %s )" % ", ".join('"%s"' % x for x in v)
        return '"%s"' % v

    def _read(self):
        for line in self.process.stdout:
            self.lines.put((time.monotonic(), json.loads(line)))

    def next(self, kind, good=lambda line: True, timeout=15):
        """The next line of that kind ("answer", "confirm", "trouble", "say") that is good; others are passed over."""
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            try:
                at, line = self.lines.get(timeout=max(left, 0.001))
            except queue.Empty:
                raise AssertionError("no %s within %d s; seen: %s" % (kind, timeout, self.seen[-6:]))
            self.seen.append(line)
            if kind in line and good(line):
                line["at"] = at
                return line

    def names(self, names, timeout=15):
        """The next answer that has exactly these names."""
        return self.next("answer", lambda line: [e["name"] for e in line["answer"]] == names, timeout)

    def trouble(self, words, timeout=15):
        return self.next("trouble", lambda line: words in line["trouble"], timeout)

    def quiet(self):
        """All that came until now, not looked at yet."""
        lines = []
        while not self.lines.empty():
            lines.append(self.lines.get()[1])
        self.seen += lines
        return lines

    def end(self):
        """Its end: it must be a clean one, and no answer may ever have been empty unless expected."""
        self.process.stdin.close()
        code = self.process.wait(timeout=20)
        self.reader.join()
        self.process.stdout.close()
        self.quiet()
        assert code == 0, "ask ended with %d" % code
        return self.seen

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.process.kill()
            self.process.wait()
        else:
            self.end()


def never_empty(lines):
    assert all(line["answer"] for line in lines if "answer" in line), "an answer was empty"


def wait_for(what, condition, timeout=15):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "not within %d s: %s" % (timeout, what)
        time.sleep(0.01)


def _openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_ca(directory, name):
    path = os.path.join(directory, name)
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=" + name, "-keyout", path + ".key", "-out", path + ".pem")
    return path + ".pem"


def make_cert(directory, ca, name, san):
    path, root = os.path.join(directory, name), ca[:-len(".pem")]
    with open(path + ".ext", "w") as f:
        f.write("subjectAltName=%s\n" % san)
    _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", "/CN=" + name, "-keyout", path + ".key", "-out", path + ".csr")
    _openssl("x509", "-req", "-in", path + ".csr", "-CA", root + ".pem", "-CAkey", root + ".key",
             "-CAcreateserial", "-days", "2", "-extfile", path + ".ext", "-out", path + ".pem")
    return path + ".pem", path + ".key"
