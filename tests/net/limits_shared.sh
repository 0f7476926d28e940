#!/usr/bin/env bash
# A limit that two gateways share by etcd: never more than its number in any window, over both, by the client's clock; and nearly all of it, wherever it is
# asked for.  Demand moves, sluiced and the dataplane are killed, a gateway is cut off from etcd, etcd goes away and comes back.
#
#   cl ─eth0──front0─ gw ─mg0──┐        cl 10.77.1.100  gw 10.77.1.1, VIP 10.77.9.30
#   └───eth2──front0─ gw2 ─mg0─┴ et     cl 10.77.6.100  gw2 10.77.6.1, VIP 10.77.10.30     et: etcd, 10.77.21.1 and 10.77.22.1
#
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"
py=$top/tests/net/limits_shared.py
export HUGE=never WORKERS=1 DRIVER=${DRIVER:-af_packet}
NUMBER=200 FLOOR=20 PER=1000

# ---- the network

NET_MORE+=(gw2 et)
net_up
for n in gw2 et; do
	ip netns add "$NET$n"
	ns $n sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
	ns $n ip link set lo up
done
link gw2 front0 cl eth2
link gw2 back0 sw gw20
ns sw ip link set gw20 master br0
addr4() { ns "$1" ip addr add "$3/24" dev "$2"; }
addr4 cl eth2 10.77.6.100
ns cl ip route add 10.77.10.0/24 via 10.77.6.1
for i in 1 2; do
	g=gw${i#1}
	link "$g" mg0 et "g$i"
	addr4 "$g" mg0 "10.77.2$i.2"
	addr4 et "g$i" "10.77.2$i.1"
done

# in memory: how long a disk takes is not what is measured
etcd_dir=$(mktemp -d /dev/shm/sluice-etcd-XXXXXX)
trap 'rc=$?; rm -rf "$etcd_dir"; trap - ERR; set +e; (exit $rc); test_end' EXIT
etcd_up() {
	run et etcd etcd --data-dir "$etcd_dir" --listen-peer-urls http://127.0.0.1:2380 \
		--listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://127.0.0.1:2379
	wait_for 20 "etcd" ns et curl -sf --max-time 2 http://127.0.0.1:2379/health
}
etcd_up

# ---- two gateways

share_keys() {
	echo "sources = ( { name = \"etcd\"; type = \"etcd\"; urls = ( \"http://10.77.2$1.1:2379\" ); timeout = \"2s\"; } );"
	echo "store = { source = \"etcd\"; limits = true; gateway = \"gw-$1\"; };"
}
DAEMON_KEYS=$(share_keys 1)
export DAEMON_KEYS
ctl2() { "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced2.sock" "$@"; }
second() { sed -E "s,$NET_DIR/(dataplane|sluiced|state|audit|metrics|access),$NET_DIR/\12,g" "$1" >"$2"; }
gateway_up
second "$NET_DIR/dataplane.conf" "$NET_DIR/dataplane2.conf"
DAEMON_KEYS=
sed '/^sources/d; /^store/d' "$NET_DIR/sluiced.conf" >"$NET_DIR/sluiced.plain"
second "$NET_DIR/sluiced.plain" "$NET_DIR/sluiced2.conf"
{ share_keys 2; echo "registry = { socket = \"$NET_DIR/registry2.sock\"; };"; } >>"$NET_DIR/sluiced2.conf"
run gw2 dataplane2 "$BUILD/dataplane/sluice-dataplane" -c "$NET_DIR/dataplane2.conf"
wait_for 60 "the second dataplane" grep -q 'ready:' "$NET_DIR/dataplane2.log"
run gw2 sluiced2 "$BUILD/mgmt/sluiced" -c "$NET_DIR/sluiced2.conf"
wait_for 30 "the second sluiced" grep -q 'ready:' "$NET_DIR/sluiced2.log"

# table FRONT BACK VIP FILE
shared_table() {
	cat >"$4" <<-END
		gateway = { name = "${NET}gateway"; };
		network = { addresses = ( { port = "front"; address = "$1/24"; }, { port = "back"; address = "$2/24"; } ); routes = (); };
		limits = ( { name = "api"; requests = $NUMBER; per = "${PER}ms"; shared = true; floor = $FLOOR; } );
		services = ();
		listeners = ( { name = "http"; address = "$3"; port = 80; protocol = "tcp"; mode = "http"; routes = "edge"; } );
		route_tables = ( { name = "edge"; hosts = ( { name = "all"; match = ( "*" ); policy = { limits = ( "api" ); };
		  routes = ( { name = "r"; respond = { code = 200; body = "ok"; }; } ); } ); } );
	END
}
shared_table 10.77.1.1 10.77.2.1 10.77.9.30 "$NET_DIR/t.conf"
shared_table 10.77.6.1 10.77.2.2 10.77.10.30 "$NET_DIR/t2.conf"

# ---- what is looked at

# push_both FILE: FILE.conf to the first gateway, FILE2.conf to the second.
push_both() {
	ctl push "$NET_DIR/$1.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
	ctl2 push "$NET_DIR/${1}2.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
}
demand() { echo "$2" >"$NET_DIR/$1.demand"; }
count() { python3 "$py" count "$NET_DIR/passed" "$PER" "$1" "$2"; }
# share_is CTL "NUMBER" or "> NUMBER": its share as show limits has it; shares: of both.
share_is() {
	local is=$2
	[[ $is == [0-9]* ]] && is="== $is"
	$1 --json show limits >"$NET_DIR/share.json" || return 1
	[ "$(json "$NET_DIR/share.json" "[r['share'] for r in j['limits'] if r['name'] == '$name'][0] $is")" = True ]
}
shares() { share_is ctl "$1" && share_is ctl2 "$2"; }
# floors CTL…: they go by it; a share that is as small for a moment is none.
floors() {
	local c
	for c in "$@"; do
		share_is "$c" 20 && $c show limits | grep -q 'floor: ' || return 1
	done
}
# wait_shares SECONDS WHAT FIRST SECOND
wait_shares() {
	wait_for "$1" "$2" shares "$3" "$4" || fail "$2: not within $1 s: $(ctl show limits | tail -n 1) and $(ctl2 show limits | tail -n 1); $(documents)"
}
etcd_said() { ns et curl -s --max-time 10 "http://127.0.0.1:2379/v3/$1" -d "$2"; }
# documents: "KEY:VALUE" of all that is there; document TEXT: in place of that of the limit.
documents() {
	etcd_said kv/range '{"key":"L3NsdWljZS8=","range_end":"L3NsdWljZTA="}' | python3 -c 'import base64, json, sys
for kv in json.load(sys.stdin).get("kvs", []): print(base64.b64decode(kv["key"]).decode() + ":" + base64.b64decode(kv.get("value", "")).decode())'
}
document() { etcd_said kv/put "{\"key\":\"$(printf %s "/sluice/limits/$name" | base64 -w0)\",\"value\":\"$(printf %s "$1" | base64 -w0)\"}" >"$NET_DIR/put"; }
# passes NAME FROM TO LEAST: as many passed in a time of PER, by both: at least LEAST, of which a client that does not get to run may miss
# half; where nobody was refused, not even that many asked.  phase: the same, and where it was less the machine may have stood
# still: then twice more, in a time of its own, as long.
passes() {
	local is
	is=$(count "$2" "$3")
	echo "$1: $is"
	echo "$is" >"$NET_DIR/phase.json"
	[ "$(json "$NET_DIR/phase.json" "j['rate'] >= $4 * ${LEAST:-50} / 100 or j['refused'] == 0")" = True ]
}
phase() {
	local from=$2 to=$3 ms _
	ms=$(python3 -c "print(round(($3 - $2) * 1000))")
	for _ in 1 2 3; do
		! passes "$1" "$from" "$to" "$4" || return 0
		from=$(now)
		for_ms "$ms"
		to=$(now)
	done
	fail "$1: less than $4 passed in a time of $PER ms, three times"
}
never_above() {
	count "$begun" 9e9 >"$NET_DIR/all.json"
	[ "$(json "$NET_DIR/all.json" "j['most'] <= $NUMBER")" = True ] || fail "more than $NUMBER passed within $PER ms: $(cat "$NET_DIR/all.json")"
}
now() { echo "$EPOCHREALTIME"; }
since() { python3 -c "print(round($EPOCHREALTIME - $1, 2))"; }
for_ms() { read -r -t "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))" <> <(:) || true; }
# first NAME N FROM: when NAME let N pass within PER, seconds after FROM.
first() { python3 "$py" first "$NET_DIR/passed" "$1" "$2" "$PER" "$3"; }
told() { echo "$1: $2"; }

demand one 4
demand two 4
run cl load python3 "$py" run "$NET_DIR/passed" 600 one=10.77.9.30 two=10.77.10.30
wait_for 5 "clients" grep -q ready "$NET_DIR/load.log"
name=api

# ---- after a push: to gateways that have just started, and to those that run

t=$(now)
push_both t
wait_shares 20 "shares of both" 100 100
told "first answers after the start of sluiced" "$(first one 1 "$t") s and $(first two 1 "$t") s"
for f in t t2; do sed 's/"api"/"api2"/g' "$NET_DIR/$f.conf" >"$NET_DIR/$f.b"; done
mv "$NET_DIR/t.b" "$NET_DIR/b.conf"
mv "$NET_DIR/t2.b" "$NET_DIR/b2.conf"
t=$(now)
push_both b
name=api2
wait_shares 20 "shares of both" 100 100
for_ms 300
told "a push until the first answers by a new limit" "$(first one 1 "$t") s and $(first two 1 "$t") s"
gone() { ! documents | grep -q 'limits/api:'; }
wait_for 10 "the document of a limit that is gone is removed" gone

# ---- asked for evenly, and at one gateway alone

t=$(now)
begun=$t # before, what passed by two limits is together
for_ms 5000
phase "even demand" "$t" "$(now)" 180
t=$(now)
demand two 0
wait_shares 20 "the share follows" 180 20
for_ms 1100
told "demand at one alone until it passes all but the other's floor" "$(first one 179 "$t") s"
t=$(now)
for_ms 4000
phase "demand at one alone" "$t" "$(now)" 160
t=$(now)
demand two 4
wait_shares 20 "shares are even again" 100 100
told "demand at the other, too, until it passes 95" "$(first two 95 "$t") s"

# ---- a limit that is taken out and put back within PER: what it let pass counts still

sed -E 's/^limits = .*/limits = ();/; s/ policy = \{[^}]*\};//; s/code = 200/code = 503/' "$NET_DIR/b.conf" >"$NET_DIR/none.conf"
t=$(now)
ctl push "$NET_DIR/none.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
ctl push "$NET_DIR/b.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
told "a limit taken out and put back" "$(since "$t") s"
wait_shares 15 "the share comes back" 100 100
never_above

# ---- sluiced killed

for try in 1 2 3; do
	t=$(now)
	stop sluiced KILL
	for_ms 1500
	daemon_up
	for_ms 1000
	wait_shares 20 "the share stays" 100 100
	never_above
	! passes "sluiced killed and started" "$t" "$(now)" 170 || break
	[ "$try" -lt 3 ] || fail "less passed while sluiced was killed and started, three times"
done

# ---- the dataplane killed: what it let pass counts still

t=$(now)
stop dataplane KILL
dataplane_up
up=$(now)
wait_shares 20 "the share comes back" 100 100
for_ms 500
told "the dataplane killed until it passes 95" "$(first one 95 "$up") s after it was ready"
never_above

# ---- a gateway cut off from etcd

t=$(now)
ns et ip link set g1 down
wait_for 15 "the share of who is cut off ends" floors ctl
told "cut off until only the floor passes" "$(since "$t") s"
wait_shares 15 "the other takes the rest" 20 180
told "cut off until the other has the rest" "$(since "$t") s"
ctl show limits | grep -q 'floor: ' || fail "show limits does not say why: $(ctl show limits)"
t=$(now)
for_ms 2000
phase "one cut off" "$t" "$(now)" 170
t=$(now)
ns et ip link set g1 up
wait_shares 25 "shares are even again" 100 100
told "connected again until shares are even" "$(since "$t") s"
never_above

# ---- etcd away

t=$(now)
stop etcd KILL
wait_for 15 "shares end" floors ctl ctl2
told "etcd away until only floors pass" "$(since "$t") s"
t=$(now)
for_ms 2000
phase "etcd away" "$t" "$(now)" 39
[ "$(json "$NET_DIR/phase.json" "j['rate'] <= 60")" = True ] || fail "more than floors passed without etcd"
t=$(now)
etcd_up
wait_shares 25 "shares come back" 100 100
told "etcd back until shares are" "$(since "$t") s"

# ---- nonsense in etcd

t=$(now)
document '{"gateways": [{"session": "0000000000000001", "gateway": "x", "share": -5}]}'
said() { ctl show limits | grep -q 'without\|is not within\|cannot be'; }
wait_for 5 "nonsense is told" said
for_ms 2500 # tokens come back all at once, some time within PER
phase "nonsense in the document" "$t" "$(now)" 150
document '{"gateways": [{"session": "0000000000000001", "gateway": "x", "share": 10000000, "floor": 0, "want": 0, "per_ms": 1000, "seq": 1}]}'
for_ms 1500
never_above
echo "limits of two gateways hold: $(cat "$NET_DIR/all.json")"
