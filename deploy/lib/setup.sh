# shellcheck shell=bash disable=SC2034,SC2154  # root, var, build: set by deploy/quickstart
# Packages, the build, and what Baileys needs. Sourced by deploy/quickstart.

targets=(interop-gateway gwctl whatsapp_sim)

set_programs() {
  gateway=$build/gateway/interop-gateway
  gwctl=$build/gateway/gwctl/gwctl
  simulator=$build/tests/whatsapp_sim/whatsapp_sim
}

# What a person gave as a build folder is taken as it is.
use_build() {
  local program
  set_programs
  for program in "$gateway" "$gwctl" "$simulator"; do
    [[ -x $program ]] || die "there is no program $program: build ${targets[*]} there"
  done
  command -v jq >/dev/null || die "jq is missing: deploy/install-packages test"
}

make_build() {
  step "Debian packages: deploy/install-packages build test"
  "$root/deploy/install-packages" build test
  mkdir -p "$build"
  [[ -f $build/build.ninja ]] ||
    with_progress "$var/configure.log" "cmake --preset release" configure
  with_progress "$var/build.log" "building ${targets[*]} in ${build#"$root"/}" \
    ninja -C "$build" "${targets[@]}"
  set_programs
}

configure() { cd "$root" && cmake --preset release; }

# Sets NODE; the npm packages are those of tests/conformance, by its lockfile.
prepare_baileys() {
  # In the foreground, for sudo may ask.
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    "$root/deploy/install-packages" node
  fi
  with_progress "$var/npm.log" "Node and Baileys (npm, once)" npm_setup
  NODE=$(<"$var/node")
}

npm_setup() {
  # shellcheck disable=SC2317  # node.sh calls it
  say() { echo "$*"; }
  # shellcheck disable=SC1091
  . "$root/tests/lib/node.sh"
  node_setup
  npm_packages "$root/tests/conformance"
  echo "$NODE" >"$var/node"
}
