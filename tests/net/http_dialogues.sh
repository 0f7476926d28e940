#!/usr/bin/env bash
# Dialogues of vtc/ between varnishtest's client and server, through the gateway: both in the client's namespace, which has a leg
# on either side, so that one script sees both ends.  1 worker, as one of its servers has one connection at a time; af_packet.
set -euo pipefail
export WORKERS=1 DRIVER=${DRIVER:-af_packet}
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "$0")/lib_http.sh"

export HTTP_KEYS='ejection = { after = 0; };' PORT=8081
# services vtc: one endpoint, pair: two
services() {
	cat <<-'END'
		{ name = "vtc"; forward = "proxy"; http = { ejection = { after = 0; }; };
		  endpoints = ( { name = "s1"; address = "10.77.2.100"; port = 8081; } ); },
		{ name = "pair"; forward = "proxy"; policy = "round_robin"; http = { ejection = { after = 0; }; };
		  endpoints = ( { name = "s1"; address = "10.77.2.100"; port = 8081; }, { name = "s2"; address = "10.77.2.100"; port = 8082; } ); },
	END
}
# shellcheck disable=SC2089,SC2090 # it goes into a file
export HOSTS='{ name = "shop"; match = ( "*" ); routes = (
  { name = "r301"; prefix = "/r301"; redirect = { code = 301; prefix = "/new"; }; },
  { name = "r302"; prefix = "/r302"; redirect = { code = 302; https = true; }; },
  { name = "r303"; prefix = "/r303"; redirect = { code = 303; path = "/done"; strip_query = true; }; },
  { name = "r307"; prefix = "/r307"; redirect = { code = 307; host = "other.test"; port = 8080; }; },
  { name = "r308"; template = "/r308/v1/{rest=**}"; redirect = { code = 308; template = "/v2/{rest}"; }; },
  { name = "direct"; path = "/direct"; respond = { code = 403; body = "no\n"; content_type = "text/plain"; }; },
  { name = "edit"; prefix = "/edit"; service = "vtc";
    request_headers = ( { set = "x-set"; value = "new"; }, { remove = "x-gone"; }, { append = "x-list"; value = "b"; } );
    response_headers = ( { remove = "x-secret"; }, { append = "x-list"; value = "2"; } ); },
  { name = "rewrite"; prefix = "/rewrite/me"; rewrite = { prefix = "/after/rewrite"; host = "internal.test"; }; service = "vtc"; },
  { name = "pair"; prefix = "/pair"; retry = { attempts = 2; on = ( "connect", "reused", "reset" ); }; service = "pair"; },
  { name = "again"; path = "/again"; retry = { attempts = 2; on = ( "reset" ); }; service = "vtc"; },
  { name = "rest"; service = "vtc"; } ); },
  { name = "none"; match = ( "elsewhere.test" ); routes = ( { name = "never"; path = "/never"; respond = { code = 200; }; } ); }'

net_up
gateway_up
http_table "$NET_DIR/t.conf"
services >"$NET_DIR/services"
sed -i "/^services = (/r $NET_DIR/services" "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"

# dialogue FILE CLIENT VIP
dialogue() {
	mkdir -p "$NET_DIR/vtc"
	ns cl env TMPDIR="$NET_DIR/vtc" timeout 60 varnishtest -t 20 -Dvip="$3 80" -Dclient="$2" -Dendpoint="10.77.2.100 8081" \
		"$1" >"$NET_DIR/vtc.out" 2>&1 || {
		cut -c1-200 "$NET_DIR/vtc.out" | tail -n 60
		fail "$(basename "$1") to $3"
	}
}
n=0
for f in "$top"/tests/net/vtc/${ONLY:-*}.vtc; do
	dialogue "$f" 10.77.1.100 10.77.9.30
	dialogue "$f" fd77:1::100 fd77:9::30
	quiet
	n=$((n + 1))
done
[ "$n" -gt 5 ] || fail "no dialogues"
echo "$n dialogues in both families"
no_bad_drops
