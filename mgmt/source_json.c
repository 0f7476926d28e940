/* One row per key of an endpoint's JSON; a value is read by what reads the same key of a table file.  Texts are looked at
 * before jansson sees them: it recurses per level, and needs some 250 bytes for each "{}". */
#include "mgmt/source.h"

#include "mgmt/conf_value.h"

#include <jansson.h>
#include <stdio.h>

/* ---- texts ---- */

#define MOST_VALUES (1u << 20)
#define MOST_LISTS (1u << 18) /* and objects */

/* NULL, or why the text is not given to the parser. */
static const char *
check_size(const char *text, size_t len)
{
	unsigned depth = 0, values = 0, lists = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"') {
			quoted = !quoted;
		} else if (quoted) {
			i += text[i] == '\\';
		} else if (text[i] == '{' || text[i] == '[') {
			lists++;
			depth++;
		} else if ((text[i] == '}' || text[i] == ']') && depth) {
			depth--;
		}
		values += !quoted && (text[i] == ',' || text[i] == ':');
		if (depth > SL_SOURCE_JSON_DEPTH)
			return "is nested more than 32 levels deep";
	}
	return values > MOST_VALUES || lists > MOST_LISTS ? "has more values than any answer needs"
							  : NULL;
}

struct json_t *
sl_source_json(const char *text, size_t len, char *buf, size_t size)
{
	json_error_t err;
	const char *why = NULL;

	if (len > SL_SOURCE_JSON_BYTES)
		why = "is longer than 8 MB";
	else if (len == 0)
		why = "is empty";
	else
		why = check_size(text, len);
	if (why) {
		snprintf(buf, size, "%s", why);
		return NULL;
	}
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &err);
	if (!j) {
		char words
			[2 *
			 sizeof(err.text)]; /* the parser quotes what it read: made printable, without our quotes */
		sl_value_quote(err.text, words, sizeof(words));
		snprintf(buf, size, "is not JSON: line %d, column %d: %.*s", err.line, err.column,
			 (int)strlen(words) - 2, words + 1);
	}
	return j;
}

/* ---- an endpoint ---- */

struct reader {
	struct sl_source_endpoint *e;
	char *buf; /* the complaint */
	size_t size;
};

#define SAY(r, ...) (snprintf((r)->buf, (r)->size, __VA_ARGS__), (r)->buf)

typedef const char *read_fn(const struct reader *r, const char *key, const json_t *v);

static const char *
whole(const struct reader *r, const char *key, const json_t *v, int lo, int hi, int *ret)
{
	if (!json_is_integer(v))
		return SAY(r, "%s: not a whole number", key);
	if (json_integer_value(v) < lo || json_integer_value(v) > hi)
		return SAY(r, "%s: %lld is not within %d to %d", key,
			   (long long)json_integer_value(v), lo, hi);
	*ret = (int)json_integer_value(v);
	return NULL;
}

/* What a value parser says goes on from the text. */
static const char *
complain(const struct reader *r, const char *key, const char *text, const char *why)
{
	char quoted[160];

	return why ? SAY(r, "%s: %s %s", key, sl_value_quote(text, quoted, sizeof(quoted)), why)
		   : NULL;
}

static const char *
read_address(const struct reader *r, const char *key, const json_t *v)
{
	const char *text = json_string_value(v);

	return text ? complain(r, key, text, sl_value_addr(text, &r->e->addr))
		    : SAY(r, "%s: not a string", key);
}

static const char *
read_port(const struct reader *r, const char *key, const json_t *v)
{
	int n = 0;
	const char *why = whole(r, key, v, 1, 65535, &n);

	r->e->port = (uint16_t)n;
	return why;
}

static const char *
read_weight(const struct reader *r, const char *key, const json_t *v)
{
	int n = 0;
	const char *why = whole(r, key, v, 0, SL_MAX_WEIGHT, &n);

	r->e->weight = (uint16_t)n;
	return why;
}

static const char *
read_priority(const struct reader *r, const char *key, const json_t *v)
{
	int n = 0;
	const char *why = whole(r, key, v, 0, SL_MAX_PRIORITY, &n);

	r->e->priority = (uint8_t)n;
	return why;
}

static const char *
read_percent(const struct reader *r, const char *key, const json_t *v)
{
	int n = 0;
	const char *why = whole(r, key, v, 0, 100, &n);

	r->e->percent = (uint8_t)n;
	return why;
}

static const char *
read_drain(const struct reader *r, const char *key, const json_t *v)
{
	r->e->drain = json_is_true(v);
	return json_is_boolean(v) ? NULL : SAY(r, "%s: neither true nor false", key);
}

static const char *
read_locality(const struct reader *r, const char *key, const json_t *v)
{
	const char *text = json_string_value(v);

	return text ? complain(r, key, text, sl_value_locality(text, r->e->locality))
		    : SAY(r, "%s: not a string", key);
}

static const char *
read_metadata(const struct reader *r, const char *key, const json_t *v)
{
	const char *name, *why = NULL;
	char pair[SL_META_MAX + 2], quoted[160];
	json_t *value;

	if (!json_is_object(v))
		return SAY(r, "%s: not an object", key);
	json_object_foreach((json_t *)(uintptr_t)v, name, value)
	{
		const char *text = json_string_value(value);
		if (!text)
			return SAY(r, "%s: the value of %s is not a string", key,
				   sl_value_quote(name, quoted, sizeof(quoted)));
		if (strchr(name, '=') ||
		    snprintf(pair, sizeof(pair), "%s=%s", name, text) >= (int)sizeof(pair))
			return SAY(r, "%s: %s is too long, or has a = in its name", key,
				   sl_value_quote(name, quoted, sizeof(quoted)));
		why = complain(r, key, pair, sl_value_meta_add(pair, r->e->meta));
		if (why)
			return why;
	}
	return NULL;
}

static const char *
read_nothing(const struct reader *r, const char *key, const json_t *v)
{
	(void)r;
	(void)key;
	(void)v;
	return NULL;
}

static const struct row {
	const char *key;
	read_fn *read;
} rows[] = {
	{"address", read_address},   {"port", read_port},         {"weight", read_weight},
	{"priority", read_priority}, {"percent", read_percent},   {"drain", read_drain},
	{"locality", read_locality}, {"metadata", read_metadata}, {"name", read_nothing},
	{"ttl_s", read_nothing}, /* the caller's */
};

static const char *
unknown(const struct reader *r, const char *key)
{
	const char *words[SL_ARRAY_CNT(rows)];
	char quoted[160];

	sl_value_quote(key, quoted, sizeof(quoted));
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		words[i] = rows[i].key;
	int near = sl_value_nearest(key, words, SL_ARRAY_CNT(rows));
	return near < 0 ? SAY(r, "unknown key %s", quoted)
			: SAY(r, "unknown key %s: did you mean \"%s\"?", quoted, words[near]);
}

const char *
sl_source_endpoint_json(const struct json_t *e, struct sl_source_endpoint *ret, char *buf,
			size_t size)
{
	struct reader r = {ret, buf, size};
	const char *key, *why = NULL;
	json_t *v;

	memset(ret, 0, sizeof(*ret));
	ret->weight = UINT16_MAX;
	ret->percent = 100;
	if (!json_is_object(e))
		return SAY(&r, "not an object");
	json_object_foreach((json_t *)(uintptr_t)e, key, v)
	{
		unsigned i = 0;
		while (i < SL_ARRAY_CNT(rows) && strcmp(rows[i].key, key))
			i++;
		why = i < SL_ARRAY_CNT(rows) ? rows[i].read(&r, key, v) : unknown(&r, key);
		if (why)
			return why;
	}
	return json_object_get(e, "address") ? NULL : SAY(&r, "address: missing");
}
