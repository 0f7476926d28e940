#!/usr/bin/env bash
# Imported tables that verify tokens, with traffic on them: what Istio's RequestAuthentications and AuthorizationPolicies ask of tokens is
# what clients are asked, and what explain foretells.  Every table that the tests' words import to is one that check takes.
# 1 worker, af_xdp.
#
#   cl ── token ──▶ gw ──▶ endpoint
#                   └── sluiced ── keys: a file that the import wrote beside the table
set -euo pipefail
export WORKERS=1 DRIVER=af_xdp HUGE=never
# shellcheck source=tests/net/lib_jwt_basic.sh
. "$(dirname "$0")/lib_jwt_basic.sh"

net_up
for f in "$top"/tests/golden/import/*.yaml; do
	kind=${f%.yaml}
	rc=0
	"$BUILD/mgmt/sluicectl" import "${kind##*.}" "$f" -o "$NET_DIR/own.conf" 2>"$NET_DIR/left" || rc=$?
	is "exit of import ${f##*/}" $rc 1
	"$BUILD/mgmt/sluicectl" check "$NET_DIR/own.conf" >"$NET_DIR/check" 2>&1 || fail "${f##*/}: $(cat "$NET_DIR/check")"
done
echo "the tests' own words: tables that check takes"

for i in $ENDPOINTS; do http_peer_up "$i"; done
gateway_up
mkdir -p "$k"
tokens keys "$k" one:rsa two:rsa
u=http://10.77.9.30

cat >"$NET_DIR/istio.yaml" <<-END
	apiVersion: networking.istio.io/v1
	kind: Gateway
	metadata: {name: front, namespace: edge}
	spec:
	  servers: [{port: {number: 80, protocol: HTTP, name: http}, hosts: ["*/*"]}]
	---
	apiVersion: networking.istio.io/v1
	kind: ServiceEntry
	metadata: {name: peers}
	spec:
	  hosts: [peers.test]
	  location: MESH_INTERNAL
	  ports: [{number: 8080, name: http, protocol: HTTP}]
	  resolution: STATIC
	  endpoints: [{address: 10.77.2.11}]
	---
	apiVersion: networking.istio.io/v1
	kind: VirtualService
	metadata: {name: all}
	spec:
	  hosts: ["*"]
	  gateways: [edge/front]
	  http: [{delegate: {name: parts}, match: [{uri: {prefix: /}}]}]
	---
	apiVersion: networking.istio.io/v1
	kind: VirtualService
	metadata: {name: parts}
	spec: {http: [{match: [{uri: {prefix: /echo/}}], route: [{destination: {host: peers.test}}]}]}
	---
	apiVersion: security.istio.io/v1
	kind: RequestAuthentication
	metadata: {name: logins}
	spec:
	  jwtRules:
	    - issuer: https://issuer.test
	      audiences: [api]
	      jwks: '$(tokens jwks "$k" one:k1 | tr -d '\n')'
	      fromHeaders: [{name: Authorization, prefix: "Bearer "}]
	      fromParams: [tok]
	      outputClaimToHeaders: [{header: x-user, claim: sub}]
	---
	apiVersion: security.istio.io/v1
	kind: AuthorizationPolicy
	metadata: {name: people}
	spec:
	  rules:
	    - from: [{source: {requestPrincipals: ["https://issuer.test/*"], notRequestPrincipals: ["https://issuer.test/mallory"]}}]
	      to: [{operation: {paths: [/echo/mine*]}}]
	    - to: [{operation: {paths: [/echo/staff]}}]
	      when: [{key: "request.auth.claims[realm][groups]", values: [staff, "ops-*"]}, {key: "request.auth.claims[scope]", values: [write], notValues: [none]}]
	    - to: [{operation: {paths: [/echo/open, /echo/denied]}}]
	---
	apiVersion: security.istio.io/v1
	kind: AuthorizationPolicy
	metadata: {name: anonymous}
	spec: {action: DENY, rules: [{from: [{source: {notRequestPrincipals: ["https://issuer.test/ann"]}}], to: [{operation: {paths: [/echo/denied]}}]}]}
END
"$BUILD/mgmt/sluicectl" import istio "$NET_DIR/istio.yaml" -o "$NET_DIR/t.conf" --address 10.77.9.30 >"$NET_DIR/left" 2>&1 || fail "import: $(cat "$NET_DIR/left")"
cmp "$NET_DIR/logins.default-0.jwks.json" <(tokens jwks "$k" one:k1 | tr -d '\n') || fail "keys beside the table: $(cat "$NET_DIR/left")"
cat >>"$NET_DIR/t.conf" <<-'END'
	network = { addresses = (
	  { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
	  { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } ); };
END
"$BUILD/mgmt/sluicectl" check "$NET_DIR/t.conf" >"$NET_DIR/check" 2>&1 || fail "check: $(cat "$NET_DIR/check")"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
good() { is_in logins.default-0 good; }
wait_for 20 "the keys" good

# token CLAIMS: of the issuer for the audience, with more claims.
token() { tokens token "$k" one k1 "{\"iss\": \"https://issuer.test\", \"aud\": \"api\", \"exp\": \"+600\", $1}"; }
gives() {
	local want=$1 path=$2
	shift 2
	is "$path $*" "$(code "$@" "$u$path")" "$want"
}
ann=$(token '"sub": "ann"')
mallory=$(token '"sub": "mallory"')
nobody=$(token '"sub": "", "realm": {"groups": ["ops-1"]}, "scope": "read write"')
reader=$(token '"sub": "bob", "realm": {"groups": ["staff"]}, "scope": "read rewrite"')
forged=$(tokens token "$k" two k1 '{"iss": "https://issuer.test", "aud": "api", "sub": "ann", "exp": "+600"}')
other=$(tokens token "$k" one k1 '{"iss": "https://other.test", "aud": "api", "sub": "ann", "exp": "+600"}')

gives 403 /echo/mine
gives 200 /echo/mine/x -H "$(bearer "$ann")"
gives 200 "/echo/mine?tok=$ann"
gives 403 /echo/mine -H "$(bearer "$mallory")"
gives 403 /echo/mine -H "$(bearer "$nobody")" # no sub: no principal
gives 401 /echo/open -H "$(bearer "$forged")"
gives 401 /echo/open -H "$(bearer "$other")"
gives 200 /echo/open
gives 200 /echo/staff -H "$(bearer "$nobody")"
gives 403 /echo/staff -H "$(bearer "$reader")"
gives 403 /echo/staff -H "$(bearer "$ann")"
gives 403 /echo/denied
gives 403 /echo/denied -H "$(bearer "$reader")"
gives 200 /echo/denied -H "$(bearer "$ann")"
gives 404 /elsewhere -H "$(bearer "$ann")"
get -H "$(bearer "$ann")" -H 'x-user: root' "$u/echo/mine" >"$NET_DIR/echo"
grep -q "x-user: ann" "$NET_DIR/echo" || fail "the claim: $(cat "$NET_DIR/echo")"
! grep -qi "x-user: root\|authorization:" "$NET_DIR/echo" || fail "a client's own header, or the token: $(cat "$NET_DIR/echo")"

# foretells STATUS PATH CLAIM…: what explain says of a request with these claims.
foretells() {
	local want=$1 path=$2 said=()
	shift 2
	for c in "$@"; do said+=(-H ":claim.$c"); done
	is "explain $path $*" "$(ctl_json "j['status']" explain --http "GET $path" -H 'Host: x.test' "${said[@]}")" "$want"
}
foretells 403 /echo/mine
foretells 403 /echo/mine 'iss: https://issuer.test' 'sub: mallory'
foretells 403 /echo/staff 'realm.groups: staff' 'scope: rewrite'
ctl explain --http 'GET /echo/denied' -H 'Host: x.test' -H ':claim.sub: bob' >"$NET_DIR/explain" || fail "explain: $(cat "$NET_DIR/explain")"
grep -q anonymous-0 "$NET_DIR/explain" || fail "explain names no rule: $(cat "$NET_DIR/explain")"
echo "tokens: who they are from, where they stand, what they say, as the objects ask"
