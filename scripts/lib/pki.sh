# shellcheck shell=bash disable=SC2034
# pki.sh — certificates of CAs made for the occasion, by openssl, in $PKI.  Sourced by demo and tests, behind net.sh.
#
# NAME.key and NAME.pem, with its chain behind it: of `inter`, whom `root` has signed; of `rsa`, a root of its own with an RSA key; of `other`,
# whom nobody trusts.  root.pem is for who trusts root and rsa.

PKI=$NET_DIR/pki

# ca_up: root, rsa (a root of its own), intermediate, other.
ca_up() {
	local ca
	mkdir -p "$PKI"
	for ca in root inter other rsa; do
		mkdir -p "$PKI/$ca.db"
		: >"$PKI/$ca.db/index"
		cat >>"$PKI/ca.cnf" <<-END
			[$ca]
			database = $PKI/$ca.db/index
			new_certs_dir = $PKI/$ca.db
			certificate = $PKI/$ca.crt
			private_key = $PKI/$ca.key
			rand_serial = yes
			default_md = sha256
			policy = any
			unique_subject = no
			[any]
			commonName = supplied
		END
		if [ $ca = rsa ]; then rsa_key; else ec_key; fi >"$PKI/$ca.key"
	done
	for ca in root other rsa; do
		openssl req -x509 -new -key "$PKI/$ca.key" -subj "/CN=$ca of $NET" -days 3650 -out "$PKI/$ca.crt" \
			-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
		cp "$PKI/$ca.crt" "$PKI/$ca.pem"
	done
	cat "$PKI/rsa.crt" >>"$PKI/root.pem"
	KEEP_KEY=1 cert inter root 'basicConstraints = critical, CA:TRUE, pathlen:0' 'keyUsage = critical, keyCertSign, cRLSign'
	mv "$PKI/inter.pem" "$PKI/inter.crt"
}

ec_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null; }
rsa_key() { openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null; }
# at OFFSET: that far from now ("-1 hour"), as openssl ca wants it.
at() { date -u -d "$1" +%Y%m%d%H%M%SZ; }

# cert NAME ISSUER EXTENSION…: NAME.key and NAME.pem (its chain behind it, without the root).  RSA=1: an RSA key.  FROM, TO: validity.  KEEP_KEY=1: the
# key is there.
cert() {
	local name=$1 issuer=$2 make=ec_key
	shift 2
	[ -z "${RSA:-}" ] || make=rsa_key
	[ -n "${KEEP_KEY:-}" ] || (umask 077 && $make >"$PKI/$name.key")
	printf '%s\n' "$@" >"$PKI/$name.ext"
	openssl req -new -key "$PKI/$name.key" -subj "/CN=$name" -out "$PKI/$name.csr"
	openssl ca -batch -notext -config "$PKI/ca.cnf" -name "$issuer" -extfile "$PKI/$name.ext" -in "$PKI/$name.csr" -out "$PKI/$name.pem" \
		-startdate "$(at "${FROM:--1 day}")" -enddate "$(at "${TO:-+200 days}")" 2>"$PKI/$name.log" || {
		cat "$PKI/$name.log" >&2
		return 1
	}
	if [ "$issuer" = inter ]; then cat "$PKI/inter.crt" >>"$PKI/$name.pem"; fi
}
SERVER='extendedKeyUsage = serverAuth'
CLIENT='extendedKeyUsage = clientAuth'
san() { echo "subjectAltName = $1"; }
