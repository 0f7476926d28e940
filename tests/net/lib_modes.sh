# shellcheck shell=bash disable=SC2034
# lib_modes.sh — the network with every way of forwarding: VIPs and services of modes_table (scripts/lib/net.sh), a
# decapsulator and peer.py in every endpoint.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_test.sh"

MODES=${MODES:-nat dsr fullnat ipip4 ipip6 gue4 gue6} # as what says how it goes
declare -A VIP=([nat]=10 [dsr]=11 [fullnat]=12 [ipip4]=13 [ipip6]=14 [gue4]=15 [gue6]=16)
declare -A CLIENT=([4]=10.77.1.100 [6]=fd77:1::100)
# The largest inner packet that goes through over links of 1500.
declare -A INNER=([ipip4]=1480 [ipip6]=1460 [gue4]=1468 [gue6]=1448)

# host MODE FAMILY: its VIP.
host() { if [ "$2" = 4 ]; then echo "10.77.9.${VIP[$1]}"; else echo "fd77:9::${VIP[$1]}"; fi; }
url() { if [ "$2" = 4 ]; then echo "http://$(host "$@")"; else echo "http://[$(host "$@")]"; fi; }

# shellcheck disable=SC2120 # most tests take every default
# modes_up: network, endpoints and gateway.  TABLE_READY: a command that completes $NET_DIR/t.conf before it is pushed.
modes_up() {
	local i
	export HUGE=never # others run beside us
	net_up
	for i in gw cl sw e1 e2 e3 e4; do
		ns $i sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
	done
	for i in $ENDPOINTS; do
		peer_up "$i"
		decap_up "$i"
	done
	gateway_up
	modes_table "$NET_DIR/t.conf" "$@"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}

# A gateway and an endpoint may stand still for some seconds: nothing is lost by that, and whoever wants less time says so.
peer() {
	local name=$1 verb=$2
	shift 2
	ns cl python3 "$top/tests/net/peer.py" "$verb" --timeout 15 "$@" >"$NET_DIR/$name.json" 2>"$NET_DIR/$name.err" || true
	[ -s "$NET_DIR/$name.json" ] || fail "$name: $(cat "$NET_DIR/$name.err")"
}
# say NAME EXPRESSION: of its result j.
say() { json "$NET_DIR/$1.json" "$2"; }
# good NAME: it asked and nothing failed.
good() { [ "$(say "$1" 'j["asked"] > 0 and not j["failed"]')" = True ] || fail "$1: $(cat "$NET_DIR/$1.json")"; }

# peers: lines "NAME VERB ARGS" of standard input, some at a time.
peers() { sed -E 's/^[^ ]+ [^ ]+/& --timeout 15/' | ns cl python3 "$top/tests/net/peer.py" batch "$NET_DIR"; }

# decap_reports: the decapsulators' reports, a list of one for each endpoint; decapped EXPRESSION: over that list j.
decap_reports() {
	local i had comma=""
	for i in $ENDPOINTS; do
		had=$(grep -c packets "$NET_DIR/decap$i.log" || true)
		kill -USR1 "$(pid_of "decap$i")"
		wait_for 5 "report of decap$i" sh -c "[ \$(grep -c packets '$NET_DIR/decap$i.log') -gt $had ]"
		echo "${comma:-[} $(tail -n 1 "$NET_DIR/decap$i.log")"
		comma=,
	done >"$NET_DIR/decaps.json"
	echo "]" >>"$NET_DIR/decaps.json"
}
decapped() { json "$NET_DIR/decaps.json" "$1"; }
