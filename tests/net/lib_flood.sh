# shellcheck shell=bash
# lib_flood.sh — floods in one mode: while SYNs, datagrams or a port scan come from everywhere as fast as the generator sends,
# 100 held connections and a download go on and new good connections succeed.  MODE is set.
#
# The generator (sluice-pktgen) shares the client's link and the CPUs with all the others, and what the link drops before the
# gateway is lost to the good clients too: so it sends no more than FLOOD_PPS, about what AF_XDP on veth takes here.
set -euo pipefail
# shellcheck source=tests/net/lib_modes.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_modes.sh"

export LISTEN="tcp:80 tcp:7000 udp:7000" FORWARD=${MODE%[46]} WORKERS=${WORKERS:-1}
export FLOWS=32768 # the table is touched as a whole by the first flood: memory that grows is memory that leaks
# An endpoint's kernel keeps what a SYN flood leaves half open for a minute, 4,096 of it here, and a good connection that gets
# the source address and port of one of these within that time fails.  fullnat needs many more ports than that.
export SOURCES=40
SECONDS_EACH=${SECONDS_EACH:-4}
modes_up
for i in $ENDPOINTS; do server_up "$i"; done
vip=$(host "$MODE" 4)
mac=$(ns gw cat /sys/class/net/front0/address)

# shellcheck source=tests/net/lib_pktgen.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_pktgen.sh"
profile syn tcp syn 198.19.255.255 80 80 17407
profile udp udp syn 198.19.255.255 7000 7000 17407
profile scan tcp syn 198.18.0.3 8000 65535 17407

front_rx() { ctl_json "[p['rx_packets'] for p in j['ports'] if p['name'] == 'front'][0]" show ports; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(pid_of dataplane)/status"; }
mark() { # NAME: its next line
	local lines
	lines=$(wc -l <"$NET_DIR/$1.log")
	kill -USR1 "$(pid_of "$1")"
	wait_for 20 "a line of $1" sh -c "[ \$(wc -l <'$NET_DIR/$1.log') -gt $lines ]" || fail "$WAITED"
	tail -n 1 "$NET_DIR/$1.log" >"$NET_DIR/$1.json"
}

run cl held python3 "$top/tests/net/peer.py" hold "$vip" 7000 --connections 100 --every 0.5 --timeout 10
run cl stream python3 "$top/tests/net/peer.py" stream "$vip" 7000 --timeout 10
wait_for 20 "100 connections" grep -q ready "$NET_DIR/held.log"
wait_for 20 "the download" grep -q ready "$NET_DIR/stream.log"

# one KIND: flood, good clients beside it, figures; false: of the clients too many failed.
one() {
	local kind=$1 before after share
	mark stream
	before=$(front_rx)
	# with a pause: three floods within a minute, in which none of the 28,000 source ports towards the VIP is free again
	load good --seconds $((SECONDS_EACH + 1)) --threads 4 --pause 0.003 --timeout 10 "$(url "$MODE" 4)"
	flood "$kind" "$SECONDS_EACH"
	flooded "$kind"
	mark stream
	loaded good >/dev/null
	after=$(front_rx)
	good stream
	share=$(json "$NET_DIR/good.json" 'round(100 * (1 - j["failed"] / j["requests"]), 2)')
	echo "$MODE, $kind flood: $(json "$NET_DIR/$kind.json" "round(j['sent'] / j['seconds'] / 1000)") k/s sent," \
		"$(((after - before) / SECONDS_EACH / 1000)) k/s received by the gateway; $share % of" \
		"$(json "$NET_DIR/good.json" 'j["requests"]') new connections good; download $(say stream "j['mbit']") Mbit/s"
	[ "$(say stream "j['mbit'] > 0.5")" = True ] || fail "$kind flood: the download stood still: $(cat "$NET_DIR/stream.json")"
	[ "$(json "$NET_DIR/good.json" 'j["requests"] > 10 and j["failed"] * 100 <= j["requests"]')" = True ]
}
# Clients that hardly get to ask, beside others on this machine, are too few to count: of 300 four that meet a half-open one are too many.
withstood() { one "$1" || one "$1" || one "$1" || fail "$1 flood: $(cat "$NET_DIR/good.json")"; }
flood syn 1 # touches what memory there is to touch
flooded syn
quiet=$(rss)
for kind in syn udp scan; do withstood $kind; done
ctl show drops | awk '$2 != "0"'
case $MODE in
nat | fullnat) [ "$(drops_of embryonic)" -gt 0 ] || fail "the floods filled nothing" ;;
esac
[ "$(drops_of no_listener)" -gt 1000 ] || fail "no_listener did not count the scan"

stop held
tail -n 1 "$NET_DIR/held.log" >"$NET_DIR/held.json"
good held
stop stream
small() { [ "$(rss)" -le $((quiet + 4096)) ]; }
wait_for 10 "memory back at what it was ($quiet kB, now $(rss) kB)" small
echo "held connections: $(say held "j['asked']") questions, 0 failed; resident memory $quiet kB before, $(rss) kB after"
no_bad_drops
