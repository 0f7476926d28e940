#include "mgmt/cert_use.h"

#include "mgmt/tls_names.h"

#include <errno.h>
#include <stdio.h>

struct admit {
	const struct sl_certs *certs;
	const char *file;
	bool warn;
	int64_t now_s;
	struct sl_diag *diag;
	bool bad;
};

__attribute__((format(printf, 4, 5))) static void
complain(struct admit *a, const struct sl_conf_tls_use *u, const char *hint, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	a->bad |= !a->warn;
	(a->warn ? sl_diag_warn : sl_diag_add)(a->diag, a->file, u->line, u->path, hint, "%s",
					       text);
}

static int
admit_one(void *ctx, const struct sl_conf_tls_use *u)
{
	struct admit *a = ctx;
	const struct sl_cert_entry *e = sl_certs_find(a->certs, u->name);
	bool pair = u->kind == SL_SECRET_PAIR;
	const char *what = pair ? "certificate" : "bundle";
	char hint[160];

	snprintf(hint, sizeof(hint), "sluicectl cert add %s %s", u->name,
		 pair ? "--cert FILE --key FILE" : "--ca FILE");
	if (!e || e->leaving)
		complain(a, u, hint, "there is no %s \"%s\"", what, u->name);
	else if (e->info.kind != u->kind)
		complain(a, u, NULL, "\"%s\" is a %s: a %s is wanted here", u->name,
			 pair ? "bundle of CAs" : "certificate with its key", what);
	else if (pair && !(e->info.usage & (u->listener ? SL_CERT_SERVER : SL_CERT_CLIENT)))
		complain(a, u, "see: sluicectl cert show, its usage",
			 "certificate \"%s\" is for TLS %s alone", u->name,
			 u->listener ? "clients" : "servers");
	else if (sl_cert_not_after(&e->info, a->now_s) <= a->now_s)
		sl_diag_warn(a->diag, a->file, u->line, u->path, "sluicectl cert replace",
			     "%s \"%s\" has expired", what, u->name);
	return 0;
}

int
sl_cert_admit(const struct sl_certs *certs, const struct sl_conf *conf, const char *file, bool warn,
	      int64_t now_s, struct sl_diag *diag)
{
	struct admit a = {certs, file, warn, now_s, diag, false};

	sl_conf_tls_names(conf, admit_one, &a);
	return a.bad ? -ENOENT : 0;
}

/* ---- who uses a name ---- */

struct users {
	const char *name;
	json_t *list;
};

static int
add_user(void *ctx, const struct sl_conf_tls_use *u)
{
	struct users *s = ctx;
	const char *kind = u->listener ? "listener" : "service";
	size_t i;
	json_t *row;

	if (strcmp(u->name, s->name))
		return 0;
	json_array_foreach(s->list, i, row)
	{
		if (!strcmp(json_string_value(json_object_get(row, "name")), u->by) &&
		    !strcmp(json_string_value(json_object_get(row, "kind")), kind))
			return 0;
	}
	json_array_append_new(s->list, json_pack("{s:s, s:s}", "kind", kind, "name", u->by));
	return 0;
}

json_t *
sl_cert_users(const struct sl_daemon *d, const char *name)
{
	const struct sl_table *t[2] = {sl_tables_active(d->tables), sl_tables_next(d->tables)};
	struct users s = {name, json_array()};

	for (unsigned i = 0; i < 2; i++)
		if (t[i])
			sl_conf_tls_names(t[i]->conf, add_user, &s);
	return s.list;
}
