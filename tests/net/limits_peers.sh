#!/usr/bin/env bash
# Limits by who asks: identities of client certificates, IPv6 addresses and networks; of requests, and of connections of mode tcp.
# Times are long and numbers small, so that counts do not depend on how fast this machine is.  2 workers, af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=af_packet LARGE=1000
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "$0")/lib_tls.sh"

export ROUTES='
{ name = "peer"; prefix = "/peer"; respond = { code = 200; body = "peer\n"; }; policy = { limits = ( "peer" ); }; },
{ name = "net"; prefix = "/net"; respond = { code = 200; body = "net\n"; }; policy = { limits = ( "net" ); }; },
{ name = "host"; prefix = "/host"; respond = { code = 200; body = "host\n"; }; policy = { limits = ( "host" ); }; },
'
VIP6=fd77:9::40
LIMITS='
limits = (
  { name = "peer"; requests = 4; per = "10m"; by = "identity"; headers = true; },
  { name = "net"; requests = 5; per = "10m"; by = "source"; },
  { name = "host"; requests = 3; per = "10m"; by = "source"; source_bits6 = 128; },
  { name = "streams"; requests = 2; per = "10m"; by = "identity"; },
  { name = "lines"; requests = 3; per = "10m"; by = "source"; } );
'
eval "$(declare -f tls_table | sed '1s/tls_table/tls_table_plain/')"
# 9443 asks for certificates; the services of it and of 9445 have limits.
tls_table() {
	tls_table_plain "$1.plain"
	sed -E 's/(name = "plain"; forward)/limits = ( "streams" ); \1/; s/(name = "web"; forward)/limits = ( "lines" ); \1/
		s/^( *)routes = \( \);/\1routes = ( { prefix = "fd77:a::\/64"; via = "fd77:1::100"; } );/' "$1.plain" |
		awk '/port = 9443;/ { at = 1 } at && /tls = [{]/ { sub(/tls = [{]/, "tls = { client = \"optional\"; trust = ( \"mesh\" );"); at = 0 } { print }' >"$1"
	echo "$LIMITS" >>"$1"
}
tls_up
cert b inter "$CLIENT" "$(san URI:spiffe://td.test/ns/dev/sa/b)"
cert dns inter "$CLIENT" "$(san DNS:cl.example)"
for a in fd77:1::a1/64 fd77:1::a2/64 fd77:a::1/64 fd77:a::2/64; do
	ns cl ip -6 addr add "$a" dev "$(ns cl ip -6 -o addr show | awk '/fd77:1::100/ { print $2; exit }')" nodad
done

# row NAME FIELD: of show limits.
row() { ctl_json "[r['$2'] for r in j['limits'] if r['name'] == '$1'][0]" show limits; }
# passes WHAT N OF COMMAND…: of so many requests so many are answered 200, and the rest 429.
passes() {
	local what=$1 n=$2 of=$3 got=0 code
	shift 3
	for ((i = 0; i < of; i++)); do
		code=$(tcode "$@" || true)
		case $code in
		200) got=$((got + 1)) ;;
		429) ;;
		*) fail "$what: answered '$code'" ;;
		esac
	done
	is "$what" "$got" "$n"
}

# ---- identities ----

# shellcheck disable=SC2046 # words of curl
identities() {
	passes "a" 4 6 8443 /peer $(as a)
	passes "a by another listener" 0 1 8444 /peer $(as a)
	HOST=$VIP6 passes "a over IPv6" 0 1 8443 /peer $(as a)
	HOST=$VIP6 passes "b over IPv6" 3 3 8443 /peer $(as b)
	passes "b over IPv4" 1 2 8443 /peer $(as b)
	passes "a name of a host" 4 5 8443 /peer $(as dns)
	passes "nobody where certificates are optional" 3 3 8444 /peer
	passes "nobody where nobody is asked" 1 3 443 /peer
	passes "a certificate where nobody asks is nobody's" 0 1 443 /peer $(as b)
	HOST=$VIP6 passes "nobody by another address" 0 1 443 /peer --interface fd77:1::a1
}
identities
counts() { [ "$(row peer allowed) $(row peer refused)" = "16 10" ]; }
wait_for 5 "show limits to say so: $(row peer allowed) $(row peer refused)" counts
is "keys" "$(row peer keys)" 4

# ---- addresses of IPv6 ----

HOST=$VIP6 passes "an address" 3 3 443 /net --interface fd77:1::a1
HOST=$VIP6 passes "another one of its /64" 2 4 443 /net --interface fd77:1::a2
HOST=$VIP6 passes "of another /64" 5 6 443 /net --interface fd77:a::1
passes "of IPv4" 5 6 443 /net
HOST=$VIP6 passes "an address on its own" 3 4 443 /host --interface fd77:1::a1
HOST=$VIP6 passes "its neighbour on its own" 3 4 443 /host --interface fd77:1::a2
foretold() { ctl_json "[j['route'], j['status'], j['text']]" explain --http "GET /$1" --from "[$2]:4711" --listener "v${VIP6//[.:]/-}-8444" "${@:3}"; }
is "explain: of a /64" "$(foretold net fd77:1::a3)" "['net', 429, 'rate limited: limits/net']"
is "explain: of a new one" "$(foretold net fd77:b::1)" "['net', 200, '']"
is "explain: of an identity" "$(foretold peer fd77:b::1 -H ":identity: spiffe://td.test/ns/prod/sa/a")" "['peer', 429, 'rate limited: limits/peer']"
is "explain: of a new identity" "$(foretold peer fd77:1::a1 -H ":identity: spiffe://td.test/ns/prod/sa/z")" "['peer', 200, '']"

# ---- connections of mode tcp ----

# opens WHAT N OF ARGS…: so many connections of so many are let through.
opens() {
	local what=$1 n=$2 of=$3 got=0
	shift 3
	for ((i = 0; i < of; i++)); do
		! tcurl "$@" -o /dev/null || got=$((got + 1))
	done
	is "$what" "$got" "$n"
}
# shellcheck disable=SC2046 # words of curl
connections() {
	opens "connections of a" 2 4 9443 / $(as a)
	HOST=$VIP6 opens "of b over IPv6" 2 3 9443 / $(as b)
	opens "of nobody" 2 3 9443 /
	HOST=$VIP6 opens "of a /64" 2 2 9445 / --interface fd77:1::a1
	HOST=$VIP6 opens "of the same /64" 1 2 9445 / --interface fd77:1::a2
	HOST=$VIP6 opens "of another /64" 3 4 9445 / --interface fd77:a::2
	opens "of IPv4" 3 4 9445 /
}
connections
all_counted() { [ "$(row streams refused) $(row lines refused)" = "4 3" ]; }
wait_for 5 "connections refused, and counted" all_counted
quiet
echo "limits go by identities and addresses of IPv6"
