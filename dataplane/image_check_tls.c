/* What objects say of TLS: the sections of LISTENERS behind trust, and the part of a SERVICE behind its ring.
 *
 * Records of a section stand in the order of who they are of, without a gap, so one walk over the listeners gives each its
 * place: first must be what those before have used, cnt at most what is left. */
#include "dataplane/image_check_priv.h"

/* ---- texts of a fixed size ---- */

/* Bytes of the text, 0: empty, or it was said what is wrong: it is not terminated, or has something behind its end. */
static uint32_t
check_text(struct sl_look *c, const char *section, uint32_t i, const char *field, const char *text,
	   uint32_t size)
{
	uint32_t len = (uint32_t)strnlen(text, size);

	if (len == size) {
		sl_look_bad(c, section, i, field, "does not end within %u bytes", size);
		return 0;
	}
	for (uint32_t k = len; k < size; k++)
		if (sl_unlikely(text[k])) {
			sl_look_bad(c, section, i, field, "is not padded with 0 to %u bytes", size);
			return 0;
		}
	return len;
}

static bool
visible(const char *text, uint32_t len)
{
	for (uint32_t k = 0; k < len; k++)
		if (text[k] <= ' ' || text[k] >= 0x7f)
			return false;
	return true;
}

/* A host name in lower case, RFC 1123 with the underscore: labels of [1, 63], together [1, 253]. */
static bool
host_name(const char *text, uint32_t len)
{
	uint32_t label = 0;

	if (len > 253 || !sl_look_host_chars((const void *)text, len, true))
		return false;
	for (uint32_t k = 0; k <= len; k++) {
		if (k < len && text[k] != '.') {
			label++;
			continue;
		}
		if (label == 0 || label > 63)
			return false;
		label = 0;
	}
	return true;
}

static void
check_alpn(struct sl_look *c, const char *section, uint32_t i, const struct sl_img_tls_alpn *alpn,
	   uint32_t cnt)
{
	char field[16];

	sl_look_range(c, section, i, "alpn_cnt", cnt, 0, SL_TLS_ALPNS);
	for (uint32_t k = 0; k < SL_TLS_ALPNS; k++) {
		snprintf(field, sizeof(field), "alpn[%u]", k);
		unsigned before = c->bad;
		uint32_t len = check_text(c, section, i, field, alpn[k].protocol,
					  sizeof(alpn[k].protocol));
		if (c->bad != before)
			continue;
		if ((len > 0) != (k < cnt))
			sl_look_bad(c, section, i, field, len ? "must be empty" : "is empty");
		else if (!visible(alpn[k].protocol, len))
			sl_look_bad(c, section, i, field, "has a byte that is not visible ASCII");
		for (uint32_t j = 0; len && j < k && j < cnt; j++)
			if (memcmp(&alpn[j], &alpn[k], sizeof(alpn[k])) == 0)
				sl_look_bad(c, section, i, field, "equals alpn[%u]", j);
	}
}

static void
check_san(struct sl_look *c, uint32_t i, const struct sl_img_tls_san *s)
{
	unsigned before = c->bad;
	uint32_t len = check_text(c, "tls_sans", i, "san", s->san, sizeof(s->san));
	const char *star = memchr(s->san, '*', len);

	if (c->bad != before)
		return;
	if (len == 0)
		sl_look_bad(c, "tls_sans", i, "san", "is empty");
	else if (!visible(s->san, len))
		sl_look_bad(c, "tls_sans", i, "san", "has a byte that is not visible ASCII");
	else if (star && star != s->san + len - 1)
		sl_look_bad_text(c, "tls_sans", i, "san", (const void *)s->san, len,
				 "has a * that is not its end");
}

/* ---- LISTENERS ---- */

/* Records that listeners have used so far. */
struct used {
	uint32_t tls, name, san, sni;
};

/* The next cnt of total records: first is where they must begin. */
static void
check_place(struct sl_look *c, const char *section, uint32_t i, const char *field, uint32_t first,
	    uint32_t cnt, uint32_t total, uint32_t *used)
{
	uint32_t want = cnt ? *used : 0;

	if (first != want)
		sl_look_bad(c, section, i, field, "first is %u, must be %u", first, want);
	if (cnt > total - *used)
		sl_look_bad(c, section, i, field, "cnt is %u, but only %u of %u are left", cnt,
			    total - *used, total);
	*used += SL_MIN(cnt, total - *used);
}

static void
check_versions(struct sl_look *c, const char *section, uint32_t i, uint8_t min, uint8_t max)
{
	sl_look_range(c, section, i, "min_version", min, SL_TLS_1_2, SL_TLS_1_3);
	sl_look_range(c, section, i, "max_version", max,
		      SL_MAX((uint32_t)min, (uint32_t)SL_TLS_1_2), SL_TLS_1_3);
}

static void
check_tls(struct sl_look *c, const struct sl_img_tls_listener *t, uint32_t i,
	  const struct sl_img_listener *l)
{
	bool asks = t->client != SL_TLS_CLIENT_NONE;

	check_versions(c, "tls", i, t->min_version, t->max_version);
	sl_look_range(c, "tls", i, "client", t->client, SL_TLS_CLIENT_NONE, SL_TLS_CLIENT_REQUIRED);
	sl_look_range(c, "tls", i, "xfcc", t->xfcc, SL_XFCC_SANITIZE,
		      l->mode == SL_MODE_HTTP ? SL_XFCC_FORWARD : SL_XFCC_SANITIZE);
	sl_look_range(c, "tls", i, "suites", t->suites, 1, SL_TLS_SUITES_ALL);
	sl_look_range(c, "tls", i, "groups", t->groups, 1, SL_TLS_GROUPS_ALL);
	sl_look_range(c, "tls", i, "tickets", t->tickets, 0, 1);
	check_alpn(c, "tls", i, t->alpn, t->alpn_cnt);
	sl_look_range(c, "tls", i, "handshake_ms", t->handshake_ms, 1, 600000);
	sl_look_range(c, "tls", i, "cert_cnt", t->cert_cnt, 1, SL_MAX_TLS_CERTS);
	sl_look_range(c, "tls", i, "trust_cnt", t->trust_cnt, asks, asks ? SL_MAX_TLS_CERTS : 0);
	sl_look_range(c, "tls", i, "san_cnt", t->san_cnt, 0, asks ? SL_MAX_TLS_SANS : 0);
	sl_look_range(c, "tls", i, "plaintext", t->plaintext, 0, 1);
}

/* Of one listener; t NULL: the section could not be read. */
static void
check_listener(struct sl_look *c, const struct sl_img_listeners *ls,
	       const struct sl_img_listener *l, uint32_t i, const struct sl_img_tls_listener *t,
	       struct used *u)
{
	bool may = l->mode == SL_MODE_TCP || l->mode == SL_MODE_HTTP;
	bool names = l->mode == SL_MODE_PASSTHROUGH;

	if (l->tls && !may)
		sl_look_bad(c, "listeners", i, "tls", "is %u, must be 0: the mode has none",
			    l->tls);
	else if (l->tls && (u->tls == ls->tls_cnt || l->tls != u->tls + 1))
		sl_look_bad(c, "listeners", i, "tls", "is %u, must be 0 or %u, of %u", l->tls,
			    u->tls + 1, ls->tls_cnt);
	else if (l->tls && t) {
		t += u->tls;
		check_tls(c, t, u->tls, l);
		check_place(c, "tls", u->tls, "cert", t->cert_first, t->cert_cnt, ls->tls_name_cnt,
			    &u->name);
		check_place(c, "tls", u->tls, "trust", t->trust_first, t->trust_cnt,
			    ls->tls_name_cnt, &u->name);
		check_place(c, "tls", u->tls, "san", t->san_first, t->san_cnt, ls->tls_san_cnt,
			    &u->san);
	}
	u->tls += l->tls && may && u->tls < ls->tls_cnt;
	if (!names)
		sl_look_zero(c, "listeners", i, "sni_cnt", l->sni_cnt);
	check_place(c, "listeners", i, "sni", l->sni_first, names ? l->sni_cnt : 0, ls->sni_cnt,
		    &u->sni);
}

/* Of the listener that begins at `first` the name before is another's. */
static void
check_sni(struct sl_look *c, const struct sl_img_sni *s, uint32_t i, bool first)
{
	unsigned before = c->bad;
	uint32_t len = check_text(c, "sni", i, "name", s->name, sizeof(s->name));
	uint32_t wild = len > 2 && s->name[0] == '*' && s->name[1] == '.' ? 2 : 0;

	if (c->bad == before && !host_name(s->name + wild, len - wild))
		sl_look_bad_text(c, "sni", i, "name", (const void *)s->name, len,
				 "is not a host name in lower case, or \"*.\" and one");
	sl_look_range(c, "sni", i, "ref", s->ref, 2, SL_MAX_SERVICES + 1);
	sl_look_zero(c, "sni", i, "zero", s->zero);
	if (!first)
		sl_look_order(c, "sni", i, memcmp(s[-1].name, s->name, sizeof(s->name)), "name");
}

static void
check_all_used(struct sl_look *c, const char *section, uint32_t cnt, uint32_t used)
{
	if (used < cnt)
		sl_look_bad(c, section, SL_LOOK_NOWHERE, "cnt", "is %u, but listeners have %u", cnt,
			    used);
}

void
sl_look_tls(struct sl_look *c, const struct sl_img_listeners *ls, const struct sl_img_listener *l)
{
	struct used u = {0};

	const struct sl_img_tls_listener *t =
		sl_look_open(c, &(struct sl_look_section){"tls", ls->tls_cnt, ls->tls_off, 0,
							  SL_MAX_LISTENERS, sizeof(*t)});
	const struct sl_img_tls_name *n = sl_look_open(
		c, &(struct sl_look_section){"tls_names", ls->tls_name_cnt, ls->tls_name_off, 0,
					     SL_MAX_TLS_NAMES, sizeof(*n)});
	for (uint32_t i = 0; n && i < ls->tls_name_cnt; i++)
		sl_look_name(c, "tls_names", i, "name", n[i].name);
	const struct sl_img_tls_san *s = sl_look_open(
		c, &(struct sl_look_section){"tls_sans", ls->tls_san_cnt, ls->tls_san_off, 0,
					     SL_MAX_TLS_NAMES, sizeof(*s)});
	for (uint32_t i = 0; s && i < ls->tls_san_cnt; i++)
		check_san(c, i, &s[i]);
	const struct sl_img_sni *sni =
		sl_look_open(c, &(struct sl_look_section){"sni", ls->sni_cnt, ls->sni_off, 0,
							  SL_MAX_SNI, sizeof(*sni)});
	for (uint32_t i = 0, at = 0; l && i < ls->listener_cnt; i++) {
		check_listener(c, ls, &l[i], i, t, &u);
		for (uint32_t first = at; sni && at < u.sni; at++)
			check_sni(c, &sni[at], at, at == first);
	}
	if (!l && ls->listener_cnt) /* nobody to compare with */
		return;
	check_all_used(c, "tls", ls->tls_cnt, u.tls);
	if (t || ls->tls_cnt == 0) {
		check_all_used(c, "tls_names", ls->tls_name_cnt, u.name);
		check_all_used(c, "tls_sans", ls->tls_san_cnt, u.san);
	}
	check_all_used(c, "sni", ls->sni_cnt, u.sni);
}

/* ---- SERVICE ---- */

static void
check_service_trust(struct sl_look *c, const struct sl_img_tls_service *t)
{
	static const char none[SL_NAME_MAX];
	char field[16];
	bool over = false;

	for (uint32_t k = 0; k < SL_ARRAY_CNT(t->trust); k++) {
		bool empty = memcmp(t->trust[k], none, SL_NAME_MAX) == 0;
		snprintf(field, sizeof(field), "trust[%u]", k);
		if (k == 0 && empty && t->verify)
			sl_look_bad(c, "tls", SL_LOOK_NOWHERE, field,
				    "is empty: verify is 1, so there must be one");
		else if (over && !empty)
			sl_look_bad(c, "tls", SL_LOOK_NOWHERE, field,
				    "must be empty, as the one before");
		else if (!empty)
			sl_look_name(c, "tls", SL_LOOK_NOWHERE, field, t->trust[k]);
		over |= empty;
	}
}

static void
check_service_fields(struct sl_look *c, const struct sl_img_tls_service *t)
{
	static const char none[SL_NAME_MAX];
	const uint32_t no = SL_LOOK_NOWHERE;
	unsigned before = c->bad;
	uint32_t len =
		check_text(c, "tls", no, "server_name", t->server_name, sizeof(t->server_name));

	if (len && !host_name(t->server_name, len))
		sl_look_bad_text(c, "tls", no, "server_name", (const void *)t->server_name, len,
				 "is not a host name in lower case");
	if (c->bad == before && t->verify == 1 && !len && !t->san_cnt)
		sl_look_bad(c, "tls", no, "server_name",
			    "is empty: verify is 1 and there are no names to verify");
	check_versions(c, "tls", no, t->min_version, t->max_version);
	sl_look_range(c, "tls", no, "verify", t->verify, 0, 1);
	sl_look_range(c, "tls", no, "resume", t->resume, 0, 1);
	sl_look_range(c, "tls", no, "suites", t->suites, 1, SL_TLS_SUITES_ALL);
	sl_look_range(c, "tls", no, "groups", t->groups, 1, SL_TLS_GROUPS_ALL);
	sl_look_range(c, "tls", no, "auto_sni", t->auto_sni, 0, 1);
	sl_look_range(c, "tls", no, "handshake_ms", t->handshake_ms, 1, 600000);
	check_alpn(c, "tls", no, t->alpn, t->alpn_cnt);
	if (memcmp(t->certificate, none, SL_NAME_MAX) != 0)
		sl_look_name(c, "tls", no, "certificate", t->certificate);
	check_service_trust(c, t);
}

void
sl_look_service_tls(struct sl_look *c, const struct sl_img_service *s)
{
	if (!s->tls_off)
		return;
	if (s->forward != SL_FORWARD_PROXY)
		sl_look_zero(c, "", SL_LOOK_NOWHERE, "tls_off", s->tls_off);
	const struct sl_img_tls_service *t =
		sl_look_open(c, &(struct sl_look_section){"tls", 1, s->tls_off, 0, 1, sizeof(*t)});
	if (!t)
		return;
	check_service_fields(c, t);
	const struct sl_img_tls_san *sans = sl_look_open(
		c, &(struct sl_look_section){"tls_sans", t->san_cnt,
					     t->san_cnt ? s->tls_off + (uint32_t)sizeof(*t) : 0, 0,
					     SL_MAX_TLS_SANS, sizeof(*sans)});
	for (uint32_t i = 0; sans && i < t->san_cnt; i++)
		check_san(c, i, &sans[i]);
}
