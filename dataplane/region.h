/* region — the memfd that holds the flow tables (sluice/flows.h): made, opened again, judged.
 *
 * Owner:   one per dataplane, main's.  Tables in it are their workers'.
 * Threads: [main].
 * Trust:   a region comes from a process that was killed anywhere, through others that held it.  What is checked here:
 *          it is a memfd that cannot change its size, ours or root's, and its head agrees with it.  Its tables are
 *          judged entry by entry in sl_flow_adopt.
 * Not here: who takes it and when (takeover.h).
 */
#ifndef SL_DATAPLANE_REGION_H
#define SL_DATAPLANE_REGION_H

#include "lb/flow_adopt.h"

struct sl_region {
	struct sl_flows_head *head; /* mapped for writing; NULL: there is none */
	size_t bytes;
	int fd;      /* open for writing: stays ours */
	int keep_fd; /* the same file open for reading: for who holds it meanwhile */
	bool huge;
};

/* sl_region_create makes one for worker_cnt tables, in hugepages when asked and possible.  The tables are not made:
 * their memory is zero.  0 or -errno. */
int sl_region_create(unsigned worker_cnt, uint32_t capacity, uint32_t xlat_capacity,
		     const uint8_t rss_key[40], uint64_t boot_id, bool huge,
		     struct sl_region *ret_region);

/* sl_region_open takes one over.  bytes and id: what the giver says of it, 0: nothing.  fd is closed in any case.
 * NULL, or what is wrong with it in one sentence (static, until the next call). */
const char *sl_region_open(int fd, uint64_t bytes, uint64_t id, struct sl_region *ret_region);

/* sl_region_fits: whether workers of this number and capacity can go on in it. */
bool sl_region_fits(const struct sl_region *r, unsigned worker_cnt, uint32_t capacity,
		    uint32_t xlat_capacity);

/* sl_region_close lets go of it; who else holds it keeps it.  A closed and a zeroed one are accepted. */
void sl_region_close(struct sl_region *r);

#endif
