#include "sluice/image.h"

#include <stdio.h>

static bool
alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool
sl_name_ok(const char name[SL_NAME_MAX])
{
	unsigned n = 0;

	if (!alnum(name[0]))
		return false;
	while (n < SL_NAME_MAX && name[n] != 0) {
		char c = name[n++];
		if (!alnum(c) && c != '.' && c != '_' && c != '-')
			return false;
	}
	if (n == SL_NAME_MAX)
		return false;
	for (; n < SL_NAME_MAX; n++)
		if (name[n] != 0)
			return false;
	return true;
}

#define WORD(id, text) [SL_POLICY_##id] = text,
static const char *const policy_words[] = {SL_POLICIES(WORD)};
#undef WORD
#define WORD(id, text) [SL_FORWARD_##id] = text,
static const char *const forward_words[] = {SL_FORWARDS(WORD)};
#undef WORD
#define WORD(id, text) [SL_MODE_##id] = text,
static const char *const mode_words[] = {SL_LISTENER_MODES(WORD)};
#undef WORD
#define WORD(id, text) [SL_PROXY_##id] = text,
static const char *const proxy_out_words[] = {SL_PROXY_OUTS(WORD)};
#undef WORD
#define WORD(id, text) [SL_HASH_ON_##id] = text,
static const char *const hash_on_words[] = {SL_HASH_ONS(WORD)};
#undef WORD
#define WORD(id) [SL_METHOD_##id] = #id,
static const char *const method_words[] = {SL_METHODS(WORD)};
#undef WORD

const char *
sl_policy_name(unsigned policy)
{
	return policy && policy < SL_ARRAY_CNT(policy_words) ? policy_words[policy] : "unknown";
}

const char *
sl_forward_name(unsigned forward)
{
	return forward && forward < SL_ARRAY_CNT(forward_words) ? forward_words[forward]
								: "unknown";
}

const char *
sl_mode_name(unsigned mode)
{
	return mode && mode < SL_ARRAY_CNT(mode_words) ? mode_words[mode] : "unknown";
}

const char *
sl_proxy_out_name(unsigned proxy_out)
{
	return proxy_out < SL_ARRAY_CNT(proxy_out_words) ? proxy_out_words[proxy_out] : "unknown";
}

const char *
sl_hash_on_name(unsigned hash_on)
{
	return hash_on < SL_ARRAY_CNT(hash_on_words) ? hash_on_words[hash_on] : "unknown";
}

const char *
sl_method_name(unsigned method)
{
	return method < SL_ARRAY_CNT(method_words) ? method_words[method] : "other";
}

bool
sl_prefix_mixed(const struct sl_addr *prefix, unsigned plen)
{
	static const struct sl_addr v4 = {.b = {[10] = 0xff, [11] = 0xff}};

	return plen < 96 && sl_addr_in(&v4, prefix, plen);
}

bool
sl_prefixes_hold(const struct sl_img_prefix *prefixes, uint32_t cnt, const struct sl_addr *addr)
{
	bool v4 = sl_addr_is_v4(addr);

	for (uint32_t i = 0; i < cnt; i++)
		if (v4 == sl_addr_is_v4(&prefixes[i].prefix) &&
		    sl_addr_in(addr, &prefixes[i].prefix, prefixes[i].plen))
			return true;
	return false;
}

const char *
sl_ports_format(uint16_t first, uint16_t last, char buf[SL_PORTS_STRLEN])
{
	if (first == 1 && last == UINT16_MAX)
		snprintf(buf, SL_PORTS_STRLEN, "any");
	else if (first == last)
		snprintf(buf, SL_PORTS_STRLEN, "%u", first);
	else
		snprintf(buf, SL_PORTS_STRLEN, "%u-%u", first, last);
	return buf;
}

const char *
sl_prefix_format(const struct sl_addr *prefix, unsigned plen, char buf[SL_PREFIX_STRLEN])
{
	sl_addr_format(prefix, buf);
	if (plen < 128) {
		size_t n = strlen(buf);
		snprintf(buf + n, SL_PREFIX_STRLEN - n, "/%u",
			 sl_addr_is_v4(prefix) && plen >= 96 ? plen - 96 : plen);
	}
	return buf;
}

/* ---- TLS ---- */

#define WORD(id, text) [SL_TLS_CLIENT_##id] = text,
static const char *const client_words[] = {SL_TLS_CLIENTS(WORD)};
#undef WORD
#define WORD(id, text) [SL_XFCC_##id] = text,
static const char *const xfcc_words[] = {SL_XFCCS(WORD)};
#undef WORD

const char *
sl_tls_client_name(unsigned client)
{
	return client < SL_ARRAY_CNT(client_words) ? client_words[client] : "unknown";
}

const char *
sl_xfcc_name(unsigned xfcc)
{
	return xfcc < SL_ARRAY_CNT(xfcc_words) ? xfcc_words[xfcc] : "unknown";
}

const char *
sl_tls_version_name(unsigned version)
{
	return version == SL_TLS_1_2 ? "1.2" : version == SL_TLS_1_3 ? "1.3" : "unknown";
}

/* Words of the bits that are set; all of them fit. */
struct bit_word {
	unsigned bit;
	const char *word;
};

static const char *
format_set(unsigned set, const struct bit_word *words, unsigned cnt, char *buf)
{
	size_t n = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < cnt; i++)
		if (set & words[i].bit && n < SL_TLS_SET_STRLEN)
			n += (size_t)snprintf(buf + n, SL_TLS_SET_STRLEN - n, "%s%s", n ? " " : "",
					      words[i].word);
	return buf;
}

const char *
sl_tls_suites_format(unsigned suites, char buf[SL_TLS_SET_STRLEN])
{
#define WORD(id, text) {SL_TLS_SUITE_##id, text},
	static const struct bit_word words[] = {SL_TLS_SUITE_WORDS(WORD)};
#undef WORD
	return format_set(suites, words, SL_ARRAY_CNT(words), buf);
}

const char *
sl_tls_groups_format(unsigned groups, char buf[SL_TLS_SET_STRLEN])
{
#define WORD(id, text) {SL_TLS_GROUP_##id, text},
	static const struct bit_word words[] = {SL_TLS_GROUP_WORDS(WORD)};
#undef WORD
	return format_set(groups, words, SL_ARRAY_CNT(words), buf);
}
