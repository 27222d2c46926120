# shellcheck shell=bash disable=SC2154  # root, logs, long: set by tests/run
# Builds, and finds the test programs. Sourced by tests/run; CMake's list is the only one.

# Configures a preset once; afterwards ninja knows when CMake has to run again. Either way CTest's
# list is up to date then.
configure() {
  local built=$root/build/$1
  if [[ -f $built/build.ninja ]]; then
    ninja -C "$built" build.ninja || build_failed "$1"
  else
    say "cmake --preset $1"
    (cd "$root" && cmake --preset "$1") || build_failed "$1"
  fi
}

# compile PRESET TARGETS...
compile() {
  local preset=$1
  shift
  say "building $preset: ${*:-everything}"
  cmake --build "$root/build/$preset" ${1+--target "$@"} || build_failed "$preset"
}

build_failed() {
  fail_case "build" "the $1 build failed, see above; no test was run"
  finish
}

# test_programs PRESET LABEL: "name<TAB>seconds<TAB>command" of each GoogleTest program with the
# label. What a program needs of environment and time is set as its CTest properties.
test_programs() {
  ctest --test-dir "$root/build/$1" --show-only=json-v1 | jq -r --arg want "$2" --arg long "$long" '
    def property($name): [.properties[]? | select(.name == $name) | .value] | first;
    .tests[] | property("LABELS") as $labels | (property("ENVIRONMENT") // []) as $environment
    | select($labels != null and ($labels | index($want)))
    | select($long != "" or ($labels | index("long") | not))
    | [.name, (property("TIMEOUT") // 0 | floor | tostring),
       (["env"] + $environment + (.command // []) | map(@sh) | join(" "))] | join("\t")'
}
