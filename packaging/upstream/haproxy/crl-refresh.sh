#!/bin/sh
# Fetches the authority's revocation list and hands it to the running HAProxy, which takes it without
# a restart. Run it every few minutes (cron, a systemd timer): a revoked device gets in until then.
#
#   CA=https://ca.example.org CERTS=/etc/picket-upstream RUN=/run/haproxy crl-refresh.sh
#
# It needs curl, openssl and socat. $CERTS/ca-root.pem is the root that the authority's own server is known by.
set -eu
: "${CA:?the address of step-ca}" "${CERTS:=/etc/picket-upstream}" "${RUN:=/run/haproxy}"
new=$(mktemp "$CERTS/crl.XXXXXX")
trap 'rm -f "$new" "$new.der"' EXIT
curl -sSf --max-time 30 --max-filesize 16777216 --cacert "$CERTS/ca-root.pem" -o "$new.der" "$CA/1.0/crl"
openssl crl -inform DER -in "$new.der" -out "$new"
# A list that no authority of ours has signed is not taken.
openssl crl -in "$new" -noout -CAfile "$CERTS/devices.pem" 2>&1 | grep -q 'verify OK'
chmod 644 "$new"
mv "$new" "$CERTS/crl.pem"
[ -S "$RUN/admin.sock" ] || exit 0
answer=$(printf 'set ssl crl-file %s/crl.pem <<\n%s\n\n' "$CERTS" "$(cat "$CERTS/crl.pem")" | socat - "$RUN/admin.sock"
	printf 'commit ssl crl-file %s/crl.pem\n' "$CERTS" | socat -t 10 - "$RUN/admin.sock")
case $answer in
*Success*) ;;
*) echo "haproxy did not take the list: $answer" >&2; exit 1 ;;
esac
