#!/usr/bin/env bash
# Manual pages: mandoc finds nothing wrong, and they say what there is (man.py): each key of each file in the section of its group
# with its default, each verb and option of each program.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$top/build}

fail() {
	echo "FAILED: $*"
	exit 1
}
pages=("$top"/dataplane/man/* "$top"/mgmt/man/*)
[ "${#pages[@]}" -ge 9 ] || fail "hardly any pages: ${pages[*]}"
# A page it does not find is one of ours, which is not installed here; all of them are looked for below.
wrong=$(mandoc -T lint -W style "${pages[@]}" | grep -v 'referenced manual not found' || true)
[ -z "$wrong" ] || fail "mandoc: $wrong"
while read -r name section; do
	compgen -G "$top/*/man/$name.$section" >/dev/null || fail "a page refers to $name($section), which is none of ours"
done < <(sed -n 's/^\.Xr \([^ ]*\) \([0-9]\).*/\1 \2/p' "${pages[@]}" | sort -u)

python3 "$top/tests/net/man.py" "$top" "$BUILD" || fail "the pages and the programs differ"
