/* bench_rate — ns of a take: one worker, and several at once on one bucket.  JSON lines. */
#include "l7/rate.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { MEMORY = 64 << 20, TAKES = 2000000 };

static struct sl_rates_shared *shared;

struct job {
	unsigned worker_cnt, keys;
	struct sl_img_rate rate;
	double ns;
	uint64_t passed;
};

static uint64_t
clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void *
run(void *arg)
{
	struct job *j = arg;
	struct sl_rates *r = sl_rates_init(malloc(sl_rates_bytes()), shared, j->worker_cnt);
	struct sl_rate_verdict v;
	uint64_t from = clock_ns(), now = from;

	for (uint32_t i = 0; i < TAKES; i++) {
		uint32_t key = i * 2654435761u % j->keys;
		if (i % 32 == 0)
			now = clock_ns();
		sl_rate_take(r, &j->rate, j->rate.tokens, &key, sizeof(key), now, &v);
		j->passed += v.allowed;
	}
	j->ns = (double)(clock_ns() - from) / TAKES;
	free(r);
	return NULL;
}

static void
bench(const char *name, unsigned workers, struct sl_img_rate rate, unsigned keys)
{
	struct job job[4];
	pthread_t t[4];
	double ns = 0;

	for (unsigned i = 0; i < workers; i++) {
		job[i] = (struct job){.worker_cnt = workers, .keys = keys, .rate = rate};
		if (pthread_create(&t[i], NULL, run, &job[i]))
			exit(1);
	}
	for (unsigned i = 0; i < workers; i++) {
		pthread_join(t[i], NULL);
		ns += job[i].ns / workers;
	}
	printf("{\"name\": \"rate take, %s, %u workers\", \"value\": %.1f, \"unit\": \"ns\"}\n",
	       name, workers, ns);
}

int
main(void)
{
	static const struct sl_hash_key key = {.b = {7}};
	struct sl_img_rate all = {.incarnation = 1, .per_ms = 1000, .key = SL_RATE_ALL};
	uint32_t slot = 0;

	shared = sl_rates_shared_init(
		mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		MEMORY, &key);
	for (unsigned workers = 1; workers <= 2; workers++) {
		all.slot = slot++;
		all.tokens = 10000000;
		bench("all pass", workers, all, 1);
		all.slot = slot++;
		all.tokens = 1000;
		bench("nearly all refused", workers, all, 1);
		struct sl_img_rate by = all;
		by.key = SL_RATE_HEADER;
		by.keys = 4096;
		by.slot = slot++;
		by.tokens = 100000;
		bench("of 1,000 keys, all pass", workers, by, 1000);
		by.slot = slot++;
		by.tokens = 10;
		bench("of 1,000 keys, nearly all refused", workers, by, 1000);
	}
	return 0;
}
