#!/usr/bin/env bash
# Imported tables with traffic on them: what Istio's objects, and then those of the Gateway API, say is what clients are answered.
# 1 worker, af_xdp.
set -euo pipefail
export WORKERS=1 DRIVER=af_xdp
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "$0")/lib_http.sh"

export HUGE=never
net_up
for i in $ENDPOINTS; do http_peer_up "$i"; done
gateway_up
vip=10.77.9.30
u=http://$vip

# import KIND LEFT FILE: the file becomes the table, with this network's addresses behind it; so many items are left out or changed.
import() {
	local rc=0
	"$BUILD/mgmt/sluicectl" import "$1" "$3" -o "$NET_DIR/t.conf" --address $vip >"$NET_DIR/left" 2>&1 || rc=$?
	is "exit of import $1" $rc $(($2 > 0))
	is "left out or changed of $1" "$(grep -c ': left out: \|: changed: ' "$NET_DIR/left" || true)" "$2"
	cat >>"$NET_DIR/t.conf" <<-'END'
		network = { addresses = (
		  { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
		  { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } ); };
	END
	"$BUILD/mgmt/sluicectl" check "$NET_DIR/t.conf" >"$NET_DIR/check" 2>&1 || fail "check: $(cat "$NET_DIR/check")"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}
ask() {
	local path=$1
	shift
	get -H 'Host: shop.test' "$@" "$u$path"
}
status() {
	local path=$1
	shift
	code -H 'Host: shop.test' "$@" "$u$path"
}
has() { grep -qi -- "$2" "$NET_DIR/echo" || fail "$1: no '$2' in $(cat "$NET_DIR/echo")"; }
has_not() { ! grep -qi -- "$2" "$NET_DIR/echo" || fail "$1: '$2' in $(cat "$NET_DIR/echo")"; }

# ---- Istio ----

cat >"$NET_DIR/istio.yaml" <<-'END'
	apiVersion: networking.istio.io/v1
	kind: Gateway
	metadata: {name: front}
	spec:
	  servers: [{port: {number: 80, protocol: HTTP, name: http}, hosts: ["*"]}]
	---
	apiVersion: networking.istio.io/v1
	kind: ServiceEntry
	metadata: {name: peers}
	spec:
	  hosts: [peers.test]
	  location: MESH_INTERNAL
	  ports: [{number: 8080, name: http, protocol: HTTP}]
	  resolution: STATIC
	  endpoints:
	    - {address: 10.77.2.11, labels: {version: v1}}
	    - {address: 10.77.2.12, labels: {version: v2}}
	    - {address: 10.77.2.13, labels: {version: v3}}
	    - {address: 10.77.2.14, labels: {version: v4}}
	---
	apiVersion: networking.istio.io/v1
	kind: DestinationRule
	metadata: {name: peers}
	spec:
	  host: peers.test
	  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v3, labels: {version: v3}}, {name: v4, labels: {version: v4}}]
	---
	apiVersion: networking.istio.io/v1
	kind: VirtualService
	metadata: {name: shop}
	spec:
	  hosts: [shop.test]
	  gateways: [front, mesh]
	  http:
	    - match: [{uri: {exact: /who}, headers: {x-v: {exact: "2"}}, queryParams: {a: {regex: "[0-9]+"}}}, {uri: {exact: /who}, withoutHeaders: {user-agent: {}}}]
	      route: [{destination: {host: peers.test, subset: v2}}]
	    - match: [{uri: {prefix: /split}}]
	      rewrite: {uri: /who}
	      route: [{destination: {host: peers.test, subset: v3}, weight: 80}, {destination: {host: peers.test, subset: v4}, weight: 20}]
	    - match: [{uri: {exact: /sent}}]
	      rewrite: {uri: /echo/x, authority: inner.test}
	      headers: {request: {set: {x-set: "yes"}, remove: [x-gone]}, response: {set: {x-answer: "1"}}}
	      route: [{destination: {host: peers.test, subset: v1}}]
	    - match: [{uri: {prefix: /whoe}}]
	      directResponse: {status: 207, body: {string: "by text"}}
	    - match: [{uri: {exact: /old}}]
	      redirect: {uri: /new, authority: "elsewhere.test:8443", scheme: https, redirectCode: 308}
	    - match: [{uri: {prefix: /slow/}}]
	      timeout: 400ms
	      route: [{destination: {host: peers.test, subset: v1}}]
	    - match: [{uri: {regex: "/status/5[0-9]{2}"}}]
	      retries: {attempts: 3, retryOn: 5xx}
	      route: [{destination: {host: peers.test, subset: v1}}]
	    - match: [{uri: {exact: /fault}}]
	      fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
	      route: [{destination: {host: peers.test}}]
	    - match: [{uri: {exact: /echo/cors}}]
	      corsPolicy: {allowOrigins: [{exact: "https://page.test"}], allowMethods: [PUT], maxAge: 60s}
	      route: [{destination: {host: peers.test}}]
	    - route: [{destination: {host: peers.test, subset: v1}}]
	---
	apiVersion: security.istio.io/v1
	kind: AuthorizationPolicy
	metadata: {name: private}
	spec: {action: DENY, rules: [{to: [{operation: {paths: [/private*]}}]}, {from: [{source: {notIpBlocks: [10.77.1.0/24]}}]}]}
	---
	apiVersion: security.istio.io/v1
	kind: AuthorizationPolicy
	metadata: {name: open}
	spec: {rules: [{to: [{operation: {notPaths: [/closed]}}]}]}
	---
	apiVersion: security.istio.io/v1
	kind: AuthorizationPolicy
	metadata: {name: staff}
	spec: {rules: [{to: [{operation: {paths: [/closed]}}], when: [{key: "request.headers[x-staff]", values: ["yes"]}]}]}
END
import istio 3 "$NET_DIR/istio.yaml" # the segments of /split; the mesh's address; its port
is "first match" "$(ask '/who?a=12' -H 'x-v: 2')" e2
is "a parameter that does not match" "$(ask '/who?a=b' -H 'x-v: 2')" e1
is "without a header" "$(ask /who -H 'User-Agent:')" e2
is "the last one" "$(ask /who)" e1
is "another host" "$(code "$u/who")" 404
ask /sent -H 'x-gone: 1' -D "$NET_DIR/heads" >"$NET_DIR/echo"
has "rewritten path" "GET /echo/x HTTP"
has "rewritten host" "host: inner.test"
has "header set" "x-set: yes"
has_not "header removed" x-gone
grep -qi '^x-answer: 1' "$NET_DIR/heads" || fail "header of the answer: $(cat "$NET_DIR/heads")"
is "a prefix of the text" "$(ask /whoever)" "by text"
is "redirect" "$(status /old) $(get -H 'Host: shop.test' -o /dev/null -w '%{redirect_url}' "$u/old?q=1")" "308 https://elsewhere.test:8443/new?q=1"
is "timeout" "$(status /slow/8000)" 504
before=$(grep -c '/status/503' "$NET_DIR/record1" || true)
is "an error in the end" "$(status /status/503)" 503
is "tries" "$(($(grep -c '/status/503' "$NET_DIR/record1") - before))" 4
is "fault" "$(status /fault)" 418
is "no fault without its match" "$(status /who)" 200
ask /echo/cors -X OPTIONS -H 'Origin: https://page.test' -H 'Access-Control-Request-Method: PUT' -D "$NET_DIR/echo" -o /dev/null
has "preflight" "access-control-allow-origin: https://page.test"
has "preflight" "access-control-max-age: 60"
ask /echo/cors -X OPTIONS -H 'Origin: https://other.test' -H 'Access-Control-Request-Method: PUT' -D "$NET_DIR/echo" -o /dev/null
has_not "preflight of another" "access-control-allow-origin"
is "denied" "$(status /private/x) $(status /public/../private/x --path-as-is)" "403 403"
is "allowed by nobody" "$(status /closed)" 403
is "allowed by one of two" "$(status /closed -H 'x-staff: yes')" 200
is "allowed" "$(status /public/x)" 200
told() { [ "$(grep '"path":"[^"]*/private/x"' "$NET_DIR/access.log" | grep -c '"why":"[^"]*private-0')" = 2 ]; }
wait_for 15 "the rule in both lines of the access log" told
python3 - >"$NET_DIR/urls" <<-'END'
	for _ in range(500):
	    print(f'url = "http://10.77.9.30/split"\nheader = "Host: shop.test"')
END
ns cl curl -s --max-time 60 -K "$NET_DIR/urls" >"$NET_DIR/split"
n=$(grep -c e4 "$NET_DIR/split" || true) all=$(wc -l <"$NET_DIR/split")
[ "$(grep -c e3 "$NET_DIR/split")" -eq $((all - n)) ] || fail "split: somebody else answered: $(sort "$NET_DIR/split" | uniq -c)"
[ $((n * 100)) -gt $((all * 10)) ] && [ $((n * 100)) -lt $((all * 30)) ] || fail "split 80 to 20: $n of $all"
echo "istio: routes, splits, rewrites, redirects, times, retries, faults, CORS and rules as the objects say"

# ---- Gateway API ----

cat >"$NET_DIR/api.yaml" <<-'END'
	apiVersion: gateway.networking.k8s.io/v1
	kind: Gateway
	metadata: {name: front}
	spec:
	  gatewayClassName: sluice
	  listeners: [{name: http, port: 80, protocol: HTTP}]
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: shop}
	spec:
	  parentRefs: [{name: front}]
	  hostnames: ["*.test", shop.test]
	  rules:
	    - backendRefs: [{name: one, port: 80}]
	    - matches: [{path: {value: /who}}]
	      backendRefs: [{name: two, port: 80}]
	    - matches: [{path: {type: Exact, value: /who}, headers: [{name: x-v, value: "3"}]}, {path: {type: Exact, value: /who}, method: POST}]
	      backendRefs: [{name: three, port: 80}]
	    - matches: [{path: {value: /api}}]
	      filters:
	        - {type: URLRewrite, urlRewrite: {hostname: inner.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /echo}}}
	        - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: "yes"}], remove: [x-gone]}}
	      backendRefs: [{name: one, port: 80}]
	    - matches: [{path: {value: /old}}]
	      filters: [{type: RequestRedirect, requestRedirect: {scheme: https, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 301}}]
	    - matches: [{path: {value: /nobody}}]
	    - matches: [{path: {value: /slow}}]
	      timeouts: {request: 400ms}
	      backendRefs: [{name: one, port: 80}]
END
i=0
for name in one two three; do
	i=$((i + 1))
	cat >>"$NET_DIR/api.yaml" <<-END
		---
		{apiVersion: v1, kind: Service, metadata: {name: $name}, spec: {ports: [{name: http, port: 80, targetPort: web}]}}
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: {name: $name-a, labels: {kubernetes.io/service-name: $name}}
		addressType: IPv4
		ports: [{name: http, port: 8080}]
		endpoints: [{addresses: [10.77.2.1$i]}]
	END
done
import gateway-api 0 "$NET_DIR/api.yaml"
is "the longer prefix" "$(ask /who/else)" e2
is "exact, with a header" "$(ask /who -H 'x-v: 3')" e3
is "exact, with a method" "$(ask /who -d x)" e3
is "exact path that lacks the rest" "$(ask /who)" e2
ask /whoever >"$NET_DIR/body"
[ "$(grep -c 'GET /whoever' "$NET_DIR/record1") $(grep -c 'GET /whoever' "$NET_DIR/record2")" = "1 0" ] || fail "by segment: another route"
is "the wildcard" "$(get -H 'Host: deep.other.test' "$u/who")" e2
is "no host" "$(code -H 'Host: test.example' "$u/who")" 404
ask /api/x?q=1 -H 'x-gone: 1' >"$NET_DIR/echo"
has "prefix replaced" "GET /echo/x?q=1 HTTP"
has "host replaced" "host: inner.test"
has "header set" "x-set: yes"
has_not "header removed" x-gone
is "redirect" "$(status /old/page) $(get -H 'Host: shop.test' -o /dev/null -w '%{redirect_url}' "$u/old/page")" "301 https://shop.test/new/page"
is "no backend" "$(status /nobody)" 500
is "timeout" "$(status /slow/8000)" 504
echo "gateway-api: precedence, hosts, filters and times as the objects say"
