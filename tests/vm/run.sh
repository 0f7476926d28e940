#!/usr/bin/env bash
# run.sh [CLAIM…] — the gateway on NICs that belong to vfio-pci, in a guest of QEMU; README.md has the drawing.  Boots once, runs
# the claims in order (all, unless some are named) and says of each "vm passed NAME SECONDS", or failed, in ROWS too if that names a
# file.  --list: their names.  --shell: behind the claims, lines of standard input run in the guest.
set -uo pipefail
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
CLAIMS="boot package bind nat fullnat dsr ipip gue tcp http tls rss privileges ipvs kernel vhost unplug vlan unbind"

shell=
claims=()
for word; do
	case $word in
	--list) echo "$CLAIMS" && exit 0 ;;
	--shell) shell=1 ;;
	*) [[ " $CLAIMS " = *" $word "* ]] && claims+=("$word") || { echo "run.sh: no claim '$word'; there are: $CLAIMS" >&2 && exit 2; } ;;
	esac
done
# shellcheck disable=SC2206
[ ${#claims[@]} -gt 0 ] || [ -n "$shell" ] || claims=($CLAIMS)

child=
failed=0
# shellcheck disable=SC2317 # by the trap
down() {
	local rc=$?
	trap '' INT TERM HUP PIPE
	[ -z "$child" ] || { kill -TERM "$child" && wait "$child"; } 2>/dev/null
	guest_down
	net_down
	exit "$rc"
}
trap down EXIT
trap 'exit 130' INT TERM HUP

step() { printf '%s · vm: %s\n' "$(date +%T)" "$*"; }
await() {
	"$@" </dev/null &
	child=$!
	wait "$child"
	local rc=$?
	child=
	return $rc
}
row() {
	echo "vm $1 $2 $3"
	[ -z "${ROWS:-}" ] || echo "vm $1 $2 $3" >>"$ROWS"
}
# logs: what there is to read when a claim failed.
logs() {
	local f
	for f in "$NET_DIR"/*.log; do
		case ${f##*/} in qemu.log) continue ;; esac
		[ ! -s "$f" ] || { echo "--- $(basename "$f")" && tail -n 25 "$f"; }
	done
}

prepare() {
	set -e
	vm_net_up
	for i in $HOST_ENDPOINTS; do
		server_up "$i"
		peer_up "$i" 7000
	done
	step "packing"
	"$top/scripts/package" --out "$NET_DIR"
	step "booting $(guest_kernel)"
	guest_boot
	step "up; endpoints in the guest"
	vm_guest_up
	set +e
}
begun=$SECONDS
prepare
set +e
for claim in "${claims[@]}"; do
	start=$SECONDS
	step "$claim"
	rc=0
	await timeout -k 10 "${CLAIM_S:-300}" bash "$top/tests/vm/claim_$claim.sh" >"$NET_DIR/claim.out" 2>&1 || rc=$?
	sed "s/^/  $claim: /" "$NET_DIR/claim.out"
	if [ $rc -eq 0 ]; then
		row passed "$claim" $((SECONDS - start))
	else
		[ $rc -ne 124 ] || echo "  $claim: not done within ${CLAIM_S:-300} s"
		logs | sed "s/^/  $claim: /"
		row failed "$claim" $((SECONDS - start))
		failed=$((failed + 1))
		kill -0 "$(pid_of qemu)" || { echo "QEMU is gone: $(tail -n 5 "$NET_DIR/qemu.log")" && break; }
	fi
done
step "${#claims[@]} claims, $failed failed, $((SECONDS - begun)) s"
if [ -n "$shell" ]; then
	echo "lines run in the guest (end of file: done); \$DIR is $NET_DIR on both sides"
	while read -r -p 'guest# ' line; do GUEST_S=3600 guest "$line" || echo "exit status $?"; done
fi
[ "$failed" -eq 0 ]
