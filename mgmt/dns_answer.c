/* A message:  head, 12 bytes: id, flags, number of questions, answers, authorities, additional ones
 *             question:       name, type, class
 *             record, each:   name, type, class, TTL (4), length of data (2), data
 *
 * A first walk goes over everything and only checks; then the aliases are followed from the question's name, a walk for each;
 * a last walk takes the records of the name that they lead to. */
#include "mgmt/dns_answer.h"

#include <errno.h>
#include <stdlib.h>

#define CLASS_IN 1
#define MOST_ALIASES 16
#define MOST_POINTERS 127  /* of a name: it has no more labels */
#define NAME_MAX_TEXT 1024 /* 255 bytes, each as "\255" at worst */

enum { FLAG_ANSWER = 0x8000, FLAG_CUT = 0x0200, OPCODE = 0x7800, RCODE = 0x000f };

struct message {
	const uint8_t *b;
	size_t len;
};

struct record {
	size_t owner, data; /* offsets */
	uint32_t ttl_s;
	uint16_t type, class, len;
	bool additional, answer;
};

/* ---- bytes ---- */

static uint16_t
be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

/* One byte of a label: letters become small, what would not be the same as text is escaped. */
static size_t
put_byte(char *out, uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		c |= 0x20;
	if (c > ' ' && c < 127 && c != '.' && c != '\\') {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '\\';
	out[1] = (char)('0' + c / 100);
	out[2] = (char)('0' + c / 10 % 10);
	out[3] = (char)('0' + c % 10);
	return 4;
}

/* The name at `at` as text, and where the message goes on behind it.  Each pointer leads to a place before the one that held
 * it, so there is an end; it comes soon, since a message may hold thousands of pointers to each other and of names that begin
 * with them. */
static bool
read_name(const struct message *m, size_t at, char text[NAME_MAX_TEXT], size_t *ret_next)
{
	size_t limit = at, next = 0, wire = 0, n = 0, pointers = 0;

	while (at < m->len && m->b[at] != 0) {
		uint8_t c = m->b[at];
		if (c >= 0xc0) {
			if (at + 2 > m->len || ++pointers > MOST_POINTERS)
				return false;
			next = next ? next : at + 2;
			at = be16(m->b + at) & 0x3fff;
			if (at >= limit)
				return false;
			limit = at;
			continue;
		}
		wire += c + 1u;
		if (c > 63 || at + 1 + c > m->len || wire > 254)
			return false;
		if (n)
			text[n++] = '.';
		for (size_t i = 1; i <= c; i++)
			n += put_byte(text + n, m->b[at + i]);
		at += c + 1u;
	}
	if (at >= m->len)
		return false;
	text[n] = 0;
	*ret_next = next ? next : at + 1;
	return true;
}

/* The records one after the other; `left` counts down. */
struct walk {
	size_t at;
	uint32_t answers, others, additional;
};

static bool
start_walk(const struct message *m, struct walk *ret)
{
	char text[NAME_MAX_TEXT];
	size_t next;

	if (!read_name(m, 12, text, &next) || next + 4 > m->len)
		return false;
	*ret = (struct walk){next + 4, be16(m->b + 6), be16(m->b + 8), be16(m->b + 10)};
	return true;
}

/* 1: *ret is the next one; 0: there is none; -1: not well formed. */
static int
next_record(const struct message *m, struct walk *w, struct record *ret)
{
	char text[NAME_MAX_TEXT];
	size_t at;

	if (w->answers + w->others + w->additional == 0)
		return 0;
	if (!read_name(m, w->at, text, &at) || at + 10 > m->len)
		return -1;
	const uint8_t *p = m->b + at;
	*ret = (struct record){.owner = w->at,
			       .data = at + 10,
			       .type = be16(p),
			       .class = be16(p + 2),
			       .ttl_s = be32(p + 4),
			       .len = be16(p + 8)};
	if (ret->ttl_s > INT32_MAX)
		ret->ttl_s = 0;
	if (ret->data + ret->len > m->len)
		return -1;
	w->at = ret->data + ret->len;
	uint32_t *left = w->answers ? &w->answers : w->others ? &w->others : &w->additional;
	ret->answer = left == &w->answers;
	ret->additional = left == &w->additional;
	--*left;
	return 1;
}

/* ---- the first walk ---- */

static bool
is_addr(const struct record *r)
{
	return r->type == SL_DNS_A || r->type == SL_DNS_AAAA;
}

static bool
good_data(const struct message *m, const struct record *r)
{
	char text[NAME_MAX_TEXT];
	size_t next, skip = r->type == SL_DNS_SRV ? 6 : 0;

	if (r->class != CLASS_IN)
		return true;
	if (is_addr(r))
		return r->len == (r->type == SL_DNS_A ? 4 : 16);
	if (r->type == SL_DNS_SRV || r->type == SL_DNS_CNAME)
		return r->len > skip && read_name(m, r->data + skip, text, &next) &&
		       next == r->data + r->len;
	return true;
}

struct sums {
	uint32_t addrs, srvs, more;
};

static bool
check_records(const struct message *m, struct sums *ret)
{
	struct walk w;
	struct record r;
	int got = -1;

	*ret = (struct sums){0};
	if (!start_walk(m, &w))
		return false;
	while ((got = next_record(m, &w, &r)) > 0) {
		if (!good_data(m, &r))
			return false;
		ret->addrs += r.answer && is_addr(&r);
		ret->srvs += r.answer && r.type == SL_DNS_SRV;
		ret->more += r.additional && is_addr(&r);
	}
	return got == 0;
}

static const char *
check_rcode(unsigned rcode)
{
	static const char *const words[] = {
		[1] = "the server did not understand the question (FORMERR)",
		[2] = "the server failed (SERVFAIL)",
		[4] = "the server does not answer such questions (NOTIMP)",
		[5] = "the server refused to answer (REFUSED)",
	};

	if (rcode == 0 || rcode == 3)
		return NULL;
	return rcode < SL_ARRAY_CNT(words) && words[rcode]
		       ? words[rcode]
		       : "the server answered with an error that has no name here";
}

static bool
same_host(const char *lower, const char *name)
{
	for (; *lower && *name; lower++, name++)
		if (*lower != *name &&
		    !(*name >= 'A' && *name <= 'Z' && *lower == (char)(*name | 0x20)))
			return false;
	return !*lower && (!*name || (*name == '.' && !name[1]));
}

static const char *
check_head(const struct message *m, const char *name, uint16_t type)
{
	static const char bad[] = "the answer is not well formed";
	char text[NAME_MAX_TEXT];
	size_t next;

	if (m->len < 12 || m->len > UINT16_MAX)
		return bad;
	uint16_t flags = be16(m->b + 2);
	if (!(flags & FLAG_ANSWER) || (flags & OPCODE) || be16(m->b + 4) != 1)
		return bad;
	if (!read_name(m, 12, text, &next) || next + 4 > m->len)
		return bad;
	if (!same_host(text, name) || be16(m->b + next) != type ||
	    be16(m->b + next + 2) != CLASS_IN)
		return "the answer is to another question";
	if (flags & FLAG_CUT)
		return "the answer was cut off, and TCP did not mend that";
	return check_rcode(flags & RCODE);
}

/* ---- aliases ---- */

/* The alias of `name`: 1 and name is what it stands for, 0: it has none. */
static int
follow(const struct message *m, char name[NAME_MAX_TEXT], uint32_t *ttl_s)
{
	char owner[NAME_MAX_TEXT];
	struct walk w;
	struct record r;
	size_t next;

	if (!start_walk(m, &w))
		return 0;
	while (next_record(m, &w, &r) > 0) {
		if (!r.answer || r.type != SL_DNS_CNAME || r.class != CLASS_IN)
			continue;
		if (!read_name(m, r.owner, owner, &next) || strcmp(owner, name) != 0)
			continue;
		*ttl_s = SL_MIN(*ttl_s, r.ttl_s);
		return read_name(m, r.data, name, &next);
	}
	return 0;
}

/* ---- the last walk ---- */

static bool
is_host(const char *text)
{
	size_t len = strlen(text);

	for (const char *p = text; *p; p++)
		if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9') && *p != '.' &&
		    *p != '-' && *p != '_')
			return false;
	return len < SL_DNS_HOST_MAX;
}

/* false: an IPv4 address in IPv6's clothes. */
static bool
read_addr(const struct message *m, const struct record *r, struct sl_addr *ret)
{
	*ret = r->type == SL_DNS_A ? sl_addr_from_v4(m->b + r->data)
				   : sl_addr_from_v6(m->b + r->data);
	return r->type == SL_DNS_A || !sl_addr_is_v4(ret);
}

static bool
read_srv(const struct message *m, const struct record *r, struct sl_dns_srv *ret)
{
	const uint8_t *p = m->b + r->data;
	char target[NAME_MAX_TEXT];
	size_t next;

	if (!read_name(m, r->data + 6, target, &next) || !is_host(target))
		return false;
	*ret = (struct sl_dns_srv){.priority = be16(p), .weight = be16(p + 2), .port = be16(p + 4)};
	memcpy(ret->target, target, strlen(target));
	return true;
}

static void
take_more(const struct message *m, const struct record *r, const char *owner,
	  struct sl_dns_answer *a)
{
	struct sl_dns_more *more = &a->more[a->more_cnt];

	memset(more, 0, sizeof(*more));
	if (!is_host(owner) || !read_addr(m, r, &more->addr))
		return;
	memcpy(more->owner, owner, strlen(owner));
	more->ttl_s = r->ttl_s;
	a->more_cnt++;
}

static void
take(const struct message *m, const struct record *r, struct sl_dns_answer *a)
{
	bool good = r->type == SL_DNS_SRV ? read_srv(m, r, &a->srvs[a->srv_cnt])
					  : read_addr(m, r, &a->addrs[a->addr_cnt]);

	a->ttl_s = SL_MIN(a->ttl_s, r->ttl_s);
	a->odd += !good;
	a->srv_cnt += good && r->type == SL_DNS_SRV;
	a->addr_cnt += good && r->type != SL_DNS_SRV;
}

static void
take_records(const struct message *m, const char *name, uint16_t type, struct sl_dns_answer *a)
{
	char owner[NAME_MAX_TEXT];
	struct walk w;
	struct record r;
	size_t next;

	if (!start_walk(m, &w))
		return;
	while (next_record(m, &w, &r) > 0) {
		bool more = type == SL_DNS_SRV && r.additional && is_addr(&r);
		if (r.class != CLASS_IN || (!more && !(r.answer && r.type == type)))
			continue;
		if (!read_name(m, r.owner, owner, &next))
			continue;
		if (more)
			take_more(m, &r, owner, a);
		else if (strcmp(owner, name) == 0)
			take(m, &r, a);
	}
}

static int
compare_addrs(const void *a, const void *b)
{
	return sl_addr_cmp(a, b);
}

static int
compare_more(const void *a, const void *b)
{
	const struct sl_dns_more *x = a, *y = b;
	int d = strcmp(x->owner, y->owner);

	if (d == 0) /* IPv4 first, so that what has a type is in one piece */
		d = sl_addr_is_v4(&y->addr) - sl_addr_is_v4(&x->addr);
	return d ? d : sl_addr_cmp(&x->addr, &y->addr);
}

/* In order, each once: of two that are the same the smaller TTL counts. */
static void
put_in_order(struct sl_dns_answer *a)
{
	uint32_t n = 0;

	qsort(a->addrs, a->addr_cnt, sizeof(*a->addrs), compare_addrs);
	for (uint32_t i = 0; i < a->addr_cnt; i++)
		if (n == 0 || !sl_addr_eq(&a->addrs[n - 1], &a->addrs[i]))
			a->addrs[n++] = a->addrs[i];
	a->addr_cnt = n;
	qsort(a->more, a->more_cnt, sizeof(*a->more), compare_more);
	n = 0;
	for (uint32_t i = 0; i < a->more_cnt; i++) {
		if (n == 0 || compare_more(&a->more[n - 1], &a->more[i]) != 0)
			a->more[n++] = a->more[i];
		else
			a->more[n - 1].ttl_s = SL_MIN(a->more[n - 1].ttl_s, a->more[i].ttl_s);
	}
	a->more_cnt = n;
}

static int
make_room(const struct sums *sums, struct sl_dns_answer *a)
{
	a->addrs = calloc(sums->addrs + 1u, sizeof(*a->addrs));
	a->srvs = calloc(sums->srvs + 1u, sizeof(*a->srvs));
	a->more = calloc(sums->more + 1u, sizeof(*a->more));
	return a->addrs && a->srvs && a->more ? 0 : -ENOMEM;
}

int
sl_dns_answer_read(const uint8_t *bytes, size_t len, const char *name, uint16_t type,
		   struct sl_dns_answer *ret, const char **ret_why)
{
	struct message m = {bytes, len};
	struct sl_dns_answer a = {.ttl_s = UINT32_MAX};
	char at[NAME_MAX_TEXT];
	struct sums sums;
	unsigned aliases = 0;
	size_t next;

	const char *why = check_head(&m, name, type);
	if (!why && !check_records(&m, &sums))
		why = "the answer is not well formed";
	if (!why && read_name(&m, 12, at, &next))
		while (aliases <= MOST_ALIASES && follow(&m, at, &a.ttl_s))
			aliases++;
	if (aliases > MOST_ALIASES)
		why = "its aliases (CNAME) go in a circle, or are more than 16";
	if (why) {
		*ret_why = why;
		return -EBADMSG;
	}
	a.no_name = (be16(bytes + 2) & RCODE) == 3;
	if (make_room(&sums, &a)) {
		sl_dns_answer_fini(&a);
		return -ENOMEM;
	}
	if (!a.no_name)
		take_records(&m, at, type, &a);
	put_in_order(&a);
	*ret = a;
	return 0;
}

void
sl_dns_answer_fini(struct sl_dns_answer *a)
{
	free(a->addrs);
	free(a->srvs);
	free(a->more);
	*a = (struct sl_dns_answer){0};
}

const struct sl_dns_more *
sl_dns_answer_more(const struct sl_dns_answer *a, const char *owner, uint16_t type,
		   uint32_t *ret_cnt)
{
	uint32_t lo = 0, hi = a->more_cnt, n = 0;

	while (lo < hi) { /* the first that is not before owner */
		uint32_t mid = (lo + hi) / 2;
		if (strcmp(a->more[mid].owner, owner) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo < a->more_cnt && strcmp(a->more[lo].owner, owner) == 0 &&
	       sl_addr_is_v4(&a->more[lo].addr) != (type == SL_DNS_A))
		lo++;
	while (lo + n < a->more_cnt && strcmp(a->more[lo + n].owner, owner) == 0 &&
	       sl_addr_is_v4(&a->more[lo + n].addr) == (type == SL_DNS_A))
		n++;
	*ret_cnt = n;
	return n ? &a->more[lo] : NULL;
}
