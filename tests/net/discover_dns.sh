#!/usr/bin/env bash
# Endpoints by DNS: dnsmasq in the gateway's namespace, A for IPv4, SRV with AAAA for IPv6.  Traffic moves with the records, and stays
# where it was when the server lies, has nothing, is away, or is away while sluiced and the dataplane are killed.  1 and 2 workers.
set -euo pipefail
# shellcheck source=tests/net/lib_discover.sh
. "$(dirname "$0")/lib_discover.sh"

export DRIVER=${DRIVER:-af_packet}
export DAEMON_KEYS='sources = ( { name = "dns"; type = "dns"; servers = ( "127.0.0.1:5300" ); timeout = "3s"; min_ttl = "200ms"; } );'
DISCOVER='{ source = "dns"; name = "web.test"; port = 80; record = "ipv4"; }'
DISCOVER6='{ source = "dns"; name = "_web._tcp.test"; record = "srv"; }'

hosts() {
	mkdir -p "$NET_DIR/dns"
	cat >"$NET_DIR/dns/hosts.new"
	mv "$NET_DIR/dns/hosts.new" "$NET_DIR/dns/hosts"
	[ -z "${UP:-}" ] || kill -HUP "$(pid_of resolver)"
}
knows() { for i in $1; do printf '10.77.2.1%s web.test\nfd77:2::1%s six.test\n' "$i" "$i"; done | hosts; }
source_up() {
	run gw resolver dnsmasq --keep-in-foreground --no-resolv --no-hosts --user=root --pid-file= --port=5300 --listen-address=127.0.0.1 \
		--bind-interfaces --local-ttl=1 --local=/test/ --addn-hosts="$NET_DIR/dns/hosts" --srv-host=_web._tcp.test,six.test,80 --log-queries --log-facility=-
	UP=1
}
source_down() {
	UP=
	stop resolver
}

no_name() { hosts </dev/null; }
loopback() { printf '127.0.0.1 web.test\n::1 six.test\n' | hosts; }
nonsense() { printf '0.0.0.0 web.test\n224.0.0.1 web.test\nff02::1 six.test\n' | hosts; }
lies=(no_name loopback nonsense)

# Two rounds more of each question: TTL, or the pauses of trouble, which grow to 30 s.
chances() {
	local before
	before=$(asked)
	asked_twice() { [ "$(asked)" -ge $((before + 3)) ]; }
	wait_for 60 "further questions" asked_twice
}
# Questions about web.test, and those that nobody answers, which only sluiced counts.
asked() {
	if [ -n "${UP:-}" ]; then grep -c 'query\[A\] web.test' "$NET_DIR/resolver.log" || true; else source_row troubles; fi
}

net_up
servers_up
for WORKERS in 1 2; do
	export WORKERS
	discover_claims
	echo "$WORKERS worker(s): good"
done
