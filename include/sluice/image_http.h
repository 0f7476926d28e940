/* image_http — the part of the table format that HTTP goes by: route tables, virtual hosts, Hyperscan databases.
 *
 * Included by image.h, whose rules hold here: ranges are checked as written, offsets count from the start of the object,
 * sections stand in the order of their fields.  Objects name each other by what does not move: services and virtual
 * hosts by slot and incarnation, shards by id; so an object changes only when its own text does.
 */
#ifndef SLUICE_IMAGE_HTTP_H
#define SLUICE_IMAGE_HTTP_H

#include "sluice/image.h"

/* ---- ROUTES: a route table ---- */

/* Bytes in the section `str` of the object; off + len ≤ str_bytes.  Empty: both 0. */
struct sl_img_str {
	uint32_t off, len;
};

enum sl_slash_2f { SL_2F_KEEP = 0, SL_2F_DECODE = 1, SL_2F_REJECT = 2 };

/* What holds for all requests of the table. */
struct sl_img_http {
	uint32_t header_ms; /* for a whole request head, from its first byte; [1, 600000] → 408 */
	uint32_t idle_ms;   /* a client's connection between two requests; [1, 604800000] */
	uint32_t
		stream_idle_ms; /* no byte of a request or answer either way; [1, 604800000] → 408, 504 */
	uint32_t max_head;      /* bytes of a request head, [1024, SL_HTTP_HEAD_MAX] → 431 */
	uint32_t max_headers;   /* [1, SL_HTTP_HEADERS_MAX] → 431 */
	uint32_t conn_requests; /* requests of one client connection; 0: no limit */
	uint64_t max_body;      /* bytes of a request body; 0: no limit → 413 */
	uint8_t slash_2f;       /* enum sl_slash_2f: what %2F in a path is */
	uint8_t merge_slashes;  /* 1: "//" is "/" */
	uint8_t trusted_hops; /* entries of x-forwarded-for, from its end, that are believed; 0: the header of the
			       * client is thrown away */
	uint8_t log; /* 1: each request goes to the access log */
	uint32_t zero;
};
static_assert(sizeof(struct sl_img_http) == 40, "");

enum sl_host_kind { /* in order of precedence; of one kind the longest name wins */
		    SL_HOST_EXACT = 1, /* "shop.example" */
		    SL_HOST_SUFFIX =
			    2, /* "*.example": name is ".example"; something stands before it */
		    SL_HOST_PREFIX = 3, /* "shop.*": name is "shop."; something stands behind it */
		    SL_HOST_ANY = 4,    /* "*" */
};

struct sl_img_host {
	uint32_t kind;          /* enum sl_host_kind */
	uint32_t vhost;         /* slot, of the generation */
	struct sl_img_str name; /* lower case, [1, 253]; ANY: empty */
};

struct sl_img_routes {
	struct sl_obj_head head;
	char name[SL_NAME_MAX];
	struct sl_img_http http;
	uint32_t host_cnt, host_off; /* struct sl_img_host[] sorted by (kind, name), distinct */
	uint32_t str_bytes, str_off;
};
static_assert(sizeof(struct sl_img_routes) == 136, "");

/* ---- VHOST: a virtual host's routes ---- */

#define SL_HTTP_HEAD_MAX 61440 /* bytes of a head */
#define SL_HTTP_HEADERS_MAX 100

/* Methods with a bit of their own, RFC 9110 and RFC 5789; X(NAME).  Others are OTHER and go by their text. */
#define SL_METHODS(X)                                                                              \
	X(GET)                                                                                     \
	X(HEAD)                                                                                    \
	X(POST)                                                                                    \
	X(PUT)                                                                                     \
	X(DELETE)                                                                                  \
	X(CONNECT)                                                                                 \
	X(OPTIONS)                                                                                 \
	X(TRACE)                                                                                   \
	X(PATCH)
enum sl_method {
#define X(NAME) SL_METHOD_##NAME,
	SL_METHODS(X)
#undef X
		SL_METHOD_OTHER,
	SL_METHOD_CNT
};

enum sl_field {
	SL_FIELD_PATH = 1, /* normalised, without the query */
	SL_FIELD_METHOD = 2,
	SL_FIELD_HEADER = 3, /* lines of the same name joined by ", " (RFC 9110, 5.3) */
	SL_FIELD_QUERY = 4,  /* first parameter of the name, decoded */
	SL_FIELD_COOKIE = 5, /* first cookie of the name */
	/* of AUTHZ alone: what a name has several of is looked at one by one, and any of them fulfils a condition */
	SL_FIELD_LINES = 6, /* lines of a header, and what they come to joined, as HEADER has it */
	SL_FIELD_CLAIM = 7, /* values of a verified token's claim (l7/match.h) */
};
#define SL_FIELD_LAST SL_FIELD_CLAIM

enum sl_cond_op {
	SL_COND_EXACT = 1,
	SL_COND_SEGMENTS =
		2, /* PATH: value "/api" holds "/api" and "/api/…"; "" holds every path */
	SL_COND_TEMPLATE =
		3, /* PATH: segments, each literal, {name} (one) or, last, {name=**} or {**} (any number) */
	SL_COND_PREFIX = 4, /* bytes, as the following */
	SL_COND_SUFFIX = 5,
	SL_COND_CONTAINS = 6, /* by Hyperscan, as */
	SL_COND_REGEX = 7,    /* this: the whole value matches */
	SL_COND_PRESENT = 8,
	SL_COND_RANGE = 9, /* a decimal integer in [lo, hi) */
	SL_COND_IN = 10,   /* METHOD: lo has the bit of enum sl_method */
};

enum {
	SL_COND_INVERT =
		1
		<< 0, /* holds when it would not, also when there is no such header, parameter, cookie */
	SL_COND_ICASE = 1 << 1, /* letters A–Z and a–z are alike; value is lower case */
};

/* The HEADER of this name is none that a client can send: it is the identity in the client's certificate, where one was verified
 * (its first URI SAN, else its first DNS SAN); else there is no such header. */
#define SL_IDENTITY_NAME ":identity"
/* Likewise in AUTHZ, besides; values as l7/authz.h says. */
#define SL_OWN_NAMES(X)                                                                            \
	X(SOURCE, ":source")                                                                       \
	X(REMOTE, ":remote")                                                                       \
	X(HOST, ":host")                                                                           \
	X(PORT, ":port")                                                                           \
	X(SNI, ":sni")                                                                             \
	X(TRUST_DOMAIN, ":trust-domain")                                                           \
	X(NAMESPACE, ":namespace")                                                                 \
	X(SERVICE_ACCOUNT, ":service-account")                                                     \
	X(ACCOUNT, ":account")

struct sl_img_cond {
	uint8_t field; /* enum sl_field */
	uint8_t op;    /* enum sl_cond_op */
	uint8_t flags; /* SL_COND_INVERT, SL_COND_ICASE */
	uint8_t zero;
	uint32_t scan; /* CONTAINS, REGEX: index into scans; else 0 */
	uint32_t
		pattern; /* of these: id in the scan's base, or base_cnt + id in its delta; else 0 */
	uint32_t zero1;
	struct sl_img_str name; /* HEADER (lower case), QUERY, COOKIE: [1, 255]; else empty */
	struct sl_img_str
		value; /* [0, 4096]; PRESENT, RANGE, IN: empty.  REGEX, CONTAINS: as written: the pattern is made of it
			* and of nothing else, and match reads it, too */
	int64_t lo, hi; /* RANGE, IN; else 0 */
};
static_assert(sizeof(struct sl_img_cond) == 48, "");

/* Databases that answer for one field of one name: at most two scans. */
struct sl_img_scan {
	uint8_t field; /* enum sl_field: PATH, HEADER, QUERY, COOKIE */
	uint8_t zero[7];
	struct sl_img_str name; /* as in the conditions */
	struct sl_obj_id base;  /* SHARD */
	struct sl_obj_id delta; /* SHARD, or all 0: none */
	uint32_t base_cnt;      /* pattern ids of base are below this, [1, 65536] */
	uint32_t delta_cnt;     /* likewise, [0, 256] */
};
static_assert(sizeof(struct sl_img_scan) == 88, "");

enum sl_action {
	SL_ACTION_FORWARD = 1,  /* to one of its targets */
	SL_ACTION_REDIRECT = 2, /* 301 302 303 307 308 */
	SL_ACTION_RESPOND = 3,  /* code and body from here */
};

enum sl_rewrite {
	SL_REWRITE_NONE = 0,
	SL_REWRITE_PREFIX = 1, /* what the route's SEGMENTS condition matched becomes `path` */
	SL_REWRITE_TEMPLATE =
		2, /* the whole path becomes `path`, {name} the captures of its TEMPLATE condition */
	SL_REWRITE_PATH = 3, /* the whole path becomes `path` */
};

enum sl_sticky {
	SL_STICKY_NONE = 0,
	SL_STICKY_HEADER = 1,
	SL_STICKY_COOKIE = 2,
	SL_STICKY_SOURCE = 3
};

/* What makes a request be tried again, while nothing of the answer went to the client and no byte of a body was sent. */
enum {
	SL_RETRY_CONNECT = 1 << 0, /* the connection could not be made; always safe */
	SL_RETRY_REUSED =
		1
		<< 1, /* a reused connection ended before any byte of the answer; idempotent methods only */
	SL_RETRY_RESET =
		1
		<< 2, /* the connection ended before any byte of the answer, whatever the method */
	SL_RETRY_5XX = 1 << 3,
	SL_RETRY_GATEWAY = 1 << 4, /* 502 503 504 */
	SL_RETRY_CODES = 1 << 5,   /* retry_codes */
	SL_RETRY_TIMEOUT = 1 << 6, /* try_ms passed */
	SL_RETRY_ALL = (1 << 7) - 1,
};
#define SL_RETRY_CODES_MAX 8
#define SL_MAX_TARGETS 64 /* of one route */
#define SL_MAX_MIRRORS 4
#define SL_MAX_EDITS 32 /* of one route, each way */

struct sl_img_http_route {
	/* read per request */
	uint32_t slot; /* [0, SL_MAX_HTTP_ROUTES), distinct over the generation: statistics */
	uint32_t incarnation;          /* [1, 65535] */
	uint32_t cond_first, cond_cnt; /* into cond_ids; all hold.  [0, 64] */
	uint8_t action;                /* enum sl_action */
	uint8_t rewrite;               /* FORWARD: enum sl_rewrite.  REDIRECT, too */
	uint8_t sticky;                /* enum sl_sticky: how a target is kept; NONE: by chance */
	uint8_t retries;               /* further tries, [0, SL_MAX_RETRIES] */
	uint16_t code;                 /* REDIRECT, RESPOND: [200, 599]; else 0 */
	uint16_t retry_on;             /* SL_RETRY_* */
	uint32_t target_first, target_cnt; /* FORWARD: into targets, [1, SL_MAX_TARGETS]; else 0 */
	uint32_t weight_sum;               /* FORWARD: of the targets, ≥ 1 */
	uint32_t
		timeout_ms; /* whole answer's beginning, tries included → 504; 0: none; ≤ 604800000 */
	uint32_t try_ms;                     /* of one try; 0: none */
	uint32_t stream_idle_ms;             /* 0: that of the table */
	uint32_t edit_first[2], edit_cnt[2]; /* [0] of the request, [1] of the answer */
	uint32_t mirror_first, mirror_cnt;   /* [0, SL_MAX_MIRRORS] */
	/* read when its action wants it */
	struct sl_img_str sticky_name; /* HEADER (lower case), COOKIE */
	struct sl_img_str
		host; /* FORWARD: `host` sent to the endpoint; REDIRECT: in Location; empty: kept */
	struct sl_img_str path;         /* of rewrite; begins with "/" */
	struct sl_img_str body;         /* RESPOND: [0, 65536] */
	struct sl_img_str content_type; /* RESPOND with a body */
	uint32_t backoff_ms,
		backoff_max_ms; /* before the n-th retry: random in [0, min(max, base × 2^n)); 0: none */
	uint16_t retry_codes[SL_RETRY_CODES_MAX]; /* SL_RETRY_CODES: [400, 599], 0: unused */
	uint16_t
		redirect_port; /* REDIRECT: 0: the request's, or none where host or scheme change */
	uint8_t redirect_https; /* REDIRECT: 0: scheme kept, 1: https, 2: http */
	uint8_t strip_query;    /* REDIRECT */
	uint32_t policy;        /* index into policies + 1; 0: none */
	char name[SL_NAME_MAX]; /* distinct in the virtual host */
};
static_assert(sizeof(struct sl_img_http_route) == 208, "");

struct sl_img_target {
	uint32_t service; /* slot; SL_FORWARD_PROXY */
	uint32_t incarnation;
	uint32_t weight; /* [0, 10^6] */
	uint32_t subset; /* of the service: 0: the whole; else 1 + index into its subsets */
};

struct sl_img_mirror {
	uint32_t service;
	uint32_t incarnation;
	uint32_t per_million; /* of the requests */
	uint32_t zero;
};

enum sl_edit_op {
	SL_EDIT_SET = 1,    /* one line with the value in place of all of the name */
	SL_EDIT_ADD = 2,    /* one line more */
	SL_EDIT_APPEND = 3, /* ", value" behind the last one; none: a line */
	SL_EDIT_REMOVE = 4, /* all lines of the name */
};

/* In order.  The names of sl_http_reserved() (framing, hop-by-hop, host) are refused. */
struct sl_img_edit {
	uint32_t op; /* enum sl_edit_op */
	uint32_t zero;
	struct sl_img_str name;  /* as it is sent, a token, [1, 255] */
	struct sl_img_str value; /* field-content, [0, 4096]; REMOVE: empty */
};

struct sl_img_vhost {
	struct sl_obj_head head;
	char name[SL_NAME_MAX];
	char table[SL_NAME_MAX];
	uint32_t route_cnt,
		route_off; /* struct sl_img_http_route[] in list order: the first that matches wins */
	uint32_t cond_cnt, cond_off;       /* struct sl_img_cond[]: distinct conditions */
	uint32_t cond_id_cnt, cond_id_off; /* uint32_t[]: indices into conds, padded with 0 */
	uint32_t scan_cnt, scan_off;       /* struct sl_img_scan[] */
	uint32_t target_cnt, target_off;   /* struct sl_img_target[] */
	uint32_t mirror_cnt, mirror_off;   /* struct sl_img_mirror[] */
	uint32_t edit_cnt, edit_off;       /* struct sl_img_edit[] */
	/* image_policy.h */
	uint32_t policy_cnt, policy_off;         /* struct sl_img_policy[]: distinct */
	uint32_t rate_cnt, rate_off;             /* struct sl_img_rate[] */
	uint32_t policy_ref_cnt, policy_ref_off; /* struct sl_img_policy_ref[] */
	uint32_t cors_cnt, cors_off;             /* struct sl_img_cors[] */
	uint32_t fault_cnt, fault_off;           /* struct sl_img_fault[] */
	uint32_t str_bytes, str_off;             /* padded with 0 */
};
static_assert(sizeof(struct sl_img_vhost) == 248, "");

/* ---- SHARD: a Hyperscan database ---- */

/* All its patterns have one set of flags: HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | HS_FLAG_DOTALL, block mode.  A full match
 * is written ^(?:…)\z. */
struct sl_img_shard {
	struct sl_obj_head head;
	uint32_t pattern_cnt; /* ids are [0, this) */
	uint32_t db_bytes;    /* ≥ 1 */
	uint32_t
		db_off; /* uint8_t[]: as hs_serialize_database made it, on this host; padded with 0 */
	uint32_t zero;
};
static_assert(sizeof(struct sl_img_shard) == 32, "");

#endif
