#!/usr/bin/env bash
# A flow table of 4,096 with more connections than it holds: established ones go on, in nat and in dsr; dsr goes on without
# an entry; nat refuses new ones, counts them, and takes them again when there is room.
set -euo pipefail
# shellcheck source=tests/net/lib_modes.sh
. "$(dirname "$0")/lib_modes.sh"

export FLOWS=4096 LISTEN="tcp:7000" FORWARD="nat dsr"
modes_up

held() { # NAME MODE N
	run cl "$1" python3 "$top/tests/net/peer.py" hold "$(host "$2" 4)" 7000 --connections "$3" --timeout 10
	wait_for 30 "$3 connections of $1" grep -q ready "$NET_DIR/$1.log"
}
asked() { # each of its connections is asked, and answers
	local lines
	lines=$(wc -l <"$NET_DIR/$1.log")
	kill -USR1 "$(pid_of "$1")"
	wait_for 30 "answers to $1" sh -c "[ \$(wc -l <'$NET_DIR/$1.log') -gt $lines ]"
	tail -n 1 "$NET_DIR/$1.log" >"$NET_DIR/$1.json"
	good "$1"
	echo "$1: $(say "$1" "j['connections']") connections, $(say "$1" "j['asked']") questions, 0 failed"
}
active() { ctl_json "sum(w['flow_active'] for w in j['workers'])" show workers; }

held nat nat 500
held dsr dsr 500
held fill dsr 3300
echo "$(active) flows in a table of 4,096"
[ "$(active)" -ge 4000 ] || fail "the table is not full"
for who in nat dsr fill; do asked $who; done

before=$(drops_of flow_full)
peer refused tcp "$(host nat 4)" 7000 --count 5 --timeout 0.5
[ "$(say refused "j['failed']")" -eq 5 ] || fail "nat took new connections into a full table: $(cat "$NET_DIR/refused.json")"
rose() { echo $(($(drops_of flow_full) - before)); }
counted() { [ "$(rose)" -ge 5 ]; }
wait_for 10 "flow_full to count them" counted
echo "5 new connections of nat were refused, flow_full rose by $(rose)"
peer more tcp "$(host dsr 4)" 7000 --count 50
good more
for who in nat dsr; do asked $who; done

# The ones that fill it end: room again.
stop fill
room() { ns cl python3 "$top/tests/net/peer.py" tcp "$(host nat 4)" 7000 --timeout 0.3; }
wait_for 30 "new connections of nat" room
for who in nat dsr; do asked $who; done
no_bad_drops
