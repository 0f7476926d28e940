/* What rules ask of tokens → conditions on claims.
 *
 * A principal is "ISS/SUB": where one ends and the other begins follows from the issuers that the workload takes.  Rules that allow
 * read it narrowly, those that deny widely; of what none may be (invert) the other way round.
 *
 *   one of P, Q          alternatives: (iss, sub) of P, of Q
 *   none of P, Q         allow: no sub is one of these.  deny: of another issuer than those of P and Q; of one of these, with another sub
 */
#include "mgmt/import_istio.h"

#include "mgmt/conf_value.h"

#include <string.h>

#define ANY ".+" /* a sub that says something */

/* ---- alternatives ---- */

void
sl_claims_init(struct sl_claims *c, struct sl_import *im, const struct sl_asked *asked, bool denies)
{
	*c = (struct sl_claims){.im = im, .asked = asked, .denies = denies, .cnt = 1};
	c->choice[0] = sl_out_list(&im->m, NULL, "claims");
}

/* A condition on a claim; form is a key of conditions. */
static void
put(struct sl_claims *c, struct sl_out *list, const char *claim, const char *form,
    const char *value, bool invert)
{
	struct sl_out *to = sl_out_group(&c->im->m, list, NULL);

	sl_out_text(&c->im->m, to, "name", claim);
	if (strcmp(form, "present") == 0)
		sl_out_bool(&c->im->m, to, form, true);
	else
		sl_out_text(&c->im->m, to, form, value);
	if (invert)
		sl_out_bool(&c->im->m, to, "invert", true);
}

static void
append(struct sl_claims *c, struct sl_out *to, const struct sl_out *list)
{
	for (const struct sl_out *o = list->first; o; o = o->next) {
		struct sl_out *copy = sl_memory_take(&c->im->m, sizeof(*copy));
		*copy = *o;
		copy->next = NULL;
		sl_out_attach(to, copy);
	}
}

/* One of by[cnt] has to hold, too. */
static const char *
multiply(struct sl_claims *c, struct sl_out *const *by, unsigned cnt)
{
	struct sl_out *was[SL_CLAIM_CHOICES];
	unsigned n = c->cnt;

	if (cnt == 0)
		c->never = true;
	if ((size_t)n * cnt > SL_CLAIM_CHOICES)
		return "comes to more rules than it should";
	memcpy(was, c->choice, sizeof(was));
	c->cnt = 0;
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < cnt; k++) {
			struct sl_out *list = sl_out_list(&c->im->m, NULL, "claims");
			append(c, list, was[i]);
			append(c, list, by[k]);
			c->choice[c->cnt++] = list;
		}
	return NULL;
}

/* ---- principals ---- */

/* A way in which a token is of a principal.  iss NULL: any issuer; form NULL: any sub. */
struct way {
	const char *iss, *form, *sub;
};

struct ways {
	struct way way[SL_CLAIM_CHOICES];
	unsigned cnt;
	bool full;
};

static void
add_way(struct ways *w, const char *iss, const char *form, const char *sub)
{
	if (w->cnt < SL_CLAIM_CHOICES)
		w->way[w->cnt++] = (struct way){iss, form, sub};
	else
		w->full = true;
}

/* Any sub of the issuer (NULL: of any). */
static void
add_any(struct ways *w, const char *iss, bool wide)
{
	if (wide)
		add_way(w, iss, NULL, NULL);
	else
		add_way(w, iss, "regex", ANY);
}

/* text without its star begins "ISS/SUB". */
static void
add_prefix(struct ways *w, const char *iss, const char *text, bool wide)
{
	size_t n = strlen(iss), len = strlen(text);

	if (len <= n + 1 && !strncmp(iss, text, len < n ? len : n) && (len <= n || text[n] == '/'))
		add_any(w, iss, wide);
	else if (len > n + 1 && !strncmp(iss, text, n) && text[n] == '/')
		add_way(w, iss, "prefix", text + n + 1);
}

/* text without its star ends "ISS/SUB". */
static void
add_suffix(struct ways *w, const char *iss, const char *text, bool wide)
{
	size_t n = strlen(iss);

	add_way(w, iss, "suffix", text);
	for (const char *s = strchr(text, '/'); s; s = strchr(s + 1, '/')) {
		size_t head = (size_t)(s - text);
		if (head > n || strncmp(iss + n - head, text, head))
			continue;
		if (s[1])
			add_way(w, iss, "exact", s + 1);
		else if (wide) /* a token without sub */
			add_any(w, iss, true);
	}
}

static void
add_principal(struct sl_claims *c, struct ways *w, const char *text, bool wide)
{
	const struct sl_issuers *s = &c->asked->issuers;
	size_t len = strlen(text);

	if (strcmp(text, "*") == 0) {
		add_any(w, NULL, wide);
		return;
	}
	for (unsigned i = 0; i < s->cnt; i++) {
		const char *iss = s->of[i]->text;
		size_t n = strlen(iss);
		bool again = false;
		for (unsigned k = 0; k < i; k++)
			again = again || !strcmp(s->of[k]->text, iss);
		if (again)
			continue;
		if (text[0] == '*')
			add_suffix(w, iss, text + 1, wide);
		else if (text[len - 1] == '*')
			add_prefix(w, iss, sl_memory_copy(&c->im->m, text, len - 1), wide);
		else if (!strncmp(text, iss, n) && text[n] == '/' && text[n + 1])
			add_way(w, iss, "exact", text + n + 1);
	}
}

static void
put_way(struct sl_claims *c, struct sl_out *list, const struct way *way)
{
	if (way->iss)
		put(c, list, "iss", "exact", way->iss, false);
	else if (!way->form)
		put(c, list, "iss", "present", NULL, false);
	if (way->form)
		put(c, list, "sub", way->form, way->sub, false);
}

static const char *
one_of(struct sl_claims *c, const struct ways *w)
{
	struct sl_out *by[SL_CLAIM_CHOICES];

	for (unsigned i = 0; i < w->cnt; i++) {
		by[i] = sl_out_list(&c->im->m, NULL, NULL);
		put_way(c, by[i], &w->way[i]);
	}
	return multiply(c, by, w->cnt);
}

/* More than is asked: no sub is one of these, whoever issued it. */
static const char *
none_narrow(struct sl_claims *c, const struct ways *w)
{
	struct sl_out *by = sl_out_list(&c->im->m, NULL, NULL);

	for (unsigned i = 0; i < w->cnt; i++) {
		const struct way *way = &w->way[i];
		if (way->form)
			put(c, by, "sub", way->form, way->sub, true);
		else
			put(c, by, "iss", way->iss ? "exact" : "present", way->iss, true);
	}
	return multiply(c, &by, 1);
}

/* The subs of one issuer that are none of these. */
static struct sl_out *
others_of(struct sl_claims *c, const struct ways *w, const char *iss)
{
	struct sl_out *list = sl_out_list(&c->im->m, NULL, NULL);

	put(c, list, "iss", "exact", iss, false);
	for (unsigned i = 0; i < w->cnt; i++)
		if (!strcmp(w->way[i].iss, iss))
			put(c, list, "sub", w->way[i].form, w->way[i].sub, true);
	return list;
}

static const char *
none_wide(struct sl_claims *c, const struct ways *w)
{
	struct sl_out *by[SL_CLAIM_CHOICES + 1] = {sl_out_list(&c->im->m, NULL, NULL)};
	unsigned cnt = 1;

	for (unsigned i = 0; i < w->cnt; i++)
		if (!w->way[i].iss) { /* "*": who has no sub is none, and nobody else */
			by[0] = sl_out_list(&c->im->m, NULL, NULL);
			put(c, by[0], "sub", w->way[i].form, w->way[i].sub, true);
			return multiply(c, by, 1);
		}
	for (unsigned i = 0; i < w->cnt; i++) {
		bool again = false;
		for (unsigned k = 0; k < i; k++)
			again = again || !strcmp(w->way[k].iss, w->way[i].iss);
		if (again)
			continue;
		put(c, by[0], "iss", "exact", w->way[i].iss, true);
		by[cnt++] = others_of(c, w, w->way[i].iss);
	}
	return multiply(c, by, cnt);
}

/* Why nothing can be asked of tokens; NULL: something can. */
static const char *
unknown(const struct sl_claims *c, bool invert)
{
	if (c->asked->stream)
		return "connections have no tokens";
	if (!c->asked->issuers.cnt)
		return "no issuer of tokens is there, so claims are not known";
	if (!c->asked->claims && c->denies == invert)
		return "tokens are verified before, or perhaps not, so claims are not known";
	return NULL;
}

const char *
sl_claims_principals(struct sl_claims *c, struct sl_yaml *all, bool invert)
{
	const char *why = unknown(c, invert);
	struct ways w = {.cnt = 0};

	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n && !why; n = sl_yaml_each(all, n)) {
		if (!sl_istio_is_starred(n->text) || sl_value_plain(n->text) ||
		    strlen(n->text) > 2000)
			return "has a value that rules cannot have";
		add_principal(c, &w, n->text, c->denies != invert);
	}
	if (!why && w.full)
		return "has more values than rules can have";
	if (why)
		return why;
	if (!invert)
		return one_of(c, &w);
	return c->denies ? none_wide(c, &w) : none_narrow(c, &w);
}

/* ---- claims ---- */

/* Claims whose one text is a list, parted by blanks. */
static bool
is_spaced(const struct sl_claims *c, const char *claim)
{
	if (!strcmp(claim, "scope") || !strcmp(claim, "permission"))
		return true;
	for (unsigned i = 0; i < c->asked->issuers.cnt; i++) {
		const struct sl_yaml *list = c->asked->issuers.of[i]->spaced;
		for (const struct sl_yaml *n = list ? list->first : NULL; n; n = n->next)
			if (!strcmp(n->text, claim))
				return true;
	}
	return false;
}

static const char *
regex_of(struct sl_import *im, const char *text, bool spaced)
{
	size_t n = strlen(text), star = text[n - 1] == '*', first = *text == '*';
	const char *any = spaced ? "[^ ]*" : ".*";

	if (n == 1 && first)
		return ".+";
	const char *core =
		sl_words_escape(&im->m, sl_memory_copy(&im->m, text + first, n - first - star));
	const char *one =
		sl_memory_print(&im->m, "%s%s%s", first ? any : "", core, star ? any : "");
	return spaced ? sl_memory_print(&im->m, "(.* )?%s( .*)?", one) : one;
}

/* One value in the words of conditions. */
static void
put_value(struct sl_claims *c, struct sl_out *list, const char *claim, const char *text,
	  bool invert)
{
	size_t n = strlen(text);

	if (strcmp(text, "*") == 0)
		put(c, list, claim, "present", NULL, invert);
	else if (is_spaced(c, claim))
		put(c, list, claim, "regex", regex_of(c->im, text, true), invert);
	else if (*text == '*')
		put(c, list, claim, "suffix", text + 1, invert);
	else if (text[n - 1] == '*')
		put(c, list, claim, "prefix", sl_memory_copy(&c->im->m, text, n - 1), invert);
	else
		put(c, list, claim, "exact", text, invert);
}

const char *
sl_claims_values(struct sl_claims *c, const char *claim, struct sl_yaml *all, bool invert)
{
	const char *why = unknown(c, invert), *regex = NULL;
	struct sl_out *by = sl_out_list(&c->im->m, NULL, NULL);

	if (why)
		return why;
	if (sl_value_plain(claim) || strlen(claim) > 255)
		return "is a claim that rules cannot name";
	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		if (!sl_istio_is_starred(n->text) || sl_value_plain(n->text) ||
		    strlen(n->text) > 1000)
			return "has a value that rules cannot have";
		const char *one = regex_of(c->im, n->text, is_spaced(c, claim));
		regex = regex ? sl_memory_print(&c->im->m, "%s|%s", regex, one) : one;
		if (invert || all->cnt == 1)
			put_value(c, by, claim, n->text, invert);
	}
	if (!invert && all->cnt > 1) {
		if (strlen(regex) > 4096)
			return "has more values than rules can have";
		put(c, by, claim, "regex", regex, false);
	}
	return multiply(c, &by, 1);
}
