/* What a token costs a worker: reading it and its claims, its signature where that is not known, where it is.  One JSON object a
 * line:
 *
 *   jwt.<algorithm>.<what>   ns: read (header, claims, times), known (a remembered answer), check (OpenSSL), refused (busy);
 *                            allocs: calls of malloc and the like in one of these
 */
#include <inttypes.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/l7/jwt_scene.h"

#define TOKENS 500

static uint64_t allocs;

static void *
counted(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	allocs++;
	return malloc(n);
}

static void *
counted_again(void *p, size_t n, const char *file, int line)
{
	(void)file, (void)line;
	allocs++;
	return realloc(p, n);
}

static void
freed(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts); /* of this thread alone */
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void
say(const char *alg, const char *what, uint64_t ns, uint64_t was, unsigned n)
{
	printf("{\"name\": \"jwt.%s.%s\", \"ns\": %.0f, \"allocs\": %.1f}\n", alg, what,
	       (double)ns / n, (double)(allocs - was) / n);
}

static char *tokens[TOKENS];
static struct sl_jwt t;

static void
bench(const char *name, enum sl_jwt_alg alg, EVP_PKEY *pkey)
{
	const struct jwt_issuer_key key = {"k", alg, pkey};
	struct sl_img_jwt *img = jwt_object("https://issuer.example", "api", &key, 1);
	struct sl_jwt_verifier *v = sl_jwt_verifier_init(calloc(1, sl_jwt_verifier_bytes()), 1);
	char header[64], claims[256], why[SL_JWT_WHY_MAX];
	static const char *const whats[] = {"check", "known", "refused"};
	struct sl_jwt_keys *keys;
	struct sl_jwt_asked asked;

	if (!v || sl_jwt_keys_create(img, why, &keys))
		abort();
	snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"k\"}", name);
	for (unsigned i = 0; i < TOKENS; i++) {
		snprintf(
			claims, sizeof(claims),
			"{\"iss\":\"https://issuer.example\",\"aud\":[\"api\"],\"sub\":\"user-%u\","
			"\"exp\":1800000000,\"iat\":1600000000,\"roles\":[\"reader\",\"writer\"],"
			"\"email\":\"user-%u@issuer.example\"}",
			i, i);
		tokens[i] = strdup(jwt_sign(header, claims, alg, pkey));
	}
	uint64_t from = now_ns(), was = allocs;
	for (unsigned i = 0; i < TOKENS; i++)
		if (sl_jwt_read((struct sl_bytes){(const uint8_t *)tokens[i],
						  (uint32_t)strlen(tokens[i])},
				&t) ||
		    sl_jwt_claims(&t, img, JWT_NOW))
			abort();
	say(name, "read", now_ns() - from, was, TOKENS);
	for (unsigned what = 0; what < 3; what++) {
		uint64_t ns = 0;
		was = allocs;
		for (unsigned i = 0; i < TOKENS; i++) {
			sl_jwt_read((struct sl_bytes){(const uint8_t *)tokens[i],
						      (uint32_t)strlen(tokens[i])},
				    &t);
			if (what == 2) /* a signature that is not known */
				t.token.len--;
			from = now_ns();
			enum sl_jwt_bad bad = sl_jwt_verify(v, keys, &t, 1, what != 2, &asked);
			ns += now_ns() - from;
			if (bad != (what == 2 ? SL_JWT_BUSY : SL_JWT_OK))
				abort();
		}
		say(name, whats[what], ns, was, TOKENS);
	}
	for (unsigned i = 0; i < TOKENS; i++)
		free(tokens[i]);
	sl_jwt_verifier_fini(v);
	free(v);
	sl_jwt_keys_destroy(keys);
	free(img);
	EVP_PKEY_free(pkey);
}

int
main(void)
{
	CRYPTO_set_mem_functions(counted, counted_again, freed);
	bench("RS256", SL_JWT_RS256, jwt_key(SL_JWT_RS256));
	bench("RS256", SL_JWT_RS256, EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)3072));
	bench("RS256", SL_JWT_RS256, EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)4096));
	bench("ES256", SL_JWT_ES256, jwt_key(SL_JWT_ES256));
	bench("EdDSA", SL_JWT_EDDSA, jwt_key(SL_JWT_EDDSA));
	return 0;
}
