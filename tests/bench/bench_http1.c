/* bench_http1 — bytes a second of request heads, of answer heads, and of paths that are normal: medians of many slices.
 *
 *   bench_http1 [--json]
 *
 * 256 heads stand one behind the other in an order by chance, with paths, cookies and identifiers of lengths by chance, so that
 * neither lengths nor branches repeat soon; 128 KiB, as from a second-level cache.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "l7/http1.h"
#include "l7/path.h"

#define HEADS 256
#define SLICES 201
#define ROUNDS 16 /* of all heads, a slice */
#define ROOM (HEADS * 2048)

/* "\1" stands for 8 to 39 letters, "\2" for 60 to 315. */
static const char *const requests[] = {
	"GET /\1/\1?id=\1 HTTP/1.1\r\nHost: www.shop.example\r\nConnection: keep-alive\r\n"
	"sec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\", \"Google "
	"Chrome\";v=\"128\"\r\n"
	"sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n"
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
	"Chrome/128.0.0.0 "
	"Safari/537.36\r\n"
	"Accept: "
	"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/"
	"*;q=0.8\r\n"
	"Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: "
	"document\r\n"
	"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: "
	"en-GB,en;q=0.9,de;q=0.8\r\nCookie: \2\r\n\r\n",
	"GET /assets/\1.\1.js HTTP/1.1\r\nHost: static.shop.example\r\n"
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 "
	"Firefox/128.0\r\nAccept: */*\r\n"
	"Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
	"Referer: https://www.shop.example/\1/\1\r\nConnection: keep-alive\r\nCookie: \2\r\n"
	"Sec-Fetch-Dest: script\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: same-site\r\n"
	"If-None-Match: \"\1\"\r\n\r\n",
	"POST /api/v2/\1 HTTP/1.1\r\nHost: api.shop.example\r\nUser-Agent: \1/4.2 (iPhone; iOS "
	"17.5; Scale/3.00)\r\n"
	"Content-Type: application/json; charset=utf-8\r\nContent-Length: 1874\r\nAccept: "
	"application/json\r\n"
	"Accept-Language: de-DE;q=1.0, en-DE;q=0.9\r\nAccept-Encoding: br;q=1.0, gzip;q=0.9, "
	"deflate;q=0.8\r\n"
	"Authorization: Bearer \2\r\nx-request-id: "
	"6f0c1a52-6c1b-4d1e-9c0e-1f2a3b4c5d6e\r\nx-client-version: 4.2.1\r\n"
	"Connection: keep-alive\r\n\r\n",
	"GET /v1/users/\1/orders?limit=50&cursor=\1 HTTP/1.1\r\nhost: "
	"orders.internal.example:8080\r\n"
	"user-agent: okhttp/4.12.0\r\naccept: application/json\r\ntraceparent: "
	"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nx-env: canary-3\r\n"
	"x-forwarded-for: 198.51.100.7, 203.0.113.9\r\nx-forwarded-proto: https\r\nx-b3-sampled: "
	"1\r\n"
	"authorization: Bearer \2\r\naccept-encoding: gzip\r\n\r\n",
};

static const char *const answers[] = {
	"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 18:51:21 GMT\r\n"
	"Content-Type: text/html; charset=utf-8\r\nContent-Length: 18342\r\nConnection: "
	"keep-alive\r\n"
	"Vary: Accept-Encoding\r\nETag: \"\1\"\r\nCache-Control: private, no-cache, no-store, "
	"max-age=0, must-revalidate\r\n"
	"Set-Cookie: sid=\1; Path=/; HttpOnly; Secure; SameSite=Lax\r\nX-Content-Type-Options: "
	"nosniff\r\n"
	"Content-Security-Policy: default-src 'self'; script-src 'self' "
	"https://static.shop.example; \2\r\n"
	"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\r\n",
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n"
	"date: Sat, 21 Nov 2026 18:51:21 GMT\r\nx-request-id: "
	"6f0c1a52-6c1b-4d1e-9c0e-1f2a3b4c5d6e\r\n"
	"x-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 4987\r\nlink: "
	"<https://api.shop.example/\1?page=2>; rel=\"next\"\r\n"
	"access-control-allow-origin: *\r\nvary: origin, accept-encoding\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nDate: Sat, 21 Nov 2026 18:51:21 GMT\r\nETag: \"\1\"\r\n"
	"Cache-Control: public, max-age=31536000, immutable\r\nVary: Accept-Encoding\r\nServer: "
	"\1\r\n\r\n",
};

struct heads {
	uint8_t *bytes;
	uint32_t at[HEADS + 1];
	uint32_t path[HEADS], path_len[HEADS]; /* of requests */
};

static uint64_t seed = 1;

static uint32_t
chance(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

static uint8_t *
put_head(uint8_t *to, const char *text)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

	for (; *text; text++) {
		uint32_t n = *text == 1 ? 8 + chance(32) : *text == 2 ? 60 + chance(256) : 0;
		if (!n)
			*to++ = (uint8_t)*text;
		while (n--)
			*to++ = (uint8_t)letters[chance(64)];
	}
	return to;
}

static struct heads
put_heads(const char *const *texts, unsigned cnt)
{
	struct heads h = {.bytes = calloc(1, ROOM)};
	uint8_t *to = h.bytes;

	if (!h.bytes)
		exit(1);
	for (unsigned i = 0; i < HEADS; i++) {
		to = put_head(to, texts[chance(cnt)]);
		h.at[i + 1] = (uint32_t)(to - h.bytes);
		const char *path =
			(const char *)memchr(h.bytes + h.at[i], '/', h.at[i + 1] - h.at[i]);
		h.path[i] = (uint32_t)((const uint8_t *)path - h.bytes);
		h.path_len[i] = (uint32_t)strcspn(path, " ?");
	}
	return h;
}

/* ---- what is measured: all heads once; bytes dealt with ---- */

static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};
static struct sl_http_head head;

static uint64_t
read_all(const struct heads *h, bool answer)
{
	uint32_t at = 0, len = h->at[HEADS];
	enum sl_http_bad why = SL_HTTP_BAD_NONE;

	while (at < len) {
		int n = answer ? sl_http_response(h->bytes + at, len - at, 0, SL_METHOD_GET,
						  &limits, &head, &why)
			       : sl_http_request(h->bytes + at, len - at, 0, &limits, &head, &why);
		if (n <= 0) {
			fprintf(stderr, "bench_http1: a head was refused: %s\n",
				sl_http_bad_text(why));
			exit(1);
		}
		at += (uint32_t)n;
	}
	return len;
}

static uint64_t
read_requests(const struct heads *h)
{
	return read_all(h, false);
}

static uint64_t
read_answers(const struct heads *h)
{
	return read_all(h, true);
}

static uint64_t
normalise_paths(const struct heads *h)
{
	uint8_t out[2048];
	uint32_t len;
	uint64_t sum = 0;

	for (unsigned i = 0; i < HEADS; i++) {
		if (sl_path_normalise(h->bytes + h->path[i], h->path_len[i], SL_2F_KEEP, true, out,
				      &len) != SL_PATH_SAME)
			exit(1);
		sum += h->path_len[i];
	}
	return sum;
}

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void
measure(const char *name, bool json, uint64_t (*what)(const struct heads *), const struct heads *h)
{
	double rate[SLICES];
	uint64_t bytes = 0;

	for (unsigned s = 0; s < SLICES; s++) {
		double start = now_ns();
		bytes = 0;
		for (unsigned r = 0; r < ROUNDS; r++)
			bytes += what(h);
		rate[s] = (double)bytes / (now_ns() - start);
	}
	qsort(rate, SLICES, sizeof(*rate), by_value);
	double mean = (double)bytes / ROUNDS / HEADS, mid = rate[SLICES / 2];
	if (json)
		printf("{\"name\":\"%s\",\"value\":%.3f,\"unit\":\"GB/"
		       "s\",\"p10\":%.3f,\"p90\":%.3f,"
		       "\"bytes\":%.0f,\"ns\":%.1f}\n",
		       name, mid, rate[SLICES / 10], rate[SLICES * 9 / 10], mean, mean / mid);
	else
		printf("%-20s %6.2f GB/s  (p10 %.2f, p90 %.2f)  %4.0f bytes, %5.1f ns each\n", name,
		       mid, rate[SLICES / 10], rate[SLICES * 9 / 10], mean, mean / mid);
}

int
main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	struct heads in = put_heads(requests, SL_ARRAY_CNT(requests));
	struct heads out = put_heads(answers, SL_ARRAY_CNT(answers));

	measure("http.parse.gbps", json, read_requests, &in);
	measure("http.parse.response", json, read_answers, &out);
	measure("http.path.normal", json, normalise_paths, &in);
	free(in.bytes);
	free(out.bytes);
	return 0;
}
