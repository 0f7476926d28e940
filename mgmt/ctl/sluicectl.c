/* sluicectl — the command line: checks, pushes, shows and explains tables. */
#include "mgmt/ctl/ctl.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/api.h"
#include "mgmt/wipe.h"

const struct ctl_verb ctl_verbs[] = {
	{"check", "FILE", 1, 1, "none", "say everything that is wrong with a table file",
	 ctl_check},
	{"push", "FILE", 1, 1, "admin", "make a table file the active generation", ctl_push},
	{"diff", "FILE", 1, 1, "viewer", "what a push of the file would change (exit 1: something)",
	 ctl_diff},
	{"rollback", "[GENERATION]", 0, 1, "admin",
	 "take an earlier generation again (default: the previous)", ctl_rollback},
	{"confirm", "[GENERATION]", 0, 1, "admin",
	 "let stand what push --confirm would take back by itself", ctl_confirm},
	{"status", "", 0, 0, "viewer", "daemon, dataplane and generation on one page", ctl_status},
	{"show", "WHAT [SERVICE|PORT]", 1, 2, "viewer",
	 "listeners, services, endpoints, hosts, routes, limits, workers, ports, drops, tcp, http, "
	 "tls, "
	 "announce, "
	 "flows "
	 "and "
	 "streams (operator), registry, generations, shadow or audit",
	 ctl_show},
	{"stats", "", 0, 0, "viewer", "all counters", ctl_stats},
	{"top", "", 0, 0, "viewer",
	 "rates of workers, listeners, services and endpoints, full screen (? there: keys)",
	 ctl_top},
	{"drain", "SERVICE ENDPOINT", 2, 2, "operator", "no new flows; established ones go on",
	 ctl_drain},
	{"undrain", "SERVICE ENDPOINT", 2, 2, "operator", "end a drain", ctl_undrain},
	{"disable", "SERVICE ENDPOINT", 2, 2, "operator", "no new flows; established ones end",
	 ctl_disable},
	{"enable", "SERVICE ENDPOINT", 2, 2, "operator", "end a disable", ctl_enable},
	{"weight", "SERVICE ENDPOINT PERCENT", 3, 3, "operator",
	 "take only this share of the endpoint's new flows (0-100)", ctl_weight},
	{"maintenance", "SERVICE/ENDPOINT on|off", 2, 2, "operator",
	 "no new flows and no probes; off: back, once a probe finds it up", ctl_maintenance},
	{"register", "SERVICE/ENDPOINT", 1, 1, "operator",
	 "put an endpoint into the registry, or change it (--address, --port …)", ctl_register},
	{"deregister", "SERVICE/ENDPOINT", 1, 1, "operator", "take it out", ctl_deregister},
	{"heartbeat", "SERVICE/ENDPOINT", 1, 1, "operator",
	 "say that it lives, with what share of its flows it wants", ctl_heartbeat},
	{"gateway", "drain|undrain", 1, 1, "operator",
	 "withdraw every VIP, and keep that over restarts; or end it", ctl_gateway},
	{"explain", "tcp|udp SRC:PORT DST:PORT", 0, 3, "viewer",
	 "what the gateway would do with a packet, by its own code ([v6]:PORT); or with a request: "
	 "explain --http 'GET /PATH'",
	 ctl_explain},
	{"cert", "OP [NAME]", 1, 2, "viewer",
	 "certificates: add, replace (NAME --cert FILE --key FILE, or --ca FILE), remove NAME, "
	 "check (admin); list, show NAME",
	 ctl_cert},
	{"tickets", "OP [FILE]", 1, 2, "viewer",
	 "keys of session tickets: show; rotate, install FILE, own (admin)", ctl_tickets},
	{"upgrade", "", 0, 0, "admin",
	 "the dataplane becomes the program file it was started from, and keeps its flows",
	 ctl_upgrade},
	{"doctor", "", 0, 0, "none",
	 "say what is wrong with this node for a gateway, and how to mend it (exit 1: something)",
	 ctl_doctor},
	{"import", "istio|gateway-api FILE…", 2, 256, "none",
	 "their YAML as a table, and a list of what it cannot say (exit 1: something)", ctl_import},
	{"completion", "bash", 1, 1, "none",
	 "print a completion script: source <(sluicectl completion bash)", ctl_completion},
	{"help", "[VERB]", 0, 1, "none", "this text", ctl_help},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};

#define OPT 256 /* values of the options that are enum ctl_opt */

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},
	{"json", no_argument, NULL, 'j'},
	{"comment", required_argument, NULL, 'm'},
	{"flags", required_argument, NULL, 'f'},
	{"port", required_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"client", required_argument, NULL, OPT + CTL_OPT_CLIENT},
	{"vip", required_argument, NULL, OPT + CTL_OPT_VIP},
	{"proto", required_argument, NULL, OPT + CTL_OPT_PROTO},
	{"service", required_argument, NULL, OPT + CTL_OPT_SERVICE},
	{"endpoint", required_argument, NULL, OPT + CTL_OPT_ENDPOINT},
	{"listener", required_argument, NULL, OPT + CTL_OPT_LISTENER},
	{"state", required_argument, NULL, OPT + CTL_OPT_STATE},
	{"worker", required_argument, NULL, OPT + CTL_OPT_WORKER},
	{"idle-over", required_argument, NULL, OPT + CTL_OPT_IDLE_OVER},
	{"limit", required_argument, NULL, OPT + CTL_OPT_LIMIT},
	{"count", no_argument, NULL, OPT + CTL_OPT_COUNT},
	{"halves", no_argument, NULL, OPT + CTL_OPT_HALVES},
	{"address", required_argument, NULL, OPT + CTL_OPT_ADDRESS},
	{"side", required_argument, NULL, OPT + CTL_OPT_SIDE},
	{"retrans", required_argument, NULL, OPT + CTL_OPT_RETRANS},
	{"queue", required_argument, NULL, OPT + CTL_OPT_QUEUE},
	{"sort", required_argument, NULL, OPT + CTL_OPT_SORT},
	{"pairs", no_argument, NULL, OPT + CTL_OPT_PAIRS},
	{"all", no_argument, NULL, OPT + CTL_OPT_ALL},
	{"table", required_argument, NULL, OPT + CTL_OPT_TABLE},
	{"host", required_argument, NULL, OPT + CTL_OPT_HOST},
	{"route", required_argument, NULL, OPT + CTL_OPT_ROUTE},
	{"http", required_argument, NULL, OPT + CTL_OPT_HTTP},
	{"from", required_argument, NULL, OPT + CTL_OPT_FROM},
	{"header", required_argument, NULL, 'H'},
	{"interval", required_argument, NULL, OPT + CTL_OPT_INTERVAL},
	{"once", no_argument, NULL, OPT + CTL_OPT_ONCE},
	{"cert", required_argument, NULL, OPT + CTL_OPT_CERT},
	{"key", required_argument, NULL, OPT + CTL_OPT_KEY},
	{"ca", required_argument, NULL, OPT + CTL_OPT_CA},
	{"boot", required_argument, NULL, OPT + CTL_OPT_BOOT},
	{"root", required_argument, NULL, OPT + CTL_OPT_ROOT},
	{"dataplane", required_argument, NULL, OPT + CTL_OPT_DATAPLANE},
	{"extended", no_argument, NULL, OPT + CTL_OPT_EXTENDED},
	{"reason", required_argument, NULL, OPT + CTL_OPT_REASON},
	{"store", no_argument, NULL, OPT + CTL_OPT_STORE},
	{"force", no_argument, NULL, OPT + CTL_OPT_FORCE},
	{"ttl", required_argument, NULL, OPT + CTL_OPT_TTL},
	{"weight", required_argument, NULL, OPT + CTL_OPT_WEIGHT},
	{"priority", required_argument, NULL, OPT + CTL_OPT_PRIORITY},
	{"locality", required_argument, NULL, OPT + CTL_OPT_LOCALITY},
	{"metadata", required_argument, NULL, OPT + CTL_OPT_METADATA},
	{"percent", required_argument, NULL, OPT + CTL_OPT_PERCENT},
	{"leaving", required_argument, NULL, OPT + CTL_OPT_LEAVING},
	{"confirm", required_argument, NULL, OPT + CTL_OPT_CONFIRM},
	{"out", required_argument, NULL, OPT + CTL_OPT_OUT},
	{"strict", no_argument, NULL, OPT + CTL_OPT_STRICT},
	{"shadow", no_argument, NULL, OPT + CTL_OPT_SHADOW},
	{"sample", required_argument, NULL, OPT + CTL_OPT_SAMPLE},
	{"for", required_argument, NULL, OPT + CTL_OPT_FOR},
	{NULL, 0, NULL, 0},
};

static const char *const option_help[] = {
	"-s, --socket PATH    sluiced's socket (default $SLUICE_SOCKET, else " SL_API_SOCKET ")",
	"-j, --json           the answer as JSON",
	"-m, --comment TEXT   why, for the audit log (push, rollback, drain, gateway, …)",
	"    --reason TEXT    why, shown with the endpoint (drain, disable, weight, maintenance …)",
	"    --flags FLAGS    explain: syn (default), ack, syn,ack, fin,ack or rst",
	"    --port NAME      explain: the port it comes in by (default: the first)",
	"explain --http 'METHOD /PATH': what would become of a request",
	"-H, --header 'NAME: VALUE'  a header of it (any number of them)",
	"    --host NAME          its Host (default: one of the table's first virtual host)",
	"    --listener L         that it comes to (default: the first of mode http)",
	"    --from ADDR[:PORT]   that it comes from",
	"show flows: only flows to which all of these apply",
	"    --client ADDR[/LEN]  --vip ADDR[/LEN]  --port N (of the VIP)  --proto tcp|udp",
	"    --service S  --endpoint S E  --listener L  --worker N",
	"    --state embryonic|established|closing|udp|udp_new",
	"    --idle-over TIME     silent for at least so long: 500ms, 30s, 5m, 1h",
	"    --limit N            at most so many (default 100, up to 10000)",
	"    --count              say only how many there are",
	"    --halves             the reply halves of nat flows, too",
	"show streams: only streams (the gateway's own TCP) to which all of these apply",
	"    --address ADDR[/LEN]  --port N (both of either end)  --side client|endpoint",
	"    --service S  --endpoint S E  --listener L  --worker N",
	"    --state syn-sent|syn-received|established|fin-wait-1|fin-wait-2|close-wait|",
	"            closing|last-ack",
	"    --retrans N          at least so many segments retransmitted",
	"    --queue BYTES        at least so many written and not acknowledged",
	"    --sort age|rtt|cwnd|flight|queue|rcvq|ooo|retrans|in|out    the most first",
	"    --limit N  --count   as for flows",
	"    --pairs              clients' streams, each with the endpoint's behind it",
	"show hosts, show routes: only those of these names",
	"    --table T  --host H  --route R (routes)",
	"show ports NAME",
	"    --extended           its device's own statistics, too",
	"show tcp, show http, show tls, stats",
	"    --all                events that never happened, too",
	"top",
	"    --interval TIME      between two looks, 100ms to 60s (default 1s)",
	"    --once               two looks as plain text; with --json as JSON",
	"cert add, cert replace, cert check",
	"    --cert FILE          the certificate, then its chain, in PEM",
	"    --key FILE           its key in PEM, not encrypted (-: standard input)",
	"    --ca FILE            a bundle of CAs, to verify peers with",
	"push",
	"    --store              into the store that gateways take their table from",
	"    --force              although the table comes from there, or somebody else changed it",
	"    --shadow             try it beside the active table, and say what it would do "
	"otherwise",
	"    --sample PERCENT     with so much of the traffic (default 1%)  --for TIME (default "
	"30s)",
	"push and rollback",
	"    --confirm TIME       taken back by itself unless sluicectl confirm comes within it: "
	"60s",
	"register",
	"    --address ADDR       required",
	"    --port N             of it (default: the question's)",
	"    --weight N  --priority N  --locality REGION/ZONE/RACK",
	"    --metadata KEY=VALUE (any number of them)",
	"    --ttl TIME           silent, and given no flows, after so long without a heartbeat",
	"heartbeat",
	"    --percent N          of its weight that it wants for now",
	"    --leaving yes|no     no new flows",
	"doctor",
	"-c, --boot FILE          the dataplane's boot file (/etc/sluice/dataplane.conf)",
	"    --dataplane PROGRAM  that reads it (default: sluice-dataplane beside this one)",
	"    --root DIR           look at the proc and sys below DIR, not at this machine",
	"import",
	"-o, --out FILE           where the table goes (default: standard output)",
	"    --address ADDR[,ADDR…]  of its listeners: one for each workload of Gateways, and the "
	"mesh",
	"    --strict             nothing is written unless all could be said",
	"",
	"-h, --help           this text, or that of a verb",
	"    --version        of this program",
};

static const struct ctl_verb *
find(const char *name)
{
	for (const struct ctl_verb *v = ctl_verbs; v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

static int
no_verb(const struct ctl *c, const char *name)
{
	const char *names[sizeof(ctl_verbs) / sizeof(ctl_verbs[0])];
	char hint[64] = "sluicectl help lists them";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		names[i] = ctl_verbs[i].name;
	if (ctl_near(name, names))
		snprintf(hint, sizeof(hint), "did you mean '%s'?", ctl_near(name, names));
	return ctl_fail(c, CTL_USAGE, hint, "no verb '%s'", name);
}

static void
print_verb(FILE *f, const struct ctl_verb *v)
{
	char line[64];

	snprintf(line, sizeof(line), "%s %s", v->name, v->args);
	fprintf(f, "  %-38s %s\n", line, v->help);
}

static void
print_help(FILE *f)
{
	fprintf(f, "usage: sluicectl [OPTIONS] VERB [ARGUMENTS]\n\n");
	for (const struct ctl_verb *v = ctl_verbs; v->name; v++)
		print_verb(f, v);
	fprintf(f, "\n");
	for (size_t i = 0; i < sizeof(option_help) / sizeof(option_help[0]); i++)
		fprintf(f, "  %s\n", option_help[i]);
	fprintf(f, "\nexit: 0 done · 1 the answer is no · 2 wrong arguments · "
		   "3 sluiced or the dataplane cannot be reached · 4 denied\n");
}

int
ctl_help(struct ctl *c)
{
	const struct ctl_verb *v = c->argc ? find(c->argv[0]) : NULL;

	if (c->argc && !v)
		return no_verb(c, c->argv[0]);
	if (!v) {
		print_help(stdout);
		return CTL_OK;
	}
	print_verb(stdout, v);
	if (strcmp(v->role, "none"))
		printf("  needs the role %s\n", v->role);
	return CTL_OK;
}

/* In two pieces, with the words that tables know between them.  Services, endpoints and generations are asked of
 * the daemon whose socket stands on the line. */
static const char completion_head[] =
	"_sluicectl_names() { \"${COMP_WORDS[0]}\" \"${ask[@]}\" --json show \"$@\" 2>/dev/null |\n"
	"\tsed -n 's/^ *\"\\(name\\|generation\\)\": \"\\{0,1\\}\\([^\",]*\\).*/\\2/p'; }\n"
	"_sluicectl()\n{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i words=\n"
	"\tlocal -a args=() ask=()\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tcase ${COMP_WORDS[i]} in\n"
	"\t\t-s | --socket) ask=(--socket \"${COMP_WORDS[++i]}\") ;;\n"
	"\t\t--endpoint) ((i += 2)) ;;\n"
	"\t\t-m | --comment | --reason | -H | --header | --http | --from | --table | --host | "
	"--route | "
	"--flags | --port | --client | --vip | --proto | --service | "
	"--listener | \\\n"
	"\t\t--state | --worker | --idle-over | --limit | --interval | --address | --side | \\\n"
	"\t\t--retrans | --queue | --sort | --cert | --key | --ca | -c | --boot | -o | --out | "
	"--root | "
	"--dataplane | --confirm | --sample | --for) ((i++)) ;;\n"
	"\t\t-*) ;;\n"
	"\t\t*) args+=(\"${COMP_WORDS[i]}\") ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tcase $prev in\n"
	"\t-s | --socket | --cert | --key | --ca | -c | --boot | -o | --out | --root | "
	"--dataplane) "
	"COMPREPLY=($(compgen -f -- \"$cur\")); return "
	";;\n"
	"\t-m | --comment | --reason | -H | --header | --http | --from | --host | --route | --port "
	"| --client "
	"| --vip | --worker | --idle-over | --limit | "
	"--interval | --address | --retrans | --queue | --confirm | "
	"--sample | --for) "
	"return ;;\n"
	"\t--proto) words='tcp udp' ;;\n"
	"\t--state)\n"
	"\t\twords='embryonic established closing udp udp_new'\n"
	"\t\t[ \"${args[1]}\" = streams ] && words='syn-sent syn-received established fin-wait-1 "
	"fin-wait-2 close-wait closing last-ack' ;;\n"
	"\t--side) words='client endpoint' ;;\n"
	"\t--sort) words='age rtt cwnd flight queue rcvq ooo retrans in out' ;;\n"
	"\t--service | --endpoint) words=$(_sluicectl_names services) ;;\n"
	"\t--listener) words=$(_sluicectl_names listeners) ;;\n"
	"\t--flags) words='syn ack syn,ack fin,ack rst' ;;\n"
	"\tesac\n"
	"\t((COMP_CWORD > 2)) && [ \"${COMP_WORDS[COMP_CWORD - 2]}\" = --endpoint ] &&\n"
	"\t\twords=$(_sluicectl_names endpoints \"$prev\")\n"
	"\tif [ -n \"$words\" ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return; "
	"fi\n";
static const char completion_tail[] =
	"\tcase ${#args[@]}:${args[0]} in\n"
	"\t0:*) words=$verbs ;;\n"
	"\t1:check | 1:push | 1:diff) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	"\t1:show) words=$what ;;\n"
	"\t1:help) words=$verbs ;;\n"
	"\t1:completion) words=bash ;;\n"
	"\t1:import) words='istio gateway-api' ;;\n"
	"\t[2-9]:import) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	"\t1:explain) words='tcp udp' ;;\n"
	"\t1:cert) words='add replace remove check list show' ;;\n"
	"\t1:tickets) words='show rotate install own' ;;\n"
	"\t1:gateway) words='drain undrain' ;;\n"
	"\t2:maintenance) words='on off' ;;\n"
	"\t2:cert) case ${args[1]} in replace | remove | show)\n"
	"\t\twords=$(\"${COMP_WORDS[0]}\" \"${ask[@]}\" --json cert list 2>/dev/null |\n"
	"\t\t\tsed -n 's/^      \"name\": \"\\(.*\\)\",*$/\\1/p') ;; esac ;;\n"
	"\t2:tickets) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	"\t1:rollback | 1:confirm) words=$(_sluicectl_names generations) ;;\n"
	"\t1:drain | 1:undrain | 1:disable | 1:enable | 1:weight) words=$(_sluicectl_names "
	"services) ;;\n"
	"\t2:drain | 2:undrain | 2:disable | 2:enable | 2:weight)\n"
	"\t\twords=$(_sluicectl_names endpoints \"${args[1]}\") ;;\n"
	"\t2:show)\n"
	"\t\t[ \"${args[1]}\" = endpoints ] && words=$(_sluicectl_names services)\n"
	"\t\t[ \"${args[1]}\" = ports ] && words=$(_sluicectl_names ports) ;;\n"
	"\tesac\n"
	"\t[[ $cur = -* ]] && words=$options\n"
	"\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	"}\ncomplete -F _sluicectl sluicectl\n";

int
ctl_completion(struct ctl *c)
{
	if (strcmp(c->argv[0], "bash"))
		return ctl_fail(c, CTL_USAGE, NULL, "completion is there for bash, not for '%s'",
				c->argv[0]);
	fputs(completion_head, stdout);
	printf("\tlocal verbs='");
	for (const struct ctl_verb *v = ctl_verbs; v->name; v++)
		printf("%s ", v->name);
	printf("' what='");
	for (size_t i = 0; ctl_show_what[i]; i++)
		printf("%s ", ctl_show_what[i]);
	printf("' options='");
	for (const struct option *o = options; o->name; o++)
		printf("--%s ", o->name);
	printf("'\n%s", completion_tail);
	return CTL_OK;
}

/* --endpoint SERVICE ENDPOINT takes two words. */
static int
take_endpoint(struct ctl *c, int argc, char **argv)
{
	c->opt[CTL_OPT_SERVICE] = optarg;
	if (optind >= argc)
		return ctl_fail(c, CTL_USAGE, NULL, "--endpoint needs a service and an endpoint");
	c->opt[CTL_OPT_ENDPOINT] = argv[optind++];
	return CTL_OK;
}

/* Which of the enum ctl_opt go with what. */
enum {
	FLOWS = 1,
	STREAMS = 2,
	TOP = 4,
	COUNTS = 8,
	ROUTES = 16,
	HOSTS = 32,
	EXPLAIN = 64,
	CERT = 128,
	DOCTOR = 256,
	PORTS = 512,
	ENDPOINT = 1024,
	PUSH = 2048,
	REGISTER = 4096,
	HEARTBEAT = 8192,
	ROLLBACK = 16384,
	IMPORT = 32768
};
static const uint16_t goes_with[CTL_OPT_CNT] = {
	[CTL_OPT_CLIENT] = FLOWS,
	[CTL_OPT_VIP] = FLOWS,
	[CTL_OPT_PROTO] = FLOWS,
	[CTL_OPT_SERVICE] = FLOWS | STREAMS,
	[CTL_OPT_ENDPOINT] = FLOWS | STREAMS,
	[CTL_OPT_LISTENER] = FLOWS | STREAMS | EXPLAIN,
	[CTL_OPT_STATE] = FLOWS | STREAMS,
	[CTL_OPT_WORKER] = FLOWS | STREAMS,
	[CTL_OPT_IDLE_OVER] = FLOWS,
	[CTL_OPT_LIMIT] = FLOWS | STREAMS,
	[CTL_OPT_COUNT] = FLOWS | STREAMS,
	[CTL_OPT_HALVES] = FLOWS,
	[CTL_OPT_ADDRESS] = STREAMS | REGISTER | IMPORT,
	[CTL_OPT_TTL] = REGISTER,
	[CTL_OPT_WEIGHT] = REGISTER,
	[CTL_OPT_PRIORITY] = REGISTER,
	[CTL_OPT_LOCALITY] = REGISTER,
	[CTL_OPT_METADATA] = REGISTER,
	[CTL_OPT_PERCENT] = HEARTBEAT,
	[CTL_OPT_LEAVING] = HEARTBEAT,
	[CTL_OPT_SIDE] = STREAMS,
	[CTL_OPT_RETRANS] = STREAMS,
	[CTL_OPT_QUEUE] = STREAMS,
	[CTL_OPT_SORT] = STREAMS,
	[CTL_OPT_PAIRS] = STREAMS,
	[CTL_OPT_ALL] = COUNTS,
	[CTL_OPT_TABLE] = ROUTES | HOSTS,
	[CTL_OPT_HOST] = ROUTES | HOSTS | EXPLAIN,
	[CTL_OPT_ROUTE] = ROUTES,
	[CTL_OPT_HTTP] = EXPLAIN,
	[CTL_OPT_FROM] = EXPLAIN,
	[CTL_OPT_INTERVAL] = TOP,
	[CTL_OPT_ONCE] = TOP,
	[CTL_OPT_CERT] = CERT,
	[CTL_OPT_KEY] = CERT,
	[CTL_OPT_CA] = CERT,
	[CTL_OPT_BOOT] = DOCTOR,
	[CTL_OPT_ROOT] = DOCTOR,
	[CTL_OPT_DATAPLANE] = DOCTOR,
	[CTL_OPT_EXTENDED] = PORTS,
	[CTL_OPT_REASON] = ENDPOINT,
	[CTL_OPT_STORE] = PUSH,
	[CTL_OPT_FORCE] = PUSH,
	[CTL_OPT_CONFIRM] = PUSH | ROLLBACK,
	[CTL_OPT_OUT] = IMPORT,
	[CTL_OPT_STRICT] = IMPORT,
	[CTL_OPT_SHADOW] = PUSH,
	[CTL_OPT_SAMPLE] = PUSH,
	[CTL_OPT_FOR] = PUSH,
};

/* What options go with, in words; bits as above. */
static const char *
who(unsigned bits, char *buf, size_t size)
{
	static const char *const names[] = {"show flows",
					    "show streams",
					    "top",
					    "stats, show tcp, show http, show tls",
					    "show routes",
					    "show hosts",
					    "explain --http",
					    "cert add, replace, check",
					    "doctor",
					    "show ports",
					    "drain, undrain, disable, enable, weight, maintenance",
					    "push",
					    "register",
					    "heartbeat",
					    "rollback",
					    "import"};
	size_t n = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *comma = n == 0 ? "" : bits >> (i + 1) ? ", " : " and ";
		if (bits >> i & 1)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", comma, names[i]);
	}
	return buf;
}

static unsigned
what_is_asked(const struct ctl *c)
{
	const char *what = c->verb && c->argc ? c->argv[0] : "", *verb = c->verb ? c->verb : "";
	static const struct {
		const char *what;
		unsigned is;
	} shows[] = {
		{"flows", FLOWS}, {"streams", STREAMS}, {"tcp", COUNTS},  {"http", COUNTS},
		{"tls", COUNTS},  {"routes", ROUTES},   {"hosts", HOSTS}, {"ports", PORTS},
	};

	static const char *const of_endpoint[] = {"drain",  "undrain", "disable",
						  "enable", "weight",  "maintenance"};

	for (size_t i = 0; i < sizeof(of_endpoint) / sizeof(of_endpoint[0]); i++)
		if (!strcmp(verb, of_endpoint[i]))
			return ENDPOINT;
	if (!strcmp(verb, "top"))
		return TOP;
	if (!strcmp(verb, "stats"))
		return COUNTS;
	if (!strcmp(verb, "push"))
		return PUSH;
	if (!strcmp(verb, "rollback"))
		return ROLLBACK;
	if (!strcmp(verb, "cert"))
		return CERT;
	if (!strcmp(verb, "doctor"))
		return DOCTOR;
	if (!strcmp(verb, "register"))
		return REGISTER;
	if (!strcmp(verb, "heartbeat"))
		return HEARTBEAT;
	if (!strcmp(verb, "import"))
		return IMPORT;
	if (!strcmp(verb, "explain") && c->opt[CTL_OPT_HTTP])
		return EXPLAIN;
	for (size_t i = 0; !strcmp(verb, "show") && i < sizeof(shows) / sizeof(shows[0]); i++)
		if (!strcmp(shows[i].what, what))
			return shows[i].is;
	return 0;
}

/* An option that would mean nothing is not passed over. */
static int
misplaced_option(const struct ctl *c)
{
	unsigned is = what_is_asked(c);
	char buf[160];

	for (const struct option *o = options; o->name; o++) {
		int i = o->val - OPT;
		if (i >= 0 && c->opt[i] && !(goes_with[i] & is))
			return ctl_fail(c, CTL_USAGE, NULL, "--%s goes with %s only", o->name,
					who(goes_with[i], buf, sizeof(buf)));
	}
	if (c->header_cnt && (!c->verb || strcmp(c->verb, "explain")))
		return ctl_fail(c, CTL_USAGE, NULL, "-H goes with explain only");
	return CTL_OK;
}

static int
parse_options(struct ctl *c, int argc, char **argv)
{
	int o;

	while ((o = getopt_long(argc, argv, "s:jm:hH:c:o:", options, NULL)) != -1) {
		switch (o) {
		case 's':
			c->socket = optarg;
			break;
		case 'j':
			c->json = true;
			break;
		case 'm':
			c->comment = optarg;
			break;
		case 'H':
			if (c->header_cnt == CTL_HEADERS)
				return ctl_fail(c, CTL_USAGE, NULL, "more than %d headers",
						CTL_HEADERS);
			c->header[c->header_cnt++] = optarg;
			break;
		case 'c':
			c->opt[CTL_OPT_BOOT] = optarg;
			break;
		case 'o':
			c->opt[CTL_OPT_OUT] = optarg;
			break;
		case 'f':
			c->flags = optarg;
			break;
		case 'p':
			c->port = optarg;
			break;
		case 'h':
			c->help = true;
			break;
		case 'V':
			printf("sluicectl %s\n", SL_VERSION);
			exit(CTL_OK);
		case OPT + CTL_OPT_METADATA:
			if (c->metadata_cnt == CTL_METADATA)
				return ctl_fail(c, CTL_USAGE, NULL, "more than %d of --metadata",
						CTL_METADATA);
			c->metadata[c->metadata_cnt++] = optarg;
			c->opt[CTL_OPT_METADATA] = "";
			break;
		case OPT + CTL_OPT_ENDPOINT:
			if (take_endpoint(c, argc, argv))
				return CTL_USAGE;
			break;
		default:
			if (o >= OPT && o < OPT + CTL_OPT_CNT) {
				c->opt[o - OPT] = optarg ? optarg : "";
				break;
			}
			return ctl_fail(c, CTL_USAGE, "sluicectl help lists all options",
					"wrong option");
		}
	}
	return CTL_OK;
}

/* An error among the options before it is to be told as asked, too. */
static bool
wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0)
			return true;
	return false;
}

int
main(int argc, char **argv)
{
	struct ctl c = {.socket = getenv("SLUICE_SOCKET"), .json = wants_json(argc, argv)};

	sl_wipe_install();
	if (!c.socket)
		c.socket = SL_API_SOCKET;
	if (parse_options(&c, argc, argv) != CTL_OK)
		return CTL_USAGE;
	if (optind == argc && !c.help) {
		print_help(stderr);
		return CTL_USAGE;
	}
	c.argc = SL_MAX(argc - optind - !c.help, 0);
	c.argv = argv + optind + !c.help;
	if (c.help) {
		c.argc = SL_MIN(c.argc, 1);
		return ctl_help(&c);
	}
	const struct ctl_verb *v = find(argv[optind]);
	if (!v)
		return no_verb(&c, argv[optind]);
	c.verb = v->name;
	if (c.argc < v->min || c.argc > v->max)
		return ctl_fail(&c, CTL_USAGE, v->help, "usage: sluicectl %s %s", v->name, v->args);
	if (misplaced_option(&c))
		return CTL_USAGE;
	return v->run(&c);
}
