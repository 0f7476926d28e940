#!/usr/bin/env bash
# sluiced as a user without privileges, beside a dataplane that has given up its own: tables, certificates and ticket keys, probes of
# all kinds, metrics, access log, drains, explain, flows and their survival, its own restart. Who it is decides who is admin; another
# user's daemon is refused by the dataplane.
set -euo pipefail
export WORKERS=2 LARGE=100000 MEMORY=128 DAEMON_USER=nobody
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "$0")/lib_tls.sh"
look=$top/tests/net/privileges.py

tls_up
python3 "$look" threads "$(pid_of sluiced)" >"$NET_DIR/threads"
sort -u "$NET_DIR/threads"
bad=$(grep -v ' uid=65534 Inh=0 Prm=0 Eff=0 Bnd=0 Amb=0 nnp=1 ' "$NET_DIR/threads") && fail "a thread has privileges: $bad"
python3 "$look" descriptors "$(pid_of sluiced)"
is "its user in the log of the dataplane" "$(grep -c "sluiced connected (pid $(pid_of sluiced))" "$NET_DIR/dataplane.log")" 1

# ---- tables, certificates, probes, an access log, metrics ----

python3 - "$NET_DIR/t.conf" <<'END'
import sys
text = open(sys.argv[1]).read()
kinds = {"http": 'type = "http"; path = "/health";', "tcp": 'type = "tcp";'}
services = "".join(f'''{{ name = "probed-{k}"; forward = "nat"; max_endpoints = 40;
  health = {{ {v} interval = "500ms"; timeout = "300ms"; rise = 2; fall = 2; }};
  endpoints = ( {{ name = "e1"; address = "10.77.2.11"; port = 80; probe = "10.77.3.11:80"; }},
                {{ name = "e9"; address = "10.77.2.19"; port = 80; probe = "10.77.3.19:80"; }} ); }},''' for k, v in kinds.items())
listeners = "".join(f'{{ name = "probed-{k}"; address = "10.77.9.10"; port = {p}; protocol = "tcp"; mode = "l4"; service = "probed-{k}"; }},' for k, p in (("http", 80), ("tcp", 81)))
text = text.replace("services = (", "services = (" + services, 1)
text = text.replace("listeners = (", "listeners = (" + listeners, 1)
open(sys.argv[1], "w").write(text)
END
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
for k in http tcp; do
	wait_for 10 "probes of kind $k: up" state_is "probed-$k" e1 up
	wait_for 10 "probes of kind $k: down" state_is "probed-$k" e9 down
done
tgives "TLS" 200 443 /
tgives "mTLS to the endpoint" 200 443 / -H "x-to: mutual"
is "L4" "$(get -o "$NET_DIR/body" -w '%{http_code}' http://10.77.9.10/)" 200
head -c 160 /dev/urandom >"$NET_DIR/tickets"
ctl tickets install "$NET_DIR/tickets" >"$NET_DIR/cert.out" 2>&1 || fail "tickets install: $(cat "$NET_DIR/cert.out")"
cert shop inter "$SERVER" "$(san DNS:shop.example,DNS:www.shop.example)"
ctl cert replace shop --cert "$PKI/shop.pem" --key "$PKI/shop.key" >"$NET_DIR/cert.out" 2>&1 || fail "cert replace: $(cat "$NET_DIR/cert.out")"
tgives "TLS with another certificate" 200 443 /
logged() { grep -q '"path":"/"' "$NET_DIR/access.log"; }
wait_for 5 "the access log" logged
ns gw curl -sf --unix-socket "$NET_DIR/metrics.sock" http://sluiced/metrics >"$NET_DIR/metrics"
grep -q '^sluice_' "$NET_DIR/metrics" || fail "metrics: $(head -n 3 "$NET_DIR/metrics")"
ctl drain probed-tcp e1 >"$NET_DIR/drain.out" || fail "drain"
wait_for 5 "drained" state_is probed-tcp e1 draining
ctl undrain probed-tcp e1 >"$NET_DIR/drain.out" || fail "undrain"
ctl explain tcp 10.77.1.100:40000 10.77.9.10:80 >"$NET_DIR/explain.out" || fail "explain: $(cat "$NET_DIR/explain.out")"
ctl show flows >"$NET_DIR/flows.out" || fail "show flows"
for f in "$NET_DIR"/audit.log "$NET_DIR"/access.log "$NET_DIR"/state; do is "who owns $f" "$(stat -c %U "$f")" nobody; done
is "keys that others may read" "$(find "$NET_DIR/state" -type f -path '*shop*' -perm /077 | wc -l)" 0

# ---- its own end and start; the dataplane's, whose flows it keeps ----

stop sluiced KILL
daemon_up
wait_for 10 "the daemon's table" sh -c "grep -q 'generation .* active' $NET_DIR/sluiced.log"
tgives "TLS after the daemon was killed" 200 443 /
stop dataplane KILL
dataplane_up
wait_for 10 "the table" grep -q 'active on all' "$NET_DIR/dataplane.log"
wait_for 5 "what became of the flows" sh -c "grep -q 'flows: .* taken over in place' $NET_DIR/dataplane.log"
tgives "TLS after the dataplane was killed" 200 443 /

# ---- whose daemon it is ----

stop sluiced
DAEMON_USER=daemon
mv "$NET_DIR/state" "$NET_DIR/state.nobody"
rm -f "$NET_DIR"/{audit.log,access.log,*.sock.lock} "$NET_DIR/sluiced.sock" "$NET_DIR/metrics.sock"
daemon_up
wait_for 5 "the other daemon's refusal" grep -qE 'cannot connect|refus|ermission' "$NET_DIR/sluiced.log"
! grep -q 'connected to pid' "$NET_DIR/sluiced.log" || fail "a stranger's daemon is let in"
stop sluiced
DAEMON_USER=nobody
rm -rf "$NET_DIR"/{state,audit.log,access.log} "$NET_DIR/sluiced.sock" "$NET_DIR/metrics.sock"
mv "$NET_DIR/state.nobody" "$NET_DIR/state"
daemon_up
tgives "TLS at the end" 200 443 /
quiet
no_bad_drops
