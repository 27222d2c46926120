# shellcheck shell=bash disable=SC2154  # root, logs, long: set by tests/run
# Runs test programs, a few at a time, and counts their cases. Sourced by tests/run.
#
# A job is a line "kind<TAB>name<TAB>seconds<TAB>command, quoted for the shell". Each leaves in
# $logs: NAME.log (its output) and NAME.cases, one case a line: "pass|fail|skip<TAB>case<TAB>reason".

passed=0 failed=0 skipped=0
log_tail=${GW_LOG_TAIL:-60}  # lines of a failed program's output to show

# Cases of a GoogleTest log. It serves for programs that crash or hang too, when no report is
# written: a case that began and did not end has failed.
gtest_cases() {
  awk '
    /^\[ RUN      \] / { current = substr($0, 14); reason = ""; skipping = 0; next }
    /^\[       OK \] / && current { print "pass\t" current "\t"; current = ""; next }
    /^\[  FAILED  \] / && current { print "fail\t" current "\t"; current = ""; next }
    /^\[  SKIPPED \] / && current { print "skip\t" current "\t" reason; current = ""; next }
    /^\[ DISABLED \] / { print "skip\t" substr($0, 14) "\t" "disabled in the source"; next }
    current && /: Skipped$/ { skipping = 1; next }
    current && skipping { reason = reason (reason == "" ? "" : " ") $0 }
    END { if (current) print "fail\t" current "\tdid not end" }
  ' "$1"
}

# The same from GoogleTest's own report, which nothing a test prints can blur; reasons of skips are
# in the log only.
gtest_report_cases() {
  jq -r '.testsuites[].testsuite[] | "\(.classname).\(.name)" as $name |
    if .failures then "fail\t\($name)\t"
    elif .result == "COMPLETED" then "pass\t\($name)\t" else empty end' "$2"
  gtest_cases "$1" | grep '^skip' || true
}

# Cases of a TAP file by node --test. Suites are no cases, and a file in which no test is defined
# shows up as one passing "test" with the file's path as its name.
tap_cases() {
  awk '
    function flush() {
      if (kind && (!suite || kind == "skip")) print kind "\t" name "\t" reason
      kind = ""
    }
    /^ *(not )?ok [0-9]+/ {
      flush()
      suite = 0; reason = ""; line = $0; sub(/^ */, "", line)
      kind = (line ~ /^not ok/) ? "fail" : "pass"
      sub(/^(not )?ok [0-9]+( - )?/, "", line)
      name = line
      if (match(line, / # (SKIP|TODO)/)) {
        kind = "skip"
        name = substr(line, 1, RSTART - 1)
        reason = substr(line, RSTART + RLENGTH + 1)
      }
      if (name ~ /^\/.*\.test\.mjs$/ && kind == "pass") {
        kind = "fail"; reason = "the file defines no test"
      }
      next
    }
    /^ +type: .suite./ { suite = 1 }
    END { flush() }
  ' "$1"
}

# run_job KIND NAME SECONDS COMMAND: leaves NAME.cases. KIND: cpp, a GoogleTest program; node, a
# file for node --test; plain, a program that is one case by its exit code.
run_job() {
  local kind=$1 name=$2 limit=$3 command=$4 rc=0 out=$logs/$2 start=$SECONDS pid
  case $kind in
    cpp) command+=" --gtest_color=no $(printf %q "--gtest_output=json:$out.json")" ;;
    node) command="$(printf '%q ' "$NODE" --test --test-reporter=spec \
      --test-reporter-destination=stdout --test-reporter=tap \
      --test-reporter-destination="$out.tap")$command" ;;
  esac
  mkdir -p "$out.tmp"
  TMPDIR=$out.tmp timeout --kill-after=10 "$limit" bash -c "exec $command" >"$out.log" 2>&1 \
    </dev/null 9>&- &
  pid=$!
  # shellcheck disable=SC2064  # this pid, now
  trap "kill $pid 2>/dev/null" TERM
  wait "$pid" 2>/dev/null || rc=$?
  case $kind in
    cpp) if [[ -s $out.json ]]; then gtest_report_cases "$out.log" "$out.json"
         else gtest_cases "$out.log"; fi ;;
    node) if [[ -s $out.tap ]]; then tap_cases "$out.tap"; fi ;;
    plain) if (( rc == 0 )); then printf 'pass\t%s\t\n' "$name"; fi ;;
  esac >"$out.cases"
  case $rc in
    0) [[ -s $out.cases ]] || add_failure "$name" "ran no test" ;;
    124 | 137) add_failure "$name" "stopped after $limit s: too slow or hanging" ;;
    *) grep '^fail' "$out.cases" | grep -qv 'did not end$' || add_failure "$name" "exit code $rc" ;;
  esac
  # A skip is an answer only with its reason.
  sed -i -E 's/^skip\t(.*)\t$/fail\t\1\tskipped without a reason/' "$out.cases"
  echo $((SECONDS - start)) >"$out.seconds"
  grep -q '^fail' "$out.cases" || rm -rf "$out.tmp"
}

# add_failure NAME REASON: for the case that did not end, where there is one; else one more.
add_failure() {
  if grep -q $'\tdid not end$' "$logs/$1.cases"; then
    sed -i "s/\tdid not end$/\t$2/" "$logs/$1.cases"
  else
    printf 'fail\t%s\t%s\n' "$1" "$2" >>"$logs/$1.cases"
  fi
}

# report NAME: one line for what passed, the output's end for what did not; adds to the totals.
report() {
  local name=$1 p f s kind case reason
  p=$(grep -c '^pass' "$logs/$name.cases") || true
  f=$(grep -c '^fail' "$logs/$name.cases") || true
  s=$(grep -c '^skip' "$logs/$name.cases") || true
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  if (( f )); then
    echo "---- $name failed; the end of ${logs#"$root"/}/$name.log:"
    tail -n "$log_tail" "$logs/$name.log" | sed 's/^/  | /'
  fi
  printf '%s  %-32s %4d passed %3d failed %3d skipped  %4d s\n' \
    "$( (( f )) && echo FAIL || echo 'ok  ')" "$name" "$p" "$f" "$s" "$(<"$logs/$name.seconds")"
  while IFS=$'\t' read -r kind case reason; do
    case $kind in
      fail) echo "      failed:  $case${reason:+ ($reason)}" ;;
      skip) echo "      skipped: $case ($reason)" ;;
    esac
  done <"$logs/$name.cases"
}

# fail_case NAME REASON: a failure that no program reports.
fail_case() {
  echo "FAIL  $1: $2"
  failed=$((failed + 1))
}

# run_jobs COUNT: runs the jobs on stdin, COUNT at once; says who still runs every 20 s.
run_jobs() {
  local at_once=$1 kind name limit command running=() done_fd answer open=1
  local fifo=$logs/.done
  rm -f "$fifo"; mkfifo "$fifo"
  exec {done_fd}<>"$fifo"
  while (( open || ${#running[@]} )); do
    while (( open && ${#running[@]} < at_once )); do
      IFS=$'\t' read -r kind name limit command || { open=0; break; }
      ( trap 'echo "$name" >&"$done_fd"' EXIT
        run_job "$kind" "$name" "$limit" "$command" ) &
      running+=("$name")
    done
    (( ${#running[@]} )) || break
    if read -r -t 20 -u "$done_fd" answer; then
      report "$answer"
      mapfile -t running < <(printf '%s\n' "${running[@]}" | grep -vxF -- "$answer" || true)
    else
      echo "      running: ${running[*]}"
    fi
  done
  exec {done_fd}>&-
}

# The last line of every run, alone on it, and the exit code with it.
finish() {
  echo "logs: ${logs#"$root"/}"
  echo "$passed passed, $failed failed, $skipped skipped"
  (( failed == 0 && passed > 0 )) || exit 1
  exit 0
}
