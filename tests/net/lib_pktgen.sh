# shellcheck shell=bash disable=SC2154
# lib_pktgen.sh — floods that sluice-pktgen sends from the client's namespace.  Sourced behind lib_test.sh; $vip and $mac are
# whom they are for, FLOOD_PPS how much at most (200,000 a second).

# profile NAME PROTO FLAGS SOURCES_LAST DPORT_START DPORT_END SPORT_END
profile() {
	cat >"$NET_DIR/$1.pkt" <<-END
		set 0 count 0
		set 0 burst 64
		range 0 type ipv4
		range 0 proto $2
		range 0 tcp flags $3
		range 0 dst mac start 02:00:00:00:00:01
		range 0 dst mac inc 00:00:00:00:00:00
		range 0 src mac start 02:00:00:00:66:02
		range 0 src mac inc 00:00:00:00:00:00
		range 0 dst ip $vip $vip $vip 0.0.0.0
		range 0 src ip 198.18.0.0 198.18.0.0 $4 0.0.0.1
		range 0 dst port $5 $5 $6 $(($5 < $6))
		range 0 src port 1024 1024 $7 1
		range 0 size 64 64 64 0
		enable 0 range
	END
}

# flood NAME SECONDS: in the background; flooded NAME: wait for it, its result is $NET_DIR/NAME.json.  It does not stay to receive:
# the link has good clients' packets all the time.
flood() {
	rm -f "$NET_DIR/$1.json"
	run cl "$1" "$BUILD/dataplane/pktgen/sluice-pktgen" -l $(($(nproc) - 1)) --no-huge -m 64 --no-pci --no-shconf --no-telemetry \
		--file-prefix "${NET}pktgen" --vdev net_af_packet0,iface=eth0 -- \
		-f "$NET_DIR/$1.pkt" --dmac "$mac" --smac 02:00:00:00:66:02 --duration "$2" --tail 0.1 --pps "${FLOOD_PPS:-200000}" --quiet --json "$NET_DIR/$1.json"
}
flooded() {
	wait "$(pid_of "$1")" || fail "the generator: $(tail -n 5 "$NET_DIR/$1.log")"
}
