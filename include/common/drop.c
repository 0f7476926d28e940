#include "sluice/drop.h"

static const struct {
	const char *name;
	const char *text;
	bool zero;
} rows[] = {
#define SL_DROP(code, name, text, zero) {name, text, zero},
#include "sluice/drop.def"
#undef SL_DROP
};

const char *
sl_drop_name(unsigned reason)
{
	return reason < SL_DROP_CNT ? rows[reason].name : "unknown";
}

const char *
sl_drop_text(unsigned reason)
{
	return reason < SL_DROP_CNT ? rows[reason].text : "unknown";
}

bool
sl_drop_must_be_zero(unsigned reason)
{
	return reason < SL_DROP_CNT && rows[reason].zero;
}
