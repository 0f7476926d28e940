#include "mgmt/source_kubernetes_read.h"

#include "mgmt/conf_value.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVICE_LABEL "kubernetes.io/service-name"
#define NO_MEMORY "needs more memory than there is"

void
sl_slice_free(struct sl_slice *s)
{
	if (!s)
		return;
	sl_source_answer_fini(&s->all);
	free(s->ports);
	free(s);
}

void
sl_slice_page_fini(struct sl_slice_page *p)
{
	for (size_t i = 0; i < p->cnt; i++)
		sl_slice_free(p->slices[i]);
	free(p->slices);
	free(p->more);
	memset(p, 0, sizeof(*p));
}

void
sl_slice_event_fini(struct sl_slice_event *e)
{
	sl_slice_free(e->slice);
	memset(e, 0, sizeof(*e));
}

static const char *
text_at(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

/* Into field[size]; false: too long, or empty where it must not be. */
static bool
copy_text(const json_t *o, const char *key, char *field, size_t size, bool needed)
{
	const char *text = text_at(o, key);
	size_t len = strlen(text);

	if (len >= size || (needed && len == 0))
		return false;
	memcpy(field, text, len + 1);
	return true;
}

/* ---- one endpoint ---- */

/* A condition: `absent` where it is not there; false: it is neither true nor false. */
static bool
read_condition(const json_t *conditions, const char *key, bool absent, bool *ret)
{
	const json_t *v = json_object_get(conditions, key);

	*ret = v && !json_is_null(v) ? json_is_true(v) : absent;
	return !v || json_is_null(v) || json_is_boolean(v);
}

static const char *
read_state(const json_t *conditions, struct sl_source_endpoint *e)
{
	bool ready, serving, terminating;

	if (!read_condition(conditions, "ready", true, &ready) ||
	    !read_condition(conditions, "serving", ready, &serving) ||
	    !read_condition(conditions, "terminating", false, &terminating))
		return "has a condition that is neither true nor false";
	e->drain = terminating;
	e->down = terminating ? !serving : !ready;
	return NULL;
}

static const char *
read_address(const json_t *endpoint, bool v6, struct sl_source_endpoint *e)
{
	const char *text =
		json_string_value(json_array_get(json_object_get(endpoint, "addresses"), 0));
	const char *why = text ? sl_value_addr(text, &e->addr) : "has no address";

	if (!why && sl_addr_is_v4(&e->addr) == v6)
		why = "has an address of another type than its slice";
	return why;
}

static void
read_name(const json_t *endpoint, bool v6, struct sl_source_endpoint *e)
{
	const char *pod = text_at(json_object_get(endpoint, "targetRef"), "name");
	char text[512];

	if (*pod) {
		int n = snprintf(text, sizeof(text), "%s%s", pod, v6 ? "-ipv6" : "");
		sl_source_name(text, SL_MIN((size_t)n, sizeof(text) - 1), e->name);
	}
}

static void
read_locality(const json_t *endpoint, const char *region, struct sl_source_endpoint *e)
{
	const char *zone = text_at(endpoint, "zone");
	char text[2 * SL_LOCALITY_MAX];

	if (!*zone && !*region)
		return;
	int n = snprintf(text, sizeof(text), "%s%s%s", *region ? region : "-", *zone ? "/" : "",
			 zone);
	if ((size_t)n < sizeof(text))
		(void)sl_value_locality(text, e->locality); /* what is none is left away */
}

static void
read_meta(const json_t *endpoint, struct sl_source_endpoint *e)
{
	const json_t *zones = json_object_get(json_object_get(endpoint, "hints"), "forZones"), *z;
	char pair[SL_META_MAX] = "";
	size_t i, n;

	if (*text_at(endpoint, "nodeName") &&
	    snprintf(pair, sizeof(pair), "node=%s", text_at(endpoint, "nodeName")) <
		    (int)sizeof(pair))
		(void)sl_value_meta_add(pair, e->meta);
	n = (size_t)snprintf(pair, sizeof(pair), "for-zones");
	json_array_foreach(zones, i, z)
	{
		int more = snprintf(pair + n, sizeof(pair) - n, "%c%s", i ? '/' : '=',
				    text_at(z, "name"));
		if (more < 0 || (size_t)more >= sizeof(pair) - n)
			return;
		n += (size_t)more;
	}
	if (json_array_size(zones) > 0)
		(void)sl_value_meta_add(pair, e->meta);
}

static const char *
read_endpoint(const json_t *endpoint, bool v6, const char *region, struct sl_source_endpoint *e)
{
	const char *why = read_address(endpoint, v6, e);

	if (!why)
		why = read_state(json_object_get(endpoint, "conditions"), e);
	if (why)
		return why;
	read_name(endpoint, v6, e);
	read_locality(endpoint, region, e);
	read_meta(endpoint, e);
	return NULL;
}

/* ---- one slice ---- */

static int
read_endpoints(const json_t *object, const char *region, struct sl_slice *s)
{
	const json_t *list = json_object_get(object, "endpoints"), *e;
	const char *type = text_at(object, "addressType");
	bool v6 = strcmp(type, "IPv6") == 0;
	char quoted[64];
	size_t i;

	if (!v6 && strcmp(type, "IPv4") != 0) {
		sl_source_answer_leave_out(
			&s->all, (uint32_t)json_array_size(list),
			"slice \"%.60s\" has addresses of type %s, neither IPv4 nor IPv6", s->name,
			sl_value_quote(type, quoted, sizeof(quoted)));
		return 0;
	}
	json_array_foreach(list, i, e)
	{
		struct sl_source_endpoint *add = sl_source_answer_add(&s->all);
		if (!add)
			return -ENOMEM;
		const char *why = read_endpoint(e, v6, region, add);
		if (!why)
			continue;
		s->all.cnt--;
		const char *ref = text_at(json_object_get(e, "targetRef"), "name");
		sl_source_answer_leave_out(&s->all, 1, "endpoint %zu (%s) of slice \"%.60s\" %s", i,
					   sl_value_quote(ref, quoted, sizeof(quoted)), s->name,
					   why);
	}
	return 0;
}

static int
read_ports(const json_t *object, struct sl_slice *s, const char **ret_why)
{
	const json_t *list = json_object_get(object, "ports"), *p;
	size_t i;

	if (json_array_size(list) == 0)
		return 0;
	s->ports = calloc(json_array_size(list), sizeof(*s->ports));
	if (!s->ports)
		return -ENOMEM;
	json_array_foreach(list, i, p)
	{
		const json_t *port = json_object_get(p, "port");
		struct sl_slice_port *to = &s->ports[s->port_cnt++];
		json_int_t n = json_integer_value(port);
		*ret_why = "has a port that is none";
		if (!copy_text(p, "name", to->name, sizeof(to->name), false))
			return -EINVAL;
		if (port && !json_is_null(port) && (!json_is_integer(port) || n < 1 || n > 65535))
			return -EINVAL;
		to->port = (uint16_t)n;
	}
	return 0;
}

/* A name as labels and objects have it: what is not printable is nobody's. */
static bool
is_plain(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f || *text == '"' || *text == '\\')
			return false;
	return true;
}

/* whole: with endpoints and ports. */
static int
read_slice(const json_t *object, const char *region, bool whole, struct sl_slice **ret,
	   const char **ret_why)
{
	const json_t *metadata = json_object_get(object, "metadata");
	struct sl_slice *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s)
		return -ENOMEM;
	*ret_why = "has a slice without a name, or with one that is none";
	if (!copy_text(metadata, "name", s->name, sizeof(s->name), true) || !is_plain(s->name) ||
	    !copy_text(json_object_get(metadata, "labels"), SERVICE_LABEL, s->service,
		       sizeof(s->service), false))
		err = -EINVAL;
	if (!err && whole)
		err = read_ports(object, s, ret_why);
	if (!err && whole)
		err = read_endpoints(object, region, s);
	if (err)
		sl_slice_free(s);
	else
		*ret = s;
	return err;
}

/* ---- lists ---- */

static int
read_items(const json_t *items, const char *region, struct sl_slice_page *p, const char **ret_why)
{
	const json_t *item;
	size_t i;

	p->slices = calloc(json_array_size(items) + 1, sizeof(struct sl_slice *));
	if (!p->slices)
		return -ENOMEM;
	json_array_foreach(items, i, item)
	{
		int err = read_slice(item, region, true, &p->slices[p->cnt], ret_why);
		if (err)
			return err;
		p->cnt++;
	}
	return 0;
}

static int
read_list(const json_t *list, const char *region, struct sl_slice_page *p, const char **ret_why)
{
	const json_t *metadata = json_object_get(list, "metadata");
	const json_t *items = json_object_get(list, "items");

	*ret_why = "is no list of EndpointSlices (discovery.k8s.io/v1)";
	if (strcmp(text_at(list, "kind"), "EndpointSliceList") != 0 ||
	    strcmp(text_at(list, "apiVersion"), "discovery.k8s.io/v1") != 0 ||
	    (!json_is_array(items) && !json_is_null(items)))
		return -EINVAL;
	*ret_why = "has no resourceVersion";
	if (!copy_text(metadata, "resourceVersion", p->version, sizeof(p->version), true))
		return -EINVAL;
	*ret_why = "has a token for its next page that is too long";
	if (strlen(text_at(metadata, "continue")) > 1024)
		return -EINVAL;
	if (*text_at(metadata, "continue")) {
		p->more = strdup(text_at(metadata, "continue"));
		if (!p->more)
			return -ENOMEM;
	}
	return read_items(items, region, p, ret_why);
}

int
sl_source_kubernetes_page(const char *bytes, size_t len, const char *region,
			  struct sl_slice_page *ret, char *why, size_t size)
{
	struct sl_slice_page p = {0};
	const char *text = "";
	json_t *list = sl_source_json(bytes, len, why, size);

	if (!list)
		return -EINVAL;
	int err = read_list(list, region, &p, &text);
	json_decref(list);
	if (err) {
		snprintf(why, size, "%s", err == -ENOMEM ? NO_MEMORY : text);
		sl_slice_page_fini(&p);
	} else {
		*ret = p;
	}
	return err;
}

/* ---- watches ---- */

static int
read_error(const json_t *status, struct sl_slice_event *e)
{
	json_int_t code = json_integer_value(json_object_get(status, "code"));

	e->kind = SL_SLICE_ERROR;
	e->code = code >= 100 && code <= 599 ? (int)code : 0;
	sl_value_quote(text_at(status, "message"), e->text, sizeof(e->text));
	return 0;
}

static int
read_event(const json_t *event, const char *region, struct sl_slice_event *e, const char **ret_why)
{
	const json_t *object = json_object_get(event, "object");
	const char *type = text_at(event, "type");

	if (strcmp(text_at(event, "kind"), "Status") == 0)
		return read_error(event, e);
	if (strcmp(type, "ERROR") == 0)
		return read_error(object, e);
	*ret_why = "is about something that is no EndpointSlice";
	if (strcmp(text_at(object, "kind"), "EndpointSlice") != 0)
		return -EINVAL;
	*ret_why = "has no resourceVersion";
	if (!copy_text(json_object_get(object, "metadata"), "resourceVersion", e->version,
		       sizeof(e->version), true))
		return -EINVAL;
	*ret_why = "is of no known type";
	if (strcmp(type, "BOOKMARK") == 0)
		e->kind = SL_SLICE_BOOKMARK;
	else if (strcmp(type, "DELETED") == 0)
		e->kind = SL_SLICE_DELETE;
	else if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		e->kind = SL_SLICE_PUT;
	else
		return -EINVAL;
	if (e->kind == SL_SLICE_BOOKMARK)
		return 0;
	return read_slice(object, region, e->kind == SL_SLICE_PUT, &e->slice, ret_why);
}

int
sl_source_kubernetes_event(const char *bytes, size_t len, const char *region,
			   struct sl_slice_event *ret, char *why, size_t size)
{
	struct sl_slice_event e = {0};
	const char *text = "";
	json_t *event = sl_source_json(bytes, len, why, size);

	if (!event)
		return -EINVAL;
	int err = read_event(event, region, &e, &text);
	json_decref(event);
	if (err) {
		snprintf(why, size, "%s", err == -ENOMEM ? NO_MEMORY : text);
		sl_slice_event_fini(&e);
	} else {
		*ret = e;
	}
	return err;
}

/* ---- the union ---- */

/* The port of all endpoints of s; −1: none of them is meant, with why. */
static int
choose_port(const struct sl_slice *s, const char *port_name, uint16_t port, const char **ret_why)
{
	bool alike = true, among = false;

	for (size_t i = 0; i < s->port_cnt; i++) {
		if (*port_name && strcmp(s->ports[i].name, port_name) == 0)
			return s->ports[i].port;
		alike &= s->ports[i].port == s->ports[0].port;
		among |= s->ports[i].port == port;
	}
	if (*port_name) {
		*ret_why = "has no port of that name";
		return -1;
	}
	if (s->port_cnt == 0)
		return 0;
	if (alike)
		return s->ports[0].port;
	*ret_why = "has several ports: say which with port_name";
	return among && port ? port : -1;
}

int
sl_source_kubernetes_union(const struct sl_slice *slices, const char *port_name, uint16_t port,
			   struct sl_source_answer *ret)
{
	struct sl_source_answer a = {0};
	const char *why = "";

	for (const struct sl_slice *s = slices; s; s = s->next) {
		if (s->all.left_out || s->all.note[0])
			sl_source_answer_leave_out(&a, s->all.left_out, "%s", s->all.note);
		int chosen = choose_port(s, port_name, port, &why);
		if (chosen < 0) {
			if (s->all.cnt > 0)
				sl_source_answer_leave_out(&a, (uint32_t)s->all.cnt,
							   "slice \"%.60s\" %s", s->name, why);
			continue;
		}
		for (size_t i = 0; i < s->all.cnt; i++) {
			struct sl_source_endpoint *e = sl_source_answer_add(&a);
			if (!e) {
				sl_source_answer_fini(&a);
				return -ENOMEM;
			}
			*e = s->all.endpoints[i];
			e->port = (uint16_t)(chosen ? chosen : port);
			if (!*e->name)
				sl_source_name_addr(&e->addr, e->port, e->name);
		}
	}
	sl_source_answer_finish(&a, port);
	*ret = a;
	return 0;
}
