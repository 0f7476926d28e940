#!/usr/bin/env bash
# mode = "http" through VFIO-bound NICs: routes, answers of the gateway's own, bodies both ways over kept connections.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin
gateway standard

get() { ns cl curl -gsS --max-time 20 "$@"; }
for v in 10.77.9.30 "[fd77:9::30]"; do
	[ "$(get "http://$v/hello")" = "hello from the gateway" ] || fail "$v: the gateway's own answer"
	[ "$(get -o /dev/null -w '%{http_code} %{redirect_url}' "http://$v/old/a")" = "301 http://$v/new/a" ] || fail "$v: the redirect"
	who=$(get "http://$v/" "http://$v/" "http://$v/" "http://$v/" | sort -u | tr '\n' ' ')
	[ "$who" = "e1 e2 " ] || fail "$v: answers of '$who', not of both endpoints"
	get -o "$NET_DIR/got" "http://$v/blob" && cmp "$NET_DIR/got" "$NET_DIR/blob" || fail "$v: the body differs"
	[ "$(get -o /dev/null -w '%{http_code}' -H 'Transfer-Encoding: chunked' -H 'Content-Length: 3' -d abc "http://$v/")" = 400 ] ||
		fail "$v: both lengths were taken"
done
no_bad_drops
