/* The record is the JSON of a PUT with what the registry knows besides:
 *
 *   {"service": S, "endpoint": E, "is": {…}, "ttl_s": N, "since": MS, "silent": MS, "by": TEXT,
 *    "maintenance": {"since": MS, "by": TEXT, "reason": TEXT}}         or {"service": S, "endpoint": E, "gone": true}
 *
 * so that what reads a PUT reads it, too; times of 0 and empty texts are left out. */
#include "mgmt/registry_record.h"

#include "mgmt/conf_value.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#define SAY(buf, size, ...) (snprintf(buf, size, __VA_ARGS__), (buf))

/* ---- bodies ---- */

json_t *
sl_registry_body(const char *bytes, size_t len, char *why, size_t size)
{
	char buf[200];

	if (len == 0)
		return json_object();
	if (len > SL_REGISTRY_BODY) {
		snprintf(why, size, "is %zu bytes long, at most %u are allowed", len,
			 SL_REGISTRY_BODY);
		return NULL;
	}
	json_t *body = sl_source_json(bytes, len, buf, sizeof(buf));
	if (json_is_object(body))
		return body;
	snprintf(why, size, "%s", body ? "is not an object" : buf);
	json_decref(body);
	return NULL;
}

bool
sl_registry_name(const char *text, char ret[SL_NAME_MAX])
{
	char name[SL_NAME_MAX] = "";

	if (!text || strlen(text) >= sizeof(name))
		return false;
	memcpy(name, text, strlen(text));
	if (!sl_name_ok(name))
		return false;
	memcpy(ret, name, sizeof(name));
	return true;
}

const char *
sl_registry_read_put(const json_t *body, struct sl_registration *ret, char *buf, size_t size)
{
	char name[SL_NAME_MAX];
	const char *why;
	const json_t *ttl = json_object_get(body, "ttl_s");

	memcpy(name, ret->is.name, sizeof(name));
	why = sl_source_endpoint_json(body, &ret->is, buf, size);
	memcpy(ret->is.name, name, sizeof(name));
	ret->ttl_s = 0;
	if (why)
		return why;
	if (json_object_get(body, "name"))
		return SAY(buf, size, "name: is in the path");
	if (!ttl)
		return NULL;
	if (!json_is_integer(ttl))
		return SAY(buf, size, "ttl_s: not a whole number");
	if (json_integer_value(ttl) < 0 || json_integer_value(ttl) > SL_REGISTRY_TTL_MAX_S)
		return SAY(buf, size, "ttl_s: %lld is not in 0–%d",
			   (long long)json_integer_value(ttl), SL_REGISTRY_TTL_MAX_S);
	ret->ttl_s = (uint32_t)json_integer_value(ttl);
	return NULL;
}

const char *
sl_registry_read_heartbeat(const json_t *body, uint8_t *percent, bool *drain, char *buf,
			   size_t size)
{
	json_int_t hint = *percent;
	bool leaving = *drain;
	const char *key;
	char quoted[160];
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)body, key, v)
	{
		if (strcmp(key, "percent") == 0 && json_is_integer(v))
			hint = json_integer_value(v);
		else if (strcmp(key, "percent") == 0)
			return SAY(buf, size, "percent: not a whole number");
		else if (strcmp(key, "drain") == 0 && json_is_boolean(v))
			leaving = json_is_true(v);
		else if (strcmp(key, "drain") == 0)
			return SAY(buf, size, "drain: neither true nor false");
		else
			return SAY(buf, size, "unknown key %s: percent and drain are there",
				   sl_value_quote(key, quoted, sizeof(quoted)));
	}
	if (hint < 0 || hint > 100)
		return SAY(buf, size, "percent: %lld is not in 0–100", (long long)hint);
	*percent = (uint8_t)hint;
	*drain = leaving;
	return NULL;
}

/* One line, for people. */
static const char *
check_reason(const json_t *v, char *buf, size_t size)
{
	const char *text = json_string_value(v);

	if (!text)
		return SAY(buf, size, "reason: not a string");
	if (strlen(text) >= SL_REGISTRY_REASON)
		return SAY(buf, size, "reason: %zu bytes long, at most %d fit", strlen(text),
			   SL_REGISTRY_REASON - 1);
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return SAY(buf, size, "reason: holds a control character");
	return NULL;
}

const char *
sl_registry_read_maintain(const json_t *body, bool *ret_on, char ret_reason[SL_REGISTRY_REASON],
			  char *buf, size_t size)
{
	const json_t *on = json_object_get(body, "on"), *reason = json_object_get(body, "reason");
	const char *why = reason ? check_reason(reason, buf, size) : NULL;

	if (why)
		return why;
	if (!json_is_boolean(on))
		return SAY(buf, size, "on: %s", on ? "neither true nor false" : "missing");
	if (json_object_size(body) > (reason ? 2u : 1u))
		return SAY(buf, size, "unknown key: on and reason are there");
	*ret_on = json_is_true(on);
	memset(ret_reason, 0, SL_REGISTRY_REASON);
	if (reason)
		memcpy(ret_reason, json_string_value(reason), json_string_length(reason));
	return NULL;
}

/* ---- what is kept ---- */

/* "a=b,c=d" → {"a": "b", "c": "d"}; neither keys nor values have '=' or ','. */
static json_t *
meta_json(const char *meta)
{
	json_t *o = json_object();

	while (o && *meta) {
		size_t pair = strcspn(meta, ","), key = strcspn(meta, "=");
		char name[SL_META_MAX];
		snprintf(name, sizeof(name), "%.*s", (int)key, meta);
		json_object_set_new(o, name, json_stringn(meta + key + 1, pair - key - 1));
		meta += pair;
		meta += *meta == ',';
	}
	return o;
}

json_t *
sl_registry_endpoint(const struct sl_source_endpoint *e)
{
	char host[SL_ADDR_STRLEN];

	sl_addr_format(&e->addr, host);
	json_t *o = json_pack("{s:s, s:i, s:i, s:b, s:s, s:o}", "address", host, "priority",
			      e->priority, "percent", e->percent, "drain", e->drain, "locality",
			      e->locality, "metadata", meta_json(e->meta));
	if (o && e->port)
		json_object_set_new(o, "port", json_integer(e->port));
	if (o && e->weight != UINT16_MAX)
		json_object_set_new(o, "weight", json_integer(e->weight));
	return o;
}

char *
sl_registry_record(const struct sl_registration *r, bool gone)
{
	json_t *o = json_pack("{s:s, s:s}", "service", r->service, "endpoint", r->is.name);

	if (o && gone) {
		json_object_set_new(o, "gone", json_true());
	} else if (o) {
		json_object_set_new(o, "is", sl_registry_endpoint(&r->is));
		json_object_set_new(o, "ttl_s", json_integer(r->ttl_s));
		json_object_set_new(o, "since", json_integer(r->since_ms));
		json_object_set_new(o, "by", json_string(r->by));
		if (r->silent_ms)
			json_object_set_new(o, "silent", json_integer(r->silent_ms));
		if (r->maintenance_ms)
			json_object_set_new(o, "maintenance",
					    json_pack("{s:I, s:s, s:s}", "since",
						      (json_int_t)r->maintenance_ms, "by",
						      r->maintenance_by, "reason", r->reason));
	}
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

static void
read_text(const json_t *o, const char *key, char *ret, size_t size)
{
	const char *text = json_string_value(json_object_get(o, key));

	if (text && strlen(text) < size)
		memcpy(ret, text, strlen(text));
}

static int64_t
read_time(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *
read_record(const json_t *o, struct sl_registration *ret, bool *ret_gone)
{
	char buf[160];
	const json_t *m = json_object_get(o, "maintenance");
	const json_t *ttl = json_object_get(o, "ttl_s");

	memset(ret, 0, sizeof(*ret));
	if (!sl_registry_name(json_string_value(json_object_get(o, "service")), ret->service) ||
	    !sl_registry_name(json_string_value(json_object_get(o, "endpoint")), ret->is.name))
		return "no names";
	*ret_gone = json_is_true(json_object_get(o, "gone"));
	if (*ret_gone)
		return NULL;
	if (sl_registry_read_put(json_object_get(o, "is"), ret, buf, sizeof(buf)))
		return "no endpoint";
	if (!json_is_integer(ttl) || json_integer_value(ttl) < 0 ||
	    json_integer_value(ttl) > SL_REGISTRY_TTL_MAX_S)
		return "no ttl_s";
	ret->ttl_s = (uint32_t)json_integer_value(ttl);
	ret->since_ms = read_time(o, "since");
	ret->silent_ms = ret->ttl_s ? read_time(o, "silent") : 0;
	ret->maintenance_ms = read_time(m, "since");
	read_text(o, "by", ret->by, sizeof(ret->by));
	if (!ret->maintenance_ms)
		return NULL;
	read_text(m, "by", ret->maintenance_by, sizeof(ret->maintenance_by));
	read_text(m, "reason", ret->reason, sizeof(ret->reason));
	return NULL;
}

const char *
sl_registry_record_read(const char *text, size_t len, struct sl_registration *ret, bool *ret_gone)
{
	char buf[200];
	json_t *o = sl_source_json(text, len, buf, sizeof(buf));
	const char *why = json_is_object(o) ? read_record(o, ret, ret_gone) : "not an object";

	json_decref(o);
	return why;
}
