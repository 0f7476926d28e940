# shellcheck shell=bash
# lib_forward.sh — every mode, family and protocol with kernel clients and servers.  WORKERS and DRIVER are set.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_test.sh"

net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf"
wait_for 10 "endpoints up" state_is web4 e4 up

# shellcheck disable=SC2086
load all --seconds 3 --threads 6 $WEB $DNS
all_good all
for e in e1 e2 e3 e4; do [ "$(answers_of all $e)" -gt 0 ] || fail "$e answered nothing"; done

# A download of many segments both ways of forwarding, checked by sum.
want=$(sha256sum <"$NET_DIR/blob")
for vip in 10.77.9.10 '[fd77:9::10]' 10.77.9.11 '[fd77:9::11]'; do
	[ "$(ns cl curl -gs --max-time 20 "http://$vip/blob" | sha256sum)" = "$want" ] || fail "$vip: the download differs"
done

# An upload through nat: nginx discards it, but every byte must arrive for the answer to come.
[ "$(ns cl curl -gs --max-time 20 -o /dev/null -w '%{http_code}' --data-binary @"$NET_DIR/blob" http://10.77.9.10/)" = 413 ] ||
	[ "$(ns cl curl -gs --max-time 20 -o /dev/null -w '%{http_code}' --data-binary @"$NET_DIR/blob" http://10.77.9.10/)" = 200 ] ||
	fail "upload through nat"

ns cl ping -q -c 5 -i 0.02 -W 10 10.77.9.10 >/dev/null || fail "ping to the IPv4 VIP"
ns cl ping -q -c 5 -i 0.02 -W 10 fd77:9::10 >/dev/null || fail "ping to the IPv6 VIP"
ns cl ping -q -c 2 -i 0.02 -W 10 10.77.1.1 >/dev/null || fail "ping to the gateway's address"

# explain agrees with what happened: the next connection goes where it says.
who=$(ctl_json "j['endpoint']['name']" explain tcp 10.77.1.100:20001 10.77.9.10:80)
got=$(ns cl curl -s --local-port 20001 http://10.77.9.10/)
[ "$who" = "$got" ] || fail "explain said $who, the answer came from $got"
[ "$(ctl_json "j['why']" explain tcp 10.77.1.100:20001 10.77.9.10:80 --flags ack)" = flow ] || fail "explain does not know the flow"

[ "$(ctl_json "j['worker'] < ${WORKERS:-1}" explain tcp 10.77.1.100:20001 10.77.9.10:80)" = True ] || fail "worker out of range"
no_bad_drops
ctl show drops | awk '$2 > 0'
