#!/usr/bin/env bash
# Ports: each driver comes up on veth and goes down clean, AF_XDP that does not work falls back and says so, links that
# go down or vanish are told and leave the rest running, instances run side by side, kill -9 leaves nothing in the way.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

net_up
D=$BUILD/dataplane/sluice-dataplane
log=$NET_DIR/dataplane.log

boot_file() {
	cat >"$NET_DIR/dataplane.conf" <<-END
		control = "$NET_DIR/dataplane.sock";
		workers = [ 0 ];
		memory = { hugepages = "auto"; size_mb = 128; };
		buffers = 8192;
		flows = 16384;
		power = "adaptive";
		ports = ( { name = "front"; device = "front0"; driver = "$1"; },
		          { name = "back"; device = "back0"; driver = "$1"; } );
	END
}
said() { grep -qE "$1" "$log"; }
down() {
	stop dataplane
	said ': stopped$' || fail "$1: did not stop in order"
	[ ! -e "$NET_DIR/dataplane.sock" ] || fail "$1: left its control socket"
}

for driver in af_xdp af_packet auto; do
	boot_file "$driver"
	dataplane_up
	want=net_${driver/auto/af_xdp}
	said "ready: .* front \($want on front0, 1 queue\), back \($want on back0" || fail "$driver: not on $want"
	down "$driver"
done

# a number of workers in place of their CPUs: one of them has one here, more than there are cores have none
sed 's/workers = .*/workers = 1;/' "$NET_DIR/dataplane.conf" >"$NET_DIR/one.conf"
ns gw "$D" --check -c "$NET_DIR/one.conf" 2>"$NET_DIR/check.log" || fail "workers = 1: $(cat "$NET_DIR/check.log")"
grep -qE "note: .*workers: on CPUs [0-9]+( \(isolated\))?; main on [0-9]+" "$NET_DIR/check.log" || fail "workers = 1: $(cat "$NET_DIR/check.log")"
sed 's/workers = .*/workers = 64;/' "$NET_DIR/dataplane.conf" >"$NET_DIR/many.conf"
if [ "$(nproc)" -le 64 ]; then
	! ns gw "$D" --check -c "$NET_DIR/many.conf" 2>"$NET_DIR/check.log" || fail "64 workers on $(nproc) CPUs"
	grep -q "64 workers need as many cores beside main's" "$NET_DIR/check.log" || fail "64 workers: $(cat "$NET_DIR/check.log")"
fi
cp "$NET_DIR/dataplane.conf" "$NET_DIR/kept.conf"
cp "$NET_DIR/one.conf" "$NET_DIR/dataplane.conf"
dataplane_up
down "workers = 1"
cp "$NET_DIR/kept.conf" "$NET_DIR/dataplane.conf"

# kill -9, and again: the socket file and the XDP program of the dead one are in nobody's way
boot_file auto
dataplane_up
stop dataplane KILL
dataplane_up
said 'net_af_xdp on front0' || fail "after kill -9 another driver"

# a second instance beside it, with a socket of its own
sed "s|$NET_DIR/dataplane.sock|$NET_DIR/second.sock|; /device = \"back0\"/d
	s|ports = .*|ports = ( { name = \"n\"; device = \"net_null0\"; driver = \"vdev\"; } );|" \
	"$NET_DIR/dataplane.conf" >"$NET_DIR/second.conf"
run gw second "$D" -c "$NET_DIR/second.conf"
wait_for 60 "a second instance" grep -q 'ready:' "$NET_DIR/second.log"
stop second

# links: down, up, gone
ns cl ip link set eth0 down
wait_for 5 "link down told" said 'port front .*link down'
ns cl ip link set eth0 up
wait_for 5 "link up told" said 'port front .*link up'
ns gw ip link del back0
wait_for 5 "removal told" said 'port back .*interface removed'
wait_for 5 "closed" said 'port back .*: closed'
kill -0 "$(pid_of dataplane)" || fail "a port vanished and took the dataplane along"
ns gw "$D" --check -c "$NET_DIR/dataplane.conf" 2>"$NET_DIR/check.log" && fail "--check found nothing wrong"
grep -q 'ports\[1\].device: there is no interface back0' "$NET_DIR/check.log" || fail "--check: $(cat "$NET_DIR/check.log")"
stop dataplane

# without the right to load programs AF_XDP cannot work
sed -i '/device = "back0"/d; s|driver = "auto"; },|driver = "auto"; } );|' "$NET_DIR/dataplane.conf"
run gw dataplane setpriv --bounding-set -bpf,-sys_admin --inh-caps -bpf,-sys_admin "$D" -c "$NET_DIR/dataplane.conf"
wait_for 60 "the dataplane without rights" grep -q 'ready:' "$log"
said 'port front: AF_XDP does not work on front0, taking AF_PACKET: ' || fail "does not say why"
said 'net_af_packet on front0' || fail "did not fall back"
down "without rights"
