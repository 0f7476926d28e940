#!/usr/bin/env python3
"""shadow.py — requests and connections of which both tables are asked, and what the answers should add up to.

  shadow.py send HOST FLOWS FIRST  the requests on kept connections, a connection to each ADDRESS:PORT of FLOWS ("a:p,b:p") from each of
                              the ports from FIRST on; prints how many answers had which status
  shadow.py replay FIRST FLOWS FILE -- CTL…     what `explain` says of each of them by the table that is active: to FILE
  shadow.py judge REPORT NOW THEN  whether a report of show shadow, of a sample of 100 %, is what both replays differ in
"""
import collections
import http.client
import json
import socket
import subprocess
import sys

PATHS = ["/", "/admin/x", "/api/v1?a=b", "/page", "/v2/new", "/gone", "/denied", "/deep/er"]
USERS = 40
CONNECTIONS = 8
PORTS = 40


def requests():
    for user in range(USERS):
        for path in PATHS:
            yield path, "user-%d" % user


def send(host, flows, first):
    conns = [http.client.HTTPConnection(host, 80, timeout=10) for _ in range(CONNECTIONS)]
    status = collections.Counter()
    for i, (path, user) in enumerate(requests()):
        c = conns[i % CONNECTIONS]
        c.request("GET", path, headers={"x-user": user})
        r = c.getresponse()
        r.read()
        status[r.status] += 1
    for flow in flows.split(","):
        address, port = flow.split(":")
        for n in range(PORTS):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("10.77.1.100", first + n))
            s.settimeout(5)
            s.connect((address, int(port)))
            s.close()
    print(json.dumps({str(k): v for k, v in sorted(status.items())}))


def explain(ctl, *args):
    out = subprocess.run(ctl + ["--json", "explain"] + list(args), stdout=subprocess.PIPE, check=False)
    return json.loads(out.stdout)


def name(a, key):
    return a[key]["name"] if a.get(key) else None


def replay(first, flows, file, ctl):
    out = {"requests": [], "flows": []}
    for path, user in requests():
        a = explain(ctl, "--http", "GET " + path, "--host", "shop.test", "-H", "x-user: " + user)
        forwarded = a["status"] is None
        out["requests"].append({"status": a["status"], "route": [a["host"], a["route"]],
                                "service": name(a, "service") if forwarded else None,
                                "endpoint": name(a, "endpoint") if forwarded else None})
    for flow in flows.split(","):
        for n in range(PORTS):
            a = explain(ctl, "tcp", "10.77.1.100:%d" % (first + n), flow)
            out["flows"].append({"service": name(a, "service"), "endpoint": name(a, "endpoint")})
    with open(file, "w") as f:
        json.dump(out, f)


def expect(now, then):
    kinds, answers, changed = collections.Counter(), collections.Counter(), 0
    for a, b in zip(now, then):
        differs = {"status": a.get("status") != b.get("status"), "route": a.get("route") != b.get("route")}
        if a["service"] and b["service"]:
            differs["service"] = a["service"] != b["service"]
            differs["endpoint"] = [a["service"], a["endpoint"]] != [b["service"], b["endpoint"]]
        kinds.update(k for k, v in differs.items() if v)
        changed += any(differs.values())
        if differs["status"]:
            answers[(a["status"], b["status"])] += 1
    return changed, kinds, answers


def judge(report, now, then):
    with open(report) as f:
        s = json.load(f)["shadow"]
    with open(now) as f:
        now = json.load(f)
    with open(then) as f:
        then = json.load(f)
    wrong = []

    def same(what, got, want):
        if got != want:
            wrong.append("%s: %s in place of %s" % (what, got, want))
    for what in ("requests", "flows"):
        changed, kinds, answers = expect(now[what], then[what])
        same(what + " sampled", s[what]["sampled"], len(now[what]))
        same(what + " seen", s[what]["seen"], len(now[what]))
        same(what + " changed", s[what]["changed"], changed)
        for kind, count in s[what]["kinds"].items():
            same("%s, %s" % (what, kind), count, kinds[kind])
        if what == "requests":
            same("answers", {(a["from"], a["to"]): a["requests"] for a in s["answers"]}, dict(answers))
        if not changed:
            wrong.append("%s: the tables do the same with all of them" % what)
    for kind in ("status", "route", "service", "endpoint"):
        if not any(e["kind"] == kind for e in s["examples"]):
            wrong.append("no example of " + kind)
    for e in s["examples"]:
        if e["kind"] == "status" and (e["now"]["status"], e["then"]["status"]) == (None, 403):
            same("an example's path", e["path"], "/admin/x")
            same("an example's client", e["client"], "10.77.1.100")
            same("an example's route", e["then"]["route"], "edge/shop/admin")
        if e["kind"] == "endpoint" and e["now"]["endpoint"] == e["then"]["endpoint"] and \
                e["now"]["service"] == e["then"]["service"]:
            wrong.append("an example of an endpoint that is the same: %s" % e)
    if wrong:
        sys.exit("\n".join(wrong))
    print("requests: %d of %d would go otherwise, flows: %d of %d" % (
        s["requests"]["changed"], s["requests"]["sampled"], s["flows"]["changed"], s["flows"]["sampled"]))


def main():
    if sys.argv[1] == "send":
        send(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif sys.argv[1] == "replay":
        replay(int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[sys.argv.index("--") + 1:])
    else:
        judge(*sys.argv[2:5])


main()
