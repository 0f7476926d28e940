# shellcheck shell=bash disable=SC2034
# lib_jwt_basic.sh — tokens and keys of jwt_tokens.py for tests over lib_http.sh.
set -euo pipefail
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_http.sh"

# Debian's, which has PyJWT
tokens() { /usr/bin/python3 "$top/tests/net/jwt_tokens.py" "$@"; }
k=$NET_DIR/keys
u=$(url 10.77.9.30)

# put_set FILE NAME:KID…: a key set, whole or not at all.
put_set() {
	local file=$1
	shift
	tokens jwks "$k" "$@" >"$file.new"
	mv "$file.new" "$file"
}
bearer() { echo "authorization: Bearer $1"; }
# of_issuer NAME FIELD: of show jwt.  is_in NAME STATE.
of_issuer() { ctl_json "[r['$2'] for r in j['jwt'] if r['name'] == '$1'][0]" show jwt; }
is_in() { [ "$(of_issuer "$1" state)" = "$2" ]; }
