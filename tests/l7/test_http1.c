/* Requests: what is understood, what is refused and why; in pieces of every length; at the limits. */
#include "http1_bed.h"
#include "l7/http1_lines.h"

#define GET(lines) "GET / HTTP/1.1\r\nHost: a\r\n" lines "\r\n"
#define POST(lines) "POST /p HTTP/1.1\r\nHost: a\r\n" lines "\r\n"
#define LINE(line) line "\r\nHost: a\r\n\r\n"
#define TO(target) LINE("GET " target " HTTP/1.1")
#define HOST(host) "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n"

static const struct bed_row request_lines[] = {
	ROW("the least there is", GET(""), "GET / a 11 none keep"),
	ROW("a query", TO("/a/b?c=d&e"), "GET /a/b?c=d&e a 11 none keep"),
	ROW("an empty query is one", TO("/a?"), "GET /a? a 11 none keep"),
	ROW("a second question mark belongs to the query", TO("/a?b?c"),
	    "GET /a?b?c a 11 none keep"),
	ROW("every method of its own", LINE("HEAD / HTTP/1.1"), "HEAD / a 11 none keep"),
	ROW("methods are told apart by case", LINE("get / HTTP/1.1"), "get / a 11 none keep"),
	ROW("a method that nobody knows", LINE("M-SEARCH / HTTP/1.1"), "M-SEARCH / a 11 none keep"),
	ROW("32 bytes of method", LINE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1"),
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / a 11 none keep"),
	ROW("33 are too many", LINE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1"), "bad_method"),
	ROW("no method", LINE(" / HTTP/1.1"), "bad_method"),
	ROW("no byte of a method: TLS to a port of HTTP", "\x16\x03\x01\x02", "bad_method"),
	ROW("a method with a control", LINE("GE\x01T / HTTP/1.1"), "bad_method"),
	ROW("a method with a brace", LINE("GE{T / HTTP/1.1"), "bad_method"),
	ROW("a tab is no space", LINE("GET\t/ HTTP/1.1"), "bad_method"),
	ROW("nor is it before the version", LINE("GET /\tHTTP/1.1"), "bad_line"),
	ROW("two spaces before the target", LINE("GET  / HTTP/1.1"), "bad_target"),
	ROW("two spaces behind it", LINE("GET /  HTTP/1.1"), "bad_target"),
	ROW("a space within it", LINE("GET /a b HTTP/1.1"), "bad_target"),
	ROW("a space at the end of the line", LINE("GET / HTTP/1.1 "), "bad_line"),
	ROW("HTTP/0.9", LINE("GET /"), "bad_line"),
	ROW("no target", LINE("GET HTTP/1.1"), "bad_line"),
	ROW("an empty target", LINE("GET  HTTP/1.1"), "bad_target"),
	ROW("one word", LINE("GET"), "bad_line"),
	ROW("lower-case http", LINE("GET / http/1.1"), "bad_line"),
	ROW("another protocol", LINE("GET / ICY/1.1"), "bad_line"),
	ROW("no minor version", LINE("GET / HTTP/1"), "bad_line"),
	ROW("two digits of version", LINE("GET / HTTP/1.11"), "bad_line"),
	ROW("a letter for a version", LINE("GET / HTTP/1.x"), "bad_line"),
	ROW("HTTP/1.2", LINE("GET / HTTP/1.2"), "bad_version"),
	ROW("HTTP/2 spelt as 1", LINE("GET / HTTP/2.0"), "bad_version"),
	ROW("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad_version"),
	ROW("HTTP/0.9 with a version", LINE("GET / HTTP/0.9"), "bad_version"),
	ROW("NUL in the version", LINE("GET / HTTP/1.\0"), "bad_line"),
	ROW("an empty line before it", "\r\n" GET(""), "GET / a 11 none keep"),
	ROW("two", "\r\n\r\n" GET(""), "GET / a 11 none keep"),
	ROW("three are no request", "\r\n\r\n\r\n" GET(""), "bad_line"),
	ROW("a bare LF before it", "\n" GET(""), "bad_newline"),
	ROW("a bare CR before it", "\r" GET(""), "bad_method"),
	ROW("a bare LF behind it", "GET / HTTP/1.1\nHost: a\r\n\r\n", "bad_newline"),
	ROW("a bare CR behind it", "GET / HTTP/1.1\rHost: a\r\n\r\n", "bad_line"),
	ROW("a control and LF behind it", "GET / HTTP/1.1\x01\nHost: a\r\n\r\n", "bad_newline"),
	ROW("two LF behind it", "GET / HTTP/1.1\n\nHost: a\r\n\r\n", "bad_newline"),
	ROW("two CR behind it", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "bad_line"),
};

static const struct bed_row targets[] = {
	ROW("a fragment", TO("/a#b"), "bad_target"),
	ROW("a fragment in the query", TO("/a?b#c"), "bad_target"),
	ROW("a fragment alone", TO("#"), "bad_target"),
	ROW("no slash", TO("a"), "bad_target"),
	ROW("a host alone", TO("shop.example:80"), "bad_target"),
	ROW("a query alone", TO("?a"), "bad_target"),
	ROW("NUL", TO("/a\0b"), "bad_target"),
	ROW("a control", TO("/a\x1f"), "bad_target"),
	ROW("a tab", TO("/a\tb"), "bad_target"),
	ROW("DEL", TO("/a\x7f"), "bad_target"),
	ROW("a byte that is not ASCII", TO("/caf\xc3\xa9"), "bad_target"),
	ROW("one at the end of 32 bytes", TO("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x80"), "bad_target"),
	ROW("one behind 32 bytes", TO("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xff"), "bad_target"),
	ROW("what URIs do not hold but browsers send", TO("/a|b\"<>^`{}\\"),
	    "GET /a|b\"<>^`{}\\ a 11 none keep"),
	ROW("a long path and a query behind it",
	    TO("/0123456789/0123456789/0123456789/0123456789/0123456789?0123456789"),
	    "GET /0123456789/0123456789/0123456789/0123456789/0123456789?0123456789 a 11 none "
	    "keep"),
	ROW("a question mark in each of two blocks",
	    TO("/a?bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb?c"),
	    "GET /a?bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb?c a 11 none keep"),
	ROW("percent-codes are left to the path", TO("/%2f%zz"), "GET /%2f%zz a 11 none keep"),
	ROW("two slashes begin a path, no authority", TO("//b/c"), "GET //b/c a 11 none keep"),
	ROW("absolute: its authority wins", TO("http://b/c?d"), "GET /c?d b 11 none keep abs"),
	ROW("with a port", TO("http://b:81/c"), "GET /c b:81 (b) 11 none keep abs"),
	ROW("https", TO("https://b/"), "GET / b 11 none keep abs"),
	ROW("schemes have no case", TO("HttP://b/"), "GET / b 11 none keep abs"),
	ROW("absolute without a path", TO("http://b"), "GET / b 11 none keep abs"),
	ROW("without a path, with a query", TO("http://b?c"), "GET /?c b 11 none keep abs"),
	ROW("a question mark ends the authority", TO("http://b?@c/d"),
	    "GET /?@c/d b 11 none keep abs"),
	ROW("IPv6", TO("http://[2001:db8::1]:81/c"),
	    "GET /c [2001:db8::1]:81 ([2001:db8::1]) 11 none keep abs"),
	ROW("a user", TO("http://u@b/"), "bad_target"),
	ROW("a user and a password", TO("http://u:p@b/"), "bad_target"),
	ROW("no authority", TO("http:///c"), "bad_target"),
	ROW("nothing behind the scheme", TO("http://"), "bad_target"),
	ROW("one slash", TO("http:/b/c"), "bad_target"),
	ROW("a port that is none", TO("http://b:x/"), "bad_target"),
	ROW("a backslash in the authority", TO("http://b\\c/"), "bad_target"),
	ROW("another scheme", TO("ftp://b/c"), "bad_target"),
	ROW("a scheme that only begins like one", TO("httpx://b/c"), "bad_target"),
	ROW("absolute, but the Host is none", "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n",
	    "bad_host"),
	ROW("absolute, but no Host", "GET http://b/ HTTP/1.1\r\n\r\n", "bad_host"),
	ROW("absolute, and two Hosts", "GET http://b/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	    "bad_host"),
	ROW("the server as a whole", LINE("OPTIONS * HTTP/1.1"), "OPTIONS * a 11 none keep star"),
	ROW("the same, absolute", LINE("OPTIONS http://b HTTP/1.1"),
	    "OPTIONS / b 11 none keep abs star"),
	ROW("the same with a query is not", LINE("OPTIONS http://b?c HTTP/1.1"),
	    "OPTIONS /?c b 11 none keep abs"),
	ROW("with a slash it is a path", LINE("OPTIONS http://b/ HTTP/1.1"),
	    "OPTIONS / b 11 none keep abs"),
	ROW("* with another method", TO("*"), "bad_target"),
	ROW("* and more", LINE("OPTIONS *a HTTP/1.1"), "bad_target"),
	ROW("* and a query", LINE("OPTIONS *?a HTTP/1.1"), "bad_target"),
	ROW("CONNECT", LINE("CONNECT b:443 HTTP/1.1"), "CONNECT  b:443 (b) 11 none keep"),
	ROW("CONNECT to IPv6", LINE("CONNECT [::1]:443 HTTP/1.1"),
	    "CONNECT  [::1]:443 ([::1]) 11 none keep"),
	ROW("CONNECT without a port", LINE("CONNECT b HTTP/1.1"), "bad_target"),
	ROW("CONNECT to a path", LINE("CONNECT /b HTTP/1.1"), "bad_target"),
	ROW("CONNECT to a URI", LINE("CONNECT http://b:80/ HTTP/1.1"), "bad_target"),
	ROW("CONNECT with a user", LINE("CONNECT u@b:80 HTTP/1.1"), "bad_target"),
};

static const struct bed_row hosts[] = {
	ROW("a name", HOST("shop.example"), "GET / shop.example 11 none keep"),
	ROW("as sent", HOST("Shop.Example."), "GET / Shop.Example. 11 none keep"),
	ROW("with a port", HOST("shop.example:8080"),
	    "GET / shop.example:8080 (shop.example) 11 none keep"),
	ROW("an underscore", HOST("my_shop"), "GET / my_shop 11 none keep"),
	ROW("white space around it", HOST(" \t shop \t "), "GET / shop 11 none keep"),
	ROW("no space behind the colon", "GET / HTTP/1.1\r\nhOST:a\r\n\r\n",
	    "GET / a 11 none keep"),
	ROW("IPv4", HOST("192.0.2.1:80"), "GET / 192.0.2.1:80 (192.0.2.1) 11 none keep"),
	ROW("IPv6", HOST("[2001:db8::1]"), "GET / [2001:db8::1] 11 none keep"),
	ROW("IPv6 with a port", HOST("[::ffff:192.0.2.1]:80"),
	    "GET / [::ffff:192.0.2.1]:80 ([::ffff:192.0.2.1]) 11 none keep"),
	ROW("the highest port", HOST("a:65535"), "GET / a:65535 (a) 11 none keep"),
	ROW("one higher", HOST("a:65536"), "bad_host"),
	ROW("six digits", HOST("a:000080"), "bad_host"),
	ROW("no digit", HOST("a:"), "bad_host"),
	ROW("a port with a letter", HOST("a:8o"), "bad_host"),
	ROW("a sign in the port", HOST("a:+80"), "bad_host"),
	ROW("two ports", HOST("a:80:80"), "bad_host"),
	ROW("a port alone", HOST(":80"), "bad_host"),
	ROW("empty", HOST(""), "bad_host"),
	ROW("missing", "GET / HTTP/1.1\r\n\r\n", "bad_host"),
	ROW("twice", GET("Host: b\r\n"), "bad_host"),
	ROW("twice the same", GET("HOST: a\r\n"), "bad_host"),
	ROW("two names in a line", HOST("a, b"), "bad_host"),
	ROW("a comma", HOST("a,b"), "bad_host"),
	ROW("a space within", HOST("a b"), "bad_host"),
	ROW("a path", HOST("a/b"), "bad_host"),
	ROW("a path that would be a port", HOST("a/80"), "bad_host"),
	ROW("a query", HOST("a?b"), "bad_host"),
	ROW("a fragment", HOST("a#b"), "bad_host"),
	ROW("a user", HOST("u@a"), "bad_host"),
	ROW("a backslash", HOST("a\\b"), "bad_host"),
	ROW("a percent-code", HOST("a%2eb"), "bad_host"),
	ROW("bytes that are not ASCII", HOST("\xc3\xa9"), "bad_host"),
	ROW("IPv6 without brackets", HOST("2001:db8::1"), "bad_host"),
	ROW("IPv6 without its end", HOST("[::1"), "bad_host"),
	ROW("brackets around nothing", HOST("[]"), "bad_host"),
	ROW("brackets around a name", HOST("[a]"), "bad_host"),
	ROW("brackets around IPv4", HOST("[192.0.2.1]"), "bad_host"),
	ROW("a zone", HOST("[fe80::1%eth0]"), "bad_host"),
	ROW("more behind the bracket", HOST("[::1]a"), "bad_host"),
	ROW("HTTP/1.0 needs none", "GET / HTTP/1.0\r\n\r\n", "GET /  10 none"),
	ROW("HTTP/1.0 may have one", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / a 10 none"),
	ROW("but not two", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "bad_host"),
	ROW("nor an empty one", "GET / HTTP/1.0\r\nHost:\r\n\r\n", "bad_host"),
};

static const struct bed_row headers[] = {
	ROW("an empty value", GET("A:\r\n"), "GET / a 11 none keep"),
	ROW("only white space", GET("A: \t \r\n"), "GET / a 11 none keep"),
	ROW("every tchar", GET("!#$%&'*+-.^_`|~09azAZ: b\r\n"), "GET / a 11 none keep"),
	ROW("a name of 31 bytes", GET("abcdefghijklmnopqrstuvwxyz01234: b\r\n"),
	    "GET / a 11 none keep"),
	ROW("a name of 32 bytes", GET("abcdefghijklmnopqrstuvwxyz012345: b\r\n"),
	    "GET / a 11 none keep"),
	ROW("a name of 70 bytes",
	    GET("abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz01234567: b\r\n"),
	    "GET / a 11 none keep"),
	ROW("colons in the value", GET("A: b:c: d\r\n"), "GET / a 11 none keep"),
	ROW("a tab in the value", GET("A: b\tc\r\n"), "GET / a 11 none keep"),
	ROW("obs-text in the value", GET("A: caf\xc3\xa9 \xff\r\n"), "GET / a 11 none keep"),
	ROW("an empty name", GET(": b\r\n"), "bad_name"),
	ROW("no colon", GET("A b\r\n"), "bad_name"),
	ROW("a name alone", GET("A\r\n"), "bad_name"),
	ROW("a space before the colon", GET("A : b\r\n"), "bad_name"),
	ROW("a tab before the colon", GET("A\t: b\r\n"), "bad_name"),
	ROW("a space within the name", GET("A B: c\r\n"), "bad_name"),
	ROW("a space before the name", GET(" A: b\r\n"), "bad_fold"),
	ROW("a tab before the name", GET("\tA: b\r\n"), "bad_fold"),
	ROW("a line that goes on", GET("A: b\r\n c\r\n"), "bad_fold"),
	ROW("a line of white space", GET("A: b\r\n \r\n"), "bad_fold"),
	ROW("white space before the first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "bad_fold"),
	ROW("a quote in the name", GET("\"A\": b\r\n"), "bad_name"),
	ROW("a slash in the name", GET("A/B: c\r\n"), "bad_name"),
	ROW("an at sign, one bit from a backquote", GET("@: c\r\n"), "bad_name"),
	ROW("a bracket in the name", GET("A[0]: c\r\n"), "bad_name"),
	ROW("obs-text in the name", GET("\xc3\xa9: c\r\n"), "bad_name"),
	ROW("a byte from 0x80 on that would be a letter", GET("\xe1: c\r\n"), "bad_name"),
	ROW("NUL in the name", GET("A\0: b\r\n"), "bad_name"),
	ROW("a bad byte behind 32 of a name", GET("abcdefghijklmnopqrstuvwxyz0123456789(: b\r\n"),
	    "bad_name"),
	ROW("NUL in the value", GET("A: b\0c\r\n"), "bad_value"),
	ROW("a control in the value", GET("A: \x0b\r\n"), "bad_value"),
	ROW("DEL in the value", GET("A: \x7f\r\n"), "bad_value"),
	ROW("ESC in a long value",
	    GET("A: 0123456789012345678901234567890123456789012345678901234567\x1b\r\n"),
	    "bad_value"),
	ROW("a bare CR in the value", GET("A: b\rc\r\n"), "bad_value"),
	ROW("a CR before CR LF", GET("A: b\r\r\n"), "bad_value"),
	ROW("a line that a bare CR begins", GET("A: b\r\n\rB: c\r\n"), "bad_name"),
	ROW("a bare LF", GET("A: b\nB: c\r\n"), "bad_newline"),
	ROW("a control and LF", GET("A: b\x01\nB: c\r\n"), "bad_newline"),
	ROW("a control and LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\t\n", "bad_newline"),
	ROW("CR LF CR and no LF", GET("A: b\r\n\rB: c\r\n"), "bad_name"),
	ROW("a control alone, and two CR before an LF, so that counts agree",
	    GET("A: \x01\r\nB: c\r\r\n"), "bad_value"),
	ROW("the other way round", GET("B: c\r\r\nA: \x01\r\n"), "bad_value"),
	ROW("a bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", "bad_newline"),
	ROW("LF CR", "GET / HTTP/1.1\r\nHost: a\n\r\n\r\n", "bad_newline"),
	ROW("bare LFs all over", "GET / HTTP/1.1\nHost: a\n\n", "bad_newline"),
	ROW("the first line that is wrong says why", GET("A : b\r\nB: \x01\r\n"), "bad_name"),
	ROW("and what lines say together comes behind them", GET("Host: b\r\nA : b\r\n"),
	    "bad_name"),
	ROW("what is not a whole line is not judged", "GET / HTTP/1.1\r\nHost: a\r\nA b",
	    "partial"),
	ROW("nothing", "", "partial"),
	ROW("an empty line alone", "\r\n", "partial"),
	ROW("half a line end", "GET / HTTP/1.1\r", "partial"),
	ROW("all but the last byte", "GET / HTTP/1.1\r\nHost: a\r\n\r", "partial"),
	ROW("what follows the head is not looked at",
	    GET("") "\n\0\x01 : ", "GET / a 11 none keep"),
};

static const struct bed_row framings[] = {
	ROW("a length", POST("Content-Length: 5\r\n"), "POST /p a 11 length=5 keep"),
	ROW("in any case", POST("cONTENT-lENGTH:5\r\n"), "POST /p a 11 length=5 keep"),
	ROW("none", POST("Content-Length: 0\r\n"), "POST /p a 11 length=0 keep"),
	ROW("zeros before it", POST("Content-Length: 007\r\n"), "POST /p a 11 length=7 keep"),
	ROW("the largest", POST("Content-Length: 9223372036854775807\r\n"),
	    "POST /p a 11 length=9223372036854775807 keep"),
	ROW("one more has a sign elsewhere", POST("Content-Length: 9223372036854775808\r\n"),
	    "bad_length"),
	ROW("2^64 - 1", POST("Content-Length: 18446744073709551615\r\n"), "bad_length"),
	ROW("2^64 + 5", POST("Content-Length: 18446744073709551621\r\n"), "bad_length"),
	ROW("twenty zeros", POST("Content-Length: 00000000000000000000\r\n"), "bad_length"),
	ROW("empty (CVE-2023-40225)", POST("Content-Length:\r\n"), "bad_length"),
	ROW("empty beside one", POST("Content-Length: 5\r\nContent-Length:\r\n"), "bad_length"),
	ROW("twice", POST("Content-Length: 5\r\nContent-Length: 6\r\n"), "bad_length"),
	ROW("twice the same", POST("Content-Length: 5\r\nContent-Length: 5\r\n"), "bad_length"),
	ROW("twice in a line", POST("Content-Length: 5, 5\r\n"), "bad_length"),
	ROW("a comma behind it", POST("Content-Length: 5,\r\n"), "bad_length"),
	ROW("a plus", POST("Content-Length: +5\r\n"), "bad_length"),
	ROW("a minus", POST("Content-Length: -5\r\n"), "bad_length"),
	ROW("hexadecimal", POST("Content-Length: 0x5\r\n"), "bad_length"),
	ROW("a fraction", POST("Content-Length: 5.0\r\n"), "bad_length"),
	ROW("a space within", POST("Content-Length: 5 6\r\n"), "bad_length"),
	ROW("a quote", POST("Content-Length: \"5\"\r\n"), "bad_length"),
	ROW("digits of another script", POST("Content-Length: \xd9\xa5\r\n"), "bad_length"),
	ROW("a space before its colon", POST("Content-Length : 5\r\n"), "bad_name"),
	ROW("an underscore, which CGI takes for a hyphen", POST("Content_Length: 5\r\n"),
	    "bad_alias"),
	ROW("with long lines behind it",
	    POST("Content_Length: 5\r\nX-A: 0123456789012345678901234567890123456789\r\n"),
	    "bad_alias"),
	ROW("beside a coding", POST("Transfer-Encoding: chunked\r\ncontent_length: 5\r\n"),
	    "bad_alias"),
	ROW("a coding with an underscore", POST("TRANSFER_ENCODING: chunked\r\n"), "bad_alias"),
	ROW("who the client is said to be", POST("X_Forwarded-For: 192.0.2.1\r\n"), "bad_alias"),
	ROW("by its certificate", POST("X-Forwarded_Client-Cert: URI=a\r\n"), "bad_alias"),
	ROW("a name that begins with a colon, as the identity's does", POST(":identity: a\r\n"),
	    "bad_name"),
	ROW("a colon alone", POST(": a\r\n"), "bad_name"),
	ROW("an underscore in other names", POST("X_Forwarded_Foo: a\r\nUser_Agent: b\r\n_: c\r\n"),
	    "POST /p a 11 none keep"),
	ROW("in a name of 40 bytes", POST("abcdefghijklmnopqrstuvwxyz_0123456789abcd: a\r\n"),
	    "POST /p a 11 none keep"),
	ROW("a name that begins alike", POST("Content-LengthX: 5\r\n"), "POST /p a 11 none keep"),
	ROW("a name of the same ends", POST("Content-Xength: 5\r\n"), "POST /p a 11 none keep"),
	ROW("chunked", POST("Transfer-Encoding: chunked\r\n"), "POST /p a 11 chunked keep"),
	ROW("in any case", POST("transfer-encoding:Chunked \r\n"), "POST /p a 11 chunked keep"),
	ROW("a ninth byte that differs makes another name", POST("Transferxencoding: chunked\r\n"),
	    "POST /p a 11 none keep"),
	ROW("CL.TE", POST("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"), "bad_framing"),
	ROW("TE.CL", POST("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n"), "bad_framing"),
	ROW("TE.CL of 0", POST("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
	    "bad_framing"),
	ROW("TE.TE", POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
	    "bad_coding"),
	ROW("TE.TE, one obscured", POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n"),
	    "bad_coding"),
	ROW("identity", POST("Transfer-Encoding: identity\r\n"), "bad_coding"),
	ROW("identity beside a length",
	    POST("Transfer-Encoding: identity\r\nContent-Length: 5\r\n"), "bad_framing"),
	ROW("chunked twice", POST("Transfer-Encoding: chunked, chunked\r\n"), "bad_coding"),
	ROW("chunked not last", POST("Transfer-Encoding: chunked, gzip\r\n"), "bad_coding"),
	ROW("another coding below", POST("Transfer-Encoding: gzip, chunked\r\n"), "bad_coding"),
	ROW("a comma before it", POST("Transfer-Encoding: ,chunked\r\n"), "bad_coding"),
	ROW("a parameter", POST("Transfer-Encoding: chunked;q=1\r\n"), "bad_coding"),
	ROW("quoted", POST("Transfer-Encoding: \"chunked\"\r\n"), "bad_coding"),
	ROW("a word that ends alike", POST("Transfer-Encoding: xchunked\r\n"), "bad_coding"),
	ROW("a word that begins alike", POST("Transfer-Encoding: chunkedx\r\n"), "bad_coding"),
	ROW("vertical tab before it",
	    POST("Transfer-Encoding: \x0b"
		 "chunked\r\n"),
	    "bad_value"),
	ROW("a space before its colon", POST("Transfer-Encoding : chunked\r\n"), "bad_name"),
	ROW("on a line of its own", POST("Transfer-Encoding:\r\n chunked\r\n"), "bad_fold"),
	ROW("behind a bare LF", POST("X: y\nTransfer-Encoding: chunked\r\n"), "bad_newline"),
	ROW("behind a bare CR", POST("X: y\rTransfer-Encoding: chunked\r\n"), "bad_value"),
	ROW("empty", POST("Transfer-Encoding:\r\n"), "bad_coding"),
	ROW("in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_coding"),
	ROW("a length in HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
	    "POST /  10 length=5"),
	ROW("a length of GET", GET("Content-Length: 5\r\n"), "GET / a 11 length=5 keep"),
};

static const struct bed_row connections[] = {
	ROW("close", GET("Connection: close\r\n"), "GET / a 11 none"),
	ROW("in any case", GET("Connection: CLOSE\r\n"), "GET / a 11 none"),
	ROW("keep-alive says nothing new", GET("Connection: keep-alive\r\n"),
	    "GET / a 11 none keep"),
	ROW("close wins", GET("Connection: keep-alive, close\r\n"), "GET / a 11 none"),
	ROW("in another line too", GET("Connection: keep-alive\r\nConnection: close\r\n"),
	    "GET / a 11 none"),
	ROW("a list with holes", GET("Connection: , ,close ,\r\n"), "GET / a 11 none"),
	ROW("a word that begins alike", GET("Connection: closed\r\n"), "GET / a 11 none keep"),
	ROW("empty", GET("Connection:\r\n"), "GET / a 11 none keep"),
	ROW("HTTP/1.0 stays by request", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
	    "GET /  10 none keep"),
	ROW("Proxy-Connection says nothing",
	    "GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n", "GET /  10 none"),
	ROW("a field that the endpoint goes by", GET("Connection: close, X-Forwarded-For\r\n"),
	    "bad_connection"),
	ROW("Host", GET("Connection: host\r\n"), "bad_connection"),
	ROW("the client's certificate", GET("Connection: X-Forwarded-Client-Cert\r\n"),
	    "bad_connection"),
	ROW("Content-Length", POST("Content-Length: 5\r\nConnection: Content-Length\r\n"),
	    "bad_connection"),
	ROW("Authorization", GET("Connection: authorization\r\n"), "bad_connection"),
	ROW("Cookie", GET("Connection: Cookie\r\n"), "bad_connection"),
	ROW("Cache-Control, the example of RFC 9110", GET("Connection: cache-control\r\n"),
	    "bad_connection"),
	ROW("Transfer-Encoding is hop-by-hop as it is",
	    POST("Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n"),
	    "POST /p a 11 chunked keep"),
	ROW("no token", GET("Connection: a b\r\n"), "bad_connection"),
	ROW("a parameter", GET("Connection: close;x\r\n"), "bad_connection"),
	ROW("64 elements",
	    GET("Connection: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
		"a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\r\n"),
	    "GET / a 11 none keep"),
	ROW("65 elements",
	    GET("Connection: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
		"a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\r\nConnection: "
		"a\r\n"),
	    "bad_connection"),
	ROW("an upgrade", GET("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
	    "GET / a 11 none keep upgrade"),
	ROW("not asked of this hop", GET("Upgrade: websocket\r\n"), "GET / a 11 none keep"),
	ROW("to nothing", GET("Connection: upgrade\r\n"), "GET / a 11 none keep"),
	ROW("to an empty name", GET("Connection: upgrade\r\nUpgrade:\r\n"), "GET / a 11 none keep"),
	ROW("to HTTP/2, behind which nobody would match",
	    GET("Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"),
	    "GET / a 11 none keep"),
	ROW("to HTTP/2 among others",
	    GET("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: x, H2C\r\n"),
	    "GET / a 11 none keep"),
	ROW("in HTTP/1.0", "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
	    "GET /  10 none"),
	ROW("Expect", POST("Content-Length: 5\r\nExpect: 100-Continue\r\n"),
	    "POST /p a 11 length=5 keep continue"),
	ROW("Expect of something else", POST("Content-Length: 5\r\nExpect: 200-ok\r\n"),
	    "POST /p a 11 length=5 keep"),
	ROW("Expect in HTTP/1.0",
	    "POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
	    "POST /  10 length=5"),
	ROW("TE", GET("TE: trailers\r\nConnection: TE\r\n"), "GET / a 11 none keep trailers"),
	ROW("TE among others", GET("TE: gzip;q=0.5, Trailers\r\nConnection: TE\r\n"),
	    "GET / a 11 none keep trailers"),
	ROW("TE of something else", GET("TE: gzip\r\nConnection: TE\r\n"), "GET / a 11 none keep"),
};

static void
request_lines_are_read_or_refused(void)
{
	bed_rows(BED_REQUEST, request_lines, SL_ARRAY_CNT(request_lines));
}

static void
targets_are_read_or_refused(void)
{
	bed_rows(BED_REQUEST, targets, SL_ARRAY_CNT(targets));
}

static void
hosts_are_read_or_refused(void)
{
	bed_rows(BED_REQUEST, hosts, SL_ARRAY_CNT(hosts));
}

static void
headers_are_read_or_refused(void)
{
	bed_rows(BED_REQUEST, headers, SL_ARRAY_CNT(headers));
}

static void
framing_is_one_thing_or_refused(void)
{
	bed_rows(BED_REQUEST, framings, SL_ARRAY_CNT(framings));
}

static void
connection_says_what_stays(void)
{
	bed_rows(BED_REQUEST, connections, SL_ARRAY_CNT(connections));
}

static struct bed_answer
request(const char *text)
{
	return bed_parse(BED_REQUEST, 0, (const uint8_t *)text, strlen(text), 0, &bed_wide);
}

static void
lines_of_this_hop_are_marked(void)
{
	static const struct {
		const char *reason, *lines, *want;
	} rows[] = {
		{"values without white space around", "A: b \t\r\nB:\t c  d\r\nC:\r\n",
		 "A=b;B=c  d;C=;"},
		{"spaces only", "D:   x  y  \r\nE:  \r\n", "D=x  y;E=;"},
		{"a name as long as a vector, and longer ones",
		 "access-control-allow-credentials: "
		 "true\r\naccess-control-allow-credentials-x:y\r\n",
		 "access-control-allow-credentials=true;access-control-allow-credentials-x=y;"},
		{"hop-by-hop as they are",
		 "Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: "
		 "x\r\n",
		 "-Keep-Alive=5;-Proxy-Connection=x;-TE=trailers;-Trailer=x;-Upgrade=x;"},
		{"named by Connection, before it and behind it, in any case, all of them",
		 "x-a: 1\r\nConnection: X-A, x-b\r\nX-B: 2\r\nx-a: 3\r\nx-ab: 4\r\n",
		 "-x-a=1;-Connection=X-A, x-b;-X-B=2;-x-a=3;x-ab=4;"},
		{"named in the second Connection",
		 "Connection: close\r\nX-A: 1\r\nConnection: x-a\r\n",
		 "-Connection=close;-X-A=1;-Connection=x-a;"},
		{"names of the same hash and length are told apart",
		 "access-control-allow-headers: 1\r\nConnection: access-control-allow-methods\r\n",
		 "access-control-allow-headers=1;-Connection=access-control-allow-methods;"},
		{"a proxy's credentials go on, unless named",
		 "Proxy-Authorization: x\r\nProxy-Authenticate: y\r\n",
		 "Proxy-Authorization=x;Proxy-Authenticate=y;"},
		{"and when named do not",
		 "Proxy-Authorization: x\r\nConnection: proxy-authorization\r\n",
		 "-Proxy-Authorization=x;-Connection=proxy-authorization;"},
		{"framing of this hop", "Transfer-Encoding: chunked\r\n",
		 "-Transfer-Encoding=chunked;"},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		char text[512];
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].lines);
		struct bed_answer a = request(text);
		CU_ASSERT_FATAL(a.r > 0);
		const char *got = bed_say_lines(&a.head) + strlen("Host=a;");
		CU_ASSERT_STRING_EQUAL(got, rows[i].want);
		if (strcmp(got, rows[i].want) != 0)
			printf("\n  %s: %s\n", rows[i].reason, got);
	}
}

static void
known_headers_are_known_in_any_case_and_no_others(void)
{
	static const char *const names[] = {"",
#define X(ID, name) name,
					    SL_HTTP_KNOWN(X)
#undef X
	};
	for (unsigned id = 1; id < SL_HTTP_KNOWN_CNT; id++) {
		size_t n = strlen(names[id]);
		for (unsigned flip = 0; flip < 1u << SL_MIN(n, (size_t)6); flip++) {
			uint8_t *name = guard_buf(n);
			memcpy(name, names[id], n);
			for (unsigned i = 0; i < 6 && i < n; i++)
				if (flip >> i & 1 && name[i] >= 'a')
					name[i] ^= 0x20;
			CU_ASSERT_EQUAL(sl_http_known(name, n), id);
			CU_ASSERT_EQUAL(sl_http_name_hash(name, n),
					sl_http_name_hash((const uint8_t *)names[id], n));
			guard_free(name, n);
		}
		/* Each byte, one bit away: nobody else's name. */
		for (size_t i = 0; i < n; i++) {
			for (unsigned bit = 0; bit < 8; bit++) {
				uint8_t name[32];
				memcpy(name, names[id], n);
				name[i] ^= (uint8_t)(1u << bit);
				bool folds = bit == 5 && names[id][i] >= 'a';
				CU_ASSERT_EQUAL(sl_http_known(name, n), folds ? id : 0u);
			}
		}
		CU_ASSERT_EQUAL(sl_http_known((const uint8_t *)names[id], n - 1), 0);
	}
	CU_ASSERT_EQUAL(sl_http_known((const uint8_t *)"", 0), 0);
}

static void
edits_may_not_touch_framing_and_hops(void)
{
	static const struct {
		const char *name;
		bool reserved;
	} rows[] = {
		{"host", true},
		{"Content-Length", true},
		{"transfer-encoding", true},
		{"Connection", true},
		{"keep-alive", true},
		{"proxy-connection", true},
		{"te", true},
		{"trailer", true},
		{"upgrade", true},
		{"cookie", false},
		{"x-forwarded-for", false},
		{"expect", false},
		{"x-a", false},
		{"", false},
	};
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++)
		CU_ASSERT_EQUAL(
			sl_http_reserved((const uint8_t *)rows[i].name, strlen(rows[i].name)),
			rows[i].reserved);
}

static void
find_goes_through_lines_of_a_name(void)
{
	struct bed_answer a = request(
		GET("X-A: 1\r\nCookie: b\r\nx-a: 2\r\naccess-control-allow-headers: 3\r\n"));
	const uint8_t *name = (const uint8_t *)"X-a";
	uint16_t hash = sl_http_name_hash(name, 3);

	CU_ASSERT_FATAL(a.r > 0);
	CU_ASSERT_EQUAL(sl_http_find(&a.head, name, 3, hash, 0), 1);
	CU_ASSERT_EQUAL(sl_http_find(&a.head, name, 3, hash, 2), 3);
	CU_ASSERT_EQUAL(sl_http_find(&a.head, name, 3, hash, 4), a.head.line_cnt);
	name = (const uint8_t *)"access-control-allow-methods";
	CU_ASSERT_EQUAL(sl_http_find(&a.head, name, 28, sl_http_name_hash(name, 28), 0),
			a.head.line_cnt);
	CU_ASSERT_EQUAL(a.head.first[SL_HTTP_HOST], 0);
	CU_ASSERT_EQUAL(a.head.first[SL_HTTP_COOKIE], 2);
	CU_ASSERT_EQUAL(a.head.first[SL_HTTP_UPGRADE], UINT8_MAX);
}

static void
the_first_question_mark_begins_the_query(void)
{
	struct bed_answer a = request(
		TO("/a?bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb?cccccccccccccccccccccc?d"));

	CU_ASSERT_FATAL(a.r > 0);
	CU_ASSERT_EQUAL(a.head.path_len, 2);
	CU_ASSERT_EQUAL(a.head.query, a.head.path + 3);
}

/* ---- limits ---- */

static void
a_host_has_up_to_255_bytes(void)
{
	for (unsigned n = 255; n <= 256; n++) {
		char text[512] = "GET / HTTP/1.1\r\nHost: ";
		memset(text + strlen(text), 'a', n);
		strcat(text, ":80\r\n\r\n");
		struct bed_answer a = request(text);
		CU_ASSERT_EQUAL(a.r, n == 255 ? (int)strlen(text) : SL_BAD);
		CU_ASSERT_EQUAL(a.why, n == 255 ? SL_HTTP_BAD_NONE : SL_HTTP_BAD_HOST);
	}
}

/* "GET /aaa… HTTP/1.1" so that the head has n bytes. */
static uint8_t *
long_head(size_t n)
{
	static const char end[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
	uint8_t *bytes = malloc(n);

	memset(bytes, 'a', n);
	memcpy(bytes, "GET /", 5);
	memcpy(bytes + n - sizeof(end) + 1, end, sizeof(end) - 1);
	return bytes;
}

static void
a_head_has_as_many_bytes_as_the_limit_and_not_one_more(void)
{
	static const uint32_t max[] = {1024, 1025, 4096, SL_HTTP_HEAD_MAX};

	for (size_t i = 0; i < SL_ARRAY_CNT(max); i++) {
		struct sl_http_limits limits = {max[i], 100};
		for (unsigned more = 0; more < 2; more++) {
			size_t n = max[i] + more;
			uint8_t *bytes = long_head(n);
			struct bed_answer a = bed_parse(BED_REQUEST, 0, bytes, n, 0, &limits);
			CU_ASSERT_EQUAL(a.r, more ? SL_BAD : (int)n);
			CU_ASSERT_EQUAL(a.why, more ? SL_HTTP_BAD_TOO_LONG : SL_HTTP_BAD_NONE);
			CU_ASSERT_PTR_NULL(bed_pieces(BED_REQUEST, 0, bytes, n, &limits,
						      max[i] > 2000 ? 211 : 1));
			a = bed_parse(BED_REQUEST, 0, bytes, max[i] - 1, 0, &limits);
			CU_ASSERT_EQUAL(a.r, SL_PARTIAL);
			free(bytes);
		}
	}
}

static void
empty_lines_before_a_head_count_for_the_limit(void)
{
	struct sl_http_limits limits = {1024, 100};
	uint8_t bytes[1028] = "\r\n\r\n", *head = long_head(1020);

	memcpy(bytes + 4, head, 1020);
	CU_ASSERT_EQUAL(bed_parse(BED_REQUEST, 0, bytes, 1024, 0, &limits).r, 1024);
	free(head);
	head = long_head(1021);
	memcpy(bytes + 4, head, 1021);
	CU_ASSERT_EQUAL(bed_parse(BED_REQUEST, 0, bytes, 1025, 0, &limits).why,
			SL_HTTP_BAD_TOO_LONG);
	free(head);
}

static void
what_is_wrong_before_the_limit_is_said_first(void)
{
	struct sl_http_limits limits = {1024, 100};
	uint8_t bytes[2048];

	memset(bytes, 'a', sizeof(bytes));
	memcpy(bytes, "GET / HTTP/1.1\r\nHost : a\r\n", 26);
	CU_ASSERT_EQUAL(bed_parse(BED_REQUEST, 0, bytes, 2048, 0, &limits).why, SL_HTTP_BAD_NAME);
	memcpy(bytes, "GET / HTTP/1.1\r\nHost: a\r\nA: ", 28);
	memcpy(bytes + 1022, "\r\n\r\n", 4);
	struct bed_answer a = bed_parse(BED_REQUEST, 0, bytes, 2048, 0, &limits);
	CU_ASSERT_EQUAL(a.why, SL_HTTP_BAD_TOO_LONG);
	CU_ASSERT_PTR_NULL(bed_pieces(BED_REQUEST, 0, bytes, 2048, &limits, 1));
}

static void
a_head_has_as_many_lines_as_the_limit_and_not_one_more(void)
{
	static const uint32_t max[] = {1, 2, 50, SL_HTTP_HEADERS_MAX};

	for (size_t i = 0; i < SL_ARRAY_CNT(max); i++) {
		for (unsigned more = 0; more < 2; more++) {
			struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, max[i]};
			char text[2048] = "GET / HTTP/1.1\r\nHost: a\r\n";
			for (unsigned k = 1; k < max[i] + more; k++)
				strcat(text, "A-b: c\r\n");
			strcat(text, "\r\n");
			struct bed_answer a = bed_parse(BED_REQUEST, 0, (uint8_t *)text,
							strlen(text), 0, &limits);
			CU_ASSERT_EQUAL(a.r, more ? SL_BAD : (int)strlen(text));
			CU_ASSERT_EQUAL(a.why, more ? SL_HTTP_BAD_TOO_MANY : SL_HTTP_BAD_NONE);
			CU_ASSERT(more || a.head.line_cnt == max[i]);
			CU_ASSERT_PTR_NULL(bed_pieces(BED_REQUEST, 0, (uint8_t *)text, strlen(text),
						      &limits, 1));
		}
	}
}

/* ---- heads that are whole and right ---- */

/* Heads of all lengths, bytes of all kinds behind them: none is left to the slower reader. */
static void
a_head_that_is_right_is_read_at_once(void)
{
	for (unsigned more = 0; more < 70; more += 23) {
		for (unsigned pad = 0; pad < 200; pad++) {
			char text[1024];
			int n = snprintf(
				text, sizeof(text),
				"GET /%0*d HTTP/1.1\r\nHost: a\r\nCookie: b\r\nA:\r\n"
				"access-control-allow-private-network: true\r\nCookie:c\r\n\r\n",
				pad, 0);
			uint8_t *page = guard_buf((size_t)n + more);
			struct sl_http_lines ls = {.max = SL_HTTP_HEADERS_MAX};
			struct sl_http_head h = {.bytes = page};
			uint32_t start = 0;
			memset(page, '\r', (size_t)n + more);
			memcpy(page, text, (size_t)n);
			CU_ASSERT_EQUAL(
				sl_http_lines_whole(&ls, page, (uint32_t)n + more, &h, &start), n);
			CU_ASSERT_EQUAL(start, strchr(text, '\r') - text);
			CU_ASSERT_EQUAL(h.line_cnt, 5);
			CU_ASSERT_EQUAL(h.first[SL_HTTP_COOKIE], 1);
			CU_ASSERT_EQUAL(ls.cnt[SL_HTTP_COOKIE], 2);
			guard_free(page, (size_t)n + more);
		}
	}
}

/* ---- properties ---- */

static uint64_t
next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

/* A request or nonsense, of what requests are made of. */
static size_t
random_request(uint64_t *seed, char *out)
{
	static const char *const pieces[] = {
		"GET / HTTP/1.1\r\n",
		"POST /a?b HTTP/1.1\r\n",
		"GET / HTTP/1.0\r\n",
		"Host: a\r\n",
		"Host: b:1\r\n",
		"Content-Length: 3\r\n",
		"Transfer-Encoding: chunked\r\n",
		"Connection: close\r\n",
		"X: y\r\n",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 "
		"Firefox/128.0\r\n",
		"Connection: x\r\n",
		"\r\n",
		" ",
		"\t",
		":",
		"\n",
		"\r",
		"a",
		"\x01",
		"\x80",
		"\r\n ",
		"Expect: 100-continue\r\n",
		"a-name-that-is-longer-than-thirty-two-bytes: "
		"and-a-value-that-is-longer-than-sixty-four-bytes-is-too\r\n",
	};
	bool good = next(seed) % 2;
	size_t n = 0;

	n += (size_t)sprintf(out, "%s", pieces[next(seed) % 3]);
	if (good)
		n += (size_t)sprintf(out + n, "Host: a\r\n");
	for (unsigned k = (unsigned)(next(seed) % 12); k; k--) {
		unsigned i = (unsigned)(next(seed) % SL_ARRAY_CNT(pieces));
		if (good && (i < 5 || (i > 10 && i < 21)))
			i = 8;
		n += (size_t)sprintf(out + n, "%s", pieces[i]);
	}
	return n + (size_t)sprintf(out + n, "\r\n");
}

static void
pieces_of_random_requests_have_the_answer_of_the_whole(void)
{
	uint64_t seed = 1;
	unsigned good = 0;

	for (unsigned i = 0; i < 2000; i++) {
		char text[2048];
		size_t n = random_request(&seed, text);
		const char *wrong = bed_pieces(BED_REQUEST, 0, (uint8_t *)text, n, &bed_wide, 1);
		CU_ASSERT_PTR_NULL(wrong);
		if (wrong)
			printf("\n  %s: %.*s\n", wrong, (int)n, text);
		good += bed_parse(BED_REQUEST, 0, (uint8_t *)text, n, 0, &bed_wide).r > 0;
	}
	CU_ASSERT(good > 400);
}

static void
requests_behind_one_another_are_read_one_after_the_other(void)
{
	static char all[64 * 2048];
	uint64_t seed = 2;
	size_t n = 0, at = 0, cnt = 0;
	int want[64];
	char said[64][128];

	while (cnt < 64) {
		char text[2048];
		size_t len = random_request(&seed, text);
		struct bed_answer a = bed_parse(BED_REQUEST, 0, (uint8_t *)text, len, 0, &bed_wide);
		if (a.r <= 0)
			continue;
		CU_ASSERT_FATAL((size_t)a.r <= len);
		snprintf(said[cnt], sizeof(said[0]), "%s", bed_say(BED_REQUEST, &a));
		memcpy(all + n, text, (size_t)a.r);
		n += (size_t)a.r;
		want[cnt++] = a.r;
	}
	for (size_t i = 0; i < cnt; i++) {
		struct bed_answer a =
			bed_parse(BED_REQUEST, 0, (uint8_t *)all + at, n - at, 0, &bed_wide);
		CU_ASSERT_EQUAL_FATAL(a.r, want[i]);
		CU_ASSERT_STRING_EQUAL(bed_say(BED_REQUEST, &a), said[i]);
		at += (size_t)a.r;
	}
	CU_ASSERT_EQUAL(at, n);
}

static void
every_reason_has_a_status_a_name_and_a_sentence(void)
{
	for (unsigned why = 1; why < SL_HTTP_BAD_CNT; why++) {
		unsigned status = sl_http_bad_status((enum sl_http_bad)why);
		CU_ASSERT(status >= 400 && status < 600);
		CU_ASSERT(strlen(sl_http_bad_name((enum sl_http_bad)why)) > 3);
		CU_ASSERT(strlen(sl_http_bad_text((enum sl_http_bad)why)) > 10);
	}
	CU_ASSERT_EQUAL(sl_http_bad_status(SL_HTTP_BAD_VERSION), 505);
	CU_ASSERT_EQUAL(sl_http_bad_status(SL_HTTP_BAD_TOO_LONG), 431);
	CU_ASSERT_EQUAL(sl_http_bad_status(SL_HTTP_BAD_BOTH), 400);
	CU_ASSERT_STRING_EQUAL(sl_http_bad_name(SL_HTTP_BAD_CNT), "unknown");
}

SL_SUITE("http1", SL_TEST(request_lines_are_read_or_refused), SL_TEST(targets_are_read_or_refused),
	 SL_TEST(hosts_are_read_or_refused), SL_TEST(headers_are_read_or_refused),
	 SL_TEST(framing_is_one_thing_or_refused), SL_TEST(connection_says_what_stays),
	 SL_TEST(lines_of_this_hop_are_marked),
	 SL_TEST(known_headers_are_known_in_any_case_and_no_others),
	 SL_TEST(edits_may_not_touch_framing_and_hops), SL_TEST(find_goes_through_lines_of_a_name),
	 SL_TEST(the_first_question_mark_begins_the_query), SL_TEST(a_host_has_up_to_255_bytes),
	 SL_TEST(a_head_has_as_many_bytes_as_the_limit_and_not_one_more),
	 SL_TEST(empty_lines_before_a_head_count_for_the_limit),
	 SL_TEST(what_is_wrong_before_the_limit_is_said_first),
	 SL_TEST(a_head_has_as_many_lines_as_the_limit_and_not_one_more),
	 SL_TEST(a_head_that_is_right_is_read_at_once),
	 SL_TEST(pieces_of_random_requests_have_the_answer_of_the_whole),
	 SL_TEST(requests_behind_one_another_are_read_one_after_the_other),
	 SL_TEST(every_reason_has_a_status_a_name_and_a_sentence))
