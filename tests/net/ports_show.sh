#!/usr/bin/env bash
# What is told of ports: drivers, links and their changes, offloads, the devices' own statistics, metrics; and a port whose interface
# is deleted under traffic: its packets are dropped as port_gone, the other one goes on, and the dataplane lets go of the device.
set -euo pipefail
export WORKERS=2 DRIVER=${DRIVER:-af_xdp} HUGE=never
export PROBE_INTERVAL=3s # an endpoint that stands still for a second is not to be down, which ends its connections
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" >/dev/null
wait_for 10 "endpoints up" state_is web4 e4 up

fact() { ctl_json "[p['$2'] for p in j['ports'] if p['name'] == '$1'][0]" show ports; }
fact_is() { [ "$(fact "$1" "$2")" = "$3" ]; }
is() { [ "$2" = "$3" ] || fail "$1: '$2' in place of '$3'"; }
metric() { ns gw curl -s --unix-socket "$NET_DIR/metrics.sock" http://x/metrics | awk -v m="$1" '$1 == m { print $2 }'; }
metric_is() { [ "$(metric "$1")" = "$2" ]; }

load first --seconds 300 --threads 2 http://10.77.9.10
is driver "$(fact front driver)" net_$DRIVER
is device "$(fact back device)" back0
is link "$(fact front link)" up
is mtu "$(fact front mtu)" 1500
is queues "$(fact front rx_queues) $(fact front tx_queues)" "1 1"
is spread "$(fact front spread)" handoff
is VLAN "$(fact front vlan)" None
is mac "$(fact front mac)" "$(ns gw cat /sys/class/net/front0/address)"
is "link changes" "$(fact front link_changes)" 0
received() { [ "$(fact front rx_packets)" -gt 100 ]; }
wait_for 20 "100 packets received on front" received

# one port, with its device's own statistics; wrong questions
own() { [ "$(ctl_json "j['ports'][0]['xstats']['rx_good_packets']" show ports back --extended)" -gt 100 ]; }
wait_for 20 "100 packets, by the device's own count" own
enough first
is "one port" "$(ctl_json "[p['name'] for p in j['ports']]" show ports back)" "['back']"
ctl show ports back --extended | grep -q '^  rx_good_packets ' || fail "no statistics on the page"
ctl show ports | grep -q "^front .* up .* net_$DRIVER *front0 " || fail "table: $(ctl show ports)"
! ctl show ports nowhere >"$NET_DIR/out" 2>&1 || fail "a port that is not there was shown"
grep -q 'no port nowhere' "$NET_DIR/out" || fail "no port: $(cat "$NET_DIR/out")"
rc=0
ctl show ports --extended >"$NET_DIR/out" 2>&1 || rc=$?
is "--extended without a name" "$rc" 2

# links
is "up" "$(metric 'sluice_port_up{port="front"}')" 1
ns cl ip link set eth0 down
wait_for 5 "link down shown" fact_is front link down
wait_for 5 "link down measured" metric_is 'sluice_port_up{port="front"}' 0
ns cl ip link set eth0 up
wait_for 5 "link up shown" fact_is front link up
is "link changes" "$(fact front link_changes)" 2
wait_for 5 "link changes measured" metric_is 'sluice_port_link_changes_total{port="front"}' 2
ns cl ip route replace 10.77.9.0/24 via 10.77.1.1
wait_for 10 "the gateway answers again" ns cl curl -sf --max-time 1 -o "$NET_DIR/out" http://10.77.9.10

# unplugged under traffic: endpoints' port goes, the clients' one goes on
run cl busy python3 "$top/scripts/lib/load.py" --seconds 300 --threads 6 --timeout 1 http://10.77.9.10
wait_for 5 "load" metric_is 'sluice_port_up{port="back"}' 1
ns gw ip link del back0
wait_for 5 "removal shown" fact_is back link gone
closed() { grep -q 'port back (net_.*: closed' "$NET_DIR/dataplane.log"; }
wait_for 5 "the device closed" closed
dropped() { [ "$(drops_of port_gone)" -gt 0 ]; }
wait_for 5 "packets for it dropped" dropped
wait_for 5 "removal measured" metric_is 'sluice_port_up{port="back"}' 0
ns cl ping -q -c 3 -i 0.05 -W 10 10.77.9.10 >/dev/null || fail "the other port does not go on"
is "statistics of what is gone" "$(ctl_json "j['ports'][0]['xstats']" show ports back --extended)" "{}"
kill -0 "$(pid_of dataplane)" || fail "the dataplane went along"
stop busy
stop dataplane
grep -q ': stopped$' "$NET_DIR/dataplane.log" || fail "did not stop in order"
says_away() { ctl show ports 2>"$NET_DIR/out" >/dev/null && grep -q 'not connected' "$NET_DIR/out"; }
wait_for 5 "the word that the dataplane is away" says_away || fail "does not say that the dataplane is away: $(cat "$NET_DIR/out")"
