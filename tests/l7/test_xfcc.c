/* x-forwarded-client-cert: what certificates say, however hostile, as one element that every reader takes for the same. */
#include "l7/xfcc.h"
#include "tests/suite.h"

static _Alignas(8) uint8_t room[SL_PEER_MAX];
static uint8_t out[SL_XFCC_MAX + 1];

static char *
add(char *at, const char *text, size_t n, uint16_t *ret_len)
{
	memcpy(at, text, n);
	*ret_len = (uint16_t)n;
	return at + n;
}

static const struct sl_tls_peer *
peer(const char *uri, const char *subject, const char *dns)
{
	struct sl_tls_peer *p = (void *)room;
	char *at = p->text;

	memset(p, 0, sizeof(*p));
	for (unsigned i = 0; i < sizeof(p->hash); i++)
		p->hash[i] = (uint8_t)(i * 9);
	at = add(at, uri, strlen(uri), &p->uri_len);
	at = add(at, subject, strlen(subject), &p->subject_len);
	add(at, dns, strlen(dns), &p->dns_len);
	return p;
}

#define HASH "Hash=0009121b242d363f48515a636c757e879099a2abb4bdc6cfd8e1eaf3fc050e17"

static void
elements_are_written_as_envoys(void)
{
	static const struct {
		const char *uri, *subject, *dns, *want, *why;
	} rows[] = {
		{"spiffe://td/ns/a/sa/b", "CN=b,O=x", "a.example,b.example",
		 "Subject=\"CN=b,O=x\";URI=spiffe://td/ns/a/sa/b;DNS=a.example;DNS=b.example",
		 "all of it"},
		{"", "", "", "Subject=\"\"", "nothing but a certificate"},
		{"", "CN=x", "", "Subject=\"CN=x\"", "no names"},
		{"spiffe://td/x", "", "", "Subject=\"\";URI=spiffe://td/x", "a URI alone"},
		{"", "CN=Acme\\, Inc.", "", "Subject=\"CN=Acme\\, Inc.\"", "as RFC 2253 has it"},
		{"", "CN=a\\\"b", "", "Subject=\"CN=a\\\"b\"", "a quote of RFC 2253"},
		{"", "CN=a\"b", "", "Subject=\"CN=a\\\"b\"", "one that is none"},
		{"", "CN=a\\\\", "", "Subject=\"CN=a\\\\\"", "a backslash at the end"},
		{"", "CN=a\\", "", "Subject=\"CN=a\\\\\"", "one that takes nothing"},
		{"", "CN=a\\\\\"b", "", "Subject=\"CN=a\\\\\\\"b\"", "a bare quote behind one"},
		{"", "CN=a;URI=spiffe://td/admin", "", "Subject=\"CN=a;URI=spiffe://td/admin\"",
		 "another key, in quotes"},
		{"", "CN=a\";URI=\"spiffe://td/admin", "",
		 "Subject=\"CN=a\\\";URI=\\\"spiffe://td/admin\"", "that wants out of them"},
		{"", "CN=a\r\nx: y", "", "Subject=\"CN=a\\0d\\0ax: y\"", "a line's end"},
		{"", "CN=\\\n", "", "Subject=\"CN=\\0a\"", "escaped, too"},
		{"", "CN=\xc3\xa4\x7f", "", "Subject=\"CN=\\c3\\a4\\7f\"", "not ASCII"},
		{"spiffe://td/a,Hash=1;By=x", "", "",
		 "Subject=\"\";URI=\"spiffe://td/a,Hash=1;By=x\"", "another element"},
		{"spiffe://td/\"", "", "", "Subject=\"\";URI=\"spiffe://td/\\\"\"", "a quote"},
		{"spiffe://td/\\", "", "", "Subject=\"\";URI=\"spiffe://td/\\\\\"", "a backslash"},
		{"spiffe://td/\r\n\xff", "", "", "Subject=\"\";URI=\"spiffe://td/%0d%0a%ff\"",
		 "bytes"},
		{"spiffe://td/a b", "", "", "Subject=\"\";URI=\"spiffe://td/a b\"", "a space"},
		{"", "", "a;b,\"", "Subject=\"\";DNS=\"a;b\";DNS=\"\\\"\"", "names"},
		{"", "", ",a,,b,", "Subject=\"\";DNS=a;DNS=b", "empty ones"},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		char want[512];
		uint32_t n = sl_xfcc_write(out, peer(rows[i].uri, rows[i].subject, rows[i].dns));
		out[n] = 0;
		snprintf(want, sizeof(want), HASH ";%s", rows[i].want);
		if (strcmp((char *)out, want) != 0)
			printf("\n%s:\n  %s\n  %s", rows[i].why, out, want);
		CU_ASSERT_STRING_EQUAL((char *)out, want);
	}
}

/* Keys of the element as a reader finds them: quotes end at the first that no backslash precedes. */
static unsigned
keys(const uint8_t *p, uint32_t n, bool *ret_whole)
{
	bool quoted = false;
	unsigned cnt = 1;

	*ret_whole = true;
	for (uint32_t i = 0; i < n; i++) {
		*ret_whole &= p[i] >= 0x20 && p[i] < 0x7f;
		if (quoted && p[i] == '\\')
			i++;
		else if (p[i] == '"')
			quoted = !quoted;
		else if (!quoted && p[i] == ';')
			cnt++;
		else if (!quoted && p[i] == ',')
			*ret_whole = false;
	}
	*ret_whole &= !quoted;
	return cnt;
}

static void
no_bytes_of_a_certificate_make_another_key_or_element(void)
{
	static const char hostile[] = "\"\\,;=\r\n a%\xff\x01";
	uint64_t x = 5;

	for (unsigned round = 0; round < 20000; round++) {
		char text[3][64];
		bool whole;
		for (unsigned k = 0; k < 3; k++) {
			unsigned len = round % 40;
			for (unsigned i = 0; i < len; i++) {
				x = x * 6364136223846793005ull + 1442695040888963407ull;
				text[k][i] = hostile[(x >> 33) % (sizeof(hostile) - 1)];
			}
			text[k][len] = 0;
		}
		unsigned want = 2 + (text[0][0] != 0);
		for (char *at = text[2], *end; *at; at = *end ? end + 1 : end) {
			end = at + strcspn(at, ",");
			want += end > at;
		}
		uint32_t n = sl_xfcc_write(out, peer(text[0], text[1], text[2]));
		CU_ASSERT_EQUAL_FATAL(keys(out, n, &whole), want);
		CU_ASSERT_FATAL(whole);
	}
}

static void
the_longest_peer_has_room(void)
{
	struct sl_tls_peer *p = (void *)room;
	const size_t most = SL_PEER_MAX - sizeof(*p);
	static const char fill[] = {'"', '\\', '\n', ',', 'a'};
	uint8_t *exact;

	for (unsigned which = 0; which < 3; which++) {
		for (size_t f = 0; f < sizeof(fill); f++) {
			for (unsigned names = 0; names < 2; names++) {
				memset(p, 0, sizeof(*p));
				memset(p->text, fill[f], most);
				for (size_t i = 1; names && i < most; i += 2)
					p->text[i] = ',';
				*(which == 0   ? &p->uri_len
				  : which == 1 ? &p->subject_len
					       : &p->dns_len) = (uint16_t)most;
				exact = guard_buf(SL_XFCC_MAX);
				CU_ASSERT(sl_xfcc_write(exact, p) <= SL_XFCC_MAX);
				guard_free(exact, SL_XFCC_MAX);
			}
		}
	}
}

SL_SUITE("xfcc", SL_TEST(elements_are_written_as_envoys),
	 SL_TEST(no_bytes_of_a_certificate_make_another_key_or_element),
	 SL_TEST(the_longest_peer_has_room))
