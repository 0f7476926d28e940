/* Time to build Maglev tables: the median of many builds, one JSON object a line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lb/maglev.h"
#include "sluice/image.h"

static struct sl_maglev_node node[SL_MAX_SERVICE_ENDPOINTS];
static char name[SL_MAX_SERVICE_ENDPOINTS][SL_NAME_MAX];
static uint16_t table[SL_MAX_MAGLEV];

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static int
measure(const char *what, uint32_t nodes, uint32_t size, uint32_t max_weight, unsigned runs)
{
	double ms[501];

	for (uint32_t i = 0; i < nodes; i++) {
		snprintf(name[i], sizeof(name[i]), "endpoint-%05" PRIu32, i);
		node[i] = (struct sl_maglev_node){name[i], 1 + i * 37 % max_weight};
	}
	for (unsigned r = 0; r < runs; r++) {
		double start = now_ms();
		if (sl_maglev_build(node, nodes, r, table, size)) {
			fprintf(stderr, "bench_maglev: %s was not built\n", what);
			return 1;
		}
		ms[r] = now_ms() - start;
	}
	qsort(ms, runs, sizeof(*ms), by_value);
	printf("{\"name\":\"%s\",\"value\":%.4f,\"unit\":\"ms\",\"p10\":%.4f,\"p90\":%.4f}\n", what,
	       ms[runs / 2], ms[runs / 10], ms[runs * 9 / 10]);
	return 0;
}

int
main(void)
{
	return measure("maglev.build.ms", 1000, 65537, 1, 501) ||
	       measure("maglev.build.weighted.ms", 1000, 65537, 256, 301) ||
	       measure("maglev.build.small.ms", 10, 1009, 1, 501) ||
	       measure("maglev.build.large.ms", 16384, 1638431, 1, 9) ||
	       measure("maglev.build.large.weighted.ms", 16384, 1638431, 256, 9);
}
