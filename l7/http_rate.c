/* Limits of a request: those of its route, and of the service that it would go to. */
#include "l7/http_priv.h"
#include "l7/rate_judge.h"

#include <stdio.h>

#define NO_SHARE " (no share)"
static_assert(sizeof("limits/") + SL_NAME_MAX + sizeof(NO_SHARE) <= SL_ACCESS_WHY_MAX, "");

static size_t
put_number(char *to, uint32_t n)
{
	char digits[10];
	size_t cnt = 0, at = 0;

	do
		digits[cnt++] = (char)('0' + n % 10);
	while (n /= 10);
	while (cnt)
		to[at++] = digits[--cnt];
	return at;
}

static void
put_line(struct sl_http *h, struct http_decision *d, const char *name, uint32_t n)
{
	char text[12];

	(void)sl_http_policy_edit(h, d, name, text, put_number(text, n));
}

static uint32_t
seconds(uint32_t ms)
{
	return ms / 1000 + (ms % 1000 != 0);
}

/* Who asks what would become of a request is told what this gateway has of a shared one; logs tell only when it has nothing. */
static void
name_it(struct http_decision *d, const struct sl_rate_said *said, bool dry)
{
	const struct sl_img_rate *r = said->refused;

	sl_http_policy_why(d, "limits", r->name);
	if (!(r->flags & SL_RATE_SHARED) || (said->share && !dry))
		return;
	size_t at = strlen(d->why);
	if (said->share)
		snprintf(d->why + at, sizeof(d->why) - at, " (share %u of %u)", said->share,
			 r->tokens);
	else
		memcpy(d->why + at, NO_SHARE, sizeof(NO_SHARE));
}

static void
tell(struct sl_http *h, struct http_decision *d, const struct sl_rate_said *said, bool dry)
{
	if (said->tight) {
		put_line(h, d, "x-ratelimit-limit", said->tokens);
		put_line(h, d, "x-ratelimit-remaining", said->remaining);
		put_line(h, d, "x-ratelimit-reset", seconds(said->reset_ms));
	}
	if (!said->refused)
		return;
	put_line(h, d, "retry-after", seconds(said->retry_ms));
	name_it(d, said, dry);
	sl_http_policy_refuse(d, 429, SL_RF_RL, SL_HTTP_CNT_RATE_LIMITED, "rate limited");
}

static void
judge(struct sl_http *h, const struct sl_img_rate *rate, uint32_t cnt, const struct http_ask *who,
      const struct sl_http_head *head, struct http_decision *d, bool dry)
{
	const struct sl_rate_who by = {
		.source = who->peer,
		.identity = who->identity.at,
		.identity_len = who->identity.len,
		.head = head,
	};
	struct sl_rate_said said;

	if (!h->conf.rates) /* only tests have none */
		return;
	uint64_t now_ns = SL_MAX(http_now(h), sl_rates_now(h->conf.rates));
	sl_rate_judge(h->conf.rates, h->conf.rate_stats, rate, cnt, &by, now_ns, dry, &said);
	tell(h, d, &said, dry);
}

void
sl_http_judge_rates(struct sl_http *h, const struct http_ask *who, const struct sl_http_head *head,
		    struct http_decision *d, bool dry)
{
	const struct sl_img_vhost *v = d->vhost->img;
	const struct sl_img_rate *rate = (const void *)((const char *)v + v->rate_off);

	if (d->policy->rate_cnt)
		judge(h, rate + d->policy->rate_first, d->policy->rate_cnt, who, head, d, dry);
}

bool
sl_http_service_rates(struct sl_http *h, const struct sl_img_service *svc,
		      const struct http_ask *who, const struct sl_http_head *head,
		      struct http_decision *d, bool dry)
{
	const struct sl_img_rate *rate = (const void *)((const char *)svc + svc->rate_off);

	if (sl_unlikely(svc->rate_cnt))
		judge(h, rate, svc->rate_cnt, who, head, d, dry);
	return d->status == 0;
}
