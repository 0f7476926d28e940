#include "mgmt/source.h"

#include <stdio.h>

const char *
sl_source_type_name(unsigned type)
{
#define SOURCE_TEXT(id, text) [SL_SOURCE_##id] = (text),
	static const char *const names[] = {"none", SL_SOURCE_TYPES(SOURCE_TEXT)};
#undef SOURCE_TEXT
	return type < SL_ARRAY_CNT(names) ? names[type] : "unknown";
}

/* ---- names ---- */

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* FNV-1a, 64 bits: the same on all gateways, and in all versions. */
static uint64_t
hash_of(const char *text, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * 0x100000001b3ull;
	return h;
}

void
sl_source_name(const char *text, size_t len, char ret_name[SL_NAME_MAX])
{
	char name[SL_NAME_MAX] = "";
	size_t n = SL_MIN(len, (size_t)SL_NAME_MAX - 1);
	bool changed = len > n || n == 0;

	for (size_t i = 0; i < n; i++) {
		bool ok = is_alnum(text[i]) ||
			  (i > 0 && (text[i] == '.' || text[i] == '_' || text[i] == '-'));
		name[i] = ok ? text[i] : i > 0 ? '-' : 'x';
		changed |= !ok;
	}
	if (changed) {
		size_t keep = SL_MIN(n, (size_t)SL_NAME_MAX - 1 - 13);
		snprintf(name + keep, sizeof(name) - keep, "%s%012llx", n ? "-" : "x",
			 (unsigned long long)(hash_of(text, len) >> 16));
		memset(name + strlen(name), 0, sizeof(name) - strlen(name));
	}
	memcpy(ret_name, name, SL_NAME_MAX);
}

void
sl_source_name_addr(const struct sl_addr *addr, uint16_t port, char ret_name[SL_NAME_MAX])
{
	char text[SL_NAME_MAX] = "", host[SL_ADDR_STRLEN];

	sl_addr_format(addr, host);
	for (char *p = host; *p; p++)
		if (*p == ':')
			*p = '-';
	/* "::1" → "0--1": a name does not begin with '-' */
	snprintf(text, sizeof(text), "%s%s-%u", *host == '-' ? "0" : "", host, port);
	memset(ret_name, 0, SL_NAME_MAX);
	memcpy(ret_name, text, strlen(text));
}

/* ---- pauses ---- */

#define PAUSE_FIRST_MS 250
#define PAUSE_MOST_MS 30000

uint32_t
sl_source_pause(unsigned n, uint64_t *rng)
{
	uint64_t ms = PAUSE_MOST_MS, z = *rng += 0x9e3779b97f4a7c15ull; /* splitmix64 */

	if (n <= 7)
		ms = SL_MIN((uint64_t)PAUSE_FIRST_MS << (n ? n - 1 : 0), (uint64_t)PAUSE_MOST_MS);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return (uint32_t)(ms - z % (ms / 4 + 1));
}

/* ---- types ---- */

const struct sl_source_ops *
sl_source_ops_of(unsigned type)
{
	static const struct sl_source_ops *const ops[] = {
		[SL_SOURCE_DNS] = &sl_source_dns,
		[SL_SOURCE_FILES] = &sl_source_files,
		[SL_SOURCE_CONSUL] = &sl_source_consul,
		[SL_SOURCE_ETCD] = &sl_source_etcd,
		[SL_SOURCE_KUBERNETES] = &sl_source_kubernetes,
		[SL_SOURCE_REGISTRY] = NULL,
	};

	return type < SL_ARRAY_CNT(ops) ? ops[type] : NULL;
}
