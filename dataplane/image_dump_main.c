/* sluice-image-dump FILE… — the text of table objects (image.h) on standard output; "-" reads standard input.
 * Exit code 0: all are valid; 1: some is not; 2: some could not be read, or wrong usage. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/image_check.h"

/* All of f, aligned to 8; NULL with errno (EFBIG: over SL_OBJ_MAX). */
static void *
read_all(FILE *f, size_t *ret_size)
{
	size_t size = 0, room = 1 << 16;
	char *bytes = malloc(room);

	while (bytes) {
		size += fread(bytes + size, 1, room - size, f);
		if (size < room)
			break;
		room *= 2;
		char *more = room <= 4ull * SL_OBJ_MAX ? realloc(bytes, room) : NULL;
		if (!more) {
			free(bytes);
			errno = EFBIG;
			return NULL;
		}
		bytes = more;
	}
	if (bytes && ferror(f)) {
		free(bytes);
		errno = EIO;
		return NULL;
	}
	*ret_size = size;
	return bytes;
}

static int
dump(const char *path)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	size_t size = 0;
	void *bytes = f ? read_all(f, &size) : NULL;
	int error = bytes ? 0 : errno;

	if (f && f != stdin)
		fclose(f);
	if (!bytes) {
		fprintf(stderr, "sluice-image-dump: %s: %s\n", path, strerror(error));
		return 2;
	}
	sl_image_dump(bytes, size, stdout);
	const struct sl_obj_head *h = bytes;
	int rc = size < sizeof(*h) || h->kind < SL_OBJ_ROOT || h->kind > SL_OBJ_KIND_LAST ||
		 sl_image_check(bytes, size, h->kind, NULL, path, NULL) != 0;
	free(bytes);
	return rc;
}

int
main(int argc, char **argv)
{
	int rc = 0;

	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		fprintf(argc < 2 ? stderr : stdout,
			"usage: sluice-image-dump FILE...\n"
			"Writes table objects as text; \"-\" is standard input.\n");
		return argc < 2 ? 2 : 0;
	}
	for (int i = 1; i < argc; i++) {
		int one = dump(argv[i]);
		rc = SL_MAX(rc, one);
	}
	return rc;
}
