/* access_line — a record of the access log (include/sluice/events.h) as a line of JSON, and the names that its slots had.
 *
 *   {"time":"2026-11-21T18:28:19.123456Z","client":"192.0.2.77","client_port":4711,"listener":"edge","table":"edge",
 *    "method":"GET","host":"shop.example","path":"/api/x?y=1","protocol":"HTTP/1.1","status":200,"flags":"-","reason":null,"why":null,
 *    "vhost":"shop","route":"canary","service":"web","endpoint":"web-1","endpoint_address":"198.51.100.11","endpoint_port":80,
 *    "upstream_status":200,"tries":1,"bytes_in":0,"bytes_out":512,"first_us":830,"last_us":901,"try_us":700,
 *    "user_agent":"curl/8","request_id":"…","referer":null,"tls_version":"TLSv1.3","tls_cipher":"TLS_AES_128_GCM_SHA256",
 *    "tls_resumed":false,"sni":"shop.example","identity":"spiffe://td/ns/a/sa/b","upstream_tls":true,"generation":7,"worker":0}
 *
 * What there is none of is null.  Durations are in µs, bytes are those of bodies.  flags are Envoy's, "UF,URX" or "-"; reason
 * says why a request was refused as HTTP (enum sl_http_bad); why, which rule, limit, key or fault decided ("shop/deny-admins").  tls_* are of the client's connection, null in plaintext; tls_cipher is null, too,
 * where OpenSSL keeps the records; sni is the server name that the client asked for, identity of its verified certificate;
 * upstream_tls: of the last try, null when no endpoint was sent anything.  Text of clients: what is well-formed UTF-8 stays, control
 * characters and single bytes of anything else become \u00XX; so a line is always one line, and always JSON.
 * Names: a slot means whom it meant in the record's generation, 0: whom it means now.  Of each slot the last two owners are
 *        known.  generation: that the request went by; of one that was refused as HTTP, that its head was read by.
 * Threads: [any], one at a time.  Pure.
 */
#ifndef SL_MGMT_ACCESS_LINE_H
#define SL_MGMT_ACCESS_LINE_H

#include "mgmt/compile.h"
#include "sluice/events.h"

#define SL_ACCESS_STRS 9
/* of any record, aligned to 8 */
#define SL_ACCESS_RECORD_MAX (sizeof(struct sl_event_access) + SL_ACCESS_STRS * SL_ACCESS_STR_MAX)
/* of any line, its end included: each byte of a string can take six */
#define SL_ACCESS_LINE_MAX (SL_ACCESS_STRS * SL_ACCESS_STR_MAX * 6 + 2048)

struct sl_access_names;

struct sl_access_names *sl_access_names_create(void); /* NULL: no memory */
void sl_access_names_destroy(struct sl_access_names *n);

/* sl_access_names_learn: from this generation on, which is above all learnt before, slots belong to whom map says.  Those that
 * are free there keep their last owner.  0, or -ENOMEM: some names are not known. */
int sl_access_names_learn(struct sl_access_names *n, uint64_t generation,
			  const struct sl_slot_map *map);

/* The second whose text is there already. */
struct sl_access_clock {
	int64_t offset_ns; /* CLOCK_REALTIME less CLOCK_MONOTONIC */
	int64_t second;
	char text[20]; /* "2026-11-21T18:28:19", terminated; "": none yet */
};

/* sl_access_line writes the line of a record of `bytes` into out (SL_ACCESS_LINE_MAX): its length, "\n" included; 0: it is no
 * such record. */
size_t sl_access_line(const struct sl_access_names *n, struct sl_access_clock *clock,
		      const struct sl_event_access *e, size_t bytes, char *out);

#endif
