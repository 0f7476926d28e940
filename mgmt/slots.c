/* A space is an array of owners by slot, and an index: open addressing over the keys' hashes, at most half
 * full, that is rebuilt when owners went.
 *
 * As text, in the one form that sums are taken of: JSON without blanks, keys in order (here broken for the eye):
 *
 *   {"bases":[{"key":"64 hex digits","scan":"edge/shop/path"}],
 *    "endpoints":[…],
 *    "listeners":[{"incarnation":1,"key":"web-v4"},{"freed":2,"incarnation":7}],
 *    "routes":[…],"seq":3,"services":[…],"tables":[…],"version":2,"vhosts":[…]}
 *
 * Version 1 ends with the endpoints.  "rates" stands before the routes when there are slots of limits, "jwt" before the listeners when there
 * are slots of issuers, "authz" first when
 * there are sets of rules, and "rules" behind the routes when these have rules.
 */
#include "mgmt/slots.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define VERSION 2
#define NO_SLOT UINT32_MAX
#define MAX_INCARNATION 65535u

/* ---- keys ---- */

static char *
put_number(char *to, unsigned n)
{
	char digits[10];
	unsigned cnt = 0;

	do
		digits[cnt++] = (char)('0' + n % 10);
	while (n /= 10);
	while (cnt)
		*to++ = digits[--cnt];
	return to;
}

/* As sl_addr_format, which prints: a table has thousands of these. */
static char *
put_v4(char *to, const struct sl_addr *a)
{
	for (unsigned i = 12; i < 16; i++) {
		to = put_number(to, a->b[i]);
		*to++ = i < 15 ? '.' : ':';
	}
	return to;
}

static char *
put_v6(char *to, const struct sl_addr *a)
{
	*to++ = '[';
	sl_addr_format(a, to);
	to += strlen(to);
	*to++ = ']';
	*to++ = ':';
	return to;
}

static char *
put_name(char *to, const char *name)
{
	size_t len = strnlen(name, SL_NAME_MAX - 1);

	memcpy(to, name, len);
	to[len] = '/';
	return to + len + 1;
}

const char *
sl_slot_key_endpoint(const char *service, const struct sl_conf_endpoint *e,
		     char buf[SL_SLOT_KEY_MAX])
{
	char *to = put_name(put_name(buf, service), e->name);

	to = sl_addr_is_v4(&e->addr) ? put_v4(to, &e->addr) : put_v6(to, &e->addr);
	to = put_number(to, e->port);
	*to = 0;
	return buf;
}
static_assert(SL_SLOT_KEY_MAX >= 2 * SL_NAME_MAX + SL_ADDR_STRLEN + 3 + 6, "names, address, port");

/* Copies the parts with a slash between each two. */
static const char *
join(char *buf, const char *const *parts, unsigned cnt)
{
	char *to = buf;

	for (unsigned i = 0; i < cnt; i++) {
		size_t len = strnlen(parts[i], SL_NAME_MAX - 1);
		if (i)
			*to++ = '/';
		memcpy(to, parts[i], len);
		to += len;
	}
	*to = 0;
	return buf;
}
static_assert(SL_SLOT_KEY_MAX >= 3 * SL_NAME_MAX, "three names, slashes, an end");

const char *
sl_slot_key_vhost(const char *table, const char *vhost, char buf[SL_SLOT_KEY_MAX])
{
	return join(buf, (const char *const[]){table, vhost}, 2);
}

const char *
sl_slot_key_hroute(const char *table, const char *vhost, const char *route,
		   char buf[SL_SLOT_KEY_MAX])
{
	return join(buf, (const char *const[]){table, vhost, route}, 3);
}

static bool
plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

const char *
sl_slot_key_scan(const char *table, const char *vhost, unsigned field, const char *name,
		 char buf[SL_SCAN_KEY_MAX])
{
	static const char hex[] = "0123456789ABCDEF";
	static const char *const word[] = {
		[SL_FIELD_PATH] = "path",   [SL_FIELD_HEADER] = "header",
		[SL_FIELD_QUERY] = "query", [SL_FIELD_COOKIE] = "cookie",
		[SL_FIELD_LINES] = "lines", [SL_FIELD_CLAIM] = "claim",
	};
	char *to = buf + strlen(join(buf, (const char *const[]){table, vhost, word[field]}, 3));

	if (field == SL_FIELD_PATH)
		return buf;
	*to++ = '/';
	for (unsigned n = 0; *name && n < 255; name++, n++) {
		if (plain(*name)) {
			*to++ = *name;
			continue;
		}
		*to++ = '%';
		*to++ = hex[(uint8_t)*name >> 4];
		*to++ = hex[*name & 15];
	}
	*to = 0;
	return buf;
}

static uint32_t
hash_of(const char *key)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, its high half folded in */

	for (; *key; key++)
		h = (h ^ (uint8_t)*key) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

/* ---- index ---- */

static uint32_t
find(const struct sl_slot_space *s, const char *key)
{
	if (!s->index)
		return NO_SLOT;
	for (uint32_t i = hash_of(key) & s->index_mask;; i = (i + 1) & s->index_mask) {
		uint32_t slot = s->index[i] - 1;
		if (s->index[i] == 0)
			return NO_SLOT;
		if (strcmp(s->owner[slot].key, key) == 0)
			return slot;
	}
}

static void
index_insert(struct sl_slot_space *s, uint32_t slot)
{
	uint32_t i = hash_of(s->owner[slot].key) & s->index_mask;

	while (s->index[i])
		i = (i + 1) & s->index_mask;
	s->index[i] = slot + 1;
}

/* reindex makes the index anew, with room for `owners` in all. */
static int
reindex(struct sl_slot_space *s, uint32_t owners)
{
	uint32_t size = 64;

	while (size < 2 * owners)
		size *= 2;
	uint32_t *index = calloc(size, sizeof(*index));
	if (!index)
		return -ENOMEM;
	free(s->index);
	s->index = index;
	s->index_mask = size - 1;
	for (uint32_t slot = 0; slot < s->cnt; slot++)
		if (s->owner[slot].key)
			index_insert(s, slot);
	return 0;
}

/* ---- maps ---- */

void
sl_slot_map_init(struct sl_slot_map *m)
{
	*m = (struct sl_slot_map){
		.listeners.max = SL_MAX_LISTENERS,
		.services.max = SL_MAX_SERVICES,
		.endpoints.max = SL_MAX_ENDPOINTS,
		.tables.max = SL_MAX_TABLES,
		.vhosts.max = SL_MAX_VHOSTS,
		.hroutes.max = SL_MAX_HTTP_ROUTES,
		.rates.max = SL_MAX_RATES,
		.jwt.max = SL_MAX_JWT,
		.authz.max = SL_MAX_AUTHZ,
		.rules.max = SL_MAX_RULE_SLOTS,
		.seq = 1,
	};
}

static void
space_fini(struct sl_slot_space *s)
{
	for (uint32_t i = 0; i < s->cnt; i++)
		free(s->owner[i].key);
	free(s->owner);
	free(s->index);
}

void
sl_slot_map_fini(struct sl_slot_map *m)
{
	space_fini(&m->listeners);
	space_fini(&m->services);
	space_fini(&m->endpoints);
	space_fini(&m->tables);
	space_fini(&m->vhosts);
	space_fini(&m->hroutes);
	space_fini(&m->rates);
	space_fini(&m->jwt);
	space_fini(&m->authz);
	space_fini(&m->rules);
	sl_slot_bases_clear(m);
	*m = (struct sl_slot_map){0};
}

static int
space_copy(const struct sl_slot_space *from, struct sl_slot_space *to)
{
	to->max = from->max;
	if (from->cnt == 0)
		return 0;
	to->owner = calloc(from->cnt, sizeof(*to->owner));
	if (!to->owner)
		return -ENOMEM;
	for (; to->cnt < from->cnt; to->cnt++) {
		struct sl_slot_owner *o = &to->owner[to->cnt];
		*o = from->owner[to->cnt];
		if (o->key && !(o->key = strdup(o->key)))
			return -ENOMEM;
	}
	if (!from->index)
		return reindex(to, to->cnt);
	size_t bytes = (from->index_mask + 1u) * sizeof(*to->index);
	if (!(to->index = malloc(bytes)))
		return -ENOMEM;
	memcpy(to->index, from->index, bytes);
	to->index_mask = from->index_mask;
	return 0;
}

void
sl_slot_bases_clear(struct sl_slot_map *m)
{
	for (uint32_t i = 0; i < m->base_cnt; i++)
		free(m->bases[i].scan);
	free(m->bases);
	m->bases = NULL;
	m->base_cnt = 0;
}

int
sl_slot_base_add(struct sl_slot_map *m, const char *scan, const struct sl_shard_key *key)
{
	if ((m->base_cnt & (m->base_cnt + 1)) == 0) { /* room for 1, 3, 7, … */
		struct sl_scan_base *more =
			realloc(m->bases, (2 * m->base_cnt + 1u) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		m->bases = more;
	}
	char *copy = strdup(scan);
	if (!copy)
		return -ENOMEM;
	m->bases[m->base_cnt++] = (struct sl_scan_base){copy, *key};
	return 0;
}

static int
base_order(const void *scan, const void *base)
{
	return strcmp(scan, ((const struct sl_scan_base *)base)->scan);
}

const struct sl_shard_key *
sl_slot_base(const struct sl_slot_map *m, const char *scan)
{
	const struct sl_scan_base *b =
		m->base_cnt ? bsearch(scan, m->bases, m->base_cnt, sizeof(*b), base_order) : NULL;
	return b ? &b->key : NULL;
}

static int
bases_copy(const struct sl_slot_map *from, struct sl_slot_map *to)
{
	for (uint32_t i = 0; i < from->base_cnt; i++)
		if (sl_slot_base_add(to, from->bases[i].scan, &from->bases[i].key))
			return -ENOMEM;
	return 0;
}

int
sl_slot_map_copy(const struct sl_slot_map *m, struct sl_slot_map *ret_map)
{
	struct sl_slot_map copy = {.seq = m->seq};

	if (space_copy(&m->listeners, &copy.listeners) ||
	    space_copy(&m->services, &copy.services) ||
	    space_copy(&m->endpoints, &copy.endpoints) || space_copy(&m->tables, &copy.tables) ||
	    space_copy(&m->vhosts, &copy.vhosts) || space_copy(&m->hroutes, &copy.hroutes) ||
	    space_copy(&m->rates, &copy.rates) || space_copy(&m->jwt, &copy.jwt) ||
	    space_copy(&m->authz, &copy.authz) || space_copy(&m->rules, &copy.rules) ||
	    bases_copy(m, &copy)) {
		sl_slot_map_fini(&copy);
		return -ENOMEM;
	}
	*ret_map = copy;
	return 0;
}

/* ---- assignment ---- */

/* Marks who stays; returns the number of new keys, or -EEXIST. */
static int64_t
keep(const struct sl_slot_space *s, const char *const *keys, uint32_t n, struct sl_placed *placed,
     bool *kept)
{
	int64_t fresh = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = find(s, keys[i]);
		placed[i].slot = slot;
		if (slot == NO_SLOT) {
			fresh++;
			continue;
		}
		if (kept[slot])
			return -EEXIST;
		kept[slot] = true;
		placed[i].incarnation = s->owner[slot].incarnation;
	}
	return fresh;
}

/* Frees who is not kept; returns their number. */
static uint32_t
release(struct sl_slot_space *s, const bool *kept, uint64_t *seq)
{
	uint32_t n = 0;

	for (uint32_t slot = 0; slot < s->cnt; slot++) {
		struct sl_slot_owner *o = &s->owner[slot];
		if (!o->key || kept[slot])
			continue;
		free(o->key);
		o->key = NULL;
		o->freed_seq = (*seq)++;
		n++;
	}
	return n;
}

static int
by_freed(const void *a, const void *b, void *arg)
{
	const struct sl_slot_owner *o = arg;
	uint64_t x = o[*(const uint32_t *)a].freed_seq, y = o[*(const uint32_t *)b].freed_seq;
	return (x > y) - (x < y);
}

static int
by_freed_last(const void *a, const void *b, void *arg)
{
	return by_freed(b, a, arg);
}

/* heap[0] is the one of [cnt] that was freed last; it sinks to its place. */
static void
sink(const struct sl_slot_owner *o, uint32_t *heap, uint32_t cnt)
{
	for (uint32_t at = 0, next; (next = 2 * at + 1) < cnt; at = next) {
		if (next + 1 < cnt && o[heap[next + 1]].freed_seq > o[heap[next]].freed_seq)
			next++;
		if (o[heap[at]].freed_seq >= o[heap[next]].freed_seq)
			return;
		uint32_t slot = heap[at];
		heap[at] = heap[next];
		heap[next] = slot;
	}
}

/* The `want` slots below `used` that were freed longest ago, in that order; returns how many there are.  Of many thousand free
 * slots a revision takes a few: a heap of those, not a sort of all. */
static uint32_t
longest_freed(const struct sl_slot_owner *o, uint32_t used, uint32_t want, uint32_t *slots)
{
	uint32_t cnt = 0;

	for (uint32_t slot = 0; slot < used && want; slot++) {
		if (o[slot].key)
			continue;
		if (cnt < want) {
			slots[cnt++] = slot;
			if (cnt == want)
				qsort_r(slots, cnt, sizeof(*slots), by_freed_last,
					(void *)(uintptr_t)o); /* sorted so, it is a heap */
		} else if (o[slot].freed_seq < o[slots[0]].freed_seq) {
			slots[0] = slot;
			sink(o, slots, cnt);
		}
	}
	qsort_r(slots, cnt, sizeof(*slots), by_freed, (void *)(uintptr_t)o);
	return cnt;
}

/* Lists the slots that the next `want` owners take: never-used ones, then the longest freed. */
static int
offer(struct sl_slot_space *s, uint32_t want, uint32_t *slots)
{
	uint32_t n = 0, used = s->cnt, grow = SL_MIN(want, s->max - s->cnt);

	if (grow > 0) {
		struct sl_slot_owner *o = realloc(s->owner, (used + grow) * sizeof(*o));
		if (!o)
			return -ENOMEM;
		memset(o + used, 0, grow * sizeof(*o));
		s->owner = o;
		s->cnt = used + grow;
		while (n < grow) {
			slots[n] = used + n;
			n++;
		}
	}
	if (n == want)
		return 0;
	n += longest_freed(s->owner, used, want - n, slots + n);
	return n == want ? 0 : -ENOSPC;
}

static int
settle(struct sl_slot_space *s, const char *const *keys, uint32_t n, struct sl_placed *placed,
       const uint32_t *slots)
{
	for (uint32_t i = 0, next = 0; i < n; i++) {
		if (placed[i].slot != NO_SLOT)
			continue;
		if (find(s, keys[i]) != NO_SLOT)
			return -EEXIST;
		uint32_t slot = slots[next++];
		struct sl_slot_owner *o = &s->owner[slot];
		if (!(o->key = strdup(keys[i])))
			return -ENOMEM;
		o->incarnation = o->incarnation % MAX_INCARNATION + 1;
		o->freed_seq = 0;
		index_insert(s, slot);
		placed[i] = (struct sl_placed){slot, o->incarnation};
	}
	return 0;
}

int
sl_slot_space_assign(struct sl_slot_space *s, uint64_t *seq, const char *const *keys, uint32_t n,
		     struct sl_placed *placed)
{
	bool *kept = calloc(s->cnt + 1u, sizeof(*kept));
	uint32_t *slots = NULL;
	int err = -ENOMEM;

	if (!kept)
		return -ENOMEM;
	int64_t fresh = keep(s, keys, n, placed, kept);
	if (fresh < 0) {
		err = (int)fresh;
		goto out;
	}
	uint32_t gone = release(s, kept, seq);
	if (gone == 0 && fresh == 0) {
		err = 0;
		goto out;
	}
	slots = malloc(((size_t)fresh + 1) * sizeof(*slots));
	if (!slots)
		goto out;
	err = n > s->max ? -ENOSPC : offer(s, (uint32_t)fresh, slots);
	if (err == 0)
		err = reindex(s, n);
	if (err == 0)
		err = settle(s, keys, n, placed, slots);
out:
	free(slots);
	free(kept);
	return err;
}

int
sl_slot_map_retain(struct sl_slot_map *m, const struct sl_slot_map *before)
{
	struct sl_slot_space *s = &m->endpoints;
	const struct sl_slot_space *old = &before->endpoints;
	uint32_t owners = 0;

	for (uint32_t i = 0; i < s->cnt; i++) {
		struct sl_slot_owner *o = &s->owner[i];
		if (i < old->cnt && !o->key && old->owner[i].key &&
		    o->incarnation == old->owner[i].incarnation &&
		    find(s, old->owner[i].key) == NO_SLOT) {
			if (!(o->key = strdup(old->owner[i].key)))
				return -ENOMEM;
			o->freed_seq = 0;
		}
		owners += o->key != NULL;
	}
	return reindex(s, owners);
}

/* ---- look-up ---- */

static int
place(const struct sl_slot_space *s, const char *key, struct sl_placed *ret)
{
	uint32_t slot = find(s, key);

	if (slot == NO_SLOT)
		return -ENOENT;
	*ret = (struct sl_placed){slot, s->owner[slot].incarnation};
	return 0;
}

int
sl_slot_find_listener(const struct sl_slot_map *m, const struct sl_conf_listener *l,
		      struct sl_placed *ret)
{
	return place(&m->listeners, l->name, ret);
}

int
sl_slot_find_service(const struct sl_slot_map *m, const struct sl_conf_service *s,
		     struct sl_placed *ret)
{
	return place(&m->services, s->name, ret);
}

int
sl_slot_find_endpoint(const struct sl_slot_map *m, const struct sl_conf_service *s,
		      const struct sl_conf_endpoint *e, struct sl_placed *ret)
{
	char key[SL_SLOT_KEY_MAX];

	return place(&m->endpoints, sl_slot_key_endpoint(s->name, e, key), ret);
}

int
sl_slot_find_table(const struct sl_slot_map *m, const struct sl_conf_table *t,
		   struct sl_placed *ret)
{
	return place(&m->tables, t->name, ret);
}

int
sl_slot_find_vhost(const struct sl_slot_map *m, const struct sl_conf_table *t,
		   const struct sl_conf_vhost *v, struct sl_placed *ret)
{
	char key[SL_SLOT_KEY_MAX];

	return place(&m->vhosts, sl_slot_key_vhost(t->name, v->name, key), ret);
}

int
sl_slot_find_hroute(const struct sl_slot_map *m, const struct sl_conf_table *t,
		    const struct sl_conf_vhost *v, const struct sl_conf_hroute *r,
		    struct sl_placed *ret)
{
	char key[SL_SLOT_KEY_MAX];

	return place(&m->hroutes, sl_slot_key_hroute(t->name, v->name, r->name, key), ret);
}

int
sl_slot_find_authz(const struct sl_slot_map *m, const char *name, struct sl_placed *ret)
{
	return place(&m->authz, name, ret);
}

int
sl_slot_find_rule(const struct sl_slot_map *m, const char *set, const char *rule,
		  struct sl_placed *ret)
{
	char key[SL_SLOT_KEY_MAX];

	return place(&m->rules, sl_slot_key_vhost(set, rule, key), ret);
}

int
sl_slot_find_rate(const struct sl_slot_map *m, const char *name, struct sl_placed *ret)
{
	return place(&m->rates, name, ret);
}

/* ---- text ---- */

static void
save_space(FILE *f, const char *name, const struct sl_slot_space *s)
{
	fprintf(f, "\"%s\":[", name);
	for (uint32_t i = 0; i < s->cnt; i++) {
		const struct sl_slot_owner *o = &s->owner[i];
		if (i)
			fputc(',', f);
		if (o->key) /* names and addresses: nothing that JSON would escape */
			fprintf(f, "{\"incarnation\":%u,\"key\":\"%s\"}", o->incarnation, o->key);
		else
			fprintf(f, "{\"freed\":%llu,\"incarnation\":%u}",
				(unsigned long long)o->freed_seq, o->incarnation);
	}
	fputs("],", f);
}

static void
save_bases(FILE *f, const struct sl_slot_map *m)
{
	fputs("\"bases\":[", f);
	for (uint32_t i = 0; i < m->base_cnt; i++) {
		fputs(i ? ",{\"key\":\"" : "{\"key\":\"", f);
		for (unsigned j = 0; j < sizeof(m->bases[i].key.b); j++)
			fprintf(f, "%02x", m->bases[i].key.b[j]);
		fprintf(f, "\",\"scan\":\"%s\"}", m->bases[i].scan);
	}
	fputs("],", f);
}

int
sl_slot_map_save(const struct sl_slot_map *m, char **ret_text, size_t *ret_len)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	fputc('{', f);
	if (m->authz.cnt)
		save_space(f, "authz", &m->authz);
	save_bases(f, m);
	save_space(f, "endpoints", &m->endpoints);
	if (m->jwt.cnt)
		save_space(f, "jwt", &m->jwt);
	save_space(f, "listeners", &m->listeners);
	if (m->rates.cnt)
		save_space(f, "rates", &m->rates);
	save_space(f, "routes", &m->hroutes);
	if (m->rules.cnt)
		save_space(f, "rules", &m->rules);
	fprintf(f, "\"seq\":%llu,", (unsigned long long)m->seq);
	save_space(f, "services", &m->services);
	save_space(f, "tables", &m->tables);
	fprintf(f, "\"version\":%d,", VERSION);
	save_space(f, "vhosts", &m->vhosts);
	fseek(f, -1, SEEK_CUR); /* the last comma */
	fputc('}', f);
	bool failed = ferror(f);
	if (fclose(f) != 0 || failed) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

struct load {
	struct sl_diag *diag;
	struct sl_slot_map map;
	bool bad;
	bool oom;
};

static void wrong(struct load *l, const char *path, const char *what);
static void
wrong(struct load *l, const char *path, const char *what)
{
	sl_diag_add(l->diag, "slot map", 0, path,
		    "restore the file; without it slots start anew and statistics and flows lose "
		    "their owners",
		    "%s", what);
	l->bad = true;
}

static bool
name_key_ok(const char *key)
{
	char name[SL_NAME_MAX] = "";

	if (strlen(key) >= SL_NAME_MAX)
		return false;
	memcpy(name, key, strlen(key));
	return sl_name_ok(name);
}

/* `cnt` names with a slash between each two. */
static bool
names_ok(const char *key, unsigned cnt)
{
	char name[SL_NAME_MAX];

	for (; cnt > 0; cnt--) {
		const char *end = cnt > 1 ? strchr(key, '/') : key + strlen(key);
		if (!end || end - key >= (int)sizeof(name))
			return false;
		snprintf(name, sizeof(name), "%.*s", (int)(end - key), key);
		if (!name_key_ok(name))
			return false;
		key = end + 1;
	}
	return true;
}

static bool
vhost_key_ok(const char *key)
{
	return names_ok(key, 2);
}

static bool
hroute_key_ok(const char *key)
{
	return names_ok(key, 3);
}

static bool
scan_key_ok(const char *key)
{
	return strlen(key) < SL_SCAN_KEY_MAX &&
	       strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-%/") ==
		       strlen(key);
}

/* An endpoint's key is read back and written again: it must come out the same. */
static bool
endpoint_key_ok(const char *key)
{
	char copy[SL_SLOT_KEY_MAX], again[SL_SLOT_KEY_MAX];
	struct sl_conf_endpoint e = {0};

	if (strlen(key) >= sizeof(copy))
		return false;
	strcpy(copy, key);
	char *name = strchr(copy, '/'), *addr = name ? strchr(name + 1, '/') : NULL;
	char *port = strrchr(copy, ':');
	if (!addr || !port || port < addr)
		return false;
	*name++ = *addr++ = *port++ = 0;
	if (!name_key_ok(copy) || !name_key_ok(name) || strlen(port) > 5)
		return false;
	size_t len = strlen(addr);
	if (len > 2 && addr[0] == '[' && addr[len - 1] == ']') {
		addr[len - 1] = 0;
		addr++;
	}
	if (sl_addr_parse(addr, &e.addr) != 0)
		return false;
	strcpy(e.name, name);
	unsigned long number = strtoul(port, NULL, 10);
	e.port = (uint16_t)number;
	return number <= 65535 && strcmp(sl_slot_key_endpoint(copy, &e, again), key) == 0;
}

static void
load_owner(struct load *l, struct sl_slot_space *s, const char *path, const json_t *j,
	   bool (*key_ok)(const char *))
{
	struct sl_slot_owner *o = &s->owner[s->cnt];
	const json_t *key = json_object_get(j, "key"), *freed = json_object_get(j, "freed");
	json_int_t inc = json_integer_value(json_object_get(j, "incarnation"));

	s->cnt++;
	if (json_object_size(j) != 2 || !key == !freed || inc < 1 || inc > (int)MAX_INCARNATION) {
		wrong(l, path, "is not an owner with an incarnation of 1 to 65535");
		return;
	}
	o->incarnation = (uint32_t)inc;
	if (freed) {
		json_int_t seq = json_integer_value(freed);
		if (seq < 1 || (uint64_t)seq >= l->map.seq)
			wrong(l, path, "was freed at a time that is not yet");
		o->freed_seq = (uint64_t)seq;
		return;
	}
	const char *text = json_string_value(key);
	if (!text || strlen(text) != json_string_length(key) || !key_ok(text))
		wrong(l, path, "has a key that names nothing");
	else if (!(o->key = strdup(text)))
		l->oom = true;
}

static int
by_key(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
by_seq(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* No key twice; no two slots freed at one time. */
static void
check_distinct(struct load *l, const char *name, const struct sl_slot_space *s)
{
	char **keys = malloc((s->cnt + 1u) * sizeof(*keys));
	uint64_t *seqs = malloc((s->cnt + 1u) * sizeof(*seqs));
	uint32_t key_cnt = 0, seq_cnt = 0;

	if (!keys || !seqs) {
		l->oom = true;
		goto out;
	}
	for (uint32_t i = 0; i < s->cnt; i++) {
		if (s->owner[i].key)
			keys[key_cnt++] = s->owner[i].key;
		else
			seqs[seq_cnt++] = s->owner[i].freed_seq;
	}
	qsort(keys, key_cnt, sizeof(*keys), by_key);
	qsort(seqs, seq_cnt, sizeof(*seqs), by_seq);
	for (uint32_t i = 1; i < key_cnt; i++)
		if (strcmp(keys[i - 1], keys[i]) == 0)
			wrong(l, name, "has an owner twice");
	for (uint32_t i = 1; i < seq_cnt; i++)
		if (seqs[i - 1] == seqs[i])
			wrong(l, name, "has two slots freed at one time");
out:
	free(keys);
	free(seqs);
}

static void
load_space(struct load *l, const json_t *root, const char *name, struct sl_slot_space *s,
	   bool (*key_ok)(const char *))
{
	const json_t *list = json_object_get(root, name);
	size_t n = json_array_size(list);

	if (!json_is_array(list) || n > s->max) {
		wrong(l, name, "is not a list of owners within the limit");
		return;
	}
	if (!(s->owner = calloc(n + 1, sizeof(*s->owner)))) {
		l->oom = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		char path[64];
		snprintf(path, sizeof(path), "%s[%zu]", name, i);
		load_owner(l, s, path, json_array_get(list, i), key_ok);
	}
	if (l->bad || l->oom)
		return;
	check_distinct(l, name, s);
	if (reindex(s, s->cnt) != 0)
		l->oom = true;
}

static bool
hex_key(const char *hex, struct sl_shard_key *ret)
{
	if (!hex || strlen(hex) != 2 * sizeof(ret->b) ||
	    strspn(hex, "0123456789abcdef") != 2 * sizeof(ret->b))
		return false;
	for (unsigned i = 0; i < sizeof(ret->b); i++)
		sscanf(hex + (size_t)2 * i, "%2hhx", &ret->b[i]);
	return true;
}

static void
load_bases(struct load *l, const json_t *list)
{
	const char *before = "";
	struct sl_shard_key key;
	const json_t *j;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > SL_MAX_HTTP_ROUTES)
		wrong(l, "bases", "is not a list within the limit");
	json_array_foreach(list, i, j)
	{
		const char *scan = json_string_value(json_object_get(j, "scan"));
		if (json_object_size(j) != 2 || !scan || !scan_key_ok(scan) ||
		    strcmp(before, scan) >= 0 ||
		    !hex_key(json_string_value(json_object_get(j, "key")), &key)) {
			wrong(l, "bases", "holds what is no scan with a key, or not in order");
			return;
		}
		before = scan;
		l->oom |= sl_slot_base_add(&l->map, scan, &key) != 0;
	}
}

/* A space that is not in the text when it is empty; whether it is there. */
static bool
load_more(struct load *l, const json_t *root, const char *name, struct sl_slot_space *s,
	  bool (*key_ok)(const char *))
{
	const json_t *list = json_object_get(root, name);

	if (!list)
		return false;
	if (json_array_size(list) == 0)
		wrong(l, name, "is not a list with owners");
	else
		load_space(l, root, name, s, key_ok);
	return true;
}

static void
load_root(struct load *l, const json_t *root)
{
	json_int_t seq = json_integer_value(json_object_get(root, "seq"));
	json_int_t version = json_integer_value(json_object_get(root, "version"));
	size_t more = 0;

	l->map.seq = (uint64_t)seq;
	if (version == VERSION && seq >= 1) {
		more += load_more(l, root, "authz", &l->map.authz, name_key_ok);
		more += load_more(l, root, "jwt", &l->map.jwt, name_key_ok);
		more += load_more(l, root, "rates", &l->map.rates, name_key_ok);
		more += load_more(l, root, "rules", &l->map.rules, vhost_key_ok);
	}
	if ((version != VERSION && version != 1) || seq < 1 ||
	    json_object_size(root) != (version == 1 ? 5u : 9u + more)) {
		wrong(l, NULL, "is not a slot map of version 1 or 2");
		return;
	}
	load_space(l, root, "listeners", &l->map.listeners, name_key_ok);
	load_space(l, root, "services", &l->map.services, name_key_ok);
	load_space(l, root, "endpoints", &l->map.endpoints, endpoint_key_ok);
	if (version == 1)
		return;
	load_space(l, root, "tables", &l->map.tables, name_key_ok);
	load_space(l, root, "vhosts", &l->map.vhosts, vhost_key_ok);
	load_space(l, root, "routes", &l->map.hroutes, hroute_key_ok);
	load_bases(l, json_object_get(root, "bases"));
}

int
sl_slot_map_load(const char *text, size_t len, struct sl_diag *diag, struct sl_slot_map *ret_map)
{
	struct load l = {.diag = diag};
	json_error_t error;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

	sl_slot_map_init(&l.map);
	if (root)
		load_root(&l, root);
	else
		wrong(&l, NULL, error.text);
	json_decref(root);
	if (l.bad || l.oom) {
		sl_slot_map_fini(&l.map);
		return l.oom ? -ENOMEM : -EINVAL;
	}
	*ret_map = l.map;
	return 0;
}
