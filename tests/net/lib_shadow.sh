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
# trial NAME ARGS…: push --shadow in the background, begun.
trial() {
	local name=$1
	shift
	run gw "$name" "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced.sock" "$@"
	wait_for 5 "$name to begin" state_of_trial running
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
stop whole INT
json "$NET_DIR/whole.log" "j['shadow']['state'] + ', ' + j['shadow']['why']" >"$NET_DIR/out"
is "its end" "$(cat "$NET_DIR/out")" "ended, stopped by root"
wait_for 5 "its memory to go" not_tried 1
ctl push "$NET_DIR/then.conf" >"$NET_DIR/push.out" 2>&1 || fail "an ordinary push of the same file: $(cat "$NET_DIR/push.out")"
python3 "$py" replay 20000 "$AWAY" "$NET_DIR/then.json" -- "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced.sock"
python3 "$py" judge "$NET_DIR/whole.log" "$NET_DIR/now.json" "$NET_DIR/then.json" >"$NET_DIR/judged" 2>&1 || fail "$(cat "$NET_DIR/judged")"
cat "$NET_DIR/judged"
