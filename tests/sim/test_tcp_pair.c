/* Two of our stacks over many seeds, and what they bring over a bad line.  SIM_SEED=N runs that seed alone and says what happened; SIM_SEEDS=N sets how many. */
#include "tests/suite.h"

#include "sluice/streams.h"
#include "tests/sim/tcp_bed.h"

static unsigned
both_ours(uint64_t seed)
{
	(void)seed;
	return 3;
}

static void
every_transfer_is_exact(void)
{
	struct bed_sum sum;

	bed_seeds(7000, both_ours, &sum);
	CU_ASSERT_EQUAL(sum.bad, 0);
	CU_ASSERT_TRUE(sum.excused * 50 <= sum.runs);
}

#define BULK 4000000u
/* ---- goodput ---- */

/* Bytes a second of virtual time of one way, both ends ours. */
static double
goodput(uint64_t seed, enum bed_profile profile, uint8_t cc, struct bed_result *ret)
{
	struct tcp_dice d = {seed};
	struct bed_conf c;

	bed_draw(seed, true, true, &c);
	c.profile = profile;
	c.link = bed_link(profile, &d);
	c.link.delay_ns = 5 * TCP_MS;
	c.link.reorder_ns = 2 * TCP_MS;
	c.link.bits_per_s = 100000000;
	c.link.queue_bytes = 250000;
	c.simultaneous = c.aborts = c.cookies = c.scarce = false;
	c.mtu_at_ns = 0;
	for (unsigned i = 0; i < 2; i++) {
		c.user[i] = (struct user_conf){.seed = seed + i,
					       .seed_out = seed + 10 + i,
					       .seed_in = seed + 10 + !i,
					       .out_bytes = i ? 0 : BULK,
					       .in_bytes = i ? BULK : 0,
					       .write_min = 16384,
					       .write_max = 65536,
					       .abort_out = USER_NEVER,
					       .abort_in = USER_NEVER};
		c.node[i].mtu = 1500;
		c.node[i].tso_max = 0;
		c.node[i].cc = cc;
		c.node[i].share = true;
		c.node[i].pinned_max = 1024;
		c.node[i].buffers = 4096;
		c.node[i].no_buffer = 0;
		c.node[i].seg_cnt = 8192;
		c.node[i].block_cnt = 2048;
		c.node[i].rcv_max = c.node[i].snd_max = 1 << 20;
		c.node[i].half_open_max = 16;
		c.node[i].keepalive_s = 0;
		c.node[i].check = false;
	}
	bed_run(&c, ret, NULL);
	return ret->ns[1] ? (double)BULK * 1e9 / (double)ret->ns[1] : 0;
}

static double
median(enum bed_profile profile, uint8_t cc, unsigned long *ret_again, unsigned long *ret_lost)
{
	double v[9];

	*ret_again = *ret_lost = 0;
	for (unsigned i = 0; i < SL_ARRAY_CNT(v); i++) {
		struct bed_result r;
		double x = goodput(1000 + i, profile, cc, &r);
		unsigned k = i;
		if (r.wrong[0])
			fprintf(stderr, "  seed %u: %s\n", 1000 + i, r.wrong);
		CU_ASSERT_EQUAL(r.wrong[0], 0);
		*ret_again += r.again;
		*ret_lost += r.lost;
		for (; k > 0 && v[k - 1] > x; k--)
			v[k] = v[k - 1];
		v[k] = x;
	}
	return v[SL_ARRAY_CNT(v) / 2];
}

/* 100 Mbit/s, a round trip of 10 ms.  At 5 % loss Reno's law (Mathis et al. 1997) allows about 0.8 MB/s; a stack that waits for
 * time-outs has a tenth of it. */
static void
a_bad_line_is_used(void)
{
	for (uint8_t cc = 0; cc <= SL_CC_RENO; cc++) {
		unsigned long again, lost, none;
		double clean = median(BED_CLEAN, cc, &none, &none);
		double bad = median(BED_LOSSY, cc, &again, &lost);
		printf("    %s: clean %.2f MB/s, bad line %.2f MB/s, %lu sent again for %lu lost ",
		       sl_stream_cc_name(cc), clean / 1e6, bad / 1e6, again, lost);
		CU_ASSERT_TRUE(clean > 9e6);
		CU_ASSERT_TRUE(bad > 0.4e6);
	}
}

SL_SUITE("tcp_pair", SL_TEST(a_bad_line_is_used), SL_TEST(every_transfer_is_exact))
