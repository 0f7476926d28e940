/* One row per verb and one per key: the checks walk the rows, and complain with the nearest thing to do. */
#include "mgmt/verbs.h"

#include "sluice/flows.h"
#include "sluice/streams.h"

#include <stdio.h>

enum type { TEXT, NAME, NUMBER, BOOL, OBJECT };

struct key {
	const char *name;
	enum type type;
	bool optional;
	int64_t min, max; /* NUMBER: range; TEXT: length */
};

#define COMMENT                                                                                    \
	{                                                                                          \
		"comment", TEXT, true, 0, 1024                                                     \
	}
#define REASON                                                                                     \
	{                                                                                          \
		"reason", TEXT, true, 0, SL_KEPT_WHY_MAX - 1                                       \
	}
#define FILE_TEXT                                                                                  \
	{"file", TEXT, false, 0, 4096},                                                            \
	{                                                                                          \
		"text", TEXT, false, 0, SL_API_MAX                                                 \
	}
#define ENDPOINT_KEYS                                                                              \
	{"service", NAME, false, 0, 0},                                                            \
	{                                                                                          \
		"endpoint", NAME, false, 0, 0                                                      \
	}

static const struct verb {
	const char *name;
	enum sl_role role;
	sl_verb_fn *run;
	struct key keys[16];
} verbs[] = {
	{"status", SL_ROLE_VIEWER, sl_verb_show, {{0}}},
	{"show",
	 SL_ROLE_VIEWER,
	 sl_verb_show,
	 {{"what", TEXT, false, 1, 32},
	  {"service", NAME, true, 0, 0},
	  {"table", NAME, true, 0, 0},
	  {"host", NAME, true, 0, 0},
	  {"route", NAME, true, 0, 0},
	  {"set", NAME, true, 0, 0},
	  {"port", NAME, true, 0, 0},
	  {"extended", BOOL, true, 0, 0},
	  {"limit", NUMBER, true, 1, 1000}}},
	{"stats", SL_ROLE_VIEWER, sl_verb_stats, {{0}}},
	{"explain",
	 SL_ROLE_VIEWER,
	 sl_verb_explain,
	 {{"src", TEXT, false, 2, 64},
	  {"dst", TEXT, false, 2, 64},
	  {"protocol", TEXT, false, 1, 8},
	  {"sport", NUMBER, true, 0, 65535},
	  {"dport", NUMBER, true, 0, 65535},
	  {"flags", TEXT, true, 1, 16},
	  {"identity", TEXT, true, 1, 900},
	  {"sni", TEXT, true, 1, 255},
	  {"port", NAME, true, 0, 0}}},
	{"explain_http",
	 SL_ROLE_VIEWER,
	 sl_verb_explain_http,
	 {{"request", TEXT, false, 1, 7168},
	  {"host", TEXT, true, 1, 255},
	  {"headers", TEXT, true, 0, 7168},
	  {"listener", NAME, true, 0, 0},
	  {"from", TEXT, true, 2, 64}}},
	{"check", SL_ROLE_VIEWER, sl_verb_check, {FILE_TEXT}},
	{"flows", /* addresses of clients are people's: not for everybody who may look */
	 SL_ROLE_OPERATOR,
	 sl_verb_flows,
	 {{"client", TEXT, true, 2, 64},
	  {"vip", TEXT, true, 2, 64},
	  {"port", NUMBER, true, 0, 65535},
	  {"protocol", TEXT, true, 1, 8},
	  {"service", NAME, true, 0, 0},
	  {"endpoint", NAME, true, 0, 0},
	  {"listener", NAME, true, 0, 0},
	  {"state", TEXT, true, 1, 16},
	  {"worker", NUMBER, true, 0, SL_FLOWS_MAX_WORKERS - 1},
	  {"idle_over_ms", NUMBER, true, 0, 86400000},
	  {"limit", NUMBER, true, 1, 10000},
	  {"count", BOOL, true, 0, 0},
	  {"halves", BOOL, true, 0, 0}}},
	{"streams",
	 SL_ROLE_OPERATOR,
	 sl_verb_streams,
	 {{"address", TEXT, true, 2, 64},
	  {"port", NUMBER, true, 0, 65535},
	  {"service", NAME, true, 0, 0},
	  {"endpoint", NAME, true, 0, 0},
	  {"listener", NAME, true, 0, 0},
	  {"state", TEXT, true, 1, 16},
	  {"side", TEXT, true, 1, 16},
	  {"worker", NUMBER, true, 0, SL_STREAMS_MAX_WORKERS - 1},
	  {"retrans", NUMBER, true, 0, UINT32_MAX},
	  {"queue", NUMBER, true, 0, UINT32_MAX},
	  {"sort", TEXT, true, 1, 16},
	  {"limit", NUMBER, true, 1, 10000},
	  {"count", BOOL, true, 0, 0},
	  {"pairs", BOOL, true, 0, 0}}},
	{"diff", SL_ROLE_VIEWER, sl_verb_diff, {FILE_TEXT}},
	{"drain", SL_ROLE_OPERATOR, sl_verb_endpoint, {ENDPOINT_KEYS, COMMENT, REASON}},
	{"undrain", SL_ROLE_OPERATOR, sl_verb_endpoint, {ENDPOINT_KEYS, COMMENT, REASON}},
	{"disable", SL_ROLE_OPERATOR, sl_verb_endpoint, {ENDPOINT_KEYS, COMMENT, REASON}},
	{"enable", SL_ROLE_OPERATOR, sl_verb_endpoint, {ENDPOINT_KEYS, COMMENT, REASON}},
	{"weight",
	 SL_ROLE_OPERATOR,
	 sl_verb_endpoint,
	 {ENDPOINT_KEYS, {"percent", NUMBER, false, 0, 100}, COMMENT, REASON}},
	{"maintenance",
	 SL_ROLE_OPERATOR,
	 sl_verb_endpoint,
	 {ENDPOINT_KEYS, {"on", BOOL, false, 0, 0}, COMMENT, REASON}},
	{"register",
	 SL_ROLE_OPERATOR,
	 sl_verb_register,
	 {ENDPOINT_KEYS, {"is", OBJECT, false, 0, 0}}},
	{"deregister", SL_ROLE_OPERATOR, sl_verb_register, {ENDPOINT_KEYS}},
	{"heartbeat",
	 SL_ROLE_OPERATOR,
	 sl_verb_register,
	 {ENDPOINT_KEYS, {"is", OBJECT, true, 0, 0}}},
	{"gateway", SL_ROLE_OPERATOR, sl_verb_gateway, {{"op", TEXT, false, 1, 16}, COMMENT}},
	{"cert", /* who may look may list and show; the rest is checked there */
	 SL_ROLE_VIEWER,
	 sl_verb_cert,
	 {{"op", TEXT, false, 1, 16},
	  {"name", NAME, true, 0, 0},
	  {"cert", TEXT, true, 0, 2 << 20},
	  {"key", TEXT, true, 0, 2 << 20},
	  {"ca", TEXT, true, 0, 2 << 20},
	  COMMENT}},
	{"tickets", /* likewise */
	 SL_ROLE_VIEWER,
	 sl_verb_tickets,
	 {{"op", TEXT, false, 1, 16}, {"keys", TEXT, true, 0, 4096}, COMMENT}},
	{"upgrade", SL_ROLE_ADMIN, sl_verb_upgrade, {{0}}},
	{"push",
	 SL_ROLE_ADMIN,
	 sl_verb_push,
	 {FILE_TEXT,
	  COMMENT,
	  {"store", BOOL, true, 0, 0},
	  {"force", BOOL, true, 0, 0},
	  {"confirm_s", NUMBER, true, 1, SL_CONFIRM_MAX_S},
	  {"sample_ppm", NUMBER, true, 1, 1000000},
	  {"for_s", NUMBER, true, 1, SL_TRIAL_MAX_S}}},
	{"rollback",
	 SL_ROLE_ADMIN,
	 sl_verb_push,
	 {{"generation", NUMBER, true, 1, INT64_MAX / 2},
	  {"confirm_s", NUMBER, true, 1, SL_CONFIRM_MAX_S},
	  COMMENT}},
	{"shadow", SL_ROLE_ADMIN, sl_verb_shadow, {{"op", TEXT, false, 1, 16}}},
	{"confirm",
	 SL_ROLE_ADMIN,
	 sl_verb_confirm,
	 {{"generation", NUMBER, true, 1, INT64_MAX / 2}, COMMENT}},
};

static const struct key *
key_of(const struct verb *v, const char *name)
{
	for (const struct key *k = v->keys; k < v->keys + SL_ARRAY_CNT(v->keys) && k->name; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

static bool
name_ok(const char *text)
{
	char padded[SL_NAME_MAX] = "";
	if (strlen(text) >= SL_NAME_MAX)
		return false;
	memcpy(padded, text, strlen(text));
	return sl_name_ok(padded);
}

/* NULL, or the error for a key that is there. */
static json_t *
check_value(const struct verb *v, const struct key *k, json_t *value)
{
	if (k->type == NUMBER) {
		if (!json_is_integer(value))
			return sl_call_error(v->name, "invalid", NULL, "%s: not a whole number",
					     k->name);
		if (json_integer_value(value) < k->min || json_integer_value(value) > k->max)
			return sl_call_error(v->name, "invalid", NULL,
					     "%s: %lld is not in %lld–%lld", k->name,
					     (long long)json_integer_value(value),
					     (long long)k->min, (long long)k->max);
		return NULL;
	}
	if (k->type == BOOL)
		return json_is_boolean(value)
			       ? NULL
			       : sl_call_error(v->name, "invalid", NULL,
					       "%s: neither true nor false", k->name);
	if (k->type == OBJECT)
		return json_is_object(value) ? NULL
					     : sl_call_error(v->name, "invalid", NULL,
							     "%s: not an object", k->name);
	if (!json_is_string(value))
		return sl_call_error(v->name, "invalid", NULL, "%s: not a string", k->name);
	size_t len = json_string_length(value);
	if (k->type == NAME && !name_ok(json_string_value(value)))
		return sl_call_error(v->name, "invalid",
				     "1–63 of A–Z a–z 0–9 . _ -, the first a letter or digit",
				     "%s: not a name", k->name);
	if (k->type == TEXT && (len < (size_t)k->min || len > (size_t)k->max))
		return sl_call_error(v->name, "invalid", NULL,
				     "%s: %zu bytes long, allowed are %lld to %lld", k->name, len,
				     (long long)k->min, (long long)k->max);
	return NULL;
}

static json_t *
check_keys(const struct verb *v, json_t *body)
{
	const char *name;
	json_t *value;

	json_object_foreach(body, name, value)
	{
		const struct key *k = key_of(v, name);
		if (!k && strcmp(name, "verb"))
			return sl_call_error(v->name, "invalid", NULL, "unknown key \"%.64s\"",
					     name);
		json_t *error = k ? check_value(v, k, value) : NULL;
		if (error)
			return error;
	}
	for (const struct key *k = v->keys; k < v->keys + SL_ARRAY_CNT(v->keys) && k->name; k++)
		if (!k->optional && !json_object_get(body, k->name))
			return sl_call_error(v->name, "invalid", NULL, "key \"%s\" is missing",
					     k->name);
	return NULL;
}

static const struct verb *
find(const char *name)
{
	for (unsigned i = 0; name && i < SL_ARRAY_CNT(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

void
sl_verbs_run(struct sl_daemon *d, struct sl_call *call, const struct sl_peer *peer, json_t *body)
{
	const char *name = json_string_value(json_object_get(body, "verb"));
	const struct verb *v = find(name);

	if (!v) {
		json_t *e = name ? sl_call_error(NULL, "invalid", "see: sluicectl help",
						 "unknown verb \"%.64s\"", name)
				 : sl_call_error(NULL, "invalid", NULL,
						 "key \"verb\" is missing or not a string");
		sl_call_answer(call, e);
		return;
	}
	if (peer->role < v->role) {
		sl_call_answer(call, sl_call_error(v->name, "denied",
						   "an administrator grants it under roles in "
						   "sluiced.conf",
						   "%s needs the role %s; user %s (uid %u) is %s",
						   v->name, sl_roles_name(v->role), peer->user,
						   (unsigned)peer->uid, sl_roles_name(peer->role)));
		return;
	}
	json_t *error = check_keys(v, body);
	if (error) {
		sl_call_answer(call, error);
		return;
	}
	struct sl_verb_run r = {d, call, peer, body, v->name};
	v->run(&r);
}

const char *
sl_verb_text(const struct sl_verb_run *r, const char *key)
{
	return json_string_value(json_object_get(r->body, key));
}

int64_t
sl_verb_number(const struct sl_verb_run *r, const char *key, int64_t absent)
{
	json_t *v = json_object_get(r->body, key);
	return v ? json_integer_value(v) : absent;
}

json_t *
sl_verb_ok(const struct sl_verb_run *r)
{
	return json_pack("{s:b, s:s}", "ok", 1, "verb", r->verb);
}
