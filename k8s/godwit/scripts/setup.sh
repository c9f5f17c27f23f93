#!/bin/sh
# What is set through the API once it answers: options, the first domain and its administrator. What
# is there stays as it is, but for the options, which get the values of the chart.
#
#   GODWIT_API, GODWIT_TOKEN_FILE  where it is, and what it is asked with
#   SETTINGS                       file of "KEY VALUE" lines
#   DOMAIN, ADMIN, ADMIN_FILE      of the first domain; the administrator's local part and password
#   WAIT_SECONDS                   how long the API may take
set -eu
GODWIT_TOKEN=$(cat "$GODWIT_TOKEN_FILE")
export GODWIT_API GODWIT_TOKEN

until_ready() {
  end=$(($(date +%s) + WAIT_SECONDS))
  until curl -fsS --noproxy '*' --max-time 5 -o /dev/null "$GODWIT_API/readyz"; do
    [ "$(date +%s)" -lt "$end" ] || { echo "setup: the API is not ready in $WAIT_SECONDS s" >&2; exit 1; }
    sleep 1
  done
}
until_ready

while read -r key value; do
  [ -n "$key" ] || continue
  godwitctl config set "$key" "$value"
done < "$SETTINGS"

[ -n "$DOMAIN" ] || exit 0
godwitctl domain show "$DOMAIN" > /dev/null 2>&1 || godwitctl domain create "$DOMAIN"
[ -n "$ADMIN" ] || exit 0
godwitctl user show "$ADMIN@$DOMAIN" > /dev/null 2>&1 ||
  godwitctl user create "$ADMIN@$DOMAIN" --role admin --full-name Administrator --password - < "$ADMIN_FILE"
