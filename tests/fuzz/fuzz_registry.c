/* What peers send to the registry, and what is read from its journal.  An input is
 *
 *   kind u8 │ text          kind % 4: the body of a registration, of a heartbeat, of maintenance; a record
 *
 * What is taken is within its bounds, and comes back from its record as it was; what is refused is told in words. */
#include "mgmt/registry_record.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool good)
{
	if (!good)
		abort();
}

/* A reason that goes out as JSON. */
static void
must_be_words(const char *why)
{
	json_t *t = json_string(why);

	must(t && *why);
	for (; *why; why++)
		must((unsigned char)*why >= ' ' && *why != 0x7f);
	json_decref(t);
}

static void
must_come_back(const struct sl_registration *r)
{
	struct sl_registration again;
	bool gone = true;
	char *text = sl_registry_record(r, false);

	must(text != NULL);
	must(sl_registry_record_read(text, strlen(text), &again, &gone) == NULL && !gone);
	must(sl_addr_eq(&r->is.addr, &again.is.addr) && r->is.port == again.is.port &&
	     r->is.weight == again.is.weight && r->is.priority == again.is.priority &&
	     r->is.percent == again.is.percent && r->is.drain == again.is.drain);
	must(strcmp(r->is.locality, again.is.locality) == 0 &&
	     strcmp(r->is.meta, again.is.meta) == 0 && strcmp(r->is.name, again.is.name) == 0 &&
	     strcmp(r->service, again.service) == 0 && r->ttl_s == again.ttl_s);
	must(r->silent_ms == again.silent_ms && r->maintenance_ms == again.maintenance_ms &&
	     strcmp(r->reason, again.reason) == 0 && strcmp(r->by, again.by) == 0);
	free(text);
}

static void
look_at_put(const json_t *body)
{
	struct sl_registration r = {.service = "web", .is.name = "web-1", .by = "fuzz"};
	char buf[300];
	const char *why = sl_registry_read_put(body, &r, buf, sizeof(buf));

	if (why) {
		must_be_words(why);
		return;
	}
	must(r.ttl_s <= SL_REGISTRY_TTL_MAX_S && r.is.percent <= 100 &&
	     r.is.priority <= SL_MAX_PRIORITY);
	must(r.is.weight <= SL_MAX_WEIGHT || r.is.weight == UINT16_MAX);
	must_come_back(&r);
}

static void
look_at_heartbeat(const json_t *body)
{
	uint8_t percent = 7;
	bool drain = true;
	char buf[300];
	const char *why = sl_registry_read_heartbeat(body, &percent, &drain, buf, sizeof(buf));

	if (why)
		must_be_words(why);
	must(why ? percent == 7 && drain : percent <= 100);
}

static void
look_at_maintenance(const json_t *body)
{
	char buf[300], reason[SL_REGISTRY_REASON];
	bool on;
	const char *why = sl_registry_read_maintain(body, &on, reason, buf, sizeof(buf));

	if (why)
		must_be_words(why);
	else
		must(memchr(reason, 0, sizeof(reason)) != NULL);
}

static void
look_at_record(const char *text, size_t len)
{
	struct sl_registration r;
	bool gone;

	if (sl_registry_record_read(text, len, &r, &gone))
		return;
	must(sl_name_ok(r.service) && sl_name_ok(r.is.name));
	if (!gone)
		must_come_back(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[320] = "";

	if (size < 1)
		return 0;
	const char *text = (const char *)data + 1;
	if (data[0] % 4 == 3) {
		look_at_record(text, size - 1);
		return 0;
	}
	json_t *body = sl_registry_body(text, size - 1, why, sizeof(why));
	if (!body)
		must_be_words(why);
	else if (data[0] % 4 == 0)
		look_at_put(body);
	else if (data[0] % 4 == 1)
		look_at_heartbeat(body);
	else
		look_at_maintenance(body);
	json_decref(body);
	return 0;
}
