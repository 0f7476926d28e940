/* The rows that read the file also show it: a new key needs nothing here. */
#include "dataplane/boot_show.h"

#include "dataplane/boot_priv.h"

#include <errno.h>

static void show_group(const struct sl_boot_group *g, const struct sl_boot *b, const void *from,
		       FILE *f);

/* Bytes of the UTF-8 character at s, 0: it is none. */
static unsigned
utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char first, last, low, high; /* of the first byte; of the second */
		unsigned len;
	} forms[] = {
		{0x20, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(forms); i++) {
		if (s[0] < forms[i].first || s[0] > forms[i].last)
			continue;
		if (forms[i].len > 1 && (s[1] < forms[i].low || s[1] > forms[i].high))
			return 0;
		for (unsigned k = 2; k < forms[i].len; k++)
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].len;
	}
	return 0;
}

/* What is not UTF-8 is shown as what cannot be read. */
static void
show_text(const char *text, FILE *f)
{
	const unsigned char *s = (const unsigned char *)text;

	fputc('"', f);
	while (*s) {
		unsigned n = utf8_len(s);
		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if (n)
			fwrite(s, 1, n, f);
		else
			fputs("\\ufffd", f);
		s += n ? n : 1;
	}
	fputc('"', f);
}

static void
show_choice(const char *choices, int idx, FILE *f)
{
	for (; idx > 0 && strchr(choices, '|'); idx--)
		choices = strchr(choices, '|') + 1;
	fprintf(f, "\"%.*s\"", (int)strcspn(choices, "|"), choices);
}

static void
show_cpus(const int *cpus, unsigned cnt, FILE *f)
{
	for (unsigned i = 0; i < cnt; i++)
		fprintf(f, "%s%d", i ? ", " : "[", cpus[i]);
	fputs(cnt ? "]" : "[]", f);
}

static void
show_ports(const struct sl_boot_key *k, const struct sl_boot *b, FILE *f)
{
	for (unsigned i = 0; i < b->port_cnt; i++) {
		fputs(i ? ", " : "[", f);
		show_group(k->group, b, &b->ports[i], f);
	}
	fputs(b->port_cnt ? "]" : "[]", f);
}

static void
show_mac(const struct sl_boot_port *p, FILE *f)
{
	const uint8_t *m = p->mac;

	if (p->has_mac)
		fprintf(f, "\"%02x:%02x:%02x:%02x:%02x:%02x\"", m[0], m[1], m[2], m[3], m[4], m[5]);
	else
		fputs("null", f);
}

static void
show_value(const struct sl_boot_key *k, const struct sl_boot *b, const void *from, FILE *f)
{
	const void *at = (const char *)from + k->off;

	switch (k->type) {
	case STRING:
	case NAME:
		show_text(at, f);
		break;
	case INTEGER: /* below its range: left out */
		if (*(const int *)at < k->min)
			fputs("null", f);
		else
			fprintf(f, "%d", *(const int *)at);
		break;
	case CHOICE:
		show_choice(k->choices, *(const int *)at, f);
		break;
	case BOOL:
		fputs(*(const bool *)at ? "true" : "false", f);
		break;
	case MAC:
		show_mac(from, f);
		break;
	case HEXKEY:
		fputs(b->has_rss_key ? "true" : "false", f);
		break;
	case CPUS:
		if (b->worker_ask)
			fprintf(f, "%d", b->worker_ask);
		else
			show_cpus(b->workers, b->worker_cnt, f);
		break;
	case TLS_CPUS:
		show_cpus(b->tls_cpus, b->tls_cpu_cnt, f);
		break;
	case GROUP:
		show_group(k->group, b, from, f);
		break;
	case PORTS:
		show_ports(k, b, f);
		break;
	}
}

static void
show_group(const struct sl_boot_group *g, const struct sl_boot *b, const void *from, FILE *f)
{
	const char *comma = "";

	fputc('{', f);
	for (unsigned i = 0; i < g->cnt; i++) {
		if (strcmp(g->keys[i].name, "args") == 0) /* a memif has its secret there */
			continue;
		fprintf(f, "%s\"%s\": ", comma, g->keys[i].name);
		show_value(&g->keys[i], b, from, f);
		comma = ", ";
	}
	fputc('}', f);
}

int
sl_boot_show(const struct sl_boot *boot, FILE *f)
{
	show_group(&sl_boot_top, boot, boot, f);
	fputc('\n', f);
	return fflush(f) || ferror(f) ? -EIO : 0;
}
