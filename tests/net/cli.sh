#!/usr/bin/env bash
# sluicectl as a script meets it: exit codes, texts that say what to do, --json that is JSON for every verb and every
# error, completion in a real bash, a daemon or a dataplane that is not there.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

ctl_path=$BUILD/mgmt/sluicectl
export SLUICE_SOCKET=$NET_DIR/sluiced.sock

# says CODE TEXT ARGS…: sluicectl ARGS ends with CODE and says TEXT; the same with --json, which is JSON with that code.
says() {
	local want=$1 text=$2 rc=0
	shift 2
	"$ctl_path" "$@" >"$NET_DIR/out" 2>&1 </dev/null || rc=$?
	[ $rc -eq "$want" ] || fail "sluicectl $*: exit $rc, not $want: $(cat "$NET_DIR/out")"
	grep -qF -e "$text" "$NET_DIR/out" || fail "sluicectl $*: does not say '$text': $(cat "$NET_DIR/out")"
	rc=0
	"$ctl_path" --json "$@" >"$NET_DIR/out.json" 2>"$NET_DIR/err" </dev/null || rc=$?
	[ $rc -eq "$want" ] || [ "$want" -eq 0 ] || fail "sluicectl --json $*: exit $rc, not $want"
	python3 - "$NET_DIR/out.json" "$rc" <<-'END' || fail "sluicectl --json $*: $(cat "$NET_DIR/out.json")"
		import json, sys
		j = json.load(open(sys.argv[1], encoding="utf-8"))
		code = int(sys.argv[2])
		assert isinstance(j["ok"], bool) and "verb" in j
		if not j["ok"]:
		    assert j["error"]["code"] and j["error"]["text"] and "hint" in j["error"] and code > 0
	END
}

export HUGE=never # others may be taking them all
net_up

# Nobody there.
for verb in status stats "show drops" "drain a b" rollback "explain tcp 1.2.3.4:5 6.7.8.9:10"; do
	# shellcheck disable=SC2086
	says 3 "cannot reach sluiced at $NET_DIR/sluiced.sock: No such file or directory (is it running?" $verb
done
says 3 "cannot reach sluiced at /nowhere" status --socket /nowhere
says 3 "longer than" status --socket "/$(printf 'x%.0s' {1..200})"

# Typing errors.
says 2 "did you mean 'push'?" pusch
says 2 "sluicectl help lists them" frobnicate
says 2 "did you mean 'drops'?" show drosp
says 2 "there are status, listeners" show everything
says 2 "usage: sluicectl drain SERVICE ENDPOINT" drain web4
says 2 "usage: sluicectl status" status now
says 2 "is no percentage" weight web4 e1 101
says 2 "is no percentage" weight web4 e1 1e1
says 2 "is no generation" rollback -- -1
says 2 "is no generation" rollback first
says 2 "neither tcp nor udp" explain sctp 1.2.3.4:5 6.7.8.9:10
says 2 "'1.2.3.4' is not ADDRESS:PORT" explain tcp 1.2.3.4 6.7.8.9:10
says 2 "'6.7.8.9:70000' is not" explain tcp 1.2.3.4:5 6.7.8.9:70000
says 2 "wrong option" --sokcet x status
says 2 "UTF-8" -m $'\xff' drain web4 e1
says 2 "is no number from 0 to 65535" show flows --port 65536
says 2 "is no number from 0 to 10000" show flows --limit ten
says 2 "--idle-over: '5'" show flows --idle-over 5
says 2 "needs a service and an endpoint" show flows --endpoint web4
says 2 "takes options only" show flows web4
says 2 "--vip goes with show flows only" show drops --vip 1.2.3.4
says 2 "--vip goes with show flows only" show streams --vip 1.2.3.4
says 2 "--sort goes with show streams only" show flows --sort rtt
says 2 "--state goes with show flows and show streams only" show drops --state x
says 2 "--all goes with stats, show tcp, show http, show tls only" show drops --all
says 2 "is no number from 0 to 4294967295" show streams --queue 4294967296
says 2 "is no number from 0 to 10000" show streams --limit ten
says 2 "takes options only" show streams web4
says 2 "--once goes with top only" status --once
says 2 "'1' is no interval" top --once --interval 1
says 3 "cannot reach sluiced" top --once
rc=0
"$ctl_path" >"$NET_DIR/out" 2>&1 || rc=$?
[ $rc -eq 2 ] || fail "no verb at all: exit $rc"

# Files that are none.
head -c 100000 /dev/urandom >"$NET_DIR/binary"
truncate -s 70M "$NET_DIR/huge"
: >"$NET_DIR/empty"
for verb in check push diff; do
	says 2 "No such file or directory" $verb "$NET_DIR/none"
	says 2 "Is a directory" $verb "$NET_DIR"
	says 2 "larger than 64 MiB" $verb "$NET_DIR/huge"
done
says 1 "NUL byte" check "$NET_DIR/binary"
says 2 "not UTF-8" push "$NET_DIR/binary"
says 1 "gateway.name: is missing" check "$NET_DIR/empty"

servers_up
gateway_up
table "$NET_DIR/t.conf"
sed -i 's/fall = 2; }/fall = 10; }/' "$NET_DIR/t.conf" # a busy machine puts nobody out
says 0 "6 listeners, 6 services, 24 endpoints" check "$NET_DIR/t.conf"
says 0 "no table has been pushed" status
says 1 "no endpoint web4/e1 in the active table" drain web4 e1
says 1 "+ listener" diff "$NET_DIR/t.conf"
says 1 "gateway.name: is missing" push "$NET_DIR/empty"
says 0 "active (previous 0)" push "$NET_DIR/t.conf"
says 0 "no difference to generation 2" diff "$NET_DIR/t.conf" # 2: pushed once more with --json
sed '0,/"e1"; address = "10.77.2.11"/s//"e1"; address = "10.77.2.12"/; 0,/port = 80/s//port = 81/' "$NET_DIR/t.conf" >"$NET_DIR/u.conf"
says 1 "~ endpoint web4/e1: address 10.77.2.11 → 10.77.2.12, port 80 → 81" diff "$NET_DIR/u.conf"
"$ctl_path" push - <"$NET_DIR/t.conf" >/dev/null || fail "push from standard input"
says 0 "active (previous" rollback -m "and back"
says 1 "generation 99 is not there (see: show generations)" rollback 99

for e in e1 e2 e3 e4; do wait_for 20 "$e up" state_is web4 $e up; done
says 0 "web4/e1 draining, admits 0 of 255" drain web4 e1
says 0 "it was so already" drain web4 e1
says 0 "web4/e1 up, admits 255 of 255" undrain web4 e1
says 0 "admits 128 of 255" weight web4 e1 50
says 0 "admits 255 of 255" weight web4 e1 100
says 0 "disabled, admits 0" disable web4 e1
says 0 "web4/e1 up" enable web4 e1
says 1 "no endpoint web4/e9" drain web4 e9
says 2 "not a name" drain "web 4" e1
for e in e1 e2 e3; do says 0 draining drain web4 $e; done
says 0 "no endpoint of web4 takes new flows" drain web4 e4
says 0 "no_endpoint: service has no endpoint that takes new flows" explain tcp 10.77.1.100:5 10.77.9.10:80
for e in e1 e2 e3 e4; do says 0 up undrain web4 $e; done
says 0 "verdict     forward" explain tcp 10.77.1.100:5 10.77.9.10:80
says 0 "verdict     forward" explain udp '[fd77:1::100]:5' '[fd77:9::53]:53' --port front
says 0 "nothing listens on the port" explain tcp 10.77.1.100:5 10.77.9.10:81
says 1 "no port bakc" explain udp 10.77.1.100:5 10.77.9.53:53 --port bakc
says 2 "different families" explain tcp 10.77.1.100:5 '[fd77:9::10]:80'
says 2 "not an address" explain tcp 1.2.3:5 10.77.9.10:80
says 2 "one of syn" explain tcp 10.77.1.100:5 10.77.9.10:80 --flags psh
for what in listeners services endpoints workers ports drops tcp generations audit status; do says 0 "" show $what; done
says 0 "nothing is announced: sluiced.conf has no group announce" show announce
says 2 "gateway drain, gateway undrain" gateway stop
says 2 "usage: sluicectl gateway" gateway
says 0 "drained or not" gateway drain
says 0 "the gateway is drained" show announce
says 0 "it was so already" gateway drain
says 0 "not drained" gateway undrain
says 0 "web4" show endpoints web4
says 1 "no service wbe4" show endpoints wbe4
says 2 "endpoints, sources and registry only" show listeners web4
says 0 "all workers" stats
says 0 "looked at in" show flows
says 0 "0 flows" show flows --count --client 10.77.99.0/24 --proto udp --state udp
says 2 "no address, and no prefix" show flows --client 10.77.1.1/24
says 2 "none of embryonic" show flows --state open
says 2 "not together with count" show flows --count --limit 3
says 1 "no service wbe4" show flows --service wbe4
says 1 "no endpoint web4/e9" show flows --endpoint web4 e9
says 1 "no listener l" show flows --listener l
says 0 "RETRANS" show streams
says 0 "0 streams" show streams --count --address 10.77.99.0/24 --side client --state established
says 0 "0 streams" show streams --pairs --sort rtt --service web4 --limit 3
says 2 "none of syn-sent" show streams --state open
says 2 "none of age" show streams --sort size
says 2 "neither client nor endpoint" show streams --side both
says 2 "not together with limit" show streams --count --limit 3
says 1 "no endpoint web4/e9" show streams --endpoint web4 e9
says 1 "no listener l" show streams --listener l
says 0 "half_open" show tcp
says 0 "connections refused: PROXY header malformed or too long" show tcp --all
says 0 "segments retransmitted" stats --all
"$ctl_path" show tcp | grep -q proxy_bad && fail "show tcp shows what never happened"
says 0 "WORKER" top --once --interval 100ms

# A connection that ends at the gateway, before there is one.
sed '0,/^services = (/s//&\n{ name = "ends"; endpoints = ( { name = "e1"; address = "10.77.2.11"; port = 80; } ); },/
	0,/^listeners = (/s//&\n{ name = "ends"; address = "10.77.9.99"; port = 80; protocol = "tcp"; mode = "tcp"; service = "ends"; },/' \
	"$NET_DIR/t.conf" >"$NET_DIR/ends.conf"
says 1 "+ service  ends: forward proxy, policy maglev, max_endpoints" diff "$NET_DIR/ends.conf"
says 0 "active" push "$NET_DIR/ends.conf"
says 0 "opens one of its own for service ends" explain tcp 10.77.1.100:5 10.77.9.99:80
says 0 "endpoint e1 at 10.77.2.11 would be picked: the Maglev table" explain tcp 10.77.1.100:5 10.77.9.99:80
says 0 "the answer is a RST" explain tcp 10.77.1.100:5 10.77.9.99:80 --flags ack
says 0 "active" push "$NET_DIR/t.conf"
"$ctl_path" top </dev/null >"$NET_DIR/out" 2>&1 && fail "top without a terminal"
grep -q -e "--once" "$NET_DIR/out" || fail "top without a terminal: $(cat "$NET_DIR/out")"

# Help is made of the rows that dispatch: every verb it names is one, with help of its own; --help goes with any.
"$ctl_path" help >"$NET_DIR/help" || fail "help"
"$ctl_path" --help | cmp - "$NET_DIR/help" || fail "help and --help differ"
verbs=$(awk '/^  [a-z]/ { print $1 }' "$NET_DIR/help")
[ "$(wc -w <<<"$verbs")" -ge 15 ] || fail "help names only: $verbs"
for verb in $verbs; do
	"$ctl_path" help "$verb" | grep -q "^  $verb" || fail "no help for $verb"
	"$ctl_path" "$verb" --help | grep -q "^  $verb" || fail "no --help for $verb"
done
"$ctl_path" --version | grep -qE '^sluicectl [0-9]+\.[0-9]+\.[0-9]+$' || fail "--version"

# Completion, in a bash that has sourced it.
mkdir -p "$NET_DIR/bin"
ln -sf "$(realpath "$ctl_path")" "$NET_DIR/bin/sluicectl"
completes() {
	local want=$1
	shift
	got=$(PATH=$NET_DIR/bin:$PATH bash --norc -c '
		set -e
		source <(sluicectl completion bash)
		complete -p sluicectl >/dev/null
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_sluicectl || true # finds nothing
		echo "${COMPREPLY[@]}"' bash "$@" 2>"$NET_DIR/err") || fail "completion of '$*': $(cat "$NET_DIR/err")"
	[ "$got" = "$want" ] || fail "completion of '$*' gives '$got', not '$want'"
	[ ! -s "$NET_DIR/err" ] || fail "completion of '$*' complains: $(cat "$NET_DIR/err")"
}
for verb in $verbs; do completes "$verb" sluicectl "$verb"; done
completes "status stats" sluicectl stat
completes "listeners" sluicectl show lis
completes "listeners limits" sluicectl show li
completes "endpoints" sluicectl --json -m text show e
completes "web4 web6" sluicectl drain w
completes "e1 e2 e3 e4" sluicectl weight web4 e
completes "dsr4 dsr6 dns4 dns6" sluicectl show endpoints d
completes "--socket --sort" sluicectl --so
completes "--idle-over" sluicectl show flows --id
completes "flows" sluicectl show f
completes "status streams store" sluicectl show st
completes "rtt rcvq retrans" sluicectl show streams --sort r
completes "established" sluicectl show streams --state e
completes "client" sluicectl show streams --side c
completes "tcp" sluicectl show flows --proto t
completes "embryonic established" sluicectl show flows --state e
completes "dsr4 dsr6 dns4 dns6" sluicectl show flows --listener d
completes "web4 web6" sluicectl show flows --endpoint w
completes "e1 e2 e3 e4" sluicectl show flows --endpoint web4 ''
completes "bash" sluicectl completion ''
completes "" sluicectl drain web4 e1 ''

# Without the dataplane: shown, kept, said.
stop dataplane
gone() { [ "$(ctl_json "j['dataplane']['connected']" status)" = False ]; }
wait_for 10 "the daemon to notice" gone
says 0 "not connected" status
says 0 "the dataplane is not connected: counters are 0" show drops
says 3 "dataplane" stats
says 3 "dataplane" explain tcp 10.77.1.100:5 10.77.9.10:80
says 0 "kept until the dataplane comes" drain web4 e1
says 0 "pending" push "$NET_DIR/t.conf"

# A socket on which nobody listens any more; one that nobody may open.
stop sluiced KILL
says 3 "Connection refused (is it running?" status
