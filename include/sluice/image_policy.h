/* image_policy — the part of the table format that policy goes by: limits, who may what, tokens, faults.
 *
 * Included by image.h, whose rules hold here.  A virtual host has rows of policy; a route names one of them, in which what its
 * table, its host and itself say has been put together.  Sets of rules and issuers of tokens are objects of their own,
 * named by slot and incarnation: a rule or a key that changes leaves routes as they are.
 *
 *   VHOST  routes[].policy ──▶ policies[] ──┬▶ rates[]               tokens, by value
 *                                           ├▶ policy_refs[] ──▶ AUTHZ (a VHOST's layout), JWT
 *                                           └▶ cors[], faults[]
 *   SERVICE  rates, bandwidth: by value
 *
 * Order in which a request meets them: CORS preflight, token (JWT), rules (AUTHZ), limits of the route, fault, limits of the
 * service, breakers.
 */
#ifndef SLUICE_IMAGE_POLICY_H
#define SLUICE_IMAGE_POLICY_H

#include "sluice/image.h"

#define SL_MAX_RATES 1024 /* slots in the gateway */
#define SL_MAX_ROUTE_RATES 8
#define SL_MAX_ROUTE_REFS 8 /* AUTHZ and JWT of a route together */
#define SL_MAX_SERVICE_RATES 4

/* ---- limits ---- */

enum sl_rate_key {                     /* one bucket for … */
		   SL_RATE_ALL = 1,    /* all requests */
		   SL_RATE_SOURCE = 2, /* each client address, under plen4 and plen6 */
		   SL_RATE_IDENTITY =
			   3, /* each identity of a verified certificate; requests without one share a bucket */
		   SL_RATE_HEADER = 4, /* each value of a header; likewise */
};

enum {
	SL_RATE_HEADERS = 1 << 0, /* answers carry x-ratelimit-limit, -remaining, -reset */
	SL_RATE_SHARED =
		1
		<< 1, /* over all gateways of the group: the number here is all of it; what this gateway has
				  * of it is in the shared words (state.h) */
};

/* `tokens` tokens; one that was taken is back `per_ms` after it was: so in any window of per_ms at most `tokens`
 * requests pass, and that many do when they come at once. */
struct sl_img_rate {
	uint32_t slot;            /* [0, SL_MAX_RATES) */
	uint32_t incarnation;     /* [1, 65535] */
	uint32_t tokens;          /* [1, 10^7] */
	uint32_t per_ms;          /* [10, 86400000] */
	uint32_t keys;            /* buckets at a time, [1, 2^20]; ALL: 0 */
	uint8_t key;              /* enum sl_rate_key */
	uint8_t flags;            /* SL_RATE_* */
	uint8_t plen4, plen6;     /* SOURCE: [1, 32], [1, 128]; else 0 */
	char header[SL_NAME_MAX]; /* HEADER: lower case, a token; else all 0 */
	char name[SL_NAME_MAX];
};
static_assert(sizeof(struct sl_img_rate) == 152, "");

/* ---- who may what ---- */

/* An AUTHZ object (SL_OBJ_AUTHZ) has the layout of struct sl_img_vhost: `name` is the set's, `table` all 0, of the sections only
 * routes, conds, cond_ids, scans and strings have records.  Its routes are what its rules come to, in this order:
 *
 *   DENY…, ALLOW…, one DENY without conditions (where what no rule allows is denied), AUDIT…, which decide nothing
 *
 * Of a route there are: name (the rule's; several routes have it), action, code (DENY: 403, or 0: only told), conditions,
 * slot (1 + the place of the rule's counters, [0, SL_MAX_RULE_SLOTS]; 0: it has none of its own), incarnation 1; all else is 0.
 * See l7/authz.h. */
enum sl_authz_action { SL_AUTHZ_DENY = 1, SL_AUTHZ_ALLOW = 2, SL_AUTHZ_AUDIT = 3 };
#define SL_AUTHZ_ALTERNATIVES_MAX 65536 /* routes of a set */
#define SL_AUTHZ_DEFAULT "default"      /* the name of that DENY, and of no rule */

/* ---- tokens ---- */

#define SL_MAX_JWT_KEYS 64
#define SL_MAX_JWT_AUDIENCES 16
#define SL_MAX_JWT_FROM 8
#define SL_MAX_JWT_CLAIMS 8
#define SL_JWT_TEXT_MAX 255    /* bytes of a key's id, a claim's name, a place */
#define SL_JWT_SPKI_MAX 1024   /* RSA of 4,096 bits has about 550 */
#define SL_JWT_LEEWAY_MAX 3600 /* s */

enum sl_jwt_alg { SL_JWT_RS256 = 1, SL_JWT_ES256 = 2, SL_JWT_EDDSA = 3 };

/* A public key.  What it is made of is found out where it is used (l7/jwt_keys.h): RS256: RSA, [2048, 4096] bits; ES256: a point of
 * P-256; EDDSA: Ed25519. */
struct sl_img_jwt_key {
	uint32_t alg; /* enum sl_jwt_alg */
	uint32_t zero;
	struct sl_img_str
		kid; /* [0, SL_JWT_TEXT_MAX]; no two keys have the same alg and the same kid, but for "" */
	struct sl_img_str spki; /* SubjectPublicKeyInfo, DER, [1, SL_JWT_SPKI_MAX] */
};
static_assert(sizeof(struct sl_img_jwt_key) == 24, "");

enum sl_jwt_place {
	SL_JWT_FROM_BEARER = 1, /* Authorization: Bearer; name empty */
	SL_JWT_FROM_HEADER = 2, /* the whole value */
	SL_JWT_FROM_COOKIE = 3,
	SL_JWT_FROM_QUERY = 4,
};

struct sl_img_jwt_from {
	uint32_t place; /* enum sl_jwt_place */
	uint32_t zero;
	struct sl_img_str
		name; /* [1, SL_JWT_TEXT_MAX]; HEADER: a token, lower case; COOKIE: a token */
};
static_assert(sizeof(struct sl_img_jwt_from) == 16, "");

struct sl_img_jwt_claim {
	struct sl_img_str claim;  /* [1, SL_JWT_TEXT_MAX] */
	struct sl_img_str header; /* a token, lower case, none of sl_http_reserved */
};

enum {
	SL_JWT_STRIP = 1 << 0, /* endpoints do not see the token */
};

/* A JWT object: an issuer, and its keys as far as they are known. */
struct sl_img_jwt {
	struct sl_obj_head head;
	char name[SL_NAME_MAX];
	uint32_t key_cnt,
		key_off; /* struct sl_img_jwt_key[], [0, SL_MAX_JWT_KEYS]; 0: not known yet, every token is refused */
	uint32_t audience_cnt,
		audience_off;        /* struct sl_img_str[], each [1, SL_JWT_TEXT_MAX]; none: any */
	uint32_t from_cnt, from_off; /* struct sl_img_jwt_from[], [1, SL_MAX_JWT_FROM], in order */
	uint32_t claim_cnt, claim_off; /* struct sl_img_jwt_claim[] */
	uint32_t str_bytes, str_off;   /* padded with 0 */
	struct sl_img_str issuer;      /* [0, 1024]: `iss`; empty: any */
	struct sl_img_str
		payload_header; /* lower case: gets the claims as sent, base64url; empty: not */
	uint32_t leeway_s;      /* [0, SL_JWT_LEEWAY_MAX] */
	uint32_t flags;         /* SL_JWT_STRIP */
};
static_assert(sizeof(struct sl_img_jwt) == 144, "");

/* ---- CORS ---- */

struct sl_img_cors {
	struct sl_img_str
		origins; /* patterns with a NUL behind each: "*", "https://a.example", and with "*." before a name (of one label or more) */
	struct sl_img_str
		methods; /* as sent in access-control-allow-methods, "GET, PUT"; empty: what was asked for */
	struct sl_img_str headers; /* likewise -allow-headers */
	struct sl_img_str expose;  /* access-control-expose-headers; empty: none */
	uint32_t max_age_s;        /* UINT32_MAX: not sent */
	uint32_t credentials;      /* 0, 1 */
};
static_assert(sizeof(struct sl_img_cors) == 40, "");

/* ---- faults ---- */

struct sl_img_fault {
	uint32_t delay_ppm, delay_ms; /* of the requests, [0, 10^6]; [0, 3600000] */
	uint32_t abort_ppm;
	uint16_t abort_status; /* [200, 599]; 0: none */
	/* 1: only for requests that ask by x-sluice-fault-delay (ms, at most delay_ms), -abort (status), -percent (at most *_ppm) */
	uint8_t by_header;
	uint8_t zero;
	uint32_t
		max_active; /* of the whole gateway, delays under way by this policy; 0: no limit */
	uint32_t counter;   /* where these are counted, [0, SL_FAULT_COUNTERS): by who says it, so
			     * that routes of one policy share it */
};
static_assert(sizeof(struct sl_img_fault) == 24, "");

/* What a route says is counted at its slot, what a virtual host says behind these, what a table says behind those. */
#define SL_FAULT_OF_VHOST SL_MAX_HTTP_ROUTES
#define SL_FAULT_OF_TABLE (SL_FAULT_OF_VHOST + SL_MAX_VHOSTS)
#define SL_FAULT_COUNTERS (SL_FAULT_OF_TABLE + SL_MAX_TABLES)

/* ---- what a route goes by ---- */

struct sl_img_policy_ref {
	uint32_t kind; /* SL_OBJ_AUTHZ, SL_OBJ_JWT */
	uint32_t slot;
	uint32_t incarnation;
	uint32_t flags; /* JWT: 1: a request without a token is refused (401).  AUTHZ: 0 */
};

struct sl_img_policy {
	uint32_t rate_first, rate_cnt; /* into rates, [0, SL_MAX_ROUTE_RATES] */
	uint32_t ref_first,
		ref_cnt; /* into policy_refs: JWT first, then AUTHZ; [0, SL_MAX_ROUTE_REFS] */
	uint32_t cors;   /* index into cors + 1; 0: none */
	uint32_t fault;  /* likewise */
	uint32_t
		hedge_ms; /* FORWARD, idempotent methods: another try beside the first after this; 0: never */
	uint32_t hedge_max; /* further tries, [1, SL_MAX_RETRIES]; hedge_ms 0: 0 */
	struct sl_img_str
		sticky_cookie; /* set for clients that have none, so that the split keeps them; empty: not */
	uint32_t sticky_ttl_s; /* its max-age; 0: for the session */
	uint32_t zero;
};
static_assert(sizeof(struct sl_img_policy) == 48, "");

#endif
