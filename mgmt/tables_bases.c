/* One compaction at a time; whatever tables that become active meanwhile wish for waits for its end. */
#include "mgmt/tables_priv.h"

#include "mgmt/shards.h"

#include <inttypes.h>
#include <stdlib.h>

/* Bases being made anew. */
struct compaction {
	uv_work_t work;
	struct sl_tables *tables;
	struct sl_scan_want *wants; /* [want_cnt] */
	uint32_t want_cnt;
	struct sl_diag diag;
	uint64_t start_ns;
};

static void
compact(uv_work_t *w)
{
	struct compaction *c = w->data;

	for (uint32_t i = 0; i < c->want_cnt; i++)
		sl_shards_compact(c->tables->shards, &c->wants[i], &c->diag);
}

static void
compacted(uv_work_t *w, int status)
{
	struct compaction *c = w->data;
	struct sl_tables *t = c->tables;

	if (!status && !c->diag.cnt && !t->stopping)
		sl_tables_say(t, "%u base%s of regexes made anew in %.0f ms; the next push uses %s",
			      c->want_cnt, c->want_cnt == 1 ? "" : "s",
			      (double)(uv_hrtime() - c->start_ns) / 1e6,
			      c->want_cnt == 1 ? "it" : "them");
	if (t->stopping)
		sl_diag_fini(&c->diag);
	else
		sl_tables_say_diag(t, &c->diag);
	sl_scan_wants_free(c->wants, c->want_cnt);
	free(c);
	t->bases.compaction = NULL;
	sl_tables_bases_start(t); /* what an activation meanwhile has wished for */
}

void
sl_tables_bases_start(struct sl_tables *t)
{
	struct sl_compiled *from = t->active ? t->active->compiled : NULL;

	if (t->bases.compaction || t->stopping || !from || from->want_cnt == 0)
		return;
	struct compaction *c = calloc(1, sizeof(*c));
	if (!c)
		return;
	*c = (struct compaction){
		.tables = t,
		.wants = from->wants,
		.want_cnt = from->want_cnt,
		.start_ns = uv_hrtime(),
	};
	from->wants = NULL;
	from->want_cnt = 0;
	c->work.data = c;
	t->bases.compaction = c;
	int err = uv_queue_work(t->c.loop, &c->work, compact, compacted);
	if (err)
		compacted(&c->work, err);
}

void
sl_tables_bases_tend(struct sl_tables *t)
{
	struct sl_shards_stats n;

	sl_shards_trim(t->shards, &t->active->map);
	sl_shards_count(t->shards, &n);
	if (n.unkept > t->bases.unkept_said)
		sl_tables_say(t,
			      "%" PRIu64
			      " databases for regexes could not be kept in %s/shards: they are "
			      "compiled again after a restart",
			      n.unkept - t->bases.unkept_said, t->c.state_dir);
	t->bases.unkept_said = n.unkept;
	sl_tables_bases_start(t);
}
