/* One line for what became of a table that was pushed, tried or confirmed; none for a revision that became active, but for one
 * that ends a row of refusals. */
#include "mgmt/tables_priv.h"

#include <jansson.h>
#include <time.h>

static int64_t
wall_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* e is the log's from now on. */
static void
audit_add(struct sl_tables *t, int64_t uid, const char *user, json_t *e)
{
	int err = sl_audit_add(t->c.audit, wall_ms(), uid, user, e);

	if (err)
		sl_tables_say(t, "audit log: cannot write: %s", strerror(-err));
}

static json_t *
reasons_json(const struct sl_publish_verdict *v)
{
	json_t *list = json_array();
	for (unsigned i = 0; v && i < v->reason_cnt; i++)
		json_array_append_new(list, json_string(v->reasons[i]));
	return list;
}

void
sl_tables_audit_push(struct sl_tables *t, const struct push *p, const struct sl_table *tab,
		     const char *outcome, const struct sl_publish_verdict *v)
{
	const char *verb = !p ? "offer" : p->q.rollback_of ? "rollback" : "push";
	json_t *e = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s}", "verb", verb, "outcome", outcome,
			      "generation", (json_int_t)tab->number, "previous",
			      (json_int_t)(t->active ? t->active->number : 0), "file",
			      tab->push->file, "comment", tab->push->comment);
	if (tab->push->rollback_of)
		json_object_set_new(e, "rollback_of",
				    json_integer((json_int_t)tab->push->rollback_of));
	if (tab->push->confirm_s)
		json_object_set_new(e, "confirm_s", json_integer(tab->push->confirm_s));
	if (v && v->reason_cnt)
		json_object_set_new(e, "reasons", reasons_json(v));
	audit_add(t, p ? p->q.uid : -1, p ? p->q.user : "sluiced", e);
}

void
sl_tables_audit_confirmed(struct sl_tables *t, uint64_t generation, int64_t uid, const char *user,
			  const char *comment)
{
	json_t *e =
		json_pack("{s:s, s:s, s:I, s:s}", "verb", "confirm", "outcome", "ok", "generation",
			  (json_int_t)generation, "comment", comment ? comment : "");
	audit_add(t, uid, user, e);
}

void
sl_tables_audit_trial(struct sl_tables *t, const struct sl_table *tab, const char *outcome,
		      const struct sl_publish_verdict *v)
{
	const struct sl_push_request *q = &t->pushes->q;
	json_t *e = json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:I}", "verb", "shadow", "outcome",
			      outcome, "generation", (json_int_t)tab->number, "file",
			      tab->push->file, "comment", tab->push->comment, "sample_ppm",
			      (json_int_t)q->sample_ppm, "for_s", (json_int_t)q->for_s);
	if (v && v->reason_cnt)
		json_object_set_new(e, "reasons", reasons_json(v));
	audit_add(t, q->uid, q->user, e);
}
