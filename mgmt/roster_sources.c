/* A question that is asked has an id, by which its source answers; the registry is the source behind those of sluiced's file. */
#include "mgmt/roster_priv.h"

#include <errno.h>
#include <stdlib.h>

unsigned
sl_roster_sources_index(const struct sl_roster *r, const char *name)
{
	for (unsigned i = 0; i < r->c.source_cnt; i++)
		if (strcmp(r->c.sources[i].name, name) == 0)
			return i;
	return strcmp(name, SL_REGISTRY) == 0 ? r->c.source_cnt : UINT32_MAX;
}

int
sl_roster_sources_create(struct sl_roster *r, struct sl_diag *diag)
{
	for (unsigned i = 0; i < r->c.source_cnt; i++) {
		const struct sl_source_conf *c = &r->c.sources[i];
		struct sl_roster_source *s = &r->sources.at[i];
		const struct sl_source_ops *ops = sl_source_ops_of(c->type);
		if (!ops) {
			sl_diag_add(diag, NULL, 0, "sources", NULL,
				    "source \"%s\": this sluiced has none of type %s", c->name,
				    sl_source_type_name(c->type));
			return -ENOTSUP;
		}
		int err = ops->create(c, &r->sink, diag, &s->source);
		if (err)
			return err;
		s->conf = c;
		s->ops = ops;
	}
	return 0;
}

struct sl_roster_question *
sl_roster_sources_asked(struct sl_roster *r, uint32_t id)
{
	return id && id <= r->sources.id_cnt ? r->sources.by_id[id - 1] : NULL;
}

static uint32_t
new_id(struct sl_roster_sources *s, struct sl_roster_question *q)
{
	for (uint32_t n = 0; n < s->id_cnt; n++) {
		uint32_t at = (s->id_next + n) % s->id_cnt;
		if (s->by_id[at])
			continue;
		s->by_id[at] = q;
		s->id_next = at + 1;
		return at + 1;
	}
	uint32_t cnt = s->id_cnt ? 2 * s->id_cnt : 64;
	struct sl_roster_question **more = realloc(s->by_id, cnt * sizeof(*more));
	if (!more)
		return 0;
	memset(more + s->id_cnt, 0, (cnt - s->id_cnt) * sizeof(*more));
	uint32_t at = s->id_cnt;
	s->by_id = more;
	s->by_id[at] = q;
	s->id_cnt = cnt;
	s->id_next = at + 1;
	return at + 1;
}

void
sl_roster_sources_ask(struct sl_roster *r, struct sl_roster_question *q)
{
	const struct sl_roster_source *s =
		q->source <= r->c.source_cnt ? &r->sources.at[q->source] : NULL;

	if (q->id)
		return;
	if (!s) {
		sl_roster_answers_trouble(r, q, "sluiced's file has no such source");
		return;
	}
	if (!s->ops)
		return; /* the registry, before it is there */
	q->id = new_id(&r->sources, q);
	if (!q->id || s->ops->ask(s->source, q->id, q->service, &q->q)) {
		if (q->id)
			r->sources.by_id[q->id - 1] = NULL;
		q->id = 0;
		sl_roster_answers_trouble(r, q, "out of memory: it is not asked");
	}
}

void
sl_roster_sources_drop(struct sl_roster *r, struct sl_roster_question *q)
{
	if (!q->id)
		return;
	const struct sl_roster_source *s = &r->sources.at[q->source];
	s->ops->drop(s->source, q->id);
	r->sources.by_id[q->id - 1] = NULL;
	q->id = 0;
}

void
sl_roster_registry(struct sl_roster *r, const struct sl_source_ops *ops, void *registry)
{
	struct sl_roster_source *s = &r->sources.at[r->c.source_cnt];

	for (uint32_t i = 0; i < r->sources.id_cnt; i++)
		if (r->sources.by_id[i] && r->sources.by_id[i]->source == r->c.source_cnt)
			sl_roster_sources_drop(r, r->sources.by_id[i]);
	*s = (struct sl_roster_source){.ops = ops, .source = registry};
	for (uint32_t i = 0; ops && i < r->service_cnt; i++)
		for (unsigned k = 0; k < r->services[i].q_cnt; k++)
			if (r->services[i].q[k]->source == r->c.source_cnt)
				sl_roster_sources_ask(r, r->services[i].q[k]);
}

void
sl_roster_sources_fini(struct sl_roster *r)
{
	for (unsigned i = 0; i < r->sources.id_cnt; i++)
		if (r->sources.by_id[i])
			sl_roster_sources_drop(r, r->sources.by_id[i]);
	for (unsigned i = 0; i < r->c.source_cnt; i++)
		if (r->sources.at[i].ops)
			r->sources.at[i].ops->destroy(r->sources.at[i].source);
	free(r->sources.by_id);
	r->sources.by_id = NULL;
	r->sources.id_cnt = 0; /* what is answered from now on answers nothing */
}
