/* secrets — what travels in the memfd of SL_CTL_SECRET (ctl.h; design.md 2.7).
 *
 * struct sl_secret_head, then part_cnt lengths, then the parts one after the other, without padding; nothing behind them.
 *   PAIR     part 0: the private key (PKCS #8, DER, not encrypted); 1: the certificate (DER); 2 …: its chain towards the root
 *   TRUST    parts: CA certificates (DER), ≥ 1
 *   TICKETS  parts: struct sl_ticket_key, [1, SL_TICKET_KEYS]; the first encrypts, all decrypt.  Name "tickets"
 * A secret of a name and kind that is there replaces it: connections go on, handshakes that begin later use the new one.
 */
#ifndef SLUICE_SECRETS_H
#define SLUICE_SECRETS_H

#include "sluice/base.h"

#define SL_SECRET_MAGIC 0x43455353u /* "SSEC" */
#define SL_SECRET_MAX (1u << 20)    /* bytes */
#define SL_SECRET_PARTS 1024
#define SL_SECRET_CHAIN 10 /* certificates of a pair */
#define SL_TICKET_KEYS 8
#define SL_MAX_SECRETS 8192 /* names the dataplane holds */

enum sl_secret_kind { SL_SECRET_PAIR = 1, SL_SECRET_TRUST = 2, SL_SECRET_TICKETS = 3 };

struct sl_secret_head {
	uint32_t magic;
	uint32_t kind;     /* enum sl_secret_kind, as in the message */
	uint32_t part_cnt; /* [1, SL_SECRET_PARTS] */
	uint32_t zero;
	uint32_t len[]; /* [part_cnt], each ≥ 1 */
};

/* 80 bytes, as nginx's and others' ticket key files: AES-256-CBC, HMAC-SHA-256. */
struct sl_ticket_key {
	uint8_t name[16];
	uint8_t hmac[32];
	uint8_t aes[32];
};
static_assert(sizeof(struct sl_ticket_key) == 80, "");

struct sl_secret_part {
	const uint8_t *data;
	uint32_t len;
};

/* sl_secret_parts reads the layout of `bytes` bytes (aligned to 4): how many parts (ret_parts[SL_SECRET_PARTS] pointing into them), or
 * -EINVAL with a static sentence.  Counts of parts and the sizes of ticket keys are checked for the kind; certificates are not. */
int sl_secret_parts(const void *secret, size_t bytes, uint32_t kind,
		    struct sl_secret_part *ret_parts, const char **ret_why);

#endif
