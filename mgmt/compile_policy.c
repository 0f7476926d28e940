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
sl_compile_policy_texts(const struct sl_conf_policy *p, void (*count)(void *ctx, const char *text),
			void *ctx)
{
	(void)p, (void)count, (void)ctx;
}

/* Limits of all three. */
static int
add_rates(const struct sl_compiling *k, struct sl_policy_rows *rows, const struct sources *s,
	  struct sl_img_policy *row)
{
	(void)k, (void)s;
	row->rate_first = rows->rate_cnt;
	return 0;
}

/* Issuers of tokens of all three, then sets of rules. */
static int
add_refs(const struct sl_compiling *k, struct sl_policy_rows *rows, const struct sources *s,
	 struct sl_img_policy *row)
{
	(void)k, (void)s;
	row->ref_first = rows->ref_cnt;
	return 0;
}

/* ---- a row ---- */

static int
make_row(const struct sl_compiling *k, struct sl_policy_rows *rows,
	 const struct sl_policy_texts *texts, const struct sources *s, uint32_t *ret)
{
	struct sl_img_policy row = {0};
	int err = add_rates(k, rows, s, &row);

	(void)texts;
	if (!err)
		err = add_refs(k, rows, s, &row);
	if (!err)
		err = PUSH(rows->policies, rows->policy_cnt, row);
	*ret = rows->policy_cnt;
	return err;
}

int
sl_compile_policy_row(const struct sl_compiling *k, struct sl_policy_rows *rows,
		      const struct sl_policy_texts *texts, const struct sl_conf_table *t,
		      const struct sl_conf_vhost *v, const struct sl_conf_hroute *r, uint32_t *ret)
{
	const struct sources s = {{&t->policy, &v->policy, &r->policy}};

	*ret = 0;
	if (r->policy.line)
		return make_row(k, rows, texts, &s, ret);
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
