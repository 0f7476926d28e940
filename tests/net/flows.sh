#!/usr/bin/env bash
# Who talks to whom, read from the dataplane's memory: three workers, real clients whose ports and answers are known,
# each filter; while the dataplane stands still, too; and the rates of top against what the client did.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

export WORKERS=3 HUGE=never FLOWS=16384
net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf"
wait_for 20 "endpoints up" state_is web4 e4 up

# Twelve connections to nat, eight to dsr, six to nat over IPv6, held open; "VIP port endpoint" of each.  Their ports differ in every bit:
# who owns a flow is linear in them, and neighbouring ports have one owner under one secret key of some thousands.
cat >"$NET_DIR/hold.py" <<'END'
import socket, sys, time
held = []
ports = iter(range(1031, 65536, 2477))
for vip, n in (("10.77.9.10", 12), ("10.77.9.11", 8), ("fd77:9::10", 6)):
    for _ in range(n):
        s = socket.create_connection((vip, 80), 10, ("", next(ports)))
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while not data.endswith(b"\n") or b"\r\n\r\n" not in data or data.endswith(b"\r\n\r\n"):
            data += s.recv(4096)
        held.append((vip, s.getsockname()[1], data.split()[-1].decode(), s))
with open(sys.argv[1] + ".tmp", "w") as f:
    for h in held:
        print(*h[:3], file=f)
import os
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
time.sleep(3600)
END
run cl hold python3 "$NET_DIR/hold.py" "$NET_DIR/held"
wait_for 20 "the client's connections" test -e "$NET_DIR/held"

flows() { ctl --json show flows "$@" >"$NET_DIR/flows.json" || fail "show flows $*: $(cat "$NET_DIR/flows.json")"; }
# is WHAT EXPRESSION: a truth over the answer j and the client's own list `held`.
is() {
	python3 - "$NET_DIR/flows.json" "$NET_DIR/held" "$2" <<-'END' || fail "$1: $(head -c 2000 "$NET_DIR/flows.json")"
		import json, sys
		j = json.load(open(sys.argv[1]))
		held = {(v, int(p)): e for v, p, e in (x.split() for x in open(sys.argv[2]))}
		def of(vip):
		    return sorted(p for v, p in held if v == vip)
		flows = j["flows"] or []
		ports = sorted(f["client_port"] for f in flows)
		sys.exit(not eval("(" + sys.argv[3] + ")"))
	END
}

flows --vip 10.77.9.10 --state established --client 10.77.1.100
is "the flows of a VIP are the client's connections" 'ports == of("10.77.9.10")'
is "each is on the endpoint that answered" 'all(f["endpoint"] == held[f["vip"], f["client_port"]] for f in flows)'
is "each has what it must" 'all(f["service"] == "web4" and f["protocol"] == "tcp" and f["half"] == "forward" and
    f["left_ms"] > 3000000 and f["via"] is None for f in flows)'
is "more than one worker has some" 'len({f["worker"] for f in flows}) > 1'
flows --listener dsr4 --state established
is "a listener's flows" 'ports == of("10.77.9.11")'
flows --client fd77:1::/64 --port 80 --proto tcp
is "IPv6 by prefix" 'ports == of("fd77:9::10") and all(f["client"] == "fd77:1::100" for f in flows)'
flows --endpoint web4 e1
is "an endpoint's flows" 'ports == sorted(p for (v, p), e in held.items() if v == "10.77.9.10" and e == "e1")'
flows --service web4 --halves
is "with halves each nat flow twice" 'sorted(2 * of("10.77.9.10")) == ports and
    sum(f["half"] == "reply" for f in flows) == 12 and all(f["vip"] == "10.77.9.10" for f in flows)'
flows --client 10.77.1.99
is "nobody else" 'not flows and not j["more"]'
flows --idle-over 1h
is "none so silent" 'not flows'
flows --vip 10.77.9.10 --limit 5
is "a limit" 'len(flows) == 5 and j["more"]'
flows --vip 10.77.9.0/24 --count
is "a count" 'j["flows"] is None and j["matched"] == 20 and j["looked"] >= 32'
: >"$NET_DIR/by_worker"
for w in 0 1 2; do
	flows --vip 10.77.9.10 --worker $w
	is "worker $w" "all(f['worker'] == $w for f in flows)"
	json "$NET_DIR/flows.json" '"\n".join(str(f["client_port"]) for f in j["flows"])' >>"$NET_DIR/by_worker"
done
[ "$(grep -c . "$NET_DIR/by_worker")" -eq 12 ] || fail "the workers' flows together are not all"
port=$(awk '$1 == "10.77.9.10" { print $2; exit }' "$NET_DIR/held")
owner=$(ctl_json "j['worker']" explain tcp "10.77.1.100:$port" 10.77.9.10:80 --flags ack)
flows --vip 10.77.9.10 --worker "$owner"
is "explain names the same worker" "$port in ports"
ctl show flows --vip 10.77.9.10 >"$NET_DIR/text" 2>"$NET_DIR/text.err"
grep -qE "^tcp +10\.77\.1\.100:$port +10\.77\.9\.10:80 +web4/e[1-4] +established +[0-9]" "$NET_DIR/text" || fail "as text: $(cat "$NET_DIR/text")"
grep -q "^12 flows, [0-9]* looked at" "$NET_DIR/text.err" || fail "the sum: $(cat "$NET_DIR/text.err")"

# Nobody in the dataplane takes part: it is stopped.
kill -STOP "$(pid_of dataplane)"
before=$(ctl --json show workers | cksum)
flows --vip 10.77.9.10 --state established
is "the same with the dataplane stopped" 'ports == of("10.77.9.10")'
flows --count
[ "$(ctl --json show workers | cksum)" = "$before" ] || fail "a counter moved"
kill -CONT "$(pid_of dataplane)"

# top: the client makes new connections; what top says is what it did: once in three times, for who stands still between two looks sees
# other times than the other.
told() {
	local had start did took
	had=$(so_far traffic) start=${EPOCHREALTIME/./}
	ctl --json top --interval 2s >"$NET_DIR/top.json" || fail "top --once"
	did=$(($(so_far traffic) - had)) took=$((${EPOCHREALTIME/./} - start)) # meanwhile, not on the whole: its pace changes on a busy machine
	python3 "$NET_DIR/top.py" "$NET_DIR/top.json" "$did" "$took"
}
cat >"$NET_DIR/top.py" <<'END'
import json, sys
top = json.load(open(sys.argv[1]))
rate = int(sys.argv[2]) / int(sys.argv[3]) * 1e6
service = next(s for s in top["services"] if s["name"] == "web4")
listener = next(l for l in top["listeners"] if l["name"] == "web4")
ends = [e for e in top["endpoints"] if e["service"] == "web4"]
print("client", rate, "new/s; top", service["new_flows_s"], "over", top["seconds"])
def near(a, b, share):
    return abs(a - b) <= share * b
assert 1.9 < top["seconds"] <= int(sys.argv[3]) / 1e6
assert near(service["new_flows_s"], rate, 0.4)
assert near(listener["new_flows_s"], service["new_flows_s"], 0.05)
assert near(sum(e["new_flows_s"] for e in ends), service["new_flows_s"], 0.05)
assert 4 * rate < listener["pps"] < 12 * rate  # packets of a short connection from the client
assert near(sum(e["pps"] for e in ends), listener["pps"], 0.1)
assert sum(e["flows"] for e in ends) >= 12  # those that are held
assert len(top["workers"]) == 3 and all(0 <= w["headroom_percent"] <= 100 for w in top["workers"])
assert sum(w["rx_pps"] for w in top["workers"]) >= listener["pps"]
assert top["flows"] >= 32 and top["capacity"] == 3 * 16384 and top["uptime_s"] > 1
END
load traffic --seconds 300 --threads 2 --pause 0.01 http://10.77.9.10
told || told || told || fail "top: $(cat "$NET_DIR/top.json")"
enough traffic
ctl top --once --interval 200ms >"$NET_DIR/top.txt"
grep -qE '^WORKER +HEADROOM % +RX PPS' "$NET_DIR/top.txt" || fail "top as text: $(cat "$NET_DIR/top.txt")"

# A dataplane that is gone: the daemon holds its flows.
stop dataplane KILL
gone() { [ "$(ctl_json "j['dataplane']['connected']" status)" = False ]; }
wait_for 10 "the daemon to notice" gone
flows --vip 10.77.9.10 --state established
is "flows without a dataplane" 'set(of("10.77.9.10")) <= set(ports) and j["dataplane"] is False'
