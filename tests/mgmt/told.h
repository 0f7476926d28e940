/* told — a source in place of the registry, that answers what a test tells it to. */
#ifndef SL_TESTS_MGMT_TOLD_H
#define SL_TESTS_MGMT_TOLD_H

#include "mgmt/roster.h"

#include <stdio.h>

#define TOLD_MAX 2048
struct told {
	const struct sl_source_sink *sink;
	struct {
		uint32_t id; /* 0: free */
		char service[SL_NAME_MAX];
		struct sl_conf_discover q;
	} asked[TOLD_MAX];
	unsigned asks, drops;
};

static int
told_ask(void *source, uint32_t id, const char *service, const struct sl_conf_discover *q)
{
	struct told *t = source;

	t->asks++;
	for (unsigned i = 0; i < TOLD_MAX; i++) {
		if (t->asked[i].id)
			continue;
		t->asked[i].id = id;
		snprintf(t->asked[i].service, SL_NAME_MAX, "%s", service);
		t->asked[i].q = *q;
		return 0;
	}
	return -ENOMEM;
}

static void
told_drop(void *source, uint32_t id)
{
	struct told *t = source;

	t->drops++;
	for (unsigned i = 0; i < TOLD_MAX; i++)
		if (t->asked[i].id == id)
			t->asked[i].id = 0;
}

static const struct sl_source_ops told_ops = {.ask = told_ask, .drop = told_drop};

static void
told_attach(struct told *t, struct sl_roster *r)
{
	memset(t, 0, sizeof(*t));
	t->sink = sl_roster_sink(r);
	sl_roster_registry(r, &told_ops, t);
}

/* The id under which the service's question of that name ("": the first) is asked, 0: it is not. */
static inline uint32_t
told_id(const struct told *t, const char *service, const char *name)
{
	for (unsigned i = 0; i < TOLD_MAX; i++)
		if (t->asked[i].id && strcmp(t->asked[i].service, service) == 0 &&
		    (!*name || strcmp(t->asked[i].q.name, name) == 0))
			return t->asked[i].id;
	return 0;
}

/* "a=192.0.2.1:80 b=192.0.2.2:80!": endpoints with ! down, ~ drain, %50 at its end half of its weight. */
static inline size_t
told_parse(const char *text, struct sl_source_endpoint *out, size_t most)
{
	size_t n = 0;

	while (*text && n < most) {
		struct sl_source_endpoint *e = &out[n++];
		char addr[SL_ADDR_STRLEN] = "", rest[16] = "";
		unsigned port = 0, percent = 100;
		memset(e, 0, sizeof(*e));
		int len = 0;
		if (sscanf(text, "%63[^=]=%45[^/ ]/%u%15[^ ]%n", e->name, addr, &port, rest, &len) <
		    4)
			sscanf(text, "%63[^=]=%45[^/ ]/%u%n", e->name, addr, &port, &len);
		if (sl_addr_parse(addr, &e->addr))
			memset(&e->addr, 0, sizeof(e->addr));
		e->port = (uint16_t)port;
		e->weight = UINT16_MAX;
		e->down = strchr(rest, '!') != NULL;
		e->drain = strchr(rest, '~') != NULL;
		if (strchr(rest, '%'))
			sscanf(strchr(rest, '%'), "%%%u", &percent);
		e->percent = (uint8_t)percent;
		text += len;
		text += strspn(text, " ");
	}
	return n;
}

static inline void
told_answer(struct told *t, const char *service, const char *text)
{
	static struct sl_source_endpoint e[TOLD_MAX];
	size_t n = told_parse(text, e, TOLD_MAX);

	t->sink->answer(t->sink->ctx, told_id(t, service, ""), e, n, 0, "");
}

#endif
