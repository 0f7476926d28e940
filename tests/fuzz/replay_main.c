/* The stub engine: runs a fuzz target once over every file of the directories given, so that what a fuzzer
 * ever found stays tested in every build.  `replay DIR…`; exits 1 when a directory is missing or empty. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input lies in memory of exactly its size, so that sanitizers see an over-read. */
static int
replay_file(const char *path, size_t size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(size ? size : 1);
	int err = -1;

	if (f && data && fread(data, 1, size, f) == size) {
		LLVMFuzzerTestOneInput(data, size);
		err = 0;
	} else {
		fprintf(stderr, "replay: %s cannot be read: %s\n", path, strerror(errno));
	}
	free(data);
	if (f)
		fclose(f);
	return err;
}

/* The number of files run, or -1. */
static int
replay_dir(const char *dir)
{
	DIR *d = opendir(dir);
	int cnt = 0;

	if (!d) {
		fprintf(stderr, "replay: %s: %s\n", dir, strerror(errno));
		return -1;
	}
	for (struct dirent *e; cnt >= 0 && (e = readdir(d)) != NULL;) {
		char path[4096];
		struct stat st;
		if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= (int)sizeof(path)) {
			fprintf(stderr, "replay: %s/%s: name too long\n", dir, e->d_name);
			cnt = -1;
		} else if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
			cnt = replay_file(path, (size_t)st.st_size) ? -1 : cnt + 1;
		}
	}
	closedir(d);
	if (cnt == 0)
		fprintf(stderr, "replay: %s holds no file\n", dir);
	return cnt > 0 ? cnt : -1;
}

int
main(int argc, char **argv)
{
	int total = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: %s CORPUS_DIRECTORY...\n", argv[0]);
		return 1;
	}
	for (int i = 1; i < argc; i++) {
		int cnt = replay_dir(argv[i]);
		if (cnt < 0)
			return 1;
		total += cnt;
	}
	printf("replay: %d inputs, none crashed\n", total);
	return 0;
}
