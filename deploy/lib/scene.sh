# shellcheck shell=bash disable=SC2034,SC2154  # root, var, build, port, phone: set by deploy/quickstart
# The scene: simulator, gateway, the provider's backend with one client, the WhatsApp user's phone.
# Sourced by deploy/quickstart.

provider=example integrator=1001 issuer=https://id.example.com
user=alice number=4915112345678 lid=100000000000001
text='Good morning from another app'
answer='Good morning, Alice. It works!'

clean_var() {
  rm -rf "${var:?}"/{keys,certificates} "$var"/gateway.{yaml,db,db-shm,db-wal,db.lock} \
    "$var"/{simulator,gateway,phone,backend}.{out,log} "$var/backend.in"
  clean_postgres
}

# The first line of a process's output is JSON and says that it is ready.
first_line() { [[ $(head -n 1 "$var/$1.out" 2>/dev/null) == *\} ]]; }
ready_value() { head -n 1 "$var/$1.out" | jq -r "$2"; }

# gwctl towards the gateway, as the provider's backend.
backend_flags() {
  echo "--target $api --ca certificates/ca.pem --certificate certificates/$provider.pem" \
    "--key certificates/$provider.key"
}
as_backend() {
  # shellcheck disable=SC2046  # flags without blanks
  (cd "$var" && "$gwctl" "$@" $(backend_flags)) 2>>"$var/backend.log"
}

# control METHOD PATH [JSON]: the simulator's control API; prints the answer's JSON.
control() {
  local reply socket body=${3-}
  reply=$(
    exec {socket}<>"/dev/tcp/127.0.0.1/$control_port" || exit 1
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' \
      "$1" "$2" "${#body}" "$body" >&"$socket"
    timeout --foreground 10 cat <&"$socket"
  ) || give_up simulator "$1 $2: no answer from the simulator"
  [[ $reply == HTTP/1.1\ 2* ]] ||
    give_up simulator "$1 $2: the simulator said ${reply##*$'\r\n\r\n'}"
  echo "${reply#*$'\r\n\r\n'}"
}

start_simulator() {
  (cd "$var" && "$gwctl" dev keys --out keys && "$gwctl" dev certs --out certificates \
    --provider "$provider") >"$var/keys.log" 2>&1 || give_up keys "gwctl dev could not make keys"
  step "keys and certificates made (gwctl dev)"
  start simulator /dev/null "$simulator" --provider "$integrator=$issuer=keys/jwks.json"
  wait_for 10 simulator "start of the simulator" first_line simulator
  control_port=$(ready_value simulator .http_port)
  step "simulated WhatsApp on 127.0.0.1:$(ready_value simulator .tcp_port)"
}

store_settings='  kind: sqlite
  path: gateway.db'
store_words=SQLite store_name=SQLite

write_settings() {
  cat >"$var/gateway.yaml" <<END
# Made by deploy/quickstart; config/gateway.example.yaml explains every setting.
listen:
  api: 127.0.0.1:$port
  tls:
    certificate: certificates/server.pem
    key: certificates/server.key
    client_ca: certificates/ca.pem
operator:
  listen: 127.0.0.1:0
store:
$store_settings
keys:
  key_encryption_key_file: keys/key_encryption_key
whatsapp:  # the simulator
  host: 127.0.0.1
  port: $(ready_value simulator .tcp_port)
  root_key: $(ready_value simulator .root_key)
limits:
  drain_timeout: 5s
providers:
  - id: $provider
    integrator: $integrator
    issuer: $issuer
    trust_level: IN_GATEWAY
    adapter: native
END
}

start_gateway() {
  write_settings
  start gateway /dev/null "$gateway" --config gateway.yaml
  wait_for 15 gateway "start of the gateway" first_line gateway
  api=$(ready_value gateway .api) operator=$(ready_value gateway .operator)
  step "gateway: gRPC on $api, operator on $operator, $store_words"
}

start_phone() {
  local account
  account=$(jq -nc --arg number "$number" --arg lid "$lid" --arg phone "$phone" \
    '{$number, $lid, name: "Wanda", opted_in: true, simulated: ($phone == "simulated")}')
  control POST /accounts "$account" >/dev/null
  if [[ $phone == baileys ]]; then
    start phone /dev/null "$NODE" "$root/deploy/lib/baileys_phone.mjs" \
      "$(ready_value simulator .ws_port)" "$(ready_value simulator .root_key)" \
      "$number" "$lid" "$answer"
    wait_for 30 phone "login of Baileys" first_line phone
    step "WhatsApp phone +$number: Baileys $(ready_value phone .version), unmodified, logged in"
  else
    step "WhatsApp phone +$number: a simulated one, with its own Signal keys"
  fi
}

# The backend is `gwctl attach`: it takes commands as lines and prints each frame of the stream.
attach_client() {
  local flags
  as_backend enlist "$user" >>"$var/backend.out" ||
    give_up backend "the gateway did not enlist the user"
  step "user $user enlisted; attaching its client"
  mkfifo "$var/backend.in"
  read -ra flags < <(backend_flags)
  start backend "$var/backend.in" "$gwctl" attach "$user" "${flags[@]}" \
    --signing-key keys/signing_key.pem --issuer "$issuer"
  wait_for 20 backend "the link of $user to WhatsApp" \
    grep -qF '"state":"LINK_STATE_UP"' "$var/backend.out"
  step "link up: Noise handshake and login done"
}

frames() { jq -r --arg text "$answer" "$1" "$var/backend.out" 2>/dev/null || true; }

# "milliseconds STATE" a line, in the order of the events.
states() {
  frames '.events.events[]? | select(.message_status) |
    "\(.time) \(.message_status.state | ltrimstr("MESSAGE_STATE_"))"'
}
reached() { states | grep -q " $1\$"; }
reply_came() { [[ $(frames '.events.events[]?.message_received // empty | .message_id') ]]; }
refused() { frames '.submit_results.results[]?.error // empty | "\(.reason): \(.message)"'; }

# "milliseconds<TAB>text" of what the phone's application was shown.
decrypted() {
  if [[ $phone == baileys ]]; then
    jq -r 'select(.text) | "\(.at)\t\(.text)"' "$var/phone.out" 2>/dev/null || true
  else
    control GET "/phones/$number/inbox" | jq -r '.messages[] | "\(.at)\t\(.text)"'
  fi
}
phone_has_it() {
  local problem
  problem=$(refused)
  [[ ! $problem ]] || give_up gateway "the gateway refused the text: $problem"
  [[ $(decrypted) ]]
}

send_and_receive() {
  sent_at=$(date +%s%3N)
  # Open for reading as well: a pipe whose reader is gone must not block.
  printf 'send +%s %s\n' "$number" "$text" 1<>"$var/backend.in"
  wait_for 20 gateway "the text at the phone" phone_has_it
  wait_for 20 gateway "SENT" reached SENT
  wait_for 20 gateway "DELIVERED" reached DELIVERED
  if [[ $phone == simulated ]]; then
    control POST "/phones/$number/read" '{}' >/dev/null
    answered_at=$(date +%s%3N)
    control POST "/phones/$number/send" "$(jq -nc --argjson integrator "$integrator" \
      --arg user "$user" --arg text "$answer" '{to: {$integrator, $user}, $text}')" >/dev/null
  fi
  wait_for 20 gateway "READ" reached READ
  wait_for 20 gateway "the phone's reply" reply_came
  [[ $phone == simulated ]] ||
    answered_at=$(jq -r 'select(.answered) | .answered' "$var/phone.out" | head -n 1)
  check_scene
}

# It is not enough that something came.
check_scene() {
  local came found
  came=$(decrypted | cut -f2)
  [[ $came == "$text" ]] || give_up gateway "the phone decrypted something else: $came"
  came=$(frames '.events.events[]?.message_received // empty | .content.text.body')
  [[ $came == "$answer" ]] || give_up gateway "the provider received something else: $came"
  came=$(states | cut -d' ' -f2 | xargs)
  [[ $came == "SENT DELIVERED READ" ]] || give_up gateway "the message's states: $came"
  found=$(control GET /violations | jq -c .violations)
  [[ $found == "[]" ]] || give_up gateway "WhatsApp's side saw rules broken: $found"
}

# For --stay. From here on the simulated phone reads and echoes what comes, as Baileys answers.
keep_running() {
  [[ $phone == baileys ]] || control POST "/phones/$number/options" \
    '{"auto_read": true, "auto_reply": "echo"}' >/dev/null
  staying=1
}
