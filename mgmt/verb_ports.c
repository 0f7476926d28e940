/* show ports: the counters of the statistics segment, and what the dataplane says of each port when it is asked now. */
#include "mgmt/show.h"
#include "mgmt/verbs.h"

#include <errno.h>
#include <stdlib.h>

#define XSTATS_MAX 4096

struct ports {
	struct sl_verb_run r;
	json_t *rows;   /* of all ports, in their order */
	json_t *xstats; /* of the one that is asked for, or NULL */
	uint32_t port;  /* UINT32_MAX: all */
};

static void
finish(struct ports *p, json_t *error)
{
	json_t *a = error ? error : sl_verb_ok(&p->r);

	if (!error) {
		json_t *rows = json_array();
		for (size_t i = 0; i < json_array_size(p->rows); i++)
			if (p->port == UINT32_MAX || p->port == i)
				json_array_append(rows, json_array_get(p->rows, i));
		if (p->xstats)
			json_object_set(json_array_get(rows, 0), "xstats", p->xstats);
		json_object_set_new(a, "ports", rows);
		json_object_set_new(a, "dataplane",
				    json_boolean(sl_publish_link(p->r.d->publish) != NULL));
	}
	sl_call_answer(p->r.call, a);
	json_decref(p->rows);
	json_decref(p->xstats);
	free(p);
}

static json_t *
words(uint32_t bits)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} rows[] = {
		{SL_NIC_RX_IP_CSUM, "rx_ip_csum"},
		{SL_NIC_RX_L4_CSUM, "rx_l4_csum"},
		{SL_NIC_RX_VLAN_STRIP, "rx_vlan"},
		{SL_NIC_RX_SCATTER, "rx_scatter"},
		{SL_NIC_RX_RSS_HASH, "rss"},
		{SL_NIC_TX_IP_CSUM, "tx_ip_csum"},
		{SL_NIC_TX_TCP_CSUM, "tx_tcp_csum"},
		{SL_NIC_TX_UDP_CSUM, "tx_udp_csum"},
		{SL_NIC_TX_TSO, "tso"},
		{SL_NIC_TX_VLAN_INSERT, "tx_vlan"},
		{SL_NIC_TX_MULTI_SEGS, "tx_segments"},
		{SL_NIC_TX_FAST_FREE, "tx_fast_free"},
	};
	json_t *list = json_array();

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		if (bits & rows[i].bit)
			json_array_append_new(list, json_string(rows[i].word));
	return list;
}

static json_t *
number(uint64_t v)
{
	return json_integer((json_int_t)SL_MIN(v, (uint64_t)INT64_MAX));
}

static void
put_facts(json_t *o, const struct sl_ctl_port *m)
{
	static const char *const links[] = {"down", "up", "gone"};
	static const char *const by[] = {"", "tap", "vhost-net"};
	static const char *const spreads[] = {"none", "rss", "assumed", "handoff"};
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m->mac[0], m->mac[1], m->mac[2],
		 m->mac[3], m->mac[4], m->mac[5]);
	json_object_set_new(o, "driver", json_string(m->driver));
	json_object_set_new(o, "device", json_string(m->device));
	json_object_set_new(o, "link", json_string(links[m->link]));
	json_object_set_new(o, "speed_mbps", m->speed_mbps ? number(m->speed_mbps) : json_null());
	json_object_set_new(o, "full_duplex", json_boolean(m->full_duplex));
	json_object_set_new(o, "mac", json_string(mac));
	json_object_set_new(o, "mtu", json_integer(m->mtu));
	json_object_set_new(o, "vlan", m->vlan ? json_integer(m->vlan) : json_null());
	json_object_set_new(o, "kernel", m->kernel[0] ? json_string(m->kernel) : json_null());
	json_object_set_new(o, "kernel_by",
			    m->kernel_by ? json_string(by[m->kernel_by]) : json_null());
	json_object_set_new(o, "numa", m->numa < 0 ? json_null() : json_integer(m->numa));
	json_object_set_new(o, "rx_queues", number(m->rx_queues));
	json_object_set_new(o, "tx_queues", number(m->tx_queues));
	json_object_set_new(o, "spread", json_string(spreads[m->spread]));
	json_object_set_new(o, "can", words(m->can));
	json_object_set_new(o, "uses", words(m->uses));
	json_object_set_new(o, "link_changes", number(m->link_changes));
	json_object_set_new(o, "missed", number(m->missed));
	json_object_set_new(o, "no_buffer", number(m->no_buffer));
	json_object_set_new(o, "tx_errors", number(m->tx_errors));
}

static void
on_port(void *ctx, int err, const struct sl_ctl_port *m, const char *why)
{
	struct ports *p = ctx;

	if (err == -ETIMEDOUT) {
		finish(p, sl_call_error(p->r.verb, "timeout", "see: status",
					"the dataplane has not said what its ports do within %d s",
					SL_PUBLISH_EXPLAIN_MS / 1000));
		return;
	}
	if (err) {
		finish(p, sl_call_error(p->r.verb, "unavailable", "see: status", "%s",
					why ? why : "the dataplane went away before it answered"));
		return;
	}
	json_t *o = json_array_get(p->rows, m->port);
	if (o && m->first)
		put_facts(o, m);
	for (uint32_t i = 0; p->xstats && i < m->xstat_cnt; i++)
		if (json_object_size(p->xstats) < XSTATS_MAX)
			json_object_set_new(p->xstats, m->xstat[i].name, number(m->xstat[i].value));
	if (m->last)
		finish(p, NULL);
}

/* The port of that name; NULL: all.  false: there is none. */
static bool
find(const struct sl_publish_link *l, const char *name, uint32_t *ret)
{
	*ret = UINT32_MAX;
	for (uint32_t i = 0; name && l && i < l->port_cnt; i++)
		if (strcmp(l->port_name[i], name) == 0)
			*ret = i;
	return !name || *ret != UINT32_MAX;
}

void
sl_verb_ports(const struct sl_verb_run *r)
{
	const struct sl_publish_link *l = sl_publish_link(r->d->publish);
	const char *name = sl_verb_text(r, "port");
	bool extended = json_is_true(json_object_get(r->body, "extended"));
	struct ports *p = calloc(1, sizeof(*p));

	if (!p) {
		sl_call_answer(r->call, NULL);
		return;
	}
	p->r = *r;
	p->rows = sl_show_ports(r->d);
	p->xstats = name && extended ? json_object() : NULL;
	if (extended && !name) {
		finish(p, sl_call_error(r->verb, "invalid", NULL, "extended: of one port only"));
	} else if (!l && name) {
		finish(p, sl_call_error(r->verb, "unavailable", "see: status",
					"the dataplane is not connected"));
	} else if (!find(l, name, &p->port)) {
		finish(p,
		       sl_call_error(r->verb, "not_found", "see: show ports", "no port %s", name));
	} else {
		int err = l ? sl_publish_ports(r->d->publish, p->port, on_port, p) : 0;
		if (err)
			finish(p, sl_call_error(r->verb, "busy", NULL, "%s", strerror(-err)));
		else if (!l)
			finish(p, NULL);
	}
}
