# shellcheck shell=bash disable=SC2034,SC2154  # root, var, mode, phone: set by deploy/quickstart
# What quickstart starts, waits for and stops. Sourced by deploy/quickstart.
#
# $var/pids has a line for each process, in the order of their start: "pid start-time name". Pid and
# start time together are never used again, so that --stop hits nothing but what was started here.

job='' staying='' failed_log='' told=''
starting='' ending=''

step() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }

die() {
  told=1
  echo "quickstart: $*" >&2
  exit 1
}

# give_up NAME TEXT: as die, with the end of NAME's log.
give_up() {
  local name=$1
  shift
  told=1 failed_log=$var/$name.log
  echo "quickstart: $*" >&2
  exit 1
}

# This script's call with these arguments, as the user would type it.
again() {
  local call=("$root/deploy/quickstart")
  [[ $root != "$PWD" ]] || call=(deploy/quickstart)
  [[ $var == "$root/var/quickstart" ]] || call+=(--var "$var")
  printf '%q ' "${call[@]}" | sed 's/ $//'
  printf ' %s' "$@"
}

# The start time of a living process, in ticks since boot; nothing for one that is gone.
start_time() {
  local stat fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
  read -ra fields <<<"${stat##*) }"  # the name before it may hold blanks
  [[ ${fields[0]} == [ZX] ]] || echo "${fields[19]}"
}

alive() { [[ $(start_time "$1") == "$2" ]]; }

# start NAME INPUT COMMAND...: in $var, so that names of files there need no path; its output goes to
# NAME.out, its errors to NAME.log. A session of its own keeps the terminal's signals away from it.
start() {
  local name=$1 input=$2 pid started
  shift 2
  starting=1
  ( cd "$var" && exec setsid "$@" ) <>"$input" >"$var/$name.out" 2>"$var/$name.log" 8>&- 9>&- &
  pid=$!
  started=$(start_time "$pid")
  echo "$pid ${started:-0} $name" >>"$var/pids"
  starting=''
  [[ ! $ending ]] || exit "$ending"
}

# A signal. What is being started has to be written down first, or nobody would stop it.
told_to_end() {
  ending=$1
  [[ $starting ]] || exit "$ending"
}

# Names of recorded processes that run.
recorded_alive() {
  local pid started name
  [[ -f $var/pids ]] || return 0
  while read -r pid started name; do
    if alive "$pid" "$started"; then echo "$name"; fi
  done <"$var/pids" | xargs
}

all_alive() {
  local pid started name
  while read -r pid started name; do
    alive "$pid" "$started" || give_up "$name" "the $name ended by itself"
  done <"$var/pids"
}

# wait_for SECONDS NAME TEXT COMMAND...: until the command succeeds; fails with NAME's log when time
# is up or a process ended.
wait_for() {
  local deadline=$((SECONDS + $1)) name=$2 what=$3
  shift 3
  until "$@"; do
    all_alive
    (( SECONDS < deadline )) || give_up "$name" "$what: did not happen in time"
    sleep 0.05
  done
}

# Latest first. A process that does not end by SIGTERM within 10 s is killed.
stop_recorded() {
  local pid started name deadline stopped=()
  if [[ -f $var/pids ]]; then
    while read -r pid started name; do
      alive "$pid" "$started" || continue
      kill "$pid" 2>/dev/null || true
      deadline=$((SECONDS + 10))
      while alive "$pid" "$started"; do
        if (( SECONDS >= deadline )); then
          echo "quickstart: the $name (process $pid) did not end by SIGTERM: killed" >&2
          kill -KILL "$pid" 2>/dev/null || true
        fi
        sleep 0.05
      done
      stopped+=("$name")
    done < <(tac "$var/pids")
    rm -f "$var/pids"
    [[ ! -s $var/postgres.folder ]] || clean_postgres  # outside of $var nothing stays
  fi
  if (( ${#stopped[@]} )); then step "stopped: ${stopped[*]}"; else step "nothing is running"; fi
}

# with_progress LOG TEXT COMMAND...: with its output in LOG, and a line of it every 5 seconds.
with_progress() {
  local log=$1 what=$2 next=$((SECONDS + 5)) rc=0 last
  shift 2
  step "$what"
  # A process group of its own, so that all of it can be stopped.
  set -m
  "$@" >"$log" 2>&1 </dev/null 8>&- 9>&- &
  job=$!
  set +m
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.1
    (( SECONDS >= next )) || continue
    next=$((SECONDS + 5))
    # Ninja's lines say how far it is.
    last=$(grep '^\[[0-9]*/' "$log" | tail -n 1) || last=$(tail -n 1 "$log")
    step "  ${last:0:68}"
  done
  wait "$job" || rc=$?
  job=''
  (( rc == 0 )) || { failed_log=$log; die "$what: failed (exit $rc)"; }
}

# The end, whichever way: shows what went wrong, and leaves nothing behind.
finish() {
  local rc=$1
  trap '' HUP INT TERM
  exec >&8
  [[ ! $job ]] || kill -- "-$job" 2>/dev/null || true
  if [[ $staying ]]; then exit "$rc"; fi
  (( rc == 0 || rc >= 128 )) || [[ $told ]] || echo "quickstart: a command failed, see above" >&2
  if [[ -s $failed_log ]]; then
    echo "the end of $failed_log:" >&2
    tail -n "${GW_LOG_TAIL:-20}" "$failed_log" | cut -c 1-200 | sed 's/^/  | /' >&2
  fi
  [[ ! -f $var/pids ]] || stop_recorded
  (( rc == 0 )) || { echo "quickstart: FAILED" >&2; exit "$rc"; }
  step "done; keys, settings, database and logs of this run: $var"
}
