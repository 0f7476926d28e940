/* Limits of the active table with what is counted of them, in the order of the file. */
#include "mgmt/rate_share.h"
#include "mgmt/show.h"

#include <stdio.h>

static json_t *
number(uint64_t v)
{
	return json_integer((json_int_t)(v & INT64_MAX));
}

/* "1s", "500ms". */
static json_t *
duration(uint32_t ms)
{
	char text[16];

	if (ms % 1000)
		snprintf(text, sizeof(text), "%ums", ms);
	else
		snprintf(text, sizeof(text), "%us", ms / 1000);
	return json_string(text);
}

static json_t *
by_text(const struct sl_conf_rate *r)
{
	static const char *const by[] = {
		[SL_RATE_ALL] = "all",
		[SL_RATE_SOURCE] = "source",
		[SL_RATE_IDENTITY] = "identity",
		[SL_RATE_HEADER] = "header",
	};
	char text[SL_NAME_MAX + 16];

	snprintf(text, sizeof(text), "%s%s%s", by[r->by], r->header[0] ? " " : "", r->header);
	return json_string(text);
}

/* Of a limit that gateways share: what this one has of it. */
static void
put_share(struct sl_daemon *d, const struct sl_conf_rate *r, json_t *o)
{
	struct sl_rate_share_look look = {0};

	json_object_set_new(o, "shared", json_boolean(r->shared));
	if (!r->shared)
		return;
	if (!sl_rate_share_look(d->rate_shares, r->name, &look))
		snprintf(look.state, sizeof(look.state), "%s",
			 d->rate_shares ? "waits: the table is new"
					: "no share: sluiced's file does not say store.limits");
	json_object_set_new(o, "floor", json_integer(r->floor));
	json_object_set_new(o, "share", json_integer(look.share));
	json_object_set_new(o, "wanted", json_integer(look.wanted));
	json_object_set_new(o, "gateways", json_integer(look.gateways));
	json_object_set_new(o, "until", sl_show_time(look.until_ms));
	json_object_set_new(o, "state", json_string(look.state));
}

json_t *
sl_show_limits(struct sl_daemon *d)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	json_t *list = json_array();

	for (uint32_t i = 0; t && i < t->conf->rate_cnt; i++) {
		const struct sl_conf_rate *r = &t->conf->rates[i];
		struct sl_placed at;
		if (sl_slot_find_rate(&t->map, r->name, &at))
			continue;
		struct sl_stats_rate s = sl_counters_rate(d->counters, at);
		json_t *o =
			json_pack("{s:s, s:i, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:i, s:i}", "name",
				  r->name, "requests", (int)r->requests, "per", duration(r->per_ms),
				  "by", by_text(r), "keys_max", (int)r->keys, "keys",
				  number(s.keys), "allowed", number(s.allowed), "refused",
				  number(s.refused), "overflow", number(s.overflow), "slot",
				  (int)at.slot, "incarnation", (int)at.incarnation);
		if (o)
			put_share(d, r, o);
		json_array_append_new(list, o);
	}
	return list;
}
