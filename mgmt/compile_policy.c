/* Rows of policy: what a route table, a host and a route say is put together into one row for each route.
 *
 *   limits, authorization, jwt   add up, the table's first, each once
 *   all else                     the nearest that is given: the route's, else the host's, else the table's */
#include "mgmt/compile_priv.h"

#include <errno.h>
#include <stdlib.h>

#define FROM 3 /* table, host, route */

struct sources {
	const struct sl_conf_policy *of[FROM];
	const struct sl_conf_hroute *route;
	uint32_t slot[FROM];
};

/* Room for one more record of `each` bytes behind cnt. */
static void *
one_more(void *list, uint32_t cnt, size_t each)
{
	bool full = cnt == 0 || (cnt & (cnt - 1)) == 0;
	void *more = full ? realloc(list, (cnt ? 2 * (size_t)cnt : 1) * each) : list;

	return more;
}

#define PUSH(list, cnt, ...)                                                                       \
	({                                                                                         \
		void *more_ = one_more(list, cnt, sizeof(*(list)));                                \
		if (more_) {                                                                       \
			(list) = more_;                                                            \
			(list)[(cnt)++] = __VA_ARGS__;                                             \
		}                                                                                  \
		more_ ? 0 : -ENOMEM;                                                               \
	})

/* ---- the parts ---- */

void
sl_compile_policy_texts(const struct sl_conf_policy *p,
			void (*count)(void *ctx, const char *text, size_t len), void *ctx)
{
	const char *const texts[] = {p->cors.methods, p->cors.headers, p->cors.expose};

	count(ctx, p->cors.origins, p->cors.origin_bytes);
	for (unsigned i = 0; i < SL_ARRAY_CNT(texts); i++)
		count(ctx, texts[i], texts[i] ? strlen(texts[i]) : 0);
}

static bool
has_rate(const struct sl_policy_rows *rows, const struct sl_img_policy *row,
	 const struct sl_img_rate *rate)
{
	for (uint32_t i = row->rate_first; i < rows->rate_cnt; i++)
		if (rows->rates[i].slot == rate->slot)
			return true;
	return false;
}

/* Limits of all three. */
static int
add_rates(const struct sl_compiling *k, struct sl_policy_rows *rows, const struct sources *s,
	  struct sl_img_policy *row)
{
	struct sl_img_rate rate;
	int err = 0;

	row->rate_first = rows->rate_cnt;
	for (unsigned i = 0; i < FROM; i++)
		for (uint32_t j = 0; j < s->of[i]->limit_cnt && !err; j++) {
			sl_compile_rate(k, s->of[i]->limits[j].name, &rate);
			if (!has_rate(rows, row, &rate))
				err = PUSH(rows->rates, rows->rate_cnt, rate);
			row->rate_cnt = rows->rate_cnt - row->rate_first;
		}
	return err;
}

static bool
has_ref(const struct sl_policy_rows *rows, uint32_t first, uint32_t kind, uint32_t slot)
{
	for (uint32_t i = first; i < rows->ref_cnt; i++)
		if (rows->refs[i].kind == kind && rows->refs[i].slot == slot)
			return true;
	return false;
}

/* Where one of the three requires a token, each says so. */
static int
add_issuers(const struct sl_compiling *k, struct sl_policy_rows *rows, const struct sources *s)
{
	uint32_t first = rows->ref_cnt, required = 0;
	int err = 0;

	for (unsigned i = 0; i < FROM; i++)
		required |= s->of[i]->jwt_required;
	for (unsigned i = 0; i < FROM; i++)
		for (uint32_t n = 0; n < s->of[i]->jwt_cnt && !err; n++) {
			const struct sl_placed *p = sl_compile_jwt_placed(k, s->of[i]->jwt[n].name);
			if (!p || has_ref(rows, first, SL_OBJ_JWT, p->slot))
				continue;
			const struct sl_img_policy_ref ref = {SL_OBJ_JWT, p->slot, p->incarnation,
							      required};
			err = PUSH(rows->refs, rows->ref_cnt, ref);
		}
	return err;
}

/* Issuers of tokens of all three, then sets of rules. */
static int
add_refs(const struct sl_compiling *k, struct sl_policy_rows *rows, const struct sources *s,
	 struct sl_img_policy *row)
{
	row->ref_first = rows->ref_cnt;
	int err = add_issuers(k, rows, s);
	for (unsigned i = 0; i < FROM; i++)
		for (uint32_t n = 0; n < s->of[i]->authz_cnt && !err; n++) {
			struct sl_placed at = sl_compile_authz_placed(k, s->of[i]->authz[n].name);
			const struct sl_img_policy_ref ref = {SL_OBJ_AUTHZ, at.slot, at.incarnation,
							      0};
			if (!has_ref(rows, row->ref_first, SL_OBJ_AUTHZ, at.slot))
				err = PUSH(rows->refs, rows->ref_cnt, ref);
		}
	row->ref_cnt = rows->ref_cnt - row->ref_first;
	return err;
}

static struct sl_img_str
put(const struct sl_policy_texts *texts, const char *text)
{
	return texts->put(texts->ctx, text, text ? strlen(text) : 0);
}

/* The nearest that says it; FROM: none. */
#define NEAREST(s, part)                                                                           \
	((s)->of[2]->part.line   ? 2u                                                              \
	 : (s)->of[1]->part.line ? 1u                                                              \
	 : (s)->of[0]->part.line ? 0u                                                              \
				 : FROM)

static int
add_cors(struct sl_policy_rows *rows, const struct sl_policy_texts *texts, const struct sources *s,
	 struct sl_img_policy *row)
{
	unsigned from = NEAREST(s, cors);

	if (from == FROM)
		return 0;
	const struct sl_conf_cors *c = &s->of[from]->cors;
	const struct sl_img_cors img = {
		.origins = texts->put(texts->ctx, c->origins, c->origin_bytes),
		.methods = put(texts, c->methods),
		.headers = put(texts, c->headers),
		.expose = put(texts, c->expose),
		.max_age_s = c->max_age_s,
		.credentials = c->credentials,
	};
	int err = PUSH(rows->cors, rows->cors_cnt, img);
	row->cors = rows->cors_cnt;
	return err;
}

static int
add_fault(struct sl_policy_rows *rows, const struct sources *s, struct sl_img_policy *row)
{
	static const uint32_t counters[FROM] = {SL_FAULT_OF_TABLE, SL_FAULT_OF_VHOST, 0};
	unsigned from = NEAREST(s, fault);

	if (from == FROM)
		return 0;
	const struct sl_conf_fault *f = &s->of[from]->fault;
	const struct sl_img_fault img = {
		.delay_ppm = f->delay_ppm,
		.delay_ms = f->delay_ms,
		.abort_ppm = f->abort_ppm,
		.abort_status = f->abort_status,
		.by_header = f->by_header,
		.max_active = f->max_active,
		.counter = counters[from] + s->slot[from],
	};
	int err = PUSH(rows->faults, rows->fault_cnt, img);
	row->fault = rows->fault_cnt;
	return err;
}

/* Tries beside the first, and the cookie that keeps a split. */
static void
add_tries(const struct sl_policy_texts *texts, const struct sources *s, struct sl_img_policy *row)
{
	unsigned from = NEAREST(s, hedge);

	if (from != FROM) {
		row->hedge_ms = s->of[from]->hedge.after_ms;
		row->hedge_max = s->of[from]->hedge.max;
	}
	if (!s->route || !s->route->sticky_set)
		return;
	row->sticky_cookie = put(texts, s->route->sticky_name);
	row->sticky_ttl_s = s->route->sticky_ttl_s;
}

/* ---- a row ---- */

static int
make_row(const struct sl_compiling *k, struct sl_policy_rows *rows,
	 const struct sl_policy_texts *texts, const struct sources *s, uint32_t *ret)
{
	struct sl_img_policy row = {0};
	int err = add_rates(k, rows, s, &row);

	if (!err)
		err = add_refs(k, rows, s, &row);
	if (!err)
		err = add_cors(rows, texts, s, &row);
	if (!err)
		err = add_fault(rows, s, &row);
	add_tries(texts, s, &row);
	if (!err)
		err = PUSH(rows->policies, rows->policy_cnt, row);
	*ret = rows->policy_cnt;
	return err;
}

int
sl_compile_policy_row(const struct sl_compiling *k, struct sl_policy_rows *rows,
		      const struct sl_policy_texts *texts, const struct sl_conf_table *t,
		      const struct sl_conf_vhost *v, const struct sl_conf_hroute *r,
		      const uint32_t slots[FROM], uint32_t *ret)
{
	struct sources s = {
		{&t->policy, &v->policy, &r->policy}, r, {slots[0], slots[1], slots[2]}};

	*ret = 0;
	if (r->policy.line || r->sticky_set)
		return make_row(k, rows, texts, &s, ret);
	s.route = NULL; /* of many */
	if (!t->policy.line && !v->policy.line)
		return 0;
	int err = rows->shared ? 0 : make_row(k, rows, texts, &s, &rows->shared);
	*ret = rows->shared;
	return err;
}

void
sl_compile_policy_fini(struct sl_policy_rows *rows)
{
	free(rows->policies);
	free(rows->rates);
	free(rows->refs);
	free(rows->cors);
	free(rows->faults);
}
