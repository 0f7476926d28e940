/* conf_value — text → value, for each kind of value a table file has.
 *
 * A parser returns NULL and stores, or returns what is wrong as the end of a sentence that starts with
 * the text ("… is not an address") and stores nothing.
 * Threads: [any]. Pure.
 */
#ifndef SL_MGMT_CONF_VALUE_H
#define SL_MGMT_CONF_VALUE_H

#include "mgmt/conf.h"

/* "500ms", "1s", "2m", "1h": digits and a unit; no bare number, no fraction. */
const char *sl_value_duration(const char *text, uint32_t *ret_ms);

/* A name of image.h, padded with 0. */
const char *sl_value_name(const char *text, char ret_name[SL_NAME_MAX]);

/* An address an endpoint or a listener can have: unicast, not loopback. */
const char *sl_value_addr(const char *text, struct sl_addr *ret_addr);

/* "192.0.2.2/24", bits behind the length kept: an interface's address.  plen over the 16-byte form. */
const char *sl_value_ifaddr(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen);
/* "192.0.2.0/24", no bits behind the length. */
const char *sl_value_prefix(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen);

/* An address (plen 128) or a prefix of addresses that listeners can have. */
const char *sl_value_vip(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen);
/* A prefix whose every address can be a source: 8 bits or more, within what is unicast. */
const char *sl_value_tunnel(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen);

/* An address (plen 128) or any prefix: who is believed. */
const char *sl_value_trusted(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen);

/* "8000-8999", or "any": 1 to 65535. */
const char *sl_value_ports(const char *text, uint16_t *ret_first, uint16_t *ret_last);

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80"; no port: *ret_port 0.  Loopback is
 * taken: probes go through the host's own stack. */
const char *sl_value_probe(const char *text, struct sl_addr *ret_addr, uint16_t *ret_port);

/* Exactly 16 hexadecimal digits. */
const char *sl_value_hex64(const char *text, uint64_t *ret_value);

/* An HTTP request target in origin form, and a Host value ("" taken). */
const char *sl_value_path(const char *text, char ret_path[256]);
const char *sl_value_host(const char *text, char ret_host[256]);

/* "200,300-399": expect[] and expect_cnt of h. */
/* sl_value_held: 1 to 255 bytes that an answer's body holds. */
const char *sl_value_held(const char *text, char ret_held[SL_HEALTH_BODY_MAX]);
/* sl_value_line_add puts "name: value" behind the lines that are there. */
const char *sl_value_line_add(const char *text, char lines[SL_HEALTH_HEADERS_MAX]);
const char *sl_value_codes(const char *text, struct sl_health_conf *h);

/* Up to three names with slashes between; "" taken. */
const char *sl_value_locality(const char *text, char ret_locality[SL_LOCALITY_MAX]);
/* What a source is asked for. */
const char *sl_value_question(const char *text, char ret_name[256]);
/* "key=value" into a text of such pairs, where the keys stay sorted and distinct. */
const char *sl_value_meta_add(const char *text, char meta[SL_META_MAX]);
/* sl_value_meta_has: whether every pair of wanted is in meta; both as sl_value_meta_add makes them. */
bool sl_value_meta_has(const char meta[SL_META_MAX], const char wanted[SL_META_MAX]);

/* ---- texts of route tables (conf_http_value.c) ---- */

/* Bytes, or with k, m, g (1024); up to INT64_MAX. */
const char *sl_value_size(const char *text, uint64_t *ret_bytes);
/* "10.5": up to 4 decimals; what is over 100 is the caller's to refuse. */
const char *sl_value_percent(const char *text, uint32_t *ret_per_million);
/* "1-10", "-5--1": both ends count; *ret_hi is one more. */
const char *sl_value_range(const char *text, int64_t *ret_lo, int64_t *ret_hi);

/* No controls but the tab. */
const char *sl_value_plain(const char *text);
/* A token and a field value (RFC 9110, 5.6.2, 5.5). */
const char *sl_value_token(const char *text);
/* A token of at most size - 1 bytes, to `to`. */
const char *sl_value_header_name(const char *text, char *to, size_t size);
/* An origin (RFC 6454, 6.2) in lower case: scheme "://" host, with a port or not; "*." may stand before the host; or "*". */
const char *sl_value_origin(const char *text, char *to, size_t size);
const char *sl_value_field(const char *text);

/* A path without query; a template ("/users/{id}/{rest=**}"); what is made of one ("/v2/{id}"). */
const char *sl_value_route_path(const char *text);
const char *sl_value_template(const char *text);
const char *sl_value_expansion(const char *text);

#define SL_TEMPLATE_PARTS 16
struct sl_template_part {
	const char *open, *end; /* "{", and behind "}" */
	const char *name;       /* [name_len]; {**}: 0 */
	size_t name_len;
	const char *form; /* "=**}", or NULL */
};
/* The next {…} from *at on, which moves behind it; false: none.  Of texts that were found good. */
bool sl_template_next(const char **at, struct sl_template_part *ret);
/* A path that the template fits: a letter in place of each {…}.  to has room for the text's length; returns the path's. */
size_t sl_template_path(const char *text, char *to);

/* A host with or without a port, as Host has it. */
const char *sl_value_authority(const char *text);
/* "shop.example", "*.shop.example", "shop.*", "*", "[2001:db8::1]": enum sl_host_kind and the name as in the object. */
const char *sl_value_hostname(const char *text, uint8_t *ret_kind, char ret_name[256]);

/* ---- names of TLS (conf_tls_value.c) ---- */

/* A host name as clients ask for it (RFC 6066, 3): no address, no port; in lower case.  servers: or "*." and one. */
const char *sl_value_server(const char *text, char ret_name[SL_HOST_MAX]);
const char *sl_value_servers(const char *text, char ret_name[SL_HOST_MAX]);
/* A name that a certificate has: a host name, to lower case, or a URI, with or without "*" as its end; SPIFFE ids are well-formed
 * (SPIFFE-ID, 2). */
const char *sl_value_san(const char *text, char ret_san[SL_HOST_MAX]);
/* A protocol of RFC 7301, visible. */
const char *sl_value_alpn(const char *text, char ret_protocol[SL_ALPN_MAX]);

/* sl_value_quote makes text printable within quotes ("we\x01b"), cut to fit; returns buf. */
const char *sl_value_quote(const char *text, char *buf, size_t size);

/* sl_value_nearest: which of n words is meant by text: the same in another case, or the smallest edit distance, if at
 * most 1 or a third of its length; -1: none is near. */
int sl_value_nearest(const char *text, const char *const *words, unsigned n);

#endif
