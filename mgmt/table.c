/* slots.json is {"generation", "id", "map": what sl_slot_map_save gives, "sum": SHA-256 of the map as text}. */
#include "mgmt/table.h"

#include "mgmt/disk.h"
#include "mgmt/roster.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define SLOTS_MAX (256u << 20)

static char *
copy(const char *s)
{
	return strdup(s ? s : "");
}

static double
now_ms(void)
{
	return (double)uv_hrtime() / 1e6;
}

static int64_t
wall_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- what was pushed ---- */

static bool
discovers(const struct sl_conf *c)
{
	for (uint32_t i = 0; i < c->service_cnt; i++)
		if (c->services[i].discover_cnt)
			return true;
	return c->jwt_cnt > 0; /* whose keys are */
}

int
sl_pushed_create(const struct sl_push_request *q, const char *locality, struct sl_diag *diag,
		 struct sl_pushed **ret_pushed)
{
	struct sl_pushed *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->refs = 1;
	p->rollback_of = q->rollback_of;
	p->confirm_s = q->confirm_s;
	p->uid = q->uid;
	p->written_ms = wall_ms();
	p->file = copy(q->file);
	p->comment = copy(q->comment);
	p->user = copy(q->user);
	p->text = malloc(q->len + 1);
	if (!p->file || !p->comment || !p->user || !p->text) {
		sl_pushed_unref(p);
		return -ENOMEM;
	}
	memcpy(p->text, q->text, q->len);
	p->text[q->len] = 0;
	p->text_len = q->len;
	double start = now_ms();
	int err = sl_conf_parse(p->file, p->text, p->text_len, diag, &p->conf);
	p->parse_ms = now_ms() - start;
	sl_diag_name_file(diag, 0, p->file);
	if (err) {
		sl_pushed_unref(p);
		return err;
	}
	p->discovers = discovers(p->conf);
	snprintf(p->conf->locality, sizeof(p->conf->locality), "%s", locality ? locality : "");
	*ret_pushed = p;
	return 0;
}

struct sl_pushed *
sl_pushed_ref(struct sl_pushed *p)
{
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

void
sl_pushed_unref(struct sl_pushed *p)
{
	if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
		return;
	sl_conf_free(p->conf);
	free(p->file);
	free(p->comment);
	free(p->user);
	free(p->text);
	free(p);
}

int
sl_pushed_read(const char *dir, uint64_t number, const char *locality, struct sl_diag *diag,
	       struct sl_pushed **ret_pushed)
{
	struct sl_generation_meta m;
	char *text;
	size_t len;
	int err = sl_generations_read(dir, number, &m, &text, &len, diag);

	if (err)
		return err;
	struct sl_push_request q = {
		.uid = m.uid,
		.user = m.user,
		.file = m.file,
		.comment = m.comment,
		.text = text,
		.len = len,
		.rollback_of = m.rollback_of,
		.confirm_s = m.confirm_s,
	};
	err = sl_pushed_create(&q, locality, diag, ret_pushed);
	if (!err) {
		(*ret_pushed)->number = number;
		(*ret_pushed)->written_ms = m.written_ms;
	}
	sl_generation_meta_fini(&m);
	free(text);
	return err;
}

/* ---- tables ---- */

int
sl_table_create(struct sl_pushed *p, struct sl_conf *conf, const struct sl_table *prev,
		const struct sl_slot_map *map, struct sl_shards *shards, struct sl_diag *diag,
		struct sl_table **ret_table)
{
	struct sl_table *t = calloc(1, sizeof(*t));
	double start = now_ms();

	if (!t) {
		sl_roster_conf_free(conf);
		return -ENOMEM;
	}
	t->push = sl_pushed_ref(p);
	t->number = p->number;
	t->conf = conf ? conf : p->conf;
	int err = sl_compile(t->conf, map, prev ? prev->compiled : NULL, shards, diag, &t->map,
			     &t->compiled);
	sl_diag_name_file(diag, 0, p->file);
	t->compile_ms = now_ms() - start;
	if (err) {
		sl_table_destroy(t);
		return err;
	}
	*ret_table = t;
	return 0;
}

void
sl_table_destroy(struct sl_table *t)
{
	if (!t)
		return;
	if (t->compiled)
		sl_slot_map_fini(&t->map);
	sl_compiled_free(t->compiled);
	free(t->journal);
	if (t->conf != t->push->conf)
		sl_roster_conf_free(t->conf);
	sl_pushed_unref(t->push);
	free(t);
}

int
sl_table_write(const struct sl_table *t, const char *dir, struct sl_diag *diag)
{
	const struct sl_pushed *p = t->push;
	struct sl_generation_meta m = {
		.number = p->number,
		.state = SL_GENERATION_PENDING,
		.file = p->file,
		.comment = p->comment,
		.user = p->user,
		.uid = p->uid,
		.written_ms = p->written_ms,
		.rollback_of = p->rollback_of,
		.confirm_s = p->confirm_s,
	};
	for (unsigned i = 0; i < SL_ID_BYTES; i++)
		snprintf(m.root + 2 * i, 3, "%02x", t->compiled->root.id.b[i]);
	return sl_generations_write(dir, &m, p->text, p->text_len, diag);
}

/* ---- slots ---- */

static char *
slots_text(uint64_t number, uint64_t id, const struct sl_slot_map *map, size_t *ret_len)
{
	char *inner = NULL, *out = NULL, hex[65];
	size_t len = 0;

	if (sl_slot_map_save(map, &inner, &len))
		return NULL;
	sl_disk_sum(inner, len, hex);
	int n = asprintf(
		&out, "{\"generation\":%" PRIu64 ",\"id\":%" PRIu64 ",\"map\":%s,\"sum\":\"%s\"}\n",
		number, id, inner, hex);
	free(inner);
	if (n < 0)
		return NULL;
	*ret_len = (size_t)n;
	return out;
}

int
sl_table_save_slots(const char *state_dir, uint64_t number, uint64_t id,
		    const struct sl_slot_map *map, struct sl_diag *diag)
{
	char path[4096], prev[4096];
	size_t len = 0;
	char *text = slots_text(number, id, map, &len);

	if (!text) {
		sl_diag_add(diag, state_dir, 0, NULL, NULL, "cannot write slots.json: no memory");
		return -ENOMEM;
	}
	snprintf(path, sizeof(path), "%s/slots.json", state_dir);
	snprintf(prev, sizeof(prev), "%s/slots.json.prev", state_dir);
	if (rename(path, prev) && errno != ENOENT)
		sl_diag_add(diag, prev, 0, NULL, NULL, "cannot rename: %s", strerror(errno));
	int err = sl_disk_write(path, text, len, diag);
	free(text);
	return err;
}

static int
load_slots(const char *path, struct sl_diag *notes, uint64_t *ret_id, struct sl_slot_map *ret_map)
{
	char *text, hex[65] = "";
	const char *sum = "";
	json_t *inner = NULL;
	size_t len;
	int err = sl_disk_read(path, SLOTS_MAX, &text, &len, notes);

	if (err)
		return err;
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	json_unpack(o, "{s:o, s:s}", "map", &inner, "sum", &sum);
	char *compact =
		inner ? json_dumps(inner, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
	if (compact)
		sl_disk_sum(compact, strlen(compact), hex);
	if (!compact || strcmp(hex, sum)) {
		sl_diag_add(notes, path, 0, NULL, NULL,
			    "truncated or changed: its checksum does not fit");
		err = -EINVAL;
	} else {
		err = sl_slot_map_load(compact, strlen(compact), notes, ret_map);
	}
	*ret_id = (uint64_t)json_integer_value(
		json_object_get(o, "id")); /* 0: of a version without */
	free(compact);
	json_decref(o);
	return err;
}

static void
scar(struct sl_slot_space *s, uint16_t incarnation)
{
	s->owner = calloc(s->max, sizeof(*s->owner));
	s->cnt = s->owner ? s->max : 0;
	for (uint32_t i = 0; i < s->cnt; i++) {
		s->owner[i].incarnation = incarnation;
		s->owner[i].freed_seq = i + 1u;
	}
}

int
sl_table_load_slots(const char *state_dir, struct sl_diag *notes, uint64_t *ret_id,
		    struct sl_slot_map *ret_map)
{
	char path[4096];
	uint16_t chance = 0;

	snprintf(path, sizeof(path), "%s/slots.json", state_dir);
	int err = load_slots(path, notes, ret_id, ret_map);
	if (!err)
		return 0;
	snprintf(path, sizeof(path), "%s/slots.json.prev", state_dir);
	int err2 = load_slots(path, notes, ret_id, ret_map);
	if (!err2)
		return 0;
	*ret_id = 0;
	sl_slot_map_init(ret_map);
	if (err == -ENOENT && err2 == -ENOENT)
		return -ENOENT;
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
		chance = (uint16_t)time(NULL);
	chance = (uint16_t)(chance % 60000 + 2);
	scar(&ret_map->listeners, chance);
	scar(&ret_map->services, chance);
	scar(&ret_map->endpoints, chance);
	scar(&ret_map->tables, chance);
	scar(&ret_map->vhosts, chance);
	scar(&ret_map->hroutes, chance);
	scar(&ret_map->authz, chance);
	scar(&ret_map->rules, chance);
	ret_map->seq = SL_MAX_ENDPOINTS + 1;
	sl_diag_add(notes, state_dir, 0, NULL, NULL,
		    "no good slots.json: all slots are given anew, flows of the old ones end");
	return -EINVAL;
}
