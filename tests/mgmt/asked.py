"""asked — what tests of sources share: the program `ask`, its lines as they come, waiting that ends, servers in the background."""
import concurrent.futures
import json
import os
import queue
import random
import socket
import subprocess
import tempfile
import threading
import time

PATIENCE = 15  # s, for anything


class Failed(Exception):
    pass


def wait_for(what, condition):
    """The first true value of condition(), which is tried often."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise Failed("waited in vain for " + what)


class Asked:
    """One source asked one question: with Asked(...) as a: a.next()."""

    def __init__(self, program, source, service, *keys):
        self.conf = tempfile.NamedTemporaryFile("w", suffix=".conf")
        self.conf.write('sources = ( { name = "s"; %s } );\n' % source)
        self.conf.flush()
        self.command = [program, self.conf.name, "s", service, *keys]
        self.lines = queue.Queue()
        self.seen = []

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        return self

    def read(self):
        for line in self.process.stdout:
            self.lines.put(dict(json.loads(line), at=time.monotonic()))

    def next(self, *kinds):
        """The next line of one of these kinds (answer, confirm, trouble, say); any without."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise Failed("no %s; last: %s" % (" or ".join(kinds) or "line", self.seen[-3:])) from None
            self.seen.append(line)
            if not kinds or any(k in line for k in kinds):
                return line

    def answer(self):
        """The next answer, which must come before any trouble: addresses in order."""
        line = self.next("answer", "trouble")
        if "trouble" in line:
            raise Failed("trouble instead of an answer: " + line["trouble"])
        return addresses(line)

    def until(self, wanted):
        """Answers until one has these addresses."""
        while True:
            got = addresses(self.next("answer"))
            if got == wanted:
                return

    def trouble(self):
        """The next line but confirmations must be trouble."""
        line = self.next("answer", "trouble")
        if "answer" in line:
            raise Failed("an answer instead of trouble: %s" % line)
        return line["trouble"]

    def __exit__(self, kind, value, trace):
        self.process.stdin.close()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = "it did not end"
        self.reader.join(PATIENCE)
        self.process.stdout.close()
        self.conf.close()
        if status != 0 and kind is None:
            raise Failed("ask ended with %s" % status)


def addresses(line):
    return [e["address"] for e in line["answer"]]


def free_port():
    """A port of loopback that is free for UDP and TCP now, and not one of those that the kernel gives to clients."""
    while True:
        at = ("127.0.0.1", random.randrange(12000, 32000))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            try:
                udp.bind(at)
                tcp.bind(at)
            except OSError:
                continue
            return at[1]


class Server:
    """A program in the background, in a directory of its own: with Server(...) as s: s.stop(), s.start()."""

    def __init__(self, *command, ready):
        self.command, self.ready, self.process = command, ready, None

    def start(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        wait_for(self.command[0] + " to serve", self.serves)

    def serves(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise Failed("%s ended: %s" % (self.command[0], self.log.read()))
        return self.ready()

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None
            self.log.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()


CLAIMS = []


def claim(function):
    """Marks a test; its name says what holds."""
    CLAIMS.append(function)
    return function


def try_one(function):
    start = time.monotonic()
    try:
        function()
    except Exception as error:  # pylint: disable=broad-except
        print("FAILED     %s: %s: %s" % (function.__name__, type(error).__name__, error), flush=True)
        return False
    print("ok %5.1f s  %s" % (time.monotonic() - start, function.__name__), flush=True)
    return True


def run(names):
    """All claims, or those named; four at a time: they mostly wait.  The exit status."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        good = list(pool.map(try_one, [c for c in CLAIMS if not names or c.__name__ in names]))
    return 0 if good and all(good) else 1


def write(path, text):
    """Whole or not at all."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)
