/* Sessions of endpoints, by the hash of all that must be the same for one to be used.
 *
 *   buckets[key] ─▶ newest of the bucket ─▶ …          newest ⇄ … ⇄ oldest of all, which gives way
 *
 * A ticket of 1.3 is used once (RFC 8446, C.4), so a few are kept of each key; one of 1.2 stays. */
#include "l7/tls/handshake_priv.h"

#define OF_KEY 4 /* sessions of one key */

struct hs_session {
	struct hs_session *next; /* of the bucket */
	struct hs_session *newer, *older;
	SSL_SESSION *s;
	uint8_t key[32];
};

bool
hs_sessions_init(struct sl_hs_engine *e)
{
	uint32_t buckets = 16;

	while (buckets < e->conf.sessions && buckets < 65536)
		buckets *= 2;
	e->bucket_mask = buckets - 1;
	e->buckets = OPENSSL_zalloc(buckets * sizeof(e->buckets[0]));
	return e->buckets;
}

static struct hs_session **
bucket(struct sl_hs_engine *e, const uint8_t key[32])
{
	return &e->buckets[sl_load32(key) & e->bucket_mask];
}

static void
drop(struct sl_hs_engine *e, struct hs_session *h)
{
	struct hs_session **at = bucket(e, h->key);

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	*(h->newer ? &h->newer->older : &e->newest) = h->older;
	*(h->older ? &h->older->newer : &e->oldest) = h->newer;
	e->session_cnt--;
	SSL_SESSION_free(h->s);
	OPENSSL_free(h);
}

void
hs_sessions_fini(struct sl_hs_engine *e)
{
	while (e->oldest)
		drop(e, e->oldest);
	OPENSSL_free(e->buckets);
	e->buckets = NULL;
}

static bool
is_13(const SSL_SESSION *s)
{
	return SSL_SESSION_get_protocol_version(s) >= TLS1_3_VERSION;
}

/* Room for one more of the key: none of 1.2 stays beside it, and at most OF_KEY - 1 of 1.3. */
static void
make_room(struct sl_hs_engine *e, const uint8_t key[32])
{
	unsigned cnt = 0;

	for (struct hs_session *h = *bucket(e, key), *next; h; h = next) {
		next = h->next;
		if (!memcmp(h->key, key, 32) && (!is_13(h->s) || ++cnt >= OF_KEY))
			drop(e, h);
	}
	while (e->session_cnt && e->session_cnt >= e->conf.sessions)
		drop(e, e->oldest);
}

bool
hs_sessions_put(struct sl_hs_engine *e, const uint8_t key[32], SSL_SESSION *s)
{
	struct hs_session *h = e->conf.sessions ? OPENSSL_zalloc(sizeof(*h)) : NULL;

	if (!h)
		return false;
	make_room(e, key);
	h->s = s;
	memcpy(h->key, key, sizeof(h->key));
	h->next = *bucket(e, key);
	*bucket(e, key) = h;
	h->older = e->newest;
	*(e->newest ? &e->newest->newer : &e->oldest) = h;
	e->newest = h;
	e->session_cnt++;
	return true;
}

SSL_SESSION *
hs_sessions_take(struct sl_hs_engine *e, const uint8_t key[32], int64_t now_s)
{
	for (struct hs_session *h = *bucket(e, key), *next; h; h = next) {
		next = h->next;
		if (memcmp(h->key, key, 32))
			continue;
		const X509 *x = SSL_SESSION_get0_peer(h->s);
		bool good = SSL_SESSION_is_resumable(h->s) && x && hs_peer_dates(x, now_s);
		SSL_SESSION *s = good && SSL_SESSION_up_ref(h->s) ? h->s : NULL;
		if (!good || is_13(h->s))
			drop(e, h);
		if (s)
			return s;
	}
	return NULL;
}
