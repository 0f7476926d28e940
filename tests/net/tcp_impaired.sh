#!/usr/bin/env bash
# Transfers over a line with 5 % loss, 2 % duplicates, 5 % reordering and 0.1 % corruption, up and down, between a kernel client
# and the gateway, and, beside each, between two kernels over a line of the same seed: every byte as sent, goodput compared.
# SEEDS: how many (20); SIZE: bytes each way (500000); CC: cubic or reno; DELAY: of the line in ms, one way (2).
# Runs alone.
#
#      cl ─eth0── impair ──front0─ gw ─back0─── e1        ours is the sender of the download, the receiver of the upload
#      cl ─eth2── impair ──eth0─ lx                       the kernel's figure
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

export BAD_LINE=1 WORKERS=1 LISTEN=7000 HUGE=never
CC=${CC:-cubic} SIZE=${SIZE:-500000} SEEDS=${SEEDS:-20} DELAY=${DELAY:-2}
LINE=(--loss 5 --dup 2 --reorder 5 --corrupt 0.1 --delay "$DELAY")
net_up
line_up ours la lb
run e1 peer1 python3 "$top/tests/net/peer.py" serve e1 7000
run lx linux python3 "$top/tests/net/peer.py" serve lx 7000 --cc "$CC"
for name in peer1 linux; do wait_for 10 "$name" grep -q ready "$NET_DIR/$name.log"; done
gateway_up
TCP_KEYS="congestion = \"$CC\";" tcp_table "$NET_DIR/t.conf" 1
ctl push "$NET_DIR/t.conf"
ns cl python3 "$top/tests/net/peer.py" tcp 10.77.9.20 7000 >/dev/null # neighbours are known from now on
stop ours

# transfer WHO HOST WAY SEED IF IF: one transfer over a line of its own; its result is $NET_DIR/WHO.WAY.SEED.json.
transfer() {
	local who=$1 host=$2 way=$3 seed=$4
	line_up "$who" "$5" "$6" "${LINE[@]}" --seed "$seed"
	ns cl python3 "$top/tests/net/peer.py" tcp "$host" 7000 "--$way" "$SIZE" --timeout 60 --cc "$CC" \
		>"$NET_DIR/$who.$way.$seed.json" || true
	stop "$who"
	tail -n 1 "$NET_DIR/$who.log" >>"$NET_DIR/$who.lines"
}

for seed in $(seq "$SEEDS"); do
	for way in down up; do
		transfer ours 10.77.9.20 $way "$seed" la lb &
		one=$!
		transfer linux 10.77.5.1 $way "$seed" lc ld &
		wait $one $!
	done
done

python3 - "$NET_DIR" "$SEEDS" "$SIZE" "$CC" <<'END' || fail "transfers over the bad line"
import json, statistics, sys
d, seeds, size, cc = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
failed = False
for way in ("down", "up"):
    bad, ratios, mbits = 0, [], {"ours": [], "linux": []}
    for seed in range(1, seeds + 1):
        for who in mbits:
            j = json.load(open(f"{d}/{who}.{way}.{seed}.json"))
            if j["failed"] or j["asked"] != 1:
                print(f"seed {seed}, {way}, {who}: {j['errors']}")
                bad += who == "ours"
                j["us"] = 60e6
            mbits[who].append(size * 8 / j["us"])
        ratios.append(mbits["ours"][-1] / mbits["linux"][-1])
        print(f"seed {seed:2}, {way:4}: {mbits['ours'][-1]:6.2f} Mbit/s, Linux {mbits['linux'][-1]:6.2f}, ratio {ratios[-1]:.2f}")
    m = {who: statistics.median(v) for who, v in mbits.items()}
    whole = sum(1 / x for x in mbits["linux"]) / sum(1 / x for x in mbits["ours"])
    role = "sender" if way == "down" else "receiver"
    print(f"bad line, gateway as {role}: {seeds} transfers of {size} bytes, {bad} not exact; {cc}: median {m['ours']:.2f} Mbit/s,"
          f" Linux {m['linux']:.2f}: {m['ours'] / m['linux']:.2f}; median of ratios {statistics.median(ratios):.2f},"
          f" of all bytes in all time {whole:.2f}")
    failed |= bad > 0 or whole < 0.4
sys.exit(failed)
END
python3 - "$NET_DIR/ours.lines" <<'END'
import json, sys
t = {}
for line in open(sys.argv[1]):
    for way in ("a_to_b", "b_to_a"):
        for k, v in json.loads(line)[way].items():
            t[k] = t.get(k, 0) + v
print("the line to the gateway:", t)
sys.exit(t["unfinished"] or not t["corrupted"] or not t["reordered"])
END
no_bad_drops
