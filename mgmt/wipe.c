#include "mgmt/wipe.h"

#include <jansson.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void
sl_wipe_free(void *p)
{
	if (p)
		OPENSSL_cleanse(p, malloc_usable_size(p));
	free(p);
}

void *
sl_wipe_realloc(void *p, size_t size)
{
	void *more = malloc(size ? size : 1);

	if (more && p)
		memcpy(more, p, SL_MIN(size, malloc_usable_size(p)));
	if (more)
		sl_wipe_free(p);
	return more;
}

static void *
ossl_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return size ? malloc(size) : NULL;
}

static void *
ossl_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	if (size)
		return sl_wipe_realloc(p, size);
	sl_wipe_free(p);
	return NULL;
}

static void
ossl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	sl_wipe_free(p);
}

void
sl_wipe_install(void)
{
	json_set_alloc_funcs(malloc, sl_wipe_free);
	CRYPTO_set_mem_functions(ossl_malloc, ossl_realloc, ossl_free);
}

static size_t
whole_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

void *
sl_wipe_alloc(size_t size)
{
	size_t room = whole_pages(SL_MAX(size, (size_t)1));
	void *p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, room, MADV_DONTDUMP);
	(void)!mlock(
		p, room); /* over the limit: core dumps are off, and swap is the administrator's */
	return p;
}

void
sl_wipe_release(void *p, size_t size)
{
	size_t room = whole_pages(SL_MAX(size, (size_t)1));

	if (!p)
		return;
	OPENSSL_cleanse(p, room);
	munmap(p, room);
}
