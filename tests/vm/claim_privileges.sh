#!/usr/bin/env bash
# The running dataplane has given up what it started with: no capability in any thread, no new privileges, a filter of system
# calls; the daemon runs as its own user.  And it still serves.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin
gateway standard

guest 'p=$(cat $DIR/dataplane.gpid); for t in /proc/$p/task/*; do
		echo "$(cat $t/comm) $(awk '"'"'/^(CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs|Seccomp):/ { printf "%s%s ", $1, $2 }'"'"' $t/status)"; done' |
	tee "$NET_DIR/tasks"
[ "$(wc -l <"$NET_DIR/tasks")" -ge 3 ] || fail "hardly any threads"
! grep -v 'CapInh:0* CapPrm:0* CapEff:0* CapAmb:0* NoNewPrivs:1 Seccomp:2 $' "$NET_DIR/tasks" || fail "these threads kept something"
guest 'p=$(cat $DIR/sluiced.gpid); grep -E "^(Uid|CapPrm|CapEff|NoNewPrivs)" /proc/$p/status; ps -o user= -p $p' | tee "$NET_DIR/daemon"
grep -qx 'CapEff:.0*' "$NET_DIR/daemon" && grep -q '^sluice' "$NET_DIR/daemon" || fail "the daemon has privileges"
echo "again tcp 10.77.9.10 7000 --count 4 --timeout 20" | peers
asked again 4 e1,e2,e3 10.77.1.100
