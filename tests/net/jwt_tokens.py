"""Keys, key sets and tokens of the tests, by another implementation than the gateway's (PyJWT, pyca/cryptography), and a server of key
sets that does as it is told.

  keys DIR NAME:KIND…              private keys DIR/NAME.pem; KIND: rsa, ec, ed
  jwks DIR NAME:KID…               the key set of these, to standard output; "NAME:" has no kid
  token DIR NAME KID CLAIMS [HEADER]   a token; CLAIMS and HEADER are JSON, exp, nbf and iat as "+60" from now
  forge DIR NAME KIND              what nobody should accept (KINDS)
  flood DIR NAME KID HOST N COPIES  N tokens, each in COPIES requests, pipelined on ten connections at once, four of
                                   five for /spot, the others for /must: how many answers of which status
  certs DIR                        two CAs and certificates of servers by them: DIR/NAME.pem, with the key (CERTS)
  serve PORT DIR [tls]             GET / gives DIR/set by the word in DIR/how (Server.do_GET); tls: with the certificate DIR/certificate
                                   names, "plain": none
"""

import base64, datetime, gzip, hashlib, hmac, http.server, ipaddress, json, os, socket, ssl, sys, time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ALGS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}
GOOD = {"iss": "https://issuer.test", "aud": "api", "sub": "ann", "exp": "+600", "iat": "+0"}


def b64(data):
    if isinstance(data, dict):
        data = json.dumps(data)
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


def load(where, name):
    with open(f"{where}/{name}.pem", "rb") as f:
        return serialization.load_pem_private_key(f.read(), None)


def kind_of(key):
    return "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ec" if isinstance(key, ec.EllipticCurvePrivateKey) else "ed"


def make(where, name, kind):
    key = (
        rsa.generate_private_key(65537, 2048)
        if kind == "rsa"
        else ec.generate_private_key(ec.SECP256R1())
        if kind == "ec"
        else ed25519.Ed25519PrivateKey.generate()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with open(f"{where}/{name}.pem", "wb") as f:
        f.write(pem)


def public(where, name, kid):
    key = load(where, name)
    if kind_of(key) == "rsa":
        n = key.public_key().public_numbers()
        j = {"kty": "RSA", "n": number(n.n), "e": number(n.e), "use": "sig", "alg": "RS256"}
    elif kind_of(key) == "ec":
        n = key.public_key().public_numbers()
        j = {"kty": "EC", "crv": "P-256", "x": number(n.x, 32), "y": number(n.y, 32)}
    else:
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        j = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
    return {**j, **({"kid": kid} if kid else {})}


def times(claims):
    for name, value in claims.items():
        if isinstance(value, str) and value[:1] in "+-" and value[1:].isdigit():
            claims[name] = int(time.time()) + int(value)
    return {k: v for k, v in claims.items() if v is not None}


def token(where, name, kid, claims, header):
    key = load(where, name)
    if kid:
        header = {"kid": kid, **header}
    return jwt.encode(times({**GOOD, **claims}), key, ALGS[kind_of(key)], headers=header)


def signed(key, header, claims):
    """RS256 over any bytes."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    text = f"{b64(header)}.{b64(claims)}"
    return f"{text}.{b64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def forge(where, name, kind):
    key, claims = load(where, name), json.dumps(times(dict(GOOD)))
    good = signed(key, {"alg": "RS256", "kid": name}, claims)
    head, payload, signature = good.split(".")
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    hs = b64({"alg": "HS256", "kid": name}) + "." + payload
    rs = b64({"alg": "RS256", "kid": name}) + "." + payload
    mac = lambda text: b64(hmac.new(pem, text.encode(), hashlib.sha256).digest())
    evil = b64(claims.replace("ann", "root"))
    return {
        "none": f"{b64({'alg': 'none'})}.{payload}.",
        "none-signed": f"{b64({'alg': 'none', 'kid': name})}.{payload}.{signature}",
        "hmac": f"{hs}.{mac(hs)}",
        "hmac-as-rs": f"{rs}.{mac(rs)}",
        "empty-signature": f"{head}.{payload}.",
        "two-parts": f"{head}.{payload}",
        "four-parts": f"{good}.x",
        "other-claims": f"{head}.{evil}.{signature}",
        "trailing": good + "AAAA",
        "padded": good + "==",
        "duplicate": signed(key, {"alg": "RS256", "kid": name}, claims[:-1] + ', "sub": "root"}'),
        "duplicate-header": signed(key, f'{{"alg": "RS256", "kid": "{name}", "alg": "none"}}', claims),
        "crit": signed(key, {"alg": "RS256", "kid": name, "crit": ["exp"]}, claims),
        "embedded": signed(key, {"alg": "RS256", "kid": "mine", "jwk": public(where, name, "mine")}, claims),
        "kid-path": signed(key, {"alg": "RS256", "kid": "../../../../etc/passwd"}, claims),
        "kid-sql": signed(key, {"alg": "RS256", "kid": "x' OR '1'='1"}, claims),
        "kid-nul": signed(key, f'{{"alg": "RS256", "kid": "{name}\\u0000"}}', claims),
        "deep": signed(key, {"alg": "RS256", "kid": name}, '{"a":' * 400 + "1" + "}" * 400),
        "array": signed(key, {"alg": "RS256", "kid": name}, "[1]"),
        "garbage": "not.a.token",
        "huge": signed(key, {"alg": "RS256", "kid": name}, claims[:-1] + ', "x": "' + "A" * 9000 + '"}'),
        "float-exp": signed(key, {"alg": "RS256", "kid": name}, claims.replace('"exp": 1', '"exp": 1e300, "y": 1')),
        "bad-utf8": signed(key, {"alg": "RS256", "kid": name}, claims.encode()[:-1] + b', "z": "\xc0\xaf"}'),
    }[kind]


def flood(where, name, kid, host, n, copies):
    import collections, re, socket, threading, time

    many = [token(where, name, kid, {"n": i, "of": time.time_ns()}, {}) for i in range(n)]
    seen, lock = collections.Counter(), threading.Lock()

    def client(i):
        mine = [t for t in many[i::10] for _ in range(copies)]
        s = socket.create_connection((host, 80), 10)
        s.settimeout(20)
        text = "".join(
            f"GET {'/spot/x' if i % 5 else '/must/x'} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {t}\r\n\r\n"
            for i, t in enumerate(mine)
        )
        sender = threading.Thread(target=lambda: s.sendall(text.encode()))
        sender.start()
        data = b""
        while len(re.findall(rb"HTTP/1.1 \d", data)) < len(mine):
            more = s.recv(65536)
            if not more:
                break
            data += more
        sender.join()
        with lock:
            seen.update(x.decode() for x in re.findall(rb"HTTP/1.1 (\d+)", data))

    threads = [threading.Thread(target=client, args=(i,)) for i in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return dict(sorted(seen.items()))


# name: CA, addresses, names, days from now, purpose
CERTS = {
    "good": ("ca", ["127.0.0.1"], [], (-1, 1), "serverAuth"),
    "stranger": ("ca2", ["127.0.0.1"], [], (-1, 1), "serverAuth"),
    "self": (None, ["127.0.0.1"], [], (-1, 1), "serverAuth"),
    "elsewhere": ("ca", ["192.0.2.1"], ["keys.test"], (-1, 1), "serverAuth"),
    "expired": ("ca", ["127.0.0.1"], [], (-2, -1), "serverAuth"),
    "early": ("ca", ["127.0.0.1"], [], (1, 2), "serverAuth"),
    "client": ("ca", ["127.0.0.1"], [], (-1, 1), "clientAuth"),
}


def certificate(where, name, by, addresses, names, days, purpose):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    pem = lambda path: open(path, "rb").read()
    title = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    ca = by and x509.load_pem_x509_certificate(pem(f"{where}/{by}.pem"))
    b = (
        x509.CertificateBuilder()
        .subject_name(title(name))
        .issuer_name(ca.subject if ca else title(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(purpose is None, None), True)
    )
    if purpose:
        alternatives = [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses] + [x509.DNSName(n) for n in names]
        oid = ExtendedKeyUsageOID.SERVER_AUTH if purpose == "serverAuth" else ExtendedKeyUsageOID.CLIENT_AUTH
        b = b.add_extension(x509.SubjectAlternativeName(alternatives), False)
        b = b.add_extension(x509.ExtendedKeyUsage([oid]), False)
    signer = serialization.load_pem_private_key(pem(f"{where}/{by}.pem"), None) if by else key
    text = b.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    text += key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with open(f"{where}/{name}.pem", "wb") as f:
        f.write(text)


def certs(where):
    for ca in "ca", "ca2":
        certificate(where, ca, None, [], [], (-10, 10), None)
    for name, args in CERTS.items():
        certificate(where, name, *args)


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    tls = False

    def get_request(self):
        s, peer = super().get_request()
        name = open(f"{self.where}/certificate").read().strip() if self.tls else "plain"
        if name != "plain":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{self.where}/{name}.pem")
            s = context.wrap_socket(s, server_side=True, do_handshake_on_connect=False)
        return s, peer

    def handle_error(self, request, client_address):
        pass  # who does not like the certificate goes


class Server(http.server.BaseHTTPRequestHandler):
    def give(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def trickle(self, piece, gap, times):
        self.give(200, b"", content_length=None)
        try:
            for _ in range(times):
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(gap)
        except OSError:
            pass

    def do_GET(self):
        how = open(f"{self.server.where}/how").read().strip()
        body = open(f"{self.server.where}/set", "rb").read()
        if self.path == "/followed":
            open(f"{self.server.where}/followed", "w").close()
            how = "good"
        if how in ("302", "307", "308"):
            scheme = "https" if self.server.tls else "http"
            self.give(int(how), body, location=f"{scheme}://127.0.0.1:{self.server.server_port}/followed")
        elif how.isdigit():
            self.give(int(how), body)
        elif how == "html":
            self.give(200, b"<html>sign in</html>")
        elif how == "huge":
            self.give(200, b'{"keys": [' + b" " * 2000000 + b"]}")
        elif how == "endless":
            self.trickle(b" " * 65536, 0, 100000)
        elif how == "stuck":
            time.sleep(60)
        elif how == "drops":
            self.trickle(b" ", 0.3, 200)
        elif how == "empty":
            self.give(200, b'{"keys": []}')
        elif how == "short":
            self.give(200, body[:-3], content_length=str(len(body)))
        elif how == "half":
            self.give(200, body[:-3])
        elif how == "gzip":
            self.give(200, gzip.compress(body), content_encoding="gzip")
        elif how == "nul":
            self.give(200, b"\0" + body)
        elif how == "twice":
            self.give(200, body + body)
        elif how == "closes":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif how == "garbage":
            self.wfile.write(b"SSH-2.0-x\r\n\r\n")
        else:
            if how == "slow":
                time.sleep(1)
            self.give(200, body)

    def log_message(self, *args):
        pass


def main():
    verb, args = sys.argv[1], sys.argv[2:]
    if verb == "keys":
        for each in args[1:]:
            make(args[0], *each.split(":"))
    elif verb == "jwks":
        print(json.dumps({"keys": [public(args[0], *each.split(":")) for each in args[1:]]}))
    elif verb == "token":
        print(token(*args[:3], json.loads(args[3]), json.loads(args[4]) if len(args) > 4 else {}))
    elif verb == "forge":
        print(forge(*args))
    elif verb == "certs":
        certs(args[0])
    elif verb == "flood":
        print(flood(*args[:4], int(args[4]), int(args[5])))
    elif verb == "serve":
        server = Listener(("127.0.0.1", int(args[0])), Server)
        server.where, server.tls = args[1], args[2:] == ["tls"]
        print("ready", flush=True)
        server.serve_forever()


main()
