/* soak — how much of a CPU others take: runs on it when nobody else wants to, and counts the gaps.
 *
 *   bench_soak CPU FILE
 *
 * FILE becomes three numbers of 64 bits: TSC ticks that passed, and those of them that were not ours: processes, interrupts, soft
 * interrupts, and switching to them and back; ticks a second.  A gap is more than GAP ticks between two looks. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define GAP 400

static uint64_t
measure_tsc(void)
{
	struct timespec a, b, nap = {.tv_nsec = 50000000};

	clock_gettime(CLOCK_MONOTONIC, &a);
	uint64_t t0 = __rdtsc();
	nanosleep(&nap, NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (uint64_t)((double)(__rdtsc() - t0) /
			  ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9));
}

int
main(int argc, char **argv)
{
	struct sched_param none = {0};
	cpu_set_t cpu;

	if (argc != 3) {
		fprintf(stderr, "bench_soak CPU FILE\n");
		return 2;
	}
	uint64_t tsc_hz = measure_tsc();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CPU_ZERO(&cpu);
	CPU_SET((unsigned)atoi(argv[1]), &cpu);
	int fd = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 4096) || sched_setaffinity(0, sizeof(cpu), &cpu) ||
	    sched_setscheduler(0, SCHED_IDLE, &none)) {
		perror("bench_soak");
		return 1;
	}
	volatile uint64_t *out = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (out == MAP_FAILED)
		return 1;
	out[2] = tsc_hz;
	uint64_t taken = 0, first = __rdtsc();
	for (uint64_t before = first;;) {
		uint64_t now = __rdtsc();
		if (now - before > GAP)
			taken += now - before;
		before = now;
		out[1] = taken;
		out[0] = now - first;
	}
}
