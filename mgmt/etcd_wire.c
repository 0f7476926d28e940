#include "mgmt/etcd_wire.h"

#include "mgmt/conf_value.h"
#include "mgmt/source.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- base64 ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* To be freed; NULL: no memory. */
static char *
encode(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	char *out = malloc((len + 2) / 3 * 4 + 1), *o = out;

	for (size_t i = 0; out && i < len; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < len ? p[i + 1] : 0u) << 8 |
			     (i + 2 < len ? p[i + 2] : 0u);
		*o++ = digits[v >> 18];
		*o++ = digits[v >> 12 & 63];
		*o++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*o++ = i + 2 < len ? digits[v & 63] : '=';
	}
	if (out)
		*o = 0;
	return out;
}

static int
digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* 0 with bytes that are terminated and to be freed; -EINVAL or -ENOMEM. */
static int
decode(const char *text, size_t len, char **ret_bytes, size_t *ret_len)
{
	size_t pad = len && text[len - 1] == '=' ? (len > 1 && text[len - 2] == '=' ? 2 : 1) : 0;
	size_t n = 0;

	if (len % 4)
		return -EINVAL;
	char *out = malloc(len / 4 * 3 + 1);
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < len; i += 4) {
		uint32_t v = 0;
		for (size_t k = i; k < i + 4; k++) {
			int d = k >= len - pad ? 0 : digit(text[k]);
			if (d < 0) {
				free(out);
				return -EINVAL;
			}
			v = v << 6 | (uint32_t)d;
		}
		out[n++] = (char)(v >> 16);
		out[n++] = (char)(v >> 8);
		out[n++] = (char)v;
	}
	n -= pad;
	out[n] = 0;
	*ret_bytes = out;
	*ret_len = n;
	return 0;
}

/* ---- values of JSON ---- */

#define SAY(why, size, ...) (snprintf(why, size, __VA_ARGS__), -EINVAL)

/* A number of 64 bits: "12", or 12 as other gateways write it.  Absent: 0.  false: something else. */
static bool
number(const json_t *object, const char *key, uint64_t *ret)
{
	const json_t *v = json_object_get(object, key);
	const char *text = json_string_value(v);
	uint64_t n = 0;

	if (!v) {
		*ret = 0;
		return true;
	}
	if (json_is_integer(v) && json_integer_value(v) >= 0) {
		*ret = (uint64_t)json_integer_value(v);
		return true;
	}
	if (!text || !*text)
		return false;
	for (; *text; text++) {
		unsigned d = (unsigned)(*text - '0');
		if (d > 9 || n > (UINT64_MAX - d) / 10)
			return false;
		n = n * 10 + d;
	}
	*ret = n;
	return true;
}

static int
read_header(const json_t *object, struct sl_etcd_answer *ret, char *why, size_t size)
{
	const json_t *h = json_object_get(object, "header");

	if (!json_is_object(h) || !number(h, "cluster_id", &ret->cluster) ||
	    !number(h, "revision", &ret->revision))
		return SAY(why, size, "has no header with cluster and revision");
	return 0;
}

/* Bytes of a member; absent: "". */
static int
bytes_of(const json_t *object, const char *key, char **ret_bytes, size_t *ret_len)
{
	const json_t *v = json_object_get(object, key);

	if (v && !json_is_string(v))
		return -EINVAL;
	return decode(v ? json_string_value(v) : "", v ? json_string_length(v) : 0, ret_bytes,
		      ret_len);
}

/* Keeps the key as the last one; the kv gets what follows the prefix. */
static int
read_key(const json_t *o, const char *prefix, struct sl_etcd_answer *ret, struct sl_etcd_kv *kv,
	 char *why, size_t size)
{
	size_t len = strlen(prefix);
	char *key;
	size_t key_len;
	int err = bytes_of(o, "key", &key, &key_len);

	if (err == -ENOMEM)
		return err;
	if (err || key_len == 0) {
		if (!err)
			free(key);
		return SAY(why, size, "has a key that is empty, or not base64");
	}
	free(ret->last);
	ret->last = key;
	ret->last_len = key_len;
	if (key_len < len || memcmp(key, prefix, len) != 0)
		return SAY(why, size, "has a key that was not asked for");
	if (key_len >= SL_ETCD_KEY_MAX || memchr(key, 0, key_len))
		return 0; /* kv->key stays NULL: an odd one */
	kv->key = strdup(key + len);
	return kv->key ? 0 : -ENOMEM;
}

static int
read_kv(const json_t *o, const char *prefix, struct sl_etcd_answer *ret, char *why, size_t size)
{
	struct sl_etcd_kv *kv = &ret->kvs[ret->cnt];

	if (!json_is_object(o))
		return SAY(why, size, "has a key without its parts");
	int err = read_key(o, prefix, ret, kv, why, size);
	if (err || !kv->key) {
		ret->odd += !err;
		return err;
	}
	ret->cnt++; /* from here on fini frees it */
	if (!number(o, "create_revision", &kv->created) ||
	    !number(o, "mod_revision", &kv->modified))
		return SAY(why, size, "has a key whose revision is no number");
	err = bytes_of(o, "value", &kv->value, &kv->value_len);
	return err == -EINVAL ? SAY(why, size, "has a value that is not base64") : err;
}

static int
room_for(struct sl_etcd_answer *ret, size_t cnt)
{
	ret->kvs = calloc(cnt + 1, sizeof(*ret->kvs));
	return ret->kvs ? 0 : -ENOMEM;
}

static int
read_kvs(const json_t *o, const char *prefix, struct sl_etcd_answer *ret, char *why, size_t size)
{
	const json_t *kvs = json_object_get(o, "kvs");
	int err;

	if ((kvs && !json_is_array(kvs)) || !number(o, "count", &ret->count))
		return SAY(why, size, "has no list of keys");
	ret->more = json_is_true(json_object_get(o, "more"));
	err = room_for(ret, json_array_size(kvs));
	for (size_t i = 0; !err && i < json_array_size(kvs); i++)
		err = read_kv(json_array_get(kvs, i), prefix, ret, why, size);
	return err;
}

/* ---- answers ---- */

static int
parse(const char *text, size_t len, json_t **ret_root, char *why, size_t size)
{
	*ret_root = sl_source_json(text, len, why, size);
	if (*ret_root && !json_is_object(*ret_root))
		return SAY(why, size, "is not an object");
	return *ret_root ? 0 : -EINVAL;
}

/* ENOMEM has words, too. */
static int
end(json_t *root, int err, char *why, size_t size)
{
	json_decref(root);
	if (err == -ENOMEM)
		snprintf(why, size, "did not fit into memory");
	return err;
}

int
sl_etcd_wire_range(const char *text, size_t len, const char *prefix, struct sl_etcd_answer *ret,
		   char *why, size_t size)
{
	json_t *root;

	memset(ret, 0, sizeof(*ret));
	int err = parse(text, len, &root, why, size);
	if (!err)
		err = read_header(root, ret, why, size);
	if (!err)
		err = read_kvs(root, prefix, ret, why, size);
	return end(root, err, why, size);
}

static int
read_event(const json_t *e, const char *prefix, struct sl_etcd_answer *ret, char *why, size_t size)
{
	const json_t *type = json_object_get(e, "type");
	const char *word = type ? json_string_value(type) : "PUT";
	size_t before = ret->cnt;

	if (!word || (strcmp(word, "PUT") != 0 && strcmp(word, "DELETE") != 0))
		return SAY(why, size, "has an event that is neither PUT nor DELETE");
	int err = read_kv(json_object_get(e, "kv"), prefix, ret, why, size);
	if (!err && ret->cnt > before)
		ret->kvs[before].gone = *word == 'D';
	return err;
}

static int
read_result(const json_t *r, const char *prefix, struct sl_etcd_answer *ret, char *why, size_t size)
{
	const json_t *events = json_object_get(r, "events");
	const char *reason = json_string_value(json_object_get(r, "cancel_reason"));
	int err = read_header(r, ret, why, size);

	if (err)
		return err;
	if ((events && !json_is_array(events)) || !number(r, "compact_revision", &ret->compacted))
		return SAY(why, size, "has no list of events");
	ret->created = json_is_true(json_object_get(r, "created"));
	ret->canceled = json_is_true(json_object_get(r, "canceled"));
	sl_value_quote(reason ? reason : "", ret->reason, sizeof(ret->reason));
	err = room_for(ret, json_array_size(events));
	for (size_t i = 0; !err && i < json_array_size(events); i++)
		err = read_event(json_array_get(events, i), prefix, ret, why, size);
	return err;
}

int
sl_etcd_wire_watch(const char *line, size_t len, const char *prefix, struct sl_etcd_answer *ret,
		   char *why, size_t size)
{
	json_t *root;
	char words[160];

	memset(ret, 0, sizeof(*ret));
	int err = parse(line, len, &root, why, size);
	const json_t *result = err ? NULL : json_object_get(root, "result");
	if (json_is_object(result))
		err = read_result(result, prefix, ret, why, size);
	else if (!err && json_object_get(root, "error"))
		err = (sl_etcd_wire_error(line, len, words, sizeof(words)),
		       SAY(why, size, "is an error: %s", words));
	else if (!err)
		err = SAY(why, size, "has no result");
	return end(root, err, why, size);
}

int
sl_etcd_wire_txn(const char *text, size_t len, const char *prefix, bool *ret_succeeded,
		 struct sl_etcd_answer *ret, char *why, size_t size)
{
	json_t *root;

	memset(ret, 0, sizeof(*ret));
	int err = parse(text, len, &root, why, size);
	if (!err)
		err = read_header(root, ret, why, size);
	if (!err) {
		const json_t *first = json_array_get(json_object_get(root, "responses"), 0);
		const json_t *range = json_object_get(first, "response_range");
		*ret_succeeded = json_is_true(json_object_get(root, "succeeded"));
		if (range)
			err = read_kvs(range, prefix, ret, why, size);
	}
	return end(root, err, why, size);
}

void
sl_etcd_wire_fini(struct sl_etcd_answer *a)
{
	for (size_t i = 0; i < a->cnt; i++) {
		free(a->kvs[i].key);
		free(a->kvs[i].value);
	}
	free(a->kvs);
	free(a->last);
	memset(a, 0, sizeof(*a));
}

int
sl_etcd_wire_lease(const char *text, size_t len, uint64_t *ret_id, int64_t *ret_ttl_s, char *why,
		   size_t size)
{
	json_t *root;
	uint64_t id, ttl;
	int err = parse(text, len, &root, why, size);

	if (!err) {
		const json_t *result = json_object_get(root, "result");
		const json_t *r = json_is_object(result) ? result : root;
		if (!number(r, "ID", &id) || !number(r, "TTL", &ttl) || ttl > INT32_MAX)
			err = SAY(why, size, "has no lease");
	}
	if (!err) {
		*ret_id = id;
		*ret_ttl_s = (int64_t)ttl;
	}
	return end(root, err, why, size);
}

int
sl_etcd_wire_token(const char *text, size_t len, char *ret_token, size_t room, char *why,
		   size_t size)
{
	json_t *root;
	int err = parse(text, len, &root, why, size);
	const char *token = err ? NULL : json_string_value(json_object_get(root, "token"));
	bool ok = token && *token && strlen(token) < room;

	for (const char *p = token; ok && *p; p++)
		ok = *p > ' ' && *p < 0x7f;
	if (ok)
		memcpy(ret_token, token, strlen(token) + 1);
	else if (!err)
		err = SAY(why, size, "has no token");
	return end(root, err, why, size);
}

unsigned
sl_etcd_wire_error(const char *text, size_t len, char *ret_words, size_t size)
{
	char why[160];
	json_t *root = sl_source_json(text, len, why, sizeof(why));
	const json_t *e = json_object_get(root, "error"), *r = json_is_object(e) ? e : root;
	const char *words = json_string_value(json_object_get(r, "message"));
	uint64_t code = 0, grpc = 0;

	if (!number(r, "code", &code) || !number(r, "grpc_code", &grpc))
		code = 0;
	if (!words)
		words = json_string_value(e);
	if (size)
		*ret_words = 0;
	if (words)
		sl_value_quote(words, ret_words, size);
	json_decref(root);
	return (unsigned)SL_MIN(code ? code : grpc, (uint64_t)255);
}

/* ---- requests ---- */

static char *
dump(json_t *j)
{
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	return text;
}

static bool
set_bytes(json_t *o, const char *key, const void *bytes, size_t len)
{
	char *text = encode(bytes, len);
	bool ok = text && json_object_set_new(o, key, json_string(text)) == 0;

	free(text);
	return ok;
}

static bool
set_number(json_t *o, const char *key, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	return json_object_set_new(o, key, json_string(text)) == 0;
}

/* Where the keys that begin with prefix end: its last byte that can be raised, raised.  Prefixes are printable. */
static bool
set_end(json_t *o, const char *prefix)
{
	char end[SL_ETCD_KEY_MAX];
	size_t len = strlen(prefix);

	if (len == 0 || len >= sizeof(end))
		return false;
	memcpy(end, prefix, len);
	end[len - 1]++;
	return set_bytes(o, "range_end", end, len);
}

static char *
dump_if(json_t *j, bool ok)
{
	if (ok)
		return dump(j);
	json_decref(j);
	return NULL;
}

char *
sl_etcd_wire_ask_range(const struct sl_etcd_ask *a)
{
	json_t *j = json_object();
	bool ok = j && set_bytes(j, "key", a->from, a->from_len);

	if (ok && a->prefix)
		ok = set_end(j, a->prefix);
	if (ok && a->revision)
		ok = set_number(j, "revision", a->revision);
	if (ok && a->limit)
		ok = set_number(j, "limit", a->limit);
	if (ok && a->newest)
		ok = json_object_set_new(j, "sort_order", json_string("DESCEND")) == 0 &&
		     json_object_set_new(j, "sort_target", json_string("MOD")) == 0 &&
		     json_object_set_new(j, "keys_only", json_true()) == 0;
	return dump_if(j, ok);
}

char *
sl_etcd_wire_ask_watch(const char *prefix, uint64_t from_revision)
{
	json_t *c = json_object();
	bool ok = c && set_bytes(c, "key", prefix, strlen(prefix)) && set_end(c, prefix) &&
		  set_number(c, "start_revision", from_revision);

	if (!ok) {
		json_decref(c);
		return NULL;
	}
	return dump(json_pack("{s:o}", "create_request", c));
}

static json_t *
put_of(const char *key, const void *value, size_t len, uint64_t lease)
{
	json_t *j = json_object();
	bool ok = j && set_bytes(j, "key", key, strlen(key)) && set_bytes(j, "value", value, len) &&
		  (!lease || set_number(j, "lease", lease));

	if (!ok) {
		json_decref(j);
		return NULL;
	}
	return j;
}

char *
sl_etcd_wire_ask_put(const char *key, const void *value, size_t len, uint64_t lease)
{
	return dump(put_of(key, value, len, lease));
}

char *
sl_etcd_wire_ask_swap(const char *key, const void *value, size_t len, uint64_t modified)
{
	json_t *put = put_of(key, value, len, 0), *compare = json_object(), *range = json_object();
	bool ok = put && compare && range && set_bytes(compare, "key", key, strlen(key)) &&
		  set_number(compare, "mod_revision", modified) &&
		  set_bytes(range, "key", key, strlen(key)) &&
		  json_object_set_new(compare, "target", json_string("MOD")) == 0 &&
		  json_object_set_new(compare, "result", json_string("EQUAL")) == 0;

	if (!ok) {
		json_decref(put);
		json_decref(compare);
		json_decref(range);
		return NULL;
	}
	return dump(json_pack("{s:[o], s:[{s:o}], s:[{s:o}]}", "compare", compare, "success",
			      "request_put", put, "failure", "request_range", range));
}

static json_t *
compare_of(const struct sl_etcd_compare *c)
{
	static const char *const target[] = {
		[SL_ETCD_MODIFIED] = "MOD", [SL_ETCD_LEASE] = "LEASE", [SL_ETCD_VALUE] = "VALUE"};
	json_t *j = json_object();
	bool ok = j && set_bytes(j, "key", c->key, strlen(c->key)) &&
		  json_object_set_new(j, "target", json_string(target[c->by])) == 0 &&
		  json_object_set_new(j, "result", json_string("EQUAL")) == 0;

	if (ok && c->by == SL_ETCD_VALUE)
		ok = set_bytes(j, "value", c->value, c->len);
	else if (ok)
		ok = set_number(j, c->by == SL_ETCD_LEASE ? "lease" : "mod_revision", c->number);
	if (ok)
		return j;
	json_decref(j);
	return NULL;
}

char *
sl_etcd_wire_ask_if(const struct sl_etcd_compare *compares, unsigned cnt, const char *key,
		    const void *value, size_t len, uint64_t lease)
{
	json_t *list = json_array(), *range = json_object(), *change = NULL;
	bool ok = list && range && set_bytes(range, "key", key, strlen(key));

	for (unsigned i = 0; i < cnt && ok; i++)
		ok = json_array_append_new(list, compare_of(&compares[i])) == 0;
	if (ok && value)
		change = put_of(key, value, len, lease);
	else if (ok)
		change = json_copy(range);
	if (!ok || !change) {
		json_decref(list);
		json_decref(range);
		json_decref(change);
		return NULL;
	}
	return dump(json_pack("{s:o, s:[{s:o}], s:[{s:o}]}", "compare", list, "success",
			      value ? "request_put" : "request_delete_range", change, "failure",
			      "request_range", range));
}

char *
sl_etcd_wire_ask_drop(const char *key, uint64_t lease)
{
	json_t *compare = json_object(), *range = json_object();
	bool ok = compare && range && set_bytes(compare, "key", key, strlen(key)) &&
		  set_number(compare, "lease", lease) &&
		  set_bytes(range, "key", key, strlen(key)) &&
		  json_object_set_new(compare, "target", json_string("LEASE")) == 0 &&
		  json_object_set_new(compare, "result", json_string("EQUAL")) == 0;

	if (!ok) {
		json_decref(compare);
		json_decref(range);
		return NULL;
	}
	return dump(json_pack("{s:[o], s:[{s:o}]}", "compare", compare, "success",
			      "request_delete_range", range));
}

char *
sl_etcd_wire_ask_grant(uint32_t ttl_s)
{
	json_t *j = json_object();

	return dump_if(j, j && set_number(j, "TTL", ttl_s));
}

char *
sl_etcd_wire_ask_lease(uint64_t id)
{
	json_t *j = json_object();

	return dump_if(j, j && set_number(j, "ID", id));
}

char *
sl_etcd_wire_ask_token(const char *user, const char *password)
{
	return dump(json_pack("{s:s, s:s}", "name", user, "password", password));
}
