#!/usr/bin/env bash
# The decapsulator that the tunnel tests rest on, by itself: packets that scapy made, every kind, good and bad; the
# endpoint's kernel answers the good ones straight to the client.  No gateway.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

net_up
peer_up 1
decap_up 1
ns cl /usr/bin/python3 "$top/tests/net/decap.py" || fail "not every packet was treated as it must be"
all_seen() { # by a report at SIGUSR1
	kill -USR1 "$(pid_of decap1)"
	tail -n 1 "$NET_DIR/decap1.log" >"$NET_DIR/decap.json"
	[ "$(json "$NET_DIR/decap.json" "j['refused']")" = 18 ]
}
wait_for 5 "a report at SIGUSR1 of 18 packets refused" all_seen
before=$(grep -c packets "$NET_DIR/decap1.log")
stop decap1
[ "$(grep -c packets "$NET_DIR/decap1.log")" -gt "$before" ] || fail "no report at the end"
tail -n 1 "$NET_DIR/decap1.log" >"$NET_DIR/decap.json"
cat "$NET_DIR/decap.json"
want() { [ "$(json "$NET_DIR/decap.json" "$1")" = "$2" ] || fail "$1 is $(json "$NET_DIR/decap.json" "$1"), not $2"; }
for kind in 4in4 6in4 4in6 6in6; do want "j['$kind']" 3; done
want "j['gue_in4']" 6
want "j['gue_in6']" 6
want "j['refused']" 18 # 9 kinds of bad packets over either family
want "j['flows']" 8
want "j['moved']" 8    # the third packet of each flow comes from elsewhere
want "j['sources']" 4
want "j['df_missing']" 4
want "j['tun_errors']" 0
