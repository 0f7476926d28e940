/* The rows of conf_keys.def, with the words and the places of fields that they speak of. */
#include "mgmt/conf_priv.h"

#include "sluice/streams.h"

#define SL_RANGE_NAME "1 to 63 letters, digits, '.', '_', '-', a letter or digit first"
#define SL_RANGE_ADDR "an address, as 192.0.2.1 or 2001:db8::1"
#define SL_RANGE_TOKEN "1 to 255 letters, digits and !#$%&'*+-.^_`|~"
#define SL_RANGE_SHORT_TOKEN "1 to 63 letters, digits and !#$%&'*+-.^_`|~"
#define SL_RANGE_FIELD "at most 4096 bytes without control characters, no blank first or last"
#define SL_RANGE_TEXT "at most 4096 bytes without control characters"
#define SL_RANGE_TEXT1 "1 to 4096 bytes without control characters"
#define SL_RANGE_TEXT255 "1 to 255 bytes without control characters"
#define SL_RANGE_PATH "a path from / on without query, at most 4096 bytes"
#define SL_RANGE_TEMPLATE                                                                          \
	"a path whose segments are literal, {name} or, last, {name=**}; at most 16 of these"
#define SL_RANGE_EXPANSION "a path with {name} of the route's template in it"
#define SL_RANGE_AUTHORITY "a host name or address, with or without a port"
#define SL_RANGE_SERVICE "the name of a service"
#define SL_RANGE_IDLE "1ms to 168h, as 1h"
#define SL_RANGE_BANDWIDTH "1k to 1024g bytes a second, as 10m; 0: no limit"
#define SL_RANGE_LIMIT "0 to 2147483647; 0: no limit"
#define SL_RANGE_SAN "a host name, or a URI, which may end with *, as spiffe://domain/ns/prod/*"
#define SL_RANGE_ORIGIN "an origin, as https://shop.example or https://*.example, or \"*\" for all"
#define SL_RANGE_LOCALITY "up to three names with / between, as eu/a/r7"
#define SL_RANGE_META                                                                              \
	"pairs, as \"version=v2\", of names and values of letters, digits, '.', '_', '-', '/'"
#define SL_RANGE_LINE                                                                              \
	"headers, as \"x-probe: sluice\", none that the gateway sets, at most 1023 bytes in all"
#define SL_RANGE_QUESTION "1 to 255 letters, digits, '.', '_', '-', '/'"
#define SL_RANGE_STARS "texts, also with * first or last, or \"*\": any"
#define SL_RANGE_PREFIXES "addresses and prefixes, as 192.0.2.0/24 or 2001:db8::/32"
#define SL_MAX_RULES 16384
#define SL_HELP_POLICY                                                                             \
	"limits, rules, tokens: of all requests here, beside what is said further out"
#define SL_MAX_MS 604800000
#define SL_MAX_TEXT 4096

/* The struct or draft a group's fields belong to. */
#define ROOT_STRUCT struct sl_conf
#define GATEWAY_STRUCT struct sl_conf
#define NETWORK_STRUCT struct sl_conf
#define ADDRESS_STRUCT struct sl_conf_address
#define ROUTE_STRUCT struct sl_conf_route
#define SERVICE_STRUCT struct sl_conf_service
#define TCP_STRUCT struct sl_conf_tcp
#define HTTP_STRUCT struct sl_conf_http
#define STLS_STRUCT struct sl_conf_tls
#define HASH_STRUCT struct pick_draft
#define BUDGET_STRUCT struct sl_conf_http
#define EJECTION_STRUCT struct sl_conf_http
#define BANDWIDTH_STRUCT struct sl_conf_bandwidth
#define ADAPTIVE_STRUCT struct sl_conf_http
#define HEALTH_STRUCT struct sl_health_conf
#define AGENT_STRUCT struct sl_health_conf
#define ENDPOINT_STRUCT struct sl_conf_endpoint
#define DISCOVER_STRUCT struct sl_conf_discover
#define SUBSET_STRUCT struct sl_conf_subset
#define ZONES_STRUCT struct sl_conf_zones
#define LISTENER_STRUCT struct sl_conf_listener
#define LTLS_STRUCT struct sl_conf_tls
#define SNI_STRUCT struct sl_conf_sni
#define TABLE_STRUCT struct sl_conf_table
#define VHOST_STRUCT struct sl_conf_vhost
#define HROUTE_STRUCT struct route_draft
#define HEADER_STRUCT struct cond_draft
#define PARAMETER_STRUCT struct cond_draft
#define COOKIE_STRUCT struct cond_draft
#define IDENTITY_STRUCT struct cond_draft
#define TARGET_STRUCT struct sl_conf_target
#define STICKY_STRUCT struct pick_draft
#define REDIRECT_STRUCT struct redirect_draft
#define RESPOND_STRUCT struct respond_draft
#define REWRITE_STRUCT struct rewrite_draft
#define RETRY_STRUCT struct retry_draft
#define MIRROR_STRUCT struct sl_conf_target
#define EDIT_STRUCT struct edit_draft
#define POLICY_STRUCT struct sl_conf_policy
#define JWT_STRUCT struct jwt_draft
#define CLAIM_STRUCT struct claim_draft
#define AUTHZ_STRUCT struct sl_conf_authz
#define RULE_STRUCT struct rule_draft
#define RULE_CLAIM_STRUCT struct cond_draft
#define CORS_STRUCT struct cors_draft
#define FAULT_STRUCT struct sl_conf_fault
#define FAULT_DELAY_STRUCT struct sl_conf_fault
#define FAULT_ABORT_STRUCT struct sl_conf_fault
#define HEDGE_STRUCT struct sl_conf_hedge
#define RATE_STRUCT struct rate_draft

/* What a list of the group holds. */
#define ADDRESS_ELEM struct sl_conf_address
#define ROUTE_ELEM struct sl_conf_route
#define SERVICE_ELEM struct sl_conf_service
#define ENDPOINT_ELEM struct sl_conf_endpoint
#define DISCOVER_ELEM struct sl_conf_discover
#define SUBSET_ELEM struct sl_conf_subset
#define LISTENER_ELEM struct sl_conf_listener
#define SNI_ELEM struct sl_conf_sni
#define TABLE_ELEM struct sl_conf_table
#define VHOST_ELEM struct sl_conf_vhost
#define HROUTE_ELEM struct sl_conf_hroute
#define HEADER_ELEM struct sl_conf_cond
#define PARAMETER_ELEM struct sl_conf_cond
#define COOKIE_ELEM struct sl_conf_cond
#define TARGET_ELEM struct sl_conf_target
#define MIRROR_ELEM struct sl_conf_target
#define EDIT_ELEM struct sl_conf_edit
#define JWT_ELEM struct sl_conf_jwt
#define CLAIM_ELEM struct sl_conf_jwt_claim
#define AUTHZ_ELEM struct sl_conf_authz
#define RULE_ELEM struct sl_conf_rule
#define RULE_CLAIM_ELEM struct sl_conf_cond
#define RATE_ELEM struct sl_conf_rate

const struct group_info sl_group_info[GROUPS] = {
	[HASH] = {sizeof(struct pick_draft), sl_finish_hash},
	[STLS] = {0, sl_finish_service_tls},
	[HEALTH] = {0, sl_finish_health},
	[LISTENER] = {0, sl_finish_listener},
	[LTLS] = {0, sl_finish_listener_tls},
	[HROUTE] = {sizeof(struct route_draft), sl_finish_route},
	[HEADER] = {sizeof(struct cond_draft), sl_finish_header},
	[PARAMETER] = {sizeof(struct cond_draft), sl_finish_parameter},
	[COOKIE] = {sizeof(struct cond_draft), sl_finish_cookie},
	[IDENTITY] = {sizeof(struct cond_draft), sl_finish_identity},
	[EDIT] = {sizeof(struct edit_draft), sl_finish_edit},
	[POLICY] = {0, sl_finish_policy},
	[JWT] = {sizeof(struct jwt_draft), sl_finish_jwt},
	[CLAIM] = {sizeof(struct claim_draft), sl_finish_claim},
	[AUTHZ] = {0, sl_finish_authz},
	[RULE] = {sizeof(struct rule_draft), sl_finish_rule},
	[RULE_CLAIM] = {sizeof(struct cond_draft), sl_finish_rule_claim},
	[CORS] = {sizeof(struct cors_draft), sl_finish_cors},
	[FAULT] = {0, sl_finish_fault},
	[FAULT_DELAY] = {0, sl_finish_fault_delay},
	[FAULT_ABORT] = {0, sl_finish_fault_abort},
	[HEDGE] = {0, sl_finish_hedge},
	[RATE] = {sizeof(struct rate_draft), sl_finish_rate},
};

/* What conf_keys.def says about pairs of fields. */
static_assert(offsetof(struct sl_conf_address, plen) == offsetof(struct sl_conf_address, addr) + 16,
	      "");
static_assert(offsetof(struct sl_conf_route, plen) == offsetof(struct sl_conf_route, prefix) + 16,
	      "");
static_assert(offsetof(struct sl_conf_service, tunnel_plen) ==
		      offsetof(struct sl_conf_service, tunnel) + 16,
	      "");
static_assert(offsetof(struct sl_conf_listener, plen) ==
		      offsetof(struct sl_conf_listener, addr) + 16,
	      "");
static_assert(offsetof(struct sl_conf_listener, port_last) ==
		      offsetof(struct sl_conf_listener, port) + sizeof(uint16_t),
	      "");
static_assert(offsetof(struct sl_conf_endpoint, probe_port) ==
		      offsetof(struct sl_conf_endpoint, probe_addr) + 16,
	      "");

#define FORWARD_WORD(id, text) {text, SL_FORWARD_##id},
#define POLICY_WORD(id, text) {text, SL_POLICY_##id},
static const struct word forward_words[] = {SL_FORWARDS(FORWARD_WORD){NULL, 0}};
static const struct word policy_words[] = {SL_POLICIES(POLICY_WORD){NULL, 0}};
static const struct word health_words[] = {
	{"none", SL_HEALTH_NONE}, {"tcp", SL_HEALTH_TCP}, {"http", SL_HEALTH_HTTP}, {NULL, 0}};
static const struct word through_words[] = {
	{"host", SL_THROUGH_HOST}, {"port", SL_THROUGH_PORT}, {NULL, 0}};
#define PROBE_METHOD_WORD(id, text) {text, SL_HEALTH_##id},
static const struct word probe_method_words[] = {SL_HEALTH_METHODS(PROBE_METHOD_WORD){NULL, 0}};
static const struct word record_words[] = {{"address", SL_RECORD_ADDRESS},
					   {"ipv4", SL_RECORD_IPV4},
					   {"ipv6", SL_RECORD_IPV6},
					   {"srv", SL_RECORD_SRV},
					   {NULL, 0}};
static const struct word empty_words[] = {{"keep", 0}, {"accept", 1}, {NULL, 0}};
static const struct word fallback_words[] = {{"none", 0}, {"any", 1}, {NULL, 0}};
static const struct word protocol_words[] = {
	{"tcp", SL_IPPROTO_TCP}, {"udp", SL_IPPROTO_UDP}, {NULL, 0}};
#define MODE_WORD(id, text) {text, SL_MODE_##id},
#define PROXY_OUT_WORD(id, text) {text, SL_PROXY_##id},
static const struct word mode_words[] = {SL_LISTENER_MODES(MODE_WORD){NULL, 0}};
#define ANNOUNCE_WORD(id, text) {text, SL_ANNOUNCE_##id},
static const struct word announce_words[] = {SL_ANNOUNCES(ANNOUNCE_WORD){NULL, 0}};
static const struct word proxy_out_words[] = {SL_PROXY_OUTS(PROXY_OUT_WORD){NULL, 0}};
static const struct word version_words[] = {{"1.2", SL_TLS_1_2}, {"1.3", SL_TLS_1_3}, {NULL, 0}};
#define CLIENT_WORD(id, text) {text, SL_TLS_CLIENT_##id},
#define XFCC_WORD(id, text) {text, SL_XFCC_##id},
#define SUITE_WORD(id, text) {text, SL_TLS_SUITE_##id},
#define GROUP_WORD(id, text) {text, SL_TLS_GROUP_##id},
static const struct word client_words[] = {SL_TLS_CLIENTS(CLIENT_WORD){NULL, 0}};
static const struct word plaintext_words[] = {{"refuse", 0}, {"accept", 1}, {NULL, 0}};
static const struct word xfcc_words[] = {SL_XFCCS(XFCC_WORD){NULL, 0}};
static const struct word suite_words[] = {SL_TLS_SUITE_WORDS(SUITE_WORD){NULL, 0}};
static const struct word group_words[] = {SL_TLS_GROUP_WORDS(GROUP_WORD){NULL, 0}};
static const struct word cc_words[] = {{"cubic", SL_CC_CUBIC}, {"reno", SL_CC_RENO}, {NULL, 0}};
static const struct word rate_words[] = {{"all", SL_RATE_ALL},
					 {"source", SL_RATE_SOURCE},
					 {"identity", SL_RATE_IDENTITY},
					 {"header", SL_RATE_HEADER},
					 {NULL, 0}};
static const struct word slash_words[] = {
	{"keep", SL_2F_KEEP}, {"decode", SL_2F_DECODE}, {"reject", SL_2F_REJECT}, {NULL, 0}};
/* CONNECT is no path's: the gateway answers it itself. */
static const struct word method_words[] = {{"GET", 1u << SL_METHOD_GET},
					   {"HEAD", 1u << SL_METHOD_HEAD},
					   {"POST", 1u << SL_METHOD_POST},
					   {"PUT", 1u << SL_METHOD_PUT},
					   {"DELETE", 1u << SL_METHOD_DELETE},
					   {"OPTIONS", 1u << SL_METHOD_OPTIONS},
					   {"TRACE", 1u << SL_METHOD_TRACE},
					   {"PATCH", 1u << SL_METHOD_PATCH},
					   {NULL, 0}};
static const struct word rule_words[] = {
	{"deny", SL_AUTHZ_DENY}, {"allow", SL_AUTHZ_ALLOW}, {"audit", SL_AUTHZ_AUDIT}, {NULL, 0}};
static const struct word otherwise_words[] = {
	{"allow", SL_AUTHZ_ALLOW}, {"deny", SL_AUTHZ_DENY}, {NULL, 0}};
static const struct word retry_words[] = {
	{"connect", SL_RETRY_CONNECT},       {"reused", SL_RETRY_REUSED},
	{"reset", SL_RETRY_RESET},           {"5xx", SL_RETRY_5XX},
	{"gateway-error", SL_RETRY_GATEWAY}, {"timeout", SL_RETRY_TIMEOUT},
	{"codes", SL_RETRY_CODES},           {NULL, 0}};

const char *const sl_type_text[] = {
	[INT] = "an integer",
	[NAME] = "a string (a name)",
	[ADDR] = "a string (an address)",
	[IFADDR] = "a string (an address with its prefix length)",
	[PREFIX] = "a string (a prefix)",
	[TUNNEL] = "a string (a prefix)",
	[VIP] = "a string (an address or prefix)",
	[PORTS] = "an integer, or a string (a range)",
	[PROBE] = "a string (an address)",
	[DURATION] = "a string (a duration)",
	[SIZE] = "a string (a size)",
	[PERCENT] = "a string (a percentage)",
	[HEX64] = "a string (hexadecimal digits)",
	[PATH] = "a string (a path)",
	[HOST] = "a string (a host)",
	[CODES] = "a string (status codes)",
	[WORD] = "a string (a word)",
	[BOOL] = "true or false",
	[SERVER] = "a string (a host name)",
	[SERVERS] = "a string (a host name)",
	[LOCALITY] = "a string (a locality)",
	[QUESTION] = "a string (a name)",
	[HELD] = "a string",
	[TEXT] = "a string",
	[PLAIN] = "a string",
	[TOKEN] = "a string (a name)",
	[FIELD] = "a string",
	[RPATH] = "a string (a path)",
	[TEMPLATE] = "a string (a template)",
	[EXPANSION] = "a string (a path)",
	[AUTHORITY] = "a string (a host)",
	[SUB] = "a group { ... }",
	[LIST] = "a list ( ... )",
	[ADDRS] = "a list of strings (addresses)",
	[PREFIXES] = "a list of strings (addresses and prefixes)",
	[HOSTS] = "a list of strings (host names)",
	[NAMES] = "a list of strings (names)",
	[SANS] = "a list of strings (names of peers)",
	[ORIGINS] = "a list of strings (origins)",
	[TOKENS] = "a list of strings (names of headers)",
	[ALPNS] = "a list of strings (protocols)",
	[TEXTS] = "a list of strings",
	[VALUES] = "a list of strings",
	[METAS] = "a list of strings (pairs)",
	[LINES] = "a list of strings (headers)",
	[WORDS] = "a list of strings (words)",
	[INTS] = "a list of integers",
};

#define FIELD_SIZE(s, f) sizeof(((s *)0)->f)
const struct key sl_keys[] = {
#define SL_KEY(g, k, t, f, l, h, n, d, r, t2)                                                      \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = t,                                                                                \
	 .need = n,                                                                                \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = FIELD_SIZE(g##_STRUCT, f),                                                        \
	 .lo = l,                                                                                  \
	 .hi = h,                                                                                  \
	 .def = d,                                                                                 \
	 .range = r,                                                                               \
	 .help = t2},
#define SL_WORD(g, k, w, f, n, d, t2)                                                              \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = WORD,                                                                             \
	 .need = n,                                                                                \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = FIELD_SIZE(g##_STRUCT, f),                                                        \
	 .words = w,                                                                               \
	 .def = d,                                                                                 \
	 .help = t2},
#define SL_SUB(g, k, s, o, t2)                                                                     \
	{.name = #k, .group = g, .type = SUB, .sub = s, .off = o, .help = t2},
#define SL_LIST(g, k, s, f, c, m, t2)                                                              \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = LIST,                                                                             \
	 .sub = s,                                                                                 \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = sizeof(s##_ELEM),                                                                 \
	 .cnt_off = offsetof(g##_STRUCT, c),                                                       \
	 .hi = m,                                                                                  \
	 .help = t2},
#define KEY_ARRAY(g, k, t, each, f, c, m, r, t2)                                                   \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = t,                                                                                \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = sizeof(each),                                                                     \
	 .cnt_off = offsetof(g##_STRUCT, c),                                                       \
	 .hi = m,                                                                                  \
	 .range = r,                                                                               \
	 .help = t2},
#define SL_ADDRS(g, k, f, c, m, r, t2) KEY_ARRAY(g, k, ADDRS, struct sl_addr, f, c, m, r, t2)
#define SL_PREFIXES(g, k, f, c, m, r, t2)                                                          \
	KEY_ARRAY(g, k, PREFIXES, struct sl_img_prefix, f, c, m, r, t2)
#define SL_VALUES(g, k, f, c, m, r, t2) KEY_ARRAY(g, k, VALUES, struct text_draft, f, c, m, r, t2)
#define SL_HOSTS(g, k, f, c, m, r, t2)                                                             \
	KEY_ARRAY(g, k, HOSTS, struct sl_conf_hostname, f, c, m, r, t2)
#define SL_NAMES(g, k, f, c, m, t2)                                                                \
	KEY_ARRAY(g, k, NAMES, struct sl_img_tls_name, f, c, m, SL_RANGE_NAME, t2)
#define SL_SANS(g, k, f, c, m, t2)                                                                 \
	KEY_ARRAY(g, k, SANS, struct sl_img_tls_san, f, c, m, SL_RANGE_SAN, t2)
#define SL_ORIGINS(g, k, f, c, m, t2)                                                              \
	KEY_ARRAY(g, k, ORIGINS, char[SL_CONF_ORIGIN_MAX], f, c, m, SL_RANGE_ORIGIN, t2)
#define SL_TOKENS(g, k, f, c, m, t2)                                                               \
	KEY_ARRAY(g, k, TOKENS, struct sl_img_tls_name, f, c, m, SL_RANGE_SHORT_TOKEN, t2)
#define SL_ALPNS(g, k, f, c, m, t2)                                                                \
	KEY_ARRAY(g, k, ALPNS, struct sl_img_tls_alpn, f, c, m,                                    \
		  "1 to 31 visible characters, as http/1.1", t2)
#define SL_TEXTS(g, k, f, c, m, r, t2) KEY_ARRAY(g, k, TEXTS, struct sl_conf_text, f, c, m, r, t2)
#define SL_WORDS(g, k, w, f, d, t2)                                                                \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = WORDS,                                                                            \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = FIELD_SIZE(g##_STRUCT, f),                                                        \
	 .words = w,                                                                               \
	 .def = d,                                                                                 \
	 .help = t2},
#define SL_METAS(g, k, f, r, t2)                                                                   \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = METAS,                                                                            \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = FIELD_SIZE(g##_STRUCT, f),                                                        \
	 .range = r,                                                                               \
	 .help = t2},
#define SL_LINES(g, k, f, r, t2)                                                                   \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = LINES,                                                                            \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = FIELD_SIZE(g##_STRUCT, f),                                                        \
	 .range = r,                                                                               \
	 .help = t2},
#define SL_INTS(g, k, f, l, h, m, r, t2)                                                           \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = INTS,                                                                             \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = FIELD_SIZE(g##_STRUCT, f) / (m),                                                  \
	 .cnt_off = (m),                                                                           \
	 .lo = l,                                                                                  \
	 .hi = h,                                                                                  \
	 .range = r,                                                                               \
	 .help = t2},
#include "mgmt/conf_keys.def"
};
const unsigned sl_key_cnt = SL_ARRAY_CNT(sl_keys);
