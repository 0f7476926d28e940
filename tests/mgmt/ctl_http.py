"""ctl_http.py SLUICECTL — what sluicectl says of HTTP, and of TLS in the table, before a daemon that answers as this file says.

Of each row: the arguments, what the daemon must be asked, what it answers, and what people read, to the letter.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

MAGIC = 0x49504153


def route(name, action, **more):
    row = {"table": "edge", "host": "shop", "route": name, "action": action, "services": [], "slot": 1,
           "incarnation": 1, "requests": 0, "1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, "retries": 0,
           "local": 0, "bytes_in": 0, "bytes_out": 0, "first_us": None, "last_us": None, "last": [0] * 20}
    return dict(row, **more)


def listener(name, mode, service, tls, *names):
    return {"name": name, "address": "203.0.113.10", "port": 443, "port_last": 443, "ports": "443", "protocol": "tcp",
            "mode": mode, "service": service, "routes": "edge" if mode == "http" else "", "tls": tls, "announce": "healthy" if mode == "http" else "never",
            "server_names": list(names), "slot": 0, "incarnation": 1, "packets": 1, "bytes": 2, "new_flows": 3, "refused": 4}


def service(name, tls):
    return {"name": name, "forward": "proxy", "policy": "maglev", "health": "none", "tls": tls, "max_endpoints": 1,
            "slow_start_ms": 0, "slot": 0, "incarnation": 1, "endpoints": 1, "admitting": 1, "up": 0, "down": 0,
            "draining": 0, "disabled": 0, "new_flows": 0, "no_endpoint": 0, "ports_used": 0, "ports_refused": 0}


EXPLAINED = {
    "ok": True, "generation": 7, "worker": 1, "status": None, "flags": [],
    "listener": {"name": "edge-80", "address": "203.0.113.10", "ports": "80"},
    "table": "edge", "host": "shop", "route": "canary", "route_index": 0,
    "conditions": ["path lies under /api", 'header x-env begins with "canary-"'], "action": "split",
    "service": {"name": "web", "forward": "proxy", "policy": "least_request"},
    "endpoint": {"name": "web-1", "address": "198.51.100.11", "port": 80, "state": "up"},
    "path": "/api/x", "text": "/v2/x", "assumed_host": None, "verified": 3, "scanned": 1,
    "sentences": ["the request would go to service web, policy least_request"]}
NOWHERE = dict(EXPLAINED, listener=None, table=None, host=None, route=None, route_index=None, conditions=[],
               action=None, service=None, endpoint=None, path=None, sentences=[])

ROWS = [
    (["show", "routes", "--table", "edge", "--host", "shop", "--route", "canary"],
     {"verb": "show", "what": "routes", "table": "edge", "host": "shop", "route": "canary"},
     {"ok": True, "dataplane": True, "routes": [
         route("canary", "split", requests=123456, **{"2xx": 123000, "5xx": 456}, retries=7, bytes_in=999,
               bytes_out=12 << 20, first_us=830, last_us=1250000, policy=["fault", "hedge"]),
         route("old", "redirect", requests=1, **{"3xx": 1}, local=1, first_us=12345, last_us=12399)]},
     0,
     """\
TABLE  HOST  ROUTE   ACTION    TO  REQUESTS     2XX  3XX  4XX  5XX  RETRIES  LOCAL   IN    OUT   FIRST    LAST  POLICY
edge   shop  canary  split     -     123456  123000    0    0  456        7      0  999  12.0M   830us    1.2s  fault, hedge
edge   shop  old     redirect  -          1       0    1    0    0        0      1    0      0  12.3ms  12.3ms  -
"""),
    (["show", "listeners"], {"verb": "show", "what": "listeners"},
     {"ok": True, "dataplane": True, "listeners": [
         listener("https", "http", "", {"certificates": ["shop", "wild"], "client": "required"}),
         listener("dot", "tcp", "dns", {"certificates": ["shop"], "client": "none"}),
         listener("plain", "tcp", "dns", None),
         listener("through", "tls-passthrough", "", None, {"name": "a", "service": "x"}, {"name": "b", "service": "y"})]},
     0,
     """\
LISTENER  ADDRESS       PORT  PROTO  MODE             SERVICE  ROUTES  TLS                          ANNOUNCE  PACKETS  BYTES  NEW FLOWS  REFUSED
https     203.0.113.10   443  tcp    http             -        edge    shop, wild; client required  healthy         1      2          3        4
dot       203.0.113.10   443  tcp    tcp              dns      -       shop                         never           1      2          3        4
plain     203.0.113.10   443  tcp    tcp              dns      -       -                            never           1      2          3        4
through   203.0.113.10   443  tcp    tls-passthrough  -        -       2 server names               never           1      2          3        4
"""),
    (["show", "services"], {"verb": "show", "what": "services"},
     {"ok": True, "dataplane": True, "services": [
         service("a", {"verify": True, "certificate": "gw"}), service("b", {"verify": False, "certificate": ""}),
         service("c", None)]},
     0,
     """\
SERVICE  FORWARD  POLICY  HEALTH  TLS              ENDPOINTS  ADMITTING  BY LEVEL  SUBSETS  UP  DOWN  DRAINING  NEW FLOWS  NO ENDPOINT  BREAKERS  EJECTIONS  PORTS USED  REFUSED
a        proxy    maglev  none    verified; as gw          1          1  -         -         0     0         0          0            0  -         -                   0        0
b        proxy    maglev  none    not verified             1          1  -         -         0     0         0          0            0  -         -                   0        0
c        proxy    maglev  none    -                        1          1  -         -         0     0         0          0            0  -         -                   0        0
"""),
    (["show", "hosts"], {"verb": "show", "what": "hosts"},
     {"ok": True, "dataplane": True, "hosts": [
         {"table": "edge", "host": "shop", "match": ["shop.example", "*.shop.example"], "routes": 3, "slot": 0,
          "incarnation": 1, "requests": 20, "no_route": 3}]},
     0,
     """\
TABLE  HOST  MATCH                         ROUTES  REQUESTS  NO ROUTE
edge   shop  shop.example, *.shop.example       3        20         3
"""),
    (["show", "http"], {"verb": "show", "what": "http"},
     {"ok": True, "dataplane": True, "http": [
         {"kind": "gauge", "name": "exchanges", "text": "requests under way", "count": 0, "most": 4096},
         {"kind": "event", "name": "retry", "text": "requests tried again", "count": 5, "most": None},
         {"kind": "event", "name": "panic", "text": "never", "count": 0, "most": None}]},
     0,
     """\
HTTP       COUNT    OF
exchanges      0  4096  requests under way
retry          5     -  requests tried again
"""),
    (["show", "routes", "--host", "none"], {"verb": "show", "what": "routes", "host": "none"},
     {"ok": False, "error": {"code": "not_found", "text": "no such host in the active table", "hint": None}},
     1, ""),
    (["explain", "--http", "GET /api/x", "-H", "x-env: canary-3", "--header", "y: z", "--host", "shop.example",
      "--listener", "edge-80", "--from", "192.0.2.77:4711"],
     {"verb": "explain_http", "request": "GET /api/x", "headers": "x-env: canary-3\ny: z\n",
      "host": "shop.example", "listener": "edge-80", "from": "192.0.2.77:4711"},
     EXPLAINED, 0,
     """\
answer      of the endpoint: the request is sent on
worker      1, generation 7
listener    edge-80 (203.0.113.10 port 80)
host        shop, table edge
route       canary (number 1 of the host)
because     path lies under /api
            header x-env begins with "canary-"
action      split
service     web, policy least_request
endpoint    web-1 (198.51.100.11 port 80), up
path        /api/x
sent as     /v2/x
looked at   3 candidates, 1 databases
  the request would go to service web, policy least_request
"""),
    (["explain", "--http", "GET /old"], {"verb": "explain_http", "request": "GET /old", "headers": ""},
     dict(EXPLAINED, status=301, route="old", route_index=1, conditions=["path is \"/old\""], action="redirect",
          service=None, endpoint=None, path="/old", text="http://shop.example/new", sentences=[]),
     0,
     """\
answer      301, of the gateway itself: Location http://shop.example/new
worker      1, generation 7
listener    edge-80 (203.0.113.10 port 80)
host        shop, table edge
route       old (number 2 of the host)
because     path is "/old"
action      redirect
path        /old
looked at   3 candidates, 1 databases
"""),
    (["explain", "--http", "GET /"], {"verb": "explain_http", "request": "GET /", "headers": ""},
     dict(NOWHERE, status=400, text="Host is missing", flags=[{"flag": "DPE", "text": "not HTTP"}]),
     0,
     """\
answer      400, of the gateway itself: Host is missing; DPE (not HTTP)
worker      1, generation 7
looked at   3 candidates, 1 databases
"""),
]

# arguments that are wrong before any daemon is asked
WRONG = [
    (["explain", "--http", "GET /", "tcp"], "takes no further arguments"),
    (["explain", "--http", "GET /", "-H", "nonsense"], "header 'nonsense' has no colon"),
    (["explain", "tcp", "1.2.3.4:5", "6.7.8.9:10", "--host", "x"], "--host goes with"),
    (["explain"], "usage: sluicectl explain tcp|udp"),
    (["show", "hosts", "--route", "x"], "--route goes with show routes only"),
    (["show", "workers", "--table", "x"], "--table goes with show routes and show hosts only"),
    (["status", "-H", "a: b"], "-H goes with explain only"),
]


class Daemon:
    def __init__(self, path):
        self.asked, self.answer = None, None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            c, _ = self.listener.accept()
            with c:
                magic, version, zero, length = struct.unpack("<IHHI", c.recv(12, socket.MSG_WAITALL))
                assert (magic, version, zero) == (MAGIC, 1, 0)
                self.asked = json.loads(c.recv(length, socket.MSG_WAITALL))
                body = json.dumps(self.answer).encode()
                c.sendall(struct.pack("<IHHI", MAGIC, 1, 0, len(body)) + body)


def run(ctl, path, arguments):
    p = subprocess.run([ctl, "-s", path] + arguments, capture_output=True, text=True, timeout=20)
    return p.returncode, p.stdout, p.stderr


def main(ctl):
    failed = 0
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "api")
        daemon = Daemon(path)
        for arguments, asked, answer, rc, text in ROWS:
            daemon.asked, daemon.answer = None, answer
            got = run(ctl, path, arguments)
            # columns may end in spaces
            out = "".join(line.rstrip() + "\n" for line in got[1].splitlines())
            if (got[0], out, daemon.asked) != (rc, text, asked):
                failed += 1
                print(f"{arguments}\n--- is {got[0]}, asked {daemon.asked}\n{out}{got[2]}--- wanted {rc}, {asked}\n{text}")
            # what programs read is the answer as it came
            if rc == 0 and json.loads(run(ctl, path, arguments + ["--json"])[1]) != answer:
                failed += 1
                print(f"{arguments} --json is not the answer")
        for arguments, says in WRONG:
            daemon.asked = None
            rc, _, err = run(ctl, path, arguments)
            if rc != 2 or says not in err or daemon.asked:
                failed += 1
                print(f"{arguments}: exit {rc}, {err}")
    print(f"{len(ROWS) + len(WRONG)} rows, {failed} failed")
    return failed > 0


sys.exit(main(sys.argv[1]))
