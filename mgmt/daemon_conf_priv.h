/* daemon_conf_priv — what the readers of sluiced's own file have in common. */
#ifndef SL_MGMT_DAEMON_CONF_PRIV_H
#define SL_MGMT_DAEMON_CONF_PRIV_H

#include "mgmt/daemon_conf.h"

#include <libconfig.h>

struct parse {
	const char *file;
	struct sl_diag *diag;
	struct sl_daemon_conf *conf;
	bool bad;
};

#define COMPLAIN(p, s, path, hint, ...)                                                            \
	do {                                                                                       \
		(p)->bad = true;                                                                   \
		sl_diag_add((p)->diag, (p)->file, (int)config_setting_source_line(s), path, hint,  \
			    __VA_ARGS__);                                                          \
	} while (0)

/* s has a key that nobody knows: key_at gives those that there are, NULL behind the last. */
void sl_daemon_conf_unknown(struct parse *p, const config_setting_t *s, const char *prefix,
			    const char *(*key_at)(unsigned i));

/* daemon_conf_registry.c: the group `registry`; what of it needs the other keys, when all are read. */
void sl_daemon_conf_registry(struct parse *p, const config_setting_t *s);
void sl_daemon_conf_registry_end(struct parse *p, const config_setting_t *root);

/* daemon_conf_sources.c: the list `sources`. */
void sl_daemon_conf_sources(struct parse *p, const config_setting_t *s);

/* daemon_conf_store.c: the group `store`; what of it needs the other keys, when all are read. */
void sl_daemon_conf_store(struct parse *p, const config_setting_t *s);
void sl_daemon_conf_store_end(struct parse *p, const config_setting_t *root);

#endif
