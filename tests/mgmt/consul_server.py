"""A Consul agent as far as GET /v1/health/service/NAME goes.

Written from the public description of Consul's HTTP interface (health endpoint, blocking queries, X-Consul-Index,
X-Consul-Token): Consul itself is not in Debian 12.  It also does what an agent must not do, when a test tells it to.
"""

import http.server
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse


def instance(node, address, service="web", ident=None, port=80, tags=(), checks=("passing",), meta=None,
             weights=(1, 1), datacenter="dc1"):
    """An entry of the answer.  checks: statuses, or (CheckID, status)."""
    return {
        "Node": {"ID": "40e4a748-2192-161a-0510-9bf59fe950b5", "Node": node, "Address": "10.255.0.1",
                 "Datacenter": datacenter, "TaggedAddresses": {"lan": "10.255.0.1"}, "Meta": {}},
        "Service": {"ID": ident or service, "Service": service, "Tags": list(tags), "Address": address,
                    "TaggedAddresses": {"lan": {"address": address, "port": port}}, "Meta": meta or {},
                    "Port": port, "Weights": {"Passing": weights[0], "Warning": weights[1]},
                    "EnableTagOverride": False, "CreateIndex": 7, "ModifyIndex": 7},
        "Checks": [{"Node": node, "CheckID": c[0] if isinstance(c, tuple) else "service:" + service,
                    "Name": "check", "Notes": "", "Output": "", "ServiceName": service,
                    "Status": c[1] if isinstance(c, tuple) else c} for c in checks],
    }


def _seconds(text):
    m = re.fullmatch(r"(\d+)(ms|s|m)", text)
    return int(m.group(1)) * {"ms": 0.001, "s": 1, "m": 60}[m.group(2)] if m else 300


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError, TimeoutError):
            pass

    def do_GET(self):
        a = self.server.agent
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        with a.changed:
            a.requests.append({"path": url.path, "query": query, "headers": dict(self.headers),
                               "at": time.monotonic()})
            lie = a.lie
        if lie:
            lie(self, query)
        else:
            self.honest(a, url.path, query)

    def honest(self, a, path, query):
        if a.token and self.headers.get("X-Consul-Token") != a.token:
            self.answer(403, b"Permission denied: token with AccessorID is not allowed", None)
            return
        prefix = "/v1/health/service/"
        if not path.startswith(prefix):
            self.answer(404, b"no such endpoint", None)
            return
        name = urllib.parse.unquote(path[len(prefix):])
        wait_index = int(query.get("index", "0"))
        end = time.monotonic() + _seconds(query.get("wait", "5m"))
        with a.changed:
            while wait_index >= a.index and not a.closed and time.monotonic() < end and not a.lie:
                a.changed.wait(min(0.05, max(end - time.monotonic(), 0.001)))
            if a.closed:
                self.close_connection = True
                return
            entries, index = a.services.get(name, []), a.index
        tag = query.get("tag")
        self.answer(200, json.dumps([e for e in entries if not tag or tag in e["Service"]["Tags"]]).encode(),
                    index)

    def answer(self, status, body, index, more=()):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if index is not None:
            self.send_header("X-Consul-Index", str(index))
        for name, value in more:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass

    def process_request_thread(self, request, client_address):
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.clients.add(request)
        try:
            if self.context:
                request.settimeout(10)
                request = self.context.wrap_socket(request, server_side=True)
            self.finish_request(request, client_address)
        except OSError:
            pass
        finally:
            self.shutdown_request(request)


class Agent:
    """set() changes a service and raises the index; lie, when set, answers instead: lie(handler, query)."""

    def __init__(self, port=0, tls=None, handler=Handler):
        """tls: (certificate, key, CA of clients or None)."""
        self.services, self.index, self.requests = {}, 10, []
        self.token, self.lie, self.closed = None, None, False
        self.changed = threading.Condition()
        self.tls, self.port, self.handler = tls, port, handler
        self.open()

    def open(self):
        self.closed = False
        self.server = Server(("127.0.0.1", self.port), self.handler)
        self.server.agent, self.server.context = self, None
        self.server.clients, self.server.lock = set(), threading.Lock()
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls[0], self.tls[1])
            if self.tls[2]:
                context.load_verify_locations(self.tls[2])
                context.verify_mode = ssl.CERT_REQUIRED
            self.server.context = context
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self):
        return "%s://127.0.0.1:%d" % ("https" if self.tls else "http", self.port)

    def set(self, name, entries, index=None):
        with self.changed:
            self.services[name] = entries
            self.index = self.index + 1 if index is None else index
            self.changed.notify_all()

    def tell(self, lie):
        """From now on lie, or the truth with None; who waits is answered."""
        with self.changed:
            self.lie = lie
            self.index += 1
            self.changed.notify_all()

    def asked(self):
        with self.changed:
            return list(self.requests)

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()
        with self.server.lock:
            for s in self.server.clients:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()
