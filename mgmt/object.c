#include "mgmt/object.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct blob {
	_Atomic uint32_t refs; /* the last one to leave frees: release, then acquire, as usual */
	uint32_t zero[3];
	uint8_t bytes[];
};
static_assert(offsetof(struct blob, bytes) == 16, "objects are aligned to 8");

static struct blob *
blob_of(const void *bytes)
{
	return (struct blob *)((uintptr_t)bytes - offsetof(struct blob, bytes));
}

void *
sl_object_create(enum sl_obj_kind kind, size_t size)
{
	struct blob *b = calloc(1, sizeof(*b) + size);

	if (!b)
		return NULL;
	__atomic_store_n((uint32_t *)&b->refs, 1, __ATOMIC_RELAXED);
	*(struct sl_obj_head *)b->bytes = (struct sl_obj_head){
		.magic = SL_OBJ_MAGIC,
		.version = SL_IMAGE_VERSION,
		.kind = (uint16_t)kind,
		.size = (uint32_t)size,
	};
	return b->bytes;
}

void
sl_object_unref(const void *bytes)
{
	if (bytes &&
	    __atomic_sub_fetch((uint32_t *)&blob_of(bytes)->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(blob_of(bytes));
}

int
sl_object_finish(const void *bytes, size_t size, const struct sl_compiled_object *prev,
		 struct sl_compiled_object *ret)
{
	struct sl_compiled_object o = {.bytes = bytes, .size = size};

	if (prev && prev->size == size && memcmp(prev->bytes, bytes, size) == 0) {
		sl_object_unref(bytes);
		sl_object_share(prev, ret);
		return 0;
	}
	if (EVP_Digest(bytes, size, o.id.b, NULL, EVP_sha256(), NULL) != 1) {
		sl_object_unref(bytes);
		return -ENOMEM;
	}
	*ret = o;
	return 0;
}

void
sl_object_share(const struct sl_compiled_object *from, struct sl_compiled_object *ret)
{
	__atomic_add_fetch((uint32_t *)&blob_of(from->bytes)->refs, 1, __ATOMIC_RELAXED);
	*ret = *from;
}

uint32_t
sl_object_section(uint32_t *end, size_t n, size_t size)
{
	uint32_t off = n ? *end : 0;

	*end = (uint32_t)((*end + n * size + 7) & ~(size_t)7);
	return off;
}
