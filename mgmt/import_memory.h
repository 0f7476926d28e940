/* import_memory — what one import keeps until its end: nothing is given back before.
 *
 * Threads: [any], one memory per thread.
 * Errors:  without memory the program ends (abort): only sluicectl imports, and what it reads is bounded (import_yaml.h).
 */
#ifndef SL_MGMT_IMPORT_MEMORY_H
#define SL_MGMT_IMPORT_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

struct sl_memory {
	struct sl_memory_block *blocks;
};

/* A zeroed struct sl_memory is ready for use. */
void sl_memory_fini(struct sl_memory *m);

/* size bytes of zeros, for any type. */
void *sl_memory_take(struct sl_memory *m, size_t size);
char *sl_memory_copy(struct sl_memory *m, const char *text, size_t len);
char *sl_memory_print(struct sl_memory *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
char *sl_memory_vprint(struct sl_memory *m, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

#endif
