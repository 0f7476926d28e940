#!/usr/bin/env bash
# Endpoints by files of a watched directory.  Traffic moves when a file is renamed into place, and stays where it was
# when the file is half written, nonsense, huge, empty, gone, or gone while sluiced and the dataplane are killed.  1 and 2 workers.
set -euo pipefail
# shellcheck source=tests/net/lib_discover.sh
. "$(dirname "$0")/lib_discover.sh"

export DRIVER=${DRIVER:-af_packet}
export DAEMON_KEYS="sources = ( { name = \"files\"; type = \"files\"; directory = \"$NET_DIR/endpoints\"; } );"
DISCOVER='{ source = "files"; port = 80; }'
DISCOVER6='{ source = "files"; }'

# in_place NAME: standard input becomes NAME.json at once.
in_place() {
	local at=$NET_DIR/endpoints
	[ -d "$at" ] || at=$NET_DIR/away
	cat >"$at/.$1.new"
	mv "$at/.$1.new" "$at/$1.json"
}
rows() {
	local i comma=""
	echo '['
	for i in $2; do
		printf '%s{ "name": "e%s", "address": "%s1%s", "port": 80 }\n' "$comma" "$i" "$1" "$i"
		comma=,
	done
	echo ']'
}
knows() {
	mkdir -p "$NET_DIR/away"
	rows 10.77.2. "$1" | in_place web
	rows fd77:2:: "$1" | in_place web6
}
source_up() { mv "$NET_DIR/away" "$NET_DIR/endpoints"; }
source_down() { mv "$NET_DIR/endpoints" "$NET_DIR/away"; }

both() { for n in web web6; do "$@" "$NET_DIR/endpoints/$n.json"; done; }
cut() { printf '[ { "name": "e1", "addr' >"$1"; }
half_written() { both cut; }
no_list() { for n in web web6; do echo '{}' | in_place $n; done; }
too_long() { for n in web web6; do printf '[%9000000s]' "" | in_place $n; done; }
too_deep() { for n in web web6; do printf '%1000s' "" | tr ' ' '[' | in_place $n; done; }
emptied() { for n in web web6; do echo '[]' | in_place $n; done; }
nobody_can_have() { for n in web web6; do echo '[ { "address": "127.0.0.1" }, { "address": "web" } ]' | in_place $n; done; }
gone() { both rm; }
lies=(half_written gone no_list too_long too_deep emptied nobody_can_have)
chances() { wait_for 60 "the source was heard" heard; }

net_up
servers_up
for WORKERS in 1 2; do
	export WORKERS
	discover_claims
	echo "$WORKERS worker(s): good"
done
