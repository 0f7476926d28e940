/* vlan — the 802.1Q tag of a frame, in its bytes.
 *
 *     dst 6 · src 6 · 81 00 · PCP 3, DEI 1, VID 12 · type 2 · …      with a tag
 *               dst 6 · src 6 ·                      type 2 · …      without: the frame begins 4 bytes later
 *
 * Walk:    port_io.c, for devices that do not do it themselves.
 * Threads: [any], pure.
 * Not here: tags within tags, and those of 802.1ad (88 a8): such a frame has no tag of ours.
 */
#ifndef SL_DATAPLANE_VLAN_H
#define SL_DATAPLANE_VLAN_H

#include "sluice/addr.h"

#define SL_VLAN_BYTES 4
#define SL_VLAN_NONE 0 /* no frame of ours has this VID: it says that only the priority counts */

/* sl_vlan_of gives the VID of a frame of len bytes, [1, 4095], or SL_VLAN_NONE. */
static inline unsigned
sl_vlan_of(const uint8_t *frame, unsigned len)
{
	if (len < 18 || frame[12] != 0x81 || frame[13] != 0x00)
		return SL_VLAN_NONE;
	return (frame[14] & 15u) << 8 | frame[15];
}

/* sl_vlan_strip takes the tag out of a frame that has one: its first byte then is frame + SL_VLAN_BYTES. */
static inline void
sl_vlan_strip(uint8_t *frame)
{
	memmove(frame + SL_VLAN_BYTES, frame, 12);
}

/* sl_vlan_insert puts one in; the SL_VLAN_BYTES bytes before the frame are free, and its first byte then. */
static inline void
sl_vlan_insert(uint8_t *frame, unsigned vid)
{
	memmove(frame - SL_VLAN_BYTES, frame, 12);
	frame[8] = 0x81;
	frame[9] = 0x00;
	frame[10] = (uint8_t)(vid >> 8);
	frame[11] = (uint8_t)vid;
}

#endif
