/* boot_priv — the rows of the boot file's keys, for who reads it (boot.c) and who shows what was read (boot_show.c). */
#ifndef SL_DATAPLANE_BOOT_PRIV_H
#define SL_DATAPLANE_BOOT_PRIV_H

#include "dataplane/boot.h"

enum sl_boot_type {
	STRING,
	INTEGER,
	CHOICE,
	BOOL,
	NAME,
	MAC,
	HEXKEY,
	CPUS,
	TLS_CPUS,
	GROUP,
	PORTS
};

struct sl_boot_key {
	const char *name;
	enum sl_boot_type type;
	bool required;
	long min, max;       /* INTEGER: the range; STRING: bytes */
	const char *choices; /* CHOICE: "a|b|c", the index is stored */
	size_t off;
	const struct sl_boot_group *group;
};

struct sl_boot_group {
	const struct sl_boot_key *keys;
	unsigned cnt;
};

extern const struct sl_boot_group sl_boot_top;

#endif
