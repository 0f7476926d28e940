/* What of a limit may stand together. */
#include "mgmt/conf_priv.h"

#include <stdio.h>

#define KEYS 4096 /* unless given */
#define BITS6 64

static void
put_header(const char *from, char to[SL_NAME_MAX])
{
	for (unsigned i = 0; from[i] && i < SL_NAME_MAX - 1; i++)
		to[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] + ('a' - 'A')) : from[i];
}

static void
finish_header(struct walk *w, const struct sl_node *s, const char *name, struct sl_conf_rate *r)
{
	if (r->by != SL_RATE_HEADER)
		sl_conf_out_of_place(w, s, "header", "by \"header\"");
	else if (name)
		put_header(name, r->header);
	else if (w->clean)
		sl_walk_missing(w, s, RATE, "header");
}

static void
finish_bits(struct walk *w, const struct sl_node *s, struct sl_conf_rate *r)
{
	if (r->by == SL_RATE_SOURCE) {
		r->bits4 = r->bits4 ? r->bits4 : 32;
		r->bits6 = r->bits6 ? r->bits6 : BITS6;
		return;
	}
	sl_conf_out_of_place(w, s, "source_bits4", "by \"source\"");
	sl_conf_out_of_place(w, s, "source_bits6", "by \"source\"");
	r->bits4 = r->bits6 = 0;
}

static void
finish_share(struct walk *w, const struct sl_node *s, struct sl_conf_rate *r)
{
	char hint[64];

	if (!r->shared) {
		if (w->clean)
			sl_conf_out_of_place(w, s, "floor", "shared = true");
		return;
	}
	if (!r->requests || r->floor <= r->requests)
		return;
	size_t was = sl_walk_push(w, "floor");
	snprintf(hint, sizeof(hint), "give 0 to %u", r->requests);
	sl_walk_tell(w, sl_node_member(s, "floor"), hint, "%u is more than requests = %u", r->floor,
		     r->requests);
	sl_walk_pop(w, was);
}

void
sl_finish_rate(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	const struct rate_draft *d = draft;
	struct sl_conf_rate *r = out;

	*r = d->rate;
	r->line = sl_walk_line(s);
	finish_header(w, s, d->header, r);
	finish_bits(w, s, r);
	finish_share(w, s, r);
	if (r->by == SL_RATE_ALL)
		sl_conf_out_of_place(w, s, "keys", "by \"source\", \"identity\" or \"header\"");
	else if (!r->keys)
		r->keys = KEYS;
}
