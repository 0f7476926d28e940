# shellcheck shell=bash disable=SC2034
# lib_levels.sh — priorities, subsets and localities with kernels on both sides: e1 and e2 come first, e3 and e4 behind them; e1 and e3
# are version v1, e2 and e4 v2.  Sourced by levels_*w.sh.
set -euo pipefail
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_http.sh"

NAT=http://10.77.9.10 TCP=http://10.77.9.20 WEB=http://10.77.9.30

# by_priority I, by_locality I: what endpoint I has besides its address.
by_priority() { echo "priority = $((($1 - 1) / 2 * 2)); metadata = ( \"${KEY:-version}=v$((2 - $1 % 2))\" );"; }
by_locality() {
	local where=("" eu/a/r1 eu/a/r2 eu/b us/c)
	echo "locality = \"${where[$1]}\";"
}

# service NAME FORWARD KEYS: of all endpoints, each with what $OF says.
service() {
	local i comma=""
	echo "{ name = \"$1\"; forward = \"$2\"; policy = \"round_robin\"; max_endpoints = 20; $3 endpoints = ("
	for i in $ENDPOINTS; do
		echo "$comma{ name = \"e$i\"; address = \"10.77.2.1$i\"; port = 8080; $($OF "$i") }"
		comma=,
	done
	echo "); }"
}

# push_levels [SUBSETS OF WEB]: tables of all three modes.
push_levels() {
	{
		cat <<-END
			gateway = { name = "${NET}gateway"; };
			network = { addresses = (
			  { port = "front"; address = "10.77.1.1/24"; }, { port = "back"; address = "10.77.2.1/24"; } ); };
			services = ( $(service nat nat "${KEYS:-}"), $(service tcp proxy "${KEYS:-}"),
			$(service web proxy "${KEYS:-} ${1:-}") );
			listeners = (
			  { name = "nat"; address = "10.77.9.10"; port = 80; protocol = "tcp"; mode = "l4"; service = "nat"; },
			  { name = "tcp"; address = "10.77.9.20"; port = 80; protocol = "tcp"; mode = "tcp"; service = "tcp"; },
			  { name = "web"; address = "10.77.9.30"; port = 80; protocol = "tcp"; mode = "http"; routes = "edge"; } );
			route_tables = ( { name = "edge"; hosts = ( { name = "all"; match = ( "*" ); routes = (
		END
		[ -z "${1:-}" ] || cat <<-'END'
			{ name = "v1"; prefix = "/v1"; rewrite = { prefix = "/"; }; service = "web"; subset = "v1"; },
			{ name = "v2"; prefix = "/v2"; rewrite = { prefix = "/"; }; service = "web"; subset = "v2"; },
			{ name = "split"; prefix = "/split"; rewrite = { prefix = "/"; };
			  split = ( { service = "web"; subset = "v1"; weight = 50; }, { service = "web"; subset = "v2"; weight = 50; } ); },
		END
		echo '{ name = "rest"; service = "web"; } ); } ); } );'
	} >"$NET_DIR/t.conf"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}

# who URL [N]: who answers N new connections, each once, in order.
who() { ns cl curl -s --max-time 10 -H 'Connection: close' -w '\n' "$1/who?[1-${2:-12}]" | sort -u | xargs; }
# level_of ADDRESS FIELD: what explain says of the level of a new connection; of a request: level_of_request PATH FIELD.
level_of() { ctl_json "j['level'] and j['level']['$2']" explain tcp "10.77.1.100:$((1024 + RANDOM))" "$1:80"; }
level_of_request() { ctl_json "j['level'] and j['level']['$2']" explain --http "GET $1"; }
all_drain() { for s in nat tcp web; do ctl "$1" "$s" "$2" >/dev/null; done; }
# settled WHAT WANT COMMAND…: the command comes to say it (shares are measured ten times a second).
settled() {
	local what=$1 want=$2
	shift 2
	now_is() { [ "$("$@")" = "$want" ]; }
	WAITED="$what" wait_for 5 "$what to be '$want'" now_is "$@"
}

levels_up() {
	local i
	export HUGE=${HUGE:-never} DAEMON_KEYS='locality = "eu/a/r1";'
	net_up
	for i in $ENDPOINTS; do http_peer_up "$i"; done
	gateway_up
}

# ---- priorities ----

failover() {
	local u
	OF=by_priority push_levels
	for u in $NAT $TCP $WEB; do is "$u: all are well" "$(who "$u")" "e1 e2"; done
	is "share of level 0" "$(level_of 10.77.9.10 percent)" 100.0
	load held --seconds 300 --threads 4 --keepalive "$NAT/who" "$TCP/who"
	all_drain drain e1
	settled "half of level 0 drained" "True" ctl_json "j['level']['percent'] in (70.0, 30.0)" explain tcp 10.77.1.100:999 10.77.9.10:80
	settled "requests, too" "True" ctl_json "j['level']['percent'] in (70.0, 30.0)" explain --http 'GET /'
	for u in $NAT $TCP $WEB; do is "$u: 70 and 30 per cent" "$(who "$u" 60)" "e2 e3 e4"; done
	all_drain drain e2
	for u in $NAT $TCP $WEB; do is "$u: level 0 is drained" "$(who "$u")" "e3 e4"; done
	settled "level 1 has all" 100.0 level_of 10.77.9.20 percent
	settled "level 1 has all requests" 1 level_of_request / level
	all_drain undrain e1
	all_drain undrain e2
	settled "level 0 again" 0 level_of 10.77.9.10 level
	for u in $NAT $TCP $WEB; do settled "$u is back" "e1 e2" who "$u"; done
	# what was open stays, and nothing failed
	enough held
}

# ---- subsets ----

subsets() {
	local both='subsets = ( { name = "v2"; metadata = ( "version=v2" ); fallback = "any"; }, { name = "v1"; metadata = ( "version=v1" ); } );'
	OF=by_priority push_levels "$both"
	is "v1" "$(who $WEB/v1)" e1
	is "v2" "$(who $WEB/v2)" e2
	is "a split over both" "$(who $WEB/split 30)" "e1 e2"
	is "the whole" "$(who $WEB)" "e1 e2"
	is "explain of a subset" "$(ctl_json "[j['subset'], j['endpoint']['name']]" explain --http 'GET /v1/x')" "['v1', 'e1']"
	ctl drain web e1 >/dev/null
	is "v1 at its second level" "$(who $WEB/v1)" e3
	is "v2 is not touched" "$(who $WEB/v2)" e2
	ctl drain web e3 >/dev/null
	gives "v1 has nobody" 503 "$WEB/v1/who"
	ctl explain --http 'GET /v1/x' >"$NET_DIR/explain.out"
	grep -q 'service     web, subset v1' "$NET_DIR/explain.out" || fail "explain: $(cat "$NET_DIR/explain.out")"
	ctl undrain web e1 >/dev/null
	ctl undrain web e3 >/dev/null
	settled "v1 is at its first level again" e1 who $WEB/v1 40
	# subsets change their places under a client: none of its requests goes astray
	load kept --seconds 300 --threads 4 --keepalive "$WEB/v1/who"
	local i
	for i in 1 2 3 4 5 6; do
		OF=by_priority push_levels "subsets = ( $([ $((i % 2)) = 0 ] || echo '{ name = "a"; metadata = ( "version=v2" ); },') ${both#subsets = ( }"
	done
	goes_on kept
	enough kept
	is "all of them by v1" "$(say kept "sorted(k for w in j['by'].values() for k in w)")" "['e1']"
	# nobody has the metadata: one takes anybody, the other nobody
	OF=by_priority KEY=release push_levels "$both"
	is "fallback any" "$(who $WEB/v2)" "e1 e2"
	gives "fallback none" 503 "$WEB/v1/who"
}

# ---- localities ----

localities() {
	local u
	KEYS='locality_failover = true;' OF=by_locality push_levels
	for u in $NAT $TCP $WEB; do is "$u: near" "$(who "$u")" "e1 e2"; done
	all_drain drain e1
	all_drain drain e2
	for u in $NAT $TCP $WEB; do is "$u: the next zone" "$(who "$u")" e3; done
	all_drain drain e3
	for u in $NAT $TCP $WEB; do is "$u: the next region" "$(who "$u")" e4; done
	for i in 1 2 3; do all_drain undrain "e$i"; done
	for u in $NAT $TCP $WEB; do settled "$u: near again" "e1 e2" who "$u"; done
}

levels_up
failover
subsets
localities
no_bad_drops
