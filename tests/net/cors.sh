#!/usr/bin/env bash
# CORS and cookies of splits: preflights are answered by the gateway, whoever may not come in otherwise; answers say what the policy says and
# nothing of what the endpoint says; clients of a split are given a cookie that keeps them where they were sent, on each worker.
set -euo pipefail
# shellcheck source=tests/net/lib_traffic.sh
. "$(dirname "$0")/lib_traffic.sh"

SHOP='origins = ( "https://shop.example", "https://*.shop.example" ); methods = ( "GET", "PUT" ); headers = ( "x-a" ); expose = ( "x-who" ); credentials = true; max_age = "10m";'

# heads URL [CURL ARGS…]: status and lines of CORS and Vary of an answer, in order.
heads() {
	get -D "$NET_DIR/heads" -o "$NET_DIR/body" "$@"
	tr -d '\r' <"$NET_DIR/heads" | awk 'NR == 1 { print $2 } tolower($0) ~ /^(access-control|vary)/ { print tolower($0) }' | sort | paste -sd' '
}
preflight() { heads -X OPTIONS -H "Origin: $1" -H 'Access-Control-Request-Method: PUT' -H 'Access-Control-Request-Headers: x-a' "${@:2}" "$u/who"; }

cors() {
	local before

	# who has no token is not let in, nor asked for one by a preflight
	echo '{"keys":[]}' >"$NET_DIR/jwks"
	# shellcheck disable=SC2089,SC2090 # for the table
	ROUTES="{ name = \"r\"; service = \"web\"; policy = { jwt = ( \"i\" ); jwt_required = true; cors = { $SHOP }; }; }"
	# shellcheck disable=SC2090
	export ROUTES
	http_table "$NET_DIR/t.conf"
	echo "jwt = ( { name = \"i\"; jwks = \"file:$NET_DIR/jwks\"; } );" >>"$NET_DIR/t.conf"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
	is "a request without a token" "$(heads -H 'Origin: https://shop.example' "$u/who" | cut -c-96)" \
		"401 access-control-allow-credentials: true access-control-allow-origin: https://shop.example acc"
	is "its preflight" "$(preflight https://shop.example | cut -c-3)" 204

	traffic_push "{ name = \"r\"; service = \"web\"; policy = { cors = { $SHOP }; }; }"
	before=$(served_all)
	for origin in https://shop.example https://a.b.shop.example; do
		is "a preflight of $origin" "$(preflight $origin)" \
			"204 access-control-allow-credentials: true access-control-allow-headers: x-a access-control-allow-methods: get, put access-control-allow-origin: $origin access-control-max-age: 600 vary: origin, access-control-request-method, access-control-request-headers"
	done
	for origin in https://evil.example https://shop.example.evil http://shop.example null; do
		is "a preflight of $origin" "$(preflight $origin)" "204 vary: origin"
	done
	is "preflights that reached an endpoint" $(($(served_all) - before)) 0
	is "preflights counted" "$(http_count cors_preflight)" 7
	is "a request of ours" "$(heads -H 'Origin: https://shop.example' "$u/who")" \
		"200 access-control-allow-credentials: true access-control-allow-origin: https://shop.example access-control-expose-headers: x-who vary: origin"
	is "of others, read by nobody's page" "$(heads -H 'Origin: https://evil.example' "$u/who")" "200 vary: origin"
	is "of no page" "$(heads "$u/who")" "200 vary: origin"
	is "an OPTIONS that is no preflight" "$(heads -X OPTIONS "$u/who")" "200 vary: origin"
	is "which reached an endpoint" $(($(served_all) - before)) 4
	is explain "$(ctl_json "[j['status'], j['route']]" explain --http 'OPTIONS /who' -H 'Origin: https://shop.example' -H 'Access-Control-Request-Method: GET')" "[204, 'r']"

	traffic_push '{ name = "r"; service = "web"; policy = { cors = { origins = ( "*" ); }; }; }'
	is "all may" "$(heads -H 'Origin: https://a' "$u/who")" "200 access-control-allow-origin: *"
	is "what they ask for" "$(preflight https://a)" \
		"204 access-control-allow-headers: x-a access-control-allow-methods: put access-control-allow-origin: * vary: origin, access-control-request-method, access-control-request-headers"
	! ctl push <(sed 's/cors = {/& credentials = true;/' "$NET_DIR/t.conf") >"$NET_DIR/push.out" 2>&1 || fail "* with credentials was taken"
	grep -q 'every site could act' "$NET_DIR/push.out" || fail "what was said of it: $(cat "$NET_DIR/push.out")"
}

# cookie FILE: the one that a client keeps there.
cookie() { awk '$6 == "canary" { print $7 }' "$1"; }
side() { if [ "$(get "$@" "$u/who")" = e4 ]; then echo canary; else echo web; fi; }

sticky() {
	local n first to_canary=0 sides="" jar

	traffic_push '{ name = "s"; split = ( { service = "web"; weight = 75; }, { service = "canary"; weight = 25; } ); sticky = { cookie = "canary"; set = true; ttl = "1h"; }; }' "1 2 3"
	for n in $(seq 40); do
		jar=$NET_DIR/jar$n
		rm -f "$jar"
		first=$(side -b "$jar" -c "$jar")
		[[ $(cookie "$jar") =~ ^[0-9a-f]{32}$ ]] || fail "client $n was given no cookie: $(cat "$jar")"
		for _ in 1 2 3; do is "client $n comes back" "$(side -b "$jar")" "$first"; done
		[ "$first" != canary ] || to_canary=$((to_canary + 1))
		sides="$sides $first"
	done
	echo "canary: $to_canary of 40 clients at 25 %"
	[ "$to_canary" -ge 1 ] || fail "none of 40 clients at 25 %" # by chance: one in 100,000 times
	n=$(ns cl curl -s --max-time 10 "$u/who?[1-400]" | grep -c '^e4$' || true)
	echo "canary: $n of 400 requests without a cookie at 25 %"
	[ "$n" -ge 57 ] && [ "$n" -le 143 ] || fail "$n of 400 at 25 %" # 100 and five times what is usual on either side
	get -D "$NET_DIR/heads" -o "$NET_DIR/body" "$u/who"
	grep -Eiq '^set-cookie: canary=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600.$' "$NET_DIR/heads" || fail "the cookie: $(cat "$NET_DIR/heads")"
	get -D "$NET_DIR/heads" -o "$NET_DIR/body" -b "$jar" "$u/who"
	! grep -iq '^set-cookie' "$NET_DIR/heads" || fail "given twice: $(cat "$NET_DIR/heads")"
	TABLE_KEYS='max_requests = 1001;' traffic_push "$ROUTES" "1 2 3" # and through a push
	is "clients through a push" "$(for n in $(seq 40); do side -b "$NET_DIR/jar$n"; done | xargs)" "$(xargs <<<"$sides")"
}

all() {
	cors
	sticky
}
each_workers all
