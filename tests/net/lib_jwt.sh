# shellcheck shell=bash disable=SC2034
# lib_jwt.sh — tokens (JWT) of another implementation against the gateway: what passes, what does not, what endpoints see, how keys
# rotate under traffic, and a server of keys that is away or lies.
#
#   cl ── token ──▶ gw ──▶ endpoints (which write down what they see)
#                   └── sluiced: file:set.json, http://127.0.0.1:8099/ (jwt_tokens.py serve, in gw)
set -euo pipefail
# shellcheck source=tests/net/lib_jwt_basic.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_jwt_basic.sh"

log=$NET_DIR/access.log

export ROUTES='
	{ name = "must"; prefix = "/must"; service = "web"; policy = { jwt = ( "main" ); jwt_required = true; }; },
	{ name = "spot"; prefix = "/spot"; respond = { code = 200; }; policy = { jwt = ( "main" ); jwt_required = true; }; },
	{ name = "open"; prefix = "/open"; service = "web"; policy = { jwt = ( "main" ); }; },
	{ name = "places"; prefix = "/places"; service = "web"; policy = { jwt = ( "places" ); jwt_required = true; }; },
	{ name = "two"; prefix = "/two"; service = "web"; policy = { jwt = ( "main", "other" ); jwt_required = true; }; },
	{ name = "fetched"; prefix = "/fetched"; service = "web"; policy = { jwt = ( "fetched" ); jwt_required = true; }; },
	{ name = "rest"; service = "web"; }'

# push_jwt: the table with its issuers.
push_jwt() {
	http_table "$NET_DIR/t.conf"
	cat >>"$NET_DIR/t.conf" <<-END
		jwt = (
		  { name = "main"; issuer = "https://issuer.test"; audiences = ( "web", "api" ); jwks = "file:$k/set.json"; leeway = "30s";
		    claim_headers = ( { claim = "sub"; header = "x-user"; }, { claim = "realm.tenant"; header = "x-tenant"; } );
		    payload_header = "x-claims"; },
		  { name = "places"; issuer = "https://issuer.test"; jwks = "file:$k/set.json"; forward = false;
		    from = ( "header:x-token", "cookie:session", "query:access_token" ); },
		  { name = "other"; issuer = "https://other.test"; jwks = "file:$k/other.json"; },
		  { name = "fetched"; issuer = "https://issuer.test"; jwks = "http://127.0.0.1:8099/set"; jwks_interval = "1s"; } );
	END
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}

# seen ID: the head that the endpoint got of the request with that x-request-id.
seen() {
	there() { grep -qs "x-request-id: $1" "$NET_DIR"/record*; }
	wait_for 5 "request $1 at an endpoint" there "$1"
	grep -hs "x-request-id: $1" "$NET_DIR"/record* | head -n 1
}
has() { seen "$1" | grep -qi -- "$2" || fail "the endpoint does not see '$2': $(seen "$1")"; }
has_not() { if seen "$1" | grep -qi -- "$2"; then fail "the endpoint sees '$2': $(seen "$1")"; fi; }
# why ID: of the access log.
why() {
	there() { grep -q "\"request_id\":\"$1\".*}$" "$log"; }
	wait_for 5 "the access log to have request $1" there "$1"
	grep "\"request_id\":\"$1\"" "$log" | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["why"])'
}
# refused REASON TOKEN: 401 with RFC 6750's header, and the reason in the log.
n=0
refused() {
	n=$((n + 1))
	is "token refused for $1" "$(code -D "$NET_DIR/head" -H "x-request-id: no-$n" -H "$(bearer "$2")" "$u/must/x")" 401
	grep -qi '^www-authenticate: Bearer error="invalid_token", error_description="' "$NET_DIR/head" ||
		fail "$1: $(cat "$NET_DIR/head")"
	is "reason" "$(why "no-$n")" "$1"
}

# ---- the network, keys, table ----

export HUGE=never PORT=8080
net_up
for i in $ENDPOINTS; do http_peer_up "$i"; done
mkdir -p "$k"
tokens keys "$k" r:rsa e:ec d:ed r2:rsa d2:ed stranger:rsa o:ec
put_set "$k/set.json" r:r e:e d:d
put_set "$k/other.json" o:o
cp "$k/set.json" "$k/set"
echo good >"$k/how"
gateway_up
run gw jwks /usr/bin/python3 "$top/tests/net/jwt_tokens.py" serve 8099 "$k"
wait_for 10 "the server of keys" grep -q ready "$NET_DIR/jwks.log"
push_jwt

# ---- what passes ----

gives "no policy, no token" 200 "$u/x"
for key in r e d; do
	t=$(tokens token "$k" $key $key '{}')
	gives "a token of $key" 200 -H "$(bearer "$t")" "$u/must/x"
	gives "and again" 200 -H "$(bearer "$t")" "$u/must/x"
	gives "without kid" 200 -H "$(bearer "$(tokens token "$k" $key '' '{}')")" "$u/must/x"
	gives "in another case" 200 -H "AUTHORIZATION: bearer $t" "$u/must/x"
done
before=$(http_count token_kept)
get -H "$(bearer "$t")" "$u"/must/{1..9} >/dev/null # on one connection
known() { [ $(($(http_count token_kept) - before)) -ge 8 ]; }
wait_for 5 "8 of 9 tokens known, whose signatures are not checked again" known
gives "audiences" 200 -H "$(bearer "$(tokens token "$k" e e '{"aud": ["else", "web"]}')")" "$u/must/x"
gives "within leeway" 200 -H "$(bearer "$(tokens token "$k" e e '{"exp": "-10"}')")" "$u/must/x"
gives "a token is not needed" 200 "$u/open/x"
gives "but no bad one" 401 -H "$(bearer "$(tokens token "$k" e e '{"exp": "-60"}')")" "$u/open/x"

# ---- what does not ----

is "no token" "$(code -D "$NET_DIR/head" -H 'x-request-id: none-1' "$u/must/x")" 401
grep -qi '^www-authenticate: Bearer.$' "$NET_DIR/head" || fail "no token: $(cat "$NET_DIR/head")"
is "reason" "$(why none-1)" jwt/no-token
gives "another scheme" 401 -H 'authorization: Basic YTpi' "$u/must/x"
refused main/expired "$(tokens token "$k" e e '{"exp": "-60"}')"
refused main/early "$(tokens token "$k" e e '{"nbf": "+60"}')"
refused main/future "$(tokens token "$k" e e '{"iat": "+60"}')"
refused main/time "$(tokens token "$k" e e '{"exp": null}')"
refused main/audience "$(tokens token "$k" e e '{"aud": "else"}')"
refused jwt/issuer "$(tokens token "$k" e e '{"iss": "https://evil.test"}')"
refused jwt/issuer "$(tokens token "$k" e e '{"iss": null}')"
refused main/signature "$(tokens token "$k" stranger r '{}')"
refused main/kid "$(tokens token "$k" stranger stranger '{}')"
refused main/key-alg "$(tokens token "$k" e r '{}')"
for each in none:alg-none none-signed:alg-none hmac:alg-hmac two-parts:parts empty-signature:parts four-parts:parts padded:base64 \
	duplicate:duplicate duplicate-header:duplicate crit:crit deep:deep array:json kid-nul:json garbage:base64 huge:too-long bad-utf8:json; do
	refused "jwt/${each#*:}" "$(tokens forge "$k" r "${each%:*}")"
done
for each in hmac-as-rs:signature other-claims:signature trailing:signature embedded:kid kid-path:kid kid-sql:kid \
	float-exp:time; do
	refused "main/${each#*:}" "$(tokens forge "$k" r "${each%:*}")"
done
t=$(tokens token "$k" e e '{}')
gives "two tokens" 401 -H "$(bearer "$t")" -H "$(bearer "$t")" "$u/must/x"
gives "a cookie is no place of it" 401 -H "cookie: session=$t" "$u/must/x"

# ---- several issuers ----

o=$(tokens token "$k" o o '{"iss": "https://other.test"}')
gives "one issuer" 200 -H "$(bearer "$t")" "$u/two/x"
gives "another issuer" 200 -H "$(bearer "$o")" "$u/two/x"
gives "an issuer of another route" 401 -H "$(bearer "$o")" "$u/must/x"
gives "the issuer's own keys" 401 -H "$(bearer "$(tokens token "$k" o o '{}')")" "$u/two/x"

# ---- what endpoints see ----

t=$(tokens token "$k" d d '{"sub": "ann of test", "realm": {"tenant": 7}, "n": 1}')
get -o /dev/null -H 'x-request-id: sees-1' -H "$(bearer "$t")" -H 'X-User: root' -H 'x-tenant: 1' -H 'x_user: root' -H 'x-claims: e30' "$u/must/x"
has sees-1 'x-user: ann of test'
has sees-1 'x-tenant: 7'
has sees-1 "x-claims: $(echo "$t" | cut -d. -f2)"
has sees-1 "authorization: Bearer $t"
has_not sees-1 root
get -o /dev/null -H 'x-request-id: sees-2' -H 'x-user: root' -H 'x-claims: e30' "$u/open/x"
has_not sees-2 x-user
has_not sees-2 x-claims
t=$(tokens token "$k" d d '{"sub": "a\r\nx-admin: 1"}')
get -o /dev/null -H 'x-request-id: sees-3' -H "$(bearer "$t")" -H 'x-user: root' "$u/must/x"
has_not sees-3 x-user
has_not sees-3 x-admin

gives "in a header" 200 -H 'x-request-id: place-1' -H "x-token: $t" "$u/places/x"
has_not place-1 x-token
gives "in a cookie" 200 -H 'x-request-id: place-2' -H "cookie: a=1; session=$t; b=2" "$u/places/x"
has place-2 'cookie: a=1; b=2'
has_not place-2 session
gives "in the query" 200 -H 'x-request-id: place-3' "$u/places/x?a=1&access_token=$t&b=2"
has place-3 'GET /places/x?a=1&b=2 HTTP'
gives "two places, one token" 200 -H "x-token: $t" "$u/places/x?access_token=$t"
gives "two places, two tokens" 401 -H "x-token: $t" "$u/places/x?access_token=$(tokens token "$k" d d '{}')"
gives "twice in a query" 401 "$u/places/x?access_token=$t&access_token=$(tokens token "$k" d d '{}')"
gives "twice in cookies" 401 -H "cookie: session=$t; session=$(tokens token "$k" d d '{}')" "$u/places/x"
gives "not a place of its own" 401 -H "$(bearer "$t")" "$u/places/x"

# ---- more tokens than may be verified at once: they wait ----

# Most are answered by the gateway itself, so that no endpoint says how fast they come.  A client that hardly gets to run sends them one by
# one: then more of them.
before=$(http_count token_waited)
for n in 600 1200 2400 4800; do
	is "answers to $n new tokens" "$(ns cl /usr/bin/python3 "$top/tests/net/jwt_tokens.py" flood "$k" d d 10.77.9.30 $n 1)" "{'200': $n}"
	waited=$(($(http_count token_waited) - before))
	[ "$waited" -eq 0 ] || break
done
[ "$waited" -gt 0 ] || fail "$n signatures were checked at once"
is "requests given up" "$(http_count token_busy)" 0

# ---- what is told ----

ctl explain --http 'GET /must/x' --host 10.77.9.30 --listener v10-77-9-30 >"$NET_DIR/explain" || true
grep -q 'jwt/no-token' "$NET_DIR/explain" || fail "explain: $(cat "$NET_DIR/explain")"
metrics() { curl -sf --max-time 10 --unix-socket "$NET_DIR/metrics.sock" http://sluiced/metrics; }
metrics >"$NET_DIR/metrics"
grep -q '^sluice_jwks_keys{issuer="main"} 3$' "$NET_DIR/metrics" || fail "metrics: $(grep jwks "$NET_DIR/metrics")"
grep -q '^sluice_jwks_trouble{issuer="fetched"} 0$' "$NET_DIR/metrics" || fail "metrics: $(grep jwks "$NET_DIR/metrics")"
is "keys of an issuer" "$(ctl_json "[(r['keys'], r['state']) for r in j['jwt'] if r['name'] == 'main']" show jwt)" "[(3, 'good')]"

# ---- keys rotate under traffic ----

old=$(tokens token "$k" r r '{}')
load rotating --seconds 300 --threads 2 --keepalive --spread -H "$(bearer "$old")" "$u/must/x"
put_set "$k/set.json" r:r e:e d:d r2:r2
new() { [ "$(code -H "$(bearer "$(tokens token "$k" r2 r2 '{}')")" "$u/must/x")" = 200 ]; }
wait_for 10 "a new key" new
goes_on rotating
enough rotating
put_set "$k/set.json" e:e d:d r2:r2
gone() { [ "$(code -H "$(bearer "$old")" "$u/must/x")" = 401 ]; }
wait_for 10 "an old key to be refused" gone
put_set "$k/set.json" d2:d e:e r2:r2 # another key under the same id
changed() { [ "$(code -H "$(bearer "$t")" "$u/must/x")" = 401 ]; }
wait_for 10 "a key of the same id" changed
gives "its new key" 200 -H "$(bearer "$(tokens token "$k" d2 d '{}')")" "$u/must/x"

# ---- a file that is nonsense, or gone ----

t=$(tokens token "$k" e e '{}')
echo '{"keys": [{"kty": "oct", "k": "AAAA"}]}' >"$k/set.json"
wait_for 10 "nonsense to be told" is_in main kept
gives "the keys before stay" 200 -H "$(bearer "$t")" "$u/must/x"
rm "$k/set.json"
gives "without the file, too" 200 -H "$(bearer "$t")" "$u/must/x"
put_set "$k/set.json" r:r e:e d:d
wait_for 10 "the file again" is_in main good

# ---- a server that is away or lies ----

gives "fetched keys" 200 -H "$(bearer "$t")" "$u/fetched/x"
# a second for each answer: no trouble, though nobody hears of new keys at once
troubles=$(of_issuer fetched troubles) reads=$(of_issuer fetched reads)
echo slow >"$k/how"
slowly() { [ "$(of_issuer fetched reads)" -ge $((reads + 3)) ]; }
wait_for 20 "keys of a slow server" slowly
is "troubles with a slow server" "$(of_issuer fetched troubles)" "$troubles"
gives "keys of a slow server" 200 -H "$(bearer "$t")" "$u/fetched/x"
for how in 500 html huge empty; do
	echo $how >"$k/how"
	wait_for 20 "$how to be told" is_in fetched kept
	gives "keys in spite of $how" 200 -H "$(bearer "$t")" "$u/fetched/x"
	echo good >"$k/how"
	wait_for 20 "the server again" is_in fetched good
done
echo good >"$k/how"
kill "$(pid_of jwks)"
wait_for 20 "a server that is away to be told" is_in fetched kept
gives "keys without the server" 200 -H "$(bearer "$t")" "$u/fetched/x"

# over a restart of the daemon, and of both
daemon_again() {
	kill "$(pid_of sluiced)"
	timeout 20 tail -s 0.05 --pid="$(pid_of sluiced)" -f /dev/null || true
	daemon_up
}
daemon_again
wait_for 20 "the server still away" is_in fetched kept
gives "keys over a restart" 200 -H "$(bearer "$t")" "$u/fetched/x"
gives "and bad tokens" 401 -H "$(bearer "$old.")" "$u/fetched/x"
cp "$k/set.json" "$k/set"
run gw jwks /usr/bin/python3 "$top/tests/net/jwt_tokens.py" serve 8099 "$k"
wait_for 20 "the server again" is_in fetched good

# ---- keys that were never had ----

sed -i 's/8099/8098/' "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
is "no keys" "$(code -H 'x-request-id: never-1' -H "$(bearer "$t")" "$u/fetched/x")" 401
is "reason" "$(why never-1)" fetched/no-keys

quiet
no_bad_drops
echo "tokens: $waited waited, $(http_count token_refused) refused, $(http_count token_checked) checked, $(http_count token_kept) known"
