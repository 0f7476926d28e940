#include "mgmt/rate_share_doc.h"

#include "mgmt/conf_value.h"
#include "mgmt/source.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define SAY(why, size, ...) (snprintf(why, size, __VA_ARGS__), -EINVAL)

/* ---- entries ---- */

struct sl_share_entry *
sl_share_doc_find(struct sl_share_doc *d, uint64_t session)
{
	for (unsigned i = 0; i < d->cnt; i++)
		if (d->e[i].session == session)
			return &d->e[i];
	return NULL;
}

struct sl_share_entry *
sl_share_doc_add(struct sl_share_doc *d, uint64_t session)
{
	unsigned at = d->cnt;

	if (d->cnt == SL_SHARE_GATEWAYS)
		return NULL;
	for (; at > 0 && d->e[at - 1].session > session; at--)
		d->e[at] = d->e[at - 1];
	d->cnt++;
	memset(&d->e[at], 0, sizeof(d->e[at]));
	d->e[at].session = session;
	return &d->e[at];
}

void
sl_share_doc_remove(struct sl_share_doc *d, struct sl_share_entry *e)
{
	memmove(e, e + 1, (size_t)(d->e + d->cnt - (e + 1)) * sizeof(*e));
	d->cnt--;
}

uint64_t
sl_share_doc_sum(const struct sl_share_doc *d)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < d->cnt; i++)
		sum += d->e[i].share;
	return sum;
}

bool
sl_share_doc_equal(const struct sl_share_doc *a, const struct sl_share_doc *b)
{
	return a->cnt == b->cnt && memcmp(a->e, b->e, a->cnt * sizeof(a->e[0])) == 0;
}

/* ---- reading ---- */

/* Within [min, max]. */
static bool
number(const json_t *o, const char *key, uint64_t min, uint64_t max, uint64_t *ret)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(v);
	return *ret >= min && *ret <= max;
}

static bool
session_of(const json_t *o, uint64_t *ret)
{
	const char *text = json_string_value(json_object_get(o, "session"));
	uint64_t n = 0;

	if (!text || strlen(text) != 16)
		return false;
	for (unsigned i = 0; i < 16; i++) {
		const char *digits = "0123456789abcdef", *at = strchr(digits, text[i]);
		if (!at)
			return false;
		n = n << 4 | (uint64_t)(at - digits);
	}
	*ret = n;
	return n != 0;
}

static int
read_entry(const json_t *o, struct sl_share_doc *d, char *why, size_t size)
{
	const char *name = json_string_value(json_object_get(o, "gateway"));
	uint64_t session, share, floor, want, per, seq;
	char gateway[SL_NAME_MAX];

	if (!json_is_object(o) || !session_of(o, &session))
		return SAY(why, size, "has an entry without a session");
	if (!name || sl_value_name(name, gateway))
		return SAY(why, size, "has an entry %016" PRIx64 " without a gateway's name",
			   session);
	if (!number(o, "share", 0, SL_SHARE_TOKENS_MAX, &share) ||
	    !number(o, "floor", 0, SL_SHARE_TOKENS_MAX, &floor) ||
	    !number(o, "want", 0, SL_SHARE_TOKENS_MAX, &want))
		return SAY(why, size,
			   "has an entry of %s whose share, floor or want is not within 0 to %u",
			   gateway, SL_SHARE_TOKENS_MAX);
	if (!number(o, "per_ms", 1, SL_SHARE_PER_MS_MAX, &per) ||
	    !number(o, "seq", 0, UINT64_MAX >> 2, &seq))
		return SAY(why, size, "has an entry of %s whose per_ms or seq cannot be", gateway);
	if (sl_share_doc_find(d, session))
		return SAY(why, size, "has session %016" PRIx64 " twice", session);
	struct sl_share_entry *e = sl_share_doc_add(d, session);
	if (!e)
		return SAY(why, size, "has more than %u gateways", SL_SHARE_GATEWAYS);
	memcpy(e->gateway, gateway, sizeof(e->gateway));
	e->share = (uint32_t)share;
	e->floor = (uint32_t)floor;
	e->want = (uint32_t)want;
	e->per_ms = (uint32_t)per;
	e->seq = seq;
	return 0;
}

int
sl_share_doc_read(const char *text, size_t len, struct sl_share_doc *ret, char *why, size_t size)
{
	struct sl_share_doc d = {0};

	if (len > SL_SHARE_DOC_BYTES)
		return SAY(why, size, "is longer than %u bytes", SL_SHARE_DOC_BYTES);
	json_t *j = sl_source_json(text, len, why, size);
	if (!j)
		return -EINVAL;
	const json_t *list = json_object_get(j, "gateways");
	int err = json_is_array(list) ? 0 : SAY(why, size, "has no list of gateways");
	for (size_t i = 0; !err && i < json_array_size(list); i++)
		err = read_entry(json_array_get(list, i), &d, why, size);
	json_decref(j);
	if (!err)
		*ret = d;
	return err;
}

/* ---- writing ---- */

char *
sl_share_doc_write(const struct sl_share_doc *d)
{
	json_t *list = json_array();
	char session[17];

	for (unsigned i = 0; i < d->cnt; i++) {
		const struct sl_share_entry *e = &d->e[i];
		snprintf(session, sizeof(session), "%016" PRIx64, e->session);
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "session",
						session, "gateway", e->gateway, "share",
						(json_int_t)e->share, "floor", (json_int_t)e->floor,
						"want", (json_int_t)e->want, "per_ms",
						(json_int_t)e->per_ms, "seq", (json_int_t)e->seq));
	}
	json_t *j = json_pack("{s:o}", "gateways", list);
	char *text = j && json_array_size(list) == d->cnt ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	return text;
}
