#!/usr/bin/env bash
# A NIC is pulled out while the gateway serves: it lets go of it, says so, and serves over the others.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin
[ "$(cat "$NET_DIR/gateway" 2>/dev/null)" = vhost ] || gateway standard # either has the port

port_gone() { [ "$(drops port_gone)" -gt 0 ]; }
drops() { ctl_json "[d['packets'] for d in j['drops'] if d['reason'] == '$1'][0]" show drops; }
echo "spare-before tcp 10.77.9.18 7000 --count 4 --timeout 20" | peers
asked spare-before 4 e2 10.77.1.100

monitor device_del spare
wait_for 60 "word of the removed port" grep -q 'port spare.*removed' "$NET_DIR/dataplane.log"
grep 'port spare.*removed' "$NET_DIR/dataplane.log"
wait_for 60 "the device to leave the guest" guest "! test -e /sys/bus/pci/devices/$NIC_SPARE"
ctl show ports | tee "$NET_DIR/ports"
grep -q '^spare .*gone' "$NET_DIR/ports" || fail "show ports does not say that spare is gone"
{
	echo "beside-nat tcp 10.77.9.10 7000 --count 6 --timeout 20"
	echo "beside-udp udp fd77:9::10 7000 --count 6 --timeout 20"
	echo "beside-relay tcp 10.77.9.20 7000 --count 6 --timeout 20"
} | peers
for n in nat udp relay; do
	[ "$(json "$NET_DIR/beside-$n.json" 'j["failed"] == 0 and j["asked"] == 6')" = True ] || fail "beside it: $(cat "$NET_DIR/beside-$n.json")"
done
echo "spare-after tcp 10.77.9.18 7000 --count 1 --timeout 3" | peers
[ "$(json "$NET_DIR/spare-after.json" 'j["failed"]')" = 1 ] || fail "an endpoint behind the removed port answered"
wait_for 10 "packets for the removed port counted" port_gone
guest "kill -0 \$(cat \$DIR/dataplane.gpid)"
