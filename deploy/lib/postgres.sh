# shellcheck shell=bash disable=SC2034,SC2154  # root, var, build: set by deploy/quickstart
# A private PostgreSQL for `--store postgres`. Sourced by deploy/quickstart.
#
# Its data lie in $var/postgres, its socket too; nobody reaches it over a network. PostgreSQL refuses to
# run as root, so root becomes Debian's user for it; where that user cannot reach $var (a home that is
# closed to others), or the socket's path is too long, the folder is one in /tmp, named in
# $var/postgres.folder.

# The newest there is; Debian keeps the server's programs out of PATH.
postgres_program() {
  local found
  found=$(compgen -G "/usr/lib/postgresql/*/bin/$1" | sort -V | tail -n 1) || true
  echo "$found"
}

prepare_postgres() {
  if [[ ! $(postgres_program postgres) ]]; then
    [[ ! $own_build ]] || die "PostgreSQL is missing: deploy/install-packages postgres"
    step "Debian packages: deploy/install-packages postgres"
    "$root/deploy/install-packages" postgres
  fi
  as_postgres=()
  (( EUID != 0 )) || as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)
}

clean_postgres() {
  [[ ! -s $var/postgres.folder ]] || rm -rf "$(<"$var/postgres.folder")"
  rm -rf "$var"/postgres "$var"/postgres.{folder,out,log}
}

start_postgres() {
  local folder=$var/postgres
  mkdir -m 700 "$folder"
  (( EUID != 0 )) || chown postgres: "$folder"
  if (( ${#folder} > 80 )) || ! "${as_postgres[@]}" test -w "$folder"; then
    rmdir "$folder"
    folder=$(mktemp -d /tmp/interop-gateway-quickstart-XXXXXX)
    (( EUID != 0 )) || chown postgres: "$folder"
    echo "$folder" >"$var/postgres.folder"
  fi
  (cd / && "${as_postgres[@]}" "$(postgres_program initdb)" --auth=trust --username=gateway \
    --encoding=UTF8 --locale=C --pgdata="$folder/data") >"$var/postgres.log" 2>&1 ||
    give_up postgres "initdb could not make a database"
  start postgres /dev/null "${as_postgres[@]}" "$(postgres_program postgres)" -D "$folder/data" \
    -c listen_addresses= -c unix_socket_directories="$folder"
  wait_for 30 postgres "start of PostgreSQL" "$(postgres_program pg_isready)" -q -h "$folder"
  "$(postgres_program createdb)" -h "$folder" -U gateway gateway >>"$var/postgres.log" 2>&1 ||
    give_up postgres "createdb could not make the database"
  store_settings="  kind: postgres
  uri: host=$folder user=gateway dbname=gateway"
  store_name=PostgreSQL store_words="PostgreSQL (its own, in ${folder#"$root"/})"
}
