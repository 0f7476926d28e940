#!/bin/bash
# pktgen_cli.sh SLUICE-PKTGEN PROFILES: the program from outside: what it writes, what it says, how it exits.
set -u
gen=$1 profiles=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
key=6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa
failed=0

claim() { # TEXT COMMAND…
	local text=$1
	shift
	"$@" && return
	echo "failed: $text"
	failed=1
}
frames() { # CAPTURE of 60-byte frames
	echo $((($(stat -c %s "$1") - 24) / 76))
}
# shellcheck disable=SC2317 # called through claim
exits() { # CODE PATTERN COMMAND…: the exit code, and a line like that on standard error
	local code=$1 pattern=$2
	shift 2
	"$@" > "$dir/out" 2> "$dir/err"
	[ $? = "$code" ] && grep -q -- "$pattern" "$dir/err" "$dir/out"
}

claim "a profile becomes a capture of one round" \
	exits 0 "16384 frames" "$gen" --pcap "$dir/a.pcap" -f "$profiles/established-16k.pkt"
claim "the capture holds them" test "$(frames "$dir/a.pcap")" = 16384
"$gen" --pcap "$dir/b.pcap" -f "$profiles/established-16k.pkt" > "$dir/out"
claim "the same profile gives the same bytes" cmp -s "$dir/a.pcap" "$dir/b.pcap"

claim "a capture is split by owner" \
	exits 0 "frames" "$gen" --pcap "$dir/s.pcap" -f "$profiles/established-16k.pkt" --split 3 --rss-key $key
sum=$(($(frames "$dir/s.0.pcap") + $(frames "$dir/s.1.pcap") + $(frames "$dir/s.2.pcap")))
claim "the parts are the whole" test $sum = 16384
claim "no part is empty" test "$(frames "$dir/s.2.pcap")" -gt 1000

claim "flows and MACs come from the command line" exits 0 "7 frames" "$gen" --pcap "$dir/f.pcap" \
	-f "$profiles/syn.pkt" --flows 7 --dmac 02:00:00:00:00:77
claim "the MAC is in the frame" \
	test "$(od -An -tx1 -j40 -N6 "$dir/f.pcap" | tr -d ' ')" = 020000000077
claim "ARP answers come first" exits 0 "2 frames" "$gen" --pcap "$dir/r.pcap" \
	-f "$profiles/established-1.pkt" --arp 10.0.0.9,02:00:00:00:00:09,10.0.0.2

printf 'set 0 count 1\nset 0 size 3\n' > "$dir/bad.pkt"
claim "an error names file and line" exits 1 "bad.pkt:2:" "$gen" --pcap "$dir/x.pcap" -f "$dir/bad.pkt"
claim "a bad file writes nothing" test ! -e "$dir/x.pcap"
claim "a missing file is said" exits 1 "No such file" "$gen" --pcap "$dir/x.pcap" -f "$dir/none.pkt"
claim "a directory that is not there is said" \
	exits 1 "No such file" "$gen" --pcap "$dir/no/x.pcap" -f "$profiles/udp.pkt"
claim "an unknown option is refused" exits 2 "unrecognized" "$gen" --frobnicate
claim "a split needs its key" exits 2 "rss-key" "$gen" --pcap "$dir/x.pcap" -f "$profiles/udp.pkt" --split 2
claim "a short key is refused" exits 2 "80 hex" "$gen" --pcap "$dir/x.pcap" -f "$profiles/udp.pkt" --rss-key 12
claim "no command file is refused" exits 2 "which command file" "$gen" --pcap "$dir/x.pcap"
for f in "$profiles"/*.pkt; do
	claim "$f becomes a capture" exits 0 frames "$gen" --pcap "$dir/p.pcap" -f "$f" --count 1000
done
claim "a datagram is three frames" exits 0 "49152 frames" "$gen" --pcap "$dir/x.pcap" -f "$profiles/fragments.pkt"
claim "a port scan meets every port" exits 0 "65536 frames" "$gen" --pcap "$dir/x.pcap" -f "$profiles/portscan.pkt"
claim "the tag is in the frame" exits 0 frames "$gen" --pcap "$dir/v.pcap" -f "$profiles/vlan.pkt"
claim "after the addresses" test "$(od -An -tx1 -j52 -N6 "$dir/v.pcap" | tr -d ' ')" = 810000640800
claim "a capture is not measured" exits 2 "not measured" "$gen" --pcap "$dir/x.pcap" -f "$profiles/udp.pkt" --measure
claim "search options need the search" exits 2 "only for" "$gen" --pcap "$dir/x.pcap" -f "$profiles/udp.pkt" --trial 1
claim "a search is no capture" exits 2 "sets rate and time" "$gen" search --pcap "$dir/x.pcap" -f "$profiles/udp.pkt"
claim "a search needs ports" exits 2 "EAL options" "$gen" search -f "$profiles/udp.pkt"
claim "sizes are frames" exits 2 "sizes in" "$gen" search -f "$profiles/udp.pkt" --sizes 64,63
claim "all is not lost" exits 2 "not in .0, 100" "$gen" search -f "$profiles/udp.pkt" --tolerance 100
claim "help is not an error" exits 0 "--dmac" "$gen" --help

[ $failed = 0 ] && echo "pktgen_cli: all claims hold"
exit $failed
