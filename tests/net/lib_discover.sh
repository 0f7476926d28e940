# shellcheck shell=bash disable=SC2154
# lib_discover.sh — sourced by discover_*.sh: a gateway whose endpoints a source knows, and the claims that hold for all sources.
#
#   DAEMON_KEYS        the source, in sluiced's file
#   DISCOVER           of the service "web": what it asks; DISCOVER6, when set, of "web6"
#   knows "1 2"        makes the source know endpoints 1 and 2; knows "" none at all
#   source_up, source_down
#   lies               the list of functions that make the source say nonsense; knows mends it
#   chances            waits until the source was asked since `mark`, and its say was heard

# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

discover_table() {
	local six="" six_at=""
	if [ -n "${DISCOVER6:-}" ]; then
		six=", { name = \"web6\"; forward = \"nat\"; max_endpoints = 40; discover = ( $DISCOVER6 ); }"
		six_at=', { name = "web6"; address = "fd77:9::10"; port = 80; protocol = "tcp"; mode = "l4"; service = "web6"; }'
	fi
	cat <<-END
		gateway = { name = "${NET}gateway"; };
		network = { addresses = (
		  { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
		  { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } ); routes = (); };
		services = ( { name = "web"; forward = "nat"; max_endpoints = 40; discover = ( $DISCOVER ); } $six );
		listeners = (
		  { name = "web"; address = "10.77.9.10"; port = 80; protocol = "tcp"; mode = "l4"; service = "web"; } $six_at );
	END
}

# served [URL [SECONDS]]: who answers 40 requests in turn: "e1 e2"; up to the first that is not answered in time, for without any
# endpoint each would wait in vain.
served() {
	local url=${1:-http://10.77.9.10/}
	ns cl curl -s --max-time "${2:-5}" --fail-early "$url?[1-40]" --no-keepalive -H 'Connection: close' | sort -u | xargs
}
served_by() { [ "$(served "${2:-}" "${3:-}")" = "$1" ]; }

# moves_to "e3 e4" [SECONDS]: traffic goes there, and how long that took since the change.
moves_to() {
	local start=${EPOCHREALTIME/./}
	wait_for "${2:-30}" "traffic on $1" served_by "$1" "" 2 # one that was under way to who is gone is not waited for
	[ -z "${DISCOVER6:-}" ] || wait_for "${2:-30}" "IPv6 traffic on $1" served_by "$1" "http://[fd77:9::10]/" 2
	echo "moved to $1 within $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
}

# stays_on "e3 e4" WHY: the source had its chances (counted troubles or empty answers), and traffic is where it was.
stays_on() {
	served_by "$1" || fail "$2: traffic is on '$(served)', not on '$1'"
	[ -z "${DISCOVER6:-}" ] || served_by "$1" "http://[fd77:9::10]/" || fail "$2: IPv6 traffic is on '$(served "http://[fd77:9::10]/")', not on '$1'"
}

# source_row KEY: what `show sources` says of the service.
mark() { MARK=$(told); }
told() { ctl_json "sum(s['answers'] + s['troubles'] for s in j['sources'] if s['service'] == 'web')" show sources; }
heard() { [ "$(told)" -gt "$MARK" ]; }
source_row() { ctl_json "[s['$1'] for s in j['sources'] if s['service'] == 'web'][0]" show sources; }

discover_claims() {
	local lie targets=(http://10.77.9.10 ${DISCOVER6:+"http://[fd77:9::10]"})
	gateway_up
	knows "1 2"
	source_up
	discover_table >"$NET_DIR/t.conf"
	ctl push "$NET_DIR/t.conf"
	moves_to "e1 e2"

	# changes under load: what is under way to an endpoint that goes may fail, one request of each client, address and change; who
	# waits for its answer asks nobody else, for 5 s, so each change waits until the client went on
	load moving --seconds 300 --threads 2 --pause 0.005 "${targets[@]}"
	wait_for 20 "the client at e1 and e2" load_met moving "e1 e2"
	knows "2 3"
	moves_to "e2 e3"
	wait_for 20 "the client at e3" load_met moving e3
	knows "3 4"
	moves_to "e3 e4"
	wait_for 20 "the client at e4" load_met moving e4
	kill -TERM "$(pid_of moving)"
	loaded moving
	[ "$(json "$NET_DIR/moving.json" 'j["failed"]')" -le $((4 * ${#targets[@]})) ] || fail "more failed than was under way"
	load staying --seconds 300 --threads 2 --pause 0.005 "${targets[@]}"

	# nothing a source does empties the service
	for lie in "${lies[@]}"; do
		mark
		$lie
		chances
		stays_on "e3 e4" "$lie"
	done
	mark
	source_down
	chances
	stays_on "e3 e4" "the source is away"
	enough staying

	# nor a restart of either process while it is away
	stop sluiced KILL
	MARK=0
	daemon_up
	wait_for 10 "the dataplane connected again" connected
	chances
	stays_on "e3 e4" "sluiced was killed while the source is away"
	stop dataplane KILL
	dataplane_up
	moves_to "e3 e4"

	# and it is believed again when it is back
	knows "1"
	source_up
	moves_to "e1" 65 # a source pauses for 30 s at most, and may ask a server that is not there in between
	no_bad_drops
	source_down
	stop sluiced
	stop dataplane
	rm -rf "$NET_DIR/state"
}
