# shellcheck shell=bash disable=SC2154  # root, logs, long: set by tests/run
# tests/run --fuzz and --tidy. Sourced by tests/run.

# fuzz SECONDS TARGETS...: every target (or those named), the time shared among them. What they
# find new is kept under build/fuzz-corpus and used the next time.
fuzz() {
  local total=$1 targets target seeds found program each at_once
  shift
  at_once=$(nproc)
  "$root/deploy/install-packages" build test fuzz
  configure fuzz
  mapfile -t targets < <(test_programs fuzz fuzz | cut -f1)
  (( ${#targets[@]} )) || die "there are no fuzz targets"
  for target in "$@"; do
    [[ " ${targets[*]} " == *" $target "* ]] ||
      die "no fuzz target '$target'; there are: ${targets[*]}"
  done
  (( $# == 0 )) || targets=("$@")
  compile fuzz "${targets[@]}"
  (( at_once <= ${#targets[@]} )) || at_once=${#targets[@]}
  each=$((total * at_once / ${#targets[@]}))
  (( each > 0 )) || each=1
  say "fuzzing ${#targets[@]} targets for $each s each, $at_once at a time, seed $GW_SEED"
  export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
  for target in "${targets[@]}"; do
    seeds=$root/tests/fuzz/${target#fuzz_}/corpus found=$root/build/fuzz-corpus/$target
    if [[ -z $(ls -A "$seeds" 2>/dev/null) ]]; then
      fail_case "$target" "no seeds in ${seeds#"$root"/}" >&2
      continue
    fi
    mkdir -p "$found"
    program=$(ctest --test-dir "$root/build/fuzz" --show-only=json-v1 |
      jq -r --arg name "$target" '.tests[] | select(.name == $name) | .command[0]')
    printf 'plain\t%s\t%d\t%s\n' "$target" $((each + 120)) "$(printf '%q ' "$program" \
      -max_total_time="$each" -seed=$((GW_SEED % 4294967296)) -timeout=10 -rss_limit_mb=2048 \
      -print_final_stats=1 -artifact_prefix="$logs/$target-" "$found" "$seeds")"
  done >"$logs/.jobs"
  run_jobs "$at_once" <"$logs/.jobs"
  for target in "${targets[@]}"; do
    sed -n 's/^stat::number_of_executed_units: */      '"$target"': inputs tried: /p' \
      "$logs/$target.log" 2>/dev/null || true
  done
}

# tidy FILES...: clang-tidy over these sources, or all of them, with the release build's flags.
tidy() {
  local files file
  "$root/deploy/install-packages" build test fuzz
  configure release
  # The generated headers are all that clang-tidy needs of a build.
  mapfile -t files < <(cd "$root/build/release" && ninja -t targets all |
    sed -nE 's/^(gw_proto_[a-z]+): phony$/\1/p')
  compile release "${files[@]}"
  if (( $# )); then files=("$@"); else
    mapfile -t files < <(cd "$root" &&
      find gateway adapters tests bench -name node_modules -prune -o -name '*.cpp' -print | sort)
  fi
  for file in "${files[@]}"; do
    [[ $file == *.cpp ]] || continue
    printf 'plain\t%s\t600\tclang-tidy --quiet -p %q %q\n' "${file//\//.}" \
      "$root/build/release" "$root/${file#"$root"/}"
  done >"$logs/.jobs"
  run_jobs "$(nproc)" <"$logs/.jobs"
}

# Every C++ file in the project's format. One case.
check_format() {
  local name=clang-format start=$SECONDS rc=0
  "$root/deploy/install-packages" fuzz
  (cd "$root" && find gateway adapters tests bench -name node_modules -prune -o \
    \( -name '*.cpp' -o -name '*.h' \) -print0 | xargs -0 clang-format --dry-run -Werror) \
    >"$logs/$name.log" 2>&1 || rc=$?
  if (( rc )); then printf 'fail\tformat\tsee the log\n'; else printf 'pass\tformat\t\n'; fi \
    >"$logs/$name.cases"
  echo $((SECONDS - start)) >"$logs/$name.seconds"
  report "$name"
}
