/* Checks of CPUs, clocks and interrupts. */
#include "mgmt/doctor.h"

#include <stdlib.h>
#include <string.h>

#define IRQS_NAMED 4

static bool
has_flag(const struct sl_doctor_facts *f, const char *flag)
{
	char word[32];

	snprintf(word, sizeof(word), " %s ", flag);
	return f->cpu_flags && strstr(f->cpu_flags, word);
}

/* "AVX2, BMI2": those of a list that are there, or not; how many. */
static unsigned
name_flags(const struct sl_doctor_facts *f, const char *const names[][2], unsigned cnt, bool there,
	   char *buf, size_t size)
{
	unsigned n = 0;
	size_t at = 0;

	*buf = 0;
	for (unsigned i = 0; i < cnt; i++)
		if (has_flag(f, names[i][0]) == there && at < size)
			at += (size_t)snprintf(buf + at, size - at, "%s%s", n++ ? ", " : "",
					       names[i][1]);
	return n;
}

void
sl_doctor_cpu_flags(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		    struct sl_doctor_report *r)
{
	static const char *const must[][2] = {
		{"avx2", "AVX2"}, {"bmi2", "BMI2"}, {"aes", "AES-NI"}, {"pclmulqdq", "PCLMULQDQ"}};
	static const char *const better[][2] = {{"gfni", "GFNI"}, {"vaes", "VAES"}};
	char text[64];

	(void)b;
	if (!f->cpu_flags) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "/proc/cpuinfo tells of no flags");
		sl_doctor_why(r, "AVX2, BMI2, AES-NI and PCLMULQDQ are needed");
		return;
	}
	if (name_flags(f, must, 4, false, text, sizeof(text))) {
		sl_doctor_say(r, SL_DOCTOR_ERROR, "lacks %s", text);
		sl_doctor_why(r, "the dataplane does not start");
		sl_doctor_mend(r,
			       "in a virtual machine pass the host's CPU through; else another CPU "
			       "(x86-64-v3 with AES-NI)");
	} else {
		sl_doctor_say(r, SL_DOCTOR_OK, "AVX2, BMI2, AES-NI, PCLMULQDQ");
	}
	if (name_flags(f, better, 2, false, text, sizeof(text))) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "no %s", text);
		sl_doctor_why(r, "hashing and TLS records take more cycles");
	}
}

void
sl_doctor_cpu_tsc(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		  struct sl_doctor_report *r)
{
	bool constant = has_flag(f, "constant_tsc"), nonstop = has_flag(f, "nonstop_tsc");

	(void)b;
	if (!f->cpu_flags) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "/proc/cpuinfo tells of no flags");
	} else if (constant && nonstop) {
		sl_doctor_say(r, SL_DOCTOR_OK, "constant and invariant");
	} else {
		sl_doctor_say(r, constant ? SL_DOCTOR_WARNING : SL_DOCTOR_ERROR, "not %s",
			      constant  ? "invariant: it stops in deep sleep"
			      : nonstop ? "constant: it follows the frequency"
					: "constant, and not invariant");
		sl_doctor_why(r, "workers tell time by it: time-outs and rates are wrong");
		sl_doctor_mend(r, "in a virtual machine pass constant_tsc and nonstop_tsc through "
				  "(QEMU: -cpu host,invtsc=on)");
	}
}

void
sl_doctor_cpu_clock(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		    struct sl_doctor_report *r)
{
	(void)b;
	if (strcmp(f->clocksource, "tsc") == 0) {
		sl_doctor_say(r, SL_DOCTOR_OK, "tsc");
		return;
	}
	if (!f->clocksource[0]) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "not told");
		return;
	}
	sl_doctor_say(r, SL_DOCTOR_WARNING, "%s, not tsc", f->clocksource);
	if (strstr(f->clocksources, " tsc ")) {
		sl_doctor_why(
			r,
			"the kernel's time and the workers' drift apart, and it is slow to read");
		sl_doctor_mend(r, "echo tsc > /sys/devices/system/clocksource/clocksource0/"
				  "current_clocksource (at boot: clocksource=tsc)");
	} else {
		sl_doctor_why(r,
			      "the kernel has given the TSC up as unreliable, and workers use it");
		sl_doctor_mend(
			r, "dmesg | grep -i tsc says why; tsc=reliable at boot where it is sound");
	}
}

void
sl_doctor_cpu_machine(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		      struct sl_doctor_report *r)
{
	(void)b;
	if (!f->cpu_flags)
		sl_doctor_say(r, SL_DOCTOR_NOTE, "not told");
	else if (!has_flag(f, "hypervisor"))
		sl_doctor_say(r, SL_DOCTOR_OK, "none: bare metal%s%s", f->machine[0] ? ", " : "",
			      f->machine);
	else {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "this is one%s%s%s", f->machine[0] ? " (" : "",
			      f->machine, f->machine[0] ? ")" : "");
		sl_doctor_why(r,
			      "its CPUs may be taken away for a while; packets are lost meanwhile");
		sl_doctor_mend(r, "pin its CPUs on the host and back its memory with hugepages");
	}
}

void
sl_doctor_cpu_workers(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		      struct sl_doctor_report *r)
{
	struct sl_doctor_cpus workers, missing;
	char list[256], online[256];
	unsigned cnt = sl_doctor_cpus_cnt(&f->online);

	sl_doctor_cpus_format(&f->online, online, sizeof(online));
	if (!cnt) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "which CPUs are there is not told");
		return;
	}
	if (b->known && b->worker_ask && b->worker_cnt > cnt) {
		sl_doctor_say(r, SL_DOCTOR_ERROR, "%u workers asked for, CPUs there: %s",
			      b->worker_cnt, online);
		sl_doctor_why(r, "the dataplane does not start");
		sl_doctor_mend(r, "workers = %u; in the boot file", cnt > 1 ? cnt - 1 : 1);
		return;
	}
	if (!sl_doctor_workers(f, b, &workers)) {
		sl_doctor_say(r, b->known ? SL_DOCTOR_OK : SL_DOCTOR_NOTE,
			      b->known ? "chosen at the start, of CPUs %s"
				       : "not known; CPUs there: %s",
			      online);
		return;
	}
	missing = sl_doctor_cpus_minus(&workers, &f->online);
	if (sl_doctor_cpus_cnt(&missing)) {
		sl_doctor_say(r, SL_DOCTOR_ERROR, "CPU %s not there; online: %s",
			      sl_doctor_cpus_format(&missing, list, sizeof(list)), online);
		sl_doctor_why(r, "the dataplane does not start");
		sl_doctor_mend(r, "workers = [ … ] of CPUs that are online, or bring them online");
	} else if (sl_doctor_cpus_cnt(&workers) < b->worker_cnt) {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "%u workers on CPU %s", b->worker_cnt,
			      sl_doctor_cpus_format(&workers, list, sizeof(list)));
		sl_doctor_why(r, "those of one CPU hold each other up");
		sl_doctor_mend(r, "a CPU for each worker in the boot file");
	} else if (sl_doctor_cpus_cnt(&workers) == cnt) {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "CPU %s work: all there are",
			      sl_doctor_cpus_format(&workers, list, sizeof(list)));
		sl_doctor_why(r, "main, handshakes, sluiced and the kernel take their time");
		sl_doctor_mend(r, "leave at least one CPU without a worker");
	} else {
		sl_doctor_say(r, SL_DOCTOR_OK, "CPU %s, of %s",
			      sl_doctor_cpus_format(&workers, list, sizeof(list)), online);
	}
}

static void
mend_isolation(struct sl_doctor_report *r, const char *list)
{
	sl_doctor_mend(r,
		       "isolcpus=%s nohz_full=%s rcu_nocbs=%s on the kernel's command line, then "
		       "reboot",
		       list, list, list);
}

void
sl_doctor_cpu_isolated(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		       struct sl_doctor_report *r)
{
	struct sl_doctor_cpus workers, open, ticks, callbacks;
	char list[256], all[256];

	if (!f->has_isolated) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "not told");
		return;
	}
	if (!sl_doctor_workers(f, b, &workers)) {
		unsigned have = sl_doctor_cpus_cnt(&f->isolated);
		bool few = have < (b->known ? b->worker_cnt : 1);
		sl_doctor_say(r, !few ? SL_DOCTOR_OK : SL_DOCTOR_WARNING, "isolated CPUs: %s",
			      sl_doctor_cpus_format(&f->isolated, list, sizeof(list)));
		if (few) {
			sl_doctor_why(r, "on others programs get in the way of workers");
			mend_isolation(r, "CPUS");
		}
		return;
	}
	sl_doctor_cpus_format(&workers, all, sizeof(all));
	open = sl_doctor_cpus_minus(&workers, &f->isolated);
	ticks = sl_doctor_cpus_minus(&workers, &f->nohz_full);
	callbacks = sl_doctor_cpus_minus(&workers, &f->rcu_nocbs);
	if (sl_doctor_cpus_cnt(&open)) {
		sl_doctor_say(r, b->known && !b->polls ? SL_DOCTOR_NOTE : SL_DOCTOR_WARNING,
			      "CPU %s of workers not isolated",
			      sl_doctor_cpus_format(&open, list, sizeof(list)));
		sl_doctor_why(
			r,
			"the scheduler runs other programs there, and packets are lost meanwhile");
		mend_isolation(r, all);
	} else if (sl_doctor_cpus_cnt(&ticks) || sl_doctor_cpus_cnt(&callbacks)) {
		bool t = sl_doctor_cpus_cnt(&ticks);
		sl_doctor_say(r, SL_DOCTOR_NOTE, "CPU %s of workers isolated, without %s",
			      sl_doctor_cpus_format(t ? &ticks : &callbacks, list, sizeof(list)),
			      t ? "nohz_full" : "rcu_nocbs");
		sl_doctor_why(r, "the kernel's tick and its own work interrupt workers");
		mend_isolation(r, all);
	} else {
		sl_doctor_say(r, SL_DOCTOR_OK, "CPU %s: isolated, without tick", all);
	}
}

void
sl_doctor_cpu_siblings(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		       struct sl_doctor_report *r)
{
	struct sl_doctor_cpus workers, shared = {0};
	unsigned told = 0;
	char list[256];

	if (!sl_doctor_workers(f, b, &workers)) {
		sl_doctor_say(r, b->known ? SL_DOCTOR_OK : SL_DOCTOR_NOTE, "which CPUs work is %s",
			      b->known ? "chosen at the start" : "not known");
		return;
	}
	for (int i = 0; i < SL_DOCTOR_CPUS; i++) {
		if (!sl_doctor_cpus_has(&workers, i) || f->core[i] < 0)
			continue;
		told++;
		for (int j = 0; j < i; j++)
			if (sl_doctor_cpus_has(&workers, j) && f->core[j] == f->core[i]) {
				sl_doctor_cpus_add(&shared, i);
				sl_doctor_cpus_add(&shared, j);
			}
	}
	if (sl_doctor_cpus_cnt(&shared)) {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "workers on CPU %s share cores",
			      sl_doctor_cpus_format(&shared, list, sizeof(list)));
		sl_doctor_why(r, "two threads of a core have little more than one's throughput");
		sl_doctor_mend(r, "one worker for each core: "
				  "/sys/devices/system/cpu/cpu*/topology/thread_siblings_list");
	} else if (told) {
		sl_doctor_say(r, SL_DOCTOR_OK, "no two workers share a core");
	} else {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "not told");
	}
}

void
sl_doctor_cpu_frequency(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
			struct sl_doctor_report *r)
{
	struct sl_doctor_cpus cpus, bad = {0};
	const char *governor = "";
	unsigned told = 0;
	char list[256];

	if (!sl_doctor_workers(f, b, &cpus))
		cpus = f->online;
	for (int i = 0; i < SL_DOCTOR_CPUS; i++) {
		if (!sl_doctor_cpus_has(&cpus, i) || !f->governor[i][0])
			continue;
		told++;
		if (strcmp(f->governor[i], "performance") == 0)
			continue;
		sl_doctor_cpus_add(&bad, i);
		governor = f->governor[i];
	}
	if (sl_doctor_cpus_cnt(&bad)) {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "CPU %s: governor %s",
			      sl_doctor_cpus_format(&bad, list, sizeof(list)), governor);
		sl_doctor_why(r, "they run below their frequency, or take their time to reach it");
		sl_doctor_mend(r, "cpupower frequency-set -g performance");
	} else if (sl_doctor_cpus_cnt(&f->online)) {
		sl_doctor_say(r, SL_DOCTOR_OK,
			      told ? "governor performance" : "the kernel does not scale it");
	} else {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "not told");
	}
}

/* "24 (ACPI:Ged), 26 (ttyS0)" of those that come to a worker's CPU; how many. */
static unsigned
name_irqs(const struct sl_doctor_facts *f, const struct sl_doctor_cpus *workers, char *buf,
	  size_t size)
{
	unsigned n = 0;
	size_t at = 0;

	*buf = 0;
	for (unsigned i = 0; i < f->irq_cnt; i++) {
		struct sl_doctor_cpus hit = sl_doctor_cpus_both(workers, &f->irq[i].cpus);
		if (!sl_doctor_cpus_cnt(&hit))
			continue;
		if (n < IRQS_NAMED && at < size)
			at += (size_t)snprintf(buf + at, size - at, "%s%d (%s)", n ? ", " : "",
					       f->irq[i].number, f->irq[i].name);
		n++;
	}
	return n;
}

void
sl_doctor_cpu_interrupts(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
			 struct sl_doctor_report *r)
{
	struct sl_doctor_cpus workers, open;
	char names[320], list[256];

	if (!sl_doctor_workers(f, b, &workers)) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "which CPUs work is not known");
		return;
	}
	unsigned n = name_irqs(f, &workers, names, sizeof(names));
	open = sl_doctor_cpus_minus(&workers, &f->isolated);
	if (n) {
		sl_doctor_say(r, b->known && !b->polls ? SL_DOCTOR_NOTE : SL_DOCTOR_WARNING,
			      "%u come to CPUs of workers: %s%s", n, names,
			      n > IRQS_NAMED ? ", …" : "");
		sl_doctor_why(r, "each holds a worker up");
		sl_doctor_mend(
			r,
			"echo CPUS > /proc/irq/N/smp_affinity_list with CPUs without workers; at "
			"boot irqaffinity=CPUS, isolcpus=managed_irq,…");
	}
	if (f->irqbalance && sl_doctor_cpus_cnt(&open)) {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "irqbalance (pid %d) may send more to CPU %s",
			      f->irqbalance, sl_doctor_cpus_format(&open, list, sizeof(list)));
		sl_doctor_why(r, "it keeps away from isolated CPUs alone");
		sl_doctor_mend(
			r,
			"IRQBALANCE_BANNED_CPULIST=%s in /etc/default/irqbalance, or isolate them",
			list);
	} else if (!n && !f->irq_cnt) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "/proc/interrupts tells of none");
	} else if (!n) {
		sl_doctor_say(r, SL_DOCTOR_OK, "none come to CPUs of workers");
	}
}
