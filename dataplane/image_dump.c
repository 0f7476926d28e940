/* Text of an object, one record a line, stable: golden tests compare it.  Bytes that do not pass the check
 * are not walked: then the text is what is wrong with them. */
#include "dataplane/image_dump.h"

#include <inttypes.h>
#include <stdlib.h>

#include "sluice/streams.h"

static const char *const kind_names[] = {
	[SL_OBJ_ROOT] = "root",
	[SL_OBJ_NETWORK] = "network",
	[SL_OBJ_LISTENERS] = "listeners",
	[SL_OBJ_SERVICE] = "service",
	[SL_OBJ_ROUTES] = "routes",
	[SL_OBJ_VHOST] = "vhost",
	[SL_OBJ_SHARD] = "shard",
	[SL_OBJ_AUTHZ] = "authorization",
	[SL_OBJ_JWT] = "jwt",
};

void
sl_image_dump_id(const struct sl_obj_id *id, FILE *f)
{
	for (unsigned i = 0; i < SL_ID_BYTES; i++)
		fprintf(f, "%02x", id->b[i]);
}

static void
dump_addr_port(const struct sl_addr *a, sl_be16 port_be, FILE *f)
{
	char text[SL_ADDR_STRLEN];

	fprintf(f, sl_addr_is_v4(a) ? "%s:%u" : "[%s]:%u", sl_addr_format(a, text),
		sl_from_be16(port_be));
}

/* Length as people write it: an IPv4 /24, not /120. */
static void
dump_prefix(const struct sl_addr *a, uint32_t plen, FILE *f)
{
	char text[SL_ADDR_STRLEN];

	fprintf(f, "%s/%u", sl_addr_format(a, text), sl_addr_is_v4(a) ? plen - 96 : plen);
}

static void
dump_root(const uint8_t *bytes, FILE *f)
{
	const struct sl_img_root *root = (const void *)bytes;
	const struct sl_img_ref *r = (const void *)(bytes + root->ref_off);

	fprintf(f, "name %s\nhash_seed %016" PRIx64 "\nrefs %u\n", root->name, root->hash_seed,
		root->ref_cnt);
	for (uint32_t i = 0; i < root->ref_cnt; i++, r++) {
		fprintf(f, "  [%u] %s ", i, kind_names[r->kind]);
		sl_image_dump_id(&r->id, f);
		fprintf(f, " size %u", r->size);
		if (r->incarnation)
			fprintf(f, " slot %u incarnation %u", r->slot, r->incarnation);
		fputc('\n', f);
	}
}

static void
dump_network(const uint8_t *bytes, FILE *f)
{
	const struct sl_img_network *n = (const void *)bytes;
	const struct sl_img_address *a = (const void *)(bytes + n->address_off);
	const struct sl_img_route *r = (const void *)(bytes + n->route_off);
	char via[SL_ADDR_STRLEN];

	fprintf(f, "addresses %u\n", n->address_cnt);
	for (uint32_t i = 0; i < n->address_cnt; i++, a++) {
		fprintf(f, "  [%u] ", i);
		dump_prefix(&a->addr, a->plen, f);
		fprintf(f, " port %s\n", a->port);
	}
	fprintf(f, "routes %u\n", n->route_cnt);
	for (uint32_t i = 0; i < n->route_cnt; i++, r++) {
		fprintf(f, "  [%u] ", i);
		dump_prefix(&r->prefix, r->plen, f);
		fprintf(f, " via %s\n", sl_addr_format(&r->via, via));
	}
}

/* "192.0.2.1:80", "192.0.2.0/24:8000-8999", "[2001:db8::]/32:any" */
static void
dump_vip(const struct sl_img_listener *l, FILE *f)
{
	char text[SL_PREFIX_STRLEN], ports[SL_PORTS_STRLEN];
	bool v4 = sl_addr_is_v4(&l->addr);

	fprintf(f, v4 ? "%s" : "[%s]", sl_addr_format(&l->addr, text));
	if (l->plen < 128)
		fprintf(f, "/%u", v4 ? l->plen - 96 : l->plen);
	fprintf(f, ":%s",
		sl_ports_format(sl_from_be16(l->port_be), sl_from_be16(l->port_last_be), ports));
}

static void
dump_listeners(const uint8_t *bytes, FILE *f)
{
	const struct sl_img_listeners *ls = (const void *)bytes;
	const struct sl_img_listener *l = (const void *)(bytes + ls->listener_off);
	const struct sl_img_prefix *t = (const void *)(bytes + ls->trust_off);

	fprintf(f, "listeners %u\n", ls->listener_cnt);
	for (uint32_t i = 0; i < ls->listener_cnt; i++, l++) {
		fprintf(f, "  [%u] %s ", i, l->name);
		dump_vip(l, f);
		fprintf(f, " %s mode %s ref ", l->proto == SL_IPPROTO_TCP ? "tcp" : "udp",
			sl_mode_name(l->mode));
		fprintf(f, l->ref == UINT32_MAX ? "none" : "%u", l->ref);
		fprintf(f, " slot %u incarnation %u", l->slot, l->incarnation);
		if (l->mode != SL_MODE_L4)
			fprintf(f, " max_connections %u", l->max_connections);
		if (l->authz)
			fprintf(f, " authorization slot %u", l->authz - 1);
		if (l->client_max)
			fprintf(f, " per_client %u", l->client_max);
		for (uint32_t k = 0; k < l->trust_cnt; k++) {
			fputs(k ? " " : " trusted ", f);
			dump_prefix(&t[l->trust_first + k].prefix, t[l->trust_first + k].plen, f);
		}
		fputc('\n', f);
		sl_image_dump_tls(ls, l, f);
	}
}

static void
dump_tcp(const struct sl_img_tcp *t, FILE *f)
{
	fprintf(f,
		"connect_ms %u\nidle_ms %u\nmax_connections %u\nkeepalive_s %u\nretries %u\n"
		"proxy_protocol %s\ncongestion %s\n",
		t->connect_ms, t->idle_ms, t->max_connections, t->keepalive_s, t->retries,
		sl_proxy_out_name(t->proxy_out), sl_stream_cc_name(t->cc));
	if (t->endpoint_connections)
		fprintf(f, "endpoint_connections %u\n", t->endpoint_connections);
}

static void
dump_bandwidth(const struct sl_img_bandwidth *b, FILE *f)
{
	static const char *const word[SL_WAYS] = {"to_endpoints", "to_clients"};

	for (unsigned way = 0; way < SL_WAYS; way++)
		if (b->rate[way])
			fprintf(f, "bandwidth %s %llu burst %u\n", word[way],
				(unsigned long long)b->rate[way], b->burst[way]);
}

/* ---- levels ---- */

/* How many places each member has. */
static void
dump_shares(const uint32_t *share, const uint16_t *members, uint32_t cnt, FILE *f)
{
	fprintf(f, "  shares");
	for (uint32_t i = 0; i < cnt; i++)
		fprintf(f, " %u", share[members ? members[i] : i]);
}

/* Shares, and the first places in order. */
static void
dump_places(const char *name, const uint16_t *t, uint32_t cnt, const uint16_t *members,
	    uint32_t member_cnt, FILE *f)
{
	uint32_t *share = calloc(UINT16_MAX + 1, sizeof(*share));

	fprintf(f, "%s %u\n", name, cnt);
	if (cnt && share) {
		for (uint32_t i = 0; i < cnt; i++)
			share[t[i]]++;
		dump_shares(share, members, member_cnt, f);
		fprintf(f, "\n  places");
		for (uint32_t i = 0; i < SL_MIN(cnt, 16u); i++)
			fprintf(f, " %u", t[i]);
		fprintf(f, cnt > 16 ? " …\n" : "\n");
	}
	free(share);
}

/* Shares, and the first points. */
static void
dump_ring(const struct sl_img_point *p, uint32_t cnt, const uint16_t *members, uint32_t member_cnt,
	  FILE *f)
{
	uint32_t *share = calloc(UINT16_MAX + 1, sizeof(*share));

	fprintf(f, "ring %u\n", cnt);
	if (share) {
		for (uint32_t i = 0; i < cnt; i++)
			share[p[i].endpoint]++;
		dump_shares(share, members, member_cnt, f);
		fprintf(f, "\n  points");
		for (uint32_t i = 0; i < SL_MIN(cnt, 8u); i++)
			fprintf(f, " %08x:%u", p[i].hash, p[i].endpoint);
		fprintf(f, cnt > 8 ? " …\n" : "\n");
	}
	free(share);
}

static void
dump_level(const uint8_t *bytes, const struct sl_img_level *l, FILE *f)
{
	const uint16_t *members = l->member_off ? (const void *)(bytes + l->member_off) : NULL;

	fprintf(f, "priority %u", l->priority);
	if (l->zone || l->beside)
		fprintf(f, l->beside ? " zone %u beside" : " zone %u", l->zone);
	fputs(" members", f);
	for (uint32_t i = 0; members && i < SL_MIN(l->member_cnt, 16u); i++)
		fprintf(f, " %u", members[i]);
	fputs(!members ? " all\n" : l->member_cnt > 16 ? " …\n" : "\n", f);
	dump_places("maglev", (const void *)(bytes + l->maglev_off), l->maglev_cnt, members,
		    l->member_cnt, f);
	dump_places("schedule", (const void *)(bytes + l->sched_off), l->sched_cnt, members,
		    l->member_cnt, f);
	if (l->ring_cnt)
		dump_ring((const void *)(bytes + l->ring_off), l->ring_cnt, members, l->member_cnt,
			  f);
}

static void
dump_levels(const uint8_t *bytes, const struct sl_img_service *s, FILE *f)
{
	const struct sl_img_subset *subset = (const void *)(bytes + s->subset_off);
	const struct sl_img_level *l = (const void *)(bytes + s->level_off);

	for (uint32_t i = 0; i < s->level_cnt && l[i].subset == 0; i++)
		dump_level(bytes, &l[i], f);
	for (uint32_t i = 0; i < s->subset_cnt; i++, subset++) {
		fprintf(f, "subset %u %s fallback %s levels %u\n", i, subset->name,
			subset->any ? "any" : "none", subset->level_cnt);
		for (uint32_t k = 0; k < subset->level_cnt; k++)
			dump_level(bytes, &l[subset->level_first + k], f);
	}
}

/* ---- SERVICE ---- */

static void
dump_service(const uint8_t *bytes, FILE *f)
{
	const struct sl_img_service *s = (const void *)bytes;
	const struct sl_addr *source = (const void *)(bytes + s->source_off);
	const struct sl_img_endpoint *e = (const void *)(bytes + s->endpoint_off);
	char text[SL_PREFIX_STRLEN];

	fprintf(f, "name %s\npolicy %s\nforward %s\nfamily %u\nmax_endpoints %u\n", s->name,
		sl_policy_name(s->policy), sl_forward_name(s->forward), s->family,
		s->max_endpoints);
	if (s->zone_min)
		fprintf(f, "zone_aware traffic %u min_endpoints %u\n", s->zone_traffic,
			s->zone_min);
	if (s->panic_pct)
		fprintf(f, "panic %u\n", s->panic_pct);
	if (s->source_bits4)
		fprintf(f, "source_bits %u %u\n", s->source_bits4, s->source_bits6);
	if (s->gue_port_be)
		fprintf(f, "gue_port %u\n", sl_from_be16(s->gue_port_be));
	if (s->tunnel_plen)
		fprintf(f, "tunnel_source %s\n",
			sl_prefix_format(&s->tunnel, s->tunnel_plen, text));
	if (s->forward == SL_FORWARD_PROXY) {
		dump_tcp(&s->tcp, f);
		sl_image_dump_http_service(&s->http, f);
		dump_bandwidth(&s->bandwidth, f);
	}
	if (s->source_cnt)
		fprintf(f, "sources %u\n", s->source_cnt);
	for (uint32_t i = 0; i < s->source_cnt; i++)
		fprintf(f, "  [%u] %s\n", i, sl_addr_format(&source[i], text));
	fprintf(f, "endpoints %u\n", s->endpoint_cnt);
	for (uint32_t i = 0; i < s->endpoint_cnt; i++, e++) {
		fprintf(f, "  [%u] %s ", i, e->name);
		dump_addr_port(&e->addr, e->port_be, f);
		fprintf(f, " weight %u slot %u incarnation %u\n", e->weight, e->slot,
			e->incarnation);
	}
	dump_levels(bytes, s, f);
	sl_image_dump_rates((const void *)(bytes + s->rate_off), s->rate_cnt, f);
	if (s->tls_off)
		sl_image_dump_service_tls((const void *)(bytes + s->tls_off), f);
}

static void
dump_problems(const struct sl_diag *d, FILE *f)
{
	char line[2048];

	fprintf(f, "invalid object\n");
	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		fprintf(f, "  %s\n", line);
	}
	if (d->more)
		fprintf(f, "  and %u more problems\n", d->more);
}

void
sl_image_dump(const void *bytes, size_t size, FILE *f)
{
	const struct sl_obj_head *h = bytes;
	struct sl_diag diag = {0};
	struct sl_obj_id id;
	uint16_t kind = size >= sizeof(*h) ? h->kind : 0;

	if (kind < SL_OBJ_ROOT || kind > SL_OBJ_KIND_LAST) /* the check then says it is no ROOT */
		kind = SL_OBJ_ROOT;
	if (sl_image_check(bytes, size, kind, NULL, kind_names[kind], &diag)) {
		dump_problems(&diag, f);
		sl_diag_fini(&diag);
		return;
	}
	sl_image_id(bytes, size, &id);
	fprintf(f, "object %s version %u size %u id ", kind_names[kind], h->version, h->size);
	sl_image_dump_id(&id, f);
	fputc('\n', f);
	switch ((enum sl_obj_kind)kind) {
	case SL_OBJ_ROOT:
		dump_root(bytes, f);
		break;
	case SL_OBJ_NETWORK:
		dump_network(bytes, f);
		break;
	case SL_OBJ_LISTENERS:
		dump_listeners(bytes, f);
		break;
	case SL_OBJ_SERVICE:
		dump_service(bytes, f);
		break;
	case SL_OBJ_ROUTES:
		sl_image_dump_routes(bytes, f);
		break;
	case SL_OBJ_VHOST:
		sl_image_dump_vhost(bytes, f);
		break;
	case SL_OBJ_SHARD:
		sl_image_dump_shard(bytes, f);
		break;
	case SL_OBJ_AUTHZ:
		sl_image_dump_authz(bytes, f);
		break;
	case SL_OBJ_JWT:
		sl_image_dump_jwt(bytes, f);
		break;
	}
}
