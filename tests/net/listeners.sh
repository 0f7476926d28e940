#!/usr/bin/env bash
# Listeners by prefix, port range and any port, and which of several takes a packet; least_conn looks at open
# connections; source_hash looks at the client's network alone.
set -euo pipefail
# shellcheck source=tests/net/lib_modes.sh
. "$(dirname "$0")/lib_modes.sh"

export HUGE=never
net_up
for i in $ENDPOINTS; do peer_up "$i" 7000 7999 8000 8080 8999 9000; done
gateway_up
ns cl ip route add local 10.80.0.0/16 dev lo # addresses of clients in many networks
ns cl ip -6 route add local fd80::/16 dev lo
ns cl sysctl -qw net.ipv6.ip_nonlocal_bind=1
for i in $ENDPOINTS; do
	ns "e$i" ip route add 10.80.0.0/16 via 10.77.2.1
	ns "e$i" ip -6 route add fd80::/16 via fd77:2::1
done

# one NAME KEYS FAMILY ENDPOINTS: a nat service.
one() { SERVICE_KEYS=$2 mode_service nat "$3" maglev "$4" | sed "s/name = \"nat$3\"/name = \"$1$3\"/; s/policy = \"maglev\"; //"; }
listener() { echo "{ name = \"$1\"; address = \"$2\"; port = $3; protocol = \"$4\"; mode = \"l4\"; service = \"$5\"; }"; }
{
	EXTRA_ROUTES='{ prefix = "10.80.0.0/16"; via = "10.77.1.100"; }, { prefix = "fd80::/16"; via = "fd77:1::100"; }' \
		modes_table /dev/stdout | sed '/^services = (/,$d'
	echo 'services = ('
	for f in 4 6; do
		for i in $ENDPOINTS; do one "only$i-" "" $f "$i" && echo ,; done
		one least 'policy = "least_conn";' $f "1 2 3 4" && echo ,
		one masked "policy = \"source_hash\"; source_bits$f = $((f == 4 ? 24 : 64));" $f "1 2 3 4"
		[ $f = 6 ] || echo ,
	done
	echo '); listeners = ('
	for f in 4 6; do
		a=10.77.9. p=/26
		[ $f = 4 ] || a=fd77:9:: p=/122
		net=64
		[ $f = 4 ] || net=40 # 0x40
		listener "range$f" "$a$net$p" '"8000-8999"' tcp "only1-$f" && echo ,
		listener "any$f" "$a$net$p" '"any"' tcp "only2-$f" && echo ,
		listener "single$f" "$a$net$p" 8080 tcp "only3-$f" && echo ,
		listener "host$f" "${a}70" '"any"' tcp "only4-$f" && echo ,
		listener "hole$f" "${a}71" 8000 tcp "only4-$f" && echo ,
		listener "udp$f" "$a$net$p" '"7000-7999"' udp "only3-$f" && echo ,
		listener "least$f" "${a}20" 7000 tcp "least$f" && echo ,
		listener "masked$f" "${a}21" 7000 tcp "masked$f"
		[ $f = 6 ] || echo ,
	done
	echo ');'
} >"$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"

echo "which listener"
while read -r kind at port want; do
	for f in 4 6; do
		vip=10.77.9.$at
		[ $f = 4 ] || vip=fd77:9::$at
		echo "which-$kind-$at-$port-$f-$want $kind $vip $port --count 2"
	done
done >"$NET_DIR/which" <<-END
	tcp 65 8000 e1
	tcp 66 8999 e1
	tcp 66 8080 e3
	tcp 66 7999 e2
	tcp 66 9000 e2
	tcp 70 8000 e4
	tcp 70 8080 e4
	tcp 71 8000 e4
	tcp 71 8080 e3
	tcp 71 8999 e1
	tcp 71 7000 e2
	udp 66 7000 e3
	udp 70 7999 e3
	END
peers <"$NET_DIR/which"
python3 - "$NET_DIR" <<-'END' || fail "these went elsewhere"
	import glob, json, sys
	bad = 0
	for name in glob.glob(sys.argv[1] + "/which-*.json"):
	    j = json.load(open(name, encoding="ascii"))
	    if j["failed"] or list(j["by"]) != [name[:-5].split("-")[-1]]:
	        bad = 1
	        print(name.split("/")[-1], j)
	sys.exit(bad)
END
before=$(drops_of no_listener)
peer closed udp 10.77.9.66 8000 --timeout 0.3
[ "$(say closed "j['failed']")" -eq 1 ] || fail "UDP to a port that no listener has was answered"
no_listener() { [ "$(drops_of no_listener)" -gt "$before" ]; }
wait_for 5 "no_listener counts it" no_listener
for outside in 63 128; do
	peer outside tcp 10.77.9.$outside 8080 --timeout 0.3
	[ "$(say outside "j['failed']")" -eq 1 ] || fail "10.77.9.$outside is outside the prefix and was answered"
done
ns cl ping -q -c 2 -i 0.02 -W 10 10.77.9.99 >/dev/null || fail "ping to an address of a prefix"

echo "least_conn"
# held NAME FAMILY N: N connections to the least_conn service, held.
held() {
	local vip=10.77.9.20
	[ "$2" = 4 ] || vip=fd77:9::20
	run cl "$1" python3 "$top/tests/net/peer.py" hold "$vip" 7000 --connections "$3" --timeout 15 # one that is given up and opened again counts twice
	wait_for 30 "$3 connections" grep -q ready "$NET_DIR/$1.log"
}
spread() {
	stop "$1"
	tail -n 1 "$NET_DIR/$1.log" >"$NET_DIR/$1.json"
	good "$1"
	[ "$(say "$1" "sorted(j['spread'].items())")" = "$2" ] || fail "$1: $(say "$1" "j['spread']"), expected $2"
}
for f in 4 6; do
	held even$f $f 40
	ctl drain least$f e1 >/dev/null
	ctl drain least$f e2 >/dev/null
	held some$f $f 20 # e3 and e4 have ten more then
	ctl undrain least$f e1 >/dev/null
	ctl undrain least$f e2 >/dev/null
	held rest$f $f 20 # so all these go to the others
	spread rest$f "[('e1', 10), ('e2', 10)]"
	spread some$f "[('e3', 10), ('e4', 10)]"
	spread even$f "[('e1', 10), ('e2', 10), ('e3', 10), ('e4', 10)]"
done

echo "the client's network alone"
# of 24 networks hardly ever all go to two of four endpoints: 1 in 2,000,000
for n in $(seq 1 24); do
	for h in 1 77 254; do
		echo "masked-4-$n-$h tcp 10.77.9.21 7000 --source 10.80.$n.$h"
		echo "masked-6-$n-$h tcp fd77:9::21 7000 --source fd80:$n::$h"
	done
done | peers
python3 - "$NET_DIR" <<-'END' || fail "clients of one network are to go to one endpoint, those of 24 to several"
	import json, sys
	bad = 0
	for f in 4, 6:
	    nets = []
	    for n in range(1, 25):
	        answers = [json.load(open(f"{sys.argv[1]}/masked-{f}-{n}-{h}.json", encoding="ascii")) for h in (1, 77, 254)]
	        nets.append({who for j in answers for who in j["by"]})
	        if any(j["failed"] for j in answers) or len(nets[-1]) != 1:
	            bad = 1
	            print(f"network {n} of IPv{f}:", answers)
	    spread = set.union(*nets)
	    print(f"IPv{f}: 24 networks on {len(spread)} endpoints")
	    bad |= len(spread) < 3
	sys.exit(bad)
END
no_bad_drops
