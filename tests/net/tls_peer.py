"""tls_peer.py — a TLS 1.3 client that makes its records itself, well or badly: OpenSSL (module ssl) does the handshake, the rest is here.

  tls_peer.py updates HOST PORT N       key updates of every kind between N requests, each answered; {"ours": , "theirs": }
  tls_peer.py half HOST PORT PATH N     a request, close_notify; the answer and the other's close_notify must come
  tls_peer.py cut HOST PORT             a request and an end without close_notify
  tls_peer.py pieces HOST PORT          requests in records of a byte, in segments of a byte, with padding, many in one segment
  tls_peer.py sizes HOST PORT PATH N    N bytes of body; {"first", "most"}: plaintext of the first and of the largest record
  tls_peer.py hold HOST PORT N FILE     N connections (of 1.3, then as many of 1.2) that had an answer and stay; their secrets in FILE, as
                                        key log; "ready", then until SIGTERM
"""
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import os
import signal
import socket
import ssl
import struct
import sys
import tempfile
import time

sys.dont_write_bytecode = True

CCS, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
KEY_UPDATE = 24
MAX = 16384
NAME = "shop.example"

crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for f in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm", "EVP_aes_256_gcm", "EVP_chacha20_poly1305"):
    getattr(crypto, f).restype = ctypes.c_void_p
SUITES = {"TLS_AES_128_GCM_SHA256": ("EVP_aes_128_gcm", 16, "sha256"), "TLS_AES_256_GCM_SHA384": ("EVP_aes_256_gcm", 32, "sha384"),
          "TLS_CHACHA20_POLY1305_SHA256": ("EVP_chacha20_poly1305", 32, "sha256")}


class Ended(Exception):
    pass


class Alert(Exception):
    def __init__(self, number):
        super().__init__(f"alert {number}")
        self.number = number


def aead(cipher, seal, key, nonce, aad, data, tag=None):
    """(bytes, tag): sealed, or opened; a wrong tag raises."""
    p, out, n = ctypes.c_void_p, ctypes.create_string_buffer(len(data) + 16), ctypes.c_int()
    x = p(crypto.EVP_CIPHER_CTX_new())
    try:
        t = ctypes.create_string_buffer(tag or bytes(16), 16)
        ok = crypto.EVP_CipherInit_ex(x, p(getattr(crypto, cipher)()), None, key, nonce, int(seal))
        ok &= crypto.EVP_CipherUpdate(x, None, ctypes.byref(n), aad, len(aad))
        if data:
            ok &= crypto.EVP_CipherUpdate(x, out, ctypes.byref(n), data, len(data))
        if not seal:
            ok &= crypto.EVP_CIPHER_CTX_ctrl(x, 0x11, 16, t)
        ok &= crypto.EVP_CipherFinal_ex(x, ctypes.create_string_buffer(16), ctypes.byref(n))
        if seal:
            ok &= crypto.EVP_CIPHER_CTX_ctrl(x, 0x10, 16, t)
        if ok != 1:
            raise ValueError("a record does not verify")
        return out.raw[:len(data)], t.raw
    finally:
        crypto.EVP_CIPHER_CTX_free(x)


def expand(algorithm, secret, label, n):
    """HKDF-Expand-Label with an empty context (RFC 8446, 7.1)."""
    name = b"tls13 " + label
    info, out, last, i = struct.pack(">HB", n, len(name)) + name + b"\0", b"", b"", 1
    while len(out) < n:
        last = hmac.new(secret, last + info + bytes([i]), algorithm).digest()
        out, i = out + last, i + 1
    return out[:n]


class Half:
    """One direction."""

    def __init__(self, suite, secret):
        self.cipher, self.key_len, self.algorithm = SUITES[suite]
        self.use(secret)

    def use(self, secret):
        self.secret, self.seq = secret, 0
        self.key, self.iv = (expand(self.algorithm, secret, w, n) for w, n in ((b"key", self.key_len), (b"iv", 12)))

    def update(self):
        self.use(expand(self.algorithm, self.secret, b"traffic upd", len(self.secret)))

    def nonce(self):
        n = bytes(a ^ b for a, b in zip(self.iv, struct.pack(">4xQ", self.seq)))
        self.seq += 1
        return n

    def seal(self, kind, data, pad=0):
        inner = data + bytes([kind]) + bytes(pad)
        head = struct.pack(">BHH", DATA, 0x0303, len(inner) + 16)
        sealed, tag = aead(self.cipher, True, self.key, self.nonce(), head, inner)
        return head + sealed + tag

    def open(self, head, body):
        inner = aead(self.cipher, False, self.key, self.nonce(), head, body[:-16], body[-16:])[0].rstrip(b"\0")
        return inner[-1], inner[:-1]


def context(log=None, ca=None, cert=None, version=ssl.TLSVersion.TLSv1_3):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.minimum_version = c.maximum_version = version
    if ca:
        c.load_verify_locations(ca)
    else:
        c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if cert:
        c.load_cert_chain(cert + ".pem", cert + ".key")
    if log:
        c.keylog_filename = log
    return c


def dial(host, port, timeout=15):
    s = socket.create_connection((host, int(port)), timeout=timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def client_hello(name=NAME, **more):
    out = ssl.MemoryBIO()
    try:
        context(**more).wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


class Session:
    """A TLS 1.3 connection after its handshake."""

    def __init__(self, host, port, name=NAME, **more):
        fd, log = tempfile.mkstemp(prefix="sluice-keylog-")
        os.close(fd)
        try:
            self.s, self.data, self.plain, self.sizes, self.updated = dial(host, port), b"", b"", [], 0
            self.handshake(context(log, **more), name)
            with open(log, encoding="ascii") as f:
                secrets = {w[0]: bytes.fromhex(w[2]) for w in map(str.split, f) if len(w) == 3}
        finally:
            os.unlink(log)
        self.tx, self.rx = (Half(self.suite, secrets[w + "_TRAFFIC_SECRET_0"]) for w in ("CLIENT", "SERVER"))

    def handshake(self, c, name):
        come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
        t = c.wrap_bio(come, go, server_hostname=name)
        while True:
            try:
                t.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.s.sendall(go.read())
                part = self.s.recv(65536)
                if not part:
                    raise Ended("in the handshake") from None
                come.write(part)
        self.s.sendall(go.read())
        self.suite, self.data = t.cipher()[0], come.read()

    def send(self, kind, data, pad=0):
        self.s.sendall(self.tx.seal(kind, data, pad))

    def more(self):
        part = self.s.recv(65536)
        if not part:
            raise Ended
        self.data += part

    def record(self):
        while len(self.data) < 5 or len(self.data) < 5 + struct.unpack(">H", self.data[3:5])[0]:
            self.more()
        n = 5 + struct.unpack(">H", self.data[3:5])[0]
        head, body, self.data = self.data[:5], self.data[5:n], self.data[n:]
        if head[0] != DATA:
            raise ValueError(f"a record of type {head[0]} without protection")
        return self.rx.open(head, body)

    def read(self):
        """Plaintext of the next record with data; what is for us is done."""
        while True:
            kind, data = self.record()
            if kind == DATA:
                self.sizes.append(len(data))
                return data
            if kind == ALERT:
                raise Ended if data[1] == 0 else Alert(data[1])
            if data[0] == KEY_UPDATE:
                self.rx.update()
                self.updated += 1
                if data[4] == 1:
                    self.update(0)

    def update(self, asks):
        self.send(HANDSHAKE, struct.pack(">B3sB", KEY_UPDATE, b"\0\0\1", asks))
        self.tx.update()

    def until(self, done):
        while not done(self.plain):
            self.plain += self.read()

    def answer(self):
        """(status, body) of the next answer."""
        self.until(lambda p: b"\r\n\r\n" in p)
        head, _, self.plain = self.plain.partition(b"\r\n\r\n")
        n = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        self.until(lambda p: len(p) >= n)
        body, self.plain = self.plain[:n], self.plain[n:]
        return int(head.split(b" ")[1]), body

    @staticmethod
    def request(path="/who", more=""):
        return f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\n{more}\r\n".encode()

    def ask(self, path="/who"):
        self.send(DATA, self.request(path))
        status, body = self.answer()
        if status != 200:
            raise ValueError(f"{path}: {status} {body!r}")
        return body

    def end(self):
        """(how, alert): reads until the other ends."""
        try:
            while True:
                self.read()
        except Ended:
            return "closed", 0
        except Alert as e:
            return "alert", e.number
        except ConnectionError:
            return "reset", 0
        except socket.timeout:
            return "open", 0


def updates(host, port, n):
    t, n = Session(host, port), int(n)
    t.ask()
    for i in range(n):
        if i % 3 == 0:
            t.update(1)
        elif i % 3 == 1:
            t.update(0)
        else:
            t.update(1)
            t.update(0)
        t.ask("/who" if i % 2 else "/bytes/100000")
        if i % 20 == 19:  # a client that reads a while between
            time.sleep(0.02)
    asked = sum(i % 3 != 1 for i in range(n))
    if not 1 <= t.updated <= asked:
        sys.exit(f"{t.updated} key updates came, {asked} were asked for")
    print(json.dumps({"ours": n + n // 3, "theirs": t.updated}))


def half(host, port, path, n):
    t = Session(host, port)
    t.send(DATA, t.request(path, "Connection: close\r\n"))
    t.send(ALERT, b"\1\0")
    status, body = t.answer()
    how = t.end()
    if (status, len(body), how) != (200, int(n), ("closed", 0)):
        sys.exit(f"{status}, {len(body)} bytes, then {how}")
    print(json.dumps({"ok": True}))


def cut(host, port):
    t = Session(host, port)
    t.ask()
    t.s.shutdown(socket.SHUT_WR)
    print(json.dumps({"how": t.end()}))


def pieces(host, port):
    t = Session(host, port)
    for b in t.request():
        t.send(DATA, bytes([b]))
    assert t.answer()[0] == 200, "records of a byte"
    for b in t.tx.seal(DATA, t.request()):
        t.s.sendall(bytes([b]))
    assert t.answer()[0] == 200, "segments of a byte"
    t.send(DATA, t.request(), 1000)
    assert t.answer()[0] == 200, "padding"
    r = t.request()
    t.send(DATA, r, MAX - len(r))
    assert t.answer()[0] == 200, "a full record of padding"
    t.send(DATA, b"", 100)
    t.send(DATA, r)
    assert t.answer()[0] == 200, "an empty record before"
    t.s.sendall(b"".join(t.tx.seal(DATA, part) for part in (r, r[:9], r[9:], r + r[:4], r[4:])))
    assert [t.answer()[0] for _ in range(4)] == [200] * 4, "many records at once"
    half_of = t.tx.seal(DATA, r)
    t.s.sendall(half_of[:20])
    time.sleep(0.05)
    t.s.sendall(half_of[20:])
    assert t.answer()[0] == 200, "a record in two parts"
    body = os.urandom(40000)
    t.s.sendall(b"".join(t.tx.seal(DATA, p) for p in (f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode(),
                                                     body[:MAX], body[MAX:2 * MAX], body[2 * MAX:])))
    status, echo = t.answer()
    assert status == 200 and json.loads(echo)["sha"] == hashlib.sha256(body).hexdigest(), "full records"
    print(json.dumps({"ok": True}))


def sizes(host, port, path, n):
    t = Session(host, port)
    got = t.ask(path)
    if len(got) != int(n):
        sys.exit(f"{len(got)} bytes")
    print(json.dumps({"first": t.sizes[0], "most": max(t.sizes), "records": len(t.sizes)}))


def hold(host, port, n, log):
    over, held = [], []
    signal.signal(signal.SIGTERM, lambda *_: over.append(1))
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        c = context(log, version=version)
        for _ in range(int(n)):
            s = c.wrap_socket(dial(host, port), server_hostname=NAME)
            s.sendall(Session.request())
            if not s.recv(65536).startswith(b"HTTP/1.1 200"):
                sys.exit("no answer")
            held.append(s)
    print("ready", flush=True)
    while not over:
        time.sleep(0.05)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("updates", "half", "cut", "pieces", "sizes", "hold"):
        sys.exit(__doc__)
    globals()[sys.argv[1]](*sys.argv[2:])
