#!/usr/bin/env bash
# Wrong set-ups: each says what is wrong and what to do, ends, and disturbs nothing that runs.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf"
load all --seconds 300 --threads 2 --pause 0.01 --timeout 15 http://10.77.9.10

# refuses WHAT PATTERN COMMAND…: it ends with an error that matches, within 10 s.
refuses() {
	local what=$1 pattern=$2 rc=0
	shift 2
	timeout 10 ip netns exec "${NET}gw" "$@" >"$NET_DIR/refused.log" 2>&1 </dev/null || rc=$?
	[ "$rc" -ne 0 ] || fail "$what: was not refused"
	[ "$rc" -ne 124 ] || fail "$what: hangs: $(tail -n 5 "$NET_DIR/refused.log")"
	[ "$rc" -lt 128 ] || fail "$what: died by signal $((rc - 128)): $(tail -n 5 "$NET_DIR/refused.log")"
	grep -qiE "$pattern" "$NET_DIR/refused.log" || fail "$what: says: $(cat "$NET_DIR/refused.log")"
	echo "$what: $(grep -iE "$pattern" "$NET_DIR/refused.log" | head -n 1)"
}
D=$BUILD/dataplane/sluice-dataplane
changed() { sed "$1" "$NET_DIR/dataplane.conf" | sed "s|$NET_DIR/dataplane.sock|$NET_DIR/other.sock|" >"$NET_DIR/other.conf"; }

refuses "no file" "no such file" "$D" -c "$NET_DIR/missing.conf"
refuses "second dataplane on the socket" "already|in use|running" "$D" -c "$NET_DIR/dataplane.conf"
changed 's/workers = .*/workers = [ 63 ];/'
refuses "a core that does not exist" "63" "$D" -c "$NET_DIR/other.conf"
changed 's/device = "back0"/device = "nope0"/'
refuses "a port that does not exist" "nope0" "$D" -c "$NET_DIR/other.conf"
changed 's/flows = /flwos = /; s/power = "adaptive"/power = "sometimes"/'
refuses "two mistakes in the boot file" "flwos" "$D" -c "$NET_DIR/other.conf"
grep -q sometimes "$NET_DIR/refused.log" || fail "the second mistake is not named"
changed 's/flows = .*/flows = 4294967296;/'
refuses "a number that would wrap" "4294967296|range" "$D" -c "$NET_DIR/other.conf"
if [ "$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)" -eq 0 ]; then
	changed 's/hugepages = "auto"/hugepages = "require"/'
	refuses "hugepages required and none there" "huge" "$D" -c "$NET_DIR/other.conf"
fi
refuses "second daemon on the state directory" "another sluiced" "$BUILD/mgmt/sluiced" -c "$NET_DIR/sluiced.conf"
sed 's/metrics = .*/metrics = "0.0.0.0:9900";/' "$NET_DIR/sluiced.conf" >"$NET_DIR/other.conf"
refuses "metrics on every address" "loopback" "$BUILD/mgmt/sluiced" -c "$NET_DIR/other.conf"
refuses "unknown verb" "no verb" "$BUILD/mgmt/sluicectl" frobnicate
refuses "no daemon" "cannot reach" "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/none.sock" status
refuses "no such endpoint" "e9" "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced.sock" drain web4 e9

# A second peer on the dataplane's control socket is told so; the first is not disturbed.
python3 - "$NET_DIR/dataplane.sock" <<'END' || fail "second daemon on the control socket"
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(5)
s.connect(sys.argv[1])
text = s.recv(8192)
print("second peer:", text[28:].decode(errors="replace") if len(text) > 28 else text)
assert len(text) > 28, "closed without a word"
END
# Garbage on the API socket gets an answer and is closed.
python3 - "$NET_DIR/sluiced.sock" <<'END' || fail "garbage on the API socket"
import socket, struct, sys
for what in (b"GET / HTTP/1.1\r\n\r\n", struct.pack("<IHHI", 0x49504153, 1, 0, 0xffffffff),
             struct.pack("<IHHI", 0x49504153, 9, 0, 2) + b"{}", struct.pack("<IHHI", 0x49504153, 1, 0, 3) + b"[1]"):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(15)
    s.connect(sys.argv[1])
    s.sendall(what)
    answer = b""
    try:
        while part := s.recv(65536):
            answer += part
    except ConnectionResetError:  # closed with our bytes unread, behind the answer
        pass
    assert b"malformed" in answer, (what, answer)
END
enough all
wait_for 5 "the endpoint up, as nothing was disturbed" state_is web4 e1 up
no_bad_drops
