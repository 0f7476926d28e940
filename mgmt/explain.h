/* explain — what answers about packets (explain.c) and about requests (explain_http.c) have in common.
 * Threads: [loop]. */
#ifndef SL_MGMT_EXPLAIN_H
#define SL_MGMT_EXPLAIN_H

#include "mgmt/verbs.h"

/* Who has a slot in the table; NULL: nobody, or t is NULL. */
const struct sl_conf_listener *sl_explain_listener_at(const struct sl_table *t, uint32_t slot);
const struct sl_conf_service *sl_explain_service_at(const struct sl_table *t, uint32_t slot);

/* As api.h has them; null for NULL. */
json_t *sl_explain_listener(const struct sl_conf_listener *l);
json_t *sl_explain_service(const struct sl_conf_service *s);

/* sl_explain_level: the level that an endpoint was chosen from, or null.  sl_explain_say_level: sentences about it, where there is
 * more than one, or a panic. */
json_t *sl_explain_level(const struct sl_ctl_level *l);
void sl_explain_say_level(json_t *list, const struct sl_ctl_level *l);

/* sl_explain_say appends a sentence. */
void sl_explain_say(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
