/* A frame from the wire, through parse and whatever then reads or answers it: ARP, ND, echo. */
#include <stdlib.h>

#include "dataplane/icmp.h"
#include "dataplane/neigh.h"
#include "dataplane/parse.h"
#include "dataplane/rss.h"
#include "sluice/drop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ANSWER_ROOM 86
#define FRAME_MAX 9216

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* What the pipeline relies on in a packet that was let through. */
static void
check(const struct sl_pkt *p, size_t size)
{
	bool v4 = p->flags & SL_PKT_V4, v6 = p->flags & SL_PKT_V6, arp = p->flags & SL_PKT_ARP;
	bool tcp = p->flags & SL_PKT_TCP, udp = p->flags & SL_PKT_UDP,
	     icmp = p->flags & SL_PKT_ICMP;

	bool frag = p->flags & SL_PKT_FRAG, later = p->flags & SL_PKT_FRAG_LATER;

	must(v4 + v6 + arp == 1);
	must(tcp + udp + icmp == !arp || (later && v6 && p->tuple.proto == 60));
	must(!later || (frag && p->tuple.sport == 0 && p->tuple.dport == 0));
	must(!frag || (!icmp && p->frag_off % 8 == 0 && (p->frag_off != 0) == later &&
		       p->frag_off + p->l4_len <= 65535 && (!p->frag_more || p->l4_len % 8 == 0)));
	must(p->len <= size && p->l3_off == 14 && (uint32_t)p->l4_off + p->l4_len == p->len);
	must(arp || p->l4_len >= (later ? 1 : tcp ? 20 : 8));
	must(sl_addr_is_v4(&p->tuple.src) == !v6 && sl_addr_is_v4(&p->tuple.dst) == !v6);
	must(arp || sl_addr_dst_ok(&p->tuple.dst));
	must(arp || (p->flags & SL_PKT_ND) || sl_addr_src_ok(&p->tuple.src));
	must((p->tuple.zero[0] | p->tuple.zero[1] | p->tuple.zero[2]) == 0);
}

/* An answer of ours must itself be a good frame. */
static void
check_answer(uint8_t *frame, unsigned len)
{
	struct sl_pkt p = {.data = frame, .len = (uint16_t)len};

	must(sl_parse(&p) == SL_DROP_NONE);
}

static void
neighbour(const struct sl_pkt *p)
{
	static const uint8_t my_mac[6] = {2, 0, 0, 0, 0, 1};
	struct sl_neigh_msg m;
	unsigned why = sl_neigh_parse(p, &m);

	must(why == SL_DROP_NONE || why == SL_DROP_ARP_BAD || why == SL_DROP_ND_BAD ||
	     why == SL_DROP_L4_CSUM || why == SL_DROP_ICMP_IGNORED);
	if (why != SL_DROP_NONE || !m.request)
		return;
	uint8_t room[FRAME_MAX + ANSWER_ROOM];
	struct sl_pkt answer = *p;
	memcpy(room, p->data, p->len);
	answer.data = room;
	unsigned len = sl_neigh_answer(&answer, &m, my_mac);
	must(len <= ANSWER_ROOM && len == answer.len);
	check_answer(room, len);
}

static void
echo(struct sl_pkt *p)
{
	enum sl_drop why = sl_icmp_echo(p);

	must(why == SL_DROP_NONE || why == SL_DROP_L4_CSUM || why == SL_DROP_ICMP_IGNORED);
	if (why == SL_DROP_NONE && !(p->flags & SL_PKT_IP_CSUM_OK))
		check_answer(p->data, p->len);
}

static void
one(const uint8_t *data, size_t size, uint16_t driver_flags)
{
	static struct sl_rss rss;
	uint8_t *copy = malloc(size ? size : 1);
	struct sl_pkt p = {.data = copy, .len = (uint16_t)size, .flags = driver_flags};

	must(copy != NULL);
	if (rss.worker_cnt == 0)
		sl_rss_init(&rss, (const uint8_t[SL_RSS_KEY_BYTES]){1, 2, 3}, 3);
	if (size)
		memcpy(copy, data, size);
	enum sl_drop why = sl_parse(&p);
	must(why < SL_DROP_CNT);
	if (why == SL_DROP_NONE) {
		check(&p, size);
		must(rss.owner[sl_rss_bucket(sl_rss_hash(&rss, &p.tuple))] < 3);
		if (p.flags & (SL_PKT_ARP | SL_PKT_ND))
			neighbour(&p);
		else if (p.flags & SL_PKT_ICMP)
			echo(&p);
	}
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > FRAME_MAX)
		return 0;
	one(data, size, 0);
	/* without its checksum in the way, the fuzzer gets behind the IPv4 header */
	one(data, size, SL_PKT_IP_CSUM_OK);
	return 0;
}
