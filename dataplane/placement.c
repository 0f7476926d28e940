#include "dataplane/placement.h"

static unsigned
ports_on(const struct sl_placement *p, int node)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->port_cnt; i++)
		n += p->port_nodes[i] == node;
	return n;
}

static int
choose_main(const struct sl_machine *m, const struct sl_placement *p)
{
	unsigned best_rank = 0;
	int best = -1;

	for (unsigned i = 0; i < m->cpu_cnt; i++) {
		const struct sl_machine_cpu *c = &m->cpu[i];
		if (!c->usable)
			continue;
		unsigned rank = 1 + (c->isolated ? 0 : 64) + ports_on(p, c->node);
		if (rank > best_rank) {
			best_rank = rank;
			best = (int)i;
		}
	}
	return best;
}

unsigned
sl_placement_choose(const struct sl_machine *m, struct sl_placement *p)
{
	bool core_taken[SL_MACHINE_CPUS] = {false};
	unsigned n = 0;

	if (p->main_cpu < 0)
		p->main_cpu = choose_main(m, p);
	for (; n < p->worker_cnt; n++) {
		unsigned best_rank = 0;
		int best = -1;
		for (unsigned i = 0; i < m->cpu_cnt; i++) {
			const struct sl_machine_cpu *c = &m->cpu[i];
			if (!c->usable || (int)i == p->main_cpu || core_taken[c->core])
				continue;
			bool beside = p->main_cpu >= 0 && m->cpu[p->main_cpu].core == c->core;
			unsigned rank =
				1 + 4 * ports_on(p, c->node) + (c->isolated ? 2 : 0) + !beside;
			if (rank > best_rank) {
				best_rank = rank;
				best = (int)i;
			}
		}
		if (best < 0)
			break;
		core_taken[m->cpu[best].core] = true;
		p->workers[n] = best;
	}
	return n;
}
