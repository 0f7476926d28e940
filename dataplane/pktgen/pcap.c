#include "pktgen/pcap.h"

#include <errno.h>

int
sl_pcap_create(struct sl_pcap *w, const char *path)
{
	static const uint32_t head[6] = {0xa1b2c3d4u, 2u | 4u << 16, 0, 0, 65535, 1};

	*w = (struct sl_pcap){.f = fopen(path, "wbe")};
	if (!w->f)
		return -errno;
	setvbuf(w->f, NULL, _IOFBF, 1 << 20);
	if (fwrite(head, sizeof(head), 1, w->f) == 1)
		return 0;
	int err = errno ? -errno : -EIO;
	fclose(w->f);
	w->f = NULL;
	return err;
}

int
sl_pcap_add(struct sl_pcap *w, const uint8_t *frame, unsigned len)
{
	const uint32_t head[4] = {(uint32_t)(w->cnt / 1000000), (uint32_t)(w->cnt % 1000000), len,
				  len};

	if (fwrite(head, sizeof(head), 1, w->f) != 1 || fwrite(frame, len, 1, w->f) != 1)
		return errno ? -errno : -EIO;
	w->cnt++;
	return 0;
}

int
sl_pcap_close(struct sl_pcap *w)
{
	if (!w->f)
		return 0;
	int err = fclose(w->f) ? -errno : 0;
	w->f = NULL;
	return err;
}
