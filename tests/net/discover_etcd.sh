#!/usr/bin/env bash
# Endpoints by keys of etcd, a real server in the gateway's namespace.  Traffic moves with the keys, and stays where it was when their values
# are nonsense, when they are all deleted, when etcd is killed, comes back with an older state, is away, or is away while sluiced and the
# dataplane are killed.  1 and 2 workers.
set -euo pipefail
# shellcheck source=tests/net/lib_discover.sh
. "$(dirname "$0")/lib_discover.sh"

export DRIVER=${DRIVER:-af_packet}
export DAEMON_KEYS='sources = ( { name = "etcd"; type = "etcd"; urls = ( "http://127.0.0.1:1", "http://127.0.0.1:2379" ); timeout = "1s"; } );'
DISCOVER='{ source = "etcd"; port = 80; }'
DISCOVER6='{ source = "etcd"; }'

etcd_said() { ns gw curl -s --max-time 20 "http://127.0.0.1:2379/v3/$1" -d "$2"; }
# put FORMAT4 FORMAT6 "1 2": the keys of both services are these alone, in one revision.
put() {
	python3 - "$@" >"$NET_DIR/txn" <<-'END'
		import base64, json, sys
		b64 = lambda t: base64.b64encode(t.encode()).decode()
		ops = []
		for service, value in (("web", sys.argv[1]), ("web6", sys.argv[2])):
		    for i in "1234":
		        key = b64(f"/sluice/endpoints/{service}/e{i}")
		        put = {"request_put": {"key": key, "value": b64(value.replace("N", i))}}
		        ops.append(put if i in sys.argv[3].split() else {"request_delete_range": {"key": key}})
		print(json.dumps({"success": ops}))
	END
	etcd_said kv/txn "@$NET_DIR/txn" | grep -q '"succeeded":true'
}
revision() { etcd_said kv/range '{"key":"eA=="}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["header"]["revision"])'; }
apply() {
	put '{"address": "10.77.2.1N", "port": 80}' '{"address": "fd77:2::1N", "port": 80}' "$1" || return 1
	while [ "$(revision)" -lt "${SEEN:-0}" ]; do etcd_said kv/put '{"key":"eA=="}' >"$NET_DIR/put"; done
}
knows() {
	KNOWN=$1
	[ -z "${UP:-}" ] || apply "$1"
}
etcd_up() {
	run gw etcd etcd --data-dir "$NET_DIR/etcd" --listen-peer-urls http://127.0.0.1:2380
	wait_for 20 "etcd" revision >"$NET_DIR/revision"
}
source_up() {
	etcd_up
	UP=1
	apply "$KNOWN"
}
source_down() {
	UP=
	stop etcd KILL
}

nonsense() { put '{' '[]' "3 4"; }
nobody_can_have() { put '{"address": "127.0.0.1"}' '{"address": "::"}' "3 4"; }
deleted() { etcd_said kv/deleterange '{"key":"L3NsdWljZS8=","range_end":"L3NsdWljZTA="}' >"$NET_DIR/deleted"; }
killed() {
	stop etcd KILL
	wait_for 60 "trouble" heard
	etcd_up
}
back_in_time() {
	SEEN=$(($(revision) + 1))
	stop etcd KILL
	rm -rf "$NET_DIR/etcd"
	cp -r "$NET_DIR/etcd.old" "$NET_DIR/etcd"
	etcd_up
	[ "$(revision)" -lt "$SEEN" ] || fail "the older state is none"
	wait_for 65 "an older state is told" is_older # pauses grow while etcd is away, and every other question goes to nobody
}
is_older() { source_row why | grep -q 'an older state'; }
lies=(nonsense nobody_can_have deleted killed back_in_time)
chances() { wait_for 60 "the source was heard" heard; }

net_up
servers_up
for WORKERS in 1 2; do
	export WORKERS
	rm -rf "$NET_DIR/etcd" "$NET_DIR/etcd.old"
	SEEN=0
	etcd_up
	stop etcd
	cp -r "$NET_DIR/etcd" "$NET_DIR/etcd.old"
	discover_claims
	echo "$WORKERS worker(s): good"
done
