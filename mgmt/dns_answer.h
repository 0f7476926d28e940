/* dns_answer — what the bytes of a DNS answer say to one question (RFC 1035, 2181, 2782, 3596).
 *
 * Walk:    after dns_channel.h brought them, before dns_endpoints.h makes endpoints of them.
 * Hostile: every byte is; nothing is read twice in two ways.  A message that is not well formed as a whole, answers another
 *          question, was cut off or carries an error says nothing at all.  Compression leads backwards only; an alias (CNAME) is
 *          followed 16 times at most; records of names that the question did not lead to are passed over.
 * Units:   TTL in s as the message says it; one with the top bit set is 0 (RFC 2181, 8).
 * Threads: [any]. Pure.
 */
#ifndef SL_MGMT_DNS_ANSWER_H
#define SL_MGMT_DNS_ANSWER_H

#include "sluice/addr.h"

enum { SL_DNS_A = 1, SL_DNS_CNAME = 5, SL_DNS_AAAA = 28, SL_DNS_SRV = 33 };

#define SL_DNS_HOST_MAX                                                                            \
	256 /* a host name with the terminating 0, without the last dot, in lower case */

struct sl_dns_srv {
	char target[SL_DNS_HOST_MAX]; /* "": there is decidedly no such service (RFC 2782: ".") */
	uint16_t priority, weight, port;
};

/* An address of the additional section. */
struct sl_dns_more {
	char owner[SL_DNS_HOST_MAX];
	struct sl_addr addr;
	uint32_t ttl_s;
};

struct sl_dns_answer {
	uint32_t ttl_s; /* the smallest of what was used: aliases, too; UINT32_MAX: nothing was */
	bool no_name;   /* NXDOMAIN: the name does not exist */
	struct sl_addr *addrs;    /* [addr_cnt] of A and AAAA, ascending, distinct */
	struct sl_dns_srv *srvs;  /* [srv_cnt] as they came */
	struct sl_dns_more *more; /* [more_cnt] with SRV: by owner, address; distinct */
	uint32_t addr_cnt, srv_cnt, more_cnt;
	uint32_t
		odd; /* records left out: SRV whose target is no host name, addresses of IPv4 in IPv6 */
};

/* sl_dns_answer_read: name is what was asked: letters, digits, '.', '-', '_', in any case.  0, and ret is the caller's to fini;
 * -EBADMSG with *ret_why, the end of a sentence that begins with the question; -ENOMEM. */
int sl_dns_answer_read(const uint8_t *bytes, size_t len, const char *name, uint16_t type,
		       struct sl_dns_answer *ret, const char **ret_why);
void sl_dns_answer_fini(struct sl_dns_answer *a);

/* sl_dns_answer_more: the addresses of the additional section that owner has with type A or AAAA: the first of *ret_cnt, or
 * NULL. */
const struct sl_dns_more *sl_dns_answer_more(const struct sl_dns_answer *a, const char *owner,
					     uint16_t type, uint32_t *ret_cnt);

#endif
