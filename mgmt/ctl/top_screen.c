/* The screen, from above: title, totals, a line for what is wrong, panes, keys.
 *
 * Panes share the lines that are left: each gets a fourth, what one does not need goes to the chosen pane first; where there is too
 * little for four, the chosen one is shown alone.  Columns that do not fit are left out from the right.
 * curses sends only what changed, so that a screen may be drawn anew as often as one likes. */
#include <curses.h>
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#undef lines /* macros of term.h */
#undef columns

#include "mgmt/ctl/top.h"
#include "sluice/base.h"

static struct {
	bool open;
	SCREEN *screen;
	struct termios before;
	char leave[128]; /* what gives the screen back, for signal handlers */
	size_t leave_len;
	/* what the user chose */
	enum top_pane pane;
	bool alone, paused, help, typing;
	char filter[32];
	struct {
		unsigned sort;
		bool reverse;
		size_t top; /* first row shown */
	} of[TOP_PANES];
	size_t page; /* rows of the chosen pane that are shown */
} scr;

/* ---- taking and giving back ---- */

/* Ends the program by the signal, the terminal as it was.  Only what is allowed in a handler. */
static void
on_fatal(int sig)
{
	if (scr.open) {
		ssize_t n = write(STDOUT_FILENO, scr.leave, scr.leave_len);
		(void)n;
		tcsetattr(STDIN_FILENO, TCSANOW, &scr.before);
	}
	signal(sig, SIG_DFL);
	raise(sig);
}

static void
note_leave(const char *capability)
{
	const char *s = tigetstr((char *)(uintptr_t)capability);

	if (!s || s == (char *)-1)
		return;
	while (*s && scr.leave_len < sizeof(scr.leave)) {
		if (s[0] == '$' && s[1] == '<') /* a delay for terminals of old: "$<2>" */
			s += strcspn(s, ">") + (strchr(s, '>') != NULL);
		else
			scr.leave[scr.leave_len++] = *s++;
	}
}

const char *
top_screen_open(void)
{
	static const int fatal[] = {SIGINT,  SIGTERM, SIGHUP, SIGQUIT, SIGABRT,
				    SIGSEGV, SIGBUS,  SIGFPE, SIGILL,  SIGALRM};

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C");
	if (tcgetattr(STDIN_FILENO, &scr.before))
		return strerror(errno);
	/* before curses looks for handlers: it leaves ours alone */
	for (size_t i = 0; i < SL_ARRAY_CNT(fatal); i++)
		signal(fatal[i], on_fatal);
	set_escdelay(25);
	scr.screen = newterm(NULL, stdout, stdin);
	if (!scr.screen)
		return "the terminal's kind (TERM) is not known";
	note_leave("sgr0");
	note_leave("cnorm");
	note_leave("rmkx");
	note_leave("rmcup");
	scr.open = true;
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	for (unsigned p = 0; p < TOP_PANES; p++)
		scr.of[p].sort = top_panes[p].sort;
	scr.pane = TOP_ENDPOINTS;
	return NULL;
}

void
top_screen_close(void)
{
	if (!scr.open)
		return;
	endwin();
	scr.open = false;
	delscreen(scr.screen);
}

bool
top_screen_paused(void)
{
	return scr.paused;
}

/* ---- drawing ---- */

/* Text at (y, x), cut at the edge; the rest of the line stays. */
static void
put(int y, int x, const char *text)
{
	if (y >= 0 && y < LINES && x >= 0 && x < COLS)
		mvaddnstr(y, x, text, COLS - x);
}

static void
bar(int y, attr_t attr, const char *text)
{
	attrset(attr);
	mvhline(y, 0, ' ', COLS);
	put(y, 0, text);
	attrset(A_NORMAL);
}

static void
draw_head(const struct top_view *v)
{
	char line[256], age[32], a[TOP_TEXT_MAX], b[TOP_TEXT_MAX], d[TOP_TEXT_MAX], e[TOP_TEXT_MAX];
	const struct top_sample *s = v ? v->now : NULL;
	time_t now = time(NULL);
	struct tm tm;

	if (!s) {
		bar(0, A_REVERSE, "sluice");
		return;
	}
	localtime_r(&now, &tm);
	snprintf(line, sizeof(line),
		 "%s  gen %lld  up %s  dataplane %lld  sluiced %lld  %02d:%02d:%02d%s", s->gateway,
		 s->generation, top_age(s->uptime_s, age), s->dataplane_pid, s->daemon_pid,
		 tm.tm_hour, tm.tm_min, tm.tm_sec, scr.paused ? "  PAUSED" : "");
	bar(0, A_REVERSE, line);
	snprintf(line, sizeof(line), "flows %s of %s (%.1f %%)  ", top_short((double)s->flows, a),
		 top_short((double)s->capacity, b),
		 s->capacity ? 100.0 * (double)s->flows / (double)s->capacity : 0.0);
	size_t at = strlen(line);
	if (s->streams)
		at += (size_t)snprintf(line + at, sizeof(line) - at, "streams %s  ",
				       top_short((double)s->streams, a));
	if (v->rated)
		snprintf(line + at, sizeof(line) - at,
			 "new/s %s  drops/s %s%s%s%s  rx/s %s  tx/s %s", top_short(v->new_flows, a),
			 top_short(v->drops, e), v->drop[0] ? " (" : "", v->drop,
			 v->drop[0] ? ")" : "", top_short(v->rx, b), top_short(v->tx, d));
	else
		snprintf(line + at, sizeof(line) - at, "rates come with the next look");
	put(1, 0, line);
}

/* Widths of the pane's columns by what is in them; the number of columns that fit. */
static unsigned
fit(enum top_pane p, const struct top_row *const *rows, size_t n, int width[TOP_COLUMNS])
{
	char buf[TOP_TEXT_MAX];
	unsigned c;
	int x = 0;

	for (c = 0; top_panes[p].columns[c].title; c++) {
		width[c] = (int)strlen(top_panes[p].columns[c].title);
		for (size_t i = 0; i < n; i++) {
			int w = (int)strlen(top_cell(p, c, rows[i], true, buf));
			width[c] = SL_MAX(width[c], SL_MIN(w, 40));
		}
		if (top_panes[p].columns[c].kind != TOP_TEXT)
			width[c] = SL_MAX(width[c], 6);
		if (c > 0 && x + width[c] > COLS)
			break;
		x += width[c] + 2;
	}
	return c;
}

static void
draw_cells(enum top_pane p, int y, const struct top_row *r, unsigned cnt, const int *width)
{
	char buf[TOP_TEXT_MAX], cell[TOP_TEXT_MAX + 8];
	int x = 0;

	for (unsigned c = 0; c < cnt; c++) {
		const struct top_column *col = &top_panes[p].columns[c];
		const char *text = r ? top_cell(p, c, r, true, buf) : col->title;
		snprintf(cell, sizeof(cell), col->kind == TOP_TEXT ? "%-*.*s" : "%*.*s", width[c],
			 width[c], text);
		if (!r && c == scr.of[p].sort)
			attron(A_UNDERLINE);
		put(y, x, cell);
		if (!r)
			attroff(A_UNDERLINE);
		x += width[c] + 2;
	}
}

/* Rows of the pane that the filter leaves; the caller frees them. */
static const struct top_row **
chosen(const struct top_view *v, enum top_pane p, size_t *ret_cnt)
{
	const struct top_row **rows = calloc(v->pane[p].cnt + 1, sizeof(*rows));

	*ret_cnt = 0;
	for (size_t i = 0; rows && i < v->pane[p].cnt; i++)
		if (p == TOP_WORKERS || top_row_matches(&v->pane[p].row[i], scr.filter))
			rows[(*ret_cnt)++] = &v->pane[p].row[i];
	return rows;
}

static void
draw_pane(enum top_pane p, int y, int lines, const struct top_row *const *rows, size_t cnt)
{
	size_t page = (size_t)SL_MAX(lines - 1, 0);
	int width[TOP_COLUMNS];

	if (scr.of[p].top + page > cnt)
		scr.of[p].top = cnt > page ? cnt - page : 0;
	size_t from = scr.of[p].top, n = SL_MIN(cnt - from, page);
	unsigned columns_cnt = fit(p, rows + from, n, width);
	attr_t attr = p == scr.pane ? A_REVERSE | A_BOLD : A_BOLD;
	attrset(attr);
	mvhline(y, 0, ' ', COLS);
	draw_cells(p, y, NULL, columns_cnt, width);
	attrset(A_NORMAL);
	for (size_t i = 0; i < n; i++)
		draw_cells(p, y + 1 + (int)i, rows[from + i], columns_cnt, width);
	if (p == scr.pane)
		scr.page = page;
}

/* Lines for each pane, its title line included. */
static void
share(int lines, const size_t cnt[TOP_PANES], int ret_lines[TOP_PANES])
{
	int want[TOP_PANES], left = lines;

	memset(ret_lines, 0, TOP_PANES * sizeof(int));
	if (scr.alone || lines < 3 * TOP_PANES) {
		ret_lines[scr.pane] = lines;
		return;
	}
	for (unsigned p = 0; p < TOP_PANES; p++) {
		want[p] = (int)SL_MIN(cnt[p], 4096u) + 1;
		ret_lines[p] = SL_MIN(want[p], lines / TOP_PANES);
		left -= ret_lines[p];
	}
	for (unsigned i = 0; i <= TOP_PANES; i++) { /* the chosen one, then all */
		unsigned p = i == 0 ? scr.pane : i - 1;
		int more = SL_MIN(want[p] - ret_lines[p], left);
		ret_lines[p] += more;
		left -= more;
	}
}

static void
draw_panes(const struct top_view *v, int y, int lines)
{
	const struct top_row **rows[TOP_PANES];
	size_t cnt[TOP_PANES];
	int of[TOP_PANES];

	for (unsigned p = 0; p < TOP_PANES; p++) {
		top_view_sort((struct top_view *)(uintptr_t)v, p, scr.of[p].sort,
			      scr.of[p].reverse);
		rows[p] = chosen(v, p, &cnt[p]);
	}
	share(lines, cnt, of);
	for (unsigned p = 0; p < TOP_PANES; p++) {
		if (of[p] > 0 && rows[p])
			draw_pane(p, y, of[p], rows[p], cnt[p]);
		y += of[p];
		free(rows[p]);
	}
}

static void
draw_help(void)
{
	static const char *const text[] = {
		"q           end",
		"h ?         this page; any key leaves it",
		"Tab 1-4     choose a pane (also: left, right)",
		"z Enter     the chosen pane alone, or all",
		"up down     scroll it (also: PgUp PgDn Home End)",
		"s S         sort it by the next column, the one before",
		"r           the other way round",
		"/           filter by name, address or state; Esc: all",
		"Space       pause, and go on",
		"",
		"HEADROOM: the share of a worker's looks that found no",
		"work since the last sample. CYCLES/PKT: of its busy time.",
	};
	bar(0, A_REVERSE, "sluicectl top: keys");
	for (int i = 0; i < (int)SL_ARRAY_CNT(text) && i + 1 < LINES; i++)
		put(i + 1, 0, text[i]);
}

static void
draw_foot(int y)
{
	const struct top_column *c = &top_panes[scr.pane].columns[scr.of[scr.pane].sort];
	char line[160];

	if (scr.typing || scr.filter[0])
		snprintf(line, sizeof(line), "filter: %s%s  sort: %s%s", scr.filter,
			 scr.typing ? "_" : "", c->title,
			 scr.of[scr.pane].reverse ? " reversed" : "");
	else
		snprintf(line, sizeof(line),
			 "sort: %s%s  q quit  ? help  Tab pane  s sort  / filter  Space pause",
			 c->title, scr.of[scr.pane].reverse ? " reversed" : "");
	bar(y, A_DIM, line);
}

void
top_screen_draw(const struct top_view *v, const char *note)
{
	int y = 2, foot = LINES >= 8;

	erase();
	if (scr.help) {
		draw_help();
	} else {
		draw_head(v);
		if (note[0]) {
			attrset(A_BOLD);
			put(y++, 0, note);
			attrset(A_NORMAL);
		} else if (LINES >= 16) {
			y++;
		}
		if (v && LINES - y - foot > 0)
			draw_panes(v, y, LINES - y - foot);
		if (foot)
			draw_foot(LINES - 1);
	}
	refresh();
}

/* ---- keys ---- */

static void
sort_by(int step)
{
	unsigned cnt = 0;

	while (top_panes[scr.pane].columns[cnt].title)
		cnt++;
	scr.of[scr.pane].sort = (scr.of[scr.pane].sort + cnt + (unsigned)step) % cnt;
	scr.of[scr.pane].top = 0;
}

/* draw_pane sees to it that it does not pass the end. */
static void
scroll_by(long rows)
{
	size_t *top = &scr.of[scr.pane].top;

	*top = (size_t)SL_MAX((long)*top + rows, 0);
}

static void
typed(int key)
{
	size_t n = strlen(scr.filter);

	if (key == 27) {
		scr.filter[0] = 0;
		scr.typing = false;
	} else if (key == '\r' || key == '\n' || key == KEY_ENTER) {
		scr.typing = false;
	} else if (key == KEY_BACKSPACE || key == 127 || key == 8) {
		scr.filter[n ? n - 1 : 0] = 0;
	} else if (key >= 0x20 && key < 0x7f && n + 1 < sizeof(scr.filter)) {
		scr.filter[n] = (char)key;
		scr.filter[n + 1] = 0;
	}
}

static void
pressed(int key)
{
	switch (key) {
	case 'h':
	case '?':
		scr.help = true;
		break;
	case '\t':
	case KEY_RIGHT:
		scr.pane = (scr.pane + 1) % TOP_PANES;
		break;
	case KEY_BTAB:
	case KEY_LEFT:
		scr.pane = (scr.pane + TOP_PANES - 1) % TOP_PANES;
		break;
	case '1':
	case '2':
	case '3':
	case '4':
		scr.pane = (enum top_pane)(key - '1');
		break;
	case 'z':
	case '\r':
	case KEY_ENTER:
		scr.alone = !scr.alone;
		break;
	case 's':
		sort_by(1);
		break;
	case 'S':
		sort_by(-1);
		break;
	case 'r':
		scr.of[scr.pane].reverse = !scr.of[scr.pane].reverse;
		break;
	case '/':
		scr.typing = true;
		break;
	case 27:
		scr.filter[0] = 0;
		break;
	case ' ':
		scr.paused = !scr.paused;
		break;
	case KEY_UP:
		scroll_by(-1);
		break;
	case KEY_DOWN:
		scroll_by(1);
		break;
	case KEY_PPAGE:
		scroll_by(-(long)scr.page);
		break;
	case KEY_NPAGE:
		scroll_by((long)scr.page);
		break;
	case KEY_HOME:
		scr.of[scr.pane].top = 0;
		break;
	case KEY_END:
		scr.of[scr.pane].top = LONG_MAX / 2;
		break;
	default:
		break;
	}
}

enum top_wish
top_screen_keys(void)
{
	enum top_wish wish = TOP_NOTHING;
	int key;

	while ((key = getch()) != ERR) {
		wish = TOP_REDRAW;
		if (key == KEY_RESIZE)
			continue; /* curses has the new size */
		if (scr.help)
			scr.help = false;
		else if (scr.typing)
			typed(key);
		else if (key == 'q')
			return TOP_QUIT;
		else
			pressed(key);
	}
	return wish;
}
