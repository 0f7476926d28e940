# shellcheck shell=bash disable=SC2034,SC2154
# lib_bgp.sh — a gateway that announces its VIPs by BIRD over its data port, and a BIRD that hears of them.
#
#   peer (cl, or rt) ── eth0 10.77.N.100 ═══ front0 [dataplane] ═══ kfront0 10.77.N.1 ── BIRD, sluiced
#
# The session runs through the exception path of port front; BFD tells the peer of a dataplane that died, after 2.4 s: a busy
# machine stands still for long.  It may for longer, so tests wait for what must be there, and ask sessions_since where nothing
# may move.  BGP by itself would see it after 20 s at the earliest (hold time, less a keepalive's).
. "$(dirname "${BASH_SOURCE[0]}")/lib_test.sh"

SETTLE=${SETTLE:-2s} # long enough for a BIRD that waits for its CPU
FRONT_KEYS='kernel = "kfront0";'
DAEMON_KEYS="announce = { bird_socket = \"$NET_DIR/bird.ctl\"; routes = \"$NET_DIR/routes.conf\"; settle = \"$SETTLE\"; };"

# bird_conf N: of the gateway in network N, towards 10.77.N.100.
bird_conf() {
	cat <<-END
		log stderr all;
		router id 10.77.$1.1;
		protocol device { scan time 1; }
		protocol bfd { interface "kfront0" { interval 300 ms; multiplier 8; }; }
		include "${2:-$NET_DIR/routes.conf}";
		template bgp uplink {
		  local as 65001;
		  bfd on;
		  hold time 30;
		  connect delay time 1; connect retry time 1; error wait time 1, 2;
		}
		protocol bgp router4 from uplink {
		  neighbor 10.77.$1.100 as 65000;
		  ipv4 { import none; export where proto = "sluice_vip4"; };
		}
		protocol bgp router6 from uplink {
		  neighbor fd77:$1::100 as 65000;
		  ipv6 { import none; export where proto = "sluice_vip6"; };
		}
	END
}

# peer_conf N…: of the router, towards the gateways in networks N….
peer_conf() {
	local n
	cat <<-END
		log stderr all;
		router id 10.77.1.100;
		protocol device { scan time 1; }
		protocol bfd { interface "*" { interval 300 ms; multiplier 8; }; }
		protocol kernel kernel4 { merge paths yes; ipv4 { import none; export where source = RTS_BGP; }; }
		protocol kernel kernel6 { merge paths yes; ipv6 { import none; export where source = RTS_BGP; }; }
		template bgp downlink { local as 65000; bfd on; hold time 30; connect delay time 1; connect retry time 1; error wait time 1, 2; }
	END
	for n; do
		cat <<-END
			protocol bgp gw${n}_4 from downlink { neighbor 10.77.$n.1 as 65001; ipv4 { import all; export none; }; }
			protocol bgp gw${n}_6 from downlink { neighbor fd77:$n::1 as 65001; ipv6 { import all; export none; }; }
		END
	done
}

# bird_up NS NAME: with $NET_DIR/NAME.conf and the socket $NET_DIR/NAME.ctl.
bird_up() {
	run "$1" "$2" bird -f -c "$NET_DIR/$2.conf" -s "$NET_DIR/$2.ctl"
	wait_for 10 "BIRD $2 (see $NET_DIR/$2.log)" birdc -s "$NET_DIR/$2.ctl" show status
}

# kernel_addresses NS N: what the kernel has on the data port's interface.
kernel_addresses() {
	ns "$1" ip addr add "10.77.$2.1/24" dev kfront0
	ns "$1" ip -6 addr add "fd77:$2::1/64" dev kfront0 nodad
	ns "$1" ip link set kfront0 up
}

# routed NS VIP: the kernel there has a route to just this VIP.
routed() {
	case $2 in
	*:*) [ -n "$(ns "$1" ip -6 route show "$2/128")" ] ;;
	*) [ -n "$(ns "$1" ip route show "$2/32")" ] ;;
	esac
}
not_routed() { ! routed "$@"; }

# established NAME PROTOCOL…: sessions of the BIRD NAME.
established() {
	local name=$1 p
	shift
	for p; do birdc -s "$NET_DIR/$name.ctl" show protocols "$p" | grep -q Established || return 1; done
}

# bfd_up NAME COUNT: so many BFD sessions are up, and as fast as they are to be: one that just came up still goes by an interval of 1 s,
# and would see a death after 8 s (RFC 5880 6.8.3).
bfd_up() { [ "$(birdc -s "$NET_DIR/$1.ctl" show bfd sessions | awk '$3 == "Up" && $NF <= 2.4' | wc -l)" -ge "$2" ]; }

# sessions_since NAME: changes when a session of the BIRD NAME came or went.
sessions_since() { birdc -s "$NET_DIR/$1.ctl" show protocols | awk '$2 == "BGP" { print $1, $4, $5 }'; }

# vip_state VIP: what sluicectl says of it; vip_is VIP STATE.
vip_state() { ctl_json "[v['state'] for v in j['announce']['vips'] if v['vip'] == '$1'][0]" show announce; }
vip_is() { [ "$(vip_state "$1")" = "$2" ]; }

# since_ms START: milliseconds since an EPOCHREALTIME of before.
since_ms() { echo $(((${EPOCHREALTIME/./} - ${1/./}) / 1000)); }
