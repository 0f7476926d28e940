/* conf_priv — what the readers of a table file have in common: the key table as rows, and the walk that goes by it.
 *
 *   conf_keys.c  the rows          conf_walk.c    tree → structs or drafts, by the rows
 *   conf_tree.c  text → tree       conf_routes.c  drafts → structs
 *                                  conf_jwt.c     of issuers of tokens,
 *                                  conf_authz.c   rules
 *                                  conf_policy.c  what of policy may stand together,
 *                                  conf_traffic.c of CORS, faults, hedging,
 *                                  conf_policy.c  what of policy may stand together
 *                                  conf_rate.c    of limits
 *                                  conf_tls.c     likewise of TLS
 */
#ifndef SL_MGMT_CONF_PRIV_H
#define SL_MGMT_CONF_PRIV_H

#include "mgmt/conf.h"
#include "mgmt/conf_tree.h"

enum group {
	ROOT,
	GATEWAY,
	NETWORK,
	ADDRESS,
	ROUTE,
	SERVICE,
	TCP,
	HTTP,
	STLS, /* of services */
	HASH,
	BUDGET,
	EJECTION,
	BANDWIDTH,
	ADAPTIVE,
	HEALTH,
	AGENT,
	ENDPOINT,
	DISCOVER,
	SUBSET,
	ZONES,
	LISTENER,
	LTLS, /* of listeners */
	SNI,
	TABLE,
	VHOST,
	HROUTE,
	HEADER,
	PARAMETER,
	COOKIE,
	IDENTITY,
	TARGET,
	STICKY,
	REDIRECT,
	RESPOND,
	REWRITE,
	RETRY,
	MIRROR,
	EDIT,
	POLICY, /* of tables, hosts, routes */
	JWT,
	AUTHZ,
	RULE,
	RULE_CLAIM,
	CLAIM,
	CORS,
	FAULT,
	FAULT_DELAY,
	FAULT_ABORT,
	HEDGE,
	RATE, /* of limits */
	GROUPS
};

enum type {
	INT,
	NAME,
	ADDR,
	IFADDR,
	PREFIX,
	TUNNEL,
	VIP,
	PORTS,
	PROBE,
	DURATION,
	SIZE,
	PERCENT,
	HEX64,
	PATH,
	HOST,
	CODES,
	WORD,
	BOOL,
	SERVER,  /* a server name to an array of SL_HOST_MAX */
	SERVERS, /* likewise, or "*." and one */
	LOCALITY,
	QUESTION,
	HELD, /* text of a body to an array of SL_HEALTH_BODY_MAX */
	/* texts of drafts: a pointer into the tree; lo, hi are bytes */
	TEXT,
	PLAIN,
	TOKEN,
	FIELD,
	RPATH,
	TEMPLATE,
	EXPANSION,
	AUTHORITY,
	/* not scalars */
	SUB,
	LIST,
	ADDRS,
	PREFIXES,
	HOSTS,
	NAMES,
	SANS,
	ORIGINS,
	TOKENS,
	ALPNS,
	TEXTS,
	VALUES, /* to struct text_draft: pointers into the tree */
	METAS,
	LINES,
	WORDS,
	INTS
};

enum need { OPTIONAL, REQUIRED };

struct word {
	const char *text; /* NULL ends the list */
	uint32_t value;
};

struct key {
	const char *name;
	uint8_t group;    /* enum group */
	uint8_t type;     /* enum type */
	uint8_t need;     /* enum need */
	uint8_t sub;      /* SUB, LIST: enum group of the members */
	uint32_t off;     /* of the field in the group's struct */
	uint32_t size;    /* of the field; of lists: of an element */
	uint32_t cnt_off; /* of lists: of the count; INTS: places of the field */
	int64_t lo, hi;   /* lists: hi: most elements */
	const struct word *words;
	const char *def, *range, *help;
};

extern const struct key sl_keys[];
extern const unsigned sl_key_cnt;
extern const char *const sl_type_text[]; /* by enum type: "an integer" */
#define MAX_GROUP_KEYS 32

struct walk {
	const char *file;
	struct sl_diag *diag;
	struct {
		const struct key *key; /* rows of the group */
		unsigned cnt;
	} group[GROUPS];
	char path[256]; /* of the setting we are at */
	size_t path_len;
	unsigned told; /* problems reported */
	bool clean;    /* for a finish: nothing was wrong within the group */
	bool shape_bad; /* a whole group or list could not be read: cross checks would only echo that */
	bool oom;
};

/* Where the keys of a group do not say the fields one to one they fill a draft, and finish makes the struct of it: always
 * called, also when something was wrong; what it cannot make stays zeroed.  s: the group's setting. */
struct group_info {
	size_t draft; /* bytes; 0: the struct itself is filled, and finish may still look at it */
	void (*finish)(struct walk *w, const struct sl_node *s, void *draft, void *out);
};
extern const struct group_info sl_group_info[GROUPS];
#define MAX_DRAFT 1024

/* sl_walk_tree: the whole tree to c, problems to w->diag. */
void sl_walk_tree(struct walk *w, const struct sl_node *root, struct sl_conf *c);

/* For finishes.  tell: one problem at the path; push returns what pop takes. */
size_t sl_walk_push(struct walk *w, const char *key);
void sl_walk_pop(struct walk *w, size_t was);
void sl_walk_tell(struct walk *w, const struct sl_node *s, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* A key of s that is missing, in the words of its row. */
void sl_walk_missing(struct walk *w, const struct sl_node *s, enum group g, const char *key);
/* The line of s, 0: NULL. */
int sl_walk_line(const struct sl_node *s);

/* ---- drafts ---- */

struct cond_draft {
	const char *name, *exact, *prefix, *suffix, *contains, *regex, *range;
	bool present, invert, icase;
};

struct pick_draft {
	const char *header, *cookie, *query;
	bool source, set;
	uint32_t ttl_ms;
};

#define SL_CONF_ORIGIN_MAX 288 /* a scheme, a name of 253, a port */
struct cors_draft {
	char (*origins)[SL_CONF_ORIGIN_MAX];
	struct sl_img_tls_name *headers, *expose;
	uint32_t origin_cnt, header_cnt, expose_cnt;
	uint32_t methods, max_age_ms;
	bool credentials;
};

struct redirect_draft {
	const char *host, *path, *prefix, *expansion;
	uint16_t code, port;
	bool https, http, strip_query;
};

struct respond_draft {
	const char *body, *content_type;
	uint16_t code;
};

struct rewrite_draft {
	const char *prefix, *expansion, *path, *host;
};

struct retry_draft {
	uint32_t attempts, on, backoff_ms, backoff_max_ms;
	uint16_t codes[SL_RETRY_CODES_MAX];
};

struct claim_draft {
	const char *claim, *header;
};

struct jwt_draft {
	char name[SL_NAME_MAX];
	const char *issuer, *jwks, *ca, *payload_header;
	struct sl_conf_text *audiences, *from;
	struct sl_conf_jwt_claim *claims;
	uint32_t audience_cnt, from_cnt, claim_cnt, leeway_ms, interval_ms;
	bool forward;
};

struct edit_draft {
	const char *set, *add, *append, *remove, *value;
};

struct text_draft {
	const char *text; /* NULL: was no text */
	int line;
};

/* The keys of a rule that have lists, in the order of sl_conf_rule.any; [1]: not_… */
#define RULE_PORTS 16
struct rule_draft {
	char name[SL_NAME_MAX];
	uint8_t action;
	bool icase;
	struct text_draft *identities[2], *namespaces[2], *trust_domains[2], *service_accounts[2];
	struct text_draft *hosts[2], *methods[2], *paths[2], *server_names[2];
	struct sl_img_prefix *addresses[2], *remotes[2];
	uint32_t identity_cnt[2], namespace_cnt[2], trust_domain_cnt[2], service_account_cnt[2];
	uint32_t host_cnt[2], method_cnt[2], path_cnt[2], server_name_cnt[2];
	uint32_t address_cnt[2], remote_cnt[2];
	uint16_t ports[RULE_PORTS], not_ports[RULE_PORTS]; /* 0: unused */
	struct sl_conf_cond *headers, *claims;
	uint32_t header_cnt, claim_cnt;
};
static_assert(sizeof(struct rule_draft) <= MAX_DRAFT, "");

struct route_draft {
	char name[SL_NAME_MAX];
	const char *path, *prefix, *template, *path_regex;
	bool icase;
	uint32_t methods;
	struct sl_conf_cond *headers, *query, *cookies;
	uint32_t header_cnt, query_cnt, cookie_cnt;
	struct sl_conf_cond identity;
	char service[SL_NAME_MAX], subset[SL_NAME_MAX];
	struct sl_conf_target *split, *mirror;
	uint32_t split_cnt, mirror_cnt;
	struct pick_draft sticky;
	struct redirect_draft redirect;
	struct respond_draft respond;
	struct rewrite_draft rewrite;
	uint32_t timeout_ms, try_ms, idle_ms;
	struct retry_draft retry;
	struct sl_conf_edit *edits[2];
	uint32_t edit_cnt[2];
	struct sl_conf_policy policy;
};
static_assert(sizeof(struct route_draft) <= MAX_DRAFT, "");

/* conf_routes.c */
void sl_finish_hash(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_listener(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_header(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_parameter(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_cookie(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_edit(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_route(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_identity(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_conf_tables_free(struct sl_conf *c);

/* What becomes of keys that stand together.  given: whether s has it.  out_of_place tells one that is there and goes only
 * with others. */
bool sl_conf_given(const struct sl_node *s, const char *key);
void sl_conf_out_of_place(struct walk *w, const struct sl_node *s, const char *key,
			  const char *with);

struct rate_draft {
	struct sl_conf_rate rate;
	const char *header;
};

/* conf_rate.c */
void sl_finish_rate(struct walk *w, const struct sl_node *s, void *draft, void *out);

/* conf_jwt.c */
void sl_finish_jwt(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_claim(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_conf_jwts_free(struct sl_conf *c);

/* conf_policy.c */
void sl_finish_policy(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_conf_policy_fini(struct sl_conf_policy *p);

/* conf_traffic.c */
void sl_finish_cors(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_fault(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_fault_delay(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_fault_abort(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_hedge(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_conf_cors_fini(struct sl_conf_cors *c);

/* conf_authz.c */
void sl_finish_rule(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_authz(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_rule_claim(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_conf_authz_free(struct sl_conf *c);

/* conf_tls.c */
void sl_finish_listener_tls(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_health(struct walk *w, const struct sl_node *s, void *draft, void *out);
void sl_finish_service_tls(struct walk *w, const struct sl_node *s, void *draft, void *out);
/* What of a listener's TLS goes with its mode; s: the listener. */
void sl_finish_tls_mode(struct walk *w, const struct sl_node *s, const struct sl_conf_listener *l);
void sl_conf_tls_fini(struct sl_conf_tls *t);

#endif
