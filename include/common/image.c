#include "sluice/image.h"

static bool
alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool
sl_name_ok(const char name[SL_NAME_MAX])
{
	unsigned n = 0;

	if (!alnum(name[0]))
		return false;
	while (n < SL_NAME_MAX && name[n] != 0) {
		char c = name[n++];
		if (!alnum(c) && c != '.' && c != '_' && c != '-')
			return false;
	}
	if (n == SL_NAME_MAX)
		return false;
	for (; n < SL_NAME_MAX; n++)
		if (name[n] != 0)
			return false;
	return true;
}
