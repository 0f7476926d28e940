#!/usr/bin/env bash
# The package that was built from the tree installs, starts nothing, and its programs run; what follows uses them.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin

rm -f "$NET_DIR/installed"
vm_installed
guest 'for p in sluice-dataplane sluiced sluicectl; do command -v $p; $p --help >/dev/null || exit 1; done
	id sluice && ls -ld /run/sluice /var/lib/sluice /etc/sluice/*.conf'
[ -z "$(guest 'ps -eo comm= | grep sluice')" ] || fail "something runs after the installation"
