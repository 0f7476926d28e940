/* files — golden files: read whole, compare, or written anew with SL_GOLDEN_WRITE=1 in the environment. */
#ifndef SL_TESTS_MGMT_FILES_H
#define SL_TESTS_MGMT_FILES_H

#include <dirent.h>
#include <stdbool.h>

#include "suite.h"

/* The bytes of a file, terminated; NULL when it cannot be read. */
static inline char *
file_read(const char *path, size_t *ret_len)
{
	*ret_len = 0;
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t len = 0, got;

	*ret_len = 0;
	if (!f)
		return NULL;
	do {
		text = realloc(text, len + 65536 + 1);
		if (!text)
			abort();
		got = fread(text + len, 1, 65536, f);
		len += got;
	} while (got > 0);
	fclose(f);
	text[len] = 0;
	*ret_len = len;
	return text;
}

/* Whether the file says exactly text; prints both when it does not. */
static inline bool
golden_is(const char *path, const char *text)
{
	size_t len;

	if (getenv("SL_GOLDEN_WRITE")) {
		FILE *f = fopen(path, "w");
		if (!f || fputs(text, f) < 0 || fclose(f) != 0)
			return false;
	}
	char *want = file_read(path, &len);
	bool same = want && strcmp(want, text) == 0;
	if (!same)
		printf("\n--- %s\n%s--- is now\n%s---\n", path, want ? want : "(not there)\n",
		       text);
	free(want);
	return same;
}

/* golden_each calls fn(path, base name without the ending) for every *.conf in dir; their number. */
typedef void golden_fn(const char *path, const char *stem);
static inline unsigned
golden_each(const char *dir, golden_fn *fn)
{
	struct dirent **names;
	unsigned cnt = 0;
	int n = scandir(dir, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char path[4096], stem[256];
		size_t len = strlen(names[i]->d_name);
		if (len > 5 && strcmp(names[i]->d_name + len - 5, ".conf") == 0) {
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
			snprintf(stem, sizeof(stem), "%.*s", (int)len - 5, names[i]->d_name);
			fn(path, stem);
			cnt++;
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return cnt;
}

#endif
