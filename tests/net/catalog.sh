#!/usr/bin/env bash
# Consul and Kubernetes through to packets: endpoints that they tell take flows, those in maintenance or terminating get no new ones and
# keep theirs, those that are critical count as failed; nothing that either says or fails to say empties a service, also over a restart.
# The servers are ours (tests/mgmt/consul_server.py, kubernetes_server.py).  1 worker, af_packet.
#
#   cl ── gw: dataplane, sluiced, catalog_peer.py on 127.0.0.1:8500 and :6443 ── e1 … e4, port 80     .30 web: Consul, .31 shop: Kubernetes
set -euo pipefail
export WORKERS=1 DRIVER=${DRIVER:-af_packet} HUGE=${HUGE:-never}
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

TOLD=0
# tell PYTHON: the servers do it (catalog_peer.py).
tell() {
	TOLD=$((TOLD + 1))
	echo "$1" >"$NET_DIR/tell"
	done_it() { [ "$(cat "$NET_DIR/told")" = "$TOLD" ]; }
	wait_for 10 "the servers do: $1" done_it
}
names() { ctl_json "' '.join(sorted(e['name'] for e in j['endpoints']))" show endpoints "$1"; }
names_are() { [ "$(names "$1")" = "$2" ]; }
# has SERVICE NAMES [SECONDS]: its endpoints, soon.
has() { wait_for "${3:-20}" "$1 has $2" names_are "$1" "$2"; }
both_have() { has web "$1" "${2:-}" && has shop "$1" "${2:-}"; }
# of SERVICE ENDPOINT EXPRESSION: over its row e.
of() { ctl_json "[($3) for e in j['endpoints'] if e['name'] == '$2'][0]" show endpoints "$1"; }
of_is() { [ "$(of "$1" "$2" "$3")" = "$4" ]; }
source_is() { [ "$(ctl_json "[s['state'] for s in j['sources']][0]" show sources "$1")" = "$2" ]; }
# A source that failed over and over is asked again after up to 30 s.
both_are() { wait_for 40 "source of web is $1" source_is web "$1" && wait_for 40 "source of shop is $1" source_is shop "$1"; }
vip_of() { case $1 in web) echo 10.77.9.30 ;; shop) echo 10.77.9.31 ;; esac }
# only SERVICE NAMES…: new flows go to these and no others; each of them gets some (of three one would get none of 80 once in 10^14).
only() {
	local service=$1 got
	shift
	got=$(ns cl curl -s --max-time 5 -H 'Connection: close' "http://$(vip_of "$service")/?[1-80]" | sort -u | tr '\n' ' ') || true
	[ "$got" = "$* " ] || fail "$service: new flows go to '$got' in place of '$*'"
}

net_up
servers_up
run gw peer python3 "$top/tests/net/catalog_peer.py" "$NET_DIR/tell" "$NET_DIR/told"
wait_for 10 "catalog_peer.py" grep -q ready "$NET_DIR/peer.log"
SOURCES='{ name = "consul"; type = "consul"; urls = ( "http://127.0.0.1:8500" ); timeout = "1s"; },
	{ name = "cluster"; type = "kubernetes"; urls = ( "http://127.0.0.1:6443" ); timeout = "1s"; region = "eu"; }'
DAEMON_KEYS="sources = ( $SOURCES );" gateway_up

cat >"$NET_DIR/t.conf" <<-END
	gateway = { name = "${NET}gateway"; };
	network = { addresses = ( { port = "front"; address = "10.77.1.1/24"; }, { port = "back"; address = "10.77.2.1/24"; } ); routes = (); };
	services = ( { name = "web"; forward = "nat"; max_endpoints = 40; discover = ( { source = "consul"; } ); },
	             { name = "shop"; forward = "fullnat"; sources = ( "10.77.2.201", "10.77.2.202" ); max_endpoints = 40; discover = ( { source = "cluster"; port_name = "http"; } ); } );
	listeners = ( { name = "web"; address = "10.77.9.30"; port = 80; protocol = "tcp"; mode = "l4"; service = "web"; },
	              { name = "shop"; address = "10.77.9.31"; port = 80; protocol = "tcp"; mode = "l4"; service = "shop"; } );
END
tell 'consul.set("web", [node(1), node(2)])'
tell 'kube.put(pods("shop-1", pod(1), pod(2, zone="a")))'
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
both_have "e1 e2"
only web e1 e2
only shop e1 e2
[ "$(of shop e2 "e['locality'], e['source']")" = "('eu/a', 'cluster')" ] || fail "locality and source of e2: $(of shop e2 "e['locality'], e['source']")"
load users --seconds 300 --threads 4 --pause 0.01 http://10.77.9.30 http://10.77.9.31

# ---- more, fewer, moved ----

tell 'consul.set("web", [node(1), node(2), node(3)])'
tell 'kube.put(pods("shop-2", pod(3)))'
both_have "e1 e2 e3"
only web e1 e2 e3
only shop e1 e2 e3
before=$(of shop e2 "e['slot'], e['incarnation']")
tell 'kube.put(pods("shop-2", pod(3), pod(2, zone="a"))); kube.put(pods("shop-1", pod(1)))'
only shop e1 e2 e3
[ "$(of shop e2 "e['slot'], e['incarnation']")" = "$before" ] || fail "e2 became another one when it moved from slice to slice"

# ---- drain: kept connections stay, new ones go elsewhere ----

load kept --seconds 300 --threads 8 --keepalive http://10.77.9.30 http://10.77.9.31
tell 'consul.set("web", [node(1, checks=(("_service_maintenance:web", "critical"), "passing")), node(2), node(3)])'
tell 'kube.put(pods("shop-1", pod(1, conditions=TERMINATING)))'
for s in web shop; do
	wait_for 20 "$s/e1 drains" of_is "$s" e1 "e['state'], e['admits'], e['why_by']" "('draining', False, 'source')"
	only "$s" e2 e3
done
both_have "e1 e2 e3"
tell 'consul.set("web", [node(1), node(2, checks=("critical",)), node(3)])'
tell 'kube.put(pods("shop-1", pod(1))); kube.put(pods("shop-2", pod(3), pod(2, zone="a", conditions=NOT_READY)))'
for s in web shop; do
	wait_for 20 "$s/e1 is back" of_is "$s" e1 "e['admits']" True
	wait_for 20 "$s/e2 is down" of_is "$s" e2 "e['state'], e['admits'], e['why_by']" "('down', False, 'source')"
	only "$s" e1 e3
done
tell 'consul.set("web", [node(1), node(2), node(3)])'
tell 'kube.put(pods("shop-2", pod(3), pod(2, zone="a")))'
for s in web shop; do wait_for 20 "$s/e2 is back" of_is "$s" e2 "e['admits']" True; done

# ---- lies, nonsense, silence: what was known stays ----

ALL='kube.put(pods("shop-2", pod(1), pod(2, zone="a"), pod(3)))'
tell "$ALL; kube.delete('shop-1')"
for lie in 'say(200, b"")' 'say(200, b"[" * 5000)' 'say(200, b"{\"items\": []}")' 'say(200, b"<html>")' 'say(500, b"no leader")' \
	'say(403, status(403, "forbidden"))' 'useless()'; do
	tell "$lie"
	both_are trouble
	both_have "e1 e2 e3"
	tell "honest(); consul.set('web', [node(1), node(2), node(3)]); $ALL"
	both_are good
done
tell 'empty()'
both_are kept
both_have "e1 e2 e3"
only web e1 e2 e3
only shop e1 e2 e3
tell 'consul.close(); kube.close()'
both_are trouble
both_have "e1 e2 e3"
[ "$(ctl_json "min(s['age_s'] for s in j['sources'])" show sources)" != None ] || fail "no age is shown"

# ---- a restart while both are away ----

stop sluiced KILL
daemon_up
both_have "e1 e2 e3"
only web e1 e2 e3
only shop e1 e2 e3
# An endpoint that is gone takes what is under way to it with it, as one that leaves the table does.
kill -TERM "$(pid_of users)" "$(pid_of kept)"
all_good users
loaded kept >/dev/null
tell 'consul.services["web"], consul.index = [node(2), node(3)], 3; consul.open()'
tell 'kube.slices.clear(); kube.put(pods("shop-9", pod(2), pod(3))); kube.forget(); kube.open()'
both_have "e2 e3" 40
only web e2 e3
only shop e2 e3
both_are good
no_bad_drops
echo "catalog: ok"
