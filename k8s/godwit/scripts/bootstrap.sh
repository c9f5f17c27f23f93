#!/bin/sh
# Makes what is missing of the cluster and of its Secrets; renews the certificates between programs
# in time. Whatever is there stays, so it may run at any time and as often as one likes.
#
# A key goes into its Secret before anything is sealed with it: an attempt that ends half way leaves
# nothing that the next one can't open. Of two that run at once one makes a Secret, and both use it.
#
#   KUBE_API, KUBE_ACCOUNT  the API server, and the folder of the account that we ask it as
#   NAMESPACE, LABELS       where Secrets are made, and their labels, as JSON
#   WORK                    an empty folder of our own
#   OPTIONS                 file of options: where the configuration store is
#   SECRET_AUTHORITY SECRET_KEK SECRET_TOKEN SECRET_TLS CERTS_FRONTEND CERTS_SCANNER
#   CERTS_STORAGE_NODE CERTS_ROUTER SECRET_ADMIN
#                           names of Secrets; those of FIXED are somebody else's and only read
#   CERTIFICATE_DAYS, TLS_NAMES, FIXED
set -eu
umask 077
secrets=$KUBE_API/api/v1/namespaces/$NAMESPACE/secrets
mkdir -p "$WORK"
cd "$WORK"

say() { echo "bootstrap: $*"; }
fail() { echo "bootstrap: $*" >&2; exit 1; }

# kube METHOD URL [CURL-ARGUMENT...]: the answer is in `answer`, its status is printed.
kube() {
  method=$1 url=$2; shift 2
  # Read at each call: it is renewed while we run. In a file, so that no list of processes shows it.
  printf 'Authorization: Bearer %s\n' "$(cat "$KUBE_ACCOUNT/token")" > header
  ca=
  [ ! -f "$KUBE_ACCOUNT/ca.crt" ] || ca="--cacert $KUBE_ACCOUNT/ca.crt"
  # shellcheck disable=SC2086
  curl -sS --noproxy '*' --max-time 30 $ca -H @header -X "$method" -o answer -w '%{http_code}' "$@" "$url"
}

# take SECRET KEY FILE: 0 when the Secret has that key, 1 when it or the key is not there.
take() {
  status=$(kube GET "$secrets/$1") || fail "Secret $1: the API server can't be reached"
  [ "$status" != 404 ] || return 1
  [ "$status" = 200 ] || fail "Secret $1: $status: $(cat answer)"
  key=$(printf '%s' "$2" | sed 's/\./\\./g')
  value=$(tr -d ' \n' < answer | sed -n 's/.*"data":{\([^}]*\)}.*/\1/p' |
          tr ',' '\n' | sed -n "s/^\"$key\":\"\(.*\)\"\$/\1/p")
  [ -n "$value" ] || return 1
  printf '%s' "$value" | base64 -d > "$3"
}

# body SECRET TYPE KEY=FILE...: the Secret as JSON, in `body.json`.
body() {
  secret=$1 type=$2; shift 2
  data=
  for pair in "$@"; do
    data="$data${data:+,}\"${pair%%=*}\":\"$(base64 -w 0 < "${pair#*=}")\""
  done
  printf '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"%s","labels":%s},"type":"%s","data":{%s}}' \
    "$secret" "$LABELS" "$type" "$data" > body.json
}

is_fixed() { case " $FIXED " in *" $1 "*) return 0 ;; esac; return 1; }

# make SECRET TYPE KEY=FILE...: a new one; one that has come meanwhile stays.
make() {
  ! is_fixed "$1" || fail "Secret $1: it has to be there, with $3"
  body "$@"
  status=$(kube POST "$secrets" -H 'Content-Type: application/json' --data-binary @body.json)
  case $status in
  201) say "Secret $1: made" ;;
  409) say "Secret $1: another one was quicker" ;;
  *) fail "Secret $1: $status: $(cat answer)" ;;
  esac
}

# change SECRET TYPE KEY=FILE...: made, or with these values from now on.
change() {
  body "$@"
  status=$(kube PATCH "$secrets/$1?fieldManager=godwit-bootstrap&force=true" \
           -H 'Content-Type: application/apply-patch+yaml' --data-binary @body.json)
  case $status in
  200 | 201) say "Secret $1: written" ;;
  *) fail "Secret $1: $status: $(cat answer)" ;;
  esac
}

# settle SECRET KEY FILE MAKER...: FILE is what the Secret has; MAKER makes it when there is none.
settle() {
  secret_=$1 key_=$2 file_=$3; shift 3
  if take "$secret_" "$key_" "$file_"; then return 0; fi
  rm -f "$file_"
  "$@" > "$file_"
  make "$secret_" Opaque "$key_=$file_"
  take "$secret_" "$key_" "$file_" || fail "Secret $secret_: it has no $key_"
}

key_line() { random=$(openssl rand -hex 32); printf '1 %s\n' "$random"; }
word() { random=$(openssl rand -hex 20); printf '%s' "$random"; }

# ---- keys and the operator's token, then the cluster

settle "$SECRET_AUTHORITY" keys authority key_line
is_fixed "$SECRET_KEK" || {
  key_line > kek
  body "$SECRET_KEK" Opaque keys=kek
  status=$(kube POST "$secrets" -H 'Content-Type: application/json' --data-binary @body.json)
  [ "$status" = 201 ] || [ "$status" = 409 ] || fail "Secret $SECRET_KEK: $status: $(cat answer)"
  rm -f kek
}
settle "$SECRET_TOKEN" token token word
[ -z "$SECRET_ADMIN" ] || settle "$SECRET_ADMIN" password admin word
id=$(godwitctl cluster init --config "$OPTIONS" --kek-file "$WORK/authority" --token-file "$WORK/token")
say "cluster $id"

# ---- what mail clients see: of our own making, until somebody gives a better one

if ! is_fixed "$SECRET_TLS" && ! take "$SECRET_TLS" tls.crt tls.crt; then
  names=
  for name in $TLS_NAMES; do names="$names${names:+,}DNS:$name"; done
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.crt \
    -days 825 -subj "/CN=${TLS_NAMES%% *}" -addext "subjectAltName=$names" 2> openssl.log ||
    fail "a certificate for $TLS_NAMES: $(cat openssl.log)"
  make "$SECRET_TLS" kubernetes.io/tls tls.crt=tls.crt tls.key=tls.key
fi

# ---- certificates between programs, one Secret a role

certify() {
  role=$1 secret_=$2
  ! is_fixed "$secret_" || return 0
  mkdir -p "$role" "$role.before"
  for file in ca.pem cert.pem key.pem; do
    take "$secret_" "$file" "$role/$file" || rm -f "$role/$file"
    [ ! -f "$role/$file" ] || cp "$role/$file" "$role.before/$file"
  done
  godwitctl cluster cert issue --config "$OPTIONS" --kek-file "$WORK/authority" --role "$role" --name "$role" \
    --out "$WORK/$role" --days "$CERTIFICATE_DAYS"
  for file in ca.pem cert.pem key.pem; do
    cmp -s "$role/$file" "$role.before/$file" && continue
    change "$secret_" Opaque "ca.pem=$role/ca.pem" "cert.pem=$role/cert.pem" "key.pem=$role/key.pem"
    break
  done
}
certify frontend "$CERTS_FRONTEND"
certify scanner "$CERTS_SCANNER"
certify storage-node "$CERTS_STORAGE_NODE"
certify router "$CERTS_ROUTER"
say "done"
