# shellcheck shell=bash
# lib_each_mode.sh — requests and datagrams in every mode and both families, with kernel clients and endpoints: none fails,
# the right machine answers and sees whom the mode promises.  WORKERS and DRIVER are set.
set -euo pipefail
# shellcheck source=tests/net/lib_modes.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_modes.sh"

modes_up

for m in $MODES; do
	for f in 4 6; do
		echo "tcp-$m-$f tcp $(host "$m" $f) 7000 --count 60 --up 300 --down 300"
		echo "udp-$m-$f udp $(host "$m" $f) 7000 --count 60 --up 300 --down 300"
		echo "kept-$m-$f tcp $(host "$m" $f) 7000 --count 30 --keep"
	done
done | peers

# Nothing failed, every endpoint answered, a connection stayed with one, and they saw the client: in fullnat the pool.
python3 - "$NET_DIR" $MODES <<-'END' || fail "see above"
	import json, sys
	bad = 0
	for m in sys.argv[2:]:
	    for f, client, pool in ((4, "10.77.1.100", ["10.77.2.201", "10.77.2.202"]), (6, "fd77:1::100", ["fd77:2::201", "fd77:2::202"])):
	        for what, asked, endpoints in (("tcp", 60, 4), ("udp", 60, 4), ("kept", 30, 1)):
	            j = json.load(open(f"{sys.argv[1]}/{what}-{m}-{f}.json", encoding="ascii"))
	            if (j["failed"] or j["asked"] != asked or len(j["by"]) != endpoints
	                    or not set(j["peers"]) <= set(pool if m == "fullnat" else [client])):
	                bad = 1
	                print(what, m, f, j)
	sys.exit(bad)
END

# explain agrees with what happens
for m in $MODES; do
	who=$(ctl_json "j['endpoint']['name']" explain tcp "10.77.1.100:200${VIP[$m]}" "$(host "$m" 4):7000")
	peer "explain-$m" tcp "$(host "$m" 4)" 7000 --sport "200${VIP[$m]}"
	[ "$(say "explain-$m" "list(j['by'])")" = "['$who']" ] || fail "explain said $who for $m: $(cat "$NET_DIR/explain-$m.json")"
done

# The outer headers: good to the endpoints' kernels and to the decapsulator, spread, the same all through a flow.
decap_reports
[ "$(decapped "min(sum(e[k] for e in j) for k in '4in4 6in4 4in6 6in6 gue_in4 gue_in6'.split()) > 50")" = True ] &&
	[ "$(decapped "[sum(e[k] for e in j) for k in 'refused df_missing moved tun_errors'.split()]")" = "[0, 0, 0, 0]" ] &&
	[ "$(decapped "min(e['sources'] for e in j) > 20")" = True ] ||
	fail "tunnels: packets of every kind, none refused, DF on the outer header, no flow with two outer sources, sources spread? $(decapped j)"
no_bad_drops
ctl show drops | awk '$2 > 0'
