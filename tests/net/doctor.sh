#!/usr/bin/env bash
# sluicectl doctor beside a running gateway: finds its processes, its ports and what is broken about them, says how to mend
# it, ends with the right code, needs neither daemon nor dataplane, and disturbs nothing.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf"
load all --seconds 300 --threads 2 --pause 0.01 --timeout 100 http://10.77.9.10

boot=$NET_DIR/dataplane.conf
# doctor CODE ARGS…: in the gateway's namespace; as JSON in $NET_DIR/doctor.json, as text in $NET_DIR/doctor.txt.
doctor() {
	local want=$1 rc=0
	shift
	ns gw "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced.sock" doctor "$@" >"$NET_DIR/doctor.txt" 2>&1 || rc=$?
	[ "$rc" -eq "$want" ] || fail "doctor $*: exit $rc, not $want: $(cat "$NET_DIR/doctor.txt")"
	rc=0
	ns gw "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced.sock" --json doctor "$@" >"$NET_DIR/doctor.json" 2>/dev/null || rc=$?
	[ "$rc" -eq "$want" ] || fail "doctor --json $*: exit $rc, not $want"
}
# finds STATE CHECK TEXT: the last run has such a finding, as JSON and as text.
finds() {
	python3 - "$NET_DIR/doctor.json" "$@" <<-'END' || fail "no $1 of '$2' that says '$3': $(cat "$NET_DIR/doctor.txt")"
		import json, sys
		file, state, check, text = sys.argv[1:]
		j = json.load(open(file, encoding="utf-8"))
		states = ["ok", "note", "warning", "error"]
		assert j["worst"] == max((f["state"] for f in j["findings"]), key=states.index)
		for f in j["findings"]:
		    assert f["state"] in ("ok", "note") or (f["why"] and f["mend"]), f
		sys.exit(not any(f["state"] == state and f["check"] == check and
		                 text in " ".join([f["found"], f["why"] or ""] + f["mend"]) for f in j["findings"]))
	END
	grep -qE "^$1 +$2 " "$NET_DIR/doctor.txt" || fail "the text has no $1 of '$2'"
}

doctor 1 -c "$boot" # CPUs of this machine are not isolated, at least
cat "$NET_DIR/doctor.txt"
finds ok "boot file" "1 worker, 2 ports"
finds ok drivers "each port's device is there"
finds ok links "each interface has link"
finds ok offloads "nothing is on that hurts"
finds ok "running ports" "2 serve"
finds ok "disk" "$NET_DIR/state"
dataplane=$(json "$NET_DIR/doctor.json" "[f['found'] for f in j['findings'] if f['check'] == 'dataplane'][0]")
[[ $dataplane == "pid $(pid_of dataplane)"[:,]* ]] || fail "another dataplane than ours: $dataplane"
# CAP_IPC_LOCK stays where the limit of locked memory cannot be raised
[[ $dataplane == *": no capabilities, no new privileges, system calls filtered" || $dataplane == *": CAP_IPC_LOCK alone, "* ]] || fail "$dataplane"
grep -q "^STATE  *CHECK  *FOUND" "$NET_DIR/doctor.txt" || fail "no head line"

# Broken while it runs.
ns gw ethtool -K front0 gro on
ns gw sysctl -qw net.ipv4.conf.back0.forwarding=1
ns sw ip link set gw0 down
sed 's/"back0"; driver = "[a-z_]*"/"back0"; driver = "af_packet"/' "$boot" >"$NET_DIR/packet.conf"
doctor 1 -c "$NET_DIR/packet.conf"
finds warning offloads "ethtool -K front0 gro off"
finds warning "kernel's share" "sysctl -w net.ipv4.conf.back0.forwarding=0"
finds warning links "port back: back0 has no link"
told() {
	doctor 1 -c "$NET_DIR/packet.conf"
	grep -qE "^warning +running ports +port back: no link" "$NET_DIR/doctor.txt"
}
wait_for 20 "the dataplane to tell of its link" told
ns gw ethtool -K front0 gro off
ns gw sysctl -qw net.ipv4.conf.back0.forwarding=0
ns sw ip link set gw0 up
mended() {
	doctor 1 -c "$NET_DIR/packet.conf"
	! grep -qE "^(warning|error) +(offloads|kernel's share|links)" "$NET_DIR/doctor.txt"
}
wait_for 20 "mended" mended

# Broken files and arguments.
changed() { sed "$1" "$boot" >"$NET_DIR/other.conf"; }
changed 's/workers = .*/workers = 1;/' # which CPU that is, the running one tells
doctor 1 -c "$NET_DIR/other.conf"
finds ok "worker cpus" "CPU 0, of "
changed 's/flows = /flwos = /; s/power = "adaptive"/power = "sometimes"/'
doctor 1 -c "$NET_DIR/other.conf"
finds error "boot file" "other.conf:6: flwos: unknown key (did you mean flows?)"
finds error "boot file" "sometimes"
changed 's/workers = .*/workers = [ 0, 700 ];/; s/device = "back0"/device = "nope0"/'
doctor 1 -c "$NET_DIR/other.conf"
finds error "worker cpus" "CPU 700 not there"
finds error drivers "there is no interface nope0"
changed 's/device = "back0"; driver = "[a-z_]*"/device = "ffff:ff:1f.7"; driver = "pci"/'
doctor 1 -c "$NET_DIR/other.conf"
finds error drivers "there is no PCI device ffff:ff:1f.7"
if [ -z "$(ls -A /sys/kernel/iommu_groups 2>/dev/null)" ]; then finds error iommu "intel_iommu=on"; fi
doctor 1 -c "$boot" --dataplane /bin/true
finds warning "boot file" "printed no boot file"
doctor 1 -c "$boot" --dataplane "$NET_DIR/none"
finds warning "boot file" "none cannot be run: No such file"
doctor 2 -c "$NET_DIR/none.conf"
doctor 2 --root "$NET_DIR/none"
doctor 2 all
doctor 2 --table x
rc=0
ns gw "$BUILD/mgmt/sluicectl" status -c "$boot" >"$NET_DIR/out" 2>&1 || rc=$?
[ "$rc" -eq 2 ] && grep -q -e "--boot goes with doctor only" "$NET_DIR/out" || fail "-c with another verb: exit $rc: $(cat "$NET_DIR/out")"

# A made-up node: nothing of this one is looked at, and notes alone are no failure.
node=$NET_DIR/node
mkdir -p "$node/sys/kernel/mm/hugepages/hugepages-2048kB"
echo 1024 | tee "$node/sys/kernel/mm/hugepages/hugepages-2048kB/"{nr,free}_hugepages >/dev/null
printf 'workers = [ 1 ];\nports = ( { name = "n"; device = "net_null0"; driver = "vdev"; } );\n' >"$NET_DIR/other.conf"
doctor 0 -c "$NET_DIR/other.conf" --root "$node"
finds ok hugepages "2048 MB reserved"
finds note dataplane "none runs here"
rm "$node/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
doctor 1 -c "$NET_DIR/other.conf" --root "$node"
finds warning hugepages "memory.size_mb asks for 512"

enough all
no_bad_drops

# Without the daemon, and without the dataplane.
stop sluiced
doctor 1 -c "$boot"
finds note daemon "none runs here"
finds note "running ports" "no daemon tells of them"
stop dataplane
doctor 1 -c "$boot"
finds note dataplane "none runs here"
