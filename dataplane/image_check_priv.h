/* image_check_priv — what the files of image_check share: a look at one object, and the words for what is wrong.
 * Threads: [main].  Private to image_check*.c. */
#ifndef SL_DATAPLANE_IMAGE_CHECK_PRIV_H
#define SL_DATAPLANE_IMAGE_CHECK_PRIV_H

#include "dataplane/image_check.h"

#define SL_LOOK_NOWHERE UINT32_MAX /* a problem of the fixed part, not of a record */

struct sl_look {
	const uint8_t *bytes;
	size_t size;
	const char *what;
	struct sl_diag *diag;
	unsigned bad;
	size_t end; /* of what has been laid out so far: fixed part and sections */
	bool gaps;  /* every section so far was in place: bytes between them can be checked */
};

/* A section as declared: cnt records of `each` bytes at off. */
struct sl_look_section {
	const char *name;
	uint32_t cnt;
	uint32_t off;
	uint32_t min, max; /* of cnt */
	uint32_t each;
};

/* sl_look_bad: "SECTION[idx].FIELD: TEXT", or without the index (SL_LOOK_NOWHERE). */
void sl_look_bad(struct sl_look *c, const char *section, uint32_t idx, const char *field,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

void sl_look_name(struct sl_look *c, const char *section, uint32_t idx, const char *field,
		  const char name[SL_NAME_MAX]);

/* sl_look_slot marks slot in the bitmap `taken`; complains when it is out of range or taken. */
void sl_look_slot(struct sl_look *c, const char *section, uint32_t idx, uint32_t slot, uint32_t max,
		  uint64_t *taken);

/* sl_look_order: order is how the record before compares with this one; must be below 0. */
void sl_look_order(struct sl_look *c, const char *section, uint32_t idx, int order, const char *by);

/* sl_look_open: the first record of the section, or NULL: empty or not readable (then it was said why). */
const void *sl_look_open(struct sl_look *c, const struct sl_look_section *s);

static inline void
sl_look_range(struct sl_look *c, const char *section, uint32_t idx, const char *field, uint32_t v,
	      uint32_t min, uint32_t max)
{
	if (sl_unlikely(v < min || v > max))
		sl_look_bad(c, section, idx, field, "is %u, must be in [%u, %u]", v, min, max);
}

static inline void
sl_look_zero(struct sl_look *c, const char *section, uint32_t idx, const char *field, uint32_t v)
{
	if (sl_unlikely(v != 0))
		sl_look_bad(c, section, idx, field, "is %u, must be 0", v);
}

/* ---- characters ---- */

/* sl_look_token: a token (RFC 9110, 5.6.2); lower: without A–Z. */
bool sl_look_token(const uint8_t *s, size_t len, bool lower);
/* sl_look_plain: no controls but the tab; sl_look_field_content: nor white space around it (RFC 9110, 5.5). */
bool sl_look_plain(const uint8_t *s, size_t len);
bool sl_look_field_content(const uint8_t *s, size_t len);
bool sl_look_lower(const uint8_t *s, size_t len); /* no A–Z */
/* sl_look_path: as it goes into a request line: "/", then what is visible, without query and fragment. */
bool sl_look_path(const uint8_t *s, size_t len);
/* Letters (lower: small ones), digits, ".", "-", "_"; "[2001:db8::1]"; either with a port or without. */
bool sl_look_host_chars(const uint8_t *s, size_t len, bool lower);
bool sl_look_host_v6(const uint8_t *s, size_t len);
bool sl_look_authority(const uint8_t *s, size_t len);

/* ---- strings ---- */

/* The section `str` of the object under look. */
struct sl_look_strings {
	struct sl_look *c;
	const uint8_t *at; /* NULL: empty, or not readable */
	uint32_t bytes;
	bool lost; /* not readable: what points into it is not looked at */
};

void sl_look_strings_open(struct sl_look_strings *t, struct sl_look *c, uint32_t bytes,
			  uint32_t off);

/* sl_look_string: the string's bytes when it lies in the section and its length is in [min, max]; else NULL, and it was said
 * why.  An empty one that may be is "". */
const uint8_t *sl_look_string(const struct sl_look_strings *t, const char *section, uint32_t i,
			      const char *field, struct sl_img_str s, uint32_t min, uint32_t max);

/* sl_look_string_at, _cmp: without a word; what is out of place is empty. */
const uint8_t *sl_look_string_at(const struct sl_look_strings *t, struct sl_img_str s,
				 uint32_t *ret_len);
int sl_look_string_cmp(const struct sl_look_strings *t, struct sl_img_str a, struct sl_img_str b);

/* sl_look_bad_text says `why` of the text, of which it shows the beginning. */
void sl_look_bad_text(struct sl_look *c, const char *section, uint32_t i, const char *field,
		      const uint8_t *s, uint32_t len, const char *why);

/* ---- kinds ---- */

#define SL_LOOK_MS_MAX 604800000u

/* Of image_check_http.c and image_check_vhost.c. */
void sl_look_routes(struct sl_look *c);
void sl_look_vhost(struct sl_look *c);
void sl_look_authz(struct sl_look *c); /* a set of rules, with the layout of a VHOST */
void sl_look_shard(struct sl_look *c);
void sl_look_http_service(struct sl_look *c, const struct sl_img_service *s);

/* Of image_check_policy.c: the sections of policy of a virtual host, NULL: empty, or not readable.  open: in their order, between
 * edits and strings. */
struct sl_look_policy {
	const struct sl_img_vhost *img;
	const struct sl_img_policy *policies;
	const struct sl_img_rate *rates;
	const struct sl_img_policy_ref *policy_refs;
	const struct sl_img_cors *cors;
	const struct sl_img_fault *faults;
};
void sl_look_policy_open(struct sl_look_policy *p, struct sl_look *c);
void sl_look_policy(const struct sl_look_policy *p, const struct sl_look_strings *str);
/* A limit of any section. */
void sl_look_rate(struct sl_look *c, const char *section, const struct sl_img_rate *r, uint32_t i);

/* Of image_check_jwt.c. */
void sl_look_jwt(struct sl_look *c);

/* Of image_check_levels.c: subsets, levels and the levels' sections.  endpoints NULL: none, or not readable. */
void sl_look_levels(struct sl_look *c, const struct sl_img_service *s,
		    const struct sl_img_endpoint *endpoints);

/* Of image_check_tls.c: the sections behind trust, with what listeners (NULL: none, or not readable) say of them; the part behind
 * the ring. */
void sl_look_tls(struct sl_look *c, const struct sl_img_listeners *ls,
		 const struct sl_img_listener *l);
void sl_look_service_tls(struct sl_look *c, const struct sl_img_service *s);

#endif
