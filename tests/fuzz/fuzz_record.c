/* Records: what is sealed is opened as it was, however both sides are cut; what somebody changed is never opened; bytes that are no
 * record are refused.  Pieces lie in memory of exactly their size.
 *
 * Input: suite and version; inner type; length of content (2); how it is changed (3 bytes a change, as many as the next byte says);
 * sizes of pieces (one byte each, again and again); content is what is left, again and again.
 */
#include <stdlib.h>

#include "l7/tls/record.h"

#define KEYS 16
#define PIECES 512
#define WIRE (SL_RECORD_WIRE_MAX + 256)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* ---- bytes that decide ---- */

struct input {
	const uint8_t *at, *end;
};

static uint8_t
next(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint32_t
next16(struct input *in)
{
	uint32_t high = next(in);

	return high << 8 | next(in);
}

/* ---- pieces ---- */

struct pieces {
	struct sl_span span[PIECES];
	unsigned cnt;
};

/* Sizes as `how` has them; what is behind the last piece is one. */
static void
cut(struct pieces *p, struct input how, const uint8_t *bytes, uint32_t n)
{
	const struct input again = how;

	for (p->cnt = 0; n || !p->cnt; p->cnt++) {
		if (how.at == how.end)
			how = again;
		uint32_t k = next(&how);
		k = k > 200 ? (k - 200) * 64 : k;
		if (k > n || p->cnt == PIECES - 1)
			k = n;
		uint8_t *copy = malloc(k ? k : 1);
		must(copy != NULL);
		memcpy(copy, bytes, k);
		p->span[p->cnt] = (struct sl_span){copy, k};
		bytes += k;
		n -= k;
	}
}

static void
join(struct pieces *p, uint8_t *to)
{
	for (unsigned i = 0; i < p->cnt; i++) {
		memcpy(to, p->span[i].data, p->span[i].len);
		to += p->span[i].len;
		free(p->span[i].data);
	}
}

/* ---- one direction ---- */

static struct sl_record_engine *e;
static struct sl_record_dir seal, open;

static void
init_dirs(uint8_t which)
{
	static const uint8_t key[32] = "a key that only this target uses", iv[12] = "and this iv";
	const char *why;

	if (!e) {
		void *mem = aligned_alloc(64, sl_record_bytes(KEYS));
		must(mem != NULL);
		memset(mem, 0, sl_record_bytes(KEYS));
		e = sl_record_init(mem, KEYS, &why);
		must(e != NULL);
	}
	unsigned version = which & 1 ? SL_TLS_1_3 : SL_TLS_1_2, suite = 1 + (which >> 1) % 3;
	sl_record_key(e, &seal, version, suite, key, iv, which);
	sl_record_key(e, &open, version, suite, key, iv, which);
}

/* What opening has to say of `n` bytes of content with a type behind them that nobody changed. */
static enum sl_record_verdict
expect(const uint8_t *plain, uint32_t n, uint8_t type, struct sl_record_opened *ret)
{
	bool is_new = open.version == SL_TLS_1_3;

	if (is_new) {
		while (!type && n)
			type = plain[--n];
	}
	if (type < 20 + is_new || type > 23)
		return is_new ? SL_RECORD_BAD_INNER : SL_RECORD_BAD_HEADER;
	if (!n && type != SL_RECORD_DATA)
		return SL_RECORD_BAD_INNER;
	ret->type = type;
	ret->len = n;
	return SL_RECORD_OK;
}

/* `changes` of three bytes: a place and what is xored there; places beyond the end cut it off or put bytes behind.  Its length. */
static uint32_t
change(struct input *in, uint32_t changes, uint8_t *wire, uint32_t bytes)
{
	while (changes--) {
		uint32_t where = next16(in);
		uint8_t what = next(in);
		if (where < bytes)
			wire[where] ^= what;
		else if (where & 1)
			bytes -= what < bytes ? what : bytes;
		else if (bytes + what <= WIRE)
			bytes += what;
	}
	return bytes;
}

static void
open_and_compare(struct input how, const uint8_t *wire, uint32_t bytes, const uint8_t *plain,
		 uint32_t n, uint8_t type, bool changed)
{
	static uint8_t got[WIRE];
	static struct pieces p;
	struct sl_record_opened o, want = {0};
	uint64_t seq = open.seq;

	cut(&p, how, wire, bytes);
	enum sl_record_verdict v = sl_record_open(e, &open, p.span, p.cnt, bytes, &o);
	join(&p, got);
	if (changed) {
		must(v != SL_RECORD_OK && v != SL_RECORD_BAD_INNER && open.seq == seq);
		for (uint32_t i = 0; v == SL_RECORD_BAD_MAC && i < bytes; i++)
			must(got[i] == 0);
		return;
	}
	must(v == expect(plain, n, type, &want));
	if (v != SL_RECORD_OK)
		return;
	must(open.seq == seq + 1 && o.type == want.type && o.len == want.len);
	must(o.off + o.len <= bytes && !memcmp(got + o.off, plain, o.len));
}

/* The input itself is no record. */
static void
open_bytes(const uint8_t *data, size_t size)
{
	struct sl_record_opened o;
	static struct pieces p;
	static uint8_t got[WIRE];
	uint32_t n = (uint32_t)(size < WIRE ? size : WIRE);

	cut(&p, (struct input){data, data + size}, data, n);
	must(sl_record_open(e, &open, p.span, p.cnt, n, &o) != SL_RECORD_OK);
	join(&p, got);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t plain[SL_RECORD_MAX], wire[WIRE], sent[WIRE];
	static struct pieces from, to;
	struct input in = {data, data + size};

	init_dirs(next(&in));
	uint8_t type = next(&in);
	uint32_t n = next16(&in) % (SL_RECORD_MAX + 1), changes = next(&in) % 8;
	struct input changed = in;
	in.at += (size_t)(in.end - in.at) < 3 * changes ? (size_t)(in.end - in.at) : 3 * changes;
	struct input how = {in.at, in.end};
	for (uint32_t i = 0; i < n; i++)
		plain[i] = in.at < in.end ? in.at[i % (size_t)(in.end - in.at)] : 0;

	uint32_t bytes = n + sl_record_overhead(&seal);
	memset(wire, 0, sizeof(wire));
	cut(&from, how, plain, n);
	cut(&to, (struct input){data, data + size}, wire, bytes);
	must(sl_record_seal(e, &seal, type, from.span, from.cnt, n, to.span, to.cnt));
	join(&from, sent);
	must(!memcmp(sent, plain, n));
	join(&to, wire);
	memcpy(sent, wire, bytes);
	uint32_t now = change(&changed, changes, wire, bytes);
	open_and_compare(how, wire, now, plain, n, type, now != bytes || memcmp(sent, wire, bytes));
	open_bytes(data, size);
	return 0;
}
