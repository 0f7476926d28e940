"""tcp_proxy.py — PROXY headers as clients send them: good ones, whole and byte by byte, and bad ones.

  tcp_proxy.py good HOST PORT      each header, then a request: the answer must name the source that the header told
  tcp_proxy.py bad HOST PORT       each must end the connection without an answer; how many were sent
  tcp_proxy.py silent HOST PORT    a header that never ends must end the connection; after how many ms

The endpoint answers GET / with the PROXY header it got itself, "ADDRESS PORT\\n" (nginx, $proxy_protocol_addr and _port).
"""
import json
import socket
import struct
import sys
import time

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def v2(command=1, family=0x11, body=b"", length=None, version=2):
    return SIGNATURE + struct.pack(">BBH", version << 4 | command, family, len(body) if length is None else length) + body


def four(source="192.0.2.77", port=4711, more=b""):
    return socket.inet_aton(source) + socket.inet_aton("203.0.113.10") + struct.pack(">HH", port, 80) + more


def six(source="2001:db8::77", port=4712, more=b""):
    return (socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "2001:db8::10")
            + struct.pack(">HH", port, 80) + more)


def tlv(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


OWN = None  # the connection's own address: what LOCAL and UNKNOWN mean
GOOD = [
    ("v1 TCP4", b"PROXY TCP4 192.0.2.77 203.0.113.10 4711 80\r\n", "192.0.2.77 4711"),
    ("v1 TCP6", b"PROXY TCP6 2001:db8::77 2001:db8::10 4712 80\r\n", "2001:db8::77 4712"),
    ("v1 UNKNOWN", b"PROXY UNKNOWN\r\n", OWN),
    ("v1 UNKNOWN with text", b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", OWN),
    ("v2 TCP4", v2(body=four()), "192.0.2.77 4711"),
    ("v2 TCP6", v2(family=0x21, body=six()), "2001:db8::77 4712"),
    ("v2 LOCAL", v2(command=0, family=0), OWN),
    ("v2 LOCAL with an address", v2(command=0, body=four()), OWN),
    ("v2 with TLVs", v2(body=four(more=tlv(4, bytes(100)) + tlv(2, b"example.org"))), "192.0.2.77 4711"),
    ("v2 TCP6 with TLVs", v2(family=0x21, body=six(more=tlv(4, b""))), "2001:db8::77 4712"),
]
BAD = [
    ("no header", REQUEST),
    ("v1 without CR", b"PROXY TCP4 192.0.2.77 203.0.113.10 4711 80\n"),
    ("v1 too long", b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n"),
    ("v1 of another family", b"PROXY TCP4 2001:db8::77 2001:db8::10 4712 80\r\n"),
    ("v1 without addresses", b"PROXY TCP4\r\n"),
    ("v1 with a name", b"PROXY TCP4 localhost 203.0.113.10 4711 80\r\n"),
    ("v1 with port 65536", b"PROXY TCP4 192.0.2.77 203.0.113.10 65536 80\r\n"),
    ("v1 with a negative port", b"PROXY TCP4 192.0.2.77 203.0.113.10 -1 80\r\n"),
    ("v1 with one port", b"PROXY TCP4 192.0.2.77 203.0.113.10 80\r\n"),
    ("v1 with more words", b"PROXY TCP4 192.0.2.77 203.0.113.10 4711 80 90\r\n"),
    ("v1 UDP", b"PROXY UDP4 192.0.2.77 203.0.113.10 4711 80\r\n"),
    ("v1 in small letters", b"proxy TCP4 192.0.2.77 203.0.113.10 4711 80\r\n"),
    ("v1 with 0 byte", b"PROXY TCP4 192.0.2.77\0 203.0.113.10 4711 80\r\n"),
    ("v2 of version 1", v2(version=1, body=four())),
    ("v2 of version 3", v2(version=3, body=four())),
    ("v2 with command 2", v2(command=2, body=four())),
    ("v2 shorter than its addresses", v2(body=four()[:11])),
    ("v2 TCP6 with IPv4's length", v2(family=0x21, body=four())),
    ("v2 with a broken signature", b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c" + four()),
    ("v2 of 65,535 bytes", v2(body=bytes(65535))),
]


def dial(host, port):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.settimeout(10)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.connect((host, int(port)))
    return s


def read_all(s):
    data = b""
    try:
        while part := s.recv(4096):
            data += part
    except ConnectionResetError:
        if not data:
            raise
    return data


def good(host, port):
    wrong = done = 0
    for name, header, want in GOOD:
        for step in (len(header) + len(REQUEST), len(header), 1, 7):
            with dial(host, port) as s:
                told = want or "%s %d" % s.getsockname()[:2]
                data, pause = header + REQUEST, 0.002 if step < len(header) else 0
                try:
                    for at in range(0, len(data), step):
                        s.sendall(data[at:at + step])
                        time.sleep(pause)  # each piece in a segment of its own
                    answer = read_all(s).split(b"\r\n\r\n")[-1].decode().strip()
                except OSError as e:
                    answer = str(e)
                done += 1
                if answer != told:
                    wrong += 1
                    print(f"{name}, in pieces of {step}: {answer!r}, not {told!r}")
    print(json.dumps({"asked": done, "failed": wrong}))
    return wrong


def bad(host, port):
    wrong = done = 0
    for name, header in BAD:
        for step in (4096, 5):
            with dial(host, port) as s:
                try:
                    for at in range(0, len(header), step if len(header) < 1000 else 4096):
                        s.sendall(header[at:at + (step if len(header) < 1000 else 4096)])
                        time.sleep(0.001)
                    if len(header) < 1000:
                        s.sendall(REQUEST)
                    answer = read_all(s)
                except (ConnectionResetError, BrokenPipeError):
                    answer = b""
                except OSError as e:
                    answer = str(e).encode()
                done += 1
                if answer:
                    wrong += 1
                    print(f"{name}: it was not ended: {answer!r}")
    print(json.dumps({"asked": done, "failed": wrong}))
    return wrong


def silent(host, port):
    start = time.monotonic()
    with dial(host, port) as s:
        s.settimeout(40)
        s.sendall(b"PROXY TCP4 192.0.2.")
        try:
            how = "ended" if not s.recv(10) else "answered"
        except ConnectionResetError:
            how = "ended"
        except socket.timeout:
            how = "left open"
    print(json.dumps({"how": how, "ms": round((time.monotonic() - start) * 1000)}))
    return how != "ended"


sys.exit(1 if {"good": good, "bad": bad, "silent": silent}[sys.argv[1]](*sys.argv[2:]) else 0)
