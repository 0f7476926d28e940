#!/usr/bin/env bash
# Who may do what: peers of other uids on both sockets, by roles of the daemon's file; the audit log names them.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

VIEWER=64101 OPERATOR=64102 ADMIN=64103 GROUP=64110 STRANGER=64199

export HUGE=never # others may be taking them all
net_up
servers_up
gateway_up
stop sluiced
# 64105 has no line of its own, its group has: groups are named, so one of the system's is borrowed.
group=$(getent group games | cut -d: -f3)
echo "roles = { viewer = ( $VIEWER ); operator = ( $OPERATOR, \"@games\" ); admin = ( $ADMIN ); };" >>"$NET_DIR/sluiced.conf"
daemon_up
table "$NET_DIR/t.conf"
chmod 755 "$NET_DIR"
chmod 644 "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" >/dev/null
wait_for 20 "endpoints up" state_is web4 e4 up

# The programs may lie where others cannot look: a copy they can run.
install -m 755 "$BUILD/mgmt/sluicectl" "$NET_DIR/sluicectl"
as() {
	local uid=$1
	shift
	setpriv --reuid "$uid" --regid "${GID:-$uid}" --clear-groups "$NET_DIR/sluicectl" --socket "$NET_DIR/sluiced.sock" "$@"
}
may() { as "$@" >"$NET_DIR/out" 2>&1 || fail "uid $1 may not: ${*:2}: $(cat "$NET_DIR/out")"; }
may_not() {
	local rc=0 text=$1
	shift
	as "$@" >"$NET_DIR/out" 2>&1 || rc=$?
	[ $rc -eq 4 ] || fail "uid $1: ${*:2}: exit $rc, not 4: $(cat "$NET_DIR/out")"
	grep -q "$text" "$NET_DIR/out" || fail "uid $1: ${*:2}: does not say '$text': $(cat "$NET_DIR/out")"
}
before=$(ctl_json "j['generation']['active']" status)

for uid in $VIEWER $OPERATOR $ADMIN; do
	for what in listeners services endpoints workers ports drops generations audit; do may "$uid" show $what; done
	may "$uid" status
	may "$uid" stats
	may "$uid" diff "$NET_DIR/t.conf"
	may "$uid" explain tcp 10.77.1.100:5000 10.77.9.10:80
done
for verb in drain undrain disable enable; do
	may_not "needs the role operator; user $VIEWER (uid $VIEWER) is viewer" $VIEWER "$verb" web4 e1
	may $OPERATOR "$verb" web4 e1
	may $ADMIN "$verb" web4 e1
	GID=$group may $GROUP "$verb" web4 e1
	may_not "no role here" $GROUP "$verb" web4 e1
done
for op in drain undrain; do
	may_not "gateway needs the role operator" $VIEWER gateway $op
	may $OPERATOR gateway $op
done
may $VIEWER show announce
may_not "flows needs the role operator" $VIEWER show flows
may_not "flows needs the role operator" $VIEWER show flows --count
may_not "no role here" $STRANGER show flows
may $OPERATOR show flows --count
may $ADMIN show flows
may $VIEWER top --once --interval 100ms
may_not operator $VIEWER weight web4 e1 50
may $OPERATOR weight web4 e1 50
may $OPERATOR weight web4 e1 100
for uid in $VIEWER $OPERATOR; do
	may_not "needs the role admin" "$uid" push "$NET_DIR/t.conf"
	may_not "needs the role admin" "$uid" rollback
done
[ "$(ctl_json "j['generation']['active']" status)" = "$before" ] || fail "who may not has changed the generation"
may $ADMIN -m "by the admin" push "$NET_DIR/t.conf"
may $ADMIN rollback
for verb in status stats "show drops" "drain web4 e1" "push $NET_DIR/t.conf" rollback; do
	# shellcheck disable=SC2086
	may_not "user $STRANGER (uid $STRANGER) has no role here" $STRANGER $verb
done
may $STRANGER check "$NET_DIR/t.conf" # reads a file of his own: no daemon is asked

# The audit log: who, what, from which generation to which.
python3 - "$NET_DIR/audit.log" $OPERATOR $ADMIN $GROUP "$before" <<'END' || fail "audit: $(cat "$NET_DIR/audit.log")"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
operator, admin, group, before = map(int, sys.argv[2:])
def find(**want):
    got = [l for l in lines if all(l.get(k) == v for k, v in want.items())]
    assert got, want
    return got[-1]
for uid in (operator, admin, group):
    for verb in ("drain", "undrain", "disable", "enable"):
        line = find(uid=uid, verb=verb)
        assert "web4" in json.dumps(line) and "e1" in json.dumps(line), line
find(uid=operator, verb="weight")
find(uid=admin, verb="push", generation=before + 1, previous=before, comment="by the admin")
find(uid=admin, verb="rollback", generation=before + 2, previous=before + 1)
assert all(l["uid"] in (0, operator, admin, group) for l in lines if l.get("outcome") != "denied"), "someone else did something"
print(len(lines), "audit lines")
END
may $VIEWER show audit
grep -q "$ADMIN" "$NET_DIR/out" || fail "show audit does not name the admin"

# The dataplane's control socket takes nobody but its own, root and the daemon.
chmod 666 "$NET_DIR/dataplane.sock"
setpriv --reuid $STRANGER --regid $STRANGER --clear-groups /usr/bin/python3 - "$NET_DIR/dataplane.sock" >"$NET_DIR/out" <<'END' || fail "a stranger on the control socket: $(cat "$NET_DIR/out")"
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(10)
s.connect(sys.argv[1])
answer = s.recv(8192)
print(answer[16:].decode(errors="replace"))
assert len(answer) > 28, "closed without a word"
assert s.recv(8192) == b"", "not closed"
END
grep -q "$STRANGER" "$NET_DIR/out" || fail "the refusal does not name the uid: $(cat "$NET_DIR/out")"
[ "$(ctl_json "j['dataplane']['connected']" status)" = True ] || fail "the stranger pushed the daemon out"
no_bad_drops
