#include "dataplane/farewell.h"

#include "sluice/ctl.h"

bool
sl_farewell_begin(struct sl_farewell *f, uint32_t why, uint64_t peer, uint32_t wait_ms,
		  uint64_t now_ns)
{
	bool open = f->open;

	if (peer == 0 || wait_ms == 0 || (open && (why == f->why || why != SL_STOPPING_STOP)))
		return false;
	f->why = why;
	if (open)
		return true;
	f->open = true;
	f->released = false;
	f->peer = peer;
	f->until_ns = now_ns + wait_ms * 1000000ull;
	return true;
}

void
sl_farewell_release(struct sl_farewell *f)
{
	f->released = f->open;
}

const char *
sl_farewell_over(const struct sl_farewell *f, uint64_t peer, uint64_t now_ns)
{
	if (!f->open)
		return NULL;
	if (f->released)
		return "sluiced has taken back what it announced";
	if (peer != f->peer)
		return "sluiced went away";
	return now_ns >= f->until_ns ? "sluiced did not say within stop_wait_ms that the VIPs are "
				       "withdrawn: they may still lead here"
				     : NULL;
}
