/* What is known of a port, in the words of the control protocol.  What has a device of its own, or shared one, says the same
 * of it; losses stand with the first port of a device alone, so that sums are right. */
#include "dataplane/port_priv.h"

#include "sluice/ctl.h"

#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t
spread_of(const struct sl_port_set *set, const struct sl_port *p)
{
	if (set->worker_cnt == 1)
		return SL_SPREAD_NONE;
	if (p->hashes)
		return SL_SPREAD_RSS;
	return p->rss ? SL_SPREAD_ASSUMED : SL_SPREAD_HANDOFF;
}

static void
tell_link(const struct sl_port *p, struct sl_ctl_port *m)
{
	struct rte_eth_link link;
	struct rte_eth_stats st;

	m->link = p->up < 0 ? SL_LINK_GONE : p->up ? SL_LINK_UP : SL_LINK_DOWN;
	if (p->up < 0) {
		m->missed = p->lost[0];
		m->no_buffer = p->lost[1];
		m->tx_errors = p->lost[2];
		return;
	}
	/* drivers of kernel interfaces know no speed, and say one */
	if (!p->ifindex && rte_eth_link_get_nowait(p->id, &link) == 0 &&
	    link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN) {
		m->speed_mbps = link.link_speed;
		m->full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
	}
	if (!p->shared && rte_eth_stats_get(p->id, &st) == 0) {
		m->missed = st.imissed;
		m->no_buffer = st.rx_nombuf;
		m->tx_errors = st.oerrors;
	}
}

/* The kernel's answer about an interface, or -1. */
static void
tell_kernel_speed(const struct sl_port *p, struct sl_ctl_port *m)
{
	char path[128], text[16] = "";
	long v = -1;

	snprintf(path, sizeof(path), "/sys/class/net/%.15s/speed", p->device);
	FILE *f = fopen(path, "re");
	if (f && fscanf(f, "%ld", &v) == 1 && v > 0)
		m->speed_mbps = (uint32_t)SL_MIN(v, 10000000L);
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/sys/class/net/%.15s/duplex", p->device);
	f = fopen(path, "re");
	if (f && fscanf(f, "%15s", text) == 1)
		m->full_duplex = text[0] == 'f';
	if (f)
		fclose(f);
}

static void
fill(const struct sl_port_set *set, unsigned port, struct sl_ctl_port *m)
{
	const struct sl_port *p = &set->port[port];

	*m = (struct sl_ctl_port){
		.port = port,
		.first = 1,
		.mtu = p->mtu,
		.numa = p->numa,
		.rx_queues = p->rx_cnt,
		.tx_queues = p->tx_cnt,
		.spread = spread_of(set, p),
		.vlan = p->vlan,
		.can = p->can,
		.uses = p->uses,
		.link_changes = p->changes,
	};
	memcpy(m->name, p->name, sizeof(m->name));
	memcpy(m->driver, p->driver, sizeof(m->driver));
	memcpy(m->device, p->device, sizeof(m->device));
	if (p->kernel_by)
		memcpy(m->kernel, p->kernel, sizeof(m->kernel));
	m->kernel_by = (uint32_t)p->kernel_by;
	memcpy(m->mac, p->mac, 6);
	tell_link(p, m);
	if (p->ifindex && p->up >= 0)
		tell_kernel_speed(p, m);
}

/* A name as the protocol takes it: printable, terminated. */
static void
put_name(char to[64], const char *from)
{
	unsigned n = 0;

	for (; from[n] && n < 63; n++)
		to[n] = from[n] < 0x20 || from[n] > 0x7e ? '?' : from[n];
	if (n == 0)
		to[n++] = '?';
	memset(to + n, 0, 64 - n);
}

/* The device's own statistics; how many, *ret to be freed.  0: none, or no memory. */
static unsigned
own_statistics(const struct sl_port *p, struct sl_ctl_xstat **ret)
{
	int n = p->up < 0 ? 0 : rte_eth_xstats_get_names(p->id, NULL, 0);
	unsigned cnt = n > 0 ? (unsigned)n : 0;
	struct rte_eth_xstat_name *names = calloc(cnt + 1, sizeof(*names));
	struct rte_eth_xstat *values = calloc(cnt + 1, sizeof(*values));
	struct sl_ctl_xstat *all = calloc(cnt + 1, sizeof(*all));

	if (!names || !values || !all || rte_eth_xstats_get_names(p->id, names, cnt) != n ||
	    rte_eth_xstats_get(p->id, values, cnt) != n)
		cnt = 0;
	for (unsigned i = 0; i < cnt; i++) {
		put_name(all[i].name, values[i].id < cnt ? names[values[i].id].name : "");
		all[i].value = values[i].value;
	}
	free(names);
	free(values);
	*ret = all;
	return cnt;
}

void
sl_port_tell(const struct sl_port_set *set, unsigned port, bool extended, bool last,
	     sl_port_tell_fn *fn, void *ctx)
{
	_Alignas(8) uint8_t
		room[sizeof(struct sl_ctl_port) + SL_CTL_XSTATS * sizeof(struct sl_ctl_xstat)];
	struct sl_ctl_port *m = (void *)room;
	struct sl_ctl_xstat *all = NULL;
	unsigned cnt = extended ? own_statistics(&set->port[port], &all) : 0, at = 0;

	fill(set, port, m);
	do {
		m->xstat_cnt = SL_MIN(cnt - at, (unsigned)SL_CTL_XSTATS);
		if (m->xstat_cnt)
			memcpy(m->xstat, all + at, m->xstat_cnt * sizeof(all[0]));
		at += m->xstat_cnt;
		m->last = last && at == cnt;
		fn(ctx, m);
		m->first = 0;
	} while (at < cnt);
	free(all);
}
