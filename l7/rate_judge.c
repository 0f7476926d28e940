#include "l7/rate_judge.h"

#include "l7/http1.h"

/* Bytes that name a bucket; empty: the one of all who have none. */
struct key {
	const void *at;
	uint32_t len;
	struct sl_addr addr;
};

static void
key_source(const struct sl_img_rate *rate, const struct sl_addr *source, struct key *k)
{
	unsigned plen = sl_addr_is_v4(source) ? 96u + rate->plen4 : rate->plen6;

	k->addr = *source;
	for (unsigned i = 0; i < sizeof(k->addr.b); i++) {
		unsigned bits = plen > 8 * i ? SL_MIN(plen - 8 * i, 8u) : 0;
		k->addr.b[i] &= (uint8_t)(0xff00 >> bits);
	}
	k->at = &k->addr;
	k->len = sizeof(k->addr);
}

/* Of several lines nobody knows which one the endpoint believes. */
static void
key_header(const struct sl_img_rate *rate, const struct sl_http_head *head, struct key *k)
{
	const uint8_t *name = (const uint8_t *)rate->header;
	uint32_t len = (uint32_t)strnlen(rate->header, SL_NAME_MAX);
	uint32_t hash = sl_http_name_hash(name, len);
	unsigned i = sl_http_find(head, name, len, hash, 0);

	if (i >= head->line_cnt || sl_http_find(head, name, len, hash, i + 1) < head->line_cnt)
		return;
	k->at = head->bytes + head->line[i].value;
	k->len = head->line[i].value_len;
}

static void
key_of(const struct sl_img_rate *rate, const struct sl_rate_who *who, struct key *k)
{
	k->at = "";
	k->len = 0;
	if (rate->key == SL_RATE_SOURCE) {
		key_source(rate, &who->source, k);
	} else if (rate->key == SL_RATE_IDENTITY && who->identity) {
		k->at = who->identity;
		k->len = who->identity_len;
	} else if (rate->key == SL_RATE_HEADER && who->head) {
		key_header(rate, who->head, k);
	}
}

static void
tell(const struct sl_img_rate *rate, uint32_t tokens, const struct sl_rate_verdict *v,
     struct sl_rate_said *ret)
{
	if (!(rate->flags & SL_RATE_HEADERS))
		return;
	if (ret->tight && v->allowed && ret->remaining <= v->remaining)
		return;
	ret->tight = rate;
	ret->tokens = tokens;
	ret->remaining = v->remaining;
	ret->reset_ms = v->reset_ms;
}

static void
count(struct sl_stats_rate *stats, const struct sl_rate_verdict *v)
{
	stats->allowed += v->allowed;
	stats->refused += !v->allowed;
	stats->overflow += v->overflow;
}

void
sl_rate_judge(struct sl_rates *r, struct sl_stats_rate *stats, const struct sl_img_rate *rate,
	      uint32_t cnt, const struct sl_rate_who *who, uint64_t now_ns, bool dry,
	      struct sl_rate_said *ret)
{
	struct sl_rate_verdict v[SL_MAX_ROUTE_RATES];
	struct key k;

	*ret = (struct sl_rate_said){0};
	for (uint32_t i = 0; i < cnt; i++) {
		uint32_t tokens = rate[i].tokens;
		if (sl_unlikely(rate[i].flags & SL_RATE_SHARED))
			tokens = sl_rate_share(r, &rate[i]);
		key_of(&rate[i], who, &k);
		if (dry)
			sl_rate_look(r, &rate[i], tokens, k.at, k.len, now_ns, &v[i]);
		else
			sl_rate_take(r, &rate[i], tokens, k.at, k.len, now_ns, &v[i]);
		tell(&rate[i], tokens, &v[i], ret);
		if (v[i].allowed)
			continue;
		ret->refused = &rate[i];
		ret->share = tokens;
		ret->retry_ms = v[i].retry_ms;
		if (dry)
			return;
		count(&stats[rate[i].slot], &v[i]);
		while (i-- > 0)
			sl_rate_give(r, &rate[i], &v[i]);
		return;
	}
	for (uint32_t i = 0; i < cnt && !dry; i++)
		count(&stats[rate[i].slot], &v[i]);
}
