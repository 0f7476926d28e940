"""dns_server — a DNS server for what real ones will not do, on UDP and TCP of one loopback port; and messages, piece by piece.

server.says = a function of (name, type, query, tcp): bytes, a list of messages, or None for silence.
"""
import socket
import struct
import threading
import time

from asked import free_port

A, CNAME, AAAA, SRV = 1, 5, 28, 33
QUESTION = b"\xc0\x0c"  # a pointer to the question's name


def name_bytes(name):
    if isinstance(name, bytes):
        return name
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def record(owner, kind, ttl, data):
    return name_bytes(owner) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def a(address, ttl=1, owner=QUESTION):
    return record(owner, A, ttl, socket.inet_aton(address))


def aaaa(address, ttl=1, owner=QUESTION):
    return record(owner, AAAA, ttl, socket.inet_pton(socket.AF_INET6, address))


def cname(target, ttl=1, owner=QUESTION):
    return record(owner, CNAME, ttl, name_bytes(target))


def srv(priority, weight, port, target, ttl=1, owner=QUESTION):
    return record(owner, SRV, ttl, struct.pack(">HHH", priority, weight, port) + name_bytes(target))


def parse(query):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += query[at] + 1
    return ".".join(labels), struct.unpack(">H", query[at + 1:at + 3])[0], query[12:at + 5]


def reply(query, answers=(), additional=(), rcode=0, flags=0x8180, question=None):
    asked = parse(query)[2] if question is None else question
    return (query[:2] + struct.pack(">HHHHH", flags | rcode, 1, len(answers), 0, len(additional)) + asked +
            b"".join(answers) + b"".join(additional))


class DnsServer:
    def __init__(self, address="127.0.0.1", port=None):
        self.address, self.port = address, port or free_port()
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.udp = socket.socket(self.family, socket.SOCK_DGRAM)
        self.udp.bind((self.address, self.port))
        self.tcp = socket.socket(self.family)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((self.address, self.port))
        self.tcp.listen(16)
        self.says = lambda name, kind, query, tcp: None
        self.raw_tcp = None  # a function of (connection): instead of all else
        self.asked = []  # (time, name, type, tcp)
        self.closing = False
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.serve_udp, self.serve_tcp)]
        for thread in self.threads:
            thread.start()

    def answers(self, query, tcp):
        name, kind, _ = parse(query)
        self.asked.append((time.monotonic(), name, kind, tcp))
        said = self.says(name, kind, query, tcp)
        return [] if said is None else said if isinstance(said, list) else [said]

    def serve_udp(self):
        while True:
            query, client = self.udp.recvfrom(65535)
            if self.closing:
                return
            for message in self.answers(query, False):
                self.udp.sendto(message, client)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            if self.closing:
                return
            threading.Thread(target=self.serve_connection, args=(connection,), daemon=True).start()

    def serve_connection(self, connection):
        with connection:
            try:
                if self.raw_tcp:
                    self.raw_tcp(connection)
                    return
                while True:
                    head = connection.recv(2, socket.MSG_WAITALL)
                    if len(head) < 2:
                        return
                    query = connection.recv(struct.unpack(">H", head)[0], socket.MSG_WAITALL)
                    for message in self.answers(query, True):
                        connection.sendall(struct.pack(">H", len(message)) + message)
            except OSError:
                pass

    def source(self, more="", timeout="3s"):  # longer than a machine that all claims share lets an answer wait
        return 'type = "dns"; servers = ( "%s:%d" ); timeout = "%s"; min_ttl = "100ms"; %s' % (
            "[%s]" % self.address if ":" in self.address else self.address, self.port, timeout, more)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.closing = True
        with socket.socket(self.family, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", (self.address, self.port))
        with socket.socket(self.family) as s:
            s.connect((self.address, self.port))
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.close()
