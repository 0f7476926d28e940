/* route_model — the route matcher once more, slow and simple, and tables and requests by chance to compare the two.
 *
 * Each route in list order, each condition by itself, from the test's own arrays; regexes by POSIX regexec.  Alphabets are
 * small, so that matches, ties, prefixes, absent and repeated headers are frequent.
 */
#ifndef SL_TESTS_ROUTE_MODEL_H
#define SL_TESTS_ROUTE_MODEL_H

#include "tests/l7/route_image.h"

struct sl_model_request {
	char text[2048]; /* whole head */
	char path[256], query[256];
	char identity[40];
	struct sl_http_head head;
	struct sl_match_input in;
};

/* What is by chance comes from bytes while there are any, then from the seed (0: then all is 0). */
struct sl_model_source {
	const uint8_t *bytes;
	size_t n;
	uint64_t seed;
};
uint32_t sl_model_pick(struct sl_model_source *s, uint32_t n); /* [0, n) */

struct sl_model_table {
	struct sl_test_vhost vhost;
	struct sl_test_http_route route[80];
	struct sl_test_cond cond[80][6];
	char text[80 * 12][40]; /* values that no list has */
	uint32_t text_cnt;
};

/* regexes: of which one in so many conditions may be; 0: none */
void sl_model_table(struct sl_model_source *s, uint32_t regexes, struct sl_model_table *ret);
void sl_model_request(struct sl_model_source *s, struct sl_model_request *ret);
/* A request of this head; ends the process when it is none. */
void sl_model_request_parse(struct sl_model_request *r);

bool sl_model_holds(const struct sl_test_cond *c, const struct sl_model_request *r);
uint32_t sl_model_find(const struct sl_test_vhost *v, const struct sl_model_request *r);
/* Captures of a template as offsets and lengths; −1: it does not hold. */
int sl_model_captures(const struct sl_test_cond *c, const char *path, uint32_t ret[][2]);

/* sl_model_compare finds the request in a match of the table and by the model: route, prefix, captures, each condition.
 * NULL, or a sentence. */
const char *sl_model_compare(const struct sl_test_vhost *v, const struct sl_match *m,
			     struct sl_match_scratch *scratch, const struct sl_model_request *r);

#endif
