/* Any bytes as the answer of a DNS server to the question that they repeat; what they say becomes endpoints. */
#include "mgmt/dns_endpoints.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool good)
{
	if (!good)
		abort();
}

static void
must_be_words(const char *text)
{
	must(*text);
	for (; *text; text++)
		must(*text >= ' ' && *text < 127);
}

/* The name and the type that were asked, without pointers: servers repeat what they were asked. */
static bool
question(const uint8_t *b, size_t len, char name[256], uint16_t *ret_type)
{
	size_t at = 12, n = 0;

	while (at < len && b[at] && b[at] < 64 && at + 1 + b[at] < len && n + b[at] + 2u < 256) {
		if (n)
			name[n++] = '.';
		for (unsigned i = 1; i <= b[at]; i++)
			name[n++] = (char)b[at + i];
		at += b[at] + 1u;
	}
	name[n] = 0;
	if (at + 3 > len)
		return false;
	*ret_type = (uint16_t)(b[at + 1] << 8 | b[at + 2]);
	return *ret_type == SL_DNS_A || *ret_type == SL_DNS_AAAA || *ret_type == SL_DNS_SRV;
}

static void
look_at(const struct sl_dns_endpoints *e)
{
	must(e->cnt <= SL_MAX_SERVICE_ENDPOINTS);
	must(e->left_out == 0 || *e->note);
	if (*e->note)
		must_be_words(e->note);
	for (uint32_t i = 0; i < e->cnt; i++) {
		const struct sl_source_endpoint *one = &e->list[i];
		must(sl_name_ok(one->name) && sl_addr_src_ok(&one->addr));
		must(one->priority <= SL_MAX_PRIORITY && one->percent == 100);
		must((one->weight >= 1 && one->weight <= SL_MAX_WEIGHT) ||
		     one->weight == UINT16_MAX);
		must(i == 0 || strcmp(one->name, one[-1].name) != 0);
	}
}

/* Each target has what the additional section says of it. */
static uint32_t
targets_of(const struct sl_dns_answer *a, struct sl_dns_target *list, struct sl_addr *addrs)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->more_cnt; i++) {
		addrs[i] = a->more[i].addr;
		if (n == 0 || strcmp(list[n - 1].host, a->more[i].owner) != 0) {
			memset(&list[n], 0, sizeof(*list));
			memcpy(list[n].host, a->more[i].owner, sizeof(list[n].host));
			list[n++].addrs = &addrs[i];
		}
		list[n - 1].addr_cnt++;
	}
	return n;
}

static void
use(struct sl_dns_answer *a)
{
	struct sl_dns_target *list = calloc(a->more_cnt + 1u, sizeof(*list));
	struct sl_addr *addrs = calloc(a->more_cnt + 1u, sizeof(*addrs));
	struct sl_dns_endpoints e;
	uint32_t cnt;

	must(list && addrs);
	for (uint32_t i = 1; i < a->addr_cnt; i++)
		must(sl_addr_cmp(&a->addrs[i - 1], &a->addrs[i]) < 0);
	for (uint32_t i = 0; i < a->more_cnt; i++) {
		bool v4 = sl_addr_is_v4(&a->more[i].addr);
		must(sl_dns_answer_more(a, a->more[i].owner, v4 ? SL_DNS_A : SL_DNS_AAAA, &cnt) !=
		     NULL);
	}
	must(sl_dns_endpoints_addrs(a->addrs, a->addr_cnt, 80, &e) == 0);
	look_at(&e);
	sl_dns_endpoints_fini(&e);
	uint32_t n = targets_of(a, list, addrs);
	if ((uint64_t)a->srv_cnt * a->more_cnt < 100000) {
		must(sl_dns_endpoints_srv(a->srvs, a->srv_cnt, list, n, &e) == 0);
		look_at(&e);
		sl_dns_endpoints_fini(&e);
	}
	free(list);
	free(addrs);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_dns_answer a;
	const char *why = NULL;
	char name[256];
	uint16_t type;

	if (!question(data, size, name, &type))
		return 0;
	if (sl_dns_answer_read(data, size, name, type, &a, &why)) {
		must_be_words(why);
		return 0;
	}
	use(&a);
	sl_dns_answer_fini(&a);
	return 0;
}
