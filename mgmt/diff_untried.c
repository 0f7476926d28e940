/* What push --shadow does not ask sampled requests and flows about (dataplane/shadow.h): how much, how often, how long and how well, in
 * place of where to. */
#include "mgmt/diff_priv.h"

/* A name that ends in '.' is a beginning. */
static const char *const always[] = {
	"limits", "policy.limits", "policy.fault",    "policy.hedge",
	"mirror", "bandwidth.",    "max_connections", "max_connections_per_client",
};
/* Those have usual values, or come with what is new: told of what stays and is changed alone. */
static const char *const changed[] = {
	"access_log",
	"header_timeout",
	"health",
	"health.",
	"http.adaptive.",
	"http.budget.",
	"http.ejection.",
	"http.endpoint_requests",
	"http.idle_connections",
	"http.idle_timeout",
	"http.max_pending",
	"http.max_requests",
	"http.max_retries",
	"http.requests_per_connection",
	"idle_timeout",
	"max_header_bytes",
	"max_headers",
	"max_requests",
	"probe",
	"proxy_protocol",
	"request_headers",
	"response_headers",
	"retry",
	"rewrite.",
	"slow_start",
	"stream_idle_timeout",
	"tcp.",
	"timeout",
	"tls",
	"tls.",
	"trusted",
	"try_timeout",
};

static bool
among(const char *const *list, unsigned cnt, const char *key)
{
	for (unsigned i = 0; i < cnt; i++) {
		size_t n = strlen(list[i]);
		if (list[i][n - 1] == '.' ? !strncmp(key, list[i], n) : !strcmp(key, list[i]))
			return true;
	}
	return false;
}

bool
sl_diff_untried_key(const char *key, bool stays)
{
	return among(always, SL_ARRAY_CNT(always), key) ||
	       (stays && among(changed, SL_ARRAY_CNT(changed), key));
}
