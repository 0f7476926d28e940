/* Who belongs to a service besides its endpoints, and which of them belong together: `discover`, `subsets`, panic. */
#include "mgmt/check_priv.h"

#include "mgmt/conf_value.h"
#include "mgmt/levels.h"

#define BYTES_MAX                                                                                  \
	(SL_OBJ_MAX / 8 * 7) /* of a service's tables: what else is in its object fits the rest */

/* ---- subsets ---- */

static int
subset_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_subset *)a)->name,
		      ((const struct sl_conf_subset *)b)->name);
}

static void
subset_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_subset *a = &k->c->services[owner].subsets[first],
				    *b = a - first + later;

	if (!b->name[0])
		return;
	at(k, "services[%u].subsets[%u].name", owner, later);
	tell(k, b->line, "names are distinct within a service", "\"%s\" is the subset at line %d",
	     b->name, a->line);
}

static void
check_subsets(struct check *k, const struct sl_conf_service *s, uint32_t i)
{
	if (s->forward && s->forward != SL_FORWARD_PROXY) {
		sl_check_out_of_place(k, i, "subsets", s->subset_cnt, "forward \"proxy\"");
		return;
	}
	sl_check_twins(k, i, s->subsets, s->subset_cnt, sizeof(*s->subsets), subset_order,
		       subset_twice);
	for (uint32_t j = 0; j < s->subset_cnt; j++) {
		if (s->subsets[j].meta[0] || s->subsets[j].incomplete)
			continue;
		at(k, "services[%u].subsets[%u].metadata", i, j);
		tell(k, s->subsets[j].line,
		     "give what its endpoints have: metadata = ( \"version=v2\" )",
		     "is empty: every endpoint would be in the subset");
	}
}

void
sl_check_subset_of(struct check *k, const struct sl_conf_service *s, const char *name, int line)
{
	char known[256] = "";
	size_t n = 0;

	for (uint32_t j = 0; j < s->subset_cnt; j++) {
		if (strcmp(s->subsets[j].name, name) == 0 || !s->subsets[j].name[0])
			return; /* there it is; or what was not read may be it */
		if (n + SL_NAME_MAX + 2 < sizeof(known))
			n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", j ? ", " : "",
					      s->subsets[j].name);
	}
	if (n)
		tell(k, line, "name one of them, or add it to the service's subsets",
		     "service \"%s\" has no subset \"%s\"; it has %s", s->name, name, known);
	else
		tell(k, line, "add it to the service's subsets",
		     "service \"%s\" has no subset \"%s\", nor any other", s->name, name);
}

/* ---- discover ---- */

/* The kind of address asked for; 0: any. */
static uint8_t
family_asked(const struct sl_conf_discover *q)
{
	return q->record == SL_RECORD_IPV4 ? 4 : q->record == SL_RECORD_IPV6 ? 6 : 0;
}

static bool
same_question(const struct sl_conf_service *s, const struct sl_conf_discover *a,
	      const struct sl_conf_discover *b)
{
	const char *x = a->name[0] ? a->name : s->name, *y = b->name[0] ? b->name : s->name;

	return strcmp(a->source, b->source) == 0 && strcmp(x, y) == 0 && a->record == b->record &&
	       strcmp(a->port_name, b->port_name) == 0 && strcmp(a->tag, b->tag) == 0 &&
	       strcmp(a->space, b->space) == 0;
}

/* Few, so each is compared with those before it. */
static void
check_question(struct check *k, const struct sl_conf_service *s, uint32_t i, uint32_t j)
{
	const struct sl_conf_discover *q = &s->discover[j];
	uint8_t asked = family_asked(q), family = k->links.family[i];

	for (uint32_t a = 0; a < j && !q->incomplete; a++)
		if (!s->discover[a].incomplete && same_question(s, &s->discover[a], q)) {
			at(k, "services[%u].discover[%u]", i, j);
			tell(k, q->line, "remove one of the two",
			     "asks \"%s\" what the entry at line %d asks already", q->source,
			     s->discover[a].line);
			break;
		}
	if (!asked || asked == family)
		return;
	at(k, "services[%u].discover[%u].record", i, j);
	tell(k, q->line, "make a service for each family", "asks for IPv%u, the service is IPv%u",
	     asked, family);
}

uint8_t
sl_check_family_asked(const struct sl_conf_service *s)
{
	uint8_t family = 0;

	for (uint32_t j = 0; j < s->discover_cnt && !family; j++)
		family = family_asked(&s->discover[j]);
	return family;
}

/* ---- the whole ---- */

void
sl_check_members(struct check *k, uint32_t i)
{
	const struct sl_conf_service *s = &k->c->services[i];
	uint64_t bytes = sl_level_bytes(k->c, s);

	check_subsets(k, s, i);
	for (uint32_t j = 0; j < s->discover_cnt; j++)
		check_question(k, s, i, j);
	if (s->zones.given && s->locality_failover) {
		at(k, "services[%u].zone_aware", i);
		tell(k, s->line, "remove one of the two",
		     "a service has zone_aware or locality_failover: other zones stand beside the "
		     "gateway's own, or behind it");
	}
	if (s->forward == SL_FORWARD_PROXY && s->panic_pct != SL_CONF_NO_PANIC) {
		at(k, "services[%u].panic_threshold", i);
		tell(k, s->line, "give http = { panic_threshold = ...; } instead",
		     "a service with forward \"proxy\" has it in its group http");
	}
	if (bytes <= BYTES_MAX)
		return;
	at(k, "services[%u].max_endpoints", i);
	tell(k, s->line, "lower max_endpoints, or have fewer subsets",
	     "with %u subsets the service's tables would take %llu MiB, more than %u",
	     s->subset_cnt, (unsigned long long)(bytes >> 20), BYTES_MAX >> 20);
}

/* ---- warnings ---- */

static bool
someone_has(const struct sl_conf_service *s, const char *meta)
{
	for (uint32_t i = 0; i < s->endpoint_cnt; i++)
		if (sl_value_meta_has(s->endpoints[i].meta, meta))
			return true;
	return false;
}

static bool
someone_is_placed(const struct sl_conf_service *s)
{
	for (uint32_t i = 0; i < s->endpoint_cnt; i++)
		if (s->endpoints[i].locality[0])
			return true;
	return false;
}

static void
warn_subsets(struct check *k, const struct sl_conf_service *s, uint32_t i)
{
	for (uint32_t j = 0; j < s->subset_cnt; j++) {
		const struct sl_conf_subset *x = &s->subsets[j];
		if (x->any || someone_has(s, x->meta))
			continue;
		at(k, "services[%u].subsets[%u].metadata", i, j);
		sl_diag_warn(k->diag, k->file, x->line, k->path,
			     "give endpoints these pairs, or fallback = \"any\"",
			     "no endpoint has %s: requests to this subset get 503", x->meta);
	}
}

/* What sources will answer is not known: only whether there is room for it. */
void
sl_check_members_warn(struct check *k)
{
	for (uint32_t i = 0; i < k->c->service_cnt; i++) {
		const struct sl_conf_service *s = &k->c->services[i];
		if (s->discover_cnt && s->endpoint_cnt >= s->max_endpoints) {
			at(k, "services[%u].max_endpoints", i);
			sl_diag_warn(k->diag, k->file, s->line, k->path, "raise it",
				     "the endpoints of the table are as many: there is no room for "
				     "what sources know");
		}
		if (s->discover_cnt)
			continue;
		warn_subsets(k, s, i);
		if ((!s->locality_failover && !s->zones.given) || someone_is_placed(s))
			continue;
		at(k, s->zones.given ? "services[%u].zone_aware" : "services[%u].locality_failover",
		   i);
		sl_diag_warn(k->diag, k->file, s->line, k->path, "give endpoints their locality",
			     s->zones.given
				     ? "no endpoint has a locality: all are in the gateway's zone"
				     : "no endpoint has a locality: none comes behind another");
	}
}
