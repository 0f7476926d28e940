#include "mgmt/source_consul_read.h"

#include "mgmt/conf_value.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <strings.h>

struct reader {
	const char *service, *tag;
	json_int_t heaviest; /* Weights.Passing of all */
	struct sl_source_answer *a;
};

static const char *
text_at(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

/* Something of the answer, to be named in a note. */
struct quoted {
	char text[64];
};

static struct quoted
quote(const char *text)
{
	struct quoted q;

	sl_value_quote(text, q.text, sizeof(q.text));
	return q;
}

/* ---- one instance ---- */

static bool
has_tag(const json_t *service, const char *tag)
{
	const json_t *tags = json_object_get(service, "Tags"), *t;
	size_t i;

	json_array_foreach(tags, i, t) if (json_is_string(t) &&
					   strcmp(json_string_value(t), tag) == 0) return true;
	return false;
}

static void
read_name(const struct reader *r, const json_t *node, const json_t *service, char name[SL_NAME_MAX])
{
	const char *machine = text_at(node, "Node"), *id = text_at(service, "ID");
	char text[1024];
	bool plain = !*id || strcasecmp(id, r->service) == 0;
	int n = snprintf(text, sizeof(text), "%s%s%s", machine, plain || !*machine ? "" : ".",
			 plain && *machine ? "" : id);

	sl_source_name(text, SL_MIN((size_t)n, sizeof(text) - 1), name);
}

static void
read_locality(const json_t *node, const json_t *service, char locality[SL_LOCALITY_MAX])
{
	const json_t *l = json_object_get(service, "Locality");
	char text[2 * SL_LOCALITY_MAX];

	if (!*text_at(l, "Region"))
		l = json_object_get(node, "Locality");
	const char *region = text_at(l, "Region"), *zone = text_at(l, "Zone");
	if (!*region) {
		region = text_at(node, "Datacenter");
		zone = "";
	}
	int n = snprintf(text, sizeof(text), "%s%s%s", region, *zone ? "/" : "", zone);
	if (n > 0 && (size_t)n < sizeof(text))
		(void)sl_value_locality(text, locality); /* what is none is left away */
}

static void
read_meta(const struct reader *r, const json_t *service, char meta[SL_META_MAX])
{
	json_t *all = json_object_get(service, "Meta"), *v;
	const char *key;
	char pair[SL_META_MAX];

	json_object_foreach(all, key, v)
	{
		const char *text = json_string_value(v);
		if (!text)
			continue;
		int n = snprintf(pair, sizeof(pair), "%s=%s", key, text);
		const char *why = (size_t)n >= sizeof(pair) ? "is more than fits"
							    : sl_value_meta_add(pair, meta);
		if (why)
			sl_source_answer_note(r->a, "metadata %s %s", quote(key).text, why);
	}
}

/* Weights of a running instance: what the range has no room for was scaled. */
static const char *
read_weights(const struct reader *r, const json_t *service, struct sl_source_endpoint *e,
	     unsigned *ret_warning)
{
	const json_t *w = json_object_get(service, "Weights");
	const json_t *p = json_object_get(w, "Passing"), *q = json_object_get(w, "Warning");
	json_int_t passing = json_integer_value(p), warning = json_integer_value(q);

	*ret_warning = 100;
	if (!p)
		return NULL;
	if (!json_is_integer(p) || passing < 0 || passing > UINT16_MAX)
		return "Weights.Passing is not 0 to 65535";
	if (q && (!json_is_integer(q) || warning < 0 || warning > UINT16_MAX))
		return "Weights.Warning is not 0 to 65535";
	if (q && warning < passing)
		*ret_warning = (unsigned)(warning * 100 / passing);
	if (r->heaviest > SL_MAX_WEIGHT && passing > 0)
		passing = SL_MAX(passing * SL_MAX_WEIGHT / r->heaviest, (json_int_t)1);
	e->weight = (uint16_t)passing;
	return NULL;
}

static bool
is_maintenance(const char *check)
{
	static const char service[] = "_service_maintenance:";

	return strcmp(check, "_node_maintenance") == 0 ||
	       strncmp(check, service, sizeof(service) - 1) == 0;
}

static void
read_checks(const struct reader *r, const json_t *checks, unsigned warning,
	    struct sl_source_endpoint *e)
{
	const json_t *c;
	size_t i;

	json_array_foreach(checks, i, c)
	{
		const char *status = text_at(c, "Status");
		if (strcmp(status, "critical") == 0) {
			if (is_maintenance(text_at(c, "CheckID")))
				e->drain = true;
			else
				e->down = true;
		} else if (strcmp(status, "warning") == 0) {
			e->percent = (uint8_t)warning;
		} else if (strcmp(status, "passing") != 0) {
			sl_source_answer_note(r->a, "a check's status is %s: not looked at",
					      quote(status).text);
		}
	}
}

static const char *
read_place(const json_t *node, const json_t *service, struct sl_source_endpoint *e)
{
	const char *addr = text_at(service, "Address");
	const json_t *port = json_object_get(service, "Port");

	if (!*addr)
		addr = text_at(node, "Address");
	if (!*addr)
		return "has no address";
	const char *why = sl_value_addr(addr, &e->addr);
	if (why)
		return why;
	if (port && (!json_is_integer(port) || json_integer_value(port) < 0 ||
		     json_integer_value(port) > 65535))
		return "has a port that is not 0 to 65535";
	e->port = (uint16_t)json_integer_value(port);
	return NULL;
}

/* NULL, or why it cannot be used. */
static const char *
read_instance(const struct reader *r, const json_t *entry, struct sl_source_endpoint *e)
{
	const json_t *node = json_object_get(entry, "Node");
	const json_t *service = json_object_get(entry, "Service");
	const json_t *checks = json_object_get(entry, "Checks");
	unsigned warning;

	if (!json_is_object(node) || !json_is_object(service))
		return "has no node or no service";
	if (checks && !json_is_array(checks) && !json_is_null(checks))
		return "has checks that are no list";
	if (strcasecmp(text_at(service, "Service"), r->service) != 0)
		return "is of another service";
	const char *why = read_place(node, service, e);
	if (!why)
		why = read_weights(r, service, e, &warning);
	if (why)
		return why;
	read_name(r, node, service, e->name);
	read_checks(r, checks, warning, e);
	read_locality(node, service, e->locality);
	read_meta(r, service, e->meta);
	return NULL;
}

/* ---- all of them ---- */

static void
find_heaviest(struct reader *r, const json_t *list)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const json_t *w = json_object_get(json_object_get(entry, "Service"), "Weights");
		json_int_t passing = json_integer_value(json_object_get(w, "Passing"));
		if (passing <= UINT16_MAX && passing > r->heaviest)
			r->heaviest = passing;
	}
	if (r->heaviest > SL_MAX_WEIGHT)
		sl_source_answer_note(r->a, "weights up to %lld are scaled to %d",
				      (long long)r->heaviest, SL_MAX_WEIGHT);
}

static int
read_list(struct reader *r, const json_t *list)
{
	const json_t *entry;
	size_t i;

	find_heaviest(r, list);
	json_array_foreach(list, i, entry)
	{
		const json_t *service = json_object_get(entry, "Service");
		if (*r->tag && json_is_object(service) && !has_tag(service, r->tag))
			continue;
		struct sl_source_endpoint *e = sl_source_answer_add(r->a);
		if (!e)
			return -ENOMEM;
		const char *why = read_instance(r, entry, e);
		if (!why)
			continue;
		r->a->cnt--;
		sl_source_answer_leave_out(
			r->a, 1, "instance %s on %s %s", quote(text_at(service, "ID")).text,
			quote(text_at(json_object_get(entry, "Node"), "Node")).text, why);
	}
	return 0;
}

int
sl_source_consul_read(const char *bytes, size_t len, const char *service, const char *tag,
		      uint16_t port, struct sl_source_answer *ret, char *why, size_t size)
{
	struct sl_source_answer a = {0};
	struct reader r = {.service = service, .tag = tag, .a = &a};
	json_t *list = sl_source_json(bytes, len, why, size);

	if (!list)
		return -EINVAL;
	int err = json_is_array(list) ? read_list(&r, list) : -EINVAL;
	json_decref(list);
	if (err) {
		snprintf(why, size,
			 err == -ENOMEM ? "needs more memory than there is"
					: "is no list of instances");
		sl_source_answer_fini(&a);
		return err;
	}
	sl_source_answer_finish(&a, port);
	*ret = a;
	return 0;
}

int
sl_source_consul_index(const char *text, uint64_t *ret_index)
{
	uint64_t n = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		unsigned digit = (unsigned)(uint8_t)*text - '0';
		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return -1;
		n = n * 10 + digit;
	}
	*ret_index = n;
	return 0;
}
