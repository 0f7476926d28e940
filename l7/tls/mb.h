/* mb — ipsec-mb's header, with the one layout of its keys.
 *
 * struct gcm_key_data is 1008 bytes aligned to 1, and with LINUX defined 1024 aligned to 64: everybody includes this, not the header.
 */
#ifndef SL_L7_TLS_MB_H
#define SL_L7_TLS_MB_H

#ifndef LINUX
#define LINUX
#include <intel-ipsec-mb.h>
#undef LINUX
#else
#include <intel-ipsec-mb.h>
#endif

#include <assert.h>

static_assert(sizeof(struct gcm_key_data) == 1024, "keys lie one after the other");
static_assert(_Alignof(struct gcm_key_data) == 64, "each on lines of its own");

#endif
