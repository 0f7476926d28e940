/* boot — the boot file of sluice-dataplane: what cannot change without a restart.
 *
 * Threads: [main]. Reads one file, touches nothing else.
 * Errors:  all of them at once, each with file, line, key and what to do.  No value is replaced by a
 *          default; a key that is left out has the default given here.
 * Not here: whether the machine has what the file asks for (host.h), EAL arguments (host.h).
 *
 *     control = "/run/sluice/dataplane.sock";
 *     daemon_user = "root";                    # besides root and our own user
 *     workers = [ 1, 2 ];                      # CPU of each worker.  Or their number (workers = 2;): isolated CPUs of the ports'
 *                                              # NUMA node first, then others of it; not main_cpu, no two of one core
 *     main_cpu = 0;                            # left out: the first CPU without a worker, or else the first
 *     memory = { hugepages = "auto"; size_mb = 512; };   # auto | require | never
 *     buffers = 16384;                         # packet buffers
 *     mbuf_data = 2048;                        # bytes of a frame in a buffer; below 1518 (least 256)
 *                                              # only for small packets, to measure with many of them
 *     flows = 1048576;                         # capacity of each worker's flow table
 *     tcp = {                                  # connections that end in the gateway (mode = "tcp"), of each worker
 *       streams = 65536;                       # places; one for the client, one for the endpoint.  0: no TCP
 *       timewait = 65536;                      # places for what is left of closed ones, for a minute
 *       memory_mb = 64;                        # for payload that is kept: blocks of 2 KB with 4 pieces each
 *       receive_max = 1048576;                 # bytes of receive window of a connection,
 *       send_max = 1048576; };                 # and sent without acknowledgement
 *     http = {                                 # requests that end in the gateway (mode = "http"), of each worker
 *       requests = 16384;                      # under way at a time.  0: no HTTP
 *       pool = 16384;                          # connections to endpoints
 *       head_mb = 16; };                       # for the heads of requests under way
 *     tls = {                                  # TLS that ends in the gateway
 *       sessions = 65536;                      # of each worker.  0: no TLS, and a table that has some is refused
 *       handshakes = 2048;                     # of each worker, under way at a time
 *       threads = 1;                           # that make the steps of handshakes, beside the workers, at most 16.  0: the workers do
 *       cpus = [ 3 ];                          # of these threads, in turn; left out: any without a worker, or else main's
 *       budget_us = 500;                       # threads = 0: for handshakes in a turn of a worker
 *       memory_mb = 192;                       # at most, for OpenSSL: certificates, keys, handshakes; locked.  Left out: 64, and
 *                                              # 64 KB for each handshake of each worker
 *       records = "ipsec-mb";                  # ipsec-mb | openssl: who seals and opens; openssl: slow, to compare
 *       core_dumps = false;                    # true: this process may be dumped and traced; keys are left out as far as can be
 *       key_log = "/tmp/keys.log"; };          # secrets of all sessions, for Wireshark: debug builds alone, elsewhere an error
 *     limits_mb = 16;                          # of all workers, for limits by client, identity or header: 150 bytes to 2.1 KB for
 *                                              # each key, the more the higher its limit.  Only what is used is taken
 *     events_kb = 4096;                        # of each worker, for access-log records on their way to sluiced: a power
 *                                              # of two from 4 to 262144.  0: none, and no access log
 *     power = "poll";                          # poll | adaptive
 *     privileges = "drop";                     # drop: no capabilities once the ports are up, and a filter of system calls.  keep: those
 *                                              # it was started with, so that `sluicectl upgrade` can run another program in its place
 *     user = "";                               # with drop: becomes this user then; left out: stays who it is
 *     stop_wait_ms = 3000;                     # at SIGTERM, and before an upgrade: for sluiced to withdraw the VIPs; 0: none
 *     rss_key = "…80 hex digits…";             # tests only; left out: random at each boot
 *     ports = (
 *       { name = "front"; device = "veth0"; driver = "auto"; # auto | af_xdp | af_packet | vdev | pci
 *         mac = "02:00:00:00:00:01"; mtu = 1500; args = ""; queues = 1; rss = "auto";   # auto | assume
 *         vlan = 100;                          # 802.1Q: frames of this port carry it; ports of one device each have their own.
 *                                              # driver, args, queues and rss of the device stand with its first port
 *         kernel = "front0";                   # interface that the kernel gets for what is not ours; left out: none
 *         kernel_pps = 20000; } );             # packets a second towards it, of all workers together
 */
#ifndef SL_DATAPLANE_BOOT_H
#define SL_DATAPLANE_BOOT_H

#include "sluice/diag.h"
#include "sluice/image.h"

#define SL_BOOT_MAX_WORKERS 64
#define SL_BOOT_MAX_PORTS 32
#define SL_BOOT_KEY_BYTES 40
#define SL_BOOT_MIN_STREAMS 16
#define SL_BOOT_MIN_EVENTS_KB 4
#define SL_BOOT_MAX_TLS_THREADS 16

enum sl_boot_hugepages { SL_HUGE_AUTO, SL_HUGE_REQUIRE, SL_HUGE_NEVER };
enum sl_boot_power { SL_POWER_POLL, SL_POWER_ADAPTIVE };
enum sl_boot_driver {
	SL_DRIVER_AUTO,
	SL_DRIVER_AF_XDP,
	SL_DRIVER_AF_PACKET,
	SL_DRIVER_VDEV,
	SL_DRIVER_PCI
};
enum sl_boot_privileges { SL_PRIVILEGES_DROP, SL_PRIVILEGES_KEEP };
enum sl_boot_rss { SL_RSS_AUTO, SL_RSS_ASSUME };
enum sl_boot_records { SL_RECORDS_IPSEC_MB, SL_RECORDS_OPENSSL };

struct sl_boot_port {
	char name[SL_NAME_MAX];
	char device[64]; /* interface, vdev name ("net_pcap0") or PCI address */
	char args[512];  /* driver arguments, appended */
	int driver;      /* enum sl_boot_driver */
	int rss;         /* enum sl_boot_rss */
	int mtu;         /* of the IP packet; 0: the device's */
	int queues;      /* receive queues to ask for; 0: one per worker with RSS, else 1 */
	int vlan;        /* 1 to 4094; 0: untagged */
	char kernel[16]; /* interface of the exception path (exception.h); "": none */
	int kernel_pps;
	bool has_mac;
	uint8_t mac[6];
	int line;
};

struct sl_boot {
	char *file;
	char control[104];
	char daemon_user[64];
	int workers[SL_BOOT_MAX_WORKERS]; /* CPU numbers; the same may stand twice */
	unsigned worker_cnt;
	int worker_ask; /* how many to choose CPUs for (host.h); 0: workers[] says which */
	int main_cpu;   /* -1: choose */
	int hugepages;  /* enum sl_boot_hugepages */
	int size_mb;
	int buffers;
	int mbuf_data;
	int flows;
	int tcp_streams;   /* 0: no TCP */
	int http_requests; /* 0: no HTTP */
	int http_pool, http_head_mb;
	int limits_mb;
	int tcp_timewait, tcp_memory_mb, tcp_receive_max, tcp_send_max;
	int tls_sessions; /* 0: no TLS */
	int tls_handshakes, tls_threads, tls_budget_us, tls_memory_mb;
	int tls_cpus[SL_BOOT_MAX_TLS_THREADS];
	unsigned tls_cpu_cnt; /* 0: choose */
	int tls_records;      /* enum sl_boot_records */
	bool tls_core_dumps;
	char tls_key_log[256]; /* "": none */
	int events_kb;         /* 0: no events */
	int power;             /* enum sl_boot_power */
	int privileges;        /* enum sl_boot_privileges */
	char user[64];         /* "": as it was started */
	int stop_wait_ms;
	bool has_rss_key;
	uint8_t rss_key[SL_BOOT_KEY_BYTES];
	struct sl_boot_port ports[SL_BOOT_MAX_PORTS];
	unsigned port_cnt;
	int workers_line, main_line, memory_line, tls_line; /* tls_line 0: not in the file */
};

/* sl_boot_load reads a file.  0, or -errno (-EINVAL: contents) with every problem in diag; *ret_boot is then
 * untouched.  sl_boot_fini accepts a zeroed one. */
int sl_boot_load(const char *file, struct sl_diag *diag, struct sl_boot *ret_boot);

/* sl_boot_parse does the same for text that is already in memory (terminated); file names it in messages. */
int sl_boot_parse(const char *file, const char *text, size_t len, struct sl_diag *diag,
		  struct sl_boot *ret_boot);
void sl_boot_fini(struct sl_boot *boot);

/* sl_boot_lead: of the ports that share a device (each with its vlan) the first, which has the device's driver, queues,
 * rss and args; of any other port itself. */
unsigned sl_boot_lead(const struct sl_boot *boot, unsigned port);

#endif
