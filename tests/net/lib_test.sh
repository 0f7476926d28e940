# shellcheck shell=bash disable=SC2034
# lib_test.sh — sourced by the end-to-end tests: the network of scripts/lib/net.sh, checks that name what failed,
# clean-up on every exit path.  BUILD names the build directory.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$top/build}
# shellcheck source=scripts/lib/net.sh
. "$top/scripts/lib/net.sh"

WEB="http://10.77.9.10 http://[fd77:9::10] http://10.77.9.11 http://[fd77:9::11]"
DNS="dns://10.77.9.53 dns://[fd77:9::53]"

# because WHAT: why the test ends, and where; test_end says it last of all, after the logs, so that whoever has only the end of
# what it says knows.  In a file, for subshells.
because() {
	local i at=""
	for ((i = 2; i < ${#FUNCNAME[@]}; i++)); do at="$at ${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]}"; done
	mkdir -p "$NET_DIR"
	echo "FAILED: $1 (at$at)" >>"$NET_DIR/because"
}
fail() {
	echo "FAILED: $*"
	because "$*"
	exit 1
}
# A subshell's error is its parent's, if it is one at all.
erred() {
	[ "$BASHPID" = $$ ] || return 0
	if [[ $1 = "return "* && -n ${WAITED:-} ]]; then set -- "$WAITED"; fi
	because "$1"
}
signalled() { because "ended by a signal"; }

test_end() {
	local rc=$? why=""
	trap : INT TERM PIPE # neither a second signal nor a reader that went away may keep us from cleaning up
	trap - ERR
	if [ "$rc" -eq 0 ] && grep -h 'was refused: the filter' "$NET_DIR"/*.log; then
		because "the filter of system calls lacks some (dataplane/filter.c)"
		rc=1
	fi
	if [ "$rc" -ne 0 ]; then
		# a second signal, which ends children, may be under way: this is read without one, and what fails below is no matter
		[ ! -s "$NET_DIR/because" ] || read -r -d "" why <"$NET_DIR/because" || true
		ctl show drops 2>/dev/null | awk '$2 != "0"' || true
		ctl show ports 2>/dev/null || true
		for f in "$NET_DIR"/*.log; do
			[ ! -s "$f" ] || { echo "--- $(basename "$f")" && tail -n 30 "$f"; } || true
		done
	fi
	net_down
	[ "$rc" -eq 0 ] || echo "${why:-FAILED: exit status $rc}"
	exit "$rc"
}
trap test_end EXIT
trap 'signalled; exit 130' INT TERM
set -E # functions too
trap 'erred "$BASH_COMMAND"' ERR

# json FILE EXPRESSION: python over the parsed object j.
json() { python3 -c 'import json,sys; j=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }
ctl_json() {
	local expression=$1
	shift
	ctl --json "$@" >"$NET_DIR/ctl.json" || true
	json "$NET_DIR/ctl.json" "$expression"
}

# load NAME ARGS…: a client in the background that has had its first answer; loaded NAME waits for its end.  Beside what may take
# long on a busy machine give it 300 s, and end it by enough NAME… when that is done.
load() {
	local name=$1
	shift
	rm -f "$NET_DIR/$name.ready"
	run cl "$name" python3 "$top/scripts/lib/load.py" --ready "$NET_DIR/$name.ready" --so-far "$NET_DIR/$name.so_far" "$@"
	wait_for 30 "first answer for $name" test -e "$NET_DIR/$name.ready"
}
loaded() {
	wait "$(pid_of "$1")" || fail "client $1 ended badly"
	tail -n 1 "$NET_DIR/$1.log" >"$NET_DIR/$1.json"
	cat "$NET_DIR/$1.json"
}
# all_good NAME: nothing failed and something was done.
all_good() {
	loaded "$1"
	[ "$(json "$NET_DIR/$1.json" 'j["failed"]')" -eq 0 ] || fail "$1: requests failed"
	[ "$(json "$NET_DIR/$1.json" 'j["requests"]')" -gt 10 ] || fail "$1: hardly any requests"
}
# enough NAME…: clients that are still at it end, and nothing of theirs failed.
enough() {
	local name
	for name; do kill -TERM "$(pid_of "$name")" || fail "client $name was through before what it is for"; done
	for name; do all_good "$name"; done
}
# load_met NAME "e1 e2": the client had an answer of each.  goes_on NAME: it has 20 requests more than now.
load_met() {
	local e
	for e in $2; do grep -q "\"$e\": " "$NET_DIR/$1.so_far" || return 1; done
}
so_far() { sed -n 's/^{"requests": \([0-9]*\),.*/\1/p' "$NET_DIR/$1.so_far"; }
goes_on() {
	local had
	had=$(so_far "$1")
	went_on() { [ "$(so_far "$1")" -ge $((had + 20)) ]; }
	wait_for 20 "client $1 goes on" went_on "$1"
}
answers_of() { json "$NET_DIR/$1.json" "sum(w.get('$2', 0) for w in j['by'].values())"; }

state_of() { ctl_json "[e['state'] for e in j['endpoints'] if e['name'] == '$2'][0]" show endpoints "$1"; }
state_is() { [ "$(state_of "$1" "$2")" = "$3" ]; }
drops_of() { ctl_json "[d['packets'] for d in j['drops'] if d['reason'] == '$1'][0]" show drops; }

connected() { [ "$(ctl_json "j['dataplane']['connected']" status)" = True ]; }

# no_bad_drops: every counter that should be 0 is.
no_bad_drops() {
	local bad
	bad=$(ctl_json "' '.join('%s=%d' % (d['reason'], d['packets']) for d in j['drops'] if d['must_be_zero'] and d['packets'])" show drops)
	[ -z "$bad" ] || fail "drop counters that should be 0: $bad"
}
