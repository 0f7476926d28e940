/* The question becomes a tuple; the answer's slots become names of the active table. */
#include "mgmt/explain.h"

#include "dataplane/parse.h"
#include "sluice/pkt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct question {
	struct sl_verb_run r;
	struct sl_tuple tuple;
	uint32_t port;
	char who[1200]; /* lines ":identity: …", ":sni: …" (ctl.h) */
	/* the first answer, while rules of the listener are asked */
	struct sl_ctl_explained e;
	bool denied;    /* they deny it */
	char rule[256]; /* "set/rule", "set"; "": there are none */
	char rule_error[256];
};

static const char *const verdict_name[] = {"none", "forward", "reply", "consumed",
					   "held", "handoff", "drop",  "kernel"};
static const char *const verdict_text[] = {
	"nothing was decided",
	"the packet is forwarded",
	"the gateway answers the packet itself",
	"the gateway takes the packet for itself",
	"the packet waits for its next hop's link-layer address",
	"the packet is given to the worker that owns it",
	"the packet is dropped",
	"the packet goes to the kernel",
};
static const char *const why_name[] = {"none",        "flow", "reply",      "maglev", "source",
				       "round_robin", "walk", "least_conn", "ring",   "random"};
static const char *const why_text[] = {
	"no endpoint was chosen",
	"the flow table holds the flow",
	"it is the reply of a nat flow",
	"the Maglev table gives this endpoint for the connection's addresses and ports",
	"the Maglev table gives this endpoint for the client's address",
	"it is the next endpoint of the weighted round robin",
	"the policy's choices take no new flows, so the list of endpoints was walked",
	"it has the fewest flows for its weight of all that take this one",
	"its point is the next one on the ring, by the hash",
	"it was drawn by weight",
};

#define PICK(table, i) ((i) < SL_ARRAY_CNT(table) ? (table)[i] : "unknown")

/* ---- the question ---- */

static int
take_flags(const char *text, uint8_t *ret)
{
	static const struct {
		const char *text;
		uint8_t flags;
	} row[] = {
		{"syn", SL_TCP_SYN},
		{"ack", SL_TCP_ACK},
		{"syn,ack", SL_TCP_SYN | SL_TCP_ACK},
		{"fin,ack", SL_TCP_FIN | SL_TCP_ACK},
		{"rst", SL_TCP_RST},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		if (strcmp(row[i].text, text) == 0) {
			*ret = row[i].flags;
			return 0;
		}
	}
	return -EINVAL;
}

/* NULL, or what is wrong with the request. */
static const char *
make_tuple(const struct sl_verb_run *r, struct sl_tuple *t, uint8_t *ret_flags)
{
	const char *proto = sl_verb_text(r, "protocol"), *flags = sl_verb_text(r, "flags");
	int64_t sport = sl_verb_number(r, "sport", -1), dport = sl_verb_number(r, "dport", -1);

	*t = (struct sl_tuple){0};
	if (sl_addr_parse(sl_verb_text(r, "src"), &t->src))
		return "src: not an address";
	if (sl_addr_parse(sl_verb_text(r, "dst"), &t->dst))
		return "dst: not an address";
	if (sl_addr_is_v4(&t->src) != sl_addr_is_v4(&t->dst))
		return "src and dst are of different families";
	if (strcmp(proto, "tcp") == 0)
		t->proto = SL_IPPROTO_TCP;
	else if (strcmp(proto, "udp") == 0)
		t->proto = SL_IPPROTO_UDP;
	else if (strcmp(proto, "icmp") == 0)
		t->proto = sl_addr_is_v4(&t->src) ? SL_IPPROTO_ICMP : SL_IPPROTO_ICMP6;
	else
		return "protocol: neither tcp, udp nor icmp";
	bool ports = t->proto == SL_IPPROTO_TCP || t->proto == SL_IPPROTO_UDP;
	if (ports != (sport >= 0) || ports != (dport >= 0))
		return "sport and dport: needed for tcp and udp, not allowed for icmp";
	t->sport = ports ? sl_to_be16(sport) : 0;
	t->dport = ports ? sl_to_be16(dport) : 0;
	*ret_flags = t->proto == SL_IPPROTO_TCP ? SL_TCP_SYN : 0;
	if (flags && (t->proto != SL_IPPROTO_TCP || take_flags(flags, ret_flags)))
		return "flags: tcp only, one of syn; ack; syn,ack; fin,ack; rst";
	return NULL;
}

/* Who asks, as lines. */
static const char *
make_who(struct question *q)
{
	const char *identity = sl_verb_text(&q->r, "identity"), *sni = sl_verb_text(&q->r, "sni");

	if ((identity || sni) && q->tuple.proto != SL_IPPROTO_TCP)
		return "identity, sni: tcp only";
	if ((identity && strpbrk(identity, "\r\n")) || (sni && strpbrk(sni, "\r\n")))
		return "identity, sni: one line each";
	snprintf(q->who, sizeof(q->who), "%s%s%s%s%s%s", identity ? ":identity: " : "",
		 identity ? identity : "", identity ? "\n" : "", sni ? ":sni: " : "",
		 sni ? sni : "", sni ? "\n" : "");
	return NULL;
}

static bool
find_port(const struct sl_publish_link *l, const char *name, uint32_t *ret)
{
	*ret = 0;
	for (uint32_t i = 0; name && i < l->port_cnt; i++) {
		if (strcmp(l->port_name[i], name) == 0) {
			*ret = i;
			return true;
		}
	}
	return name == NULL;
}

/* ---- the answer ---- */

static json_t *
tuple_json(const struct sl_tuple *t)
{
	char src[SL_ADDR_STRLEN], dst[SL_ADDR_STRLEN];
	const char *proto = t->proto == SL_IPPROTO_TCP   ? "tcp"
			    : t->proto == SL_IPPROTO_UDP ? "udp"
							 : "icmp";
	return json_pack("{s:s, s:i, s:s, s:i, s:s}", "src", sl_addr_format(&t->src, src), "sport",
			 sl_from_be16(t->sport), "dst", sl_addr_format(&t->dst, dst), "dport",
			 sl_from_be16(t->dport), "protocol", proto);
}

const struct sl_conf_listener *
sl_explain_listener_at(const struct sl_table *t, uint32_t slot)
{
	struct sl_placed at;
	for (uint32_t i = 0; t && i < t->conf->listener_cnt; i++)
		if (sl_slot_find_listener(&t->map, &t->conf->listeners[i], &at) == 0 &&
		    at.slot == slot)
			return &t->conf->listeners[i];
	return NULL;
}

const struct sl_conf_service *
sl_explain_service_at(const struct sl_table *t, uint32_t slot)
{
	struct sl_placed at;
	for (uint32_t i = 0; t && i < t->conf->service_cnt; i++)
		if (sl_slot_find_service(&t->map, &t->conf->services[i], &at) == 0 &&
		    at.slot == slot)
			return &t->conf->services[i];
	return NULL;
}

json_t *
sl_explain_listener(const struct sl_conf_listener *l)
{
	char prefix[SL_PREFIX_STRLEN], ports[SL_PORTS_STRLEN];
	if (!l)
		return json_null();
	return json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:s}", "name", l->name, "address",
			 sl_prefix_format(&l->addr, l->plen, prefix), "port", l->port, "port_last",
			 l->port_last, "ports", sl_ports_format(l->port, l->port_last, ports),
			 "protocol", l->proto == SL_IPPROTO_TCP ? "tcp" : "udp", "mode",
			 sl_mode_name(l->mode), "routes", l->routes);
}

json_t *
sl_explain_service(const struct sl_conf_service *s)
{
	if (!s)
		return json_null();
	return json_pack("{s:s, s:s, s:s}", "name", s->name, "forward", sl_forward_name(s->forward),
			 "policy", sl_policy_name(s->policy));
}

/* ---- how the packet goes on ---- */

/* What the answer says besides the tuple, as texts; "" where it does not apply. */
struct way {
	char outer
		[SL_PREFIX_STRLEN]; /* tunnels: source of the outer packet, or the prefix it is of */
	bool spread;                /* it is a prefix */
	bool tunnel, fullnat;
	bool ends; /* the gateway's own TCP is its peer */
};

static bool
is_zero(const struct sl_addr *a)
{
	static const struct sl_addr zero;
	return sl_addr_eq(a, &zero);
}

/* The gateway's own address that tunnels to a next hop come from, as the dataplane takes it (view.c): of the longest
 * prefix around the next hop, on the port; one for the link alone gives way to another. */
static const struct sl_conf_address *
own_source(const struct sl_conf *c, const char *port, const struct sl_addr *next)
{
	const struct sl_conf_address *best = NULL;

	for (uint32_t i = 0; i < c->address_cnt; i++) {
		const struct sl_conf_address *a = &c->addresses[i];
		bool local = a->addr.b[0] == 0xfe && (a->addr.b[1] & 0xc0) == 0x80;
		if (strcmp(a->port, port) != 0 || local ||
		    sl_addr_is_v4(&a->addr) != sl_addr_is_v4(next))
			continue;
		bool in = sl_addr_in(next, &a->addr, a->plen);
		bool best_in = best && sl_addr_in(next, &best->addr, best->plen);
		if (!best || (in && (!best_in || a->plen > best->plen)))
			best = a;
	}
	return best;
}

static struct way
way_of(const struct sl_table *t, const struct sl_conf_service *s, const struct sl_ctl_explained *e,
       const char *port_out)
{
	struct way w = {0};
	const struct sl_conf_address *own;

	w.ends = s && s->forward == SL_FORWARD_PROXY;
	if (!s || e->why == SL_WHY_REPLY || !port_out)
		return w;
	w.fullnat = s->forward == SL_FORWARD_FULLNAT;
	w.tunnel = sl_forward_tunnels(s->forward);
	w.spread = w.tunnel && s->tunnel_plen;
	if (w.spread)
		sl_prefix_format(&s->tunnel, s->tunnel_plen, w.outer);
	else if (w.tunnel && t && !is_zero(&e->next_hop) &&
		 (own = own_source(t->conf, port_out, &e->next_hop)))
		sl_addr_format(&own->addr, w.outer);
	return w;
}

static json_t *
tunnel_json(const struct way *w, const struct sl_conf_service *s, const struct sl_oper_endpoint *ep)
{
	char addr[SL_ADDR_STRLEN];

	if (!w->tunnel || !ep)
		return json_null();
	json_t *o = json_pack("{s:s, s:s, s:b, s:s}", "type", sl_forward_name(s->forward), "source",
			      w->outer, "spread", w->spread, "destination",
			      sl_addr_format(&ep->addr, addr));
	if (s->forward == SL_FORWARD_GUE)
		json_object_set_new(o, "port", json_integer(sl_conf_gue_port(s)));
	return o;
}

static json_t *
source_json(const struct way *w, const struct sl_ctl_explained *e)
{
	char addr[SL_ADDR_STRLEN];

	if (!w->fullnat)
		return json_null();
	return json_pack("{s:s, s:i}", "address", sl_addr_format(&e->out.src, addr), "port",
			 sl_from_be16(e->out.sport));
}

json_t *
sl_explain_level(const struct sl_ctl_level *l)
{
	if (l->cnt == 0)
		return json_null();
	return json_pack("{s:i, s:i, s:f, s:b}", "level", (int)l->level, "levels", (int)l->cnt,
			 "percent", l->share / 100.0, "panic", (int)l->panic);
}

void
sl_explain_say_level(json_t *list, const struct sl_ctl_level *l)
{
	if (l->cnt > 1)
		sl_explain_say(list, "it is of level %u (of 0 to %u), which takes %.1f %% now",
			       l->level, l->cnt - 1, l->share / 100.0);
	if (l->panic)
		sl_explain_say(list, "too few endpoints there take flows: health is ignored");
}

void
sl_explain_say(json_t *list, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(list, json_string(text));
}

/* Of TCP that ends at the gateway.  Without a service the packet is of no connection and opens none. */
static void
ends_sentences(json_t *list, const struct sl_ctl_explained *e, const struct sl_conf_listener *l,
	       const struct sl_conf_service *s, const struct sl_oper_endpoint *ep)
{
	bool known = e->why == SL_WHY_FLOW;
	char addr[SL_ADDR_STRLEN];

	if (!s) {
		sl_explain_say(list, "it is of no connection and opens none: the answer is a RST");
		return;
	}
	sl_explain_say(
		list,
		"the connection ends at the gateway, which opens one of its own for service %s",
		s->name);
	if (l && l->proxy_in && !known)
		sl_explain_say(list,
			       "the client's address in its PROXY header counts, not the packet's");
	if (!ep)
		return;
	sl_addr_format(&ep->addr, addr);
	if (known)
		sl_explain_say(list, "it is known, and goes on to endpoint %s at %s", ep->name,
			       addr);
	else
		sl_explain_say(list, "endpoint %s at %s would be picked: %s", ep->name, addr,
			       PICK(why_text, e->why));
	if (s->source_cnt)
		sl_explain_say(list, "connections there come from %s%s",
			       s->source_cnt > 1 ? "its sources, among them " : "",
			       sl_addr_format(&s->sources[0], addr));
	else
		sl_explain_say(list,
			       "connections there come from the gateway's own address on the way");
}

static void
taken_sentences(json_t *list, const struct sl_conf_listener *l)
{
	if (l->mode == SL_MODE_HTTP)
		sl_explain_say(list, "listener %s takes it for route table %s", l->name, l->routes);
	else if (l->mode != SL_MODE_PASSTHROUGH)
		sl_explain_say(list, "listener %s takes it for service %s", l->name, l->service);
	else
		sl_explain_say(list,
			       "listener %s takes it; the server name that the client asks for "
			       "says the service, and who asks for none of its names %s%s",
			       l->name, l->service[0] ? "goes to service " : "is refused",
			       l->service);
}

static void
say_rules(json_t *list, const struct question *q)
{
	if (*q->rule_error)
		sl_explain_say(list, "its rules could not be asked: %s", q->rule_error);
	if (!*q->rule)
		return;
	if (q->denied)
		sl_explain_say(list,
			       "rules refuse it: %s; it is reset when its TLS handshake, or its "
			       "PROXY header, has told who it is",
			       q->rule);
	else
		sl_explain_say(list, "rules let it through: %s%s", q->rule,
			       strchr(q->rule, '/') ? "" : " (none of its rules decides)");
	if (!strstr(q->who, ":identity:"))
		sl_explain_say(list, "asked as a client without a certificate: -H ':identity: "
				     "NAME' asks as another");
}

static json_t *
rules_json(const struct question *q)
{
	if (!*q->rule)
		return json_null();
	return json_pack("{s:s, s:b}", "rule", q->rule, "denied", q->denied);
}

static json_t *
sentences(const struct question *q, const struct sl_ctl_explained *e,
	  const struct sl_conf_listener *l, const struct sl_conf_service *s,
	  const struct sl_oper_endpoint *ep, const struct way *w, const char *port_out)
{
	json_t *list = json_array();
	char addr[SL_ADDR_STRLEN];

	sl_explain_say(list, "bucket %u belongs to worker %u, which runs generation %llu",
		       e->bucket, e->worker, (unsigned long long)e->generation);
	if (l)
		taken_sentences(list, l);
	say_rules(list, q);
	if (l && l->mode == SL_MODE_HTTP)
		sl_explain_say(
			list,
			"the connection ends at the gateway; each request on it finds its own "
			"route: explain --http");
	else if (!s && l && l->mode == SL_MODE_PASSTHROUGH)
		sl_explain_say(list, "the connection ends at the gateway, TLS does not");
	else if (w->ends || (l && l->mode == SL_MODE_TCP))
		ends_sentences(list, e, l, s, ep);
	else if (s)
		sl_explain_say(list, "service %s forwards by %s", s->name,
			       sl_forward_name(s->forward));
	if (ep && !w->ends)
		sl_explain_say(list, "endpoint %s at %s: %s", ep->name,
			       sl_addr_format(&ep->addr, addr), PICK(why_text, e->why));
	if (ep)
		sl_explain_say_level(list, &e->level);
	if (ep && e->tries && e->tries <= 8)
		sl_explain_say(list, "%u choice%s before it took no new flows", e->tries,
			       e->tries == 1 ? "" : "s");
	if (ep && w->tunnel)
		sl_explain_say(list, "it goes within %s from %s%s to %s",
			       sl_forward_name(s->forward), w->spread ? "an address of " : "",
			       w->outer, sl_addr_format(&ep->addr, addr));
	if (w->fullnat)
		sl_explain_say(list, "it leaves from %s port %u", sl_addr_format(&e->out.src, addr),
			       sl_from_be16(e->out.sport));
	if (e->verdict == SL_VERDICT_DROP)
		sl_explain_say(list, "%s: %s", PICK(verdict_text, e->verdict),
			       sl_drop_text(e->drop));
	else if (port_out)
		sl_explain_say(list, "%s by port %s", PICK(verdict_text, e->verdict), port_out);
	else
		sl_explain_say(list, "%s", PICK(verdict_text, e->verdict));
	return list;
}

static json_t *
answer(const struct question *q, const struct sl_ctl_explained *e)
{
	struct sl_daemon *d = q->r.d;
	const struct sl_publish_link *l = sl_publish_link(d->publish);
	const struct sl_table *t = sl_tables_active(d->tables);
	const struct sl_conf_listener *li = sl_explain_listener_at(t, e->listener_slot);
	const struct sl_conf_service *s = sl_explain_service_at(t, e->service_slot);
	const struct sl_oper_endpoint *ep = sl_oper_by_slot(d->oper, e->endpoint_slot);
	bool leaves = e->verdict == SL_VERDICT_FORWARD || e->verdict == SL_VERDICT_REPLY ||
		      e->verdict == SL_VERDICT_HELD;
	const char *out =
		l && leaves && e->port_out < l->port_cnt ? l->port_name[e->port_out] : NULL;
	const char *in = l && q->port < l->port_cnt ? l->port_name[q->port] : "";
	char hop[SL_ADDR_STRLEN];
	json_t *a = sl_verb_ok(&q->r), *more;
	struct way w = way_of(t, s, e, out);

	if (ep && ep->at.incarnation != e->endpoint_incarnation)
		ep = NULL; /* another generation than the one we know */
	more = json_pack(
		"{s:I, s:s, s:o, s:I, s:I, s:s, s:s, s:I, s:o, s:o, s:o, s:s, s:s?, s:s?, "
		"s:o, s:o, s:o, s:o, s:b, s:o}",
		"generation", (json_int_t)e->generation, "verdict", PICK(verdict_name, e->verdict),
		"drop",
		e->verdict == SL_VERDICT_DROP
			? json_pack("{s:s, s:s}", "reason", sl_drop_name(e->drop), "text",
				    sl_drop_text(e->drop))
			: json_null(),
		"worker", (json_int_t)e->worker, "bucket", (json_int_t)e->bucket, "why",
		PICK(why_name, e->why), "why_text", PICK(why_text, e->why), "tries",
		(json_int_t)e->tries, "listener", sl_explain_listener(li), "service",
		sl_explain_service(s), "endpoint", ep ? sl_show_endpoint(d, ep) : json_null(),
		"port_in", in, "port_out", out, "next_hop",
		is_zero(&e->next_hop) ? NULL : sl_addr_format(&e->next_hop, hop), "out",
		leaves ? tuple_json(&e->out) : json_null(), "tunnel", tunnel_json(&w, s, ep),
		"source", source_json(&w, e), "level", sl_explain_level(&e->level), "ends_here",
		w.ends || (li && li->mode != SL_MODE_L4), "sentences",
		sentences(q, e, li, s, ep, &w, out));
	json_object_update(a, more);
	json_decref(more);
	json_object_set_new(a, "authorization", rules_json(q));
	return a;
}

static void
on_rules(void *ctx, int err, const struct sl_ctl_explained_http *e, const char *why)
{
	struct question *q = ctx;

	if (err)
		snprintf(q->rule_error, sizeof(q->rule_error), "%s",
			 err == -EREMOTEIO ? why : strerror(-err));
	else
		snprintf(q->rule, sizeof(q->rule), "%.*s", (int)e->text_len, (const char *)(e + 1));
	q->denied = !err && e->status == 403;
	sl_call_answer(q->r.call, answer(q, &q->e));
	free(q);
}

/* Whether rules are asked first, where the packet would open a connection to a listener that has some. */
static bool
ask_rules(struct question *q, const struct sl_ctl_explained *e)
{
	const struct sl_table *t = sl_tables_active(q->r.d->tables);
	const struct sl_conf_listener *l = sl_explain_listener_at(t, e->listener_slot);

	if (!l || (!l->authz[0] && !*q->who) || l->proto != SL_IPPROTO_TCP)
		return false;
	q->e = *e;
	const char *who = *q->who ? q->who : "\n";
	int err = sl_publish_explain_http(q->r.d->publish, SL_CTL_ABOUT_CONNECTION, &q->tuple, who,
					  strlen(who), on_rules, q);
	if (err)
		snprintf(q->rule_error, sizeof(q->rule_error), "%s", strerror(-err));
	return !err;
}

static void
on_explained(void *ctx, int err, const struct sl_ctl_explained *e, const char *why)
{
	struct question *q = ctx;
	json_t *a;

	if (err == -ETIMEDOUT)
		a = sl_call_error(q->r.verb, "timeout", NULL,
				  "the dataplane did not answer within %d s",
				  SL_PUBLISH_EXPLAIN_MS / 1000);
	else if (err == -EREMOTEIO)
		a = sl_call_error(q->r.verb, "unavailable", NULL, "the dataplane says: %s", why);
	else if (err)
		a = sl_call_error(q->r.verb, "unavailable", "try again",
				  "the dataplane went away before it answered");
	else if (ask_rules(q, e))
		return;
	else
		a = answer(q, e);
	sl_call_answer(q->r.call, a);
	free(q);
}

void
sl_verb_explain(const struct sl_verb_run *r)
{
	const struct sl_publish_link *l = sl_publish_link(r->d->publish);
	struct question *q = calloc(1, sizeof(*q));
	const char *why = NULL, *port = sl_verb_text(r, "port");
	json_t *error = NULL;
	uint8_t flags = 0;

	if (q) {
		q->r = *r;
		why = make_tuple(r, &q->tuple, &flags);
		why = why ? why : make_who(q);
	}
	if (why)
		error = sl_call_error(r->verb, "invalid", NULL, "%s", why);
	else if (!l)
		error = sl_call_error(r->verb, "unavailable", "see: status", "%s",
				      "the dataplane is not connected");
	else if (q && !find_port(l, port, &q->port))
		error = sl_call_error(r->verb, "not_found", "see: show ports",
				      "the dataplane has no port %s", port);
	if (error || !q) {
		sl_call_answer(r->call, error);
		free(q);
		return;
	}
	int err = sl_publish_explain(r->d->publish, &q->tuple, flags, q->port, on_explained, q);
	if (err) {
		sl_call_answer(r->call,
			       sl_call_error(r->verb, "busy", "try again",
					     "cannot ask the dataplane: %s", strerror(-err)));
		free(q);
	}
}
