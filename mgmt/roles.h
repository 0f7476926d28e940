/* roles — what a peer of the API socket may do, by its credentials.
 *
 * viewer < operator < admin.  Root and the daemon's own uid are admin; everybody else is what
 * sluiced.conf says of its uid, user name or one of its groups ("@group"); nobody is a viewer by default.
 * Threads: [any]; immutable after loading.
 */
#ifndef SL_MGMT_ROLES_H
#define SL_MGMT_ROLES_H

#include "sluice/base.h"
#include <sys/types.h>

enum sl_role { SL_ROLE_NONE = 0, SL_ROLE_VIEWER, SL_ROLE_OPERATOR, SL_ROLE_ADMIN };

struct sl_role_row {
	enum sl_role role;
	bool group;  /* id is a gid */
	uint32_t id; /* uid or gid */
};

struct sl_roles {
	struct sl_role_row *row; /* [cnt] */
	unsigned cnt;
};

#define SL_PEER_GROUPS 64 /* further ones are not looked at */
struct sl_peer {
	uid_t uid;
	pid_t pid;
	gid_t gid[SL_PEER_GROUPS];
	unsigned gid_cnt;
	enum sl_role role;
	char user[64]; /* name, or the uid in digits */
};

/* sl_roles_add takes "alice", "@wheel" (a group), or digits (a uid).  0, -ENOENT (no such user or
 * group) or -ENOMEM. */
int sl_roles_add(struct sl_roles *r, enum sl_role role, const char *who);
void sl_roles_fini(struct sl_roles *r);

/* sl_roles_of gives the strongest role of any row that fits. */
enum sl_role sl_roles_of(const struct sl_roles *r, uid_t own, uid_t uid, const gid_t *gids,
			 unsigned gid_cnt);

/* sl_roles_peer asks the kernel who is at the other end of a connected Unix socket.  0 or −errno. */
int sl_roles_peer(const struct sl_roles *r, int sock, struct sl_peer *ret_peer);

const char *sl_roles_name(enum sl_role role);

#endif
