#include "mgmt/announce_serving.h"

#include <stdio.h>

static uint64_t
turns_of(const struct sl_serving *s, unsigned worker)
{
	const char *at =
		(const char *)s->stats + s->head.worker_off + worker * s->head.worker_bytes;

	return __atomic_load_n(&((const struct sl_stats_worker *)at)->turns, __ATOMIC_RELAXED);
}

void
sl_serving_attach(struct sl_serving *s, const void *stats, size_t bytes, uint64_t now_ms)
{
	s->stats = NULL;
	if (!stats || bytes < sizeof(s->head))
		return;
	memcpy(&s->head, stats, sizeof(s->head));
	if (sl_stats_check(&s->head, bytes))
		return;
	s->stats = stats;
	s->looked_ms = now_ms;
	for (unsigned i = 0; i < s->head.worker_cnt; i++) {
		s->turns[i] = turns_of(s, i);
		s->moved_ms[i] = now_ms;
	}
}

const char *
sl_serving_look(struct sl_serving *s, uint64_t generation, uint64_t now_ms)
{
	const char *why = NULL;
	/* who was not looking does not know when it moved: a process that was held up itself must not blame the workers */
	uint64_t blind_ms = now_ms - s->looked_ms > SL_SERVING_STUCK_MS / 2
				    ? now_ms - s->looked_ms - SL_SERVING_LOOK_MS
				    : 0;

	if (!s->stats)
		return "the dataplane is not connected";
	s->looked_ms = now_ms;
	for (unsigned i = 0; i < s->head.worker_cnt; i++) {
		uint64_t turns = turns_of(s, i);
		if (turns != s->turns[i])
			s->moved_ms[i] = now_ms;
		else
			s->moved_ms[i] += blind_ms;
		s->turns[i] = turns;
		if (now_ms - s->moved_ms[i] < SL_SERVING_STUCK_MS || why)
			continue;
		snprintf(s->text, sizeof(s->text), "worker %u of the dataplane does not turn", i);
		why = s->text;
	}
	return why ? why : generation ? NULL : "the dataplane has no table yet";
}
