/* certs — the certificates and bundles that sluiced keeps, by name.
 *
 * Disk:    state_dir/certs/NAME.pair and NAME.trust (keep.h; the payload is the secret as secrets.h has it).  A file that is
 *          damaged gets a note, and its name is as if it were not there.
 * Memory:  what people are told.  Keys stand on disk alone, and are read when the dataplane is to have them.
 * Change:  sl_certs_stage, then sl_certs_commit when the dataplane has taken it, or sl_certs_drop: the old one stays.
 * Names:   sl_name_ok, one for pairs and bundles together.
 * Threads: [loop].
 */
#ifndef SL_MGMT_CERTS_H
#define SL_MGMT_CERTS_H

#include "mgmt/cert_check.h"
#include "sluice/image.h"

struct sl_certs;

struct sl_cert_entry {
	char name[SL_NAME_MAX];
	struct sl_cert_info info;
	int64_t added_ms; /* when this version came, ms since 1970 */
	bool leaving;     /* being taken away: no table may name it any more */
	bool damaged;     /* its file was, when it was read last */
};

/* sl_certs_create: the directory, and what is in it.  Only a directory that cannot be used is an error; files that cannot, are in
 * notes. */
int sl_certs_create(const char *state_dir, struct sl_diag *notes, struct sl_certs **ret_certs);
void sl_certs_destroy(struct sl_certs *c);

/* By name; NULL: none.  The list is sorted; both are good until the next commit or remove. */
struct sl_cert_entry *sl_certs_find(const struct sl_certs *c, const char *name);
struct sl_cert_entry *const *sl_certs_list(const struct sl_certs *c, unsigned *ret_cnt);
bool sl_certs_full(const struct sl_certs *c);

/* sl_certs_knows: a table may name it as a certificate (SL_SECRET_PAIR) or a bundle. */
bool sl_certs_knows(const struct sl_certs *c, uint32_t kind, const char *name);

int sl_certs_stage(struct sl_certs *c, const char *name, const struct sl_cert_made *m,
		   int64_t now_ms, struct sl_diag *diag);
/* sl_certs_commit takes m->info over when it is 0. */
int sl_certs_commit(struct sl_certs *c, const char *name, struct sl_cert_made *m, int64_t now_ms,
		    struct sl_diag *diag);
void sl_certs_drop(struct sl_certs *c, const char *name, uint32_t kind);
int sl_certs_remove(struct sl_certs *c, const char *name, struct sl_diag *diag);

/* sl_certs_version moves with each commit and remove. */
uint64_t sl_certs_version(const struct sl_certs *c);

/* sl_certs_read: the secret as it is on disk, in memory of sl_wipe_alloc: 0 or -errno.  kind: of what the name must be. */
int sl_certs_read(struct sl_certs *c, uint32_t kind, const char *name, void **ret_secret,
		  size_t *ret_bytes);

/* sl_certs_memfd: the secret as it is on disk, sealed for SL_CTL_SECRET: a descriptor for the caller to close, or -errno. */
int sl_certs_memfd(struct sl_certs *c, const char *name, uint32_t *ret_bytes, struct sl_diag *diag);

#endif
