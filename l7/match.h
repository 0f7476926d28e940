/* match — host → virtual host, request → route (design.md section 9).
 *
 *   host ─▶ sl_hosts_find ─▶ virtual host ─▶ sl_match_find ─▶ route, or none
 *
 * Built by main from validated objects when a generation is (image_http.h), and shared by generations that hold the same
 * object; the image holds plain lists, all indices are made here.  Every distinct condition is a predicate; a route is filed
 * under its most selective one; what a hash or the segment trie answers costs no scan; the lists of the predicates that held are
 * merged in list order and verified until the first route matches.  A database is scanned only when some route filed under
 * it, or a candidate being verified, asks for it, and at most once (base and delta) a request.
 * Threads: create, destroy [main]; find [worker], with the worker's own scratch.  Pure: no clock, no allocation in find.
 * Cost:    flat from 10 to 10,000 routes, also for the last route and for none.
 */
#ifndef SL_L7_MATCH_H
#define SL_L7_MATCH_H

#include "l7/http1.h"

struct sl_match; /* of a VHOST */
struct sl_hosts; /* of a ROUTES */
struct hs_database;
struct hs_scratch;

#define SL_MATCH_NONE UINT32_MAX
#define SL_CAPTURES_MAX 16

/* ---- built by main ---- */

/* The databases of img's scans, in their order; of the caller, and outlive the match. */
struct sl_match_dbs {
	const struct hs_database *base, *delta; /* delta: NULL: none */
};

/* 0, -ENOMEM, -E2BIG (templates overlap in more than 32 ways at one depth: the compiler refuses that before). */
int sl_match_create(const struct sl_img_vhost *img, const struct sl_match_dbs *dbs,
		    struct sl_match **ret_match);
void sl_match_destroy(struct sl_match *m);
const struct sl_img_vhost *sl_match_img(const struct sl_match *m);

/* Host names of a table.  vhost[i]: what img's i-th host leads to, an index of the caller's. */
int sl_hosts_create(const struct sl_img_routes *img, const uint32_t *vhost,
		    struct sl_hosts **ret_hosts);
void sl_hosts_destroy(struct sl_hosts *h);

/* ---- asked by workers ---- */

/* sl_hosts_find: host without port, any case; a trailing dot is ignored.  The caller's index, or SL_MATCH_NONE.  Empty (HTTP/1.0
 * without Host): "*" only. */
uint32_t sl_hosts_find(const struct sl_hosts *h, const uint8_t *host, uint32_t len);

/* What a verified token says: "groups" = "admin".  An object's members are named "outer.inner", each element of a list is a
 * claim of its own; numbers and truth stand as JSON writes them. */
struct sl_claim {
	struct sl_bytes name, value;
};

struct sl_match_input {
	const struct sl_http_head *head; /* headers, cookies, method */
	const uint8_t *path;             /* normalised */
	const uint8_t *query;
	uint32_t path_len, query_len;
	/* of the client's verified certificate: what conditions on the header ":identity" look at (no client can send such a
	 * name).  NULL: there is none */
	const uint8_t *identity;
	uint32_t identity_len;
	/* of AUTHZ: what else stands beside the headers, by names that no client can send; and claims */
	const struct sl_match_own *own;
	const struct sl_claim *claims;
	uint32_t own_cnt, claim_cnt;
	/* .at NULL, or the path as an endpoint may read it, too: an inverted condition on the path holds only when it holds for
	 * both */
	struct sl_bytes loose;
};

/* As if it were a header: a name of SL_OWN_NAMES. */
struct sl_match_own {
	struct sl_bytes name, value;
	uint16_t hash; /* sl_http_name_hash of the name */
};

/* A worker's working memory, for matches of any size in turn: bytes ≥ sl_match_bytes of the largest one, zeroed once,
 * line-aligned.  hs: scratch that fits all databases of the generation; NULL when there are none. */
struct sl_match_scratch {
	void *mem;
	size_t bytes;
	struct hs_scratch *hs;
};
size_t sl_match_bytes(const struct sl_match *m); /* what find needs of scratch.mem */

struct sl_match_result {
	uint32_t route;  /* index into img's routes, or SL_MATCH_NONE */
	uint32_t prefix; /* bytes of the path that its SEGMENTS condition matched; 0: none */
	uint32_t capture_cnt;
	struct {
		uint16_t off,
			len; /* of the path: of each {…} of its TEMPLATE condition, in order */
	} capture[SL_CAPTURES_MAX];
	uint32_t verified, scanned; /* candidates looked at; databases scanned: for people */
};

/* sl_match_find: the first route in list order all of whose conditions hold. */
uint32_t sl_match_find(const struct sl_match *m, const struct sl_match_input *in,
		       struct sl_match_scratch *scratch, struct sl_match_result *ret);
/* sl_match_find_from: likewise, of the routes from that one on. */
uint32_t sl_match_find_from(const struct sl_match *m, const struct sl_match_input *in,
			    struct sl_match_scratch *scratch, uint32_t from,
			    struct sl_match_result *ret);

/* sl_match_holds: whether condition `cond` of the object holds; for explain and tests, the slow way. */
bool sl_match_holds(const struct sl_match *m, const struct sl_match_input *in,
		    struct sl_match_scratch *scratch, uint32_t cond);

/* ---- requests' own values ---- */

/* sl_cookie_find: the first cookie of the name, over all Cookie lines. */
bool sl_cookie_find(const struct sl_http_head *head, const uint8_t *name, uint32_t name_len,
		    const uint8_t **ret, uint32_t *ret_len);

#endif
