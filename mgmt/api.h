/* api — what sluicectl and sluiced say to each other: JSON over a Unix stream socket.
 *
 * Framing, both ways: struct sl_api_head (12 bytes, little-endian), then `len` bytes of one JSON object in
 * UTF-8.  A connection carries any number of request/answer pairs, one at a time and in order.  A frame with
 * a wrong magic, version, non-zero `zero` or a len below 2 or over SL_API_MAX, and a body that is no JSON
 * object (duplicate keys too), get one error answer ("malformed"), then the connection is closed.
 * Time limits: a request has 10 s from its first byte to its last; an answer 10 s to be read; an idle
 * connection is closed after 60 s.  At most 64 clients; one more is answered "busy" and closed.
 *
 * Roles: by peer credentials and sluiced.conf.  viewer < operator < admin; each may do what the lesser may.
 * A peer without a role gets "denied" to anything.
 *
 * REQUEST   {"verb": STRING, …}.  Only the keys named below are allowed, an unknown one is "invalid".
 *           A key with ? may be absent.  Names are service and endpoint names of the table.
 *
 * ANSWER    {"ok": true, "verb": STRING, …}                                   or
 *           {"ok": false, "verb": STRING|null,
 *            "error": {"code": CODE, "text": "what is wrong, where", "hint": STRING|null}, …}
 *   CODE      malformed    frame or JSON (then closed)
 *             invalid      unknown verb, unknown/missing key, wrong type or range
 *             denied       the role does not suffice; the text names the role needed and the uid seen
 *             config       the table, or the certificate, has problems:     + "problems": [PROBLEM…], "more": N
 *             not_found    no such service, endpoint or generation
 *             refused      the dataplane refused:      + "reasons": [STRING…], "generation": N (refused),
 *                                                        "active": N (still active; 0 none)
 *             unavailable  the dataplane is not connected (explain, stats), or went away in between
 *             exists, in_use   (cert) there is one of that name; a table uses it: + "used_by": [USER…]
 *             busy         too many clients, or another push is under way for too long
 *             timeout      the dataplane did not answer within 10 s (explain) or 60 s (push, rollback)
 *             internal     disk or memory; text says what
 *   PROBLEM   {"file": STRING|null, "line": N (0 none), "path": STRING|null, "text": STRING,
 *              "hint": STRING|null}
 *   Times are RFC 3339 UTC strings ("2026-01-31T12:00:00.123Z") or null.  uint64 values over 2^63-1 do
 *   not occur.  boot ids are 16 hex digits.
 *
 * viewer ────────────────────────────────────────────────────────────────────────────────────────────
 *
 * {"verb":"status"}                       same as {"verb":"show","what":"status"}
 *   → "role": "viewer"|"operator"|"admin", "uid": N            the caller's
 *     "daemon":    {"pid", "version", "started": TIME, "state_dir", "api_socket", "metrics": "127.0.0.1:9900"|"",
 *                   "notes": [STRING…]}                        what was wrong at start (corrupt files …)
 *     "dataplane": {"connected": BOOL, "socket", "pid", "boot_id", "workers", "ports": [NAME…],
 *                   "privileges": STRING|null,                 what it has kept, for people
 *                   "since": TIME, "error": STRING|null}       not connected: pid 0, workers 0, boot_id null
 *     "generation":{"active": N, "pending": N, "file", "comment", "uid", "committed": TIME,
 *                   "confirm": {"generation", "back_to", "given_s": N, "left_s": X}|null}   0: none; confirm: what waits for it
 *                   (pending: kept, not yet taken by the dataplane; file, comment, uid, committed are those of
 *                   the pending one if there is one, else of the active one; null when neither)
 *     "counts":    {"listeners", "services", "endpoints", "up", "down", "unknown", "unprobed",
 *                   "draining", "disabled"}
 *     "flows":     {"serving": BOOL            false: since the last link ended no dataplane has had the table
 *                   "held": BOOL, "bytes"     the flow region that waits here for the next dataplane
 *                   "outcome": "taken"|"copied"|"empty"|null, "kept", "expired", "lost", "text": STRING|null,
 *                   "at": TIME               what the last dataplane that came did with it; null: none came yet
 *                   "away_ms"}               from the end of the last link until the table was active again
 *
 * {"verb":"check", "file": NAME FOR MESSAGES, "text": TABLE}
 *   → "counts": {"listeners", "services", "endpoints", "addresses", "routes" (next hops), "route_tables", "hosts",
 *                "http_routes"}                                                     or error config
 *   Here, with diff and with push: + "warnings": [PROBLEM…], "warnings_more": N     when there are some: what is
 *   allowed, and hardly meant
 *
 * {"verb":"diff", "file", "text"}         the text against the pending or else active generation
 *   → "against": N, "same": BOOL, "changes": [{"change": "added"|"removed"|"changed"|"moved",
 *       "kind": "gateway"|"address"|"route"|"service"|"endpoint"|"listener"|"route_table"|"host"|"http_route",
 *       "name": "web" | "web/web-1" | "edge/shop/canary" | "front 192.0.2.2/24" | "0.0.0.0/0",
 *       "text": "weight 1 → 3, address 198.51.100.11 → 198.51.100.12"}],
 *     "shadow"?: as of show shadow, without examples (the last trial was of this text)                or error config
 *
 * {"verb":"show", "what": WHAT, "service"?: NAME (endpoints only), "table"?, "host"?: NAME (routes, hosts), "route"?: NAME
 *  (routes), "port"?: NAME and with it "extended"?: BOOL (ports), "limit"?: 1..1000 (audit only, default 50)}
 *   WHAT "listeners"  → "listeners": [{"name", "address": ADDRESS|PREFIX, "port", "port_last", "ports": "80"|
 *                         "8000-8999"|"any", "protocol": "tcp"|"udp", "mode": "l4"|"tcp"|"http"|"tls-passthrough", "service" ("": mode http; tls-passthrough
 *                         without one), "routes": NAME|"" (mode http: its route table), "tls": LISTENER_TLS|null (plaintext),
 *                         "server_names": [{"name", "service"}…] (tls-passthrough; else empty), "announce": "never"|"healthy"|"always", "slot", "incarnation", "packets", "bytes", "new_flows", "refused"}]
 *        "services"   → "services": [{"name", "forward": "nat"|"dsr"|"fullnat"|"ipip"|"gue"|"proxy", "policy":
 *                         "maglev"|"round_robin"|"source_hash"|"least_conn", "health": "none"|"tcp"|"http", "tls": SERVICE_TLS|null (plaintext), "max_endpoints",
 *                         "slow_start_ms", "slot", "incarnation", "endpoints", "admitting", "up", "down",
 *                         "draining", "disabled", "new_flows", "no_endpoint", "ports_used" (fullnat: source ports,
 *                         now), "ports_refused" (new flows refused for want of one), "discover": [NAME…] (sources it asks), "levels": [LEVEL…],
 *                         "subsets": [{"name", "metadata": "k=v,…", "fallback": "any"|"none", "levels": [LEVEL…]}…] (in the order of the file),
 *                         "locality_failover": BOOL, "zone_aware": BOOL, "panic_threshold": 0–100,
 *                         of proxy: "breakers": [{"name": "connections"|"pending"|"requests"|"retries", "max": N|null (no limit), "under_way" (of all
 *                         workers, told now and then), "remaining": N|null, "open": BOOL, "limited" (times one more was too many)}…],
 *                         "adaptive": {"min" (0: off), "limit" (of all workers; 0: not known yet), "refused"},
 *                         "ejections": {"failed", "gateway", "local", "rate", "percent" (how often endpoints were, by reason), "held" (how
 *                         often one was not, because max_percent of them were)}}]
 *        "endpoints"  → "endpoints": [ENDPOINT…]
 *        "sources"    → "sources": [{"service", "source", "name" (what is asked for), "state": "good"|"kept" (an older answer than the last
 *                         is in use)|"trouble"|"asking", "endpoints", "left_out", "answered": TIME|null, "age_s": N|null (of the
 *                         last good answer), "answers", "troubles", "trouble_since": TIME|null, "kept": BOOL, "why"}]   a row for each
 *                         question of the active table; "service": only its
 *        "jwt"        → "jwt": [{"name", "issuer" ("": any), "jwks", "state": "good"|"kept" (keys of an older reading are in use)|"trouble" (no key
 *                         is known)|"asking", "keys": N (in the table), "kids": [{"kid", "alg"}…] (as read last), "left_out", "read": TIME|null,
 *                         "age_s": N|null, "reads", "troubles", "trouble_since": TIME|null, "why"}]   a row for each issuer of the active table
 *        "workers"    → "workers": [{"worker", "busy": 0.0–1.0 (share of ticks since boot), "headroom": 0.0–1.0
 *                         (share of turns that found nothing, since boot), COUNTERS of struct sl_stats_worker but
 *                         drop[], histograms and tcp.count[]; gauges of TCP as "tcp_streams", "tcp_streams_max" …}]
 *        "ports"      → "ports": [{"name", "rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "tx_full",
 *                      "to_kernel", "from_kernel", "kernel_limited", and while the dataplane is connected, as it says when it is asked: "driver",
 *                         "device", "link": "up"|"down"|"gone", "speed_mbps": N|null, "full_duplex": BOOL, "mac", "mtu", "vlan":
 *                         N|null, "kernel": NAME|null, "kernel_by": "tap"|"vhost-net"|null, "numa": N|null, "rx_queues", "tx_queues", "spread": "none" (one worker)|
 *                         "rss"|"assumed"|"handoff", "can", "uses": [WORD…] (offloads of the device), "link_changes", "missed",
 *                         "no_buffer", "tx_errors" (what the device lost; of ports of one device the first has them), "xstats":
 *                         {NAME: N…} (extended: the device's own)}]
 *        "drops"      → "drops": [{"reason", "text", "packets", "must_be_zero": BOOL}]   all reasons but none
 *        "tcp"        → "tcp": [{"kind": "gauge"|"event", "name", "text", "count", "most": N|null (gauges: what there is
 *                         room for)}]   the gateway's own TCP: gauges, then every event since the dataplane's boot
 *        "http"       → "http": [likewise of mode http]
 *        "tls"        → "tls": [likewise of TLS]
 *        "limits"     → "limits": [{"name", "requests", "per": "1s" | "500ms", "by": "all"|"source"|"identity"|"header NAME", "keys_max",
 *                         "keys" (with a number of their own now), "allowed" (tokens taken), "refused", "overflow" (of both: keys
 *                         beside keys_max, or without room, which share one number), "slot", "incarnation", "shared": BOOL,
 *                         and if it is: "floor", "share" (what may pass here now of "requests"), "wanted" (asked for here in "per"), "gateways"
 *                         (that have a share), "until": TIME|null (the share ends then unless it is renewed), "state": "shared" | "waits: …"
 *                         | "floor: …" | "no share: …"}]
 *        "authorization" → "authorization": [{"set", "rule": NAME|null (the set as a whole), "action": "deny"|"allow"|"audit" (of a set
 *                         "audit only" or ""), "allowed", "denied", "audited": N|null (of a rule: what it decided, and told; null: there
 *                         is no room for its counters, it counts with its set alone), "used": ["listener db" | "table edge" |
 *                         "host edge/shop" | "route edge/shop/all"…]|null (of a set)}]   optional: "set"; "default": what no rule
 *                         decides, where that is denied
 *        "hosts"      → "hosts": [{"table", "host", "match": ["shop.example", "*.example", "shop.*", "*"…], "routes": N, "slot",
 *                         "incarnation", "requests", "no_route"}]
 *        "routes"     → "routes": [{"table", "host", "route", "action": "service"|"split"|"redirect"|"respond", "services":
 *                         [NAME…], "to": ["web" | "web/v2" (a subset)…], "slot", "incarnation", "requests", "1xx" … "5xx" (answers), "retries", "local" (answers
 *                         of the gateway itself), "bytes_in", "bytes_out" (bodies), "first_us", "last_us": N|null (means: first
 *                         byte of the request → first, last byte of the answer), "last": [20 × N] (requests by time to the
 *                         last byte: below 64 µs × 2^i, the last all else)}]   in the order of the file
 *        "store"      → "store": [{"gateway", "state": "none"|"active"|"pending"|"refused"|"failed"|"replaced", "revision": N,
 *                       "generation": N, "at": TIME, "problem": STRING (the first of "problems"), "problems": [STRING…]}…], this one first,
 *                       "key", "revision": N (of the table in etcd), "server", "trouble": STRING|null,
 *                       "registered": N (registrations here), "shared": N (of them in etcd as they are here); error invalid: no store
 *        "announce"   → "announce": {"on": BOOL (sluiced.conf has the group), "bird_socket", "routes" (the file), "settle_ms", "bird":
 *                         STRING|null (its greeting; null: not connected), "error": STRING|null, "serving": BOOL,
 *                         "not_serving": STRING|null, "drained": BOOL (the gateway), "vips": [{"vip": ADDRESS|PREFIX, "policy":
 *                         "healthy"|"always"|"" (no listener has it any more), "listeners": [NAME…], "state": "announced"|
 *                         "waiting" (BIRD has not confirmed it)|"withdrawing" (likewise)|"withdrawn", "why"}…]}
 *        "registry"   → "registry": [REGISTERED…] (ENDPOINT of registry.h; of one service with "service"), "stats": {"endpoints",
 *                         "silent", "registered", "removed", "expired", "heartbeats", "denied", "writes", "records", "failing": BOOL}
 *        "generations"→ "generations": [{"generation", "state": "active"|"superseded"|"pending"|"refused"|
 *                         "corrupt", "file", "comment", "uid", "user", "written": TIME, "bytes",
 *                         "rollback_of": N (0 none), "root": HEX|null, "text": STRING|null, "confirm_left_s": X|null}]   newest first; "shadow": as of show shadow, without examples;
 *        "shadow"     → "shadow": {"state": "none"|"running"|"ended"}, of the last trial with "generation", "file", "user", "sample_ppm",
 *                         "for_s", "began": TIME, "ended": TIME|null, "ran_s", "left_s": X, "why": STRING|null (it ended), "revised": N
 *                         (changes of endpoints of the active table meanwhile), "known": BOOL (counts have come), "requests", "flows":
 *                         {"seen", "sampled", "changed", "kinds": {"status", "listener", "route", "service", "subset", "endpoint"}, "by_chance"
 *                         (the endpoint is: not compared), "undecided" (only the route was)}, "answers": [{"from", "to": N|null (forwarded),
 *                         "requests"}…], "answers_more", "limits" (of the active table, with
 *                         another number in the tried one; of all traffic): [{"name", "now", "then": {"requests", "per_ms"}, "windows", "above"
 *                         (with more than then), "asked", "refused", "over" (about as many would be refused): N}…], "untried": [as "changes" of diff: what the
 *                         trial tells nothing of], "examples" (operator): [{"kind", "what": "request"|"tcp"|"udp", "client",
 *                         "client_port", "address", "port", "method", "host", "path": STRING|null, "now", "then": {"status": N|null, "listener",
 *                         "host", "route", "service", "endpoint", "endpoint_address", "endpoint_port", "by_chance", "why"}}…]
 *                         text: why refused or corrupt; corrupt: file … root are null, bytes 0
 *        "audit"      → "audit": [the JSON lines, newest last]
 *   Counters are 0 and "dataplane": false stands in the answer when the dataplane is not connected
 *   (true otherwise; in each of listeners … drops).
 *   LISTENER_TLS, SERVICE_TLS  as the table file has them: {"min_version", "max_version", "suites": [WORD…], "groups": [WORD…],
 *              "alpn": [TEXT…]|null (not given), "trust": [NAME…], "handshake_timeout_ms"}; a listener's also {"certificates":
 *              [NAME…], "client": "none"|"optional"|"required", "client_names": [TEXT…], "plaintext": "refuse"|"accept",
 *              "tickets": BOOL, "forwarded_client_cert": WORD}; a service's {"verify": BOOL, "resume": BOOL, "server_name": TEXT|"",
 *              "auto_server_name": BOOL, "names": [TEXT…], "certificate": NAME|""}
 *   LEVEL     {"priority", "distance" (locality_failover, zone_aware: 0: same zone, 1: same region, 2: another; else 0), "endpoints", "admitting"}: those that
 *              take flows together, in the order in which they are asked
 *   ENDPOINT  {"service", "name", "address", "port" (0: the listener's), "weight", "slot", "incarnation",
 *              "source": NAME of a source|"table"|"registry", "source_name" (what it was asked), "answered": TIME|null, "age_s":
 *              N|null (of the source's last good answer), "kept": BOOL, "priority", "locality", "metadata": "k=v,…",
 *              "state": "up"|"down"|"unknown"|"unprobed"|"ejected"|"draining"|"disabled"|"maintenance"   the word for people, the
 *                    strongest: maintenance, disabled, draining, down, ejected, unknown, up; unprobed: the service has no health
 *              "administrative": "in"|"draining"|"disabled"|"maintenance" (by operators), "passive": "in"|"ejected" (by the
 *              dataplane), "why_by": "operator"|"source"|"agent"|"probe"|"dataplane"|"slow start"|"" (who says why), "who" (the
 *              operator), "why": STRING, "since": TIME|null, "maintenance": BOOL,
 *              "health": "up"|"down"|"unknown"|"unprobed", "health_text": STRING (last probe's, may be ""),
 *              "health_since": TIME|null, "drain": BOOL, "disabled": BOOL, "percent": 0–100 (weight verb),
 *              "fraction": 0–255 (in force now: percent × slow start), "ramping": BOOL,
 *              "admits": BOOL, "ejected": BOOL, "ejections" (how often it was ejected),
 *              "packets", "bytes", "reply_packets", "reply_bytes", "new_flows", "ended_flows",
 *              "flows" (now), "connect_failed" (mode "tcp")}
 *
 * {"verb":"stats"}                        raw counters since this owner got its slot (workers, ports, drops: since
 *                                         the dataplane's boot), summed over workers; gauges (flows, ports_used): now
 *   → "boot_id", "generation", "gateway": NAME|"", "at_ns": N (when, of a clock that only runs forward),
 *     "ticks_per_s": N (of busy_ticks, total_ticks), "uptime_s": X (of the workers), "pids": {"daemon", "dataplane"},
 *     "total": {COUNTERS of sl_stats_worker}, "workers": [as show workers + "turn_ns": HIST,
 *     "burst_pkts": HIST], "ports": [as show], "drops": [as show],
 *     "tcp": [as show], "http": [as show], "tls": [as show], "listeners": [{"name", "address", "port", "port_last", "ports", "protocol", "mode", "service", "routes",
 *                    "packets", "bytes", "new_flows", "refused"}],
 *     "services": [{"name", "new_flows", "no_endpoint", "ports_used", "ports_refused"}],
 *     "endpoints": [{"service", "name", "state", "packets", "bytes", "reply_packets", "reply_bytes", "new_flows",
 *                    "ended_flows", "flows", "connect_failed"}]
 *   HIST  {"cnt", "sum", "p50", "p90", "p99", "p999", "max"}    lower bound of the bucket
 *   error unavailable when the dataplane is not connected.
 *
 * {"verb":"explain", "src": ADDRESS, "dst": ADDRESS, "protocol": "tcp"|"udp"|"icmp", "sport"?: N, "dport"?: N
 *    (both required for tcp and udp, not allowed for icmp),
 *  "flags"?: "syn"|"ack"|"syn,ack"|"fin,ack"|"rst" (tcp only; default "syn"), "port"?: NAME (default: first),
 *  "identity"?: NAME, "sni"?: NAME (tcp: of the client's certificate, and whom it asks for: for rules of a listener of mode tcp)}
 *   → "generation", "verdict": "none"|"forward"|"reply"|"consumed"|"held"|"handoff"|"drop"|"kernel",
 *     "drop": null | {"reason", "text"}, "worker", "bucket",
 *     "why": "none"|"flow"|"reply"|"maglev"|"source"|"round_robin"|"walk"|"least_conn", "why_text": SENTENCE, "tries",
 *     "listener": null | {"name", "address", "port", "port_last", "ports", "protocol", "mode"},
 *     "service": null | {"name", "forward", "policy"},
 *     "endpoint": null | ENDPOINT,
 *     "port_in": NAME, "port_out": NAME|null, "next_hop": ADDRESS|null,
 *     "out": null | {"src", "sport", "dst", "dport", "protocol"}    the packet as it would leave
 *     "tunnel": null | {"type": "ipip"|"gue", "source": ADDRESS|PREFIX, "spread": BOOL (source is a prefix, the
 *                       flow's hash says which address of it), "destination", "port"? (gue)},
 *     "source": null | {"address", "port"}                         fullnat: what the packet leaves from
 *     "ends_here": BOOL                                            mode "tcp": the gateway's own TCP is its peer; the
 *                                                                  endpoint is the one that would be picked now
 *     "authorization": null | {"rule": "shop/no-admin" | "shop" (no rule of it decides), followed by " (audit)" where a denial
 *                      is only told, "denied": BOOL}                what rules of the listener say of such a client
 *     "sentences": [STRING…]                                        the same for people, in order
 *
 * {"verb":"explain_http", "request": "GET /api/x" (or with HTTP/1.0, HTTP/1.1 behind), "host"?: STRING, "headers"?: "name:
 *  value" lines, "listener"?: NAME (default: the first of mode http), "from"?: ADDRESS or ADDRESS:PORT (of the client)}
 *   A line ":identity: NAME" says what the client's verified certificate would (no request can have it).
 *   Without a Host one of the listener's first virtual host is taken, and told.  The worker that would have the connection
 *   runs its own code on its own tables, and sends and counts nothing.
 *   → "generation", "worker", "status": N|null (the gateway's own answer; null: the request would be sent on), "flags":
 *     [{"flag": "NR", "text"}…] (of that answer), "listener": null | {as in explain}, "table", "host", "route": NAME|null,
 *     "route_index": N|null (in the order of the file), "conditions": [STRING…] (of the route: they held), "action": null |
 *     "service"|"split"|"redirect"|"respond", "service": null | {as in explain}, "endpoint": null | ENDPOINT, "path":
 *     STRING|null (in the one form that is matched), "text": STRING (the path as it would be sent, or Location, or why the
 *     request is refused), "assumed_host": STRING|null, "verified": N (candidates looked at), "scanned": N (databases),
 *     "sentences": [STRING…]
 *   Names are null while another generation runs than the one that is active here.
 *
 * operator ──────────────────────────────────────────────────────────────────────────────────────────
 *
 * {"verb":"flows", "client"?: ADDRESS|PREFIX, "vip"?: ADDRESS|PREFIX, "port"?: N (of the VIP), "protocol"?: "tcp"|"udp",
 *  "service"?: NAME, "endpoint"?: NAME (with service), "listener"?: NAME,
 *  "state"?: "embryonic"|"established"|"closing"|"udp"|"udp_new", "worker"?: 0..63, "idle_over_ms"?: N (up to a day),
 *  "limit"?: 1..10000 (default 100), "count"?: BOOL (how many; no limit then), "halves"?: BOOL (the reply halves
 *  of nat flows too; a nat flow shows once without)}            flows to which all of these apply
 *   → "dataplane": BOOL (false: these are the flows that wait for it to come back),
 *     "flows": [{"protocol", "client", "client_port", "vip", "vip_port", "half": "forward"|"reply",
 *                "service": NAME|null, "endpoint": NAME|null (null: gone from the table), "slot", "incarnation",
 *                "state", "fin": "none"|"one"|"both", "idle_ms", "left_ms" (until it ends by itself), "worker",
 *                "via": null | {"address", "port"} (fullnat: what the endpoint sees)}]     with "count": null
 *     "matched": N (with count all there are, else the length of "flows"), "more": BOOL (there are others; without
 *     count the walk ended there), "looked": N (flows looked at), "skipped": N (they changed meanwhile), "ms": X
 *   Read from the dataplane's memory while it works: a flow that comes, goes or moves meanwhile may be missed.  One
 *   walk at a time; up to 16 requests wait, others get busy.  error unavailable when there is no flow region,
 *   not_found for a service, endpoint or listener that the active table does not have.
 *
 * {"verb":"streams", "address"?: ADDRESS|PREFIX (of either end), "port"?: N (of either end), "service"?: NAME,
 *  "endpoint"?: NAME (with service), "listener"?: NAME, "state"?: "syn-sent"|"syn-received"|"established"|"fin-wait-1"|
 *  "fin-wait-2"|"close-wait"|"closing"|"last-ack", "side"?: "client"|"endpoint", "worker"?: 0..63, "retrans"?: N (at
 *  least), "queue"?: BYTES (written and not acknowledged, at least), "sort"?: "age"|"rtt"|"cwnd"|"flight"|"queue"|
 *  "rcvq"|"ooo"|"retrans"|"in"|"out" (the most first), "limit"?: 1..10000 (default 100), "count"?: BOOL (how many; no
 *  limit, sort, pairs then), "pairs"?: BOOL (clients' streams unless side says else, each with the one it is coupled
 *  with)}                               the gateway's own TCP (mode "tcp"): streams to which all of these apply
 *   → "streams": [STREAM…]                                        with "count": null
 *     "matched": N (with count or sort all there are, else the length of "streams"), "more": BOOL (there are others),
 *     "looked": N, "skipped": N (changed while they were read), "ms": X
 *   STREAM {"side": "client"|"endpoint", "state", "peer", "peer_port", "local", "local_port", "listener": NAME|null,
 *           "service": NAME|null, "endpoint": NAME|null, "worker", "place", "partner": PLACE|null (of the stream it is
 *           coupled with, in the same worker), "age_ms", "cwnd", "rtt_us": N|null (not measured yet), "rttvar_us": N|null,
 *           "mss", "bytes_in", "bytes_out", "send_queue", "in_flight", "receive_queue", "out_of_order", "send_window",
 *           "receive_window", "retransmits", "congestion": "cubic"|"reno", "flags": ["sack"|"ts"|"wscale"|"recovery"|
 *           "backoff"…], "pair": STREAM|null (with pairs)}          sizes in bytes
 *   Read from the dataplane's memory while it works; the numbers of a row are of about the same time.  Waits in one queue
 *   with flows.  error unavailable when the dataplane is not connected or has TCP off, not_found as for flows.
 *
 * {"verb":"drain"|"undrain"|"disable"|"enable", "service", "endpoint", "comment"?, "reason"?}
 * {"verb":"weight", "service", "endpoint", "percent": 0..100, "comment"?, "reason"?}   share of its weight's new flows
 * {"verb":"maintenance", "service", "endpoint", "on": BOOL, "comment"?, "reason"?}   no new flows, no probes
 *   → "changed": BOOL (false: it was so already), "endpoint": ENDPOINT,
 *     "applied": BOOL (the dataplane is connected and has the new state word),
 *     "note": STRING|null ("web has no other endpoint that takes new flows" …)
 *   Kept over restarts, by service and endpoint name; written to the audit log.
 *
 * {"verb":"register", "service", "endpoint", "is": {"address", "port"?, "weight"?, "priority"?, "locality"?, "metadata"?: {}, "ttl_s"?}}
 * {"verb":"heartbeat", "service", "endpoint", "is"?: {"percent"?, "drain"?}}     {"verb":"deregister", "service", "endpoint"}
 *   → "new": BOOL, "is": REGISTERED|null          once it is on disk (registry.h).  error invalid, not_found, busy, internal (disk)
 *
 * {"verb":"gateway", "op": "drain"|"undrain", "comment"?}        of all VIPs
 *   → "changed": BOOL, "drained": BOOL, "note": STRING|null        drain is answered when BIRD has withdrawn everything and `settle` is
 *     over.  error timeout: the gateway is drained, but that could not be had within settle and 10 s; it is tried on.
 *   Kept over restarts; written to the audit log.
 *
 * viewer for list and show, admin for the others ──────────────────────────────────────────────────────
 *
 * {"verb":"cert", "op": "add"|"replace"|"remove"|"list"|"show"|"check", "name"?: NAME (not with list, check),
 *  "cert"?: PEM and "key"?: PEM, or "ca"?: PEM (add, replace, check: a pair, or a bundle of CAs), "comment"?}
 *   Names are of pairs and bundles together.  What add and replace are given is checked (cert_check.h), sent to the dataplane and
 *   kept: all of it, or nothing.  No answer holds a byte of a key.
 *   list → "certificates": [CERTIFICATE…]      show → "certificate": CERTIFICATE + "chain": [{"subject", "issuer", "serial": HEX,
 *     "fingerprint": HEX (SHA-256), "key", "not_before": TIME, "not_after": TIME}…]   of a pair: its own first
 *   check → "certificate": as show, without "name", "added", "damaged", "used_by"
 *   add, replace, remove → "certificate": CERTIFICATE (not remove), "sent": BOOL (the dataplane has it; else it is not connected),
 *     "note": STRING|null
 *   add, replace, check: + "warnings", "warnings_more" as with check.  error config (PROBLEM's path: "cert", "key", "ca"), exists,
 *     not_found, in_use, busy (another change of that name), refused (by the dataplane), unavailable, timeout: nothing was changed
 *   CERTIFICATE {"name", "kind": "pair"|"bundle", "names": ["DNS:…"|"URI:…"|"IP:…"…] (pair), "subject", "issuer", "key": "EC P-256",
 *     "fingerprint" (of the first), "usage": ["server", "client"] (pair), "certificates": N, "not_before", "not_after": TIME
 *     (pair: the first of its chain; bundle: the next of its CAs), "days_left": N (below 0: so many days ago), "state": "ok"|
 *     "soon" (within 30 days)|"expired"|"early", "added": TIME, "damaged": BOOL (its file is), "used_by": [USER…]}
 *   USER      {"kind": "listener"|"service", "name"}           of the active and the pending table
 *
 * {"verb":"tickets", "op": "show"|"rotate"|"install"|"own", "keys"?: HEX (install: 1–8 keys of 80 bytes, the first seals),
 *  "comment"?}
 *   → "tickets": {"mode": "own"|"installed", "keys": [{"name": HEX (stands in every ticket), "since": TIME, "encrypts": BOOL}…],
 *     "since": TIME, "next": TIME|null (when own keys are rotated), "rotate_s": N}; but for show: + "sent", "note" as with cert
 *   error refused (rotate: keys were installed; install: not keys; the dataplane), busy, unavailable, timeout.
 *
 * admin ─────────────────────────────────────────────────────────────────────────────────────────────
 *
 * {"verb":"upgrade"}                     the dataplane checks the program file it was started from, and becomes it
 *   → "text", "pid", "boot_id"            of the dataplane that will now go; the next one is in status.  error refused:
 *     the file does not run here, its check fails, or it has other formats; unavailable, busy (one is under way),
 *     timeout.
 * {"verb":"push", "file", "text", "comment"?, "force"?: BOOL (although tables come from the store), "confirm_s"?: N}
 * {"verb":"rollback", "generation"?: N (default: the one active before the present one), "comment"?, "confirm_s"?: N}
 *   With confirm_s, [1, 86400]: taken back by itself, by a rollback to the push before, so long after it became active, unless
 *   confirm comes, or another push or rollback becomes active (confirm.h).  error not_found: there is no push before.
 *   Answered when the dataplane has decided, or at once when it is not connected: then the generation is
 *   kept and offered as soon as the dataplane comes.
 *   → "generation": N, "previous": N (0 none), "outcome": "active"|"pending",
 *     "note": STRING|null ("kept; the dataplane is not connected, it is offered as soon as it comes"),
 *     "objects": N (of the generation), "objects_sent": N, "bytes_sent": N,
 *     "compile_ms": X, "check_ms": X, "build_ms": X, "swap_ms": X, "total_ms": X   (numbers with fraction;
 *     pending: check, build, swap are 0), "rollback_of": N (rollback only)
 *   or error config, refused, timeout, busy, not_found.
 * {"verb":"push", "file", "text", "comment"?, "store": true, "force"?: BOOL (whatever is there)}
 *   Checked as for a push, and put into the store (store.h) that gateways take tables from, if nobody changed it since.
 *   → "outcome": "stored", "key": STRING, "revision": N    or error config, invalid (no store), refused (changed meanwhile),
 *   unavailable.
 *   A push of a table equal to the active one still makes a new generation number.
 * {"verb":"push", "file", "text", "comment"?, "sample_ppm": 1..1000000, "for_s"?: 1..3600 (30)}
 *   Tried beside the active table with so many of a million requests and new flows (trial.h): → as push, "outcome": "tried", once it has begun.
 *   It has a number, and is none of "generations".  error not_found: no table is active; unavailable; config, refused as a push.
 *   Another push or rollback that becomes active ends it.
 * {"verb":"shadow", "op": "stop"}   it ends: the last counts are in show shadow soon.  error not_found: nothing is tried
 * {"verb":"confirm", "generation"?: N (if it is another that waits: not_found), "comment"?}
 *   → "generation": N, "left_s": X        error not_found: nothing waits; refused: it is being taken back
 */
#ifndef SL_MGMT_API_H
#define SL_MGMT_API_H

#include "sluice/base.h"

#define SL_VERSION "0.1.0"       /* of sluiced and sluicectl */
#define SL_API_MAGIC 0x49504153u /* "SAPI" */
#define SL_API_VERSION 1
#define SL_API_MAX (64u << 20) /* bytes of JSON in one frame */
#define SL_API_CLIENTS 64
#define SL_TRIAL_S 30          /* for which a table is tried unless asked otherwise, */
#define SL_TRIAL_MAX_S 3600    /* and at most */
#define SL_CONFIRM_MAX_S 86400 /* longest time in which a push may be confirmed */
#define SL_API_SOCKET                                                                              \
	"/run/sluice/api.sock" /* unless sluiced.conf or sluicectl -s says otherwise */

struct sl_api_head {
	uint32_t magic;   /* SL_API_MAGIC */
	uint16_t version; /* SL_API_VERSION */
	uint16_t zero;
	uint32_t len; /* bytes of JSON that follow, [2, SL_API_MAX] */
};
static_assert(sizeof(struct sl_api_head) == 12, "no holes");

#endif
