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
const char *sl_value_codes(const char *text, struct sl_health_conf *h);

/* sl_value_quote makes text printable within quotes ("we\x01b"), cut to fit; returns buf. */
const char *sl_value_quote(const char *text, char *buf, size_t size);

/* sl_value_nearest: which of n words is meant by text: the smallest edit distance, if at most 1 or a third of
 * its length; -1: none is near. */
int sl_value_nearest(const char *text, const char *const *words, unsigned n);

#endif
