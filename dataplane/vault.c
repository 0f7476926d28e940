/* A span is 64 KiB, aligned to its size, so that an address says where its head is; a mapping of its own has such a head, too:
 *
 *   ┌ head, 64 B: class, bytes ┬ place ┬ place ┬ … ┐          ┌ head: BIG, bytes ┬ place … ┐
 *
 * Classes: 16, 32 … 128, then four a doubling: 160, 192, 224, 256, 320 … 28672, 32704.
 * A free place holds the address of the next one and zeros.  Threads take and give from lists of their own; these are filled from,
 * and emptied to, the spans by half their length, under the lock.  A span with no place in use serves any class again; some are
 * kept, the others unmapped. */
#include "dataplane/vault.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define BY_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BY_MALLOC 1
#endif
#endif
#ifndef BY_MALLOC
#define BY_MALLOC 0
#endif

#define SPAN 65536u
#define HUGE_PAGE ((size_t)2 << 20)
#define SPARE_MAX 64 /* spans without a place in use that are kept */
#define CLASSES 40
#define BIG UINT32_MAX
#define CACHE_BYTES 32768 /* of one class in a thread's cache, at most, */
#define CACHE_CNT 64      /* and places */
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

struct place {
	struct place *next;
};

struct head {
	_Alignas(64) uint32_t class;
	uint32_t used; /* places in use, or in a thread's cache */
	size_t bytes;  /* of the mapping; by malloc: of the place */
	/* under the lock */
	struct place *free;
	uint32_t fresh;           /* bytes of the span that were given out once */
	struct head *next, *prev; /* of spans of the class with a free place; spare ones: next */
};
static_assert(sizeof(struct head) == 64, "places are aligned");

struct list {
	struct place *first;
	uint32_t cnt;
};

static struct {
	pthread_mutex_t lock;
	struct head *partial[CLASSES]; /* spans with a free place */
	struct head *spare;
	uint32_t spare_cnt;
	/* relaxed: nothing else goes by them */
	_Atomic uint64_t bytes, mapped;
	uint64_t max_bytes;
} vault = {.lock = PTHREAD_MUTEX_INITIALIZER, .max_bytes = UINT64_MAX};

static _Thread_local struct list cache[CLASSES];
static _Thread_local enum { CACHE_NONE, CACHE_USED, CACHE_OVER } cache_state;
static pthread_key_t cache_key;
static bool cache_key_made;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

/* ---- mappings ---- */

static size_t
pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) & ~(page - 1);
}

/* Locked as it is touched, in no core, not in a child. */
static bool
protect(void *mem, size_t bytes)
{
	return mlock2(mem, bytes, MLOCK_ONFAULT) == 0 && madvise(mem, bytes, MADV_DONTDUMP) == 0 &&
	       madvise(mem, bytes, MADV_WIPEONFORK) == 0;
}

/* align: a power of two. */
static void *
map(size_t bytes, size_t align)
{
	size_t room = bytes + align;
	uint8_t *m = bytes > SIZE_MAX - align ? MAP_FAILED
					      : mmap(NULL, room, PROT_READ | PROT_WRITE,
						     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return NULL;
	uint8_t *at = (uint8_t *)(((uintptr_t)m + align - 1) & ~(uintptr_t)(align - 1));
	if (at > m)
		munmap(m, (size_t)(at - m));
	if (at + bytes < m + room)
		munmap(at + bytes, (size_t)(m + room - at) - bytes);
	if (protect(at, bytes))
		return at;
	int err = errno;
	munmap(at, bytes);
	errno = err;
	return NULL;
}

static void
give_bytes(size_t n)
{
	atomic_fetch_sub_explicit(&vault.bytes, n, memory_order_relaxed);
}

/* Counts before it maps, so that no two together are too many. */
static bool
take_bytes(size_t n)
{
	if (n > vault.max_bytes)
		return false;
	if (atomic_fetch_add_explicit(&vault.bytes, n, memory_order_relaxed) <= vault.max_bytes - n)
		return true;
	give_bytes(n);
	return false;
}

static void *
map_bounded(size_t bytes)
{
	if (!take_bytes(bytes))
		return NULL;
	void *m = map(bytes, SPAN);
	if (!m)
		give_bytes(bytes);
	return m;
}

/* ---- classes ---- */

static uint32_t
class_of(size_t bytes)
{
	if (bytes <= 128)
		return (uint32_t)((bytes + 15) / 16) - 1;
	uint32_t n = (uint32_t)bytes - 1, lg = 31 - (uint32_t)__builtin_clz(n);
	return 8 + (lg - 7) * 4 + ((n - (1u << lg)) >> (lg - 2));
}

static uint32_t
class_bytes(uint32_t class)
{
	if (class < 8)
		return (class + 1) * 16;
	uint32_t lg = 7 + (class - 8) / 4, step = 1u << (lg - 2);
	return SL_MIN((1u << lg) + step * ((class - 8) % 4 + 1), (uint32_t)SL_VAULT_SMALL);
}

static uint32_t
cache_max(uint32_t class)
{
	return SL_MAX(2u, SL_MIN((uint32_t)CACHE_CNT, CACHE_BYTES / class_bytes(class)));
}

static struct head *
head_of(const void *mem)
{
	return (struct head *)((uintptr_t)mem & ~(uintptr_t)(SPAN - 1));
}

static size_t
room_of(const struct head *h)
{
	return h->class == BIG ? h->bytes - sizeof(*h) : class_bytes(h->class);
}

static void
push(struct list *l, struct place *p)
{
	p->next = l->first;
	l->first = p;
	l->cnt++;
}

static struct place *
pop(struct list *l)
{
	struct place *p = l->first;

	l->first = p->next;
	l->cnt--;
	p->next = NULL;
	return p;
}

/* ---- spans, under the lock ---- */

static void
unlink_span(struct head *h)
{
	if (h->prev)
		h->prev->next = h->next;
	else
		vault.partial[h->class] = h->next;
	if (h->next)
		h->next->prev = h->prev;
	h->next = h->prev = NULL;
}

static void
link_span(struct head *h)
{
	h->prev = NULL;
	h->next = vault.partial[h->class];
	if (h->next)
		h->next->prev = h;
	vault.partial[h->class] = h;
}

/* Until so many are spare. */
static void
unmap_spare(uint32_t cnt)
{
	while (vault.spare_cnt > cnt) {
		struct head *h = vault.spare;
		vault.spare = h->next;
		vault.spare_cnt--;
		munmap(h, SPAN);
		give_bytes(SPAN);
	}
}

static struct head *
new_span(uint32_t class)
{
	struct head *h = vault.spare;

	if (h) {
		vault.spare = h->next;
		vault.spare_cnt--;
	} else if (!(h = map_bounded(SPAN))) {
		return NULL;
	}
	*h = (struct head){.class = class, .bytes = SPAN, .fresh = sizeof(*h)};
	link_span(h);
	return h;
}

static struct place *
span_take(uint32_t class)
{
	struct head *h = vault.partial[class] ? vault.partial[class] : new_span(class);
	uint32_t size = class_bytes(class);

	if (!h)
		return NULL;
	struct place *p = h->free;
	if (p) {
		h->free = p->next;
		p->next = NULL;
	} else {
		p = (void *)((uint8_t *)h + h->fresh);
		h->fresh += size;
	}
	h->used++;
	if (!h->free && h->fresh + size > SPAN)
		unlink_span(h);
	return p;
}

static void
span_give(struct place *p)
{
	struct head *h = head_of(p);

	if (!h->free && h->fresh + class_bytes(h->class) > SPAN)
		link_span(h);
	p->next = h->free;
	h->free = p;
	if (--h->used)
		return;
	unlink_span(h);
	h->next = vault.spare;
	vault.spare = h;
	vault.spare_cnt++;
	unmap_spare(SPARE_MAX);
}

/* ---- caches of threads ---- */

static void
empty_cache(void *none)
{
	(void)none;
	pthread_mutex_lock(&vault.lock);
	for (uint32_t c = 0; c < CLASSES; c++)
		while (cache[c].cnt)
			span_give(pop(&cache[c]));
	pthread_mutex_unlock(&vault.lock);
	cache_state = CACHE_OVER; /* what others' destructors free goes to its span */
}

static void
make_key(void)
{
	cache_key_made = pthread_key_create(&cache_key, empty_cache) == 0;
}

static void
use_cache(void)
{
	pthread_once(&cache_once, make_key);
	bool ok = cache_key_made && pthread_setspecific(cache_key, cache) == 0;
	cache_state =
		ok ? CACHE_USED : CACHE_OVER; /* without its end to be seen it would be lost */
}

static __attribute__((noinline)) struct place *
refill(uint32_t class)
{
	if (cache_state == CACHE_NONE)
		use_cache();
	uint32_t more = cache_state == CACHE_USED ? cache_max(class) / 2 : 0;
	pthread_mutex_lock(&vault.lock);
	struct place *p = span_take(class);
	for (; p && more > 1; more--) {
		struct place *another = span_take(class);
		if (!another)
			break;
		push(&cache[class], another);
	}
	pthread_mutex_unlock(&vault.lock);
	return p;
}

static __attribute__((noinline)) void
give_back(uint32_t class, struct place *p)
{
	if (cache_state == CACHE_NONE)
		use_cache();
	pthread_mutex_lock(&vault.lock);
	span_give(p);
	while (cache[class].cnt > cache_max(class) / 2)
		span_give(pop(&cache[class]));
	pthread_mutex_unlock(&vault.lock);
}

/* ---- as malloc ---- */

static void *
take_big(size_t bytes)
{
	size_t n = bytes < SIZE_MAX / 2 ? pages(bytes + sizeof(struct head)) : 0;
	struct head *h = n ? map_bounded(n) : NULL;

	if (n && !h) { /* what nobody uses is in the way, perhaps */
		pthread_mutex_lock(&vault.lock);
		unmap_spare(0);
		pthread_mutex_unlock(&vault.lock);
		h = map_bounded(n);
	}
	if (!h)
		return NULL;
	h->class = BIG;
	h->bytes = n;
	return h + 1;
}

static void *
take_malloc(size_t bytes)
{
	struct head *h = NULL;

	if (bytes > SIZE_MAX / 2 || !take_bytes(bytes))
		return NULL;
	h = aligned_alloc(64, (sizeof(*h) + bytes + 63) & ~(size_t)63);
	if (!h) {
		give_bytes(bytes);
		return NULL;
	}
	h->bytes = bytes;
	return h + 1;
}

void *
sl_vault_malloc(size_t bytes)
{
	if (bytes == 0)
		return NULL;
	if (BY_MALLOC)
		return take_malloc(bytes);
	if (bytes > SL_VAULT_SMALL)
		return take_big(bytes);
	uint32_t class = class_of(bytes);
	if (sl_likely(cache[class].cnt))
		return pop(&cache[class]);
	return refill(class);
}

void
sl_vault_free(void *mem)
{
	if (!mem)
		return;
	struct head *h = BY_MALLOC ? (struct head *)mem - 1 : head_of(mem);
	size_t bytes = h->bytes;
	explicit_bzero(mem, BY_MALLOC ? bytes : room_of(h));
	if (BY_MALLOC || h->class == BIG) {
		if (BY_MALLOC)
			free(h);
		else
			munmap(h, bytes);
		give_bytes(bytes);
		return;
	}
	uint32_t class = h->class;
	if (sl_likely(cache_state == CACHE_USED && cache[class].cnt < cache_max(class)))
		push(&cache[class], mem);
	else
		give_back(class, mem);
}

void *
sl_vault_realloc(void *mem, size_t bytes)
{
	if (!mem || bytes == 0) {
		sl_vault_free(mem);
		return sl_vault_malloc(bytes);
	}
	const struct head *h = BY_MALLOC ? (struct head *)mem - 1 : head_of(mem);
	size_t room = BY_MALLOC ? h->bytes : room_of(h);
	if (!BY_MALLOC && bytes <= room && bytes > room / 2)
		return mem;
	void *to = sl_vault_malloc(bytes);
	if (!to)
		return NULL;
	memcpy(to, mem, SL_MIN(room, bytes));
	sl_vault_free(mem);
	return to;
}

/* ---- maps ---- */

void *
sl_vault_map(size_t bytes)
{
	bool huge = bytes >= HUGE_PAGE; /* faster; aligned, so that the first touch makes them */
	void *m = map(pages(bytes), huge ? HUGE_PAGE : (size_t)sysconf(_SC_PAGESIZE));

	if (!m)
		return NULL;
	if (huge)
		(void)madvise(m, pages(bytes), MADV_HUGEPAGE);
	atomic_fetch_add_explicit(&vault.mapped, pages(bytes), memory_order_relaxed);
	return m;
}

/* Pages that were never touched stay so. */
void
sl_vault_unmap(void *mem, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = pages(bytes);
	uint8_t *at = mem, there;

	if (!mem)
		return;
	for (size_t off = 0; off < n; off += page)
		if (mincore(at + off, page, &there) || (there & 1))
			explicit_bzero(at + off, page);
	munmap(mem, n);
	atomic_fetch_sub_explicit(&vault.mapped, n, memory_order_relaxed);
}

void *
sl_vault_stack(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *m = sl_vault_map(pages(bytes) + page);

	if (m && mprotect(m, page, PROT_NONE)) {
		sl_vault_unmap(m, pages(bytes) + page);
		return NULL;
	}
	return m ? m + page : NULL;
}

void
sl_vault_unstack(void *stack, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *m = stack ? (uint8_t *)stack - page : NULL;

	if (m && mprotect(m, page, PROT_READ | PROT_WRITE) == 0)
		sl_vault_unmap(m, pages(bytes) + page);
}

void
sl_vault_usage(struct sl_vault_usage *ret)
{
	*ret = (struct sl_vault_usage){
		.bytes = atomic_load_explicit(&vault.bytes, memory_order_relaxed),
		.max_bytes = vault.max_bytes,
		.mapped = atomic_load_explicit(&vault.mapped, memory_order_relaxed),
	};
}

/* ---- OpenSSL ---- */

static void *
openssl_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return sl_vault_malloc(n);
}

static void *
openssl_realloc(void *mem, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return sl_vault_realloc(mem, n);
}

static void
openssl_free(void *mem, const char *file, int line)
{
	(void)file;
	(void)line;
	sl_vault_free(mem);
}

/* Whether as much can be locked: by capability, or within the limit, which is raised as far as it goes. */
static bool
lockable(uint64_t bytes)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_MEMLOCK, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_MEMLOCK, &r);
	}
	/* on fault: nothing is taken but the right to */
	void *m = map(bytes, SPAN);
	if (m)
		munmap(m, bytes);
	return m;
}

int
sl_vault_open(uint64_t max_bytes, char ret_text[SL_VAULT_TEXT])
{
	struct rlimit r = {0};

	if (!lockable(max_bytes)) {
		int err = errno;
		(void)getrlimit(RLIMIT_MEMLOCK, &r);
		snprintf(ret_text, SL_VAULT_TEXT,
			 "%" PRIu64 " MB of memory for keys cannot be locked (%s): RLIMIT_MEMLOCK "
			 "is %" PRIu64 " KB; raise it (LimitMEMLOCK=infinity, ulimit -l unlimited)",
			 max_bytes >> 20, strerror(err), (uint64_t)r.rlim_cur >> 10);
		return -EPERM;
	}
	vault.max_bytes = max_bytes;
	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1) {
		snprintf(ret_text, SL_VAULT_TEXT,
			 "OpenSSL has memory already: a library used it before main did");
		return -EBUSY;
	}
	return 0;
}
