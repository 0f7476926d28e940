/* Chains by the low bits of the keyed hash: heads[] holds handle + 1 of the first, hash_next of streams and TIME-WAIT entries
 * handle + 1 of the next, 0 ends.  Each keeps 32 bits of its hash, so that a chain's strangers cost one line each and
 * no comparison of tuples.  There are at least as many heads as handles: chains are short. */
#include "dataplane/tcp/tcp_priv.h"

struct node {
	const struct sl_tuple *tuple;
	uint32_t *next;
	uint32_t *hash;
};

static inline struct node
node_of(const struct sl_tcp *t, uint32_t handle)
{
	if (handle & SL_TCP_OF_TIMEWAIT) {
		struct sl_timewait *w = &t->timewaits[handle & ~SL_TCP_OF_TIMEWAIT];
		return (struct node){&w->tuple, &w->hash_next, &w->hash};
	}
	struct sl_stream *s = &t->streams[handle];
	return (struct node){&s->row.tuple, &s->hash_next, &s->hash};
}

/* Both of the same family and protocol or not: 40 bytes, without holes. */
static inline bool
tuple_eq(const struct sl_tuple *a, const struct sl_tuple *b)
{
	return sl_addr_eq(&a->src, &b->src) && sl_addr_eq(&a->dst, &b->dst) &&
	       sl_load64(&a->sport) == sl_load64(&b->sport);
}

void
sl_table_insert(struct sl_tcp *t, uint32_t handle, uint64_t hash)
{
	struct node n = node_of(t, handle);
	uint32_t *head = &t->heads[hash & t->head_mask];

	*n.hash = (uint32_t)hash;
	*n.next = *head;
	*head = handle + 1;
}

void
sl_table_remove(struct sl_tcp *t, uint32_t handle)
{
	struct node n = node_of(t, handle);
	uint32_t *at = &t->heads[*n.hash & t->head_mask];

	while (*at != handle + 1) {
		SL_ASSERT(*at != 0);
		at = node_of(t, *at - 1).next;
	}
	*at = *n.next;
	*n.next = 0;
}

uint64_t
sl_tcp_hash(const struct sl_tcp *t, const struct sl_tuple *tuple)
{
	return sl_hash_tuple_keyed(&t->key, tuple);
}

void
sl_tcp_prefetch(const struct sl_tcp *t, uint64_t hash)
{
	sl_prefetch(&t->heads[hash & t->head_mask]);
}

/* The first of the chain, which is mostly the one: what look-up touches of it. */
void
sl_tcp_prefetch_entry(const struct sl_tcp *t, uint64_t hash)
{
	uint32_t handle = t->heads[hash & t->head_mask] - 1;

	if (handle == UINT32_MAX)
		return;
	if (handle & SL_TCP_OF_TIMEWAIT) {
		sl_prefetch(&t->timewaits[handle & ~SL_TCP_OF_TIMEWAIT]);
		return;
	}
	const struct sl_stream *s = &t->streams[handle];
	sl_prefetch_w(&s->row.tuple);
	sl_prefetch_w(&s->hash_next);
}

uint32_t
sl_tcp_find(const struct sl_tcp *t, uint64_t hash, const struct sl_tuple *tuple)
{
	uint32_t at = t->heads[hash & t->head_mask];

	while (at != 0) {
		struct node n = node_of(t, at - 1);
		if (*n.hash == (uint32_t)hash && sl_likely(tuple_eq(n.tuple, tuple)))
			return at - 1;
		at = *n.next;
	}
	return SL_TCP_NONE;
}
