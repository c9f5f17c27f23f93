# Shared by deploy/run and deploy/test: what must be installed, and how the programs are built.
# Sourced; expects `set -euo pipefail` and $root.

runtime_packages=(
  build-essential cmake ninja-build pkg-config python3
  libuv1-dev libssl-dev librocksdb-dev libclamav-dev libprotobuf-c-dev protobuf-c-compiler
  libcurl4-openssl-dev libsodium-dev libunbound-dev libgmime-3.0-dev libjansson-dev libzstd-dev
  libseccomp-dev libidn2-dev zlib1g-dev libicu-dev libhttp-parser-dev libcrypt-dev libgsasl-dev libldap-dev
  libgtest-dev
)
cluster_packages=(etcd-server)
test_packages=("${cluster_packages[@]}" etcd-client swaks libnet-ssleay-perl libio-socket-ssl-perl curl
  isync mpop mutt zip openssl procps slapd ldap-utils spin)

# Installs those of its arguments that are missing. Does nothing, and asks nobody, when none is.
install_packages() {
  local missing=() p
  for p in "$@"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "these packages are missing and there is neither root nor sudo: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "installing: ${missing[*]}" >&2
  # The tests run slapd for themselves: the package is not to set one up that listens.
  case " ${missing[*]} " in
  *" slapd "*) echo 'slapd slapd/no_configuration boolean true' | "${as_root[@]}" debconf-set-selections ;;
  esac
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# npm and its node, of whatever origin: for helm and the schemas that the chart is checked with.
install_npm() {
  command -v npm >/dev/null && command -v node >/dev/null || install_packages nodejs npm
}

# build PRESET [NINJA-ARGUMENT...]: configures once, then builds what changed.
build() {
  local preset=$1; shift
  [ -f "$root/build/$preset/build.ninja" ] || (cd "$root" && cmake --preset "$preset" >&2)
  ninja -C "$root/build/$preset" "$@" >&2
}
