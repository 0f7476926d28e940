/* tls_main — main's side of TLS: secrets in, books out, who handshakes.
 *
 *   SECRET ─▶ keyring ─┐
 *   view ──────────────┴─▶ book ─▶ board ─▶ handshakers ◀─rings─▶ workers
 *
 * A book is made when a generation is about to be published (names that the keyring lacks refuse it), and when a secret that the
 * active generation names was replaced.  The board has it before workers see the generation.
 * Threads: [main].
 * Not here: the memory (vault.h), sessions (session.h), what comes by the control socket (ctl_server.h).
 */
#ifndef SL_DATAPLANE_TLS_MAIN_H
#define SL_DATAPLANE_TLS_MAIN_H

#include "dataplane/boot.h"
#include "dataplane/handshakers.h"
#include "dataplane/view.h"

#define SL_TLS_TEXT SL_KEYRING_TEXT

struct sl_worker_tls;

struct sl_tls_main {
	struct sl_keyring *keyring; /* NULL: there is no TLS: */
	char off[SL_TLS_TEXT];      /* why */
	struct sl_board board;
	struct sl_handshakers *handshakers;
	uint64_t version; /* of the last book */
	int key_log;      /* descriptor; -1: none */
};

/* sl_tls_main_vault, before anything of OpenSSL: the vault is opened, and the process is neither dumped nor traced, as the boot file
 * says.  Without the right to lock memory: an error when the file speaks of TLS, else a note, and TLS is off. */
int sl_tls_main_vault(struct sl_tls_main *m, struct sl_boot *boot, struct sl_diag *errors,
		      struct sl_diag *notes);

/* sl_tls_main_up makes keyring, board and handshakers, whose threads run from now on.  set: cpu_set_t of this process, without the
 * workers' where it has others.  0, or -errno with reasons in diag.  Nothing is done where TLS is off. */
int sl_tls_main_up(struct sl_tls_main *m, const struct sl_boot *boot, const void *set,
		   uint64_t ticks_per_s, struct sl_diag *diag);
/* sl_tls_main_worker fills what worker `id` does TLS with, memory too; -ENOMEM with the sentence in diag. */
int sl_tls_main_worker(struct sl_tls_main *m, const struct sl_boot *boot, unsigned id,
		       struct sl_worker_tls *ret, struct sl_diag *diag);
/* sl_tls_main_stop, when the workers have stopped; sl_tls_main_down, when they are gone. */
void sl_tls_main_stop(struct sl_tls_main *m);
void sl_tls_main_down(struct sl_tls_main *m);

/* sl_tls_main_secret takes a secret in; sl_tls_main_forget takes one away, -EBUSY when the active generation names it.  view: the
 * active one, or NULL.  0, or -errno with a sentence. */
int sl_tls_main_secret(struct sl_tls_main *m, const struct sl_view *view, uint32_t kind,
		       const char *name, const void *secret, size_t bytes,
		       char ret_text[SL_TLS_TEXT]);
int sl_tls_main_forget(struct sl_tls_main *m, const struct sl_view *view, uint32_t kind,
		       const char *name, char ret_text[SL_TLS_TEXT]);

/* sl_tls_main_ready makes the book of a generation that is about to be published and puts it onto the board.  0; -EINVAL, -ENOMEM
 * with every reason in diag: it cannot be published. */
int sl_tls_main_ready(void *tls_main, const struct sl_view *view, struct sl_diag *diag);

/* sl_tls_main_turn: now and then, at least twice a second. */
void sl_tls_main_turn(struct sl_tls_main *m);

#endif
