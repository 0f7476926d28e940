"""Keys, key sets and tokens of the tests, by another implementation than the gateway's (PyJWT, pyca/cryptography), and a server of key
sets that does as it is told.

  keys DIR NAME:KIND…              private keys DIR/NAME.pem; KIND: rsa, ec, ed
  jwks DIR NAME:KID…               the key set of these, to standard output; "NAME:" has no kid
  token DIR NAME KID CLAIMS [HEADER]   a token; CLAIMS and HEADER are JSON, exp, nbf and iat as "+60" from now
  forge DIR NAME KIND              what nobody should accept (KINDS)
  flood DIR NAME KID HOST N COPIES  N tokens, each in COPIES requests, pipelined on ten connections at once: how many answers of which status
  serve PORT DIR                   GET / gives DIR/set by the word in DIR/how: good, 500, html, huge, slow, empty, none
"""

import base64, hashlib, hmac, http.server, json, os, sys, time

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
    import collections, re, socket, threading

    many = [token(where, name, kid, {"n": i}, {}) for i in range(n)]
    seen, lock = collections.Counter(), threading.Lock()

    def client(i):
        mine = [t for t in many[i::10] for _ in range(copies)]
        s = socket.create_connection((host, 80), 10)
        s.settimeout(20)
        text = "".join(
            f"GET /must/x HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {t}\r\n\r\n" for t in mine
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


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        how = open(f"{self.server.where}/how").read().strip()
        body = open(f"{self.server.where}/set", "rb").read()
        if how == "html":
            body = b"<html>sign in</html>"
        elif how == "huge":
            body = b'{"keys": [' + b" " * 2000000 + b"]}"
        elif how == "empty":
            body = b'{"keys": []}'
        elif how == "slow":
            time.sleep(1)
        self.send_response(500 if how == "500" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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
    elif verb == "flood":
        print(flood(*args[:4], int(args[4]), int(args[5])))
    elif verb == "serve":
        server = http.server.ThreadingHTTPServer(("127.0.0.1", int(args[0])), Server)
        server.where = args[1]
        print("ready", flush=True)
        server.serve_forever()


main()
