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
	{"socket", required_argument, NULL, 's'},
	{"json", no_argument, NULL, 'j'},
	{"comment", required_argument, NULL, 'm'},
	{"flags", required_argument, NULL, 'f'},
	{"port", required_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char *const option_help[] = {
	"-s, --socket PATH    sluiced's socket (default $SLUICE_SOCKET, else " SL_API_SOCKET ")",
	"-j, --json           the answer as JSON",
	"-m, --comment TEXT   why, for the audit log (push, rollback, drain, …)",
	"    --flags FLAGS    explain: syn (default), ack, syn,ack, fin,ack or rst",
	"    --port NAME      explain: the port it comes in by (default: the first)",
	"-h, --help           this text",
};

static const struct ctl_verb *
find(const char *name)
{
	for (const struct ctl_verb *v = ctl_verbs; v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
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

	if (c->argc && !v) {
		fprintf(stderr, "sluicectl: no verb '%s' (sluicectl help lists them)\n",
			c->argv[0]);
		return CTL_USAGE;
	}
	if (!v) {
		print_help(stdout);
		return CTL_OK;
	}
	print_verb(stdout, v);
	if (strcmp(v->role, "none"))
		printf("  needs the role %s\n", v->role);
	return CTL_OK;
}

int
ctl_completion(struct ctl *c)
{
	if (strcmp(c->argv[0], "bash")) {
		fprintf(stderr, "sluicectl: completion is there for bash, not for '%s'\n",
			c->argv[0]);
		return CTL_USAGE;
	}
	printf("_sluicectl()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} verb= i\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase ${COMP_WORDS[i]} in\n\t\t-s | --socket | -m | --comment | --flags | "
	       "--port) ((i++)) ;;\n"
	       "\t\t-*) ;;\n\t\t*) verb=${COMP_WORDS[i]}; break ;;\n\t\tesac\n\tdone\n\tcase $verb "
	       "in\n");
	printf("\t\"\") COMPREPLY=($(compgen -W \"");
	for (const struct ctl_verb *v = ctl_verbs; v->name; v++)
		printf("%s ", v->name);
	for (const struct option *o = options; o->name; o++)
		printf("--%s ", o->name);
	printf("\" -- \"$cur\")) ;;\n"
	       "\tcheck | push | diff) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
	       "\tshow) COMPREPLY=($(compgen -W \"listeners services endpoints workers ports drops "
	       "generations audit\" -- \"$cur\")) ;;\n"
	       "\tdrain | undrain | disable | enable | weight)\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$(sluicectl --json show endpoints 2>/dev/null |\n"
	       "\t\t\tsed -n 's/.*\"\\(service\\|name\\)\": *\"\\([^\"]*\\)\".*/\\2/p')\" -- "
	       "\"$cur\")) ;;\n"
	       "\tesac\n}\ncomplete -F _sluicectl sluicectl\n");
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
			print_help(stdout);
			exit(CTL_OK);
		default:
			fprintf(stderr, "sluicectl: see sluicectl help\n");
			return CTL_USAGE;
		}
	}
	return CTL_OK;
}

int
main(int argc, char **argv)
{
	struct ctl c = {.socket = getenv("SLUICE_SOCKET")};

	if (!c.socket)
		c.socket = SL_API_SOCKET;
	if (parse_options(&c, argc, argv) != CTL_OK)
		return CTL_USAGE;
	if (optind == argc) {
		print_help(stderr);
		return CTL_USAGE;
	}
	const struct ctl_verb *v = find(argv[optind]);
	if (!v) {
		fprintf(stderr, "sluicectl: no verb '%s' (sluicectl help lists them)\n",
			argv[optind]);
		return CTL_USAGE;
	}
	c.argc = argc - optind - 1;
	c.argv = argv + optind + 1;
	if (c.argc < v->min || c.argc > v->max) {
		fprintf(stderr, "usage: sluicectl %s %s\n", v->name, v->args);
		return CTL_USAGE;
	}
	return v->run(&c);
}
