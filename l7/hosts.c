/* hosts — host → virtual host: the whole name, else its longest suffix, else its longest prefix, else "*".
 *
 * One table of names by (kind, name).  A suffix begins and a prefix ends with a dot, so as many look-ups as there are dots.
 */
#include <errno.h>
#include <stdlib.h>

#include "l7/match.h"
#include "l7/match_bytes.h"

#define HOST_BYTES 253

struct entry {
	const uint8_t *name; /* NULL: free */
	uint32_t len, kind;
	uint32_t vhost;
};

struct sl_hosts {
	uint32_t any;
	uint32_t kinds; /* bits: names of which kinds there are */
	uint32_t mask;
	struct entry entry[];
};

static uint64_t
name_hash(uint32_t kind, const uint8_t *name, uint32_t len)
{
	return sl_bytes_hash(kind, name, len, false);
}

static void
name_put(struct sl_hosts *h, const struct entry *e)
{
	uint64_t i = name_hash(e->kind, e->name, e->len);

	while (h->entry[i & h->mask].name)
		i++;
	h->entry[i & h->mask] = *e;
	h->kinds |= 1u << e->kind;
}

static uint32_t
name_find(const struct sl_hosts *h, uint32_t kind, const uint8_t *name, uint32_t len)
{
	for (uint64_t i = name_hash(kind, name, len);; i++) {
		const struct entry *e = &h->entry[i & h->mask];
		if (!e->name)
			return SL_MATCH_NONE;
		if (e->kind == kind && e->len == len && sl_bytes_eq(name, e->name, len, false))
			return e->vhost;
	}
}

int
sl_hosts_create(const struct sl_img_routes *img, const uint32_t *vhost, struct sl_hosts **ret_hosts)
{
	const struct sl_img_host *host = (const void *)((const uint8_t *)img + img->host_off);
	const uint8_t *str = (const uint8_t *)img + img->str_off;
	uint32_t room = 8;

	while (room < 2 * (img->host_cnt + 1))
		room *= 2;
	struct sl_hosts *h = calloc(1, sizeof(*h) + room * sizeof(h->entry[0]));
	if (!h)
		return -ENOMEM;
	h->any = SL_MATCH_NONE;
	h->mask = room - 1;
	for (uint32_t i = 0; i < img->host_cnt; i++) {
		if (host[i].kind == SL_HOST_ANY) {
			h->any = vhost[i];
			continue;
		}
		struct entry e = {str + host[i].name.off, host[i].name.len, host[i].kind, vhost[i]};
		name_put(h, &e);
	}
	*ret_hosts = h;
	return 0;
}

void
sl_hosts_destroy(struct sl_hosts *h)
{
	free(h);
}

static uint32_t
suffix_find(const struct sl_hosts *h, const uint8_t *name, uint32_t len)
{
	for (uint32_t i = 1; i < len; i++) {
		uint32_t v = name[i] == '.' ? name_find(h, SL_HOST_SUFFIX, name + i, len - i)
					    : SL_MATCH_NONE;
		if (v != SL_MATCH_NONE)
			return v;
	}
	return SL_MATCH_NONE;
}

static uint32_t
prefix_find(const struct sl_hosts *h, const uint8_t *name, uint32_t len)
{
	for (uint32_t n = len ? len - 1 : 0; n > 0; n--) {
		uint32_t v =
			name[n - 1] == '.' ? name_find(h, SL_HOST_PREFIX, name, n) : SL_MATCH_NONE;
		if (v != SL_MATCH_NONE)
			return v;
	}
	return SL_MATCH_NONE;
}

uint32_t
sl_hosts_find(const struct sl_hosts *h, const uint8_t *host, uint32_t len)
{
	uint8_t name[HOST_BYTES];
	uint32_t v = SL_MATCH_NONE;

	if (len && host[len - 1] == '.')
		len--;
	if (len == 0 || len > HOST_BYTES)
		return h->any;
	for (uint32_t i = 0; i < len; i++)
		name[i] = sl_byte_fold(host[i]);
	if (h->kinds >> SL_HOST_EXACT & 1)
		v = name_find(h, SL_HOST_EXACT, name, len);
	if (v == SL_MATCH_NONE && h->kinds >> SL_HOST_SUFFIX & 1)
		v = suffix_find(h, name, len);
	if (v == SL_MATCH_NONE && h->kinds >> SL_HOST_PREFIX & 1)
		v = prefix_find(h, name, len);
	return v == SL_MATCH_NONE ? h->any : v;
}
