/* What etcd's gateway may say.  An input is a kind (byte mod 6) and a text: a range, a line of a watch, a transaction, a lease, a
 * token, an error.
 *
 * Whatever comes: what was read is within what was asked for, every text is terminated and printable where people see it, and what was
 * not read has a reason.
 */
#include "mgmt/etcd_wire.h"
#include "mgmt/source.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static void
printable(const char *text, size_t room)
{
	MUST(strnlen(text, room) < room);
	for (; *text; text++)
		MUST((unsigned char)*text >= 0x20 && *text != 0x7f);
}

/* The value goes where sources take it. */
static void
judge_value(const struct sl_etcd_kv *kv)
{
	struct sl_source_endpoint e;
	char why[200];

	MUST(strlen(kv->key) < SL_ETCD_KEY_MAX && kv->value && kv->value[kv->value_len] == 0);
	json_t *j = sl_source_json(kv->value, kv->value_len, why, sizeof(why));
	const char *bad = j ? sl_source_endpoint_json(j, &e, why, sizeof(why)) : why;
	if (bad)
		printable(bad, sizeof(why));
	json_decref(j);
}

static void
judge(struct sl_etcd_answer *a, int err, const char *why, size_t room)
{
	MUST(err == 0 || err == -EINVAL || err == -ENOMEM);
	if (err)
		printable(why, room);
	for (size_t i = 0; !err && i < a->cnt; i++)
		judge_value(&a->kvs[i]);
	MUST(err || !a->last == (a->cnt + a->odd == 0));
	printable(a->reason, sizeof(a->reason));
	sl_etcd_wire_fini(a);
	MUST(a->cnt == 0 && !a->kvs);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_etcd_answer a;
	char why[200] = "", token[64] = "";
	const char *text = (const char *)data + 1;
	uint64_t id = 0;
	int64_t ttl_s = 0;
	bool ok = false;

	if (size == 0)
		return 0;
	size--;
	switch (data[0] % 6) {
	case 0:
		judge(&a, sl_etcd_wire_range(text, size, "/s/", &a, why, sizeof(why)), why,
		      sizeof(why));
		break;
	case 1:
		judge(&a, sl_etcd_wire_watch(text, size, "/s/", &a, why, sizeof(why)), why,
		      sizeof(why));
		break;
	case 2:
		judge(&a, sl_etcd_wire_txn(text, size, "", &ok, &a, why, sizeof(why)), why,
		      sizeof(why));
		break;
	case 3:
		if (sl_etcd_wire_lease(text, size, &id, &ttl_s, why, sizeof(why)) == 0)
			MUST(ttl_s >= 0);
		break;
	case 4:
		if (sl_etcd_wire_token(text, size, token, sizeof(token), why, sizeof(why)) == 0)
			MUST(token[0] && !strpbrk(token, " \r\n"));
		break;
	default:
		MUST(sl_etcd_wire_error(text, size, why, sizeof(why)) <= 255);
		printable(why, sizeof(why));
	}
	return 0;
}
