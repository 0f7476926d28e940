#!/usr/bin/env bash
# push --confirm: what nobody confirms is taken back by itself, also when sluiced was killed meanwhile, or the dataplane; what is
# confirmed stands.  Seen in what requests are answered.  1 worker, af_packet.
set -euo pipefail
export WORKERS=1 DRIVER=af_packet PORT=80
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "$0")/lib_http.sh"

u=$(url 10.77.9.30)
export ROUTES
route_of() { echo "{ name = \"table\"; path = \"/table\"; respond = { code = 200; body = \"$1\"; }; }"; }
# push_of I [ARGS…]: a table in which /table is answered I.
push_of() {
	local i=$1
	shift
	ROUTES=$(route_of "$i")
	http_table "$NET_DIR/t.conf" 1
	ctl push "$@" "$NET_DIR/t.conf" >"$NET_DIR/push.out" 2>&1 || fail "push $i: $(cat "$NET_DIR/push.out")"
}
says() { [ "$(get "$u/table")" = "$1" ]; }
answers() { wait_for "${2:-10}" "requests to be answered by table $1" says "$1"; }
generation() { ctl_json "j['generation']['$1']" status; }
waiting() { ctl_json "(j['generation']['confirm'] or {}).get('generation', 0)" status; }
last_audit() { ctl_json "[(l['verb'], l['user'], l.get('rollback_of', 0)) for l in j['audit']][-1]" show audit; }
gone() { [ "$(waiting)" = 0 ]; }
# Times are long enough for a busy machine to look in between.  not_before SECONDS: since `began`, when the push began.
began() { BEGAN=${EPOCHREALTIME/./}; }
not_before() {
	local took=$((${EPOCHREALTIME/./} - BEGAN))
	[ "$took" -ge $(($1 * 1000000)) ] || fail "taken back after $((took / 1000)) ms of $1 s"
}

net_up
servers_up
gateway_up
push_of 1
answers 1
began
push_of 2 --confirm 5s
grep -q 'unless: sluicectl confirm' "$NET_DIR/push.out" || fail "push --confirm says: $(cat "$NET_DIR/push.out")"
answers 2 4
is "what waits" "$(waiting)" 2
answers 1 20
not_before 5
wait_for 5 "the wait to be over" gone
is "the audit log" "$(last_audit)" "('rollback', 'sluiced', 1)"

# ---- sluiced is killed, and comes back before the time is over ----

began
push_of 4 --confirm 10s
answers 4 5
stop sluiced KILL
daemon_up
is "what waits after a kill" "$(waiting)" 4
is "what is answered after a kill" "$(get "$u/table")" 4
is "time left" "$(ctl_json "0 < j['generation']['confirm']['left_s'] <= 10" status)" True
answers 1 20
not_before 10

# ---- it comes back after the time was over ----

push_of 6 --confirm 5s
answers 6 4
stop sluiced KILL
over() { [ "${EPOCHREALTIME/./}" -gt "$end" ]; }
end=$((${EPOCHREALTIME/./} + 5500000))
wait_for 10 "the time to be over" over
is "what is answered meanwhile" "$(get "$u/table")" 6
daemon_up
answers 1 20
wait_for 5 "the wait to be over" gone

# ---- the dataplane is killed ----

began
push_of 8 --confirm 20s
stop dataplane KILL
dataplane_up
answers 8 10
answers 1 30
not_before 20
wait_for 5 "the wait to be over" gone

# ---- it is confirmed; rollback by hand ends a wait, too ----

before=$(generation push)
push_of 9 --confirm 5s
answers 9 4
ctl confirm "$((before + 1))" >"$NET_DIR/confirm.out" || fail "confirm: $(cat "$NET_DIR/confirm.out")"
is "what waits when it is confirmed" "$(waiting)" 0
end=$((${EPOCHREALTIME/./} + 5500000))
wait_for 10 "the time to be over" over
is "what is answered when it is confirmed" "$(get "$u/table")" 9
! ctl confirm >"$NET_DIR/confirm.out" 2>&1 || fail "confirm, when nothing waits"
push_of 10 --confirm 60s
answers 10 2
ctl rollback >"$NET_DIR/rollback.out" || fail "rollback: $(cat "$NET_DIR/rollback.out")"
answers 9 2
is "what waits after a rollback" "$(waiting)" 0
! ctl push --confirm 0s "$NET_DIR/t.conf" >"$NET_DIR/push.out" 2>&1 || fail "--confirm 0s is taken"
! ctl push --confirm 25h "$NET_DIR/t.conf" >"$NET_DIR/push.out" 2>&1 || fail "--confirm 25h is taken"
no_bad_drops
