# shellcheck shell=bash
# lib_authz.sh — rules end to end: clients with SPIFFE certificates and without, by curl over mTLS; what is answered, logged, counted and
# foretold.  WORKERS, DRIVER.
set -euo pipefail
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_tls.sh"

A=spiffe://td.test/ns/prod/sa/a
export LARGE=1000
export TABLE_KEYS='policy = { authorization = ( "mesh" ); };'
export ROUTES='
{ name = "strict"; prefix = "/strict"; respond = { code = 200; body = "strict\n"; }; policy = { authorization = ( "strict" ); }; },
{ name = "watched"; prefix = "/watched"; respond = { code = 200; body = "watched\n"; }; policy = { authorization = ( "watched" ); }; },
{ name = "own"; respond = { code = 200; body = "own\n"; }; },
'
RULES='
authorization = (
  { name = "mesh"; rules = (
      { name = "no-admin"; action = "deny"; paths = ( "/admin/*" ); not_identities = ( "spiffe://td.test/ns/ops/*" ); },
      { name = "no-role"; action = "deny"; headers = ( { name = "x-role"; exact = "root"; } ); },
      { name = "told"; action = "audit"; methods = ( "PUT" ); } ); },
  { name = "strict"; rules = (
      { name = "prod"; action = "allow"; namespaces = ( "prod" ); methods = ( "GET" ); },
      { name = "token"; action = "allow"; claims = ( { name = "realm.groups"; exact = "admin"; } ); },
      { name = "local"; action = "allow"; addresses = ( "198.18.0.0/15" ); } ); },
  { name = "streams"; rules = (
      { name = "dev"; action = "deny"; namespaces = ( "dev" ); },
      { name = "known"; action = "allow"; identities = ( "spiffe://td.test/*" ); ports = ( 9443 ); } ); },
  { name = "nobody"; rules = ( { name = "elsewhere"; action = "allow"; addresses = ( "198.18.0.0/15" ); } ); },
  { name = "watched"; default = "deny"; audit_only = true; } );
'
eval "$(declare -f tls_table | sed '1s/tls_table/tls_table_plain/')"
# 9443 asks for certificates; it and 9445 are judged by rules of their own.
tls_table() {
	tls_table_plain "$1.plain"
	sed -E 's/(port = 9443; .*mode = "tcp";)/\1 authorization = "streams";/; s/(port = 9445; .*mode = "tcp";)/\1 authorization = "nobody";/; s/(port = 9444; .*mode = "tcp";)/\1 max_connections_per_client = 1;/' "$1.plain" |
		awk '/port = 9443;/ { at = 1 } at && /tls = [{]/ { sub(/tls = [{]/, "tls = { client = \"optional\"; trust = ( \"mesh\" );"); at = 0 } { print }' >"$1"
	echo "$RULES" >>"$1"
}
tls_up
cert b inter "$CLIENT" "$(san URI:spiffe://td.test/ns/dev/sa/b)"
cert ops inter "$CLIENT" "$(san URI:spiffe://td.test/ns/ops/sa/x)"

# authz_count NAME: a counter of http.def.
authz_count() { ctl_json "[r['count'] for r in j['http'] if r['name'] == '$1'][0]" show http; }
# denied_as ID WHY: the access log has request ID, with 403, UAEX and what decided.
logged() {
	there() { grep -q "\"request_id\":\"$1\"" "$NET_DIR/access.log"; }
	wait_for 5 "the access log to have request $1" there "$1"
	grep "\"request_id\":\"$1\"" "$NET_DIR/access.log" >"$NET_DIR/line"
	is "request $1 in the log" "$(python3 -c 'import json,sys; l=json.loads(open(sys.argv[1]).read()); print(l["status"], l["why"])' "$NET_DIR/line")" "$2"
}

# shellcheck disable=SC2046 # words of curl
answers() {
	tgives "nobody, own" 200 8444 /x
	tgives "nobody in admin" 403 8444 /admin/keys
	is "the body of a denial" "$(cat "$NET_DIR/body")" "RBAC: access denied"
	tgives "prod in admin" 403 8443 /admin/keys $(as a)
	tgives "ops in admin" 200 8443 /admin/keys $(as ops)
	tgives "a role in a line of its own" 403 8443 /x $(as ops) -H 'x-role: user' -H 'X-Role: root'
	tgives "another role" 200 8443 /x $(as ops) -H 'x-role: rooty'
	tgives "nobody in strict" 403 8444 /strict
	tgives "dev in strict" 403 8443 /strict $(as b)
	tgives "prod in strict" 200 8443 /strict $(as a)
	tgives "prod writes in strict" 403 8443 /strict $(as a) -X POST
	tgives "where denials are only told" 200 8444 /watched
	for spelling in /admin /ADMIN/x /%61dmin/x /admin%2Fx //admin/x '/admin;a=1/x' /x/../admin/y '/adm%2569n/x' '/admin%5Cx' '/admin\x'; do
		tgives "spelled $spelling" 403 8444 "$spelling" --path-as-is
	done
	tgives "a way up in disguise" 400 8444 '/x/..;/admin' --path-as-is
}
answers

# ---- each says why ----

# shellcheck disable=SC2046
{
	tcode 8443 /admin/x $(as a) -H 'x-request-id: w1' >/dev/null
	tcode 8443 /strict $(as b) -H 'x-request-id: w2' >/dev/null
	tcode 8443 /x $(as a) -X PUT -H 'x-request-id: w3' >/dev/null
	tcode 8443 /watched $(as a) -H 'x-request-id: w4' >/dev/null
	tcode 8443 /strict $(as a) -H 'x-request-id: w5' >/dev/null
}
logged w1 "403 mesh/no-admin"
logged w2 "403 strict/default"
logged w3 "200 mesh/told (audit)"
logged w4 "200 watched/default (audit)"
logged w5 "200 None"
foretold() { ctl_json "[j['route'], j['status'], j['text']]" explain --http "$@"; }
at() { echo "--listener v${VIP//./-}-8443"; }
# shellcheck disable=SC2046
{
	is "explain: denied" "$(foretold "GET /admin/x" -H ":identity: $A" $(at))" "['own', 403, 'RBAC: access denied: mesh/no-admin']"
	is "explain: default" "$(foretold "GET /strict" -H ":identity: spiffe://td.test/ns/dev/sa/b" $(at))" "['strict', 403, 'RBAC: access denied: strict/default']"
	is "explain: by a claim" "$(foretold "POST /strict" -H ":claim.realm.groups: user" -H ":claim.realm.groups: admin" -H ":identity: $A" $(at))" "['strict', 200, '']"
	is "explain: by another claim" "$(foretold "POST /strict" -H ":claim.realm.groups: users" -H ":identity: $A" $(at))" "['strict', 403, 'RBAC: access denied: strict/default']"
	is "explain: allowed" "$(foretold "GET /strict" -H ":identity: $A" $(at))" "['strict', 200, '']"
}

# ---- counts, exactly, and none from explain ----

# counted SET RULE WHAT: of show authorization; RULE None: of the set.
counted() { ctl_json "[r['$3'] for r in j['authorization'] if (r['set'], str(r['rule'])) == ('$1', '$2')][0]" show authorization; }
rules_now() { echo "$(counted mesh no-admin denied) $(counted mesh None denied) $(counted strict prod allowed) $(counted mesh told audited) $(counted mesh None audited)"; }
more_by() { # NOW BEFORE: how much each number is more
	local -a now was
	read -ra now <<<"$1"
	read -ra was <<<"$2"
	for i in "${!now[@]}"; do echo -n "$((now[i] - was[i])) "; done
}
rules_before=$(rules_now)
denied=$(authz_count authz_denied) audited=$(authz_count authz_audited)
# shellcheck disable=SC2046
for i in $(seq 40); do
	tcode 8443 /admin/x $(as a) >>"$NET_DIR/codes.403"
	tcode 8443 "/strict?$i" $(as a) >>"$NET_DIR/codes.200"
	tcode 8443 /x -X PUT $(as a) >>"$NET_DIR/codes.200"
	foretold "GET /admin/x" -H ":identity: $A" $(at) >/dev/null
done
is "403 40 times" "$(grep -o 403 "$NET_DIR/codes.403" | wc -l)" 40
is "200 80 times" "$(grep -o 200 "$NET_DIR/codes.200" | wc -l)" 80
counted_so() { [ "$(($(authz_count authz_denied) - denied)) $(($(authz_count authz_audited) - audited))" = "40 40" ]; }
wait_for 5 "40 denials and 40 audits counted" counted_so
rules_so() { [ "$(more_by "$(rules_now)" "$rules_before")" = "40 40 40 40 40 " ]; }
wait_for 5 "each rule to count its own" rules_so
is "where sets are used" "$(ctl_json "sorted(r['set'] + ': ' + ' '.join(r['used'][:1]) for r in j['authorization'] if r['used'])" show authorization)" \
	"['mesh: table edge', 'nobody: listener v${VIP//./-}-9445', 'streams: listener v${VIP//./-}-9443', 'strict: route edge/all/strict', 'watched: route edge/all/watched']"
is "one set alone" "$(ctl_json "[r['rule'] for r in j['authorization']]" show authorization strict)" "[None, 'prod', 'token', 'local', 'default']"
ns gw curl -sf --unix-socket "$NET_DIR/metrics.sock" http://x/metrics >"$NET_DIR/metrics"
is "a rule in metrics" "$(sed -n 's/^sluice_authorization_rule_total{set="mesh",rule="no-admin",what="denied"} //p' "$NET_DIR/metrics")" "$(counted mesh no-admin denied)"
is "a set in metrics" "$(sed -n 's/^sluice_authorization_total{set="strict",what="denied"} //p' "$NET_DIR/metrics")" "$(counted strict None denied)"

# ---- connections of mode tcp ----

tcp_denied() { ctl_json "[r['count'] for r in j['tcp'] if r['name'] == 'relay_denied'][0]" show tcp; }
before=$(tcp_denied)
# shellcheck disable=SC2046
{
	tgives "prod by mode tcp" 200 9443 /who $(as a)
	tgives "dev by mode tcp" 000 9443 /who $(as b)
	tgives "nobody by mode tcp" 000 9443 /who
	tgives "from an address that no rule allows" 000 9445 /who
}
tcp_counted() { [ $(($(tcp_denied) - before)) = 3 ]; }
wait_for 5 "3 connections refused by rules to be counted" tcp_counted
by_rule() { [ "$(counted streams known allowed) $(counted streams dev denied) $(counted streams default denied) $(counted nobody default denied)" = "1 1 1 1" ]; }
wait_for 5 "each rule of connections to count its own" by_rule
# refusals: a line for each; in no order, for each worker writes its own.
refusals() { python3 -c 'import json,sys
for l in map(json.loads, open(sys.argv[1])):
    if l["protocol"] == "TCP": print(l["listener"][-4:], l["why"], l["flags"], l["status"], l["identity"])' "$NET_DIR/access.log"; }
told() {
	[ "$(refusals | LC_ALL=C sort)" = "9443 streams/default UAEX None None
9443 streams/dev UAEX None spiffe://td.test/ns/dev/sa/b
9445 nobody/default UAEX None None" ]
}
wait_for 5 "a line of the access log for each refused connection" told || fail "the log has: $(refusals)"
run cl held bash -c "exec 3<>/dev/tcp/$VIP/9444; echo up >$NET_DIR/held; exec cat <&3"
wait_for 5 "a connection to be there" test -s "$NET_DIR/held"
there() { [ "$(ctl_json "j['matched']" show streams --side client --listener "v${VIP//./-}-9444" --state established --count)" = 1 ]; }
wait_for 5 "the gateway to have it, whose other worker may be the first to meet the second one" there
tgives "a second connection of one client" 000 9444 /who
stop held
full() { refusals | grep -q '^9444 max_connections_per_client RL None None$'; }
wait_for 5 "a line of the access log for a client's second connection" full
# tcp_foretold PORT WHO…: what explain says of rules.
tcp_foretold() { ctl_json "j['authorization'] and (j['authorization']['rule'], j['authorization']['denied'])" explain tcp 10.77.1.2:4711 "$VIP:$1" "${@:2}"; }
is "explain: prod by mode tcp" "$(tcp_foretold 9443 -H ":identity: $A")" "('streams/known', False)"
is "explain: dev by mode tcp" "$(tcp_foretold 9443 -H ":identity: spiffe://td.test/ns/dev/sa/b")" "('streams/dev', True)"
is "explain: nobody by mode tcp" "$(tcp_foretold 9443)" "('streams/default', True)"
is "explain: a listener without rules" "$(tcp_foretold 9444)" "None"
ctl explain tcp 10.77.1.2:4711 "$VIP:9445" -H ":identity: $A" >"$NET_DIR/explained"
grep -q 'could not be asked: no client has an identity' "$NET_DIR/explained" || fail "explain took an identity of a listener that asks for none: $(cat "$NET_DIR/explained")"
is "explain leaves the counters alone" "$(counted streams known allowed) $(counted streams dev denied)" "1 1"

# ---- a push changes rules for connections that are there; a bad one changes nothing ----

RULES=${RULES/'"prod" ); methods'/'"dev" ); methods'}
tls_table "$NET_DIR/next.conf"
ctl diff "$NET_DIR/next.conf" >"$NET_DIR/diff" || true
grep -q 'strict/prod.*namespaces prod → dev' "$NET_DIR/diff" || fail "not what changes: $(cat "$NET_DIR/diff")"
tls_push
# shellcheck disable=SC2046
became() { [ "$(tcode 8443 /strict $(as b))" = 200 ] && [ "$(tcode 8443 /strict $(as a))" = 403 ]; }
wait_for 5 "dev to be let in where prod was" became
RULES=${RULES/'paths = ( "/admin/*" )'/'paths = ( "admin" )'}
tls_table "$NET_DIR/bad.conf"
! ctl push "$NET_DIR/bad.conf" >"$NET_DIR/push.out" 2>&1 || fail "a table with a bad rule was taken"
grep -q 'authorization\[0\].rules\[0\].paths: "admin"' "$NET_DIR/push.out" || fail "not what was wrong: $(cat "$NET_DIR/push.out")"
became || fail "a refused push changed something"
no_fallback
