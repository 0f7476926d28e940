/* sluicectl — the command line: checks, pushes, shows and explains tables. */
#include "mgmt/ctl/ctl.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/api.h"

const struct ctl_verb ctl_verbs[] = {
	{"check", "FILE", 1, 1, "none", "say everything that is wrong with a table file",
	 ctl_check},
	{"push", "FILE", 1, 1, "admin", "make a table file the active generation", ctl_push},
	{"diff", "FILE", 1, 1, "viewer", "what a push of the file would change (exit 1: something)",
	 ctl_diff},
	{"rollback", "[GENERATION]", 0, 1, "admin",
	 "take an earlier generation again (default: the previous)", ctl_rollback},
	{"status", "", 0, 0, "viewer", "daemon, dataplane and generation on one page", ctl_status},
	{"show", "WHAT [SERVICE]", 1, 2, "viewer",
	 "listeners, services, endpoints, workers, ports, drops, generations or audit", ctl_show},
	{"stats", "", 0, 0, "viewer", "all counters", ctl_stats},
	{"drain", "SERVICE ENDPOINT", 2, 2, "operator", "no new flows; established ones go on",
	 ctl_drain},
	{"undrain", "SERVICE ENDPOINT", 2, 2, "operator", "end a drain", ctl_undrain},
	{"disable", "SERVICE ENDPOINT", 2, 2, "operator", "no new flows; established ones end",
	 ctl_disable},
	{"enable", "SERVICE ENDPOINT", 2, 2, "operator", "end a disable", ctl_enable},
	{"weight", "SERVICE ENDPOINT PERCENT", 3, 3, "operator",
	 "take only this share of the endpoint's new flows (0-100)", ctl_weight},
	{"explain", "tcp|udp SRC:PORT DST:PORT", 3, 3, "viewer",
	 "what the gateway would do with a packet, by its own code ([v6]:PORT)", ctl_explain},
	{"completion", "bash", 1, 1, "none",
	 "print a completion script: source <(sluicectl completion bash)", ctl_completion},
	{"help", "[VERB]", 0, 1, "none", "this text", ctl_help},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},  {"json", no_argument, NULL, 'j'},
	{"comment", required_argument, NULL, 'm'}, {"flags", required_argument, NULL, 'f'},
	{"port", required_argument, NULL, 'p'},    {"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},       {NULL, 0, NULL, 0},
};

static const char *const option_help[] = {
	"-s, --socket PATH    sluiced's socket (default $SLUICE_SOCKET, else " SL_API_SOCKET ")",
	"-j, --json           the answer as JSON",
	"-m, --comment TEXT   why, for the audit log (push, rollback, drain, …)",
	"    --flags FLAGS    explain: syn (default), ack, syn,ack, fin,ack or rst",
	"    --port NAME      explain: the port it comes in by (default: the first)",
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
	"\t\t-m | --comment | --flags | --port) ((i++)) ;;\n"
	"\t\t-*) ;;\n"
	"\t\t*) args+=(\"${COMP_WORDS[i]}\") ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tcase $prev in\n"
	"\t-s | --socket) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	"\t-m | --comment | --port) return ;;\n"
	"\t--flags) COMPREPLY=($(compgen -W 'syn ack syn,ack fin,ack rst' -- \"$cur\")); return "
	";;\n"
	"\tesac\n";
static const char completion_tail[] =
	"\tcase ${#args[@]}:${args[0]} in\n"
	"\t0:*) words=$verbs ;;\n"
	"\t1:check | 1:push | 1:diff) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	"\t1:show) words=$what ;;\n"
	"\t1:help) words=$verbs ;;\n"
	"\t1:completion) words=bash ;;\n"
	"\t1:explain) words='tcp udp' ;;\n"
	"\t1:rollback) words=$(_sluicectl_names generations) ;;\n"
	"\t1:drain | 1:undrain | 1:disable | 1:enable | 1:weight) words=$(_sluicectl_names "
	"services) ;;\n"
	"\t2:drain | 2:undrain | 2:disable | 2:enable | 2:weight)\n"
	"\t\twords=$(_sluicectl_names endpoints \"${args[1]}\") ;;\n"
	"\t2:show) [ \"${args[1]}\" = endpoints ] && words=$(_sluicectl_names services) ;;\n"
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

static int
parse_options(struct ctl *c, int argc, char **argv)
{
	int o;

	while ((o = getopt_long(argc, argv, "s:jm:h", options, NULL)) != -1) {
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
		default:
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
	return v->run(&c);
}
