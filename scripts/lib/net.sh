# shellcheck shell=bash disable=SC2154 # top: of lib/common.sh
# net.sh — a gateway, a client and four endpoints, each in a network namespace.  Sourced by demo and tests.
#
#      cl ─eth0──────────front0─ gw ─back0──────┐
#      │ 10.77.1.100   10.77.1.1    10.77.2.1   │          e1 … e4: eth0 10.77.2.11 … 14, nginx, dnsmasq
#      │                                        br0 (sw) ──┤
#      └─eth1 10.77.2.100 ──────────────────────┘          └ eth1 10.77.3.11 … 14
#                        gw mgmt0 10.77.3.1 ─── br1 (sw) ────┘
#
# front0 and back0 belong to the dataplane; mgmt0 is the kernel's, for probes.  IPv6: fd77:N::/64 with the same
# last numbers.  VIPs 10.77.9.0/24 and fd77:9::/64 are routed to the gateway by the client; their last number says
# how they are served: 10 nat, 11 dsr, 12 fullnat, 13 ipip in IPv4, 14 ipip in IPv6, 15 gue in IPv4, 16 gue in IPv6.
# Endpoints hold those of dsr and the tunnels on lo and send what comes from them straight to the client's eth1.
# BAD_LINE=1: the client reaches the gateway over a line that line_up can make bad, and a plain kernel over another one:
#
#      cl ─eth0────la─ im ─lb────front0─ gw      cl ─eth2────lc─ im ─ld────eth0─ lx    10.77.5.100 and 10.77.5.1
# TRUNK=1: in place of front0 and back0 the gateway has one interface, trunk0, with front as VLAN 101 and back as VLAN 102:
#
#      cl ─eth0────f0─ tr ─t0────trunk0─ gw         gw0─ sw ─ … ─────b0─ tr
#
# Every name starts with $NET, unique per run; net_down removes all.

# Debian's own python3 and its modules: a shim before it takes ten times as long to start.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
NET=${NET:-sl$$-}
NET_DIR=${NET_DIR:-/tmp/sluice-$NET}
ENDPOINTS="1 2 3 4"
DIRECT_VIPS="11 13 14 15 16" # the endpoints answer for them
NET_PIDS=()
NET_MORE=() # further namespaces that net_down removes

ns() {
	local n=$1
	shift
	ip netns exec "$NET$n" "$@"
}

# link NS DEV PEER_NS PEER_DEV: a veth without offloads (user-space I/O sees real checksums).
link() {
	ip link add "$2" netns "$NET$1" type veth peer name "$4" netns "$NET$3"
	ns "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null
	ns "$3" ethtool -K "$4" tx off tso off gso off gro off >/dev/null
	ns "$1" ip link set "$2" up
	ns "$3" ip link set "$4" up
}

# addr NS DEV N HOST: 10.77.N.HOST/24 and fd77:N::HOST/64
addr() {
	ns "$1" ip addr add "10.77.$3.$4/24" dev "$2"
	ns "$1" ip -6 addr add "fd77:$3::$4/64" dev "$2" nodad
}

net_up() {
	local i n vip
	mkdir -p "$NET_DIR"
	head -c 3000000 /dev/urandom >"$NET_DIR/blob"
	for n in gw cl sw e1 e2 e3 e4; do
		ip netns add "$NET$n"
		ns $n sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
			net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
		ns $n ip link set lo up
	done
	# The dataplane owns front0 and back0: the kernel must keep silent on them.
	ns gw sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv4.ip_forward=0
	ns sw ip link add br0 type bridge
	ns sw ip link add br1 type bridge
	if [ -n "${TRUNK:-}" ]; then
		trunk_line
	else
		if [ -n "${BAD_LINE:-}" ]; then bad_lines; else link gw front0 cl eth0; fi
		link gw back0 sw gw0
	fi
	link cl eth1 sw cl0
	ns gw sysctl -qw net.ipv6.conf.default.disable_ipv6=0
	link gw mgmt0 sw gw1
	for i in $ENDPOINTS; do
		link "e$i" eth0 sw "e${i}a"
		link "e$i" eth1 sw "e${i}b"
	done
	for n in gw0 cl0 e1a e2a e3a e4a; do ns sw ip link set $n master br0; done
	for n in gw1 e1b e2b e3b e4b; do ns sw ip link set $n master br1; done
	ns sw ip link set br0 up
	ns sw ip link set br1 up

	addr cl eth0 1 100
	addr cl eth1 2 100
	addr gw mgmt0 3 1
	ns cl ip route add 10.77.9.0/24 via 10.77.1.1
	ns cl ip -6 route add fd77:9::/64 via fd77:1::1
	for i in $ENDPOINTS; do
		n=e$i
		addr $n eth0 2 1$i
		addr $n eth1 3 1$i
		ns $n ip route add 10.77.1.0/24 via 10.77.2.1
		ns $n ip -6 route add fd77:1::/64 via fd77:2::1
		# dsr and tunnels: the VIP on lo, silent on ARP, its packets straight back to the client
		ns $n sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
		for vip in $DIRECT_VIPS; do
			ns $n ip addr add "10.77.9.$vip/32" dev lo
			ns $n ip -6 addr add "fd77:9::$vip/128" dev lo nodad
		done
		ns $n ip route add 10.77.1.0/24 via 10.77.2.100 table 11
		ns $n ip -6 route add fd77:1::/64 via fd77:2::100 table 11
		ns $n ip rule add from 10.77.9.0/24 lookup 11
		ns $n ip -6 rule add from fd77:9::/64 lookup 11
	done
}

trunk_line() {
	NET_MORE+=(tr)
	ip netns add "${NET}tr"
	ns tr sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
	link gw trunk0 tr t0
	link tr f0 cl eth0
	link tr b0 sw gw0
	run tr trunk "$BUILD/tests/net/trunk" t0 101:f0 102:b0
	wait_for 5 "the trunk" grep -q ready "$NET_DIR/trunk.log"
}

bad_lines() {
	local n
	NET_MORE+=(im lx)
	for n in im lx; do
		ip netns add "$NET$n"
		ns $n sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 net.ipv4.tcp_no_metrics_save=1
		ns $n ip link set lo up
	done
	ns cl sysctl -qw net.ipv4.tcp_no_metrics_save=1
	link cl eth0 im la
	link gw front0 im lb
	link cl eth2 im lc
	link lx eth0 im ld
	ns cl ip addr add 10.77.5.100/24 dev eth2
	ns lx ip addr add 10.77.5.1/24 dev eth0
}

# line_up NAME IF_A IF_B [OPTION…]: the bridge between two interfaces of im, options as tests/net/impair.c says; its figures
# are the last line of $NET_DIR/NAME.log after stop NAME.
line_up() {
	local name=$1
	shift
	run im "$name" "$BUILD/tests/net/impair" "$@"
	wait_for 5 "the line $name" grep -q ready "$NET_DIR/$name.log"
}

# run NS NAME COMMAND…: in the background; its output in $NET_DIR/NAME.log, its pid in $NET_DIR/NAME.pid.
run() {
	local where=$1 name=$2
	shift 2
	: >"$NET_DIR/$name.log" # now, not when the child comes to it: who waits for a line must not see the last run's
	ip netns exec "$NET$where" "$@" >"$NET_DIR/$name.log" 2>&1 </dev/null &
	echo $! >"$NET_DIR/$name.pid"
	NET_PIDS+=($!)
}

pid_of() { cat "$NET_DIR/$1.pid"; }

# stop NAME [SIGNAL]: end it and wait until it is gone.
stop() {
	local pid
	pid=$(pid_of "$1")
	kill "-${2:-TERM}" "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}

# wait_for SECONDS WHAT COMMAND…: until COMMAND succeeds, looking every 20 ms; else 1, and what was not is in WAITED.  The last look
# begins when the time is over: whoever was kept from looking, or took long to look, still sees what was so in time.
wait_for() {
	local limit=$1 what=$2 end last=""
	shift 2
	WAITED=
	end=$((${EPOCHREALTIME/./} + limit * 1000000))
	until "$@" >/dev/null 2>&1; do
		if [ -n "$last" ]; then
			WAITED="$what: not within $limit s"
			echo "$WAITED" >&2
			return 1
		fi
		[ "${EPOCHREALTIME/./}" -le "$end" ] || last=1
		read -r -t 0.02 <> <(:) || true
	done
}

servers_up() {
	local i
	for i in $ENDPOINTS; do server_up "$i"; done
}

# server_up I: nginx (who answers /) and dnsmasq (who.test is its address) in endpoint I.
server_up() {
	local i=$1 d=$NET_DIR/e$1
	mkdir -p "$d"
	cat >"$d/nginx.conf" <<-END
		daemon off;
		user root;
		master_process off;
		pid $d/nginx.pid;
		error_log $d/error.log;
		events { worker_connections 4096; }
		http {
		  access_log off; keepalive_requests 1000000;
		  client_body_temp_path $d; proxy_temp_path $d; fastcgi_temp_path $d;
		  uwsgi_temp_path $d; scgi_temp_path $d;
		  server {
		    listen 0.0.0.0:80 backlog=4096;
		    listen [::]:80 ipv6only=on backlog=4096;
		    location = /blob { root $NET_DIR; }
		    location = /gigabyte { root $NET_DIR; }
		    location = /health { return 200 "ok\n"; }
		    location = /peer { return 200 "\$remote_addr\n"; }
		    location / { default_type text/plain; return 200 "e$i\n"; }
		  }
		}
	END
	run "e$i" "nginx$i" nginx -c "$d/nginx.conf" -e "$d/error.log"
	run "e$i" "dns$i" dnsmasq --keep-in-foreground --no-resolv --no-hosts --no-ping --user=root --pid-file= \
		--bind-interfaces --listen-address="10.77.2.1$i" --listen-address="fd77:2::1$i" \
		--address=/who.test/10.77.2.1"$i"
	wait_for 10 "nginx in e$i" ns "e$i" curl -sf -o "$d/probe" http://127.0.0.1/health
}

# peer_up I [PORT…]: peer.py of tests/net in endpoint I, TCP and UDP (7000 and 7001 unless told).
peer_up() {
	local i=$1
	shift
	[ $# -gt 0 ] || set -- 7000 7001
	run "e$i" "peer$i" python3 "$top/tests/net/peer.py" serve "e$i" "$@"
	wait_for 10 "peer.py in e$i" grep -q ready "$NET_DIR/peer$i.log"
}

# decap_up I: the far end of tunnels in endpoint I; its report is in $NET_DIR/decapI.log.
decap_up() {
	run "e$1" "decap$1" "$BUILD/tests/net/decap"
	wait_for 10 "decap in e$1" grep -q ready "$NET_DIR/decap$1.log"
}

# gateway_up: the dataplane and the daemon, in gw.  WORKERS=1, POWER=adaptive, DRIVER=auto unless set.  BOOT_KEYS: more of the
# dataplane's boot file; FRONT_KEYS, BACK_KEYS: of a port.
gateway_up() {
	local w workers="" front='device = "front0";' back='device = "back0";'
	if [ -n "${TRUNK:-}" ]; then front='device = "trunk0"; vlan = 101;' back='device = "trunk0"; vlan = 102;'; fi
	for w in $(seq "${WORKERS:-1}"); do workers="$workers${workers:+, }$(((w - 1) % $(nproc)))"; done
	cat >"$NET_DIR/dataplane.conf" <<-END
		control = "$NET_DIR/dataplane.sock";
		workers = [ $workers ];
		main_cpu = $(($(nproc) - 1));
		memory = { hugepages = "${HUGE:-auto}"; size_mb = ${MEMORY:-256}; };
		buffers = ${BUFFERS:-32768};
		flows = ${FLOWS:-262144};
		power = "${POWER:-adaptive}";
		ports = ( { name = "front"; $front driver = "${DRIVER:-auto}"; ${FRONT_KEYS:-} },
		          { name = "back"; $back driver = "${DRIVER:-auto}"; ${BACK_KEYS:-} } );
		${BOOT_KEYS:-}
	END
	cat >"$NET_DIR/sluiced.conf" <<-END
		api_socket = "$NET_DIR/sluiced.sock";
		dataplane_socket = "$NET_DIR/dataplane.sock";
		state_dir = "$NET_DIR/state";
		audit_log = "$NET_DIR/audit.log";
		metrics = "unix:$NET_DIR/metrics.sock";
		access_log = { file = "$NET_DIR/access.log"; };
		${DAEMON_KEYS:-}
	END
	if [ -n "${DAEMON_USER:-}" ]; then
		echo "daemon_user = \"$DAEMON_USER\";" >>"$NET_DIR/dataplane.conf"
		chmod 1777 "$NET_DIR"
	fi
	dataplane_up
	daemon_up
}

dataplane_up() {
	run gw dataplane "$BUILD/dataplane/sluice-dataplane" -c "$NET_DIR/dataplane.conf"
	wait_for 60 "sluice-dataplane (see $NET_DIR/dataplane.log)" grep -q 'ready:' "$NET_DIR/dataplane.log"
}

daemon_up() {
	local as=()
	[ -z "${DAEMON_USER:-}" ] || as=(setpriv "--reuid=$DAEMON_USER" "--regid=$(id -g "$DAEMON_USER")" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs)
	run gw sluiced "${as[@]}" "$BUILD/mgmt/sluiced" -c "$NET_DIR/sluiced.conf"
	wait_for 30 "sluiced (see $NET_DIR/sluiced.log)" grep -q 'ready:' "$NET_DIR/sluiced.log"
}

ctl() { "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced.sock" "$@"; }

# table FILE [ENDPOINTS]: the standard table for this network, with the endpoints of the list (default all).
table() {
	local out=$1 list=${2:-$ENDPOINTS} i
	{
		cat <<-END
			gateway = { name = "${NET}gateway"; };
			network = {
			  addresses = (
			    { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
			    { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } );
			  routes = ();
			};
			services = (
		END
		service web4 nat 80 http 10.77.2. "$list"
		echo ,
		service web6 nat 80 http fd77:2:: "$list"
		echo ,
		service dsr4 dsr 80 http 10.77.2. "$list"
		echo ,
		service dsr6 dsr 80 http fd77:2:: "$list"
		echo ,
		service dns4 nat 53 none 10.77.2. "$list"
		echo ,
		service dns6 nat 53 none fd77:2:: "$list"
		cat <<-END
			);
			listeners = (
			  { name = "web4"; address = "10.77.9.10"; port = 80; protocol = "tcp"; mode = "l4"; service = "web4"; },
			  { name = "web6"; address = "fd77:9::10"; port = 80; protocol = "tcp"; mode = "l4"; service = "web6"; },
			  { name = "dsr4"; address = "10.77.9.11"; port = 80; protocol = "tcp"; mode = "l4"; service = "dsr4"; },
			  { name = "dsr6"; address = "fd77:9::11"; port = 80; protocol = "tcp"; mode = "l4"; service = "dsr6"; },
			  { name = "dns4"; address = "10.77.9.53"; port = 53; protocol = "udp"; mode = "l4"; service = "dns4"; },
			  { name = "dns6"; address = "fd77:9::53"; port = 53; protocol = "udp"; mode = "l4"; service = "dns6"; } );
		END
	} >"$out"
}

service() {
	local name=$1 forward=$2 port=$3 probe=$4 prefix=$5 list=$6 i comma=""
	echo "{ name = \"$name\"; forward = \"$forward\"; max_endpoints = 40;"
	if [ "$probe" = http ]; then
		echo "  health = { type = \"http\"; path = \"/health\"; interval = \"${PROBE_INTERVAL:-500ms}\"; timeout = \"300ms\"; rise = 2; fall = 2; };"
	fi
	echo "  endpoints = ("
	for i in $list; do
		echo "    $comma{ name = \"e$i\"; address = \"${prefix}1$i\"; port = $port; probe = \"10.77.3.1$i:80\"; }"
		comma=,
	done
	echo "  ); }"
}

# modes_table FILE [POLICY [ENDPOINTS]]: every way of forwarding in both families, each at its VIP (above), TCP ports 80
# and 7000, UDP port 7000.  LISTEN replaces the ports: words PROTOCOL:PORT.  FORWARD: only these of nat dsr fullnat ipip
# gue.  SOURCES: how many fullnat has (2, from .201 on).  EXTRA_ROUTES: rows of network.routes.
modes_table() {
	local out=$1 policy=${2:-maglev} list=${3:-$ENDPOINTS} m comma=""
	{
		cat <<-END
			gateway = { name = "${NET}gateway"; };
			network = {
			  addresses = (
			    { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
			    { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } );
			  routes = ( ${EXTRA_ROUTES:-} );
			};
			services = (
		END
		for m in nat:4 nat:6 dsr:4 dsr:6 fullnat:4 fullnat:6 ipip:4 ipip:6 gue:4 gue:6; do
			[[ " ${FORWARD:-nat dsr fullnat ipip gue} " = *" ${m%:*} "* ]] || continue
			echo "$comma"
			mode_service "${m%:*}" "${m#*:}" "$policy" "$list"
			comma=,
		done
		echo "); listeners = ("
		comma=""
		for m in nat::10 dsr::11 fullnat::12 ipip:4:13 ipip:6:14 gue:4:15 gue:6:16; do
			[[ " ${FORWARD:-nat dsr fullnat ipip gue} " = *" ${m%%:*} "* ]] || continue
			mode_listeners "$comma" "${m%%:*}" "$m"
			comma=,
		done
		echo ");"
	} >"$out"
}

# mode_service FORWARD FAMILY POLICY ENDPOINTS: the service "FORWARDFAMILY".
mode_service() {
	local forward=$1 family=$2 policy=$3 prefix=10.77.2. i comma=""
	[ "$family" = 4 ] || prefix=fd77:2::
	echo "{ name = \"$forward$family\"; forward = \"$forward\"; policy = \"$policy\"; max_endpoints = 40; ${SERVICE_KEYS:-}"
	case $forward in
	fullnat) echo "  sources = ( $(for i in $(seq 201 $((200 + ${SOURCES:-2}))); do echo "$([ "$i" = 201 ] || echo ,) \"$prefix$i\""; done) );" ;;
	ipip) if [ "$family" = 4 ]; then echo '  tunnel_source = "172.16.0.0/16";'; else echo '  tunnel_source = "fd77:aa::/64";'; fi ;;
	esac
	echo "  endpoints = ("
	for i in $4; do
		echo "    $comma{ name = \"e$i\"; address = \"${prefix}1$i\"; port = 0; }"
		comma=,
	done
	echo "  ); }"
}

# mode_listeners COMMA FORWARD FORWARD:FAMILY:VIP: its listeners in both families.
mode_listeners() {
	local comma=$1 forward=$2 vip=${3##*:} outer what inner address
	outer=${3#*:}
	outer=${outer%:*}
	for inner in 4 6; do
		address=10.77.9.$vip
		[ $inner = 4 ] || address=fd77:9::$vip
		for what in ${LISTEN:-tcp:80 tcp:7000 udp:7000}; do
			echo "  $comma{ name = \"v$inner-$vip-${what/:/-}\"; address = \"$address\"; port = ${what#*:}; protocol = \"${what%:*}\";"
			echo "    mode = \"l4\"; service = \"$forward${outer:-$inner}\"; }"
			comma=,
		done
	done
}

# tcp_table FILE [ENDPOINTS]: mode tcp in both families: VIPs .20 and ::20 lead to endpoints of their family, .21 and ::21 to those
# of the other; services tcp4 and tcp6.  LISTEN: ports (80 7000).  PORT: of the endpoints (0: the one that was asked).
# WEIGHTS: of e1 e2 e3 e4.  TCP_KEYS, SERVICE_KEYS, LISTENER_KEYS: more keys of each group tcp, service, listener.
# EXTRA_ROUTES: rows of network.routes.
tcp_table() {
	local out=$1 list=${2-$ENDPOINTS} row
	{
		cat <<-END
			gateway = { name = "${NET}gateway"; };
			network = {
			  addresses = (
			    { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
			    { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } );
			  routes = ( ${EXTRA_ROUTES:-} );
			};
			services = (
		END
		tcp_service tcp4 10.77.2. "$list"
		echo ,
		tcp_service tcp6 fd77:2:: "$list"
		echo "); listeners = ("
		for row in 10.77.9.20:tcp4 fd77:9::20:tcp6 10.77.9.21:tcp6 fd77:9::21:tcp4; do
			tcp_listeners "${row%:*}" "${row##*:}"
		done | sed '1s/^ *,//'
		echo ");"
	} >"$out"
}

tcp_service() {
	local weights i comma=""
	read -r -a weights <<<"0 ${WEIGHTS:-1 1 1 1}"
	echo "{ name = \"$1\"; forward = \"proxy\"; max_endpoints = 40; ${SERVICE_KEYS:-} tcp = { ${TCP_KEYS:-} };"
	echo "  endpoints = ("
	for i in $3; do
		echo "    $comma{ name = \"e$i\"; address = \"${2}1$i\"; port = ${PORT:-0}; weight = ${weights[i]}; }"
		comma=,
	done
	echo "  ); }"
}

# tcp_listeners ADDRESS SERVICE
tcp_listeners() {
	local port
	for port in ${LISTEN:-80 7000}; do
		echo "  ,{ name = \"v${1//[.:]/-}-$port\"; address = \"$1\"; port = $port; protocol = \"tcp\"; mode = \"tcp\";"
		echo "    service = \"$2\"; ${LISTENER_KEYS:-} }"
	done
}

# http_table FILE [ENDPOINTS]: mode http in both families: VIPs .30 and ::30, port 80, lead to route table "edge"; services web (of
# IPv4) and web6 (of IPv6) with ENDPOINTS, canary with e4 alone, shadow with e1.  ROUTES: the routes of virtual host "shop" for
# every name (http_routes unless set); HOSTS: all virtual hosts.  HTTP_KEYS, TABLE_KEYS, TCP_KEYS, SERVICE_KEYS, LISTENER_KEYS:
# more keys of each group http, route table, tcp, service, listener.
http_table() {
	local out=$1 list=${2-$ENDPOINTS} vip
	{
		cat <<-END
			gateway = { name = "${NET}gateway"; };
			network = {
			  addresses = (
			    { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
			    { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } );
			  routes = ( ${EXTRA_ROUTES:-} );
			};
			services = (
		END
		local SERVICE_KEYS="policy = \"${POLICY:-least_request}\"; ${SERVICE_KEYS:-} http = { ${HTTP_KEYS:-} };" PORT=${PORT:-80}
		tcp_service web 10.77.2. "$list"
		echo ,
		tcp_service web6 fd77:2:: "$list"
		echo ,
		tcp_service canary 10.77.2. 4
		echo ,
		tcp_service shadow 10.77.2. 1
		echo "); route_tables = ( { name = \"edge\"; ${TABLE_KEYS:-}"
		echo "  hosts = ( ${HOSTS:-{ name = \"shop\"; match = ( \"*\" ); routes = ( ${ROUTES:-$(http_routes)} ); \}} ); } );"
		echo "listeners = ("
		for vip in 10.77.9.30 fd77:9::30; do
			echo "  ${comma:-}{ name = \"v${vip//[.:]/-}\"; address = \"$vip\"; port = 80; protocol = \"tcp\"; mode = \"http\";"
			echo "    routes = \"edge\"; ${LISTENER_KEYS:-} }"
			local comma=,
		done
		echo ");"
	} | sed 's/\\}/}/' >"$out"
}

# http_routes: one of each kind.
http_routes() {
	cat <<-'END'
		{ name = "canary"; headers = ( { name = "x-env"; prefix = "canary-"; } ); service = "canary"; },
		{ name = "old"; prefix = "/old"; redirect = { code = 301; prefix = "/new"; }; },
		{ name = "hello"; path = "/hello"; respond = { code = 200; body = "hello from the gateway\n"; content_type = "text/plain"; }; },
		{ name = "split"; prefix = "/split"; split = ( { service = "web"; weight = 80; }, { service = "canary"; weight = 20; } ); },
		{ name = "api"; template = "/api/{version}/{rest=**}"; methods = ( "GET", "POST" );
		  rewrite = { template = "/{rest}"; host = "internal.test"; };
		  request_headers = ( { set = "x-api-version"; value = "any"; } ); service = "web6"; },
		{ name = "rest"; retry = { attempts = 2; on = ( "connect", "reused", "reset", "gateway-error" ); }; service = "web";
		  response_headers = ( { set = "x-served-by"; value = "sluice"; } ); }
	END
}

# net_down: end what run started, remove the namespaces and the directory.
net_down() {
	local pid n
	for pid in "${NET_PIDS[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
	for pid in "${NET_PIDS[@]}"; do
		timeout 5 tail -s 0.05 --pid="$pid" -f /dev/null 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	NET_PIDS=()
	for n in gw cl sw e1 e2 e3 e4 "${NET_MORE[@]}"; do ip netns del "$NET$n" 2>/dev/null || true; done
	rm -rf "$NET_DIR"
}
