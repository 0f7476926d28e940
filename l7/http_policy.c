/* What stands between a route and its action: each part looks at the row of policy of the route, and returns at once when that does
 * not name it.  The first that answers ends the walk. */
#include "l7/http_priv.h"

bool
sl_http_policy_line(struct sl_http *h, struct http_decision *d, enum sl_edit_op op,
		    const char *name, const void *value, size_t len)
{
	size_t n = strlen(name);

	if (d->edit_cnt == HTTP_POLICY_EDITS || d->edit_bytes + n + len > HTTP_POLICY_TEXT)
		return false;
	memcpy(h->policy_text + d->edit_bytes, name, n);
	if (len) /* what is empty may be nowhere */
		memcpy(h->policy_text + d->edit_bytes + n, value, len);
	h->policy_edits[d->edit_cnt++] = (struct sl_img_edit){
		.op = op,
		.name = {d->edit_bytes, (uint32_t)n},
		.value = {(uint32_t)(d->edit_bytes + n), (uint32_t)len},
	};
	d->edit_bytes = (uint16_t)(d->edit_bytes + n + len);
	return true;
}

bool
sl_http_policy_edit(struct sl_http *h, struct http_decision *d, const char *name, const void *value,
		    size_t len)
{
	return sl_http_policy_line(h, d, SL_EDIT_SET, name, value, len);
}

static size_t
put_text(char *to, size_t at, const char *text)
{
	size_t n = SL_MIN(strlen(text), SL_ACCESS_WHY_MAX - 1 - at);

	memcpy(to + at, text, n);
	to[at + n] = 0;
	return at + n;
}

void
sl_http_policy_why(struct http_decision *d, const char *set, const char *rule)
{
	size_t n = put_text(d->why, 0, set);

	if (rule)
		put_text(d->why, put_text(d->why, n, "/"), rule);
}

void
sl_http_policy_refuse(struct http_decision *d, uint16_t status, uint32_t rflags, unsigned count,
		      const char *text)
{
	d->status = status;
	d->rflags |= rflags;
	d->count = count;
	d->text = text;
}

/* Until one of them answers. */
static void
judge(struct sl_http *h, const struct sl_http_rule *rule, const struct http_ask *who,
      const struct sl_http_head *head, struct http_decision *d, bool dry)
{
	sl_http_judge_cors(h, head, d);
	if (!d->status && who->claims)
		sl_http_presume_jwt(h, rule, who->claims, d);
	else if (!d->status)
		sl_http_judge_jwt(h, rule, head, d, dry);
	if (!d->status)
		sl_http_judge_authz(h, rule, who, head, d, dry);
	if (!d->status && !d->wait)
		sl_http_judge_rates(h, who, head, d, dry);
	if (!d->status)
		sl_http_judge_fault(h, head, d, dry);
	if (!d->status)
		sl_http_judge_sticky(h, rule, head, d, dry);
}

void
sl_http_judge_policy(struct sl_http *h, const struct sl_http_rule *rule, const struct http_ask *who,
		     const struct sl_http_head *head, struct http_decision *d, bool dry)
{
	const struct sl_img_vhost *v = d->vhost->img;

	d->policy = (const struct sl_img_policy *)((const char *)v + v->policy_off) +
		    (d->route->policy - 1);
	judge(h, rule, who, head, d, dry);
	if (d->foreign && !d->wait && !dry)
		http_count(h, SL_HTTP_CNT_CORS_FOREIGN);
	if (dry)
		sl_http_jwt_restore(h, head);
}
