# shellcheck shell=bash disable=SC2034
# lib_vm.sh — sourced by run.sh and by every claim: the network around the guest (drawn in README.md), the gateway in it,
# checks that name what failed.  Names and addresses are those of scripts/lib/net.sh.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$top/build}
# shellcheck source=scripts/lib/net.sh
. "$top/scripts/lib/net.sh"
# shellcheck source=scripts/lib/pki.sh
. "$top/scripts/lib/pki.sh"
# shellcheck source=tests/vm/guest.sh
. "$top/tests/vm/guest.sh"

HOST_ENDPOINTS="1 2"  # namespaces of the host
GUEST_ENDPOINTS="3 4" # namespaces of the guest, behind its kernel's NIC

# ---- checks ----

fail() {
	echo "FAILED: $*"
	exit 1
}
# claim_begin: what a claim does first; claim_end says why it ended, and ends what it started on the host.
claim_begin() {
	set -euEo pipefail
	trap 'echo "FAILED: ${WAITED:-$BASH_COMMAND} (${BASH_SOURCE[0]##*/}:$LINENO)"' ERR
	trap claim_end EXIT
	trap 'exit 130' INT TERM
	guest_open
}
claim_end() {
	local rc=$? pid
	trap - ERR EXIT
	set +e
	for pid in "${NET_PIDS[@]}"; do
		kill -TERM "$pid" 2>/dev/null
		timeout 5 tail --pid="$pid" -f /dev/null 2>/dev/null || kill -KILL "$pid" 2>/dev/null
	done
	exit "$rc"
}

# json FILE EXPRESSION: python over the parsed object j.
json() { python3 -c 'import json,sys; j=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }
ctl() { guest "$(printf '%q ' sluicectl "$@")"; }
ctl_json() {
	local expression=$1
	shift
	ctl --json "$@" >"$NET_DIR/ctl.json" || true
	json "$NET_DIR/ctl.json" "$expression"
}
no_bad_drops() {
	local bad
	bad=$(ctl_json "' '.join('%s=%d' % (d['reason'], d['packets']) for d in j['drops'] if d['must_be_zero'] and d['packets'])" show drops)
	[ -z "$bad" ] || fail "drop counters that should be 0: $bad"
}

# peers: lines "NAME VERB ARGS" of peer.py from the client.
peers() { ns cl python3 "$top/tests/net/peer.py" batch "$NET_DIR"; }
# asked NAME COUNT ENDPOINTS PEER…: all were answered, by none but these endpoints (a list with commas), which saw only these
# addresses.  Who of them answers a few questions is chance; spread ENDPOINTS NAME…: of all these questions each endpoint
# answered some.
asked() {
	python3 - "$NET_DIR" "$@" <<-'END'
		import json, sys
		name, count, endpoints, peers = sys.argv[2], int(sys.argv[3]), set(sys.argv[4].split(",")), set(sys.argv[5:])
		j = json.load(open(f"{sys.argv[1]}/{name}.json", encoding="ascii"))
		if j["failed"] or j["asked"] != count or not set(j["by"]) <= endpoints or not set(j["peers"]) <= peers:
		    sys.exit(f"{name}: {j}, expected {count} answers of {endpoints} that saw {peers}")
		print(f"{name}: {count} answers of {', '.join(sorted(j['by']))}")
	END
}
spread() {
	python3 - "$NET_DIR" "$@" <<-'END'
		import json, sys
		had = {e for name in sys.argv[3:] for e in json.load(open(f"{sys.argv[1]}/{name}.json", encoding="ascii"))["by"]}
		if had != set(sys.argv[2].split(",")):
		    sys.exit(f"answers of {sorted(had)}, not of {sys.argv[2]}")
	END
}
# one NAME: a kept connection stayed with one endpoint.
one() { [ "$(json "$NET_DIR/$1.json" 'len(j["by"])')" = 1 ] || fail "a connection moved: $(cat "$NET_DIR/$1.json")"; }

# ---- the network ----

# vm_net_up: the host's namespaces; vm_guest_up: those of the guest.
vm_net_up() {
	local i n vip
	mkdir -p "$NET_DIR"
	head -c 300000 /dev/urandom >"$NET_DIR/blob"
	for n in cl sw e1 e2; do
		ip netns add "$NET$n"
		ns $n sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
			net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
		ns $n ip link set lo up
	done
	ns sw sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
	for n in brf br0; do
		ns sw ip link add $n type bridge
		ns sw ip link set $n up
	done
	link cl eth0 sw cla
	link cl eth1 sw clb
	link e1 eth0 sw e1a
	link e2 eth0 sw e2a
	ns sw ip link set cla master brf
	for n in clb e1a e2a; do ns sw ip link set $n master br0; done
	addr cl eth0 1 100
	addr cl eth1 2 100
	ns cl ip route add 10.77.9.0/24 via 10.77.1.1
	ns cl ip -6 route add fd77:9::/64 via fd77:1::1
	for i in $HOST_ENDPOINTS; do
		# shellcheck disable=SC2086
		ns "e$i" sysctl -qw $ENDPOINT_SYSCTL
		for n in 4 6; do endpoint_net $n "$i" | ns "e$i" ip -$n -batch -; done
	done
	ns e2 ip addr add 10.77.4.12/24 dev eth0
}

ENDPOINT_SYSCTL="net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.all.accept_dad=0
net.ipv6.conf.default.accept_dad=0 net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"

# endpoint_net FAMILY I: for ip -batch, what makes the namespace it runs in endpoint I: its address on eth0, VIPs on lo, the way of
# what it answers for itself.  One process for all of it, because processes are slow in the guest.
endpoint_net() {
	local vip
	printf 'link set %s up\n' lo eth0
	case $1 in
	4) printf '%s\n' "addr add 10.77.2.1$2/24 dev eth0" "route add 10.77.1.0/24 via 10.77.2.1" "route add 10.77.1.0/24 via 10.77.2.100 table 11" "rule add from 10.77.9.0/24 lookup 11" ;;
	6) printf '%s\n' "addr add fd77:2::1$2/64 dev eth0 nodad" "route add fd77:1::/64 via fd77:2::1" "route add fd77:1::/64 via fd77:2::100 table 11" "rule add from fd77:9::/64 lookup 11" ;;
	esac
	for vip in $DIRECT_VIPS; do
		if [ "$1" = 4 ]; then echo "addr add 10.77.9.$vip/32 dev lo"; else echo "addr add fd77:9::$vip/128 dev lo nodad"; fi
	done
}

# vm_guest_up: in the guest, a namespace for each of its endpoints on the kernel's NIC, with tunnels that its kernel ends.
vm_guest_up() {
	local i f starting=()
	{
		cat <<-END
			set -e
			modprobe -a virtio_net e1000e macvlan ipip sit ip6_tunnel fou fou6 tun
			for d in /sys/bus/pci/devices/$NIC_KERN/virtio*/net/*; do ip link set \${d##*/} name kern0; done
			ip link set kern0 up
		END
		for i in $GUEST_ENDPOINTS; do
			echo "ip netns add e$i; ip link add link kern0 name m$i type macvlan mode bridge; ip link set m$i netns e$i name eth0"
			echo "ip netns exec e$i sysctl -qw" $ENDPOINT_SYSCTL
			for f in 4 6; do
				echo "ip -$f -n e$i -batch - <<'OVER'"
				endpoint_net $f "$i"
				if [ $f = 4 ]; then printf 'link set %s up\n' tunl0 sit0 ip6tnl0; else echo "tunnel change ip6tnl0 mode any"; fi
				printf 'fou add port 6080 gue\nOVER\n'
			done
		done
	} >"$NET_DIR/endpoints.sh"
	guest bash "$NET_DIR/endpoints.sh"
	for i in $GUEST_ENDPOINTS; do
		guest_run "peer$i" ip netns exec "e$i" python3 "$top/tests/net/peer.py" serve "e$i" 7000 &
		starting+=($!)
	done
	wait "${starting[@]}"
	for i in $GUEST_ENDPOINTS; do wait_for 30 "peer.py in e$i of the guest" grep -q ready "$NET_DIR/peer$i.log"; done
}

# ---- the gateway ----

# vm_installed: the guest has the built package.
vm_installed() {
	[ ! -e "$NET_DIR/installed" ] || return 0
	# no triggers: reading all manual pages takes minutes there.  dpkg reads a list of each package's files: one archive
	# is faster over 9p than a thousand files.
	tar -C /var/lib/dpkg --exclude='info/*.md5sums' --exclude='info/*.templates' --exclude='*-old' -cf "$NET_DIR/dpkg.tar" .
	GUEST_S=240 guest "mount -t tmpfs tmpfs /var/lib/dpkg && tar -C /var/lib/dpkg -xf $NET_DIR/dpkg.tar
		dpkg --force-unsafe-io --no-triggers -i $NET_DIR/sluice_*.deb" || fail "the package did not install"
	: >"$NET_DIR/installed"
}

# vm_bound: the NICs belong to vfio-pci, and there are hugepages.
vm_bound() {
	[ ! -e "$NET_DIR/bound" ] || return 0
	vm_installed
	GUEST_S=240 guest "sluice-hugepages ${HUGE_MB:-512} && sluice-devbind bind $NIC_FRONT $NIC_BACK $NIC_SPARE" ||
		fail "hugepages, binding"
	: >"$NET_DIR/bound"
}

# gateway KIND: the gateway runs with the boot file and the table of that kind, started anew unless it does.
gateway() {
	[ "$(cat "$NET_DIR/gateway" 2>/dev/null)" != "$1" ] || return 0
	vm_bound
	gateway_stop
	"boot_$1" >"$NET_DIR/dataplane.conf"
	"table_$1" >"$NET_DIR/table.conf"
	cat >"$NET_DIR/sluiced.conf" <<-END
		api_socket = "/run/sluice/api.sock";
		dataplane_socket = "/run/sluice/dataplane.sock";
		state_dir = "/var/lib/sluice";
		audit_log = "/var/log/sluice/audit.log";
		metrics = "";
	END
	guest "rm -rf /var/lib/sluice/[!d]*"
	guest_run dataplane sluice-dataplane -c "$NET_DIR/dataplane.conf"
	guest_run sluiced setpriv --reuid sluice --regid sluice --init-groups sluiced -c "$NET_DIR/sluiced.conf"
	wait_for 60 "sluice-dataplane (see $NET_DIR/dataplane.log)" grep -qE "ready:|not started" "$NET_DIR/dataplane.log"
	grep -q 'ready:' "$NET_DIR/dataplane.log" || fail "sluice-dataplane did not start"
	wait_for 30 "sluiced (see $NET_DIR/sluiced.log)" grep -q 'ready:' "$NET_DIR/sluiced.log"
	if grep -q certificates "$NET_DIR/table.conf"; then certificates; fi
	ctl push "$NET_DIR/table.conf" || fail "push"
	echo "$1" >"$NET_DIR/gateway"
}
gateway_stop() {
	rm -f "$NET_DIR/gateway"
	guest_stop sluiced
	guest_stop dataplane
}

# boot_file PORTS
boot_file() {
	cat <<-END
		control = "/run/sluice/dataplane.sock";
		daemon_user = "sluice";
		workers = [ 0, 1 ];
		main_cpu = 1;
		memory = { hugepages = "require"; size_mb = 256; };
		buffers = 8192;
		flows = 16384;
		tcp = { streams = 2048; timewait = 2048; memory_mb = 8; };
		http = { requests = 1024; pool = 1024; head_mb = 4; };
		tls = { sessions = 1024; handshakes = 64; memory_mb = 64; };
		power = "adaptive";
		ports = ( $1 );
	END
}
boot_standard() {
	boot_file "{ name = \"front\"; device = \"$NIC_FRONT\"; driver = \"pci\"; kernel = \"kfront\"; },
		{ name = \"back\"; device = \"$NIC_BACK\"; driver = \"pci\"; },
		{ name = \"spare\"; device = \"$NIC_SPARE\"; driver = \"pci\"; }"
}

boot_vhost() { boot_standard; }
table_vhost() { table_standard; }

# table_standard: every mode of layer 4 at the VIPs of net.sh, mode tcp at .20, http at .30, https at .40.
table_standard() {
	local m comma="" LISTEN="tcp:7000 udp:7000"
	cat <<-END
		gateway = { name = "${NET}gateway"; };
		network = { addresses = (
		    { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
		    { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; },
		    { port = "spare"; address = "10.77.4.1/24"; } ); routes = ( ); };
		services = (
	END
	for m in nat:4 nat:6 dsr:4 dsr:6 fullnat:4 fullnat:6; do
		mode_service "${m%:*}" "${m#*:}" maglev "1 2 3"
		echo ,
	done
	for m in ipip:4 ipip:6 gue:4 gue:6; do
		mode_service "${m%:*}" "${m#*:}" maglev "3 4"
		echo ,
	done
	tcp_service tcp4 10.77.2. "1 2"
	echo ,
	tcp_service tcp6 fd77:2:: "1 2"
	echo ,
	PORT=80 SERVICE_KEYS='policy = "round_robin";' tcp_service web 10.77.2. "1 2"
	cat <<-'END'
		, { name = "spare4"; forward = "nat"; endpoints = ( { name = "e2"; address = "10.77.4.12"; port = 7000; } ); }
		);
		route_tables = ( { name = "edge"; hosts = ( { name = "all"; match = ( "*" ); routes = (
		  { name = "hello"; path = "/hello"; respond = { code = 200; body = "hello from the gateway\n"; content_type = "text/plain"; }; },
		  { name = "old"; prefix = "/old"; redirect = { code = 301; prefix = "/new"; }; },
		  { name = "rest"; service = "web"; } ); } ); } );
		listeners = (
	END
	for m in nat::10 dsr::11 fullnat::12 ipip:4:13 ipip:6:14 gue:4:15 gue:6:16; do
		mode_listeners "$comma" "${m%%:*}" "$m"
		comma=,
	done
	echo ", { name = \"spare\"; address = \"10.77.9.18\"; port = 7000; protocol = \"tcp\"; mode = \"l4\"; service = \"spare4\"; }"
	LISTEN=7000
	for m in 10.77.9.20:tcp4 fd77:9::20:tcp6 10.77.9.21:tcp6 fd77:9::21:tcp4; do tcp_listeners "${m%:*}" "${m##*:}"; done
	for m in 10.77.9.30 fd77:9::30; do
		echo ", { name = \"web-${m//[.:]/-}\"; address = \"$m\"; port = 80; protocol = \"tcp\"; mode = \"http\"; routes = \"edge\"; }"
		echo ", { name = \"tls-${m//[.:]/-}\"; address = \"$m\"; port = 443; protocol = \"tcp\"; mode = \"http\"; routes = \"edge\";
			tls = { certificates = ( \"shop\" ); }; }"
	done
	echo ");"
}

# certificates: of the gateway, made on the host.
certificates() {
	[ -e "$PKI/shop.pem" ] || {
		ca_up
		cert shop inter "$SERVER" "$(san DNS:shop.example)"
	} >"$NET_DIR/pki.out" 2>&1
	ctl cert add shop --cert "$PKI/shop.pem" --key "$PKI/shop.key"
}
