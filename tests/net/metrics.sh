#!/usr/bin/env bash
# /metrics under traffic: clean to promtool, over a Unix socket and over loopback TCP; equal to what sluicectl stats
# says when all is quiet; rising only, over pushes and daemons; a slot that changed hands counts from 0 for its new owner.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

export HUGE=never # others may be taking them all
export PROBE_INTERVAL=3s # an endpoint that stands still for a second is not to be down, which ends its connections
net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf"
wait_for 20 "endpoints up" state_is web4 e4 up

scrape() { curl -sf --max-time 10 --unix-socket "$NET_DIR/metrics.sock" http://sluiced/metrics; }
check() {
	promtool check metrics <"$1" >"$NET_DIR/promtool.out" 2>&1 || fail "promtool on $1: $(cat "$NET_DIR/promtool.out")"
	[ ! -s "$NET_DIR/promtool.out" ] || fail "promtool on $1: $(cat "$NET_DIR/promtool.out")"
}
# rising OLD NEW: every counter of OLD that is still in NEW is not below.
rising() {
	python3 - "$1" "$2" <<-'END' || fail "counters fell between $1 and $2"
		import sys
		def read(name):
		    kind, samples = {}, {}
		    for line in open(name, encoding="utf-8"):
		        if line.startswith("# TYPE"):
		            kind[line.split()[2]] = line.split()[3]
		        elif not line.startswith("#"):
		            key, value = line.rstrip().rsplit(" ", 1)
		            base = key.split("{")[0]
		            family = next((base[: -len(s)] for s in ("_bucket", "_sum", "_count") if base.endswith(s)
		                           and kind.get(base[: -len(s)]) == "histogram"), base)
		            if kind[family] in ("counter", "histogram"):
		                samples[key] = float(value)
		    return samples
		old, new = read(sys.argv[1]), read(sys.argv[2])
		fell = [(k, old[k], new[k]) for k in old if k in new and new[k] < old[k]]
		print(len(old), "counters before,", len(new), "after,", sum(new[k] > old[k] for k in old if k in new), "rose")
		for f in fell:
		    print("fell:", *f)
		sys.exit(bool(fell) or len(old) < 100)
	END
}

# shellcheck disable=SC2086
load traffic --seconds 3600 --threads 2 --pause 0.005 $WEB $DNS
scrape >"$NET_DIR/m1"
check "$NET_DIR/m1"
sed 's/max_endpoints = 40/max_endpoints = 41/' "$NET_DIR/t.conf" >"$NET_DIR/u.conf"
ctl push "$NET_DIR/u.conf" >/dev/null
scrape >"$NET_DIR/m2"
check "$NET_DIR/m2"
rising "$NET_DIR/m1" "$NET_DIR/m2"

# A new daemon: what the dataplane counts goes on; what the daemon itself counts begins again.
stop sluiced KILL
daemon_up
wait_for 20 "connected again" connected
scrape >"$NET_DIR/m3"
check "$NET_DIR/m3"
grep -v -E 'sluice_(health|push)' "$NET_DIR/m2" >"$NET_DIR/m2d"
rising "$NET_DIR/m2d" "$NET_DIR/m3"

# Quiet: both doors say the same, number by number.
# of a hundred flows web4 has some 17, and once in 100 times none of them is e4's
many() { [ "$(ctl_json "sum(e['new_flows'] for e in j['endpoints']) > 100 and all(e['new_flows'] for e in j['endpoints'] if e['service'] == 'web4')" stats)" = True ]; }
wait_for 60 "more than 100 flows, and some of each endpoint of web4" many
kill -TERM "$(pid_of traffic)"
all_good traffic
quiet() {
	scrape | grep -E '^sluice_(endpoint|listener|service)_' >"$NET_DIR/q1"
	ctl --json stats >"$NET_DIR/stats.json"
	scrape | grep -E '^sluice_(endpoint|listener|service)_' >"$NET_DIR/q2"
	cmp -s "$NET_DIR/q1" "$NET_DIR/q2"
}
wait_for 30 "quiet counters" quiet
python3 - "$NET_DIR/stats.json" "$NET_DIR/q2" <<'END' || fail "metrics and stats disagree"
import json, re, sys
stats = json.load(open(sys.argv[1]))
said = {}
for line in open(sys.argv[2], encoding="utf-8"):
    name, labels, value = re.match(r"(\w+)\{(.*)\} (\S+)", line).groups()
    labels = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    said[name, labels.get("service"), labels.get("endpoint"), labels.get("listener")] = float(value)
same = 0
for e in stats["endpoints"]:
    for key, metric in (("packets", "packets"), ("bytes", "bytes"), ("reply_packets", "reply_packets"),
                        ("reply_bytes", "reply_bytes"), ("new_flows", "new_flows"), ("ended_flows", "ended_flows")):
        got = said[f"sluice_endpoint_{metric}_total", e["service"], e["name"], None]
        assert got == e[key], (e["service"], e["name"], key, got, e[key])
        same += 1
for l in stats["listeners"]:
    for key, metric in (("packets", "packets"), ("bytes", "bytes"), ("new_flows", "new_flows"), ("refused", "refused_flows")):
        got = next(v for k, v in said.items() if k[0] == f"sluice_listener_{metric}_total" and k[3] == l["name"])
        assert got == l[key], (l["name"], key, got, l[key])
        same += 1
assert sum(e["new_flows"] for e in stats["endpoints"]) > 100
print(same, "counters are the same")
END

# An endpoint goes, another comes: whatever slot it gets, it counts from 0; the ones that stayed go on.
sample() { scrape | awk -v n="$1" -v s="service=\"$2\"" -v e="endpoint=\"$3\"" 'index($1, n "{") == 1 && index($1, s) && index($1, e) { print $2 }'; }
old_slot=$(ctl_json "[e['slot'] for e in j['endpoints'] if e['name'] == 'e4'][0]" show endpoints web4)
[ "$(sample sluice_endpoint_new_flows_total web4 e4)" -gt 0 ] || fail "e4 had no flows"
stayed=$(sample sluice_endpoint_new_flows_total web4 e1)
table "$NET_DIR/three.conf" "1 2 3"
ctl push "$NET_DIR/three.conf" >/dev/null
[ -z "$(sample sluice_endpoint_new_flows_total web4 e4)" ] || fail "e4 is gone and still counted"
sed 's/name = "e4"/name = "f4"/' "$NET_DIR/t.conf" >"$NET_DIR/four.conf"
ctl push "$NET_DIR/four.conf" >/dev/null
new_slot=$(ctl_json "[e['slot'] for e in j['endpoints'] if e['name'] == 'f4'][0]" show endpoints web4)
echo "e4 had slot $old_slot, f4 has slot $new_slot"
[ "$(sample sluice_endpoint_new_flows_total web4 f4)" = 0 ] || fail "f4 began at $(sample sluice_endpoint_new_flows_total web4 f4)"
[ "$(ctl_json "[e['new_flows'] for e in j['endpoints'] if e['name'] == 'f4'][0]" show endpoints web4)" = 0 ] || fail "show says another thing"
[ "$(sample sluice_endpoint_new_flows_total web4 e1)" -ge "$stayed" ] || fail "e1 lost its counts"
ctl push "$NET_DIR/t.conf" >/dev/null # the same name again is a new owner too
[ "$(sample sluice_endpoint_new_flows_total web4 e4)" = 0 ] || fail "e4 came back with counts"

# Anything else is told so.
code() { curl -s --max-time 10 -o /dev/null -w '%{http_code}' --unix-socket "$NET_DIR/metrics.sock" "$@"; }
for path in / /metrics/ /metrics.json /../metrics /favicon.ico; do
	[ "$(code --path-as-is "http://sluiced$path")" = 404 ] || fail "$path: $(code --path-as-is "http://sluiced$path")"
done
for method in POST PUT DELETE; do
	[ "$(code -X $method http://sluiced/metrics)" = 405 ] || fail "$method: $(code -X $method http://sluiced/metrics)"
done
[ "$(code -I http://sluiced/metrics)" = 200 ] || fail "HEAD: $(code -I http://sluiced/metrics)"

# Over TCP, on both loopback addresses.
for where in 127.0.0.1:9911 '[::1]:9911'; do
	stop sluiced
	sed -i "s/^metrics = .*/metrics = \"$where\";/" "$NET_DIR/sluiced.conf"
	daemon_up
	ns gw curl -sgf --max-time 10 "http://$where/metrics" >"$NET_DIR/tcp" || fail "nothing at $where"
	check "$NET_DIR/tcp"
done
[ ! -e "$NET_DIR/metrics.sock" ] || fail "the old socket is still there"
no_bad_drops
