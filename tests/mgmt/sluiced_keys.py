"""sluiced_keys.py SLUICED SLUICECTL — no byte of a key stays in sluiced's memory or log once a verb is answered, and no core is written.

A real daemon and the real command line; the daemon's writable memory is searched through /proc (root alone may: else skipped).
"""
import base64
import os
import re
import subprocess
import sys
import tempfile
import time

SKIP = 77


def openssl(d, *args):
    subprocess.run(["openssl"] + list(args), cwd=d, check=True, capture_output=True)


def make_files(d):
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(d, "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "400", "-subj", "/CN=unmistakable-ca")
    openssl(d, "req", *new, "-keyout", "a.key", "-out", "a.csr", "-subj", "/CN=unmistakable")
    with open(os.path.join(d, "ext"), "w") as f:
        f.write("subjectAltName=DNS:a.example")
    openssl(d, "x509", "-req", "-in", "a.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "90", "-extfile", "ext",
            "-out", "a.pem")
    with open(os.path.join(d, "t.keys"), "wb") as f:
        f.write(os.urandom(80))
    os.chmod(os.path.join(d, "t.keys"), 0o600)
    with open(os.path.join(d, "conf"), "w") as f:
        f.write("".join(f'{k} = "{d}/{k}";\n' for k in ("api_socket", "dataplane_socket", "state_dir", "audit_log")))
        f.write('metrics = "";\n')


def needles(d):
    """What would give the key away: its scalar, either way round, and its text."""
    with open(os.path.join(d, "a.key")) as f:
        text = "".join(f.read().split("\n")[1:-2])
    der = base64.b64decode(text)
    at = der.index(b"\x04\x20", 20) + 2
    scalar = der[at:at + 32]
    found = {"its first half": scalar[:16], "its second half": scalar[16:], "turned round": scalar[::-1][:16]}
    for i in range(40, 80, 10):
        found[f"its text from {i}"] = text[i:i + 16].encode()
    return found


def memory_of(pid):
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line)
            size = int(m[2], 16) - int(m[1], 16)
            if "w" not in m[3] or size > 1 << 30:  # a sanitizer's shadow
                continue
            mem.seek(int(m[1], 16))
            try:
                yield line.strip(), mem.read(size)
            except OSError:
                pass


def ctl(program, d, *args, rc=0):
    p = subprocess.run([program, "-s", os.path.join(d, "api_socket")] + list(args), cwd=d, capture_output=True, text=True,
                       timeout=20)
    if p.returncode != rc:
        raise AssertionError(f"{args}: exit {p.returncode}, {p.stdout}{p.stderr}")
    return p.stdout + p.stderr


def use_keys(program, d):
    pair = ("--cert", "a.pem", "--key", "a.key")
    said = ctl(program, d, "cert", "check", *pair)
    said += ctl(program, d, "cert", "add", "shop", *pair)
    said += ctl(program, d, "cert", "replace", "shop", *pair)
    said += ctl(program, d, "cert", "add", "wrong", "--cert", "ca.pem", "--key", "a.key", rc=1)
    said += ctl(program, d, "cert", "add", "wrong", "--cert", "a.key", "--key", "a.key", rc=1)
    said += ctl(program, d, "cert", "add", "shop", *pair, rc=1)
    said += ctl(program, d, "tickets", "install", "t.keys")
    said += ctl(program, d, "--json", "cert", "show", "shop")
    return said.encode()


def main(sluiced, program):
    if os.geteuid() != 0:
        return SKIP
    failed = []
    with tempfile.TemporaryDirectory() as d:
        make_files(d)
        with open(os.path.join(d, "log"), "wb") as log:
            daemon = subprocess.Popen([sluiced, "-c", os.path.join(d, "conf")], stderr=log)
        try:
            end = time.monotonic() + 10
            while not os.path.exists(os.path.join(d, "api_socket")) and time.monotonic() < end:
                time.sleep(0.01)
            places = {"answers": use_keys(program, d)}
            with open(f"/proc/{daemon.pid}/limits") as f:
                if not re.search(r"Max core file size\s+0\s+0\s", f.read()):
                    failed.append("a core may be written")
            for name in "log", "audit_log":
                with open(os.path.join(d, name), "rb") as f:
                    places[name] = f.read()
            memory = list(memory_of(daemon.pid))
            # what is no secret is found: the search looks at the right bytes
            if not any(b"CN=unmistakable" in m for _, m in memory):
                failed.append("the search is blind")
            for where, m in list(places.items()) + memory:
                failed += [f"{where} holds {what}" for what, n in needles(d).items() if n in m]
        finally:
            daemon.terminate()
            daemon.wait()
    print("\n".join(failed) or "nothing of a key was found")
    return bool(failed)


sys.exit(main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])))
