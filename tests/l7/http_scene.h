/* http_scene — the HTTP engine over fake streams (fake_streams.h): one listener, a route table, services with endpoints that
 * the test speaks for.
 *
 *   service A (slot 4): endpoints 0 and 1       B (slot 5): endpoint 2      policy: the first that is not down and not avoided
 *
 * Peers read what they are sent as it comes, unless they hold; connections to endpoints are answered unless the endpoint is
 * silent.  The routes are those of http_scene.c; requests lose x-forwarded-… and x-request-id there, so that what endpoints
 * hear can be compared byte for byte.
 */
#ifndef SL_TESTS_HTTP_SCENE_H
#define SL_TESTS_HTTP_SCENE_H

#include "l7/http_priv.h"
#include "l7/rate.h"
#include "sluice/stats.h"
#include "tests/l7/fake_streams.h"
#include "tests/l7/route_image.h"
#include "tests/suite.h"

enum { SCENE_A = 4, SCENE_B = 5, SCENE_GONE = 9, SCENE_ENDPOINTS = 3, SCENE_PEERS = 64 };
enum { SCENE_LISTENER = 3, SCENE_SND = 65536, SCENE_RCV = 65536 };

/* Issuers that routes /token/… name: slots of rule.issuers, which the test gives. */
enum {
	SCENE_ISSUER_ONE,
	SCENE_ISSUER_TWO,
	SCENE_ISSUER_PLACES,
	SCENE_ISSUER_ANY,
	SCENE_ISSUER_NEW,
	SCENE_ISSUERS
};

struct peer {
	struct sl_stream *s; /* NULL: it is gone */
	bool spare;          /* gone, and done with: used for the next one */
	int endpoint;        /* −1: a client */
	char *got;           /* heard and not compared yet */
	uint32_t len, room;
	bool hold; /* reads nothing */
	bool fin, rst;
	struct fake_seen seen; /* when it went */
};

struct endpoint {
	bool down;   /* not picked */
	bool dead;   /* `lives`, `serves`: no */
	bool silent; /* does not answer a SYN */
	bool refuses;
	int conns, load;  /* began − ended; under way */
	uint32_t failed;  /* connections */
	uint32_t ok, bad; /* results */
};

struct scene {
	struct sl_tcp *tcp;
	struct sl_http *http;
	void *mem;
	struct sl_stats_http stats;
	struct sl_stats_listener *listener_stats;
	struct sl_stats_vhost *vhost_stats;
	struct sl_stats_authz *authz_stats, *authz_rule_stats;
	struct sl_stats_route *route_stats;
	struct sl_stats_endpoint *endpoint_stats;
	struct sl_relay_limits *listeners;
	struct sl_ledger *ledger;
	void *rates_mem;
	struct sl_rates *rates;
	struct sl_state_seg *shares; /* of limits; it is always 1 ns */
	struct sl_stats_rate *rate_stats;
	void *events;
	struct sl_test_vhost_image image[2];
	struct sl_match *match[2];
	struct sl_vhost vhosts[2];
	struct sl_img_routes *routes;
	struct sl_hosts *hosts;
	struct sl_table table;
	struct sl_match_scratch scratch;
	struct sl_http_rule rule;
	struct sl_img_service service[2];
	struct sl_img_rate service_rates[2][SL_MAX_SERVICE_RATES]; /* of each, [service.rate_cnt] */
	struct sl_img_tls_listener tls; /* the rule's, with scene_conf.tls */
	struct {
		struct sl_img_tls_service says; /* of TLS, */
		bool is;                        /* if it does */
	} service_tls[2];
	struct sl_addr source;
	struct endpoint ep[SCENE_ENDPOINTS];
	struct sl_img_bandwidth bandwidth[2]; /* of services */
	bool no_service, no_listener;
	int64_t wall_s;      /* time of the day; 0: not known */
	uint64_t asked_hash; /* of the last pick */
	bool asked_hashed;
	struct peer *peers;
	unsigned peer_cnt;
	_Alignas(8) uint8_t shown[SL_PEER_MAX]; /* struct sl_tls_peer */
	/* the newest record of the access log */
	struct sl_event_access log;
	char log_strings[2048];
	unsigned logged;
};

/* head_bytes: memory for heads; 0: enough.  http: what differs of the table's settings, or NULL. */
struct scene_conf {
	size_t head_bytes;
	uint32_t conns, exchanges, streams;
	uint32_t snd_max;        /* 0: SCENE_SND */
	struct sl_img_http http; /* what is not 0 */
	bool proxy_in;
	bool any_host; /* "*" leads where "h" does */
	bool tls;      /* clients speak it */
};
void scene_init(struct scene *s, const struct scene_conf *conf);
/* scene_end: clients that are there go; afterwards nothing may be left of them. */
void scene_end(struct scene *s);

/* scene_turn: one turn; whether anything happens in the next.  scene_run: turns, until nothing happens any more.  scene_pass: time. */
bool scene_turn(struct scene *s, uint32_t ms);
void scene_run(struct scene *s);
void scene_pass(struct scene *s, uint32_t ms);
/* scene_log_why: what the newest record says decided; "": nothing. */
const char *scene_log_why(const struct scene *s);

struct peer *scene_client(struct scene *s);
/* The newest connection to the endpoint; NULL: there never was one. */
struct peer *scene_up(struct scene *s, int endpoint);
unsigned scene_ups(const struct scene *s, int endpoint); /* that are there */

/* says: all of it, as far as it is taken; how much.  hears: exactly this since the last time (NULL: nothing).  fin, reset. */
uint32_t peer_says_bytes(struct scene *s, struct peer *p, const void *bytes, uint32_t n);
void peer_says(struct scene *s, struct peer *p, const char *text);
void peer_fin(struct scene *s, struct peer *p);
void peer_reset(struct scene *s, struct peer *p);
bool peer_heard(struct peer *p, const char *text);
/* "open", "fin" (the gateway's FIN came), "reset", "gone" (let go after a FIN). */
const char *peer_state(const struct peer *p);

#define HEARS(p, text) CU_ASSERT(peer_heard((p), (text)))
#define STATE(p, text) CU_ASSERT_STRING_EQUAL(peer_state(p), (text))
#define COUNTED(scene, CODE) ((scene)->stats.count[SL_HTTP_CNT_##CODE])

/* A GET of the path as a client says it, and as the endpoint hears it. */
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define OK2_CLOSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

/* What handshakes from now on tell of the peer; NULLs: "".  verified: its certificate was. */
struct scene_peer {
	const char *uri, *subject, *dns, *sni;
	bool verified;
};
void scene_shows(struct scene *s, const struct scene_peer *p);
/* A service's endpoints speak TLS from the next connection on. */
void scene_secures(struct scene *s, unsigned service);

/* An error of the gateway's own, as the client hears it. */
bool scene_error(struct peer *c, unsigned status, bool close);
#define ERROR(c, status) CU_ASSERT(scene_error((c), (status), false))
#define ERROR_CLOSE(c, status) CU_ASSERT(scene_error((c), (status), true))
#define LOGGED_WHY(scene, text) CU_ASSERT_STRING_EQUAL(scene_log_why(scene), text)
#define LOGGED(scene, st, fl) CU_ASSERT((scene)->log.status == (st) && (scene)->log.flags == (fl))

/* One answer of the endpoint, which the client hears. */
void scene_answer(struct scene *s, struct peer *c, int endpoint);

#endif
