/* cert and tickets: texts are checked here, then secrets.h does what is to be done and calls back.  Keys are in the request and in
 * memory that is wiped; no sentence, answer or line of the audit log is made of them. */
#include "mgmt/cert_use.h"
#include "mgmt/secrets.h"
#include "mgmt/show.h"
#include "mgmt/wipe.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- answers ---- */

static json_t *
items_json(const struct sl_diag_item *items, unsigned cnt)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < cnt; i++) {
		const struct sl_diag_item *it = &items[i];
		json_t *text = json_string(it->text ? it->text : "out of memory");
		json_array_append_new(list, json_pack("{s:n, s:i, s:s?, s:o, s:s?}", "file", "line",
						      0, "path", it->path, "text",
						      text ? text : json_string("(not UTF-8)"),
						      "hint", it->hint));
	}
	return list;
}

static void
add_warnings(json_t *a, const struct sl_diag *diag)
{
	if (diag->warning_cnt == 0)
		return;
	json_object_set_new(a, "warnings", items_json(diag->warnings, diag->warning_cnt));
	json_object_set_new(a, "warnings_more", json_integer(diag->warning_more));
}

static json_t *
problems(const struct sl_verb_run *r, const struct sl_diag *diag, const char *what)
{
	unsigned n = diag->cnt + diag->more;
	json_t *a = sl_call_error(r->verb, "config", NULL, "%s cannot be used: %u problem%s", what,
				  n, n == 1 ? "" : "s");

	json_object_set_new(a, "problems", items_json(diag->items, diag->cnt));
	json_object_set_new(a, "more", json_integer(diag->more));
	add_warnings(a, diag);
	return a;
}

/* NULL, or the error: not everybody who may look may do this. */
static json_t *
denied(const struct sl_verb_run *r, const char *op)
{
	if (r->peer->role >= SL_ROLE_ADMIN)
		return NULL;
	return sl_call_error(r->verb, "denied",
			     "an administrator grants it under roles in sluiced.conf",
			     "%s %s needs the role %s; user %s (uid %u) is %s", r->verb, op,
			     sl_roles_name(SL_ROLE_ADMIN), r->peer->user, (unsigned)r->peer->uid,
			     sl_roles_name(r->peer->role));
}

/* ---- what a certificate is, for people ---- */

static json_t *
line_json(const struct sl_cert_line *l)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "subject", l->subject, "issuer",
			 l->issuer, "serial", l->serial, "fingerprint", l->fingerprint, "key",
			 l->key, "not_before", sl_show_time(l->not_before_s * 1000), "not_after",
			 sl_show_time(l->not_after_s * 1000));
}

static const char *
state_of(const struct sl_cert_info *i, int64_t now_s)
{
	int64_t left = sl_cert_not_after(i, now_s) - now_s;

	if (i->kind == SL_SECRET_PAIR && i->lines[0].not_before_s > now_s)
		return "early";
	return left <= 0 ? "expired" : left < SL_CERT_SOON_S ? "soon" : "ok";
}

static json_t *
info_json(const struct sl_cert_info *i, bool whole)
{
	int64_t now_s = sl_daemon_wall_ms() / 1000, to = sl_cert_not_after(i, now_s);
	json_t *names = json_array(), *chain = json_array(), *usage = json_array();

	for (unsigned k = 0; k < i->name_cnt; k++)
		json_array_append_new(names, json_string(i->names[k]));
	for (unsigned k = 0; k < i->line_cnt && whole; k++)
		json_array_append_new(chain, line_json(&i->lines[k]));
	if (i->usage & SL_CERT_SERVER)
		json_array_append_new(usage, json_string("server"));
	if (i->usage & SL_CERT_CLIENT)
		json_array_append_new(usage, json_string("client"));
	json_t *o = json_pack(
		"{s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:s, s:i, s:o}", "kind",
		sl_secrets_kind(i->kind), "names", names, "subject", i->lines[0].subject, "issuer",
		i->lines[0].issuer, "key", i->lines[0].key, "fingerprint", i->lines[0].fingerprint,
		"not_before", sl_show_time(i->lines[0].not_before_s * 1000), "not_after",
		sl_show_time(to * 1000), "days_left",
		(json_int_t)((to - now_s - (to < now_s ? 86399 : 0)) / 86400), "state",
		state_of(i, now_s), "certificates", (int)i->line_cnt, "usage", usage);
	if (whole)
		json_object_set(o, "chain", chain);
	json_decref(chain);
	return o;
}

static json_t *
entry_json(const struct sl_daemon *d, const struct sl_cert_entry *e, bool whole)
{
	json_t *o = json_pack("{s:s, s:o, s:b, s:o}", "name", e->name, "added",
			      sl_show_time(e->added_ms), "damaged", e->damaged, "used_by",
			      sl_cert_users(d, e->name));
	json_t *more = info_json(&e->info, whole);

	json_object_update(o, more);
	json_decref(more);
	return o;
}

/* ---- add, replace, remove ---- */

struct run {                  /* a change that waits for its answer */
	struct sl_verb_run r; /* body: dropped; verb stays */
	struct sl_peer peer;
	char op[16], name[SL_NAME_MAX], kind[16], comment[1025];
	char fingerprint[65];
	struct sl_diag diag; /* warnings */
};

static struct run *
run_new(const struct sl_verb_run *r, const char *op, const char *name)
{
	struct run *own = calloc(1, sizeof(*own));
	const char *comment = sl_verb_text(r, "comment");

	if (!own)
		return NULL;
	own->r = *r;
	own->peer = *r->peer;
	own->r.peer = &own->peer;
	snprintf(own->op, sizeof(own->op), "%s", op);
	snprintf(own->name, sizeof(own->name), "%s", name ? name : "");
	snprintf(own->comment, sizeof(own->comment), "%s", comment ? comment : "");
	return own;
}

static void
audit(const struct run *own, const char *outcome)
{
	json_t *e = json_pack("{s:s, s:s, s:s, s:s}", "verb", own->r.verb, "op", own->op, "outcome",
			      outcome, "comment", own->comment);

	if (*own->name)
		json_object_set_new(e, "name", json_string(own->name));
	if (*own->kind)
		json_object_set_new(e, "kind", json_string(own->kind));
	if (*own->fingerprint)
		json_object_set_new(e, "fingerprint", json_string(own->fingerprint));
	if (sl_audit_add(own->r.d->audit, sl_daemon_wall_ms(), own->peer.uid, own->peer.user, e))
		sl_daemon_say("audit: %s %s %s could not be written", own->r.verb, own->op,
			      own->name);
}

static json_t *
tickets_json(const struct sl_daemon *d)
{
	const struct sl_tickets *t = sl_secrets_tickets(d->secrets);
	struct sl_tickets_row row[SL_TICKET_KEYS];
	unsigned cnt = sl_tickets_rows(t, row);
	int64_t since = sl_tickets_since(t);
	bool installed = sl_tickets_installed(t);
	json_t *keys = json_array();

	for (unsigned i = 0; i < cnt; i++)
		json_array_append_new(keys,
				      json_pack("{s:s, s:o, s:b}", "name", row[i].name, "since",
						sl_show_time(row[i].made_ms), "encrypts", i == 0));
	return json_pack("{s:s, s:o, s:o, s:o, s:I}", "mode", installed ? "installed" : "own",
			 "keys", keys, "since", sl_show_time(since), "next",
			 installed ? json_null()
				   : sl_show_time(since + (int64_t)d->conf->ticket_rotate_ms),
			 "rotate_s", (json_int_t)(d->conf->ticket_rotate_ms / 1000));
}

static void
on_done(void *ctx, const struct sl_secrets_result *res)
{
	struct run *own = ctx;
	struct sl_daemon *d = own->r.d;
	const struct sl_cert_entry *e = sl_certs_find(sl_secrets_certs(d->secrets), own->name);
	json_t *a;

	audit(own, res->code ? res->code : "ok");
	if (res->code) {
		a = sl_call_error(own->r.verb, res->code, res->hint, "%s", res->text);
	} else {
		a = sl_verb_ok(&own->r);
		json_object_set_new(a, "sent", json_boolean(res->sent));
		json_object_set_new(a, "note",
				    res->sent ? json_null()
					      : json_string("the dataplane is not connected: it is "
							    "told as soon as it comes"));
		if (strcmp(own->r.verb, "tickets") == 0)
			json_object_set_new(a, "tickets", tickets_json(d));
		else if (e)
			json_object_set_new(a, "certificate", entry_json(d, e, false));
		add_warnings(a, &own->diag);
	}
	sl_call_answer(own->r.call, a);
	sl_diag_fini(&own->diag);
	free(own);
}

/* NULL, or the error: which texts go together, and with which op. */
static json_t *
texts_wrong(const struct sl_verb_run *r, const char *op)
{
	bool cert = sl_verb_text(r, "cert"), key = sl_verb_text(r, "key"),
	     ca = sl_verb_text(r, "ca");
	bool wants =
		strcmp(op, "add") == 0 || strcmp(op, "replace") == 0 || strcmp(op, "check") == 0;

	if (!wants && (cert || key || ca))
		return sl_call_error(r->verb, "invalid", NULL, "cert, key, ca: not allowed with %s",
				     op);
	if (wants && (cert != key || cert == ca))
		return sl_call_error(r->verb, "invalid",
				     "a certificate: --cert FILE --key FILE; a bundle: --ca FILE",
				     "%s needs cert and key, or ca alone", op);
	if (!sl_verb_text(r, "name") && strcmp(op, "list") && strcmp(op, "check"))
		return sl_call_error(r->verb, "invalid", NULL, "key \"name\" is missing");
	return NULL;
}

static int
check_texts(const struct sl_verb_run *r, struct sl_diag *diag, struct sl_cert_made *m)
{
	json_t *cert = json_object_get(r->body, "cert"), *key = json_object_get(r->body, "key");
	json_t *ca = json_object_get(r->body, "ca");
	int64_t now_s = sl_daemon_wall_ms() / 1000;

	if (ca)
		return sl_cert_check_trust(json_string_value(ca), json_string_length(ca), now_s,
					   diag, m);
	return sl_cert_check_pair(json_string_value(cert), json_string_length(cert),
				  json_string_value(key), json_string_length(key), now_s, diag, m);
}

/* Of the request: nobody needs them any more. */
static void
forget_texts(const struct sl_verb_run *r)
{
	static const char *const keys[] = {"key", "keys"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(keys); i++) {
		json_t *v = json_object_get(r->body, keys[i]);
		if (json_is_string(v))
			OPENSSL_cleanse((char *)(uintptr_t)json_string_value(v),
					json_string_length(v));
	}
}

/* NULL, or the error: is there one, should there be? */
static json_t *
existence_wrong(const struct sl_verb_run *r, const char *op, const char *name)
{
	struct sl_secrets *s = r->d->secrets;
	const struct sl_cert_entry *e = sl_certs_find(sl_secrets_certs(s), name);
	bool ca = sl_verb_text(r, "ca"), add = strcmp(op, "add") == 0;
	char hint[160];

	snprintf(hint, sizeof(hint), "to put another in its place: sluicectl cert replace %s …",
		 name);
	if (sl_secrets_busy(s, name))
		return sl_call_error(r->verb, "busy", "try again in a moment",
				     "another change of %s is under way", name);
	if (add && e)
		return sl_call_error(r->verb, "exists", hint, "there is a %s %s",
				     sl_secrets_kind(e->info.kind), name);
	if (!add && !e)
		return sl_call_error(r->verb, "not_found", "see: sluicectl cert list",
				     "there is no certificate or bundle %s", name);
	if (strcmp(op, "replace") == 0 && ca != (e->info.kind == SL_SECRET_TRUST))
		return sl_call_error(r->verb, "invalid", "remove it first, or take another name",
				     "%s is a %s", name, sl_secrets_kind(e->info.kind));
	if (add && sl_certs_full(sl_secrets_certs(s)))
		return sl_call_error(r->verb, "refused", "remove some", "there are %u already",
				     SL_MAX_SECRETS - 1);
	return NULL;
}

/* The same certificate under two names is allowed, and hardly meant. */
static void
warn_twin(const struct sl_daemon *d, const char *name, const struct sl_cert_made *m,
	  struct sl_diag *diag)
{
	unsigned cnt;
	struct sl_cert_entry *const *e = sl_certs_list(sl_secrets_certs(d->secrets), &cnt);

	for (unsigned i = 0; i < cnt && m->info.kind == SL_SECRET_PAIR; i++)
		if (e[i]->info.kind == SL_SECRET_PAIR && (!name || strcmp(e[i]->name, name)) &&
		    strcmp(e[i]->info.lines[0].fingerprint, m->info.lines[0].fingerprint) == 0)
			sl_diag_warn(diag, NULL, 0, "cert", NULL,
				     "it is the certificate of %s, too", e[i]->name);
}

static void
put(const struct sl_verb_run *r, const char *op, const char *name)
{
	json_t *error = existence_wrong(r, op, name);
	struct sl_cert_made m = {.secret = NULL};
	struct run *own = error ? NULL : run_new(r, op, name);

	if (!own) {
		sl_call_answer(r->call, error);
		return;
	}
	snprintf(own->kind, sizeof(own->kind), "%s", sl_verb_text(r, "ca") ? "bundle" : "pair");
	int err = check_texts(r, &own->diag, &m);
	forget_texts(r);
	if (err) {
		audit(own, "config");
		sl_call_answer(r->call, err == -ENOMEM ? NULL
						       : problems(r, &own->diag,
								  sl_verb_text(r, "ca")
									  ? "the bundle"
									  : "the certificate"));
		sl_diag_fini(&own->diag);
		free(own);
		return;
	}
	warn_twin(r->d, name, &m, &own->diag);
	snprintf(own->fingerprint, sizeof(own->fingerprint), "%s", m.info.lines[0].fingerprint);
	sl_secrets_put(r->d->secrets, name, &m, on_done, own);
}

static void
check(const struct sl_verb_run *r)
{
	struct sl_cert_made m = {.secret = NULL};
	struct sl_diag diag = {0};
	int err = check_texts(r, &diag, &m);
	json_t *a = NULL;

	forget_texts(r);
	if (err == -EINVAL) {
		a = problems(r, &diag, sl_verb_text(r, "ca") ? "the bundle" : "the certificate");
	} else if (!err) {
		warn_twin(r->d, NULL, &m, &diag);
		a = sl_verb_ok(r);
		json_object_set_new(a, "certificate", info_json(&m.info, true));
		add_warnings(a, &diag);
	}
	sl_cert_made_fini(&m);
	sl_diag_fini(&diag);
	sl_call_answer(r->call, a);
}

static void
remove_one(const struct sl_verb_run *r, const char *name)
{
	json_t *error = existence_wrong(r, "remove", name), *users = NULL;
	struct run *own = NULL;

	if (!error) {
		users = sl_cert_users(r->d, name);
		if (json_array_size(users) > 0) {
			const json_t *u = json_array_get(users, 0);
			error = sl_call_error(r->verb, "in_use",
					      "push a table without it first; to renew it: "
					      "sluicectl cert replace",
					      "%s is used by %s %s%s", name,
					      json_string_value(json_object_get(u, "kind")),
					      json_string_value(json_object_get(u, "name")),
					      json_array_size(users) > 1 ? " and others" : "");
			json_object_set(error, "used_by", users);
		}
	}
	json_decref(users);
	if (!error)
		own = run_new(r, "remove", name);
	if (!own) {
		sl_call_answer(r->call, error);
		return;
	}
	const struct sl_cert_entry *e = sl_certs_find(sl_secrets_certs(r->d->secrets), name);
	snprintf(own->kind, sizeof(own->kind), "%s", sl_secrets_kind(e->info.kind));
	snprintf(own->fingerprint, sizeof(own->fingerprint), "%s", e->info.lines[0].fingerprint);
	sl_secrets_remove(r->d->secrets, name, on_done, own);
}

/* ---- list, show ---- */

static void
list(const struct sl_verb_run *r, const char *name)
{
	const struct sl_certs *certs = sl_secrets_certs(r->d->secrets);
	const struct sl_cert_entry *one = name ? sl_certs_find(certs, name) : NULL;
	unsigned cnt;
	struct sl_cert_entry *const *e = sl_certs_list(certs, &cnt);

	if (name && !one) {
		sl_call_answer(r->call,
			       sl_call_error(r->verb, "not_found", "see: sluicectl cert list",
					     "there is no certificate or bundle %s", name));
		return;
	}
	json_t *a = sl_verb_ok(r), *rows = json_array();
	for (unsigned i = 0; i < cnt && !one; i++)
		json_array_append_new(rows, entry_json(r->d, e[i], false));
	if (one)
		json_object_set_new(a, "certificate", entry_json(r->d, one, true));
	else
		json_object_set(a, "certificates", rows);
	json_decref(rows);
	sl_call_answer(r->call, a);
}

void
sl_verb_cert(const struct sl_verb_run *r)
{
	static const char *const ops[] = {"add", "replace", "remove", "check", "list", "show"};
	const char *op = sl_verb_text(r, "op"), *name = sl_verb_text(r, "name");
	unsigned i = 0;

	while (i < SL_ARRAY_CNT(ops) && strcmp(op, ops[i]))
		i++;
	json_t *error = NULL;
	if (i == SL_ARRAY_CNT(ops))
		error = sl_call_error(r->verb, "invalid", "add, replace, remove, check, list, show",
				      "op: \"%.16s\" is none", op);
	else if (i < 4)
		error = denied(r, op);
	if (!error)
		error = texts_wrong(r, op);
	if (error) {
		forget_texts(r);
		sl_call_answer(r->call, error);
	} else if (i < 2) {
		put(r, op, name);
	} else if (i == 2) {
		remove_one(r, name);
	} else if (i == 3) {
		check(r);
	} else {
		list(r, i == 5 ? name : NULL);
	}
}

/* ---- tickets ---- */

static int
digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Hex to keys; a wrong text is one of no bytes. */
static int
install(const struct sl_verb_run *r, int64_t now_ms, struct sl_diag *diag)
{
	json_t *text = json_object_get(r->body, "keys");
	const char *s = json_string_value(text);
	size_t room = SL_TICKET_KEYS * sizeof(struct sl_ticket_key),
	       n = json_string_length(text) / 2;
	uint8_t *keys = n <= room ? sl_wipe_alloc(room) : NULL;
	bool bad = json_string_length(text) % 2 || !keys;

	for (size_t i = 0; i < n && !bad; i++) {
		int hi = digit(s[2 * i]), lo = digit(s[2 * i + 1]);
		bad = hi < 0 || lo < 0;
		keys[i] = (uint8_t)(bad ? 0 : hi << 4 | lo);
	}
	int err = sl_tickets_install(sl_secrets_tickets(r->d->secrets), keys, bad ? 0 : n, now_ms,
				     diag);
	sl_wipe_release(keys, room);
	return err;
}

static void
change_tickets(const struct sl_verb_run *r, const char *op)
{
	struct sl_tickets *t = sl_secrets_tickets(r->d->secrets);
	struct run *own = run_new(r, op, NULL);
	int64_t now_ms = sl_daemon_wall_ms();
	struct sl_diag diag = {0};
	int err = -ENOMEM;

	if (own && strcmp(op, "rotate") == 0)
		err = sl_tickets_rotate(t, now_ms, &diag);
	else if (own && strcmp(op, "own") == 0)
		err = sl_tickets_own(t, now_ms, &diag);
	else if (own)
		err = install(r, now_ms, &diag);
	forget_texts(r);
	if (!err) {
		sl_secrets_put_tickets(r->d->secrets, on_done, own);
	} else {
		const struct sl_diag_item *it = diag.cnt ? &diag.items[0] : NULL;
		sl_call_answer(r->call, sl_call_error(r->verb,
						      err == -EBUSY    ? "busy"
						      : err == -EINVAL ? "refused"
								       : "internal",
						      it ? it->hint : NULL, "%s",
						      it ? it->text : "out of memory"));
		free(own);
	}
	sl_diag_fini(&diag);
}

void
sl_verb_tickets(const struct sl_verb_run *r)
{
	const char *op = sl_verb_text(r, "op");
	bool show = strcmp(op, "show") == 0, takes = strcmp(op, "install") == 0;
	json_t *error = NULL;

	if (!show && !takes && strcmp(op, "rotate") && strcmp(op, "own"))
		error = sl_call_error(r->verb, "invalid", "show, rotate, install, own",
				      "op: \"%.16s\" is none", op);
	else if (!show)
		error = denied(r, op);
	if (!error && takes != (json_object_get(r->body, "keys") != NULL))
		error = sl_call_error(r->verb, "invalid", NULL,
				      "keys: with install, and only there");
	if (error) {
		forget_texts(r);
		sl_call_answer(r->call, error);
	} else if (show) {
		json_t *a = sl_verb_ok(r);
		json_object_set_new(a, "tickets", tickets_json(r->d));
		sl_call_answer(r->call, a);
	} else {
		change_tickets(r, op);
	}
}
