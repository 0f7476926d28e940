#!/usr/bin/env bash
# A stranger who speaks TCP as he likes to a listener of mode tcp: segments off, forged, malformed; thousands of connections that
# open no window; a SYN flood.  Good clients beside him are served, counters name what happened, and nothing stays behind.
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_tcp.sh
. "$(dirname "$0")/lib_tcp.sh"

# Few places for TIME-WAIT: good clients' closed connections keep theirs for a minute, so with the usual 65,536 their number, and with
# it memory (128 bytes each, a huge page at a time, in both workers at once), goes on rising beside the floods that are measured here.
export BOOT_KEYS='tcp = { timewait = 4096; };'
export WORKERS=${WORKERS:-2} HUGE=never TCP_KEYS='max_connections = 0;' EXTRA_ROUTES='{ prefix = "198.18.0.0/15"; via = "10.77.1.100"; }'
tcp_up
# shellcheck disable=SC2034 # of lib_pktgen.sh
vip=10.77.9.20
mac=$(ns gw cat /sys/class/net/front0/address)
# shellcheck source=tests/net/lib_pktgen.sh
. "$(dirname "$0")/lib_pktgen.sh"
hostile() { ns cl /usr/bin/python3 "$top/tests/net/tcp_hostile.py" "$@"; } # the python that Debian's scapy belongs to
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(pid_of dataplane)/status"; }
alive() {
	for name in dataplane sluiced; do kill -0 "$(pid_of $name)" || fail "$1: $name died"; done
}
good_clients() { load good --seconds 3600 --threads 4 --pause 0.002 --timeout 10 http://10.77.9.20 'http://[fd77:9::20]'; }
end_good() {
	kill -TERM "$(pid_of good)"
	all_good good
	alive "$1"
}

load warm --seconds 1 --threads 4 http://10.77.9.20
all_good warm
gone 10 "streams over"

good_clients
hostile cases "$mac" "$NET_DIR/metrics.sock" || fail "hostile segments"
end_good "hostile segments"
gone 20 "nothing left behind"
no_bad_drops # of what follows, queues of this small machine may lose some

# Downloads that nobody lets come.
good_clients
run cl stalled /usr/bin/python3 "$top/tests/net/tcp_hostile.py" stalled "$mac" "${STALLED:-2000}"
wait_for 60 "stalled connections" grep -q ready "$NET_DIR/stalled.log"
all_stalled() { [ "$(streams --address 10.77.1.200)" -ge "${STALLED:-2000}" ]; }
wait_for 10 "all of them in show streams" all_stalled || fail "show streams has $(streams --address 10.77.1.200) of them"
load beside --seconds 300 --threads 2 --timeout 10 http://10.77.9.20
goes_on beside
enough beside
ctl show workers
stop stalled
end_good "zero windows"
[ "$(tcp_count zero_window)" -gt 0 ] || fail "zero_window did not count"
gone 20 "stalled connections gone"
echo "zero windows: ${STALLED:-2000} stalled downloads; $(say good 'j["requests"]') good requests beside them, $(say good 'j["failed"]') failed"

# A SYN flood from everywhere.
profile syn tcp syn 198.19.255.255 80 80 17407
good_clients
# Half-open streams take rows until there are as many as there may be; a busy machine needs more than one go for that.
until_cookies() {
	flood syn 3
	flooded syn
	[ "$(tcp_count cookie_sent)" -gt 0 ]
}
wait_for 60 "SYN cookies: all half-open streams there may be" until_cookies
before=$(rss)
for _ in 1 2; do
	flood syn 3
	flooded syn
done
kill -TERM "$(pid_of good)"
loaded good >/dev/null
alive "SYN flood"
share=$(say good 'round(100 * (1 - j["failed"] / j["requests"]), 2)')
echo "tcp, syn flood: $(say syn 'round(j["sent"] / j["seconds"] / 1000)') k/s sent; $share % of $(say good 'j["requests"]') new connections good;" \
	"$(tcp_count cookie_sent) cookies sent, $(tcp_count cookie_ok) came back"
[ "$(say good 'j["requests"] > 100 and j["failed"] * 100 <= j["requests"]')" = True ] || fail "SYN flood: $(cat "$NET_DIR/good.json")"
[ "$(tcp_count cookie_sent)" -gt 1000 ] || fail "no cookies were sent"
[ "$(tcp_count cookie_ok)" -gt 0 ] || fail "no cookie came back"
gone 90 "half-open streams gone"
small() { [ "$(rss)" -le $((before + 4096)) ]; }
wait_for 10 "memory back at what it was ($before kB, now $(rss) kB)" small
echo "resident memory $before kB before two floods, $(rss) kB after"
ctl show drops | awk '$2 != "0"'
