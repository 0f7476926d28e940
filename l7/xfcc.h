/* xfcc — what x-forwarded-client-cert says of a client's certificate, as Envoy writes it.
 *
 *   Hash=<SHA-256, hex>;Subject="<RFC 2253>";URI=<first URI SAN>;DNS=<name>;DNS=<name>…
 *
 * Certificates are hostile input.  A value that holds anything but letters, digits and -._~:/@%+*!?& stands in quotes; in quotes a
 * backslash takes the next byte with it, so that a value ends at the first quote that none precedes.  Subjects have their escapes of
 * RFC 2253 already, which stay as they are; controls become hex pairs there, percent codes elsewhere.
 * Pure.  Threads: [any].
 */
#ifndef SL_L7_XFCC_H
#define SL_L7_XFCC_H

#include "l7/tls/handshake.h"

#define SL_XFCC_MAX (5 * SL_PEER_MAX + 256) /* of any peer */

/* sl_xfcc_write: the element of a peer into out[SL_XFCC_MAX]; its length. */
uint32_t sl_xfcc_write(uint8_t *out, const struct sl_tls_peer *p);

#endif
