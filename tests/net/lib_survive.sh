# shellcheck shell=bash
# lib_survive.sh — connections held through the end of a dataplane, in every way of forwarding (FORWARD), and what is
# said about them.
set -euo pipefail
# shellcheck source=tests/net/lib_modes.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_modes.sh"

export LISTEN="tcp:80 tcp:7100"
HELD=${HELD:-10000}

# survive_up: network, web servers and echo servers, gateway, table.
survive_up() {
	local i letters=(. a b c d)
	export HUGE=${HUGE:-never}
	net_up
	servers_up
	for i in $ENDPOINTS; do
		decap_up "$i"
		LETTER=${letters[$i]} run "e$i" "echo$i" python3 "$top/tests/net/idle.py" serve 7100
	done
	gateway_up
	modes_table "$NET_DIR/t.conf"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}

# vips PORT: all of them, nat … gue, both families.
vips() {
	local m f
	for m in $MODES; do
		[[ " ${FORWARD:-nat dsr fullnat ipip gue} " = *" ${m%[46]} "* ]] || continue
		for f in 4 6; do
			if [ "$f" = 4 ]; then echo "$(host "$m" 4):$1"; else echo "[$(host "$m" 6)]:$1"; fi
		done
	done
}

# hold_up: HELD connections over all VIPs.  held: each still carries a byte, to the same endpoint.
hold_up() {
	local targets
	mapfile -t targets < <(vips 7100)
	rm -f "$NET_DIR/held"
	run cl hold python3 "$top/tests/net/idle.py" hold "$NET_DIR/held" "$HELD" "${targets[@]}"
	wait_for 40 "$HELD connections" sh -c "test -e $NET_DIR/held || ! kill -0 $(pid_of hold)"
	[ -e "$NET_DIR/held" ] || fail "$(cat "$NET_DIR/hold.log")"
}
held() {
	local lines
	lines=$(wc -l <"$NET_DIR/hold.log")
	kill -USR1 "$(pid_of hold)"
	wait_for 20 "an answer about the connections" sh -c "[ \$(wc -l <'$NET_DIR/hold.log') -gt $lines ]"
	tail -n 1 "$NET_DIR/hold.log" >"$NET_DIR/hold.json"
	echo "$1: $(cat "$NET_DIR/hold.json")"
	[ "$(json "$NET_DIR/hold.json" "j['lost']")" -eq 0 ] || fail "$1: connections were lost"
}

# workers N: of the next dataplane.
workers() {
	local w list=""
	for w in $(seq "$1"); do list="$list${list:+, }$(((w - 1) % $(nproc)))"; done
	sed -i "s/^workers = .*/workers = [ $list ];/" "$NET_DIR/dataplane.conf"
}

running() { [ "$(ctl_json "j['dataplane']['connected'] and j['dataplane']['pid']" status)" = "$(pid_of dataplane)" ]; }
answers() { ns cl curl -sf --max-time 0.3 -o /dev/null "http://$(vips 80 | sed -n 1p)/"; }

# again SIGNAL: ends the dataplane and starts the next; SERVED ms from its start to the first answer.
again() {
	local start
	stop dataplane "$1"
	start=${EPOCHREALTIME/./}
	run gw dataplane "$BUILD/dataplane/sluice-dataplane" -c "$NET_DIR/dataplane.conf"
	wait_for 10 "serving again" answers
	SERVED=$(((${EPOCHREALTIME/./} - start) / 1000))
	wait_for 5 "the new dataplane in status" running
	echo "serves again $SERVED ms after its start: $(ctl_json "j['flows']['text']" status)"
}

# flows_say EXPRESSION VALUE: over status.flows.
flows_say() {
	[ "$(ctl_json "(lambda f: $1)(j['flows'])" status)" = "$2" ] || fail "status says of flows: $(ctl_json "j['flows']" status)"
}
flows_are() { [ "$(ctl_json "j['flows']['outcome']" status)" = "$1" ]; }
