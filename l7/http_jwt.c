/* Tokens of a request: the one that its issuers' places hold is found, read, looked at and verified (jwt.h, jwt_keys.h).
 *
 *   lines that claims are written to are hidden, whoever sent them ─▶ token ─▶ issuer, by `iss` ─▶ claims, times ─▶ signature
 *       ─▶ claims for rules, lines for the endpoint, the token taken away where the issuer says so
 *
 * A line is hidden by taking its name: nothing finds it any more, and it is not passed on.  What was hidden for a question alone
 * (dry) is put back by sl_http_jwt_restore.
 * A signature that may not be checked now waits: its connection stands in a list until checks may be made again, the head stays in
 * the receive queue and is read anew then; HTTP_TOKEN_WAITS at a time and HTTP_TOKEN_WAIT_MS at most, else 503. */
#include "l7/http_priv.h"

#include "l7/path.h"

#include <stdio.h>

struct walk {
	struct sl_http *h;
	const struct sl_http_rule *rule;
	const struct sl_http_head *head;
	struct http_decision *d;
	const struct sl_img_policy_ref *refs; /* [cnt]: issuers of the route */
	uint32_t cnt;
	/* what was found */
	struct sl_bytes token; /* .at NULL: none */
	uint32_t places;       /* bit i: some place of issuer i holds it */
	enum sl_jwt_bad bad;
};

static const struct sl_issuer *
issuer_of(const struct walk *w, uint32_t i)
{
	return &w->rule->issuers[w->refs[i].slot]; /* the view has checked that it is there */
}

/* ---- lines ---- */

static bool
hide(struct sl_http *h, const struct sl_http_head *head, unsigned i)
{
	struct http_tokens *t = &h->tokens;
	struct sl_http_line *l = (struct sl_http_line *)(uintptr_t)&head->line[i];

	if (t->hidden_cnt == HTTP_HIDDEN_MAX)
		return false;
	t->hidden[t->hidden_cnt++] = (struct http_hidden){.line = *l, .at = (uint16_t)i};
	l->name_len = 0;
	l->hop = 1;
	return true;
}

void
sl_http_jwt_restore(struct sl_http *h, const struct sl_http_head *head)
{
	struct http_tokens *t = &h->tokens;

	while (t->hidden_cnt) {
		const struct http_hidden *x = &t->hidden[--t->hidden_cnt];
		((struct sl_http_head *)(uintptr_t)head)->line[x->at] = x->line;
	}
}

/* Of the name in lower case; "_" is "-" to who reads lines as variables (CGI). */
static bool
is_named(const struct sl_http_head *head, const struct sl_http_line *l, struct sl_bytes name)
{
	const uint8_t *at = head->bytes + l->name;

	if (l->name_len != name.len)
		return false;
	for (uint32_t i = 0; i < name.len; i++) {
		uint8_t c = at[i] >= 'A' && at[i] <= 'Z' ? at[i] | 0x20 : at[i];
		if ((c == '_' ? '-' : c) != (name.at[i] == '_' ? '-' : name.at[i]))
			return false;
	}
	return true;
}

static bool
hide_all(struct walk *w, struct sl_bytes name)
{
	for (unsigned i = 0; i < w->head->line_cnt; i++)
		if (is_named(w->head, &w->head->line[i], name) && !hide(w->h, w->head, i))
			return false;
	return true;
}

static bool
hide_claims(struct walk *w)
{
	for (uint32_t i = 0; i < w->cnt; i++) {
		const struct sl_img_jwt *j = issuer_of(w, i)->img;
		const struct sl_img_jwt_claim *c =
			(const void *)((const uint8_t *)j + j->claim_off);
		for (uint32_t k = 0; k < j->claim_cnt; k++)
			if (!hide_all(w, sl_jwt_str(j, c[k].header)))
				return false;
		if (j->payload_header.len && !hide_all(w, sl_jwt_str(j, j->payload_header)))
			return false;
		/* an endpoint that puts trailers to the head would take them for ours */
		w->d->bare |= j->claim_cnt || j->payload_header.len;
	}
	return true;
}

/* ---- where the token is ---- */

/* The same place may be that of several issuers; what is in two places has to be the same. */
static void
found(struct walk *w, uint32_t issuer, struct sl_bytes token)
{
	if (w->token.at &&
	    (w->token.len != token.len || memcmp(w->token.at, token.at, token.len) != 0))
		w->bad = SL_JWT_SEVERAL;
	w->token = token;
	w->places |= 1u << issuer;
}

static struct sl_bytes
value_of(const struct walk *w, unsigned line)
{
	const struct sl_http_line *l = &w->head->line[line];

	return (struct sl_bytes){w->head->bytes + l->value, l->value_len};
}

/* A line of the name; two are one too many: who reads behind us might read the other. */
static bool
find_line(struct walk *w, struct sl_bytes name, struct sl_bytes *ret)
{
	uint16_t hash = sl_http_name_hash(name.at, name.len);
	unsigned i = sl_http_find(w->head, name.at, name.len, hash, 0);

	if (i >= w->head->line_cnt)
		return false;
	if (sl_http_find(w->head, name.at, name.len, hash, i + 1) < w->head->line_cnt)
		w->bad = SL_JWT_SEVERAL;
	*ret = value_of(w, i);
	return true;
}

static const struct sl_bytes authorization = {(const uint8_t *)"authorization", 13};

/* Whether the scheme is Bearer, and what is behind it: who says so and gives no token, or parts it otherwise, gives a bad one. */
static bool
is_bearer(struct sl_bytes v, struct sl_bytes *ret)
{
	if (v.len < 6 || strncasecmp((const char *)v.at, "bearer", 6) != 0 ||
	    (v.len > 6 && v.at[6] != ' ' && v.at[6] != '\t'))
		return false;
	for (v.at += 6, v.len -= 6; v.len && *v.at == ' '; v.at++)
		v.len--;
	*ret = v;
	return true;
}

static void
find_bearer(struct walk *w, uint32_t issuer)
{
	struct sl_bytes v, token;

	if (find_line(w, authorization, &v) && is_bearer(v, &token))
		found(w, issuer, token);
}

/* The next of pieces that `sep` parts. */
static bool
next_piece(struct sl_bytes *rest, char sep, struct sl_bytes *ret)
{
	if (!rest->at)
		return false;
	const uint8_t *end = memchr(rest->at, sep, rest->len);
	uint32_t n = end ? (uint32_t)(end - rest->at) : rest->len;

	*ret = (struct sl_bytes){rest->at, n};
	*rest = end ? (struct sl_bytes){end + 1, rest->len - n - 1} : (struct sl_bytes){0};
	return true;
}

static bool
is_cookie(struct sl_bytes *piece, struct sl_bytes name)
{
	while (piece->len && (*piece->at == ' ' || *piece->at == '\t'))
		*piece = (struct sl_bytes){piece->at + 1, piece->len - 1};
	while (piece->len &&
	       (piece->at[piece->len - 1] == ' ' || piece->at[piece->len - 1] == '\t'))
		piece->len--;
	return piece->len > name.len && piece->at[name.len] == '=' &&
	       memcmp(piece->at, name.at, name.len) == 0;
}

static void
find_cookie(struct walk *w, uint32_t issuer, struct sl_bytes name)
{
	struct sl_bytes rest, piece;
	unsigned cnt = 0;

	for (unsigned i = 0; i < w->head->line_cnt; i++) {
		if (w->head->line[i].known != SL_HTTP_COOKIE)
			continue;
		for (rest = value_of(w, i); next_piece(&rest, ';', &piece);) {
			if (!is_cookie(&piece, name))
				continue;
			if (cnt++)
				w->bad = SL_JWT_SEVERAL;
			found(w, issuer,
			      (struct sl_bytes){piece.at + name.len + 1, piece.len - name.len - 1});
		}
	}
}

static void
find_query(struct walk *w, uint32_t issuer, struct sl_bytes name)
{
	struct http_tokens *t = &w->h->tokens;
	struct sl_bytes rest = w->d->query, piece, v;
	unsigned cnt = 0;

	while (!w->bad && next_piece(&rest, '&', &piece)) {
		/* not over the one that it is compared with */
		uint8_t *to = t->found[w->token.at == t->found[0]];
		if (!sl_query_value(piece.at, piece.len, name.at, name.len, &v.at, &v.len))
			continue;
		if (cnt++)
			w->bad = SL_JWT_SEVERAL;
		else if (!sl_query_decode(v.at, v.len, to, sizeof(t->found[0]), &v.at, &v.len))
			w->bad = SL_JWT_LONG;
		else
			found(w, issuer, v);
	}
}

static void
find_token(struct walk *w)
{
	for (uint32_t i = 0; i < w->cnt; i++) {
		const struct sl_img_jwt *j = issuer_of(w, i)->img;
		const struct sl_img_jwt_from *f = (const void *)((const uint8_t *)j + j->from_off);
		for (uint32_t k = 0; k < j->from_cnt && !w->bad; k++) {
			struct sl_bytes name = sl_jwt_str(j, f[k].name), v;
			if (f[k].place == SL_JWT_FROM_BEARER)
				find_bearer(w, i);
			else if (f[k].place == SL_JWT_FROM_COOKIE)
				find_cookie(w, i, name);
			else if (f[k].place == SL_JWT_FROM_QUERY)
				find_query(w, i, name);
			else if (find_line(w, name, &v))
				found(w, i, v);
		}
	}
}

/* ---- whose it is ---- */

static enum sl_jwt_bad
ask_issuer(struct walk *w, const struct sl_issuer *s, bool dry)
{
	struct http_tokens *t = &w->h->tokens;
	struct sl_jwt_asked asked;
	enum sl_jwt_bad bad = sl_jwt_claims(&t->token, s->img, t->wall_s);

	if (bad)
		return bad;
	if (sl_unlikely(!t->verifier)) /* there was no memory for it */
		return SL_JWT_NO_KEYS;
	bad = sl_jwt_verify(t->verifier, s->keys, &t->token, http_now(w->h), dry && !w->d->sampled,
			    &asked);
	if (!dry) {
		w->h->conf.stats->count[SL_HTTP_CNT_TOKEN_CHECKED] += asked.checks;
		w->h->conf.stats->count[SL_HTTP_CNT_TOKEN_KEPT] += asked.kept;
	}
	return bad;
}

/* The issuer that stands for the token, else NULL with the reason of the first that was asked. */
static const struct sl_issuer *
find_issuer(struct walk *w, bool dry, const struct sl_issuer **ret_asked)
{
	struct http_tokens *t = &w->h->tokens;
	bool named = false;

	w->bad = SL_JWT_ISSUER;
	for (unsigned any = 0; any < 2 && !named; any++)
		for (uint32_t i = 0; i < w->cnt; i++) {
			const struct sl_issuer *s = issuer_of(w, i);
			if (!(w->places >> i & 1) || (s->img->issuer.len == 0) != any ||
			    !sl_jwt_issuer(&t->token, s->img))
				continue;
			named |= !any;
			enum sl_jwt_bad bad = ask_issuer(w, s, dry);
			if (!*ret_asked || bad == SL_JWT_OK || bad == SL_JWT_BUSY) {
				*ret_asked = s;
				w->bad = bad;
			}
			if (bad == SL_JWT_OK)
				return s;
			if (bad == SL_JWT_BUSY)
				return NULL;
		}
	return NULL;
}

/* ---- what it says ---- */

static uint8_t *
text_room(struct http_tokens *t, uint32_t n)
{
	if (sizeof(t->text) - t->text_len < n)
		return NULL;
	t->text_len += n;
	return t->text + t->text_len - n;
}

/* "outer.inner"; .at NULL: no room. */
static struct sl_bytes
join(struct http_tokens *t, struct sl_bytes outer, struct sl_bytes inner)
{
	uint8_t *to = text_room(t, outer.len + 1 + inner.len);
	if (!to)
		return (struct sl_bytes){0};
	memcpy(to, outer.at, outer.len);
	to[outer.len] = '.';
	memcpy(to + outer.len + 1, inner.at, inner.len);
	return (struct sl_bytes){to, outer.len + 1 + inner.len};
}

/* The value at *i with all its own, which *i is then behind.  false: no room. */
static bool
add_claims(struct sl_http *h, struct sl_bytes name, uint32_t *i)
{
	struct http_tokens *t = &h->tokens;
	const struct sl_json *j = &t->token.claims;
	const struct sl_json_value *v = &j->value[(*i)++];

	if (v->type == SL_JSON_NULL)
		return true;
	if (v->type != SL_JSON_OBJECT && v->type != SL_JSON_ARRAY) {
		if (h->claims.cnt == HTTP_CLAIMS_MAX)
			return false;
		h->claims.claim[h->claims.cnt++] = (struct sl_claim){name, sl_json_bytes(j, v)};
		return true;
	}
	while (*i < v->end) {
		const struct sl_json_value *own = &j->value[*i];
		struct sl_bytes its = {j->text + own->name, own->name_len};
		if (v->type == SL_JSON_ARRAY)
			its = name;
		else if (v != j->value) /* a member called "" is none of the whole */
			its = join(t, name, its);
		if (!its.at || !add_claims(h, its, i))
			return false;
	}
	return true;
}

/* ---- what the endpoint sees ---- */

static bool
add_edit(struct walk *w, struct sl_bytes name, struct sl_bytes value)
{
	struct http_tokens *t = &w->h->tokens;
	uint8_t *to =
		w->d->request_edits == HTTP_TOKEN_EDITS ? NULL : text_room(t, name.len + value.len);

	if (!to)
		return false;
	memcpy(to, name.at, name.len);
	memcpy(to + name.len, value.at, value.len);
	t->edits[w->d->request_edits++] = (struct sl_img_edit){
		.op = SL_EDIT_SET,
		.name = {(uint32_t)(to - t->text), name.len},
		.value = {(uint32_t)(to - t->text) + name.len, value.len},
	};
	return true;
}

/* Whether it can stand in a line as it is (RFC 9110, 5.5). */
static bool
is_field(struct sl_bytes v)
{
	for (uint32_t i = 0; i < v.len; i++)
		if (v.at[i] < ' ' || v.at[i] == 0x7f)
			return false;
	return v.len && v.at[0] != ' ' && v.at[v.len - 1] != ' ';
}

static bool
write_claims(struct walk *w, const struct sl_img_jwt *j)
{
	const struct sl_jwt *t = &w->h->tokens.token;
	const struct sl_img_jwt_claim *c = (const void *)((const uint8_t *)j + j->claim_off);

	for (uint32_t i = 0; i < j->claim_cnt; i++) {
		struct sl_bytes name = sl_jwt_str(j, c[i].claim);
		const struct sl_json_value *v = sl_jwt_claim(t, name.at, name.len);
		if (!v || v->type < SL_JSON_FALSE || v->type > SL_JSON_STRING ||
		    !is_field(sl_json_bytes(&t->claims, v)))
			continue;
		if (!add_edit(w, sl_jwt_str(j, c[i].header), sl_json_bytes(&t->claims, v)))
			return false;
	}
	return !j->payload_header.len || add_edit(w, sl_jwt_str(j, j->payload_header), t->payload);
}

static bool
is_token_cookie(const struct sl_img_jwt *j, struct sl_bytes *piece)
{
	const struct sl_img_jwt_from *f = (const void *)((const uint8_t *)j + j->from_off);

	for (uint32_t i = 0; i < j->from_cnt; i++)
		if (f[i].place == SL_JWT_FROM_COOKIE && is_cookie(piece, sl_jwt_str(j, f[i].name)))
			return true;
	return false;
}

/* Cookies without those that hold tokens, in one line. */
static bool
strip_cookies(struct walk *w, const struct sl_img_jwt *j)
{
	static const struct sl_bytes cookie = {(const uint8_t *)"cookie", 6};
	struct http_tokens *t = &w->h->tokens;
	uint32_t room = (uint32_t)sizeof(t->text) - t->text_len, n = 0;
	uint8_t *to = t->text + t->text_len;
	struct sl_bytes rest, piece;

	for (unsigned i = 0; i < w->head->line_cnt; i++) {
		if (w->head->line[i].known != SL_HTTP_COOKIE)
			continue;
		for (rest = value_of(w, i); next_piece(&rest, ';', &piece);) {
			if (is_token_cookie(j, &piece) || piece.len == 0)
				continue;
			if (room - n < piece.len + 2)
				return false;
			memcpy(to + n, "; ", n ? 2 : 0);
			n += n ? 2 : 0;
			memcpy(to + n, piece.at, piece.len);
			n += piece.len;
		}
	}
	t->text_len += n;
	return hide_all(w, cookie) && (n == 0 || add_edit(w, cookie, (struct sl_bytes){to, n}));
}

/* The query without parameters of the name. */
static bool
strip_query(struct walk *w, struct sl_bytes name)
{
	struct http_tokens *t = &w->h->tokens;
	struct sl_bytes rest = w->d->query, piece;
	uint8_t *to = text_room(t, w->d->query.len);
	const uint8_t *v;
	uint32_t n = 0, len;

	if (!to)
		return false;
	while (next_piece(&rest, '&', &piece)) {
		if (sl_query_value(piece.at, piece.len, name.at, name.len, &v, &len))
			continue;
		if (n)
			to[n++] = '&';
		memcpy(to + n, piece.at, piece.len);
		n += piece.len;
	}
	w->d->query = n ? (struct sl_bytes){to, n} : (struct sl_bytes){0};
	return true;
}

/* From all places where the issuer's tokens are. */
static bool
strip(struct walk *w, const struct sl_img_jwt *j)
{
	const struct sl_img_jwt_from *f = (const void *)((const uint8_t *)j + j->from_off);
	struct sl_bytes v;
	bool ok = true, cookies = false;

	for (uint32_t i = 0; i < j->from_cnt && ok; i++) {
		struct sl_bytes name = sl_jwt_str(j, f[i].name);
		if (f[i].place == SL_JWT_FROM_BEARER)
			ok = !find_line(w, authorization, &v) || !is_bearer(v, &v) ||
			     hide_all(w, authorization);
		else if (f[i].place == SL_JWT_FROM_HEADER)
			ok = hide_all(w, name);
		else if (f[i].place == SL_JWT_FROM_COOKIE)
			cookies = true;
		else if (w->d->query.at)
			ok = strip_query(w, name);
	}
	return ok && (!cookies || strip_cookies(w, j));
}

static enum sl_jwt_bad
take_claims(struct walk *w, const struct sl_issuer *s)
{
	uint32_t i = 0;

	if (!add_claims(w->h, (struct sl_bytes){(const uint8_t *)"", 0}, &i) ||
	    !write_claims(w, s->img) || (s->img->flags & SL_JWT_STRIP && !strip(w, s->img)))
		return SL_JWT_MANY;
	return SL_JWT_OK;
}

/* ---- the answer ---- */

/* RFC 6750, 3: no error where there was no token. */
static void
refuse(struct walk *w, const struct sl_issuer *s, enum sl_jwt_bad bad)
{
	char line[256];
	int n = bad == SL_JWT_MISSING
			? snprintf(line, sizeof(line), "Bearer")
			: snprintf(line, sizeof(line),
				   "Bearer error=\"invalid_token\", error_description=\"%s\"",
				   sl_jwt_bad_text(bad));

	sl_http_policy_edit(w->h, w->d, "www-authenticate", line, (size_t)n);
	sl_http_policy_refuse(w->d, 401, SL_RF_UAEX,
			      bad == SL_JWT_MISSING ? SL_HTTP_CNT_TOKEN_MISSING
						    : SL_HTTP_CNT_TOKEN_REFUSED,
			      sl_jwt_bad_text(bad));
	sl_http_policy_why(w->d, s ? s->img->name : "jwt", sl_jwt_bad_name(bad));
}

static void
busy(struct walk *w, const struct sl_issuer *s)
{
	w->d->wait = 1;
	sl_http_policy_edit(w->h, w->d, "retry-after", "1", 1);
	sl_http_policy_refuse(w->d, 503, SL_RF_UO, SL_HTTP_CNT_TOKEN_BUSY,
			      sl_jwt_bad_text(SL_JWT_BUSY));
	sl_http_policy_why(w->d, s->img->name, sl_jwt_bad_name(SL_JWT_BUSY));
}

static bool
required(const struct walk *w)
{
	for (uint32_t i = 0; i < w->cnt; i++)
		if (w->refs[i].flags)
			return true;
	return false;
}

void
sl_http_judge_jwt(struct sl_http *h, const struct sl_http_rule *rule,
		  const struct sl_http_head *head, struct http_decision *d, bool dry)
{
	const struct sl_img_vhost *v = d->vhost->img;
	struct walk w = {
		.h = h,
		.rule = rule,
		.head = head,
		.d = d,
		.refs = (const struct sl_img_policy_ref *)((const char *)v + v->policy_ref_off) +
			d->policy->ref_first};
	const struct sl_issuer *asked = NULL, *s = NULL;

	while (w.cnt < d->policy->ref_cnt && w.refs[w.cnt].kind == SL_OBJ_JWT)
		w.cnt++;
	if (w.cnt == 0)
		return;
	h->tokens.text_len = 0;
	if (hide_claims(&w))
		find_token(&w);
	else
		w.bad = SL_JWT_MANY;
	if (!w.bad && !w.token.at && !required(&w))
		return;
	if (!w.bad && !w.token.at)
		w.bad = SL_JWT_MISSING;
	if (!w.bad)
		w.bad = sl_jwt_read(w.token, &h->tokens.token);
	if (!w.bad)
		s = find_issuer(&w, dry, &asked);
	if (!w.bad)
		w.bad = take_claims(&w, s);
	if (w.bad == SL_JWT_BUSY)
		busy(&w, asked);
	else if (w.bad)
		refuse(&w, asked, w.bad);
}

/* ---- who waits ---- */

bool
sl_http_jwt_wait(struct http_conn *c)
{
	struct sl_http *h = c->http;
	struct http_tokens *t = &h->tokens;
	uint32_t place = (uint32_t)(c - h->conns) + 1, now_ms = sl_tcp_now_ms(h->conf.tcp);

	if (t->wait_cnt == HTTP_TOKEN_WAITS ||
	    (c->waited && now_ms - c->waited_ms >= HTTP_TOKEN_WAIT_MS))
		return false;
	if (!c->waited) {
		http_count(h, SL_HTTP_CNT_TOKEN_WAITED);
		c->waited_ms = now_ms;
		c->waited = 1;
	}
	if (t->wait == UINT32_MAX)
		t->wait = place;
	else
		h->conns[t->wait_last - 1].wait = place;
	t->wait_last = place;
	t->wait_cnt++;
	c->wait = UINT32_MAX;
	return true;
}

void
sl_http_jwt_tick(struct sl_http *h)
{
	struct http_tokens *t = &h->tokens;
	uint32_t now_ms = sl_tcp_now_ms(h->conf.tcp);

	if (h->conf.env.wall && (!t->wall_s || now_ms - t->wall_ms >= HTTP_WALL_MS)) {
		t->wall_s = h->conf.env.wall(h->conf.env.ctx);
		t->wall_ms = now_ms;
	}
}

struct http_conn *
sl_http_jwt_next(struct sl_http *h)
{
	struct http_tokens *t = &h->tokens;

	if (t->wait == UINT32_MAX || !sl_jwt_verifier_ready(t->verifier, http_now(h)))
		return NULL;
	struct http_conn *c = &h->conns[t->wait - 1];
	t->wait = c->wait;
	t->wait_cnt--;
	c->wait = 0;
	return c;
}

/* ---- a token that is only told of ---- */

/* Whether claims of the name are among them; *ret_fits: one is the text. */
static bool
is_told(const struct http_claims *claims, const char *name, struct sl_bytes text, bool *ret_fits)
{
	bool told = false;

	for (uint32_t i = 0; i < claims->cnt; i++) {
		const struct sl_claim *c = &claims->claim[i];
		if (c->name.len != strlen(name) || memcmp(c->name.at, name, c->name.len) != 0)
			continue;
		told = true;
		*ret_fits |=
			c->value.len == text.len && memcmp(c->value.at, text.at, text.len) == 0;
	}
	return told;
}

/* What is not told of is taken to be as the issuer wants it. */
static enum sl_jwt_bad
presume(const struct sl_img_jwt *j, const struct http_claims *claims)
{
	const struct sl_img_str *a = (const void *)((const uint8_t *)j + j->audience_off);
	bool fits = false, told = false;

	if (j->issuer.len && is_told(claims, "iss", sl_jwt_str(j, j->issuer), &fits) && !fits)
		return SL_JWT_ISSUER;
	fits = false;
	for (uint32_t i = 0; i < j->audience_cnt; i++)
		told |= is_told(claims, "aud", sl_jwt_str(j, a[i]), &fits);
	return told && !fits ? SL_JWT_AUDIENCE : SL_JWT_OK;
}

void
sl_http_presume_jwt(struct sl_http *h, const struct sl_http_rule *rule,
		    const struct http_claims *claims, struct http_decision *d)
{
	const struct sl_img_vhost *v = d->vhost->img;
	const struct sl_img_policy_ref *refs =
		(const struct sl_img_policy_ref *)((const char *)v + v->policy_ref_off) +
		d->policy->ref_first;
	struct walk w = {.h = h, .rule = rule, .d = d, .refs = refs};
	enum sl_jwt_bad bad = SL_JWT_OK;
	const struct sl_issuer *first = NULL;

	for (; w.cnt < d->policy->ref_cnt && refs[w.cnt].kind == SL_OBJ_JWT; w.cnt++) {
		const struct sl_issuer *s = issuer_of(&w, w.cnt);
		enum sl_jwt_bad its = presume(s->img, claims);
		if (its == SL_JWT_OK)
			return;
		if (!first || (bad == SL_JWT_ISSUER && its != bad)) {
			first = s;
			bad = its;
		}
	}
	if (bad)
		refuse(&w, bad == SL_JWT_ISSUER ? NULL : first, bad);
}
