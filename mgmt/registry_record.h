/* registry_record — a registration: from the JSON that peers send, to the text that is kept, and back.
 *
 * Threads: [any], pure.
 * Hostile: bodies come from whoever may connect: bytes, depth, names and ranges are bounded here.  What is wrong is told as
 *          "key: what", or NULL is given.
 */
#ifndef SL_MGMT_REGISTRY_RECORD_H
#define SL_MGMT_REGISTRY_RECORD_H

#include "mgmt/source.h"

#define SL_REGISTRY_BODY 16384 /* bytes of a body */
#define SL_REGISTRY_REASON 128 /* bytes of a reason with the terminating 0 */
#define SL_REGISTRY_TTL_MAX_S 86400

struct sl_registration {
	char service[SL_NAME_MAX];
	struct sl_source_endpoint is; /* name: the endpoint's; down: not of the record */
	uint32_t ttl_s;               /* [1, SL_REGISTRY_TTL_MAX_S]; 0: none */
	int64_t since_ms;             /* wall: registered as it is */
	int64_t silent_ms;            /* wall: since when nothing is heard; 0: it is */
	int64_t maintenance_ms;       /* wall; 0: not */
	char by[SL_HOST_MAX], maintenance_by[SL_HOST_MAX];
	char reason[SL_REGISTRY_REASON];
};

/* sl_registry_body parses a body: an object, or NULL with what is wrong.  len 0: as "{}". */
struct json_t *sl_registry_body(const char *bytes, size_t len, char *why, size_t size);

/* sl_registry_name: whether text is a name; ret padded with 0. */
bool sl_registry_name(const char *text, char ret[SL_NAME_MAX]);

/* What a PUT says: is and ttl_s of ret, nothing else. */
const char *sl_registry_read_put(const struct json_t *body, struct sl_registration *ret, char *buf,
				 size_t size);
/* What a heartbeat says: *percent and *drain stay where it says nothing. */
const char *sl_registry_read_heartbeat(const struct json_t *body, uint8_t *percent, bool *drain,
				       char *buf, size_t size);
const char *sl_registry_read_maintain(const struct json_t *body, bool *ret_on,
				      char ret_reason[SL_REGISTRY_REASON], char *buf, size_t size);

/* sl_registry_record makes the text that is kept (malloc'ed; NULL: no memory); gone: that the endpoint is none any more. */
char *sl_registry_record(const struct sl_registration *r, bool gone);
/* And reads it: NULL, or what is wrong.  gone: only service and is.name are set. */
const char *sl_registry_record_read(const char *text, size_t len, struct sl_registration *ret,
				    bool *ret_gone);

/* The keys of an endpoint in JSON as sl_source_endpoint_json reads them. */
struct json_t *sl_registry_endpoint(const struct sl_source_endpoint *e);

#endif
