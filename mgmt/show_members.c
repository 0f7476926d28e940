/* What the active table says of a service's members: who is asked for more of them, which take flows first, what routes may pick. */
#include "mgmt/show.h"

#include "mgmt/conf_value.h"
#include "mgmt/levels.h"

/* Who stands in each rank, and takes new flows now. */
struct ranks {
	unsigned endpoints[SL_RANKS], admitting[SL_RANKS];
};

/* Of the endpoints that have meta, "": all. */
static void
count(struct sl_daemon *d, const struct sl_conf *c, const struct sl_conf_service *s,
      const char *meta, struct ranks *r)
{
	memset(r, 0, sizeof(*r));
	for (uint32_t i = 0; i < s->endpoint_cnt; i++) {
		const struct sl_conf_endpoint *e = &s->endpoints[i];
		if (!sl_value_meta_has(e->meta, meta))
			continue;
		const struct sl_oper_endpoint *o = sl_oper_find(d->oper, s->name, e->name);
		bool ejected = o && sl_oper_passive(d->oper, o) & SL_ST_EJECTED;
		unsigned rank = sl_level_rank(c, s, e);
		r->endpoints[rank]++;
		r->admitting[rank] += o && sl_oper_admits(d->oper, o) && !ejected;
	}
}

static json_t *
levels(const struct sl_conf_service *s, const struct ranks *r)
{
	unsigned each = s->locality_failover || s->zones.given ? SL_DISTANCES : 1;
	json_t *list = json_array();

	for (unsigned rank = 0; rank < SL_RANKS; rank++)
		if (r->endpoints[rank])
			json_array_append_new(list, json_pack("{s:i, s:i, s:i, s:i}", "priority",
							      (int)(rank / each), "distance",
							      (int)(rank % each), "endpoints",
							      (int)r->endpoints[rank], "admitting",
							      (int)r->admitting[rank]));
	return list;
}

static json_t *
subsets(struct sl_daemon *d, const struct sl_conf *c, const struct sl_conf_service *s)
{
	json_t *list = json_array();
	struct ranks r;

	for (uint32_t i = 0; i < s->subset_cnt; i++) {
		const struct sl_conf_subset *x = &s->subsets[i];
		count(d, c, s, x->meta, &r);
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:o}", "name", x->name, "metadata",
						x->meta, "fallback", x->any ? "any" : "none",
						"levels", levels(s, &r)));
	}
	return list;
}

static json_t *
questions(const struct sl_conf_service *s)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < s->discover_cnt; i++)
		json_array_append_new(list, json_string(s->discover[i].source));
	return list;
}

json_t *
sl_show_members(struct sl_daemon *d, const struct sl_conf *c, const struct sl_conf_service *s)
{
	struct ranks r;

	count(d, c, s, "", &r);
	return json_pack("{s:o, s:o, s:o, s:b, s:b, s:i}", "discover", questions(s), "levels",
			 levels(s, &r), "subsets", subsets(d, c, s), "locality_failover",
			 s->locality_failover, "zone_aware", s->zones.given, "panic_threshold",
			 (int)sl_conf_panic_pct(s));
}
