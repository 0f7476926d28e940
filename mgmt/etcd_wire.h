/* etcd_wire — what goes to etcd's JSON gateway and comes from it (/v3/kv, /v3/watch, /v3/lease, /v3/auth), as etcd 3.4 has it.
 *
 * Numbers of 64 bits are strings there, keys and values are base64, what is 0 or empty is left out.  An answer is read as a
 * whole or not at all: mgmt/source.h bounds its bytes, depth and values, and what is read here is never outside of what was asked.
 * Threads: [any].  Pure.
 */
#ifndef SL_MGMT_ETCD_WIRE_H
#define SL_MGMT_ETCD_WIRE_H

#include "sluice/base.h"

#define SL_ETCD_KEY_MAX 512 /* bytes of a key, with the terminating 0 */

struct sl_etcd_kv {
	char *key;   /* terminated; what follows the prefix that was asked for; no NUL in it */
	char *value; /* [value_len], and a 0 behind it */
	size_t value_len;
	uint64_t created, modified; /* revisions */
	bool gone;                  /* of a watch: the key was deleted */
};

/* What a range or one line of a watch says. */
struct sl_etcd_answer {
	uint64_t cluster, revision;
	struct sl_etcd_kv *kvs; /* [cnt]: in order of keys; of a watch: events in their order */
	size_t cnt;
	uint32_t odd; /* keys left out, because of a NUL or their length */
	char *last; /* [last_len]: the last key as it came: where the next page begins; NULL: none */
	size_t last_len;
	uint64_t count; /* of a range: all keys there are */
	bool more;
	bool created, canceled; /* of a watch */
	uint64_t compacted;     /* the watch ended because what it asked for is no longer kept */
	char reason[160];
};

/* Each: 0, -EINVAL with why (printable, the end of a sentence: "is not JSON …"), or -ENOMEM with why.  Fini in every case.
 * prefix: every key must begin with it. */
int sl_etcd_wire_range(const char *text, size_t len, const char *prefix, struct sl_etcd_answer *ret,
		       char *why, size_t size);
int sl_etcd_wire_watch(const char *line, size_t len, const char *prefix, struct sl_etcd_answer *ret,
		       char *why, size_t size);
/* A transaction; where its compare failed and a range was asked for instead: what is there. */
int sl_etcd_wire_txn(const char *text, size_t len, const char *prefix, bool *ret_succeeded,
		     struct sl_etcd_answer *ret, char *why, size_t size);
void sl_etcd_wire_fini(struct sl_etcd_answer *a);

/* Of a grant or a keep-alive.  A lease that is not there any more has TTL 0. */
int sl_etcd_wire_lease(const char *text, size_t len, uint64_t *ret_id, int64_t *ret_ttl_s,
		       char *why, size_t size);
int sl_etcd_wire_token(const char *text, size_t len, char *ret_token, size_t room, char *why,
		       size_t size);
/* The error of an answer that is none: gRPC's code and etcd's words, printable; 0 and "" where there are none. */
unsigned sl_etcd_wire_error(const char *text, size_t len, char *ret_words, size_t size);

/* Requests: to be freed with free; NULL: no memory. */
struct sl_etcd_ask {
	const char *from; /* [from_len]: the first key */
	size_t from_len;
	const char *prefix; /* keys that begin with it; NULL: `from` alone */
	uint64_t revision;  /* as of it; 0: now */
	uint32_t limit;     /* 0: all */
	bool newest;        /* the key that was changed last, without its value */
};
char *sl_etcd_wire_ask_range(const struct sl_etcd_ask *a);
char *sl_etcd_wire_ask_watch(const char *prefix, uint64_t from_revision);
/* lease: 0: none. */
char *sl_etcd_wire_ask_put(const char *key, const void *value, size_t len, uint64_t lease);
/* A put if the key's last change was `modified` (0: if it is not there); else a range of it. */
char *sl_etcd_wire_ask_swap(const char *key, const void *value, size_t len, uint64_t modified);
/* Puts the key under a lease (0: none), value NULL: deletes it, if all compares hold; else a range of it. */
enum sl_etcd_compare_by { SL_ETCD_MODIFIED, SL_ETCD_LEASE, SL_ETCD_VALUE };
struct sl_etcd_compare {
	const char *key;
	enum sl_etcd_compare_by by;
	uint64_t number;   /* MODIFIED: 0: it is not there; LEASE */
	const void *value; /* VALUE: [len] */
	size_t len;
};
char *sl_etcd_wire_ask_if(const struct sl_etcd_compare *compares, unsigned cnt, const char *key,
			  const void *value, size_t len, uint64_t lease);
/* Deletes the key if it is under this lease (0: under none). */
char *sl_etcd_wire_ask_drop(const char *key, uint64_t lease);
char *sl_etcd_wire_ask_grant(uint32_t ttl_s);
char *sl_etcd_wire_ask_lease(uint64_t id); /* keep-alive, revoke */
char *sl_etcd_wire_ask_token(const char *user, const char *password);

#endif
