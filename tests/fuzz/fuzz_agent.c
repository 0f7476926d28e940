/* What an agent sends: where its line ends does not depend on the pieces it comes in; what is wrong changes nothing; what was
 * understood is understood again, and says the same. */
#include <stdlib.h>

#include "mgmt/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static bool
same(const struct sl_agent_state *a, const struct sl_agent_state *b)
{
	return a->down == b->down && a->drain == b->drain && a->percent == b->percent;
}

/* In memory of exactly its size. */
static const char *
read_line(const uint8_t *data, size_t len, struct sl_agent_state *s, char buf[96])
{
	char *copy = malloc(len ? len : 1);

	must(copy != NULL);
	if (len)
		memcpy(copy, data, len);
	const char *why = sl_agent_read(copy, len, s, buf, 96);
	free(copy);
	return why;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char buf[96];
	int end = SL_PARTIAL;

	for (size_t n = 0; n <= size && end == SL_PARTIAL; n++) {
		end = sl_agent_end((const char *)data, n);
		must(end <= (int)n && end <= SL_AGENT_LINE_MAX + 1);
	}
	must(sl_agent_end((const char *)data, size) == end ||
	     (end == SL_BAD && size > SL_AGENT_LINE_MAX));
	size_t len = end > 0 ? (size_t)end - 1 : SL_MIN(size, (size_t)SL_AGENT_LINE_MAX + 8);
	for (unsigned start = 0; start < 4; start++) {
		struct sl_agent_state was = {start & 1, start & 2, 37}, s = was;
		const char *why = read_line(data, len, &s, buf);
		must(s.percent <= 100);
		must(!why || same(&s, &was));
		struct sl_agent_state again = s;
		must(why || (!read_line(data, len, &again, buf) && same(&s, &again)));
	}
	return 0;
}
