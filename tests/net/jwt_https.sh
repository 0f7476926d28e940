#!/usr/bin/env bash
# Keys of tokens over TLS: from a server whose certificate a CA of the table's vouches for, and from nobody else.  Whatever else answers,
# or does not, takes no key away and is told.
#
#   cl ── token ──▶ gw ──▶ endpoint
#                   └── sluiced ── https://127.0.0.1:8443/, jwks_ca = CA ──▶ jwt_tokens.py serve … tls, in gw
set -euo pipefail
# shellcheck source=tests/net/lib_jwt_basic.sh
. "$(dirname "$0")/lib_jwt_basic.sh"

export HUGE=never PORT=8080
export ROUTES='
	{ name = "tls"; prefix = "/tls"; service = "web"; policy = { jwt = ( "tls" ); jwt_required = true; }; },
	{ name = "never"; prefix = "/never"; service = "web"; policy = { jwt = ( "never" ); jwt_required = true; }; },
	{ name = "rest"; service = "web"; }'
push_jwt() {
	http_table "$NET_DIR/t.conf"
	cat >>"$NET_DIR/t.conf" <<-END
		jwt = (
		  { name = "tls"; issuer = "https://issuer.test"; jwks = "https://127.0.0.1:8443/set"; jwks_ca = "$k/trusted"; jwks_interval = "1s"; },
		  { name = "never"; issuer = "https://issuer.test"; jwks = "https://127.0.0.1:8443/never"; jwks_ca = "$k/ca2.pem"; jwks_interval = "1s"; } );
	END
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}
certificate() {
	echo "$1" >"$k/certificate.new"
	mv "$k/certificate.new" "$k/certificate"
}
how() {
	echo "$1" >"$k/how.new"
	mv "$k/how.new" "$k/how"
}
trust() {
	cp "$k/$1.pem" "$k/trusted.new"
	mv "$k/trusted.new" "$k/trusted"
}
passes() { gives "$1" 200 -H "$(bearer "$t")" "$u/tls/x"; }
# told WHAT WORDS: it is told of the source, whose keys stay.
told() {
	tells() { is_in tls kept && of_issuer tls why | grep -qi -- "$2"; }
	wait_for 20 "$1 to be told as '$2' (it says: $(of_issuer tls why))" tells "$@"
	passes "keys in spite of $1"
}
good_again() {
	certificate good
	how good
	wait_for 20 "the server again" is_in tls good
	passes "and its keys"
}

net_up
for i in $ENDPOINTS; do http_peer_up "$i"; done
mkdir -p "$k"
tokens keys "$k" d:ed e:ec d2:ed
tokens certs "$k"
put_set "$k/set" d:d e:e
certificate good
how good
trust ca
gateway_up
run gw jwks /usr/bin/python3 "$top/tests/net/jwt_tokens.py" serve 8443 "$k" tls
wait_for 10 "the server of keys" grep -q ready "$NET_DIR/jwks.log"
push_jwt

# ---- the right one ----

t=$(tokens token "$k" d d '{}')
wait_for 10 "keys over TLS" is_in tls good
passes "a token of theirs"
is "keys" "$(of_issuer tls keys)" 2
put_set "$k/set" d:d e:e d2:d2
more() { [ "$(of_issuer tls keys)" = 3 ]; }
wait_for 10 "a new key" more
gives "its token" 200 -H "$(bearer "$(tokens token "$k" d2 d2 '{}')")" "$u/tls/x"

# ---- the same server, and a CA that does not know it: no key is taken ----

wait_for 10 "a source never read to be told" is_in never trouble
of_issuer never why | grep -qi 'certificate' || fail "why: $(of_issuer never why)"
is "its keys" "$(of_issuer never keys)" 0
gives "a token of an issuer without keys" 401 -H "$(bearer "$t")" "$u/never/x"

# ---- certificates that are not good: no key of theirs comes in ----

put_set "$k/set" d:d e:e # they all would take one away
for each in "stranger:certificate" "self:self.signed" "elsewhere:name\|host" "expired:expired" "early:not yet valid" "client:purpose" \
	"plain:ssl\|tls"; do
	certificate "${each%%:*}"
	told "a certificate that is ${each%%:*}" "${each#*:}"
	is "keys with a certificate that is ${each%%:*}" "$(of_issuer tls keys)" 3
done
certificate good
fewer() { [ "$(of_issuer tls keys)" = 2 ]; }
wait_for 20 "the good one's keys" fewer

# ---- the file of the CA is another one, none, or nonsense; it is read anew each time ----

trust ca2
told "another CA" certificate
mv "$k/trusted" "$k/away"
told "no file of a CA" "file of .ca."
echo nonsense >"$k/trusted"
told "a file that is no CA" "file of .ca."
trust ca
good_again

# ---- answers that are none ----

put_set "$k/other" d2:d2
for each in 302:redirects 307:redirects 308:redirects 404:404 500:500 204:204 206:206 html:JSON half:JSON twice:JSON nul:JSON gzip:JSON \
	"empty:no key" "short:too early" huge:longer endless:longer "closes:without an answer\|eof\|reset\|ssl" "garbage:HTTP"; do
	how "${each%%:*}"
	told "an answer like ${each%%:*}" "${each#*:}"
done
[ ! -e "$k/followed" ] || fail "a redirect was followed"
good_again

# ---- slow is not bad; what never comes is, and keeps nobody waiting ----

troubles=$(of_issuer tls troubles) reads=$(of_issuer tls reads)
how slow
slowly() { [ "$(of_issuer tls reads)" -ge $((reads + 2)) ]; }
wait_for 20 "keys of a slow server" slowly
is "troubles with a slow server" "$(of_issuer tls troubles)" "$troubles"
for each in stuck drops; do
	how $each
	told "a server that is $each" "within 10000 ms"
	good_again
done

# ---- over a restart while the server shows another certificate: the keys of before ----

certificate stranger
kill "$(pid_of sluiced)"
timeout 20 tail --pid="$(pid_of sluiced)" -f /dev/null || true
daemon_up
told "a stranger after a restart" certificate
good_again
quiet
no_bad_drops
echo "keys over TLS: $(of_issuer tls reads) readings since the restart"
