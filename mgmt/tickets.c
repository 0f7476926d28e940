#include "mgmt/tickets.h"

#include "mgmt/keep.h"
#include "mgmt/memfd.h"
#include "mgmt/wipe.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

struct set { /* the payload on disk */
	uint32_t installed;
	uint32_t cnt; /* [1, SL_TICKET_KEYS] */
	int64_t since_ms;
	int64_t made_ms[SL_TICKET_KEYS];
	struct sl_ticket_key key[SL_TICKET_KEYS];
};
static_assert(sizeof(struct set) == 80 + SL_TICKET_KEYS * 80, "no holes");

struct sl_tickets {
	char path[2048];
	struct set *now, *next; /* of sl_wipe_alloc */
	bool changing;
};

static bool
set_ok(const struct set *s, size_t bytes)
{
	return bytes == sizeof(*s) && s->cnt >= 1 && s->cnt <= SL_TICKET_KEYS && s->installed <= 1;
}

/* A new key in front of the last ones of `from` (NULL: none). */
static int
add_key(const struct set *from, int64_t now_ms, struct set *to)
{
	memset(to, 0, sizeof(*to));
	to->since_ms = to->made_ms[0] = now_ms;
	to->cnt = 1;
	if (RAND_bytes(to->key[0].name, sizeof(to->key[0].name)) != 1 ||
	    RAND_priv_bytes(to->key[0].hmac, sizeof(to->key[0].hmac)) != 1 ||
	    RAND_priv_bytes(to->key[0].aes, sizeof(to->key[0].aes)) != 1)
		return -EIO;
	for (uint32_t i = 0; from && i < from->cnt && to->cnt < SL_TICKETS_KEPT; i++, to->cnt++) {
		to->key[to->cnt] = from->key[i];
		to->made_ms[to->cnt] = from->made_ms[i];
	}
	return 0;
}

static int
stage(struct sl_tickets *t, int64_t now_ms, struct sl_diag *diag)
{
	int err =
		sl_keep_stage(t->path, SL_SECRET_TICKETS, now_ms, t->next, sizeof(*t->next), diag);

	t->changing = err == 0;
	return err;
}

static int
begin(const struct sl_tickets *t, struct sl_diag *diag)
{
	if (!t->changing)
		return 0;
	sl_diag_add(diag, NULL, 0, NULL, "try again in a moment",
		    "another change of the ticket keys is under way");
	return -EBUSY;
}

int
sl_tickets_own(struct sl_tickets *t, int64_t now_ms, struct sl_diag *diag)
{
	int err = begin(t, diag);

	if (err)
		return err;
	if (add_key(t->now, now_ms, t->next)) {
		sl_diag_add(diag, NULL, 0, NULL, NULL, "there is no randomness for a key");
		return -EIO;
	}
	return stage(t, now_ms, diag);
}

int
sl_tickets_rotate(struct sl_tickets *t, int64_t now_ms, struct sl_diag *diag)
{
	if (!t->now->installed)
		return sl_tickets_own(t, now_ms, diag);
	sl_diag_add(diag, NULL, 0, NULL,
		    "install the next ones, new key first; or: sluicectl tickets own",
		    "the ticket keys were installed, and are not rotated here");
	return -EINVAL;
}

/* NULL, or what is wrong. */
static const char *
keys_wrong(const struct sl_ticket_key *k, size_t bytes)
{
	static const struct sl_ticket_key zero;
	size_t cnt = bytes / sizeof(*k);

	if (cnt < 1 || cnt > SL_TICKET_KEYS || bytes % sizeof(*k))
		return "not 1 to 8 keys of 80 bytes, one after the other";
	for (size_t i = 0; i < cnt; i++) {
		if (CRYPTO_memcmp(k[i].aes, zero.aes, sizeof(zero.aes)) == 0 ||
		    CRYPTO_memcmp(k[i].hmac, zero.hmac, sizeof(zero.hmac)) == 0)
			return "a key is all zeros";
		for (size_t j = 0; j < i; j++)
			if (memcmp(k[i].name, k[j].name, sizeof(k->name)) == 0)
				return "two keys have the same name (their first 16 bytes)";
	}
	return NULL;
}

int
sl_tickets_install(struct sl_tickets *t, const uint8_t *keys, size_t bytes, int64_t now_ms,
		   struct sl_diag *diag)
{
	int err = begin(t, diag);
	const char *why = err ? NULL : keys_wrong((const struct sl_ticket_key *)keys, bytes);

	if (why)
		sl_diag_add(diag, NULL, 0, "keys", "make one with: openssl rand 80", "%s", why);
	if (err || why)
		return err ? err : -EINVAL;
	struct set *s = t->next;
	memset(s, 0, sizeof(*s));
	s->installed = 1;
	s->since_ms = now_ms;
	s->cnt = (uint32_t)(bytes / sizeof(s->key[0]));
	memcpy(s->key, keys, bytes);
	for (uint32_t i = 0; i < s->cnt; i++)
		s->made_ms[i] = now_ms;
	return stage(t, now_ms, diag);
}

int
sl_tickets_commit(struct sl_tickets *t, struct sl_diag *diag)
{
	struct set *old = t->now;
	int err = sl_keep_commit(t->path, diag);

	if (err) {
		sl_tickets_drop(t);
		return err;
	}
	t->now = t->next;
	t->next = old;
	OPENSSL_cleanse(old, sizeof(*old));
	t->changing = false;
	return 0;
}

void
sl_tickets_drop(struct sl_tickets *t)
{
	sl_keep_drop(t->path);
	OPENSSL_cleanse(t->next, sizeof(*t->next));
	t->changing = false;
}

/* ---- life ---- */

static int
load(struct sl_tickets *t, int64_t now_ms, struct sl_diag *notes)
{
	void *payload = NULL;
	size_t bytes = 0;
	int64_t stamp;
	int err = sl_keep_read(t->path, SL_SECRET_TICKETS, &payload, &bytes, &stamp, notes);
	bool ok = err == 0 && set_ok(payload, bytes);

	if (ok)
		memcpy(t->now, payload, sizeof(*t->now));
	sl_wipe_release(payload, bytes);
	if (ok)
		return 0;
	if (err != -ENOENT)
		sl_diag_add(notes, t->path, 0, NULL,
			    "if they were installed: sluicectl tickets install FILE",
			    "ticket keys are made anew: sessions are not resumed once");
	err = add_key(NULL, now_ms, t->next);
	if (!err)
		err = stage(t, now_ms, notes);
	return err ? err : sl_tickets_commit(t, notes);
}

int
sl_tickets_create(const char *state_dir, int64_t now_ms, struct sl_diag *notes,
		  struct sl_tickets **ret_tickets)
{
	struct sl_tickets *t = calloc(1, sizeof(*t));
	int err = -ENOMEM;

	if (t) {
		snprintf(t->path, sizeof(t->path), "%s/tickets", state_dir);
		sl_keep_drop(t->path);
		t->now = sl_wipe_alloc(sizeof(*t->now));
		t->next = sl_wipe_alloc(sizeof(*t->next));
	}
	if (t && t->now && t->next)
		err = load(t, now_ms, notes);
	if (err)
		sl_tickets_destroy(t);
	else
		*ret_tickets = t;
	return err;
}

void
sl_tickets_destroy(struct sl_tickets *t)
{
	if (!t)
		return;
	sl_wipe_release(t->now, sizeof(*t->now));
	sl_wipe_release(t->next, sizeof(*t->next));
	free(t);
}

unsigned
sl_tickets_rows(const struct sl_tickets *t, struct sl_tickets_row ret[SL_TICKET_KEYS])
{
	for (uint32_t i = 0; i < t->now->cnt; i++) {
		for (unsigned b = 0; b < 16; b++)
			snprintf(ret[i].name + (size_t)2 * b, 3, "%02x", t->now->key[i].name[b]);
		ret[i].made_ms = t->now->made_ms[i];
	}
	return t->now->cnt;
}

bool
sl_tickets_installed(const struct sl_tickets *t)
{
	return t->now->installed;
}

int64_t
sl_tickets_since(const struct sl_tickets *t)
{
	return t->now->since_ms;
}

int
sl_tickets_memfd(const struct sl_tickets *t, bool next, uint32_t *ret_bytes)
{
	const struct set *s = next ? t->next : t->now;
	size_t room = sizeof(struct sl_secret_head) + SL_TICKET_KEYS * (sizeof(uint32_t) + 80);
	size_t off = sizeof(struct sl_secret_head) + s->cnt * sizeof(uint32_t);
	struct sl_secret_head *h = sl_wipe_alloc(room);

	if (!h)
		return -ENOMEM;
	*h = (struct sl_secret_head){
		.magic = SL_SECRET_MAGIC, .kind = SL_SECRET_TICKETS, .part_cnt = s->cnt};
	for (uint32_t i = 0; i < s->cnt; i++)
		h->len[i] = sizeof(s->key[0]);
	memcpy((uint8_t *)h + off, s->key, s->cnt * sizeof(s->key[0]));
	*ret_bytes = (uint32_t)(off + s->cnt * sizeof(s->key[0]));
	int fd = sl_memfd_secret(h, *ret_bytes);
	sl_wipe_release(h, room);
	return fd;
}
