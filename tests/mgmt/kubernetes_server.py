"""A Kubernetes API server as far as listing and watching EndpointSlices of a namespace goes.

Written from the public description of the Kubernetes API (API concepts: lists in pages, watches, bookmarks, resource
versions, 410 Gone; discovery.k8s.io/v1): no API server is in Debian 12.  It also does what one must not do, when a test
tells it to.
"""

import http.server
import json
import ssl
import threading
import time
import urllib.parse

from consul_server import Agent

VERSIONS = "discovery.k8s.io/v1"


def endpoint(name, address, **more):
    e = {"addresses": [address], "conditions": {"ready": True, "serving": True, "terminating": False},
         "targetRef": {"kind": "Pod", "namespace": "default", "name": name}, "nodeName": "node-1"}
    e.update(more)
    return e


TERMINATING = {"ready": False, "serving": True, "terminating": True}
NOT_READY = {"ready": False, "serving": False, "terminating": False}


def a_slice(name, endpoints, service="web", kind="IPv4", ports=(("http", 8080),)):
    return {"kind": "EndpointSlice", "apiVersion": VERSIONS,
            "metadata": {"name": name, "namespace": "default", "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
            "addressType": kind, "endpoints": endpoints,
            "ports": [{"name": n, "protocol": "TCP", "port": p} for n, p in ports]}


def status(code, message):
    return json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                       "message": message, "reason": "Expired" if code == 410 else "Failure", "code": code}).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError, TimeoutError, ValueError):
            pass

    def do_GET(self):
        api = self.server.agent
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        watch = query.get("watch") == "1"
        with api.changed:
            api.requests.append({"path": url.path, "query": query, "watch": watch, "headers": dict(self.headers),
                                 "at": time.monotonic()})
            lie = api.watch_lie if watch else api.list_lie
        parts = url.path.split("/")
        if lie:
            lie(self, query)
        elif api.token and self.headers.get("Authorization") != "Bearer " + api.token:
            self.answer(401, status(401, "Unauthorized"))
        elif parts[1:5] != ["apis", "discovery.k8s.io", "v1", "namespaces"] or parts[6:] != ["endpointslices"]:
            self.answer(404, status(404, "the server could not find the requested resource"))
        elif watch:
            self.watch(api, urllib.parse.unquote(parts[5]), query)
        else:
            self.list(api, urllib.parse.unquote(parts[5]), query)

    def list(self, api, space, query):
        with api.changed:
            items = [s for key, s in sorted(api.slices.items()) if key[0] == space]
            version = api.version
        at, limit = 0, int(query.get("limit", "0"))
        if "continue" in query:
            was, at = query["continue"].split("+")
            at, version = int(at), int(was)
            if int(was) < api.oldest:
                self.answer(410, status(410, "The provided continue parameter is too old"))
                return
        page = items[at:at + limit] if limit else items[at:]
        metadata = {"resourceVersion": str(version)}
        if limit and at + limit < len(items):
            metadata["continue"] = "%d+%d" % (version, at + limit)
        self.answer(200, json.dumps({"kind": "EndpointSliceList", "apiVersion": VERSIONS, "metadata": metadata,
                                     "items": [{k: v for k, v in s.items() if k not in ("kind", "apiVersion")}
                                               for s in page]}).encode())

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def say(self, data):
        if isinstance(data, dict):
            data = json.dumps(data).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def finish_watch(self):
        self.wfile.write(b"0\r\n\r\n")

    def cut(self):
        self.close_connection = True
        self.connection.close()

    def watch(self, api, space, query):
        version = int(query["resourceVersion"])
        if version < api.oldest:
            if api.gone_as_event:
                self.begin()
                self.say({"type": "ERROR", "object": json.loads(status(410, "too old resource version"))})
                self.finish_watch()
            else:
                self.answer(410, status(410, "too old resource version"))
            return
        self.begin()
        end = time.monotonic() + float(query.get("timeoutSeconds", "300"))
        cuts = api.cuts
        with api.changed:
            at = next((i for i, e in enumerate(api.events) if e[0] > version), len(api.events))
        while True:
            with api.changed:
                while at >= len(api.events) and time.monotonic() < end and not api.closed and cuts == api.cuts:
                    api.changed.wait(min(0.05, max(end - time.monotonic(), 0.001)))
                if api.closed or cuts != api.cuts:
                    rest = api.cut_with
                    break
                if at >= len(api.events):
                    rest = None
                    break
                _, where, event = api.events[at]
                at += 1
            if where in (space, None):
                self.say(event)
        if rest is None and not api.closed:
            self.finish_watch()
        else:
            if rest:
                self.say(rest)
            self.cut()

    def answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Api(Agent):
    """put(), delete(), bookmark() are told to watches; *_lie, when set, answers instead: lie(handler, query)."""

    def __init__(self, port=0, tls=None):
        self.slices, self.version, self.oldest, self.events = {}, 100, 0, []
        self.list_lie = self.watch_lie = None
        self.cuts, self.cut_with, self.gone_as_event = 0, None, True
        super().__init__(port, tls, Handler)

    def _event(self, kind, obj, space):
        self.version += 1
        obj = json.loads(json.dumps(obj))
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.events.append((self.version, space, {"type": kind, "object": obj}))
        self.changed.notify_all()
        return obj

    def put(self, s, space="default"):
        with self.changed:
            key = (space, s["metadata"]["name"])
            self.slices[key] = self._event("MODIFIED" if key in self.slices else "ADDED", s, space)

    def delete(self, name, space="default"):
        with self.changed:
            self._event("DELETED", self.slices.pop((space, name)), space)

    def bookmark(self):
        with self.changed:
            self._event("BOOKMARK", {"kind": "EndpointSlice", "apiVersion": VERSIONS, "metadata": {}}, None)

    def say(self, event):
        """An event as it is, without a change of what lists tell."""
        with self.changed:
            self.version += 1
            self.events.append((self.version, None, event))
            self.changed.notify_all()

    def cut(self, rest=b""):
        """Ends all watches without an end; rest is said before."""
        with self.changed:
            self.cuts += 1
            self.cut_with = rest
            self.changed.notify_all()

    def forget(self):
        """Versions up to now are too old from now on."""
        with self.changed:
            self.oldest = self.version + 1
            self.version += 2
            self.events.clear()

    def lists(self):
        return [r for r in self.asked() if not r["watch"] and "continue" not in r["query"]]

    def watches(self):
        return [r for r in self.asked() if r["watch"]]
