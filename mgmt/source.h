/* source — who knows endpoints of services: DNS, etcd, Consul, Kubernetes, files, the registry.
 *
 * A source is one `sources` entry of sluiced's file (or the registry, which is always there).  Tables ask it questions
 * (services[].discover); it answers each as long as it is asked, with *all* endpoints it knows every time, and the roster
 * (roster.h) decides what becomes of an answer.  A source keeps nothing over a restart: last good answers are the
 * roster's.
 *
 *   discover ──question──▶ source ──answer, trouble──▶ roster ──endpoints──▶ tables
 *
 * Threads: [loop].  Nothing may block; what is slow runs in the loop's pool.
 * Time:    ms of uv_now(loop).
 * Hostile: whatever comes from the network is untrusted: lengths, depth, counts and names are bounded, an answer that cannot
 *          be read as a whole is trouble, an endpoint of it that cannot be used is left out, counted in `left_out` and named
 *          in `note`.  Nobody but the table decides how many there may be.
 */
#ifndef SL_MGMT_SOURCE_H
#define SL_MGMT_SOURCE_H

#include "mgmt/conf.h"

#include <uv.h>

#define SL_SOURCE_TYPES(X)                                                                         \
	X(DNS, "dns")                                                                              \
	X(FILES, "files")                                                                          \
	X(ETCD, "etcd")                                                                            \
	X(CONSUL, "consul")                                                                        \
	X(KUBERNETES, "kubernetes")                                                                \
	X(REGISTRY, "registry")
enum sl_source_type {
	SL_SOURCE_NONE = 0,
#define SL_SOURCE_ID(id, text) SL_SOURCE_##id,
	SL_SOURCE_TYPES(SL_SOURCE_ID)
#undef SL_SOURCE_ID
};
const char *sl_source_type_name(unsigned type);

#define SL_SOURCES_MAX 32
#define SL_SOURCE_SERVERS 8
#define SL_SOURCE_PATH 256

/* As in sluiced's file (daemon_conf.h); what does not belong to the type is 0 or "". */
struct sl_source_conf {
	char name[SL_NAME_MAX];
	uint8_t type; /* enum sl_source_type */
	char servers[SL_SOURCE_SERVERS]
		    [SL_SOURCE_PATH]; /* dns: "192.0.2.53", "[2001:db8::53]:5353"; others:
							   * "http://…", "https://…" without path; tried in order */
	unsigned server_cnt;
	char directory[SL_SOURCE_PATH]; /* files */
	char prefix[SL_SOURCE_PATH];    /* etcd: of keys, "/sluice/" */
	char datacenter[SL_NAME_MAX];   /* consul */
	char space[SL_NAME_MAX];        /* kubernetes: namespace, "default" */
	char region[SL_NAME_MAX];       /* kubernetes: that its zones are in; "": not known */
	char token_file
		[SL_SOURCE_PATH]; /* consul, kubernetes; read anew for each request; "": none */
	char user[SL_NAME_MAX];   /* etcd; with password_file */
	char password_file[SL_SOURCE_PATH];
	char ca[SL_SOURCE_PATH], certificate[SL_SOURCE_PATH],
		key[SL_SOURCE_PATH];     /* files of https, PEM */
	uint32_t timeout_ms;             /* of one question */
	uint32_t wait_ms;                /* consul: of a blocking query; kubernetes: of a watch */
	uint32_t min_ttl_ms, max_ttl_ms; /* dns: bounds of what a TTL says */
};

/* One endpoint of an answer. */
struct sl_source_endpoint {
	char name
		[SL_NAME_MAX]; /* sl_name_ok, distinct in an answer: sl_source_name makes one; the same on all gateways */
	struct sl_addr addr; /* an address that an endpoint can have (sl_value_addr) */
	uint16_t port;       /* host order; 0: the question's */
	uint16_t weight;     /* [0, SL_MAX_WEIGHT]; UINT16_MAX: the question's */
	uint8_t priority;    /* [0, SL_MAX_PRIORITY] */
	uint8_t percent; /* [0, 100]: of its weight that it wants for now (an agent's hint); 100 */
	bool drain;      /* it is on its way out: no new flows */
	bool down;       /* the source says that it does not serve: as a failed probe */
	char locality[SL_LOCALITY_MAX];
	char meta[SL_META_MAX];
};

/* Where answers go.  id: of the question.  Everything is copied.  From the loop, and never from within ask, drop or
 * create. */
struct sl_source_sink {
	uv_loop_t *loop;
	uint64_t seed; /* of jitter */
	/* cnt 0 is an answer, too: that there are none.  note: "" or what is odd about it, one line. */
	void (*answer)(void *ctx, uint32_t id, const struct sl_source_endpoint *endpoints,
		       size_t cnt, uint32_t left_out, const char *note);
	/* The last answer was confirmed: its age starts anew. */
	void (*confirm)(void *ctx, uint32_t id);
	/* No answer now; the source goes on trying, with a pause that grows (with jitter, to 30 s at most). */
	void (*trouble)(void *ctx, uint32_t id, const char *why);
	void (*say)(void *ctx, const char *line); /* one line for the log */
	void *ctx;
};

/* What a type is made of. */
struct sl_source_ops {
	/* 0, or -errno with diag.  conf outlives the source. */
	int (*create)(const struct sl_source_conf *conf, const struct sl_source_sink *sink,
		      struct sl_diag *diag, void **ret_source);
	/* Handles close in the loop afterwards. */
	void (*destroy)(void *source);
	/* Asks q from now on, under id.  q is copied.  service: whose question, for the default of q->name.  0 or -ENOMEM. */
	int (*ask)(void *source, uint32_t id, const char *service,
		   const struct sl_conf_discover *q);
	void (*drop)(void *source, uint32_t id);
};
extern const struct sl_source_ops sl_source_dns, sl_source_files, sl_source_etcd, sl_source_consul,
	sl_source_kubernetes;

/* sl_source_ops_of: NULL: REGISTRY (registry.h). */
const struct sl_source_ops *sl_source_ops_of(unsigned type);

/* sl_source_name makes an endpoint's name of any text: characters that a name cannot have become '-'; what was changed or is
 * too long ends with a hash of the whole, so that names differ where texts do. */
void sl_source_name(const char *text, size_t len, char ret_name[SL_NAME_MAX]);
/* "192.0.2.1" and 80 → "192.0.2.1-80": for sources that have no names. */
void sl_source_name_addr(const struct sl_addr *addr, uint16_t port, char ret_name[SL_NAME_MAX]);

/* sl_source_pause: ms until try n (1, 2, …): 250 ms doubled with each to 30 s, and a random share of 25 % off; rng is
 * advanced. */
uint32_t sl_source_pause(unsigned n, uint64_t *rng);

struct json_t;
/* sl_source_json reads a whole text: at most 8 MB, 32 levels deep, no key twice in an object, and no more values than an answer
 * of SL_MAX_SERVICE_ENDPOINTS has (so that a few MB of "{}" do not become gigabytes).  The caller frees it (json_decref).
 * NULL: buf says why, as the end of a sentence that begins with the text's name ("is not JSON: line 3, …").  [any]. */
#define SL_SOURCE_JSON_BYTES (8u << 20)
#define SL_SOURCE_JSON_DEPTH 32
struct json_t *sl_source_json(const char *text, size_t len, char *buf, size_t size);

/* sl_source_endpoint_json reads one endpoint of files, etcd and the registry:
 *   { "address": "192.0.2.1", "port": 80, "weight": 1, "priority": 0, "percent": 100, "drain": false,
 *     "locality": "eu/a", "metadata": { "version": "v2" } }        ("name", "ttl_s": the caller's, looked at by nobody here)
 * Only the address is required.  An unknown key is an error that names the nearest valid one.  NULL, or what is wrong, with its
 * key, ret being undefined: "port: 0 is not within 1 to 65535", printable whatever e holds.  [any]. */
const char *sl_source_endpoint_json(const struct json_t *e, struct sl_source_endpoint *ret,
				    char *buf, size_t size);

#endif
