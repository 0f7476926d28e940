/* The layout of secrets.h; nothing behind `bytes` is read. */
#include "sluice/secrets.h"

#include <errno.h>

static const char *
count_wrong(uint32_t kind, uint32_t cnt)
{
	switch (kind) {
	case SL_SECRET_PAIR:
		return cnt < 2 || cnt > 1 + SL_SECRET_CHAIN
			       ? "a pair has a key and 1 to 10 certificates"
			       : NULL;
	case SL_SECRET_TRUST:
		return cnt < 1 || cnt > SL_SECRET_PARTS ? "a bundle has 1 to 1024 certificates"
							: NULL;
	case SL_SECRET_TICKETS:
		return cnt < 1 || cnt > SL_TICKET_KEYS ? "there are 1 to 8 ticket keys" : NULL;
	}
	return "kind is not known";
}

int
sl_secret_parts(const void *secret, size_t bytes, uint32_t kind, struct sl_secret_part *ret_parts,
		const char **ret_why)
{
	const struct sl_secret_head *h = secret;
	const char *why = "shorter than its head, or longer than 1 MiB";

	if (bytes < sizeof(*h) || bytes > SL_SECRET_MAX)
		goto bad;
	why = "head is not that of a secret of its kind";
	if (h->magic != SL_SECRET_MAGIC || h->kind != kind || h->zero)
		goto bad;
	why = count_wrong(kind, h->part_cnt);
	if (why)
		goto bad;
	why = "parts are not as long as its bytes";
	size_t at = sizeof(*h) + h->part_cnt * sizeof(h->len[0]);
	if (at > bytes)
		goto bad;
	for (uint32_t i = 0; i < h->part_cnt; i++) {
		if (h->len[i] == 0 || h->len[i] > bytes - at)
			goto bad;
		if (kind == SL_SECRET_TICKETS && h->len[i] != sizeof(struct sl_ticket_key)) {
			why = "a ticket key has 80 bytes";
			goto bad;
		}
		ret_parts[i] = (struct sl_secret_part){(const uint8_t *)secret + at, h->len[i]};
		at += h->len[i];
	}
	if (at != bytes)
		goto bad;
	return (int)h->part_cnt;
bad:
	*ret_why = why;
	return -EINVAL;
}
