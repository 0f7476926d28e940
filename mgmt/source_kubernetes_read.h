/* source_kubernetes_read — EndpointSlices (discovery.k8s.io/v1) as they come in lists and watches, and the endpoints of a service that
 * several of them make together.
 *
 *   name      targetRef.name, of IPv6 with "-ipv6" behind it (a pod has both); without: address and port
 *   address   the first of `addresses`: what others mean is nowhere said; addressType FQDN is left out
 *   port      that of the port with the question's port_name; without a name the only one, or the question's if it is among them
 *   drain     terminating
 *   down      not ready; terminating: not serving.  (A condition that is not there: ready, serving as ready, not terminating.)
 *   locality  REGION/zone: slices know no region, so it is the source's `region`, or "-"
 *   metadata  node=nodeName, for-zones=a/b (hints.forZones)
 *
 * Slices overlap while endpoints move between them: of the same place the best state counts (source_answer.h).
 * Threads: [any].  Pure.
 */
#ifndef SL_MGMT_SOURCE_KUBERNETES_READ_H
#define SL_MGMT_SOURCE_KUBERNETES_READ_H

#include "mgmt/source_answer.h"

#define SL_SLICE_VERSION 128

struct sl_slice_port {
	char name[SL_NAME_MAX];
	uint16_t port; /* 0: any */
};

struct sl_slice {
	char name[256];
	char service[SL_NAME_MAX]; /* its label; "": none */
	struct sl_slice_port *ports;
	size_t port_cnt;
	struct sl_source_answer
		all; /* endpoints as they stand there, without port; name "": none; what was left out, and why */
	struct sl_slice *next; /* the caller's */
};
void sl_slice_free(struct sl_slice *s);

/* A page of a list. */
struct sl_slice_page {
	struct sl_slice **slices; /* [cnt] */
	size_t cnt;
	char version[SL_SLICE_VERSION]; /* resourceVersion of the list */
	char *more;                     /* `continue`; NULL: the last page */
};
void sl_slice_page_fini(struct sl_slice_page *p);

enum sl_slice_event_kind { SL_SLICE_PUT = 1, SL_SLICE_DELETE, SL_SLICE_BOOKMARK, SL_SLICE_ERROR };

struct sl_slice_event {
	enum sl_slice_event_kind kind;
	struct sl_slice *slice;         /* PUT, DELETE (without endpoints) */
	char version[SL_SLICE_VERSION]; /* not ERROR */
	int code;                       /* ERROR: as of HTTP; 0: none said */
	char text[160];                 /* ERROR: its message, printable */
};
void sl_slice_event_fini(struct sl_slice_event *e);

/* Both: 0, −EINVAL (it is none) or −ENOMEM with why, as the end of a sentence, *ret untouched.  region: "" or one. */
int sl_source_kubernetes_page(const char *bytes, size_t len, const char *region,
			      struct sl_slice_page *ret, char *why, size_t size);
/* A Status that stands alone, as it comes with a status of 400 and more, is an ERROR. */
int sl_source_kubernetes_event(const char *bytes, size_t len, const char *region,
			       struct sl_slice_event *ret, char *why, size_t size);

/* sl_source_kubernetes_union: all endpoints of the list of slices (by next), in the final form.  0 or −ENOMEM. */
int sl_source_kubernetes_union(const struct sl_slice *slices, const char *port_name, uint16_t port,
			       struct sl_source_answer *ret);

#endif
