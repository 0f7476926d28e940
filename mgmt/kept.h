/* kept — what operators set of endpoints, by name: maintenance, drain, disabled, percent; of each who, when and why.
 *
 * Walk:    operstate.h asks for a name when an endpoint is placed, and changes it when a verb does.
 * Life:    a name whose everything is the default is not here.  It outlives removal and return of the endpoint.
 * Disk:    one JSON text; that of a sluiced that knew no reasons and no maintenance is read, too.
 * Threads: [any], no globals.
 */
#ifndef SL_MGMT_KEPT_H
#define SL_MGMT_KEPT_H

#include "sluice/diag.h"
#include "sluice/image.h"

#define SL_KEPT_MAX 65536 /* names */
#define SL_KEPT_WHY_MAX 128

enum sl_kept_what {
	SL_KEPT_MAINTENANCE = 0,
	SL_KEPT_DRAIN,
	SL_KEPT_DISABLED,
	SL_KEPT_PERCENT,
	SL_KEPT_WHATS
};

/* Strings are terminated; "" and 0: not known. */
struct sl_kept_note {
	char who[SL_NAME_MAX];
	char why[SL_KEPT_WHY_MAX];
	int64_t wall_ms;
};

struct sl_kept {
	char service[SL_NAME_MAX];
	char name[SL_NAME_MAX];
	bool maintenance, drain, disabled;
	uint8_t percent;                         /* [0, 100] */
	struct sl_kept_note note[SL_KEPT_WHATS]; /* zeroed where the default is in force */
};

struct sl_kept_list {
	struct sl_kept *all; /* [cnt], sorted by service and name */
	uint32_t cnt, room;
};

void sl_kept_fini(struct sl_kept_list *l);

/* sl_kept_find: NULL when all is as usual; good until the next put or load. */
const struct sl_kept *sl_kept_find(const struct sl_kept_list *l, const char *service,
				   const char *name);

/* sl_kept_put takes k in place of what the name had; one that is as usual is forgotten.  0, -ENOSPC, -ENOMEM. */
int sl_kept_put(struct sl_kept_list *l, const struct sl_kept *k);

/* Load refuses what save would not write: -EINVAL, nothing taken. */
int sl_kept_save(const struct sl_kept_list *l, char **ret_text, size_t *ret_len);
int sl_kept_load(struct sl_kept_list *l, const char *text, size_t len, struct sl_diag *diag);

/* sl_kept_name_cmp orders by service, then name. */
int sl_kept_name_cmp(const char *service1, const char *name1, const char *service2,
		     const char *name2);

#endif
