/* doctor_file — small files of /proc and /sys below a root, whatever stands there: never more than a limit, never a
 * pipe or a device, nothing that blocks. */
#ifndef SL_MGMT_DOCTOR_FILE_H
#define SL_MGMT_DOCTOR_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define SL_DOCTOR_FILE_MAX (4u << 20)

/* sl_doctor_file_path writes root and the path that fmt makes.  False: too long. */
bool sl_doctor_file_path(char *buf, size_t size, const char *root, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* sl_doctor_file_text gives the text, to be freed, or NULL; 0 bytes in it become spaces.  At most
 * SL_DOCTOR_FILE_MAX bytes, what follows is passed over. */
char *sl_doctor_file_text(const char *root, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* sl_doctor_file_word reads the first word of a file; "" when there is none.  True: the file could be read. */
bool sl_doctor_file_word(char *buf, size_t size, const char *root, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* sl_doctor_file_number reads one whole number, or gives absent. */
long sl_doctor_file_number(long absent, const char *root, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* sl_doctor_file_link writes the last component of what a link leads to; "" when it is none. */
void sl_doctor_file_link(char *buf, size_t size, const char *root, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* sl_doctor_file_is: there is something of that name. */
bool sl_doctor_file_is(const char *root, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
