#!/usr/bin/env bash
# ICMP errors find the flow they are about: a closed port of an endpoint is a refused connection for the client, in every mode;
# so is a host that a router behind the gateway cannot reach; and a client that went away is heard of by the endpoint.
set -euo pipefail
# shellcheck source=tests/net/lib_modes.sh
. "$(dirname "$0")/lib_modes.sh"

export WORKERS=${WORKERS:-2} LISTEN="tcp:7000 udp:7000 udp:7009"
EXTRA_ROUTES='{ prefix = "10.77.5.0/24"; via = "10.77.2.14"; }, { prefix = "fd77:5::/64"; via = "fd77:2::14"; }'
modes_up

# judged NAME WHAT MODE…: results NAME-MODE-FAMILY are good; errors are about the VIP and (WHAT offender) from it.
judged() {
	python3 - "$NET_DIR" "$@" <<-'END' || fail "$1: see above"
		import json, sys
		bad = 0
		for m in sys.argv[4:]:
		    last = {"nat": 10, "dsr": 11, "fullnat": 12, "ipip4": 13, "ipip6": 14, "gue4": 15, "gue6": 16}[m]
		    for f, vip in ((4, f"10.77.9.{last}"), (6, f"fd77:9::{last}")):
		        j = json.load(open(f"{sys.argv[1]}/{sys.argv[2]}-{m}-{f}.json", encoding="ascii"))
		        if (j["failed"] or not j["asked"] or j.get("about", vip) != vip
		                or sys.argv[3] == "offender" and j["offender"] != vip):
		            bad = 1
		            print(sys.argv[2], m, f, j)
		sys.exit(bad)
	END
}
# each NAME VERB PORT WHAT MODE…: they wait longer than a busy machine stands still
each() {
	local m f
	for m in "${@:5}"; do
		for f in 4 6; do echo "$1-$m-$f $2 $(host "$m" $f) $3 $4 --timeout 20"; done
	done | peers
}

echo "a closed port: refused, by nobody but the VIP, whoever is behind it"
# shellcheck disable=SC2086
each refused error 7009 refused $MODES
# shellcheck disable=SC2086
judged refused offender $MODES

echo "a host that a router cannot reach"
ns e4 sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ns e4 ip route add unreachable 10.77.5.0/24
ns e4 ip -6 route add unreachable fd77:5::/64
FORWARD="nat fullnat" modes_table "$NET_DIR/deep.conf" maglev 4
sed -i 's/"10\.77\.2\.14"; port = 0/"10.77.5.14"; port = 0/; s/"fd77:2::14"; port = 0/"fd77:5::14"; port = 0/' "$NET_DIR/deep.conf"
ctl push "$NET_DIR/deep.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
each unreachable error 7000 hostunreach nat fullnat
judged unreachable any nat fullnat

echo "errors about nothing"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
before=$(drops_of icmp_error)
ns cl /usr/bin/python3 "$top/tests/net/icmp.py" "$(host nat 4)" "$(host nat 6)" || fail "made-up errors"
more() { [ "$(drops_of icmp_error)" -gt "$before" ]; }
wait_for 5 "icmp_error counting them" more

echo "a client that went away"
# shellcheck disable=SC2086
each late gone 7000 "" $MODES
# shellcheck disable=SC2086
judged late any $MODES
no_bad_drops
ctl show drops | awk '$2 > 0'
