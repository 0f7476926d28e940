/* What objects say of TLS. */
#include "dataplane/image_dump.h"

static void
dump_alpn(const struct sl_img_tls_alpn *alpn, uint32_t cnt, FILE *f)
{
	for (uint32_t i = 0; i < cnt; i++)
		fprintf(f, "%s%s", i ? " " : " alpn ", alpn[i].protocol);
}

static void
dump_sets(unsigned min, unsigned max, unsigned suites, unsigned groups, FILE *f)
{
	char text[SL_TLS_SET_STRLEN];

	fprintf(f, "versions %s %s", sl_tls_version_name(min), sl_tls_version_name(max));
	fprintf(f, " suites %s", sl_tls_suites_format(suites, text));
	fprintf(f, " groups %s", sl_tls_groups_format(groups, text));
}

static void
dump_names(const char *what, const struct sl_img_tls_name *name, uint32_t cnt, FILE *f)
{
	if (cnt)
		fprintf(f, "      %s", what);
	for (uint32_t i = 0; i < cnt; i++)
		fprintf(f, " %s%s", name[i].name, i + 1 == cnt ? "\n" : "");
}

static void
dump_sans(const struct sl_img_tls_san *san, uint32_t cnt, const char *before, FILE *f)
{
	for (uint32_t i = 0; i < cnt; i++)
		fprintf(f, "%sname %s\n", before, san[i].san);
}

void
sl_image_dump_tls(const struct sl_img_listeners *ls, const struct sl_img_listener *l, FILE *f)
{
	const char *bytes = (const char *)ls;
	const struct sl_img_tls_name *names = (const void *)(bytes + ls->tls_name_off);
	const struct sl_img_tls_san *sans = (const void *)(bytes + ls->tls_san_off);
	const struct sl_img_sni *sni = (const void *)(bytes + ls->sni_off);

	for (uint32_t i = 0; i < l->sni_cnt; i++)
		fprintf(f, "      server_name %s ref %u\n", sni[l->sni_first + i].name,
			sni[l->sni_first + i].ref);
	if (!l->tls)
		return;
	const struct sl_img_tls_listener *t =
		(const struct sl_img_tls_listener *)(const void *)(bytes + ls->tls_off) + l->tls -
		1;
	fputs("      tls ", f);
	dump_sets(t->min_version, t->max_version, t->suites, t->groups, f);
	dump_alpn(t->alpn, t->alpn_cnt, f);
	fprintf(f, " client %s forwarded %s tickets %u handshake_ms %u%s\n",
		sl_tls_client_name(t->client), sl_xfcc_name(t->xfcc), t->tickets, t->handshake_ms,
		t->plaintext ? " plaintext" : "");
	dump_names("certificates", names + t->cert_first, t->cert_cnt, f);
	dump_names("trust", names + t->trust_first, t->trust_cnt, f);
	dump_sans(sans + t->san_first, t->san_cnt, "      ", f);
}

void
sl_image_dump_service_tls(const struct sl_img_tls_service *t, FILE *f)
{
	fputs("tls ", f);
	dump_sets(t->min_version, t->max_version, t->suites, t->groups, f);
	dump_alpn(t->alpn, t->alpn_cnt, f);
	fprintf(f, " verify %u resume %u handshake_ms %u\n", t->verify, t->resume, t->handshake_ms);
	if (t->server_name[0] || t->auto_sni)
		fprintf(f, "  server_name %s%s\n", t->server_name[0] ? t->server_name : "-",
			t->auto_sni ? " or the request's host" : "");
	if (t->certificate[0])
		fprintf(f, "  certificate %s\n", t->certificate);
	for (unsigned i = 0; i < SL_ARRAY_CNT(t->trust) && t->trust[i][0]; i++)
		fprintf(f, "  trust %s\n", t->trust[i]);
	dump_sans((const void *)(t + 1), t->san_cnt, "  ", f);
}
