# shellcheck shell=bash
# lib_shadow.sh — push --shadow: at 100 % the report is what two replays by explain differ in; answers are those of the active table; each
# way for a trial to end.  WORKERS is set.
set -euo pipefail
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_http.sh"

export PORT=80 POLICY=maglev HTTP_KEYS='hash = { header = "x-user"; }; ejection = { after = 0; };' ROUTES
AWAY=10.77.9.40:80,10.77.9.41:80
py=$top/tests/net/shadow.py

# tables FILE ADMIN API MORE ENDPOINTS: of both, what differs.
table_of() {
	ROUTES="{ name = \"admin\"; prefix = \"/admin\"; $2 }, { name = \"page\"; path = \"/page\"; respond = { code = 200; body = \"page\"; }; },
		{ name = \"denied\"; path = \"/denied\"; respond = { code = 403; body = \"no\"; }; },
		{ name = \"api\"; prefix = \"/api\"; service = \"$3\"; }, $4 { name = \"rest\"; service = \"web\"; }"
	http_table "$1" "$5"
	{
		service flat nat 80 none 10.77.2. "$5"
		echo ,
		SERVICE_KEYS="" tcp_service ends 10.77.2. "$5"
		echo ,
	} >"$NET_DIR/more.conf"
	sed -i "/^services = (/r $NET_DIR/more.conf" "$1"
	sed -i '/^listeners = (/a\
		{ name = "flat"; address = "10.77.9.40"; port = 80; protocol = "tcp"; mode = "l4"; service = "flat"; },\
		{ name = "ends"; address = "10.77.9.41"; port = 80; protocol = "tcp"; mode = "tcp"; service = "ends"; },' "$1"
}
shadow() { ctl_json "j['shadow']['$1']" show shadow; }
state_of_trial() { [ "$(shadow state)" = "$1" ]; }
# trial NAME ARGS…: push --shadow in the background, begun; trial_of its ARGS without waiting for that: its time may be over before
# anybody looks.
trial_of() {
	local name=$1
	shift
	run gw "$name" "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced.sock" "$@"
}
trial() {
	trial_of "$@"
	wait_for 5 "$1 to begin" state_of_trial running
}
not_tried() { [ "$(grep -c 'is not tried any more' "$NET_DIR/dataplane.log")" = "$1" ]; }

net_up
servers_up
gateway_up
table_of "$NET_DIR/now.conf" 'service = "web";' web6 "" "1 2 3 4"
table_of "$NET_DIR/then.conf" 'respond = { code = 403; body = "no"; };' canary '{ name = "new"; prefix = "/v2"; service = "web"; },' "1 2 3"
! ctl push --shadow "$NET_DIR/then.conf" >"$NET_DIR/out" 2>&1 || fail "a trial beside no table"
ctl push "$NET_DIR/now.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
admitting() { [ "$(ctl_json "sum(not s['admitting'] for s in j['services'])" show services)" = 0 ]; }
wait_for 5 "endpoints" admitting

# ---- the whole traffic: the report is what two replays differ in ----

python3 "$py" replay 20000 "$AWAY" "$NET_DIR/now.json" -- "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced.sock"
trial whole --json push --shadow --sample 100% --for 600s "$NET_DIR/then.conf"
counted_before=$(http_count requests)
ns cl timeout 60 python3 "$py" send 10.77.9.30 "$AWAY" 20000 >"$NET_DIR/sent" || fail "send: $(cat "$NET_DIR/sent")"
is "what is answered while another table is tried" "$(cat "$NET_DIR/sent")" '{"200": 280, "403": 40}'
is "requests that are counted" "$(http_count requests)" $((counted_before + 320))
# the last flow is one when its worker has seen the client's last packet of the handshake
all_seen() { [ "$(ctl_json "[j['shadow'][w]['seen'] for w in ('requests', 'flows')]" show shadow)" = "[320, 80]" ]; }
wait_for 10 "320 requests and 80 flows to be seen" all_seen
stop whole INT
json "$NET_DIR/whole.log" "j['shadow']['state'] + ', ' + j['shadow']['why']" >"$NET_DIR/out"
is "its end" "$(cat "$NET_DIR/out")" "ended, stopped by root"
wait_for 5 "its memory to go" not_tried 1
! ctl diff "$NET_DIR/then.conf" >"$NET_DIR/out" || fail "the tables do not differ"
grep -q "was tried: .* of 320 sampled requests" "$NET_DIR/out" || fail "diff of what was tried says: $(cat "$NET_DIR/out")"
ctl show generations >"$NET_DIR/out"
grep -q "then.conf as generation 2 was tried" "$NET_DIR/out" || fail "show generations says: $(cat "$NET_DIR/out")"
ctl push "$NET_DIR/then.conf" >"$NET_DIR/push.out" 2>&1 || fail "an ordinary push of the same file: $(cat "$NET_DIR/push.out")"
python3 "$py" replay 20000 "$AWAY" "$NET_DIR/then.json" -- "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced.sock"
python3 "$py" judge "$NET_DIR/whole.log" "$NET_DIR/now.json" "$NET_DIR/then.json" >"$NET_DIR/judged" 2>&1 || fail "$(cat "$NET_DIR/judged")"
cat "$NET_DIR/judged"

# ---- its ends ----

# its report, once it has ended: of show shadow, as text
ended() { wait_for 10 "the trial to end" state_of_trial ended; }
why() { shadow why; }

# what it tells nothing of is told: it has a limit more
{ cat "$NET_DIR/now.conf" && echo 'limits = ( { name = "few"; requests = 5; per = "1s"; } );'; } >"$NET_DIR/few.conf"
trial_of timed push --shadow --sample 50% --for 1s "$NET_DIR/few.conf"
wait "$(pid_of timed)" || fail "a trial of a second: $(cat "$NET_DIR/timed.log")"
grep -q 'its time is over' "$NET_DIR/timed.log" || fail "a trial of a second says: $(cat "$NET_DIR/timed.log")"
grep -q '^  + limit    few: requests 5, per 1000 ms, by all' "$NET_DIR/timed.log" || fail "a trial with a limit more says: $(cat "$NET_DIR/timed.log")"

# a limit with another number: what clients ask is held against it
few_of() {
	sed 's#path = "/page";#& policy = { limits = ( "few" ); };#' "$NET_DIR/now.conf"
	echo "limits = ( { name = \"few\"; requests = $1; per = \"1s\"; } );"
}
few_of 1000 >"$NET_DIR/few1000.conf"
few_of 5 >"$NET_DIR/few5.conf"
ctl push "$NET_DIR/few1000.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
start=${EPOCHREALTIME/./}
trial few push --shadow --for 600s "$NET_DIR/few5.conf"
ns cl curl -s -o "$NET_DIR/body" "http://10.77.9.30/page?[1-60]" || fail "60 requests"
# those of a second are looked at when it is over
looked_at() { [ "$(ctl_json "j['shadow']['limits'][0]['asked']" show shadow)" = 60 ]; }
wait_for 10 "60 requests held against the limit" looked_at
seconds=$(((${EPOCHREALTIME/./} - start + 999999) / 1000000))
stop few INT
# 55 in one second, 5 fewer for each that the requests, or a look, took longer
over=$(sed -nE 's/^limit few, 1000 per 1 s -> 5 per 1 s: of 60 requests about ([0-9]+) would be refused \(now 0\), in [1-9][0-9]* of .*/\1/p' "$NET_DIR/few.log")
[ -n "$over" ] && [ "$over" -le 55 ] && [ "$over" -ge $((60 - 5 * seconds)) ] ||
	fail "a trial of a limit says, after $seconds s: $(cat "$NET_DIR/few.log")"
grep '^limit few' "$NET_DIR/few.log"

trial replaced push --shadow --for 600s "$NET_DIR/now.conf"
! ctl push --shadow "$NET_DIR/now.conf" >"$NET_DIR/out" 2>&1 || fail "two trials at once"
grep -q 'is being tried' "$NET_DIR/out" || fail "a second trial is refused by: $(cat "$NET_DIR/out")"
ctl push "$NET_DIR/now.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
wait "$(pid_of replaced)" || fail "a trial that a push ended: $(cat "$NET_DIR/replaced.log")"
grep -q 'became active' "$NET_DIR/replaced.log" || fail "a trial that a push ended says: $(cat "$NET_DIR/replaced.log")"

trial orphan push --shadow --for 5s "$NET_DIR/then.conf"
stop orphan KILL
ended
is "why it ended without who asked for it" "$(why)" "its time is over"

trial killed push --shadow --for 600s "$NET_DIR/then.conf"
n=$(grep -c 'is not tried any more' "$NET_DIR/dataplane.log")
stop sluiced KILL
wait_for 5 "the dataplane to end it" not_tried $((n + 1))
wait "$(pid_of killed)" && fail "a trial whose sluiced was killed is well"
daemon_up
is "a trial after a restart" "$(shadow state)" none

trial lost push --shadow --for 600s "$NET_DIR/then.conf"
stop dataplane KILL
ended
is "why it ended with the dataplane" "$(why)" "the dataplane went away"
dataplane_up
wait_for 10 "the table" grep -q 'active on all' "$NET_DIR/dataplane.log"
wait_for 5 "the link" connected
wait "$(pid_of lost)" || fail "a trial whose dataplane was killed: $(cat "$NET_DIR/lost.log")"

sed 's/service = "ends";/service = "nobody";/' "$NET_DIR/then.conf" >"$NET_DIR/bad.conf"
! ctl push --shadow "$NET_DIR/bad.conf" >"$NET_DIR/out" 2>&1 || fail "a bad table is tried"
grep -q nobody "$NET_DIR/out" || fail "a bad table is refused by: $(cat "$NET_DIR/out")"
sed 's/port = "back"; address = "10.77/port = "side"; address = "10.77/' "$NET_DIR/then.conf" >"$NET_DIR/bad.conf"
! ctl push --shadow "$NET_DIR/bad.conf" >"$NET_DIR/out" 2>&1 || fail "a table that the dataplane refuses is tried"
grep -q 'side' "$NET_DIR/out" || fail "it is refused by: $(cat "$NET_DIR/out")"
is "trials in the audit log" "$(ctl_json "' '.join(sorted({l['outcome'] for l in j['audit'] if l['verb'] == 'shadow'}))" show audit)" "begun ended refused"
for args in "--sample 0%" "--sample 101%" "--sample 5" "--for 0s" "--for 2h" "--confirm 5s"; do
	# shellcheck disable=SC2086 # words
	! ctl push --shadow $args "$NET_DIR/then.conf" >"$NET_DIR/out" 2>&1 || fail "push --shadow $args is taken"
done
quiet
no_bad_drops
