/* What two tables would make of one request.
 *
 * The table that is tried is asked first: path in normal form, captures, claims and lines of policy are kept in the engine, and what the
 * request then really goes by is written over them.  Random numbers are drawn again by whoever comes next, so that chance plays no
 * part in what differs. */
#include "l7/http_priv.h"

static struct sl_http_outcome
nothing(const struct sl_http_rule *rule)
{
	return (struct sl_http_outcome){
		.listener_slot = rule ? rule->listener_slot : UINT32_MAX,
		.vhost_slot = UINT32_MAX,
		.route_slot = UINT32_MAX,
		.service_slot = UINT32_MAX,
	};
}

static void
forwarded(struct sl_http *h, const struct http_decision *d, const struct http_ask *who,
	  const struct sl_http_head *head, bool tried, struct sl_http_outcome *o)
{
	const struct sl_http_env *env = &h->conf.env;
	const uint64_t random[2] = {h->random[0], h->random[1]};
	const struct sl_img_target *t = sl_http_target(h, d, head, &who->peer);
	uint16_t incarnation = (uint16_t)t->incarnation;
	const struct sl_img_service *svc =
		tried ? env->tried_service(env->ctx, t->service, incarnation)
		      : env->service(env->ctx, t->service, incarnation);

	h->random[0] = random[0];
	h->random[1] = random[1];
	if (!svc) {
		o->status = 503;
		return;
	}
	o->service_slot = t->service;
	o->service_incarnation = incarnation;
	o->subset = sl_http_subset(svc, t);
	o->hashed = sl_http_hash_on(svc, head, d, &who->peer, &o->hash);
}

static void
outcome_of(struct sl_http *h, const struct sl_http_rule *rule, const struct http_ask *who,
	   const struct sl_http_head *head, const struct http_decision *d, bool tried,
	   struct sl_http_outcome *o)
{
	uint64_t most = rule->table->img->http.max_body;

	*o = nothing(rule);
	o->undecided = (d->rflags & SL_RF_RL) != 0 || d->drawn || d->fault_status || d->wait;
	o->fault = (d->rflags & SL_RF_FI) != 0;
	o->status = d->status;
	memcpy(o->why, d->why, sizeof(o->why));
	if (d->vhost)
		o->vhost_slot = d->vhost->slot;
	if (!d->route)
		return;
	o->route_slot = d->route->slot;
	if (d->status)
		return;
	if (most && head->body == SL_BODY_LENGTH && head->length > most)
		o->status = 413;
	else if (d->route->action == SL_ACTION_FORWARD)
		forwarded(h, d, who, head, tried, o);
	else
		o->status = d->route->code;
}

bool
sl_http_shadow(struct http_conn *c, const struct http_ask *who, const struct sl_http_head *head,
	       struct sl_http_outcome *ret)
{
	struct sl_http *h = c->http;
	const uint64_t random[2] = {h->random[0], h->random[1]};
	struct http_decision d;
	struct sl_http_rule rule;

	bool tried = h->conf.env.tried(h->conf.env.ctx, &sl_stream_row(c->client)->tuple, c->drawn,
				       &rule);
	c->drawn = tried ? 1 : 2;
	if (!tried)
		return false;
	if (!rule.table) {
		*ret = nothing(NULL);
		return true;
	}
	sl_http_decide(h, &rule, head, who->identity, &d);
	d.sampled = true;
	if (d.route)
		sl_http_judge(h, &rule, who, head, &d, true);
	outcome_of(h, &rule, who, head, &d, true, ret);
	h->random[0] = random[0];
	h->random[1] = random[1];
	return true;
}

void
sl_http_shadow_compare(struct http_conn *c, const struct sl_http_rule *rule,
		       const struct http_ask *who, const struct sl_http_head *head,
		       const struct http_decision *d, const struct sl_http_outcome *then)
{
	struct sl_http *h = c->http;
	struct sl_http_outcome now;
	struct sl_tuple client = sl_stream_row(c->client)->tuple;

	outcome_of(h, rule, who, head, d, false, &now);
	now.undecided |= now.fault && !then->fault; /* what happens now and then is not drawn dry */
	client.src = c->peer;
	client.sport = c->peer_port;
	h->conf.env.compared(h->conf.env.ctx, &client, head, &now, then);
}

void
sl_http_try(struct sl_http *h, bool on)
{
	h->trying = on;
}
