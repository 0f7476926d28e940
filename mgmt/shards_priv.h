/* shards_priv — what shards.c (keys, memory, disk) and shards_run.c (the child) share. */
#ifndef SL_MGMT_SHARDS_PRIV_H
#define SL_MGMT_SHARDS_PRIV_H

#include "mgmt/shards.h"

#include <pthread.h>

#define SL_SHARD_BUCKETS 1024

struct sl_shard_rebase {
	char *scan;
	struct sl_shard_key from, to;
};

struct sl_shards {
	char *program;
	char *dir; /* or NULL */
	uint32_t deadline_ms, memory_mb;
	int stop_fd; /* eventfd, readable once all has to end */
	pthread_mutex_t lock;
	/* under the lock */
	uint64_t round; /* runs begun */
	struct sl_shard *bucket[SL_SHARD_BUCKETS];
	struct sl_shard_rebase *rebases; /* [rebase_cnt] */
	uint32_t rebase_cnt;
	struct sl_shards_stats stats;
};

void sl_shard_key_of(const struct sl_pattern *patterns, uint32_t cnt, struct sl_shard_key *ret);

/* sl_shards_keep makes a shard of patterns and object (taken over, also on failure), puts it into memory and on disk.  The
 * caller's reference, or NULL: out of memory. */
const struct sl_shard *sl_shards_keep(struct sl_shards *s, const struct sl_shard_key *key,
				      const struct sl_pattern *patterns, uint32_t cnt,
				      const struct sl_compiled_object *obj);

#endif
