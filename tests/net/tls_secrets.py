"""tls_secrets.py — looks for key bytes where they must not be.

  tls_secrets.py needles OUT KEY… --tickets FILE --log FILE --plant TEXT   what is looked for, as JSON {name: hex}: of each private key
                    (PEM) its numbers in both byte orders and lines of its text; ticket keys; secrets of a key log and the keys made of
                    them; TEXT
  tls_secrets.py memory PID NEEDLES         in what a core of the process would hold (mappings that are not excluded from dumps), in
                    descriptors that are memory, and, apart, in what is excluded
  tls_secrets.py files NEEDLES FILE…        in files, directories with all that is in them

Prints a JSON object {"found": {place: [names]}, "excluded": {…}, "bytes": how many were looked at}.
"""
import base64
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
from tls_peer import SUITES, expand  # noqa: E402

PIECE = 8 << 20


def numbers(key):
    """Private numbers of a key, big endian, as openssl shows them."""
    text = subprocess.run(["openssl", "pkey", "-in", key, "-noout", "-text"], check=True, capture_output=True, text=True).stdout
    for name, value in re.findall(r"^(priv|privateExponent|prime1|prime2|exponent1|exponent2|coefficient):\s*\n((?:    [0-9a-f:]+\n)+)", text, re.M):
        yield name, bytes.fromhex(re.sub(r"[\s:]", "", value)).lstrip(b"\0")


def pem_lines(key):
    """Middles of its lines: the first of PKCS #8 are the same for all keys."""
    lines = [x for x in open(key, encoding="ascii").read().split("\n") if x and "-----" not in x]
    return [x.encode() for x in lines[1:] if len(x) >= 32]


def of_key(key, out):
    name = os.path.basename(key)
    for what, n in numbers(key):
        out[f"{name} {what}"] = n[:32]
        out[f"{name} {what}, little endian"] = n[::-1][-32:] if len(n) > 32 else n[::-1]
        out[f"{name} {what}, little endian, its end"] = n[::-1][:32]
    for i, x in enumerate(pem_lines(key)):
        out[f"{name} line {i}"] = x
    der = base64.b64decode("".join(x for x in open(key, encoding="ascii").read().split("\n") if "-----" not in x))
    out[f"{name} DER"] = der[-48:-8] if len(der) > 300 else der[36:68]


def of_log(log, out):
    for i, line in enumerate(open(log, encoding="ascii")):
        w = line.split()
        if len(w) != 3 or w[0].startswith("#"):
            continue
        secret = bytes.fromhex(w[2])
        out[f"{w[0]} {i}"] = secret
        if "TRAFFIC_SECRET_0" in w[0]:
            for suite, (_, n, algorithm) in SUITES.items():
                if (algorithm == "sha384") == (len(secret) == 48):
                    out[f"{w[0]} {i} key of {suite}"] = expand(algorithm, secret, b"key", n)


def needles(out, *rest):
    found, keys = {}, []
    rest = list(rest)
    while rest:
        w = rest.pop(0)
        if w == "--tickets":
            t = open(rest.pop(0), "rb").read()
            for i in range(0, len(t), 80):
                found[f"ticket key {i // 80} hmac"], found[f"ticket key {i // 80} aes"] = t[i + 16:i + 48], t[i + 48:i + 80]
        elif w == "--log":
            of_log(rest.pop(0), found)
        elif w == "--plant":
            found["planted"] = rest.pop(0).encode()
        else:
            keys.append(w)
    for k in keys:
        of_key(k, found)
    with open(out, "w", encoding="ascii") as f:
        json.dump({n: v.hex() for n, v in found.items()}, f)
    print(json.dumps({"needles": len(found)}))


class Search:
    def __init__(self, file):
        self.names = {}
        for n, v in json.load(open(file, encoding="ascii")).items():
            self.names.setdefault(bytes.fromhex(v), n)
        self.most = max(map(len, self.names))
        # one look for the first eight bytes of all
        self.any = re.compile(b"|".join(re.escape(n) for n in sorted({x[:8] for x in self.names})))
        self.found, self.excluded, self.bytes = {}, {}, 0

    def piece(self, data, where, into):
        for m in self.any.finditer(data):
            for needle, name in self.names.items():
                if data.startswith(needle, m.start()):
                    if name not in into.setdefault(where, []):
                        into[where].append(name)

    def file(self, f, start, end, where, into):
        """Pieces that overlap; what cannot be read (never touched, or gone) is passed over."""
        at = start
        while at < end:
            n = min(PIECE, end - at)
            try:
                f.seek(at)
                data = f.read(n)
            except (OSError, ValueError):
                data = b""
            if data.count(0) != len(data):
                self.piece(data, where, into)
            self.bytes += len(data)
            at += n if n < PIECE or at + n >= end else n - self.most

    def say(self):
        print(json.dumps({"found": self.found, "excluded": self.excluded, "bytes": self.bytes}))


def mappings(pid):
    """(start, end, rights, name, whether it is excluded from dumps)."""
    out, now = [], None
    for line in open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace"):
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
        if m:
            now = [int(m[1], 16), int(m[2], 16), m[3], m[4].strip() or "anonymous", 0]
            out.append(now)
        elif line.startswith("Rss:") and line.split()[1] == "0":
            now.append("untouched")
        elif line.startswith("VmFlags:"):
            now[4] = "dd" in line.split()
    return [m[:5] for m in out if "r" in m[2] and len(m) == 5]


def memory(pid, file):
    s = Search(file)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as f:
        for start, end, _, name, dd in mappings(pid):
            if name not in ("[vvar]", "[vsyscall]"):
                s.file(f, start, end, f"{name} {start:x}", s.excluded if dd else s.found)
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        try:
            to = os.readlink(path)
            if to.startswith("/memfd:") or to.startswith("/dev/shm/"):
                with open(path, "rb", buffering=0) as f:
                    s.file(f, 0, os.fstat(f.fileno()).st_size, to, s.found)
        except OSError:
            pass
    s.say()


def files(file, *paths):
    s = Search(file)
    for p in paths:
        for path in [os.path.join(d, n) for d, _, names in os.walk(p) for n in names] if os.path.isdir(p) else [p]:
            with open(path, "rb", buffering=0) as f:
                s.file(f, 0, os.fstat(f.fileno()).st_size, path, s.found)
    s.say()


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("needles", "memory", "files"):
        sys.exit(__doc__)
    globals()[sys.argv[1]](*sys.argv[2:])
