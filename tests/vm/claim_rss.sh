#!/usr/bin/env bash
# The virtio NIC spreads flows over both workers by our key and table: each gets its own from its own queue, none is handed over.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin
gateway standard

# received, handed over: of worker 0 and 1
workers() { ctl_json "' '.join('%d %d' % (w['rx_packets'], w['handoff_out']) for w in j['workers'])" show workers; }
grep "port front" "$NET_DIR/dataplane.log" || true
read -r rx0 out0 rx1 out1 <<<"$(workers)"
# dsr: what endpoints answer does not come back, so everything that workers get comes by the virtio NIC
{
	echo "rss4 udp 10.77.9.11 7000 --count 60 --timeout 10"
	echo "rss6 udp fd77:9::11 7000 --count 60 --timeout 10"
} | peers
asked rss4 60 e1,e2,e3 10.77.1.100
asked rss6 60 e1,e2,e3 fd77:1::100
read -r to0 over0 to1 over1 <<<"$(workers)"
echo "120 flows: worker 0 received $((to0 - rx0)) packets and handed over $((over0 - out0)); worker 1 $((to1 - rx1)) and $((over1 - out1))"
[ $((to0 - rx0)) -ge 25 ] && [ $((to1 - rx1)) -ge 25 ] || fail "one of the workers got hardly anything"
[ $((over0 - out0 + over1 - out1)) -eq 0 ] || fail "packets were handed over between workers: the NIC does not spread as ownership goes"
