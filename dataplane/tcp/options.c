/* kind 0 end · 1 no operation · else kind, length (of all), value:
 *
 *   2,4 mss:2      3,3 shift:1      4,2 SACK permitted      5,2+8n (from:4 to:4)×n      8,10 value:4 echo:4
 *
 * Most segments carry the same twelve bytes: 1, 1, timestamps. */
#include "dataplane/tcp/tcp_priv.h"

enum { OPT_END, OPT_NOP, OPT_MSS, OPT_WSCALE, OPT_SACK_OK, OPT_SACK, OPT_TS = 8 };

#define OPTIONS_MAX 40
#define WSCALE_MAX 14

static inline uint32_t
get32(const uint8_t *b)
{
	return sl_from_be32(sl_load32(b));
}

static inline void
put32(uint8_t *b, uint32_t v)
{
	sl_store32(b, sl_to_be32(v));
}

static void
read_ts(const uint8_t *b, struct sl_tcp_options *o)
{
	o->has_ts = true;
	o->ts_val = get32(b + 2);
	o->ts_ecr = get32(b + 6);
}

static bool
read_blocks(const uint8_t *b, unsigned len, struct sl_tcp_options *o)
{
	unsigned cnt = len / 8;

	if (len % 8 != 2 || cnt == 0 || cnt > SL_ARRAY_CNT(o->block))
		return false;
	for (unsigned i = 0; i < cnt; i++) {
		o->block[i].from = get32(b + 2 + 8 * i);
		o->block[i].to = get32(b + 6 + 8 * i);
	}
	o->block_cnt = (uint8_t)cnt;
	return true;
}

/* One option of len ≥ 2 bytes, which are there. */
static bool
read_one(const uint8_t *b, unsigned len, bool syn, struct sl_tcp_options *o)
{
	switch (b[0]) {
	case OPT_MSS:
		if (syn && len == 4)
			o->mss = SL_MAX(sl_from_be16(sl_load16(b + 2)), 1);
		return len == 4;
	case OPT_WSCALE:
		if (syn && len == 3) {
			o->has_wscale = true;
			o->wscale = SL_MIN(b[2], WSCALE_MAX);
		}
		return len == 3;
	case OPT_SACK_OK:
		o->sack_ok |= syn;
		return len == 2;
	case OPT_SACK:
		return read_blocks(b, len, o);
	case OPT_TS:
		if (len == 10)
			read_ts(b, o);
		return len == 10;
	default:
		return true;
	}
}

bool
sl_options_parse(const uint8_t *bytes, unsigned n, bool syn, struct sl_tcp_options *ret)
{
	static const uint8_t usual[4] = {OPT_NOP, OPT_NOP, OPT_TS, 10};

	memset(ret, 0, sizeof(*ret));
	if (sl_likely(n == 12 && sl_load32(bytes) == sl_load32(usual))) {
		read_ts(bytes + 2, ret);
		return true;
	}
	for (unsigned at = 0; at < n && bytes[at] != OPT_END;) {
		if (bytes[at] == OPT_NOP) {
			at++;
			continue;
		}
		unsigned len = n - at >= 2 ? bytes[at + 1] : 0;
		if (len < 2 || len > n - at || !read_one(bytes + at, len, syn, ret))
			return false;
		at += len;
	}
	return true;
}

/* SACK permitted takes the place of the two bytes of padding before timestamps. */
static unsigned
write_ts(uint8_t *to, const struct sl_tcp_options *o)
{
	to[0] = o->sack_ok ? OPT_SACK_OK : OPT_NOP;
	to[1] = o->sack_ok ? 2 : OPT_NOP;
	to[2] = OPT_TS;
	to[3] = 10;
	put32(to + 4, o->ts_val);
	put32(to + 8, o->ts_ecr);
	return 12;
}

static unsigned
write_blocks(uint8_t *to, unsigned room, const struct sl_tcp_options *o)
{
	unsigned cnt = room < 12 ? 0 : SL_MIN(o->block_cnt, (room - 4) / 8);

	if (cnt == 0)
		return 0;
	to[0] = to[1] = OPT_NOP;
	to[2] = OPT_SACK;
	to[3] = (uint8_t)(2 + 8 * cnt);
	for (unsigned i = 0; i < cnt; i++) {
		put32(to + 4 + 8 * i, o->block[i].from);
		put32(to + 8 + 8 * i, o->block[i].to);
	}
	return 4 + 8 * cnt;
}

unsigned
sl_options_write(uint8_t *to, const struct sl_tcp_options *o)
{
	unsigned n = 0;

	if (o->mss) {
		put32(to, OPT_MSS << 24 | 4 << 16 | o->mss);
		n = 4;
	}
	if (o->has_ts) {
		n += write_ts(to + n, o);
	} else if (o->sack_ok) {
		put32(to + n, OPT_NOP << 24 | OPT_NOP << 16 | OPT_SACK_OK << 8 | 2);
		n += 4;
	}
	if (o->has_wscale) {
		put32(to + n, OPT_NOP << 24 | OPT_WSCALE << 16 | 3 << 8 | o->wscale);
		n += 4;
	}
	return n + write_blocks(to + n, OPTIONS_MAX - n, o);
}
