/* conns — what bench_client and bench_endpoint agree on. */
#ifndef SL_TESTS_BENCH_CONNS_H
#define SL_TESTS_BENCH_CONNS_H

#define REQUEST 64             /* bytes of a request, the first says what is wanted (endpoint.c) */
#define ANSWER 64              /* bytes of its answer */
#define BULK_BYTES (256 << 10) /* of bulk at a time */

#endif
