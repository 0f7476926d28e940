/* authz — who may what: a set of rules and a request, or a connection, to one verdict.
 *
 *   rules (table file) ─▶ alternatives: DENY…, ALLOW…, the set's default, AUDIT… ─▶ routes of an AUTHZ object ─▶ match
 *
 * A rule holds when one value of each of its conditions does; each such choice of values is an alternative, so that the
 * first alternative that matches decides: a DENY, whatever else allows; then an ALLOW; then the default: a DENY
 * without conditions, where the set has ALLOW rules or says so; else nothing does, and the request is allowed.
 *
 * In doubt a request is denied.  What endpoints may read in two ways, rules read in both:
 *   - the path in normal form, and `loose`: all codes undone, without parameters (";…"), a backslash and %2F as slashes,
 *     "//" and dots gone.  A DENY counts for either; of an ALLOW what must not hold holds for neither;
 *   - the compiler has DENY rules look at LINES of headers, ignore the case of paths, and meet "/a" and "/a/" alike.
 *
 * Threads: built by main, asked by workers with their own scratch.  Pure: no clock, nothing allocated.
 * Not here: what becomes of a denial (http_authz.c, relay.c), tokens (http_jwt.c).
 */
#ifndef SL_L7_AUTHZ_H
#define SL_L7_AUTHZ_H

#include "l7/match.h"
#include "sluice/stats.h"

/* Of a view; pointers into the generation. */
struct sl_authz {
	const struct sl_img_vhost *img; /* AUTHZ; NULL: no set of this slot */
	const struct sl_match *match;
	uint32_t audit_first; /* index of the first AUDIT; route_cnt: none */
	uint16_t incarnation;
	bool streams; /* all conditions are such that connections of mode tcp can be judged by them */
};

/* sl_authz_init: what is read off the object. */
void sl_authz_init(struct sl_authz *a, const struct sl_img_vhost *img, const struct sl_match *match,
		   uint16_t incarnation);

/* ---- who asks ---- */

#define SL_AUTHZ_OWN_MAX 9
#define SL_AUTHZ_ACCOUNT_MAX 256
struct sl_authz_who {
	const struct sl_addr *source; /* as packets or the PROXY header say */
	const struct sl_addr
		*remote;          /* as trusted entries of x-forwarded-for say, else as source */
	struct sl_bytes identity; /* of the verified certificate; .at NULL: none */
	struct sl_bytes
		host; /* without port, any case; a dot at its end is left out; .len 0: none */
	struct sl_bytes sni; /* .len 0: none */
	uint16_t port;       /* of the listener */
};

/* Values of SL_OWN_NAMES: addresses are 32 hex digits, of an IPv4 address those of its IPv4-mapped one; the port is decimal; of
 * a SPIFFE id "spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT" its parts, and NAMESPACE/SERVICE-ACCOUNT where
 * that has at most SL_AUTHZ_ACCOUNT_MAX bytes (no rule names a longer one); of another one the trust domain alone. */
struct sl_authz_own {
	struct sl_match_own own[SL_AUTHZ_OWN_MAX];
	uint32_t cnt;
	uint8_t source[32], remote[32], port[5], account[SL_AUTHZ_ACCOUNT_MAX];
};
/* sl_authz_own: ret points into itself and to what who points to. */
void sl_authz_own(const struct sl_authz_who *who, struct sl_authz_own *ret);

/* sl_authz_remote: the client's address as head's x-forwarded-for has it, of which the last `hops` entries are believed: the first
 * of these; source where hops is 0, there are none, or it is no address. */
struct sl_addr sl_authz_remote(const struct sl_http_head *head, unsigned hops,
			       const struct sl_addr *source);

/* sl_authz_loose: path, in normal form, as a lenient endpoint may read it.  buf has room for len bytes.  .at NULL: no
 * otherwise. */
struct sl_bytes sl_authz_loose(const uint8_t *path, uint32_t len, uint8_t *buf);

/* ---- the verdict ---- */

struct sl_authz_verdict {
	bool denied;    /* as rules have it */
	bool told_only; /* denied, but the set only says so: it is audit_only */
	uint32_t rule;  /* the alternative that decided, or SL_MATCH_NONE: none did */
	uint32_t audit; /* the first AUDIT that matches, or SL_MATCH_NONE */
	uint32_t verified, scanned;
};

/* sl_authz_judge: in->loose is not set; loose: of sl_authz_loose. */
void sl_authz_judge(const struct sl_authz *a, const struct sl_match_input *in,
		    struct sl_bytes loose, struct sl_match_scratch *scratch,
		    struct sl_authz_verdict *ret);

/* sl_authz_count: of the set, and of the rules that decided it, by their slots (rules: [SL_MAX_RULE_SLOTS]). */
void sl_authz_count(const struct sl_authz *a, const struct sl_authz_verdict *v,
		    struct sl_stats_authz *set, struct sl_stats_authz *rules);

/* sl_authz_rule: the name of an alternative's rule, "default" for the set's. */
const char *sl_authz_rule(const struct sl_authz *a, uint32_t alternative);

#endif
