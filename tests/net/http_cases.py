"""http_cases.py — requests that a gateway must take or refuse, and what reached the endpoints because of them.

  http_cases.py cases > FILE     the cases for http_peer.py ask; the endpoint marks its requests by their paths
  http_cases.py judge RECORD…    reads what endpoints recorded: every request must be one that the cases meant to reach an endpoint,
                                 whole and unambiguous: also as other servers would read it.  Exit 1 when not.
"""
import json
import re
import sys

H = "Host: shop.test\r\n"
OK = "GET /echo/ok HTTP/1.1\r\n" + H + "\r\n"


def get(more="", path="/echo/one", version="1.1", host=H, method="GET"):
    return f"{method} {path} HTTP/{version}\r\n{host}{more}\r\n"


# name, pieces sent, statuses, whether the connection is closed then
TAKEN = [
    ("one", [get()], [200], False),
    ("two, pipelined", [get() + get(path="/echo/two")], [200, 200], False),
    ("three, pipelined, with a body between", [get() + "POST /echo/b HTTP/1.1\r\n" + H + "Content-Length: 3\r\n\r\nabc" + get()],
     [200, 200, 200], False),
    ("byte by byte", [p for b in get() for p in (b, 1)], [200], False),
    ("an empty line first", ["\r\n" + get()], [200], False),
    ("close asked for", [get("Connection: close\r\n")], [200], True),
    ("HTTP/1.0", [get(version="1.0")], [200], True),
    ("HTTP/1.0 without Host", [get(version="1.0", host="")], [200], True),
    ("HTTP/1.0, kept", [get("Connection: keep-alive\r\n", version="1.0"), 50, get(version="1.0")], [200, 200], True),
    ("absolute form", [get(path="http://shop.test/echo/abs", host="Host: other.test\r\n")], [200], False),
    ("chunked", ["POST /echo/c HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"], [200], False),
    ("chunked, extension and trailer",
     ["POST /echo/c HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nx-t: 1\r\n\r\n" + get()],
     [200, 200], False),
    ("chunked, in pieces",
     ["POST /echo/c HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n", 5, "3", 5, "\r", 5, "\nab", 5, "c\r", 5, "\n0\r\n", 5, "\r\n"],
     [200], False),
    ("Content-Length: 0", ["POST /echo/z HTTP/1.1\r\n" + H + "Content-Length: 0\r\n\r\n"], [200], False),
    ("an underscore in a name", [get("x_y: 1\r\n")], [200], False),
    ("bytes over 127 in a value", [get("x: caf\xc3\xa9\r\n")], [200], False),
    ("Host with a port", [get(host="Host: shop.test:80\r\n")], [200], False),
    ("Host in brackets", [get(host="Host: [::1]:80\r\n")], [200], False),
    ("dots in the path", [get(path="/echo/x/../y/./z")], [200], False),
    ("percent-code", [get(path="/echo/%7Eme%2fx")], [200], False),
    ("interim answer", [get(path="/interim")], [103, 200], False),
    ("Expect, taken", ["POST /continue HTTP/1.1\r\n" + H + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n", 50, "abc"], [100, 200], False),
    ("Expect, refused", ["POST /refuse-continue HTTP/1.1\r\n" + H + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"], [417], True),
    ("upgrade refused, a request behind it", [get("Connection: upgrade\r\nUpgrade: echo\r\n", path="/echo/noup") + get()], [200, 200], False),
    ("204", [get(path="/status/204") + get()], [204, 200], False),
    ("304", [get(path="/status/304") + get()], [304, 200], False),
    ("until the end", [get(path="/close/1000") + get()], [200, 200], False),
]
REFUSED = [
    ("CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", 400),
    ("TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n", 400),
    ("TE.TE", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    ("TE: chunked, chunked", "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    ("TE: xchunked", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("TE: gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    ("TE with a tab in it", "Transfer-Encoding: \tchun\tked\r\n\r\n0\r\n\r\n", 400),
    ("space before the colon", "Content-Length : 5\r\n\r\nabcde", 400),
    ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400),
    ("one length twice", "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400),
    ("length list", "Content-Length: 5, 5\r\n\r\nabcde", 400),
    ("length +5", "Content-Length: +5\r\n\r\nabcde", 400),
    ("length -1", "Content-Length: -1\r\n\r\n", 400),
    ("length 0x5", "Content-Length: 0x5\r\n\r\nabcde", 400),
    ("length empty (CVE-2023-40225)", "Content-Length:\r\n\r\n", 400),
    ("length too large (CVE-2021-40346)", "Content-Length: 99999999999999999999\r\n\r\n", 400),
    ("length wraps", "Content-Length: 18446744073709551617\r\n\r\nX", 400),
    ("empty name (CVE-2023-25725)", ": x\r\nContent-Length: 3\r\n\r\nabc", 400),
    ("obs-fold", "x: 1\r\n 2\r\n\r\n", 400),
    ("bare LF", "x: 1\ny: 2\r\n\r\n", 400),
    ("bare CR", "x: 1\ry: 2\r\n\r\n", 400),
    ("NUL", "x: a\0b\r\n\r\n", 400),
    ("control in a name", "x\x01: 1\r\n\r\n", 400),
    ("no colon", "nothing\r\n\r\n", 400),
    ("two Hosts", "Host: evil.test\r\n\r\n", 400),
    ("chunk size is not one", "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", 400),
    ("chunk size 0x3", "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400),
    ("chunk size wraps", "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", 400),
    ("chunk without CR LF behind its data", "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX0\r\n\r\n", 400),
    ("chunk ended by LF", "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400),
    ("endless chunk extension", "Transfer-Encoding: chunked\r\n\r\n3;" + "x" * 5000 + "\r\nabc\r\n0\r\n\r\n", 400),
    ("Content-Length as a trailer", "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", 400),
    ("101 lines", "".join(f"x-{i}: y\r\n" for i in range(101)) + "\r\n", 431),
    ("61 KB", "x: " + "y" * 62000 + "\r\n\r\n", 431),
]
LINES = [
    ("lower case method", "get / HTTP/1.1\r\n" + H + "\r\n", None),
    ("no version", "GET /\r\n" + H + "\r\n", 400),
    ("HTTP/1.2", "GET / HTTP/1.2\r\n" + H + "\r\n", 505),
    ("HTTP/2.0", "GET / HTTP/2.0\r\n" + H + "\r\n", 505),
    ("two spaces", "GET  / HTTP/1.1\r\n" + H + "\r\n", 400),
    ("a space behind", "GET / HTTP/1.1 \r\n" + H + "\r\n", 400),
    ("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("Host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    ("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("fragment", "GET /a#b HTTP/1.1\r\n" + H + "\r\n", 400),
    ("target without /", "GET a HTTP/1.1\r\n" + H + "\r\n", 400),
    ("above the root", "GET /../etc HTTP/1.1\r\n" + H + "\r\n", 400),
    ("above the root, coded", "GET /%2e%2e/etc HTTP/1.1\r\n" + H + "\r\n", 400),
    ("%00", "GET /a%00b HTTP/1.1\r\n" + H + "\r\n", 400),
    ("broken percent-code", "GET /a%zz HTTP/1.1\r\n" + H + "\r\n", 400),
    ("CONNECT", "CONNECT shop.test:443 HTTP/1.1\r\n" + H + "\r\n" + OK, 405),
    ("not HTTP", "\x16\x03\x01\x02\x00\x01", 400),
    ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
]
# answers of endpoints that are not HTTP, or end too early
ENDPOINT = [("garbage", 502), ("two-lengths", 502), ("both", 502), ("die-before", 502), ("reset-before", 502)]


def cases():
    out = [{"name": n, "send": s, "want": w, "closed": c} for n, s, w, c in TAKEN]
    out.append({"name": "HEAD", "send": [get(method="HEAD", path="/bytes/10") + get()], "want": [200], "head": True, "closed": False})
    for n, rest, status in REFUSED:
        out.append({"name": n, "send": ["POST /echo/evil HTTP/1.1\r\n" + H + rest + OK.replace("ok", "smuggled")], "want": [status],
                    "closed": True})
    for n, text, status in LINES:
        if status:
            out.append({"name": n, "send": [text], "want": [status], "closed": True})
    for path, status in ENDPOINT:
        out.append({"name": path, "send": [get(path="/" + path)], "want": [status], "closed": False})
    # HEAD's answer has no body: the request behind it is not looked at here
    out[len(TAKEN)]["send"] = [get("Connection: close\r\n", method="HEAD", path="/bytes/10")]
    out[len(TAKEN)]["closed"] = True
    return out


def judge(files):
    bad = seen = 0
    for file in files:
        for line in open(file, encoding="ascii"):
            j = json.loads(line)
            why = wrong(j)
            seen += 1
            if why:
                bad += 1
                print(f"{file}: {why}: {j}")
    print(f"{seen} requests reached endpoints, {bad} wrong")
    sys.exit(bad > 0)


def wrong(j):
    if "head" not in j:
        return "bytes that are no request" if j.get("left") else None
    lines = j["head"].split("\r\n")
    names = [x.split(":")[0].lower() for x in lines[1:]]
    if "smuggled" in j["head"]:
        return "a request that was hidden in another one"
    if not re.fullmatch(r"[A-Z]+ /[^\s#]* HTTP/1\.1", lines[0]) and lines[0] != "OPTIONS * HTTP/1.1":
        return "request line"
    if names.count("host") != 1 or names[0] != "host":
        return "Host"
    if names.count("content-length") + names.count("transfer-encoding") > 1:
        return "framing"
    if "\n" in "".join(lines) or "\0" in j["head"]:
        return "control bytes"
    for h in ("keep-alive", "proxy-connection", "te", "trailer"):
        if h in names:
            return h
    if "/../" in lines[0] or "/./" in lines[0]:
        return "a path that is not normal"
    if names.count("x-forwarded-for") != 1 or names.count("x-request-id") != 1:
        return "x-forwarded-for, x-request-id"
    return None


if sys.argv[1:] == ["cases"]:
    json.dump(cases(), sys.stdout)
elif sys.argv[1:2] == ["judge"]:
    judge(sys.argv[2:])
else:
    sys.exit(__doc__)
