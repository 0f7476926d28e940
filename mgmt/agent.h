/* agent — what an agent on an endpoint's machine says, in the words of HAProxy's agent-check.
 *
 * One line, ended by LF, CR or the connection's end; words with blanks, tabs or commas between; behind '#' a text for people.
 *   up                      it serves                       down, fail, stopped     it does not
 *   ready                   it is not on its way out        drain, maint            it is: no new flows
 *   N%                      share of its weight that it wants; over 100 is 100
 *   maxconn:N               not looked at
 * A word speaks of its own group alone: "50%" ends no drain.  Letters of either case.
 * Threads: [any]. Pure.
 */
#ifndef SL_MGMT_AGENT_H
#define SL_MGMT_AGENT_H

#include "sluice/base.h"

#define SL_AGENT_LINE_MAX 256 /* bytes; what is longer is no answer */

struct sl_agent_state {
	bool down, drain;
	uint8_t percent; /* [0, 100] */
};
#define SL_AGENT_USUAL ((struct sl_agent_state){.percent = 100})

/* sl_agent_read changes *s by a line; NULL, or what is wrong with it: *s is as before.  buf: for the sentence. */
const char *sl_agent_read(const char *line, size_t len, struct sl_agent_state *s, char *buf,
			  size_t size);

/* sl_agent_end: n > 0: the line is data[0, n - 1), data[n - 1] ends it; SL_PARTIAL: there is no end yet; SL_BAD: it is too long. */
int sl_agent_end(const char *data, size_t len);

#endif
