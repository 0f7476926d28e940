/* drop — the reasons of drop.def as an enum and as text. */
#ifndef SLUICE_DROP_H
#define SLUICE_DROP_H

#include "sluice/base.h"

enum sl_drop {
#define SL_DROP(code, name, text, zero) SL_DROP_##code,
#include "sluice/drop.def"
#undef SL_DROP
	SL_DROP_CNT
};

/* sl_drop_name gives the metric label, sl_drop_text the sentence, sl_drop_must_be_zero whether a
 * healthy run keeps the counter at 0.  Any value is allowed; out of range gives "unknown". */
const char *sl_drop_name(unsigned reason);
const char *sl_drop_text(unsigned reason);
bool sl_drop_must_be_zero(unsigned reason);

#endif
