/* Names become numbers when the file is read; a peer is matched by numbers alone. */
#include "mgmt/roles.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int
resolve(const char *who, bool *ret_group, uint32_t *ret_id)
{
	const struct passwd *pw;
	const struct group *gr;
	char *end;

	if (*who == '@') {
		gr = getgrnam(who + 1);
		*ret_group = true;
		*ret_id = gr ? gr->gr_gid : 0;
		return gr ? 0 : -ENOENT;
	}
	*ret_group = false;
	if (*who >= '0' && *who <= '9') {
		errno = 0;
		unsigned long v = strtoul(who, &end, 10);
		*ret_id = (uint32_t)v;
		return *end || errno || v >= UINT32_MAX ? -ENOENT : 0;
	}
	pw = getpwnam(who);
	*ret_id = pw ? pw->pw_uid : 0;
	return pw ? 0 : -ENOENT;
}

int
sl_roles_add(struct sl_roles *r, enum sl_role role, const char *who)
{
	struct sl_role_row row = {.role = role};
	int ret = resolve(who, &row.group, &row.id);
	if (ret)
		return ret;
	struct sl_role_row *rows = realloc(r->row, (r->cnt + 1) * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	r->row = rows;
	r->row[r->cnt++] = row;
	return 0;
}

void
sl_roles_fini(struct sl_roles *r)
{
	free(r->row);
	*r = (struct sl_roles){0};
}

static bool
fits(const struct sl_role_row *row, uid_t uid, const gid_t *gids, unsigned gid_cnt)
{
	if (!row->group)
		return row->id == uid;
	for (unsigned i = 0; i < gid_cnt; i++)
		if (gids[i] == row->id)
			return true;
	return false;
}

enum sl_role
sl_roles_of(const struct sl_roles *r, uid_t own, uid_t uid, const gid_t *gids, unsigned gid_cnt)
{
	enum sl_role best = SL_ROLE_NONE;

	if (uid == 0 || uid == own)
		return SL_ROLE_ADMIN;
	for (unsigned i = 0; i < r->cnt; i++)
		if (r->row[i].role > best && fits(&r->row[i], uid, gids, gid_cnt))
			best = r->row[i].role;
	return best;
}

int
sl_roles_peer(const struct sl_roles *r, int sock, struct sl_peer *ret_peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct sl_peer p = {0};

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	p.uid = cred.uid;
	p.pid = cred.pid;
	p.gid[0] = cred.gid;
	p.gid_cnt = 1;
	len = (SL_PEER_GROUPS - 1) * sizeof(gid_t);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, &p.gid[1], &len) == 0)
		p.gid_cnt += len / sizeof(gid_t);
	p.role = sl_roles_of(r, geteuid(), p.uid, p.gid, p.gid_cnt);
	const struct passwd *pw = getpwuid(p.uid);
	if (pw)
		snprintf(p.user, sizeof(p.user), "%s", pw->pw_name);
	else
		snprintf(p.user, sizeof(p.user), "%u", (unsigned)p.uid);
	*ret_peer = p;
	return 0;
}

const char *
sl_roles_name(enum sl_role role)
{
	static const char *const name[] = {"none", "viewer", "operator", "admin"};
	return (unsigned)role < SL_ARRAY_CNT(name) ? name[role] : "none";
}
