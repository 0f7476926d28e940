/* image_tls — what listeners and services say of TLS, as parts of LISTENERS and SERVICE (image.h).  Included at the end of image.h.
 *
 * Nothing secret is here: certificates, keys and trust bundles are named, and travel by SL_CTL_SECRET (secrets.h).  A generation
 * that names what the dataplane does not hold is refused with the name.
 * Names of certificates and bundles are SL_NAME_OK.
 */
#ifndef SLUICE_IMAGE_TLS_H
#define SLUICE_IMAGE_TLS_H

#include "sluice/image.h"

#define SL_MAX_TLS_CERTS 1024 /* of one listener */
#define SL_MAX_TLS_NAMES                                                                           \
	65536 /* struct sl_img_tls_name in LISTENERS; struct sl_img_tls_san there, too */
#define SL_MAX_TLS_SANS 256 /* of one listener or service */
#define SL_MAX_SNI 65536    /* struct sl_img_sni in LISTENERS */
#define SL_HOST_MAX 256     /* bytes of a host name with the terminating 0 */
#define SL_ALPN_MAX 32      /* bytes of an ALPN protocol with the terminating 0 */
#define SL_TLS_ALPNS 4

/* TLS versions as people number them. */
enum { SL_TLS_1_2 = 12, SL_TLS_1_3 = 13 };

enum sl_tls_client {                         /* certificates of clients */
		     SL_TLS_CLIENT_NONE = 0, /* not asked for */
		     SL_TLS_CLIENT_OPTIONAL, /* asked for; who has none has no identity; a bad one ends the handshake */
		     SL_TLS_CLIENT_REQUIRED,
};

/* x-forwarded-client-cert, as Envoy has it. */
enum sl_xfcc {
	SL_XFCC_SANITIZE = 0, /* taken out of requests */
	SL_XFCC_SET,          /* taken out; the verified client certificate's is written */
	SL_XFCC_APPEND, /* of a client with a verified certificate: its own is appended; of others: taken out */
	SL_XFCC_FORWARD, /* of a client with a verified certificate: passes as it is; of others: taken out */
};

/* Suites of the record layer, as bits of a set; 1.2: with ECDHE alone. */
enum {
	SL_TLS_SUITE_AES128 = 1 << 0, /* AES_128_GCM_SHA256 */
	SL_TLS_SUITE_AES256 = 1 << 1, /* AES_256_GCM_SHA384 */
	SL_TLS_SUITE_CHACHA = 1 << 2, /* CHACHA20_POLY1305_SHA256 */
	SL_TLS_SUITES_ALL = 7,
};
enum { SL_TLS_GROUP_X25519 = 1 << 0, SL_TLS_GROUP_P256 = 1 << 1, SL_TLS_GROUPS_ALL = 3 };

struct sl_img_tls_name {
	char name[SL_NAME_MAX];
};

/* A name that a peer may have: exact, or "…*" any that begins so.  A URI (spiffe://…) is compared with URI SANs, else a host
 * name with DNS SANs. */
struct sl_img_tls_san {
	char san[SL_HOST_MAX]; /* padded with 0, not empty, visible ASCII; at most one '*', last */
};

struct sl_img_tls_alpn {
	char protocol
		[SL_ALPN_MAX]; /* padded with 0, visible ASCII; distinct within a list, unused ones empty, last */
};

/* Of a listener; sections of LISTENERS.  Those of one listener stand together, in the order of the
 * listeners; first is 0 where cnt is. */
struct sl_img_tls_listener {
	uint8_t min_version, max_version; /* SL_TLS_1_2, SL_TLS_1_3; min ≤ max */
	uint8_t client;                   /* enum sl_tls_client */
	uint8_t xfcc;                     /* enum sl_xfcc; mode HTTP, else 0 */
	uint8_t suites, groups;           /* sets, not empty */
	uint8_t tickets;                  /* 1: sessions are resumed by tickets */
	uint8_t alpn_cnt;                 /* [0, SL_TLS_ALPNS], ours first */
	uint32_t handshake_ms;            /* [1, 600000] from the first byte awaited to its end */
	uint32_t cert_first,
		cert_cnt; /* names of certificates, cert_cnt in [1, SL_MAX_TLS_CERTS]; the first is the default */
	uint32_t trust_first,
		trust_cnt; /* names of trust bundles; ≥ 1 with client not NONE, else 0 */
	uint32_t san_first,
		san_cnt;    /* names a client must have one of; 0: any, and with client NONE */
	uint32_t plaintext; /* 1: who does not begin with a handshake is let in as he is; 0: not */
	struct sl_img_tls_alpn alpn[SL_TLS_ALPNS];
};
static_assert(sizeof(struct sl_img_tls_listener) == 168, "");

/* Of a service whose endpoints are spoken to by TLS: inline in SERVICE, behind the ring, 0 or 1 of it. */
struct sl_img_tls_service {
	uint8_t min_version, max_version;
	uint8_t verify; /* 0: whoever answers is believed (said at each push) */
	uint8_t resume; /* 1: sessions are kept and resumed */
	uint8_t suites, groups;
	uint8_t alpn_cnt;
	uint8_t auto_sni; /* 1: the request's host is the server name (mode HTTP); server_name when it has none */
	uint32_t handshake_ms; /* [1, 600000] */
	uint32_t
		san_cnt; /* struct sl_img_tls_san[], in SERVICE behind this struct; 0: server_name must be in the certificate */
	char server_name[SL_HOST_MAX]; /* SNI, lower case; empty: none is sent */
	char certificate[SL_NAME_MAX]; /* ours; empty: none */
	char trust[4][SL_NAME_MAX];    /* bundles; verify: ≥ 1; unused ones empty, last */
	struct sl_img_tls_alpn alpn[SL_TLS_ALPNS];
};
static_assert(sizeof(struct sl_img_tls_service) == 720, "");

/* Where connections to a server name go, of a listener of mode PASSTHROUGH; those of one listener together, sorted by name
 * (memcmp), distinct. */
struct sl_img_sni {
	char name[SL_HOST_MAX]; /* lower case; "*.example" any with one label or more in front */
	uint32_t ref;           /* index into the root's refs, of a SERVICE with SL_FORWARD_PROXY */
	uint32_t zero;
};
static_assert(sizeof(struct sl_img_sni) == 264, "");

/* The words that files, answers and dumps have for the numbers: X(NAME, word). */
#define SL_TLS_CLIENTS(X)                                                                          \
	X(NONE, "none")                                                                            \
	X(OPTIONAL, "optional")                                                                    \
	X(REQUIRED, "required")
#define SL_XFCCS(X)                                                                                \
	X(SANITIZE, "sanitize")                                                                    \
	X(SET, "set")                                                                              \
	X(APPEND, "append")                                                                        \
	X(FORWARD, "forward")
#define SL_TLS_SUITE_WORDS(X)                                                                      \
	X(AES128, "aes128-gcm")                                                                    \
	X(AES256, "aes256-gcm")                                                                    \
	X(CHACHA, "chacha20-poly1305")
#define SL_TLS_GROUP_WORDS(X)                                                                      \
	X(X25519, "x25519")                                                                        \
	X(P256, "p-256")

/* The word, or "unknown". */
const char *sl_tls_client_name(unsigned client);
const char *sl_xfcc_name(unsigned xfcc);
const char *sl_tls_version_name(unsigned version); /* "1.2" */
/* sl_tls_suites_format, sl_tls_groups_format write the words of a set, with blanks between; return buf. */
#define SL_TLS_SET_STRLEN 64
const char *sl_tls_suites_format(unsigned suites, char buf[SL_TLS_SET_STRLEN]);
const char *sl_tls_groups_format(unsigned groups, char buf[SL_TLS_SET_STRLEN]);

#endif
