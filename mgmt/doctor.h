/* doctor — is this node fit for a gateway?  Facts about the machine, what the boot file asks of it, and one function per
 * check that compares the two.
 *
 * Walk:    ctl/verb_doctor.c → doctor_boot.c (what the dataplane's own parser read) → doctor_facts.c, doctor_devices.c,
 *          doctor_processes.c (/proc and /sys below a root) → doctor.c: one row per check → findings.
 * Pure:    checks see facts and boot file alone; no file, no clock, no system call.  [any thread]
 * Unknown: what could not be read is unknown, and no check calls that good: it is a note at least.
 * Not here: changing anything.  What is wrong is told with the command that mends it.
 */
#ifndef SL_MGMT_DOCTOR_H
#define SL_MGMT_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- sets of CPUs ---- */

#define SL_DOCTOR_CPUS 1024
#define SL_DOCTOR_NODES 64

struct sl_doctor_cpus {
	uint64_t bits[SL_DOCTOR_CPUS / 64];
};

bool sl_doctor_cpus_has(const struct sl_doctor_cpus *s, int cpu);
void sl_doctor_cpus_add(struct sl_doctor_cpus *s,
			int cpu); /* outside [0, SL_DOCTOR_CPUS): nothing */
unsigned sl_doctor_cpus_cnt(const struct sl_doctor_cpus *s);
/* sl_doctor_cpus_parse reads "0-3,8"; what comes before ("managed_irq,domain,2-3") and is no number is passed over. */
void sl_doctor_cpus_parse(const char *text, struct sl_doctor_cpus *ret);
/* sl_doctor_cpus_format writes "0-3,8", "none" for none; always terminated. */
const char *sl_doctor_cpus_format(const struct sl_doctor_cpus *s, char *buf, size_t size);
/* What is in a and not in b; in both. */
struct sl_doctor_cpus sl_doctor_cpus_minus(const struct sl_doctor_cpus *a,
					   const struct sl_doctor_cpus *b);
struct sl_doctor_cpus sl_doctor_cpus_both(const struct sl_doctor_cpus *a,
					  const struct sl_doctor_cpus *b);

/* ---- what the boot file asks for ---- */

#define SL_DOCTOR_PORTS 32

struct sl_doctor_boot_port {
	char name[64];
	char device[64];
	char driver[16]; /* auto, af_xdp, af_packet, vdev, pci */
	char kernel[16]; /* "": no exception path */
	int queues;      /* 0: not told */
	int vlan;        /* 0: untagged */
};

struct sl_doctor_boot {
	bool known;
	char file[1024];
	char *why; /* not known: what the dataplane's parser says, in lines; or why there is none */
	bool bad; /* the file is wrong: each line is a problem (else it cannot be read, or there is no parser) */
	struct sl_doctor_cpus workers; /* empty when worker_ask */
	unsigned worker_cnt;
	bool worker_ask;    /* CPUs are chosen at the start */
	char hugepages[16]; /* auto, require, never */
	long size_mb;
	bool polls; /* power = "poll" */
	bool drops; /* privileges = "drop" */
	bool core_dumps;
	long tls_memory_mb; /* 0: no TLS */
	struct sl_doctor_boot_port port[SL_DOCTOR_PORTS];
	unsigned port_cnt;
};

/* sl_doctor_boot_run runs `program --show-boot -c file` and reads what it prints; at most 10 s. */
void sl_doctor_boot_run(const char *program, const char *file, struct sl_doctor_boot *ret);
/* sl_doctor_boot_read reads such a text.  False, with why, when it is none. */
bool sl_doctor_boot_read(const char *text, size_t len, struct sl_doctor_boot *ret);
void sl_doctor_boot_fini(struct sl_doctor_boot *b);

/* ---- facts ---- */

#define SL_DOCTOR_UNKNOWN (-1) /* of a number that cannot be negative */
#define SL_DOCTOR_HUGE 4
#define SL_DOCTOR_IRQS 256

struct sl_doctor_huge {
	long kb, total, free; /* size of a page; pages */
};

struct sl_doctor_node {
	bool present;
	struct sl_doctor_cpus cpus;
	struct sl_doctor_huge huge[SL_DOCTOR_HUGE];
	unsigned huge_cnt;
};

struct sl_doctor_irq {
	int number;
	char name[48];
	struct sl_doctor_cpus cpus; /* that it goes to, and has come to */
};

struct sl_doctor_pci {
	bool present;
	char address[16];
	char driver[32];         /* "": none */
	int node;                /* -1: none told */
	char group[16];          /* of the IOMMU; "": none */
	char others[160];        /* of the group, with drivers that are not VFIO's; "": none */
	double speed, max_speed; /* GT/s; 0: not told */
	int width, max_width;    /* lanes; 0: not told */
};

struct sl_doctor_nic { /* an interface of the kernel */
	bool present;
	int carrier;    /* 0, 1, unknown */
	long speed;     /* Mbit/s, unknown */
	bool half;      /* half duplex */
	int rp_filter;  /* of IPv4; unknown */
	int forwarding; /* of IPv4; unknown */
	bool has_features;
	bool gro, lro, rx_vlan; /* valid with has_features */
	char driver[32];        /* by ethtool; "": not told */
	unsigned queues;        /* that receive, by ethtool; 0: not told */
};

struct sl_doctor_port {           /* of the boot file's port of the same index */
	struct sl_doctor_pci pci; /* also of an interface that is one's */
	struct sl_doctor_nic nic;
	struct sl_doctor_nic kernel; /* exception path */
};

struct sl_doctor_process {
	int pid; /* 0: none */
	long uid;
	unsigned threads;
	uint64_t caps;    /* permitted or effective, of any of its threads */
	int no_new_privs; /* the least of its threads; unknown */
	int seccomp;      /* 0, 1 strict, 2 filter: the least of its threads; unknown */
	long memlock_kb;  /* limit; LONG_MAX: none; unknown */
	long swapped_kb;
	struct sl_doctor_cpus workers; /* of its worker threads */
};

struct sl_doctor_disk {
	char path[256];
	long free_mb; /* unknown */
	long free_percent;
};

struct sl_doctor_running { /* a port, as the running dataplane has it */
	char name[64];
	char link[16];    /* up, down, gone; "": not told */
	long long missed; /* by the device, and for want of buffers */
	long long tx_full;
};

struct sl_doctor_facts {
	bool live; /* of this machine as it runs; else of a tree of files */

	/* CPUs */
	char *cpu_flags; /* " fpu … avx2 … "; NULL: unknown */
	struct sl_doctor_cpus online, isolated, nohz_full, rcu_nocbs;
	bool has_isolated;                 /* the kernel tells */
	int16_t core[SL_DOCTOR_CPUS];      /* the first CPU of the same core; -1: unknown */
	int16_t node_of[SL_DOCTOR_CPUS];   /* -1: unknown */
	char governor[SL_DOCTOR_CPUS][16]; /* "": none */
	char clocksource[32], clocksources[128];
	struct sl_doctor_irq irq[SL_DOCTOR_IRQS];
	unsigned irq_cnt;
	int irqbalance;   /* pid; 0: none */
	char machine[96]; /* product of a virtual machine; "" */

	/* memory */
	struct sl_doctor_node node[SL_DOCTOR_NODES];
	struct sl_doctor_huge huge[SL_DOCTOR_HUGE];
	unsigned huge_cnt;
	bool has_mounts, hugetlbfs;
	char thp[16];    /* always, madvise, never; "": unknown */
	long swap_kb;    /* unknown */
	long memlock_kb; /* of who asks; as in a process */
	bool ipc_lock;   /* who asks may lock all the same */

	/* kernel */
	int kernel_major, kernel_minor; /* 0: unknown */
	char release[64];
	int af_xdp;       /* 0, 1, unknown */
	int iommu_groups; /* how many */
	bool vfio, noiommu, vhost_net, tun;
	int ip_forward; /* unknown */
	int rp_filter_all;
	int time_synced; /* 0, 1, unknown */
	char core_pattern[128];

	struct sl_doctor_port port[SL_DOCTOR_PORTS];
	struct sl_doctor_process dataplane, daemon;
	unsigned dataplane_cnt; /* in this network namespace */
	struct sl_doctor_disk disk[2];
	unsigned disk_cnt;

	/* of the daemon, when it answers */
	bool answered, connected;
	char version[32];
	struct sl_doctor_running running[SL_DOCTOR_PORTS];
	unsigned running_cnt;
};

/* sl_doctor_facts_read reads the machine below root ("" is this one; then also what only system calls tell).  *ret_f is
 * overwritten and finished by sl_doctor_facts_fini.  Files are read up to a limit, links are not followed out of need. */
void sl_doctor_facts_read(const char *root, const struct sl_doctor_boot *b,
			  struct sl_doctor_facts *ret_f);
void sl_doctor_facts_fini(struct sl_doctor_facts *f);
/* Parts of it. */
void sl_doctor_devices_read(const char *root, const struct sl_doctor_boot *b,
			    struct sl_doctor_facts *f);
void sl_doctor_processes_read(const char *root, struct sl_doctor_facts *f);
/* sl_doctor_disk_read adds what is free where path lies, or will. */
void sl_doctor_disk_read(const char *path, struct sl_doctor_facts *f);

/* ---- findings ---- */

enum sl_doctor_state { SL_DOCTOR_OK, SL_DOCTOR_NOTE, SL_DOCTOR_WARNING, SL_DOCTOR_ERROR };

struct sl_doctor_finding {
	enum sl_doctor_state state;
	const char *check;
	char *found;
	char *why;  /* one clause, or NULL */
	char *mend; /* lines, or NULL */
};

struct sl_doctor_report {
	struct sl_doctor_finding *items; /* [cnt] */
	unsigned cnt;
	const char *check; /* that runs */
};

typedef void sl_doctor_check(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
			     struct sl_doctor_report *r);

struct sl_doctor_row {
	const char *name;
	sl_doctor_check *run;
};
extern const struct sl_doctor_row sl_doctor_rows[]; /* ends with a NULL name */

/* sl_doctor_run lets all checks report; the worst state.  sl_doctor_report_fini frees the items. */
enum sl_doctor_state sl_doctor_run(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
				   struct sl_doctor_report *ret_r);
void sl_doctor_report_fini(struct sl_doctor_report *r);
const char *sl_doctor_state_name(enum sl_doctor_state s);

/* For checks: one more finding; why it matters and how to mend it go with the last one (several lines of mend add up). */
void sl_doctor_say(struct sl_doctor_report *r, enum sl_doctor_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void sl_doctor_why(struct sl_doctor_report *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void sl_doctor_mend(struct sl_doctor_report *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* sl_doctor_workers: the CPUs of workers, by the boot file or as they run.  False: nobody knows yet. */
bool sl_doctor_workers(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		       struct sl_doctor_cpus *ret);

/* doctor_cpu.c */
sl_doctor_check sl_doctor_cpu_flags, sl_doctor_cpu_tsc, sl_doctor_cpu_clock, sl_doctor_cpu_workers,
	sl_doctor_cpu_isolated, sl_doctor_cpu_siblings, sl_doctor_cpu_frequency,
	sl_doctor_cpu_interrupts, sl_doctor_cpu_machine;
/* doctor_memory.c */
sl_doctor_check sl_doctor_memory_huge, sl_doctor_memory_nodes, sl_doctor_memory_mount,
	sl_doctor_memory_transparent, sl_doctor_memory_swap, sl_doctor_memory_lock;
/* doctor_ports.c */
sl_doctor_check sl_doctor_ports_driver, sl_doctor_ports_iommu, sl_doctor_ports_vfio,
	sl_doctor_ports_numa, sl_doctor_ports_pcie, sl_doctor_ports_link, sl_doctor_ports_offload,
	sl_doctor_ports_queues, sl_doctor_ports_kernel, sl_doctor_ports_running;
/* doctor_kernel.c */
sl_doctor_check sl_doctor_kernel_boot, sl_doctor_kernel_version, sl_doctor_kernel_xdp,
	sl_doctor_kernel_time, sl_doctor_kernel_cores, sl_doctor_kernel_dataplane,
	sl_doctor_kernel_daemon, sl_doctor_kernel_disk;

#endif
