#!/usr/bin/env bash
# The exception path: on a port that the dataplane owns the kernel has an interface, and on it everything that a host does on a
# network: ping, servers and clients, ssh, neighbours, groups, fragments, errors.  VIPs beside it notice nothing.
#
#      cl ─eth0──────────front0─ dataplane ─kfront─ kernel of gw     10.77.1.1, fd77:1::1: the table's and the kernel's
#      10.77.1.100                                                   10.77.1.2, fd77:1::2: the kernel's alone
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

export HUGE=never FRONT_KEYS='kernel = "kfront"; kernel_pps = 200000;'
export PROBE_INTERVAL=3s # an endpoint that stands still for a second is not to be down, which ends its connections
BOTH="10.77.1.1 fd77:1::1"
ONLY="10.77.1.2 fd77:1::2"
VIP=10.77.9.10
log=$NET_DIR/dataplane.log

kp() {
	local where=$1
	shift
	ns "$where" timeout 30 python3 "$top/tests/net/kernel.py" "$@"
}
peer() {
	local where=$1
	shift
	ns "$where" timeout 60 python3 "$top/tests/net/peer.py" "$1" --timeout 15 "${@:2}" >"$NET_DIR/peer.json" || fail "peer.py $*"
	[ "$(json "$NET_DIR/peer.json" 'j["asked"] > 0 and not j["failed"]')" = True ] || fail "$*: $(cat "$NET_DIR/peer.json")"
}
pings() { ns "$1" ping -q -c 3 -i 0.02 -W 5 "${@:2}" >"$NET_DIR/ping.out" 2>&1; }
carrier() { [ "$(ns gw cat /sys/class/net/kfront/carrier)" = "$1" ]; }
port_of() { ctl_json "[p['$1'] for p in j['ports'] if p['name'] == 'front'][0]" show ports; }

# ---- what is refused ----

refused() { # WHAT WORDS: the dataplane does not start with this boot file, and says so
	ns gw timeout 60 "$BUILD/dataplane/sluice-dataplane" -c "$NET_DIR/wrong.conf" 2>"$NET_DIR/wrong.log" && fail "$1: started"
	grep -q "$2" "$NET_DIR/wrong.log" || fail "$1: $(cat "$NET_DIR/wrong.log")"
}
wrong() {
	cat >"$NET_DIR/wrong.conf" <<-END
		control = "$NET_DIR/wrong.sock"; workers = [ 0 ]; memory = { hugepages = "never"; size_mb = 128; };
		buffers = 8192; flows = 16384;
		ports = ( { name = "front"; device = "front0"; $1 } );
	END
}
net_up
wrong 'driver = "af_packet"; kernel = "kfront";'
refused "AF_PACKET" 'ports\[0\].*the kernel sees all packets of an AF_PACKET port'
wrong 'driver = "af_xdp"; kernel = "mgmt0";'
refused "an interface that is none of ours" 'ports\[0\].kernel: port front: mgmt0 cannot be made: there is an interface of that name'
ns gw ip link show kfront >/dev/null 2>&1 && fail "an interface was left behind"

# ---- a gateway ----

servers_up
peer_up 1
run cl peer_cl python3 "$top/tests/net/peer.py" serve cl 7000
run gw peer_gw python3 "$top/tests/net/peer.py" serve gw 7000
wait_for 10 "peer.py in cl" grep -q ready "$NET_DIR/peer_cl.log"
wait_for 10 "peer.py in gw" grep -q ready "$NET_DIR/peer_gw.log"

ssh_up() {
	local d=$NET_DIR/ssh
	mkdir -p "$d" /run/sshd
	ssh-keygen -q -t ed25519 -N "" -f "$d/host"
	ssh-keygen -q -t ed25519 -N "" -f "$d/key"
	cat >"$d/conf" <<-END
		Port 2222
		HostKey $d/host
		AuthorizedKeysFile $d/key.pub
		PidFile none
		StrictModes no
		UsePAM no
		PermitRootLogin prohibit-password
	END
	run gw sshd /usr/sbin/sshd -D -e -f "$d/conf"
	wait_for 10 "sshd" grep -q listening "$NET_DIR/sshd.log"
}
ssh_says() {
	ns cl ssh -i "$NET_DIR/ssh/key" -p 2222 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
		-o ConnectTimeout=10 "root@$1" 'cat /sys/class/net/kfront/mtu' 2>"$NET_DIR/ssh.err"
}
ssh_up

addresses() {
	ns gw ip addr add 10.77.1.1/24 dev kfront
	ns gw ip addr add 10.77.1.2/24 dev kfront
	ns gw ip -6 addr add fd77:1::1/64 dev kfront nodad
	ns gw ip -6 addr add fd77:1::2/64 dev kfront nodad
	# a VIP that the kernel has, too, as BIRD's routes or a careless operator may give it one
	ns gw ip addr add $VIP/32 dev lo
}

# without_table: a gateway that has no table is still a host one can log in to.
without_table() {
	wait_for 20 "an answer of the kernel without a table" pings cl 10.77.1.2
	[ "$(ssh_says 10.77.1.2)" = 1500 ] || fail "ssh without a table: $(cat "$NET_DIR/ssh.err")"
}

hosts_talk() {
	local a
	for a in $BOTH $ONLY; do
		pings cl "$a" || fail "ping $a: $(cat "$NET_DIR/ping.out")"
		pings cl -s 4000 "$a" || fail "ping $a in fragments: $(cat "$NET_DIR/ping.out")"
		peer cl tcp "$a" 7000 --count 20 --up 5000 --down 5000
		peer cl tcp "$a" 7000 --count 1 --up 5000000 --down 5000000
		peer cl udp "$a" 7000 --count 50 --up 1000 --down 1000
		peer cl udp "$a" 7000 --count 10 --up 5000 --down 5000
		[ "$(kp cl ttl "$a" 7000)" = ok ] || fail "$a does not answer a neighbour with TTL 1"
		[ "$(kp cl open "$a" 9 5)" = refused ] || fail "a closed port of $a is not refused"
		peer cl error "$a" 7009 refused
		[ "$(ssh_says "$a")" = 1500 ] || fail "ssh $a: $(cat "$NET_DIR/ssh.err")"
	done
	for a in 10.77.1.100 fd77:1::100; do
		pings gw "$a" || fail "the kernel's ping to $a: $(cat "$NET_DIR/ping.out")"
		pings gw -s 4000 "$a" || fail "the kernel's ping to $a in fragments"
		peer gw tcp "$a" 7000 --count 20 --up 5000 --down 5000
		peer gw tcp "$a" 7000 --count 1 --up 5000000 --down 5000000
		peer gw udp "$a" 7000 --count 20 --up 5000 --down 5000
		[ "$(kp gw open "$a" 9 5)" = refused ] || fail "the kernel does not hear that a port of $a is closed"
		peer gw error "$a" 7009 refused
	done
}

knows() { ns gw ip neigh show dev kfront | grep -q "^$1 lladdr $(ns cl cat /sys/class/net/eth0/address)"; }
neighbours() {
	wait_for 5 "the client among the kernel's neighbours" knows 10.77.1.100
	wait_for 5 "… in IPv6" knows fd77:1::100
	# both ask anew, and the kernel's address is its own to answer for
	ns cl ip neigh flush dev eth0
	ns gw ip neigh flush dev kfront
	pings cl 10.77.1.2 && pings gw fd77:1::100 || fail "after neighbours were forgotten"
	[ "$(ns cl ip neigh show 10.77.1.2 dev eth0 | awk '{ print $3 }')" = "$(ns gw cat /sys/class/net/front0/address)" ] ||
		fail "the kernel's address has another MAC"
}

groups() {
	run gw hear python3 "$top/tests/net/kernel.py" hear kfront 224.0.0.251 ff02::fb 5353
	wait_for 5 "who listens" grep -q ready "$NET_DIR/hear.log"
	kp cl say eth0 224.0.0.251 ff02::fb 5353
	wait_for 5 "multicast and LLDP" sh -c "[ \$(sort '$NET_DIR/hear.log' | grep -c '^lldp$\|^v4$\|^v6$') = 3 ]"
	wait "$(pid_of hear)"
}

vip_is_the_tables() {
	local before
	before=$(drops_of no_listener)
	[ "$(kp cl open $VIP 7000 1)" = nothing ] || fail "the kernel answers for a VIP"
	dropped() { [ "$(drops_of no_listener)" -gt "$before" ]; }
	wait_for 5 "no_listener counts it" dropped
	[ "$(ns cl curl -s --max-time 5 -o "$NET_DIR/got" -w '%{http_code}' http://$VIP/blob)" = 200 ] || fail "the VIP"
	cmp -s "$NET_DIR/got" "$NET_DIR/blob" || fail "the VIP's answer differs"
}

says() {
	[ "$(ctl_json "j['verdict']" explain tcp 10.77.1.100:5000 10.77.1.2:22)" = kernel ] || fail "explain: $(cat "$NET_DIR/ctl.json")"
	[ "$(ctl_json "j['verdict']" explain tcp 10.77.1.100:5000 10.77.9.10:22)" = drop ] || fail "explain of a VIP: $(cat "$NET_DIR/ctl.json")"
	ctl explain tcp 10.77.1.100:5000 10.77.1.2:22 | grep -q 'the packet goes to the kernel' || fail "explain has no words for it"
	[ "$(port_of kernel) $(port_of kernel_by)" = "kfront tap" ] || fail "show ports: $(cat "$NET_DIR/ctl.json")"
	ctl show ports | grep -q 'kfront (tap)' || fail "show ports does not say what the interface is"
	local to from
	to=$(port_of to_kernel) from=$(port_of from_kernel)
	[ "$to" -gt 1000 ] && [ "$from" -gt 1000 ] || fail "to the kernel $to, from it $from"
	ns gw curl -s --unix-socket "$NET_DIR/metrics.sock" http://x/metrics >"$NET_DIR/metrics.txt"
	[ "$(awk '$1 == "sluice_port_to_kernel_packets_total{port=\"front\"}" { print $2 }' "$NET_DIR/metrics.txt")" -ge "$to" ] || fail "metrics"
}

link_follows() {
	carrier 1 || fail "no carrier"
	ns cl ip link set eth0 down
	wait_for 5 "the carrier gone with the link" carrier 0
	ns cl ip link set eth0 up
	wait_for 5 "the carrier back" carrier 1
	ns cl ip -6 addr add fd77:1::100/64 dev eth0 nodad 2>/dev/null || true # a link that goes down takes these away
	ns cl ip route replace 10.77.9.0/24 via 10.77.1.1
	ns cl ip -6 route replace fd77:9::/64 via fd77:1::1
}

# comes_back HOW: the dataplane ends by that signal; the interface and its addresses stay, and work with the next one.
comes_back() {
	stop dataplane "$1"
	wait_for 5 "no carrier without a dataplane" carrier 0
	[ "$(ns gw ip -br addr show kfront | grep -c '10.77.1.1/24 10.77.1.2/24 .*fd77:1::2/64')" = 1 ] ||
		fail "$1: the addresses are gone: $(ns gw ip -br addr show kfront)"
	dataplane_up
	wait_for 20 "the kernel after $1" pings cl 10.77.1.2
	wait_for 20 "the kernel after $1, in IPv6" pings cl fd77:1::2
	peer cl tcp 10.77.1.1 7000 --count 1 --up 1000000 --down 1000000
}

for w in 1 2; do
	export WORKERS=$w
	echo "$w worker(s)"
	gateway_up
	grep -q 'port front: the kernel has kfront (TAP), at most 200000 packets a second' "$log" || fail "the log: $(cat "$log")"
	for what in address mtu; do
		[ "$(ns gw cat /sys/class/net/kfront/$what)" = "$(ns gw cat /sys/class/net/front0/$what)" ] || fail "another $what"
	done
	if [ "$w" = 1 ]; then
		addresses
		without_table
		table "$NET_DIR/t.conf"
		ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
	fi
	wait_for 20 "the VIP" ns cl curl -sf -o "$NET_DIR/got" http://$VIP/
	# shellcheck disable=SC2086
	load beside --seconds 600 --threads 1 --timeout 10 $WEB $DNS
	hosts_talk
	neighbours
	groups
	vip_is_the_tables
	says
	stop beside
	tail -n 1 "$NET_DIR/beside.log" >"$NET_DIR/beside.json"
	[ "$(json "$NET_DIR/beside.json" 'j["failed"] == 0 and j["requests"] > 10')" = True ] || fail "clients of VIPs: $(cat "$NET_DIR/beside.json")"
	no_bad_drops
	ctl show drops | awk '$2 > 0'
	link_follows
	comes_back TERM
	comes_back KILL
	stop sluiced
	stop dataplane
done
