/* {"version": 2, "endpoints": [{"service", "endpoint", "maintenance", "drain", "disabled", "percent",
 *                               "notes": {"drain": {"by", "at_ms", "why"}, …}}]}
 *
 * Version 1 had neither maintenance nor notes. */
#include "mgmt/kept.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

static const char *const what_name[] = {"maintenance", "drain", "disabled", "percent"};

int
sl_kept_name_cmp(const char *s1, const char *n1, const char *s2, const char *n2)
{
	int d = strcmp(s1, s2);
	return d ? d : strcmp(n1, n2);
}

void
sl_kept_fini(struct sl_kept_list *l)
{
	free(l->all);
	*l = (struct sl_kept_list){0};
}

/* First place whose name is not below. */
static uint32_t
place(const struct sl_kept_list *l, const char *service, const char *name)
{
	uint32_t lo = 0, hi = l->cnt;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct sl_kept *k = &l->all[mid];
		if (sl_kept_name_cmp(k->service, k->name, service, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct sl_kept *
find(const struct sl_kept_list *l, const char *service, const char *name)
{
	uint32_t i = place(l, service, name);
	if (i < l->cnt && sl_kept_name_cmp(l->all[i].service, l->all[i].name, service, name) == 0)
		return &l->all[i];
	return NULL;
}

const struct sl_kept *
sl_kept_find(const struct sl_kept_list *l, const char *service, const char *name)
{
	return find(l, service, name);
}

static int
insert(struct sl_kept_list *l, const struct sl_kept *k)
{
	if (l->cnt >= SL_KEPT_MAX)
		return -ENOSPC;
	if (l->cnt == l->room) {
		uint32_t room = l->room ? l->room * 2 : 16;
		struct sl_kept *more = realloc(l->all, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->all = more;
		l->room = room;
	}
	uint32_t i = place(l, k->service, k->name);
	memmove(&l->all[i + 1], &l->all[i], (l->cnt - i) * sizeof(*k));
	l->all[i] = *k;
	l->cnt++;
	return 0;
}

static void
forget(struct sl_kept_list *l, struct sl_kept *k)
{
	size_t after = (size_t)(l->all + l->cnt - (k + 1));
	memmove(k, k + 1, after * sizeof(*k));
	l->cnt--;
}

int
sl_kept_put(struct sl_kept_list *l, const struct sl_kept *k)
{
	struct sl_kept *old = find(l, k->service, k->name);

	if (!k->maintenance && !k->drain && !k->disabled && k->percent == 100) {
		if (old)
			forget(l, old);
		return 0;
	}
	if (!old)
		return insert(l, k);
	*old = *k;
	return 0;
}

/* ---- disk ---- */

static json_t *
notes_of(const struct sl_kept *k)
{
	json_t *notes = json_object();

	for (unsigned i = 0; i < SL_KEPT_WHATS; i++)
		if (k->note[i].wall_ms)
			json_object_set_new(notes, what_name[i],
					    json_pack("{s:s, s:I, s:s}", "by", k->note[i].who,
						      "at_ms", (json_int_t)k->note[i].wall_ms,
						      "why", k->note[i].why));
	return notes;
}

int
sl_kept_save(const struct sl_kept_list *l, char **ret_text, size_t *ret_len)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < l->cnt; i++) {
		const struct sl_kept *k = &l->all[i];
		json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:b, s:b, s:i, s:o}",
						      "service", k->service, "endpoint", k->name,
						      "maintenance", k->maintenance, "drain",
						      k->drain, "disabled", k->disabled, "percent",
						      k->percent, "notes", notes_of(k)));
	}
	json_t *root = json_pack("{s:i, s:o}", "version", 2, "endpoints", list);
	char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
	json_decref(root);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	*ret_len = strlen(text);
	return 0;
}

static bool
name_take(char dst[SL_NAME_MAX], const char *src)
{
	memset(dst, 0, SL_NAME_MAX);
	if (strlen(src) >= SL_NAME_MAX)
		return false;
	memcpy(dst, src, strlen(src));
	return sl_name_ok(dst);
}

static bool
text_take(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)src[i] < ' ' || src[i] == 0x7f)
			return false;
	if (len >= size)
		return false;
	memcpy(dst, src, len + 1);
	return true;
}

static bool
load_notes(json_t *notes, struct sl_kept *k)
{
	const char *key, *who, *why;
	json_int_t at;
	json_t *n;

	json_object_foreach(notes, key, n)
	{
		unsigned i = 0;
		while (i < SL_KEPT_WHATS && strcmp(what_name[i], key))
			i++;
		if (i == SL_KEPT_WHATS ||
		    json_unpack(n, "{s:s, s:I, s:s !}", "by", &who, "at_ms", &at, "why", &why) ||
		    !text_take(k->note[i].who, sizeof(k->note[i].who), who) ||
		    !text_take(k->note[i].why, sizeof(k->note[i].why), why))
			return false;
		k->note[i].wall_ms = at;
	}
	return true;
}

static bool
load_one(struct sl_kept_list *l, json_t *e, int version)
{
	const char *service, *name;
	int maintenance = 0, drain, disabled, percent;
	json_t *notes = NULL;
	struct sl_kept k = {0};
	int bad = version == 1 ? json_unpack(e, "{s:s, s:s, s:b, s:b, s:i !}", "service", &service,
					     "endpoint", &name, "drain", &drain, "disabled",
					     &disabled, "percent", &percent)
			       : json_unpack(e, "{s:s, s:s, s:b, s:b, s:b, s:i, s:o !}", "service",
					     &service, "endpoint", &name, "maintenance",
					     &maintenance, "drain", &drain, "disabled", &disabled,
					     "percent", &percent, "notes", &notes);

	if (bad || percent < 0 || percent > 100 || !name_take(k.service, service) ||
	    !name_take(k.name, name) || find(l, service, name))
		return false;
	k.maintenance = maintenance;
	k.drain = drain;
	k.disabled = disabled;
	k.percent = (uint8_t)percent;
	if (version > 1 && (!json_is_object(notes) || !load_notes(notes, &k)))
		return false;
	return sl_kept_put(l, &k) == 0;
}

int
sl_kept_load(struct sl_kept_list *l, const char *text, size_t len, struct sl_diag *diag)
{
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL), *list = NULL, *e;
	int version = 0;
	size_t i;
	bool ok = root &&
		  json_unpack(root, "{s:i, s:o !}", "version", &version, "endpoints", &list) == 0 &&
		  (version == 1 || version == 2) && json_is_array(list);

	if (ok) {
		json_array_foreach(list, i, e)
		{
			if (!load_one(l, e, version)) {
				ok = false;
				break;
			}
		}
	}
	json_decref(root);
	if (ok)
		return 0;
	l->cnt = 0;
	sl_diag_add(diag, NULL, 0, NULL, NULL, "truncated, or not what sluiced writes");
	return -EINVAL;
}
