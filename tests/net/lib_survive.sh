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
	if [ -n "${IPERF:-}" ]; then iperf_rows; fi
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}

# iperf_rows: into the table, each way of forwarding to one endpoint alone, at a port of its own of the same VIPs: the two
# connections of an iperf3 must meet.  iperf_up: a server and a client each, for SECONDS.  iperf_good: all went through.
IPERF_AT=(nat:10:5201 dsr:11:5202 fullnat:12:5203 ipip:13:5204 gue:15:5205)
iperf_rows() {
	local at m services="" listeners=""
	for at in "${IPERF_AT[@]}"; do
		m=${at%%:*}
		services="$services $(mode_service "$m" 4 maglev 1 | sed "s/name = \"${m}4\"/name = \"iperf-$m\"/"),"
		listeners="$listeners { name = \"iperf-$m\"; address = \"10.77.9.$(cut -d: -f2 <<<"$at")\"; port = ${at##*:}; protocol = \"tcp\"; mode = \"l4\"; service = \"iperf-$m\"; },"
	done
	SERVICES=$services LISTENERS=$listeners python3 - "$NET_DIR/t.conf" <<-'END'
		import os, sys
		text = open(sys.argv[1]).read()
		text = text.replace("services = (", "services = (" + os.environ["SERVICES"], 1)
		text = text.replace("listeners = (", "listeners = (" + os.environ["LISTENERS"], 1)
		open(sys.argv[1], "w").write(text)
	END
}
iperf_up() {
	local at port
	for at in "${IPERF_AT[@]}"; do
		port=${at##*:}
		run e1 "iperfd$port" iperf3 -s -p "$port"
		wait_for 5 "iperf3 in e1" ns e1 sh -c "ss -ltn | grep -q :$port"
		run cl "iperf$port" iperf3 -c "10.77.9.$(cut -d: -f2 <<<"$at")" -p "$port" -t "$1" -b 5M --json
	done
}
iperf_good() {
	local at port pid
	for at in "${IPERF_AT[@]}"; do
		port=${at##*:}
		pid=$(pid_of "iperf$port")
		wait_for 60 "the end of iperf3 at port $port" sh -c "! kill -0 $pid 2>/dev/null"
		json "$NET_DIR/iperf$port.log" "f\"iperf3 ${at%%:*}: {j['end']['sum_received']['bytes']/1e6:.1f} MB, {j['end']['sum_sent']['retransmits']} sent again\"" ||
			fail "iperf3 at port $port: $(tail -n 5 "$NET_DIR/iperf$port.log")"
	done
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
# in_time: the upgrade took at most 3 s, or the next one or the one behind it, where the machine stood still.
in_time() {
	local away n
	for n in 1 2 3; do
		away=$(ctl_json "int(j['flows']['away_ms'])" status)
		if [ "$away" -le 3000 ]; then return; fi
		echo "an upgrade took $away ms"
		[ $n = 3 ] || ctl upgrade || fail "an upgrade more failed: $?"
	done
	fail "an upgrade took $away ms, three times"
}
flows_are() { [ "$(ctl_json "j['flows']['outcome']" status)" = "$1" ]; }
