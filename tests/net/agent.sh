#!/usr/bin/env bash
# Agents beside the endpoints: real ones, over TCP, in the endpoints' namespaces.  What e1's says becomes its share of connections, its
# drain and its end; what is no answer changes nothing.  Shares are counted: by chance one of the bounds is left in one of 5,000,000 runs.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

export HUGE=never
peer() { python3 "$top/tests/net/agent_peer.py" "$@"; }
asked_of() { cat "$NET_DIR/agent$1.asked" 2>/dev/null || echo 0; }
asked_since() { [ "$(asked_of "$1")" -ge "$2" ]; }
# says I LINE: from now on, and this was heard: of three that asked since, the first may have had the line before, and the third came
# when the second was done.
says() {
	printf '%s\n' "$2" >"$NET_DIR/agent$1.new"
	mv "$NET_DIR/agent$1.new" "$NET_DIR/agent$1"
	wait_for 30 "the agent of e$1 to be asked" asked_since "$1" $(($(asked_of "$1") + 3))
}
agent_up() {
	rm -f "$NET_DIR/agent$1.asked" # of one before it, which was asked more often than this one soon is
	run "e$1" "agent_peer$1" python3 "$top/tests/net/agent_peer.py" serve "$NET_DIR/agent$1" 9999
	wait_for 10 "the agent of e$1" grep -q ready "$NET_DIR/agent_peer$1.log"
}
endpoint() { ctl_json "[e for e in j['endpoints'] if e['name'] == 'e1'][0]['$1']" show endpoints web4; }
# e1_row: its state, fraction and why, as show endpoints has them.
e1_row() { ctl_json "'{state} {fraction} {why}'.format(**[e for e in j['endpoints'] if e['name'] == 'e1'][0])" show endpoints web4; }
e1_is() { [ "$(e1_row)" = "$1 $2 $3" ]; }
becomes() { wait_for 20 "e1 $1, $2 of 255, for \"$3\"" e1_is "$@" || fail "e1 is $(e1_row), not $*"; }
stays() { e1_is "$@" || fail "e1 is $(e1_row) now, not $* any more"; }
# share WHAT N PARTS: of N connections, e1 has its part by PARTS, the others by 255 each; 0: none at all.
share() {
	local x
	ns cl python3 "$top/tests/net/agent_peer.py" count "$2" http://10.77.9.10/ >"$NET_DIR/count" || fail "$1: $(cat "$NET_DIR/count")"
	x=$(sed -n 's/.*e1=\([0-9]*\).*/\1/p' "$NET_DIR/count")
	echo "$1: $(cat "$NET_DIR/count")"
	if [ "$3" = 0 ]; then
		[ -z "$x" ] || fail "$1: e1 had $x of $2 connections"
	else
		peer fits "${x:-0}" "$2" "$(python3 -c "print($3 / ($3 + 3 * 255))")" || fail "$1: e1 had ${x:-none} of $2 connections"
	fi
}
said() { grep -q "agent: web4/e1: $1" "$NET_DIR/sluiced.log"; }

net_up
servers_up
for i in $ENDPOINTS; do
	echo up >"$NET_DIR/agent$i"
	agent_up "$i"
done
gateway_up
table "$NET_DIR/plain.conf"
sed -i 's/fall = 2; }/fall = 10; }/' "$NET_DIR/plain.conf" # a busy machine puts nobody out
sed '0,/fall = 10; }/s//fall = 10; agent = { port = 9999; interval = "300ms"; }; }/' "$NET_DIR/plain.conf" >"$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out"
for i in $ENDPOINTS; do wait_for 20 "e$i up" state_is web4 "e$i" up; done
share "all say up" 600 255

# ---- a share ----

says 1 "50%"
becomes up 128 "50%"
[ "$(endpoint why_by)" = agent ] || fail "e1 has its share from $(endpoint why_by)"
share "e1 says 50%" 2000 128

# ---- what is no answer: told in the log, and the last share stays ----

for line in "lots of cheese" "50% of it" "-5%" "99999%" "%" "# 10%" "@bytes" "@nothing" "@flood" "@silence" "$(printf 'up 100%%%0300d' 0)"; do
	says 1 "$line"
	stays up 128 "50%"
done
said 'the agent says what is not known: "lots": nothing changes' || fail "nothing is said of what an agent says: $(grep agent: "$NET_DIR/sluiced.log")"
grep -q 'agent: web4/e1 is away (.*): nothing changes' "$NET_DIR/sluiced.log" || fail "nothing is said of an agent that is away"
stop agent_peer1 KILL
share "an agent that is gone" 2000 128
agent_up 1

# ---- another one, a byte at a time; drained, and what is said of shares meanwhile ends no drain ----

says 1 "@slow up,25%"
becomes up 64 "up,25%"
share "e1 says 25%" 1000 64
for line in drain maint; do
	says 1 "$line"
	becomes draining 64 "$line"
	share "e1 says $line" 300 0
	says 1 "100%"
	becomes draining 255 "100%"
	share "a share ends no drain" 300 0
	says 1 "@silence"
	stays draining 255 "100%"
	says 1 "ready 25% # a text for people"
	becomes up 64 "ready 25% # a text for people"
done
share "e1 is back" 1000 64

# ---- down, though probes find it well ----

says 1 "down # a deploy"
becomes down 64 "down # a deploy"
share "e1 says down" 300 0
says 1 "up 100%"
wait_for 10 "e1 up" state_is web4 e1 up
full() { [ "$(endpoint fraction)" = 255 ]; }
wait_for 40 "its full share" full
share "e1 is up again" 600 255

# ---- no agent is asked any more: what it said ends ----

says 1 "0%"
becomes up 0 "0%"
share "e1 says 0%" 300 0
ctl push "$NET_DIR/plain.conf" >"$NET_DIR/push.out"
wait_for 10 "its full share" full
share "no agents" 600 255
no_bad_drops
