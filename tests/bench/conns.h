/* conns — what bench_client and bench_endpoint agree on. */
#ifndef SL_TESTS_BENCH_CONNS_H
#define SL_TESTS_BENCH_CONNS_H

#define REQUEST 64             /* bytes of a request, the first says what is wanted (endpoint.c) */
#define ANSWER 64              /* bytes of its answer */
#define BULK_BYTES (256 << 10) /* of bulk at a time */

/* HTTP: what browsers and endpoints say, shortened; a request begins with its line and Host, and has the header x-env. */
#define HTTP_HEADERS                                                                               \
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"                       \
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"              \
	"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"                \
	"Cookie: sid=0123456789abcdef\r\n"
#define HTTP_ANSWER                                                                                \
	"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n"              \
	"Content-Type: text/plain\r\nContent-Length: 64\r\n"                                       \
	"Last-Modified: Sat, 21 Nov 2026 11:00:00 GMT\r\nETag: \"65f0-40\"\r\n\r\n"                \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" /* ANSWER bytes */

#endif
