/* hello — the server name and protocols of a ClientHello, without decrypting anything (mode tls-passthrough).
 *
 * RFC 8446 4.1.2 and 5.1, RFC 6066 3, RFC 7301.  Pure.
 * Strict:  every length is exactly what holds it, no extension comes twice, one host name at most, nothing behind the message
 *          in its last record: who reads it after us finds the same name or none.
 * Not here: whether anybody can speak with the client (versions, suites, groups); what an encrypted name says.
 */
#ifndef SL_L7_TLS_HELLO_H
#define SL_L7_TLS_HELLO_H

#include "sluice/image.h"

#define SL_HELLO_MAX                                                                               \
	16384 /* bytes of a ClientHello with its record headers; longer ones are refused */

struct sl_hello {
	char host[SL_HOST_MAX]; /* lower case, without a dot at the end, a well-formed host name;
				 * "": none, or an address, which is no name (RFC 6066) */
	uint32_t alpn_cnt;
	char alpn[SL_TLS_ALPNS][SL_ALPN_MAX]; /* the first ones that fit, without a 0 in them */
	uint16_t version; /* highest offered of those known to be: 0x0303, 0x0304 …; 0: none */
	uint32_t need;    /* after SL_PARTIAL: it is whole with so many bytes at the earliest */
};

/* sl_hello_parse reads the first n bytes that a client sent: one or more handshake records whose first message is a ClientHello, cut
 * anywhere.  > 0: bytes up to its end; SL_PARTIAL, never with n ≥ SL_HELLO_MAX, and but for `need` *ret is untouched; SL_BAD, as soon
 * as the bytes show it, with *ret_why: a static sentence. */
int sl_hello_parse(const uint8_t *bytes, uint32_t n, struct sl_hello *ret, const char **ret_why);

/* sl_hello_pick: which of the sorted names (a listener's) `host` is: exact, then the longest "*.x"; UINT32_MAX: none. */
uint32_t sl_hello_pick(const struct sl_img_sni *names, uint32_t cnt, const char *host);

#endif
