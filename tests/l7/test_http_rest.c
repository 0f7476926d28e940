/* What an exchange leaves behind: bytes that nobody reads, the id in its record, results of shadows, waits. */
#include "tests/l7/http_scene.h"

/* Some clients put a CR LF behind a body, and end then: a reset would take the answer from them (RFC 9112, 2.2). */
static void
bytes_before_a_clients_end_do_not_reset_it(void)
{
	static const struct {
		const char *bytes, *reason;
	} rows[] = {
		{"", "nothing"},
		{"\r\n", "an empty line"},
		{"GET / HT", "half a head"},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene s;
		struct scene_conf conf = {0};
		scene_init(&s, &conf);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/empty"));
		peer_says(&s, c, rows[i].bytes);
		peer_fin(&s, c);
		CU_ASSERT(!c->rst);
		if (c->rst)
			printf("reset behind %s\n", rows[i].reason);
		scene_end(&s);
	}
}

SL_SUITE("http rest", SL_TEST(bytes_before_a_clients_end_do_not_reset_it))
