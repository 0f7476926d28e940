# shellcheck shell=bash
# lib_outlier.sh — endpoints that answer 503, reset, hang and are slow: who is left alone, why, and who is asked instead; what of
# the traffic stays in the gateway's zone.  Sourced by outlier_*w.sh.
set -euo pipefail
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_http.sh"

# mood I [WHAT]: what endpoint I does to each request (http_peer.py).
mood() {
	if [ $# = 1 ]; then
		rm -f "$NET_DIR/record$1.mood"
	else
		echo "$2" >"$NET_DIR/record$1.mood.new"
		mv "$NET_DIR/record$1.mood.new" "$NET_DIR/record$1.mood"
	fi
}
of() { ctl_json "[e['$2'] for e in j['endpoints'] if e['name'] == '$1'][0]" show endpoints web; }
# ask_all N: N requests, one after the other, and how often each status was heard: "200:n 503:m".
ask_all() { ns cl curl -s --max-time 10 -H 'Connection: close' -o /dev/null -w '%{http_code}\n' "$u/who?[1-$1]" | sort | uniq -c | awk '{ print $2 ":" $1 }' | xargs; }
heard() { local w; for w in $1; do [ "${w%:*}" = "$2" ] && echo "${w#*:}" && return; done; echo 0; }
# served I: requests that endpoint I has had.
served() { grep -c '"head"' "$NET_DIR/record$1" || true; } # not what it says of connections that ended

# out_for WHY KEYS MOOD STATUS [SWEEP]: e2 in that mood is ejected for WHY; each failed request was one of its own, and counted.
out_for() {
	local why=$1 keys=$2 mood=$3 status=$4 before bad had
	HTTP_KEYS="panic_threshold = 0; ejection = { after = 0; $keys time = \"4s\"; max_time = \"4s\"; sweep = \"${5:-200ms}\"; };" http_push
	before=$(http_count eject_report)
	had=$(served 2)
	mood 2 "$mood"
	# one look: on a busy machine it may be in again at the next
	ejects() { ask_all 4 >>"$NET_DIR/heard" && ctl --json show endpoints web >"$NET_DIR/out.json" && [ "$(out_e2 ejected)" = True ]; }
	out_e2() { json "$NET_DIR/out.json" "[e['$1'] for e in j['endpoints'] if e['name'] == 'e2'][0]"; }
	: >"$NET_DIR/heard"
	wait_for 60 "e2 ejected ($mood)" ejects
	is "why it is out" "$(out_e2 why)" "$why"
	bad=$(tr ' ' '\n' <"$NET_DIR/heard" | awk -F: -v s="$status" '$1 == s { n += $2 } END { print n + 0 }')
	# rates are judged from two requests on
	[ "$bad" -ge 3 ] || [[ $why = *%* && $bad -ge 2 ]] || fail "$bad answers $status are too few: $(cat "$NET_DIR/heard")"
	is "answers but 200 and $status" "$(tr ' ' '\n' <"$NET_DIR/heard" | grep -vc "^200:\|^$status:" || true)" 0
	reported() { [[ $why = *%* ]] || [ "$(http_count eject_report)" -gt "$before" ]; }
	wait_for 5 "eject_report counts" reported
	said() { grep -q "health: web/e2 is ejected by the dataplane: $why" "$NET_DIR/sluiced.log"; }
	wait_for 5 "a word of it: $why" said # sluiced looks each 200 ms
	# a request that the gateway gave up may be read later
	came() { [ $(($(served 2) - had)) -ge "$bad" ]; }
	wait_for 5 "$bad requests at e2, each of which failed" came
	mood 2
	# while it is out nobody hears of it
	had=$(served 2)
	while [ "$(of e2 ejected)" = True ]; do
		is "while e2 is out" "$(heard "$(ask_all 3)" 200)" 3
		[ "$(of e2 ejected)" = False ] || is "requests to e2 while it is out" "$(served 2)" "$had"
	done
	asked_again() { ask_all 4 >/dev/null && [ "$(served 2)" -gt "$had" ]; }
	wait_for 10 "e2 asked again" asked_again
}

stays_in() { # KEYS MOOD: it is not ejected
	HTTP_KEYS="panic_threshold = 0; ejection = { after = 0; $1 sweep = \"200ms\"; };" http_push
	mood 2 "$2"
	ask_all 40 >"$NET_DIR/heard"
	is "e2 ejected ($2)" "$(of e2 ejected)" False
	mood 2
}

outliers() {
	export POLICY=round_robin ROUTES='{ name = "r"; retry = { attempts = 0; }; timeout = "5s"; service = "web"; }'
	http_push
	out_for "3 gateway errors in a row" "gateway_after = 3;" "status 503" 503
	out_for "3 requests in a row were not answered" "local_after = 3; split_local = true;" "do reset-before" 502
	out_for "3 requests in a row were not answered" "local_after = 3;" "delay 20000" 504
	out_for "3 gateway errors in a row" "gateway_after = 3;" "do reset-before" 502
	out_for "60 % or more of its requests failed" "failure_percent = 60; rate_endpoints = 2; rate_requests = 2;" "status 500" 500 2s
	is "ejections by reason" "$(ctl_json "[[s['ejections'][k] for k in ('gateway', 'local', 'percent', 'failed')] for s in j['services'] if s['name'] == 'web'][0]" show services)" "[2, 2, 1, 0]"
	is "ejections of e2" "$(of e2 ejections)" 5
	ctl show services | grep -q "gateway 2, local 2, percent 1" || fail "no ejections in the table: $(ctl show services)"
	stays_in "gateway_after = 3; local_after = 3;" "status 500"
	stays_in "gateway_after = 3; split_local = true;" "do reset-before"
	stays_in "local_after = 3;" "status 503"
}

# A breaker of each endpoint: those that come too many wait, nobody is refused, and none has more at a time than it may.
breakers() {
	export POLICY=random ROUTES='{ name = "r"; service = "web"; }'
	HTTP_KEYS='endpoint_requests = 2; ejection = { after = 0; };' http_push
	load crowd --seconds 120 --requests 400 --threads 16 --timeout 15 --keepalive --spread "$u/slow/20"
	all_good crowd
	HTTP_KEYS='endpoint_requests = 1; max_pending = 1; ejection = { after = 0; };' http_push
	local before
	before=$(http_count overflow)
	run cl flood python3 "$top/scripts/lib/load.py" --seconds 60 --requests 60 --threads 16 --spread "$u/slow/200"
	over() { [ "$(http_count overflow)" -gt "$before" ]; }
	wait_for 10 "the breaker refuses" over
	wait "$(pid_of flood)" || true
	quiet
}

# One connection to each endpoint, of all workers: eight clients wait for each other, and none is refused.
most_open() { ctl_json "max(e['flows'] for e in j['endpoints'])" show endpoints web; }
none_open() { [ "$(most_open)" = 0 ]; }
by_connections() {
	export POLICY=random ROUTES='{ name = "r"; service = "web"; }'
	HTTP_KEYS='ejection = { after = 0; };' http_push
	for i in $ENDPOINTS; do ctl disable web "e$i" >/dev/null; done
	wait_for 10 "connections of before ended" none_open
	TCP_KEYS='endpoint_connections = 1;' HTTP_KEYS='ejection = { after = 0; };' http_push
	for i in $ENDPOINTS; do ctl enable web "e$i" >/dev/null; done
	load narrow --seconds 120 --requests 300 --threads 8 --timeout 15 --keepalive --spread "$u/slow/20"
	local most=0 now ended="" # what is kept after the last request counts as well
	until [ -n "$ended" ]; do
		kill -0 "$(pid_of narrow)" 2>/dev/null || ended=1
		now=$(most_open)
		[ "$now" -le "$most" ] || most=$now
	done
	all_good narrow
	is "most connections to an endpoint" "$most" 1
}

# row NAME FIELD: of the breakers of service web.  adaptive FIELD: of its adaptive concurrency.
row() { ctl_json "[b['$2'] for s in j['services'] if s['name'] == 'web' for b in s['breakers'] if b['name'] == '$1'][0]" show services; }
adaptive() { ctl_json "[s['adaptive']['$1'] for s in j['services'] if s['name'] == 'web'][0]" show services; }

# What breakers have is shown while they have it: three requests that end only when their clients do.
shown() {
	export POLICY=random ROUTES='{ name = "r"; timeout = "120s"; service = "web"; }'
	HTTP_KEYS='max_requests = 3; ejection = { after = 0; };' http_push
	local before
	before=$(row requests limited)
	run cl held python3 "$top/tests/net/http_peer.py" hold 10.77.9.30 80 /slow/110000 3
	is_open() { [ "$(row requests max) $(row requests under_way) $(row requests remaining) $(row requests open)" = "3 3 0 True" ]; }
	wait_for 10 "the breaker shown open" is_open
	is "refused before there was one too many" "$(row requests limited)" "$before"
	ctl show services | grep -q "requests 3/3 open" || fail "no open breaker in the table: $(ctl show services)"
	is "another one" "$(row pending open)" False
	gives "one too many" 503 "$u/who"
	gives "one too many again" 503 "$u/who"
	limited() { [ "$(row requests limited)" = $((before + 2)) ]; }
	wait_for 5 "two refused, and counted" limited
	ctl show services | grep -q "requests 3/3.*, limited [0-9]" || fail "no breaker in the table: $(ctl show services)"
	stop held
	closed() { [ "$(row requests under_way) $(row requests remaining) $(row requests open)" = "0 3 False" ]; }
	wait_for 10 "the breaker shown closed" closed
	gives "one that is not too many" 200 "$u/who"
	quiet
}

# Answers that take a hundred times as long as they did: some requests are refused, and none any more when all is well.
known() { [ "$(adaptive limit)" -gt 0 ]; }
# fast: twelve clients, a limit known, and nobody refused.  Where the worker stands still for 10 ms all twelve ask at once, which are more
# than the limit of those that come one by one: ten throws.
fast() {
	local try had
	for try in 1 2 3 4 5 6 7 8 9 10; do
		had=$(adaptive refused)
		load light --seconds 300 --threads 12 --keepalive --spread "$u/who"
		wait_for 20 "a limit known" known
		goes_on light
		[ "$(adaptive refused)" != "$had" ] || return 0
		echo "try $try: $(($(adaptive refused) - had)) refused while answers are fast"
		stop light
	done
	fail "requests are refused while answers are fast, ten times"
}
adapts() {
	export POLICY=random ROUTES='{ name = "r"; retry = { attempts = 0; }; service = "web"; }'
	export HTTP_KEYS='adaptive = { min = 2; buffer_percent = 50; }; ejection = { after = 0; };'
	http_push
	fast
	local i had
	stop light
	for i in $ENDPOINTS; do mood "$i" "delay 150"; done
	had=$(adaptive refused)
	load light --seconds 300 --threads 12 --keepalive --spread "$u/who" # anew: one that was refused meanwhile has gone
	sheds() { [ "$(adaptive refused)" -gt $((had + 2)) ]; }
	wait_for 30 "requests refused while answers are slow" sheds
	for i in $ENDPOINTS; do mood "$i"; done
	rests() { local n; n=$(adaptive refused) && known && code "$u/who" >/dev/null && code "$u/who" >/dev/null && [ "$(adaptive refused)" = "$n" ]; }
	wait_for 60 "none refused any more" rests
	stop light
	tail -n 1 "$NET_DIR/light.log"
	quiet
}

# A slow endpoint of four has less than a tenth of its share; well again, it is asked again.
by_latency() {
	export POLICY=ewma HTTP_KEYS='ejection = { after = 0; };'
	http_push
	mood 3 "delay 300"
	load warm --seconds 120 --requests 200 --threads 4 --keepalive --spread "$u/who"
	all_good warm
	few() {
		local slow all
		load ewma --seconds 120 --requests 1200 --threads 4 --keepalive --spread "$u/who"
		all_good ewma
		slow=$(answers_of ewma e3) all=$(say ewma 'j["requests"]')
		echo "ewma: the slow endpoint had $slow of $all"
		[ $((slow * 40)) -lt "$all" ]
	}
	# a machine that stands still for a second makes the others the slow ones, for ten: three throws
	few || few || few || fail "the slow endpoint had a 40th of all requests and more, three times"
	mood 3
	local had
	had=$(served 3)
	# forgotten by e times in 10 s: from 5 s, which a request may have taken, to 0.3 ms in 97 s
	load again --seconds 300 --threads 2 --timeout 30 --keepalive --spread "$u/who"
	asked() { [ "$(served 3)" -gt $((had + 50)) ]; }
	wait_for 150 "e3 asked again" asked
	enough again
}

# e1 and e2 stand in the gateway's zone, e3 and e4 in another.
push_zones() {
	http_table "$NET_DIR/t.conf"
	sed -i -e "/10.77.2.1[12]\"/s/weight/locality = \"eu\/a\"; weight/" -e "/10.77.2.1[34]\"/s/weight/locality = \"eu\/b\"; weight/" "$NET_DIR/t.conf"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}
away() { ns cl curl -s --max-time 10 -H 'Connection: close' -w '\n' "$u/who?[1-$1]" | grep -c 'e[34]' || true; }

zones() {
	local n
	export POLICY=random HTTP_KEYS='ejection = { after = 0; };'
	SERVICE_KEYS='zone_aware = { traffic_percent = 50; min_endpoints = 3; };' push_zones
	is "half of the traffic, half of the endpoints" "$(away 60)" 0
	# our gateways take all traffic: half of it goes where the other half of the endpoints is
	SERVICE_KEYS='zone_aware = { traffic_percent = 100; min_endpoints = 3; };' push_zones
	n=$(away 100)
	[ "$n" -gt 25 ] && [ "$n" -lt 75 ] || fail "$n of 100 requests to the other zone, about half wanted"
	# health counts: with e1 drained a third of the endpoints is here, and two thirds of our half may stay
	SERVICE_KEYS='zone_aware = { traffic_percent = 50; min_endpoints = 3; };' push_zones
	ctl drain web e1 >/dev/null
	leaves() { [ "$(away 10)" -gt 0 ]; }
	wait_for 10 "some leave" leaves
	n=$(away 120)
	[ "$n" -gt 18 ] && [ "$n" -lt 66 ] || fail "$n of 120 requests to the other zone, about 40 wanted"
	# below min_endpoints zones do not count
	ctl drain web e2 >/dev/null
	all_away() { [ "$(away 10)" = 10 ]; }
	wait_for 10 "all to the other zone" all_away
	ctl undrain web e1 >/dev/null
	ctl undrain web e2 >/dev/null
	SERVICE_KEYS='zone_aware = { traffic_percent = 50; min_endpoints = 5; };' push_zones
	leaves_too() { n=$(away 40) && [ "$n" -gt 8 ] && [ "$n" -lt 32 ]; }
	wait_for 20 "too few endpoints for zones: half goes away" leaves_too
}

export DAEMON_KEYS='locality = "eu/a";' PORT=8080
net_up
for i in $ENDPOINTS; do http_peer_up "$i"; done
gateway_up
u=$(url 10.77.9.30)
outliers
breakers
by_connections
shown
adapts
by_latency
zones
quiet
