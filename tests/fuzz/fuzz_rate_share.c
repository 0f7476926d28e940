/* The document of a limit that gateways share, as anybody may have written it.  Whatever it says: it is read as a whole or refused in printable
 * words; what was read comes back as it was written; and a gateway that meets it goes by nothing that it did not write itself, and writes
 * nothing that cannot be read, nor what makes more of all shares than there was or the limit has. */
#include "mgmt/rate_share_plan.h"
#include "tests/fuzz/source_must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
meet(const struct sl_share_doc *d)
{
	static struct sl_share_plan p;
	static struct sl_share_write w;
	static const char gateway[SL_NAME_MAX] = "gw-1";
	struct sl_share_peer gone = {d->cnt ? d->e[0].session : 9, 1, 1};
	struct sl_share_here here = {.now_ns = 1ull << 62,
				     .session = d->cnt ? d->e[d->cnt - 1].session : 7,
				     .gateway = gateway,
				     .epoch = 1,
				     .peers = &gone,
				     .peer_cnt = 1};

	sl_share_plan_init(&p);
	sl_share_plan_table(&p, 1000, 10, 1000);
	sl_share_plan_learn(&p, &here, d, 5);
	if (!sl_share_plan_step(&p, &here, &w))
		return;
	must(p.word == 0 && p.word_floor == 0);
	must(w.doc->cnt <= d->cnt + 1u && w.modified == 5);
	must(sl_share_doc_sum(w.doc) <= SL_MAX(sl_share_doc_sum(d), 1000ull));
	sl_share_plan_applied(&p, &here, 6);
	must(p.word <= p.held);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_share_doc d, back;
	char why[200] = "";

	if (sl_share_doc_read((const char *)data, size, &d, why, sizeof(why))) {
		must(why[0]);
		must_be_words(why);
		return 0;
	}
	char *text = sl_share_doc_write(&d);
	must(text);
	must(sl_share_doc_read(text, strlen(text), &back, why, sizeof(why)) == 0);
	must(sl_share_doc_equal(&d, &back));
	free(text);
	meet(&d);
	return 0;
}
