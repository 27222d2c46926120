# shellcheck shell=bash disable=SC2034,SC2154  # root, var and what scene.sh sets
# What a person sees. 80 columns, ASCII; bold on a terminal only. Sourced by deploy/quickstart.

bold='' plain=''
if [[ -t 1 && ! ${NO_COLOR-} ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi

headline() { printf '%s%s%s\n' "$bold" "$1" "$plain"; }

clock() { printf '%(%H:%M:%S)T.%03d' $(($1 / 1000)) $(($1 % 1000)); }  # of milliseconds

# Rows of the table: "milliseconds<TAB>left|right<TAB>what happened<TAB>text, may be empty".
rows() {
  local at state what
  printf '%s\tleft\tsends\t"%s"\n' "$sent_at" "$text"
  decrypted | while IFS=$'\t' read -r at what; do printf '%s\tright\tdecrypts\t"%s"\n' "$at" "$what"; done
  states | while read -r at state; do
    case $state in
      SENT) what="SENT to WhatsApp" ;;
      DELIVERED) what="DELIVERED to the phone" ;;
      READ) what="READ by its owner" ;;
    esac
    printf '%s\tleft\t%s\t\n' "$(date -d "$at" +%s%3N)" "$what"
  done
  printf '%s\tright\treplies\t"%s"\n' "$answered_at" "$answer"
  frames '.events.events[]? | select(.message_received) | "\(.time) \(.message_received.content.text.body)"' |
    while read -r at what; do
      printf '%s\tleft\treceives the reply\t"%s"\n' "$(date -d "$at" +%s%3N)" "$what"
    done
}

line() { printf ' %-37s | %-38s' "$1" "$2" | sed 's/ *$//'; echo; }

show_table() {
  local at side what said part
  echo
  headline "$(line "provider's backend, user $user" "WhatsApp phone +$number")"
  echo "---------------------------------------+----------------------------------------"
  rows | sort -s -n -k1,1 | while IFS=$'\t' read -r at side what said; do
    { echo "$(clock "$at")  $what"; [[ ! $said ]] || fold -s -w 33 <<<"$said" | sed 's/^/    /'; } |
      while IFS= read -r part; do
        if [[ $side == left ]]; then line "$part" ""; else line "" "$part"; fi
      done
  done
  echo
}

show_truth() {
  local real_phone='' simulated_phone=''
  if [[ $phone == baileys ]]; then
    real_phone=$'\n            Baileys from npm, unmodified, as the phone'
  else
    simulated_phone=$'; its phone, which\n            holds Signal keys of its own and really decrypts'
  fi
  cat <<END
 real       the gateway; gRPC with mTLS; Noise link; binary stanzas; Signal
            sessions, encryption and receipts; commits to $store_name$real_phone
 simulated  WhatsApp's server (tests/whatsapp_sim)$simulated_phone
 invented   what Meta has not published: login, token, addresses and opt-in of
            interop users (gateway/whatsapp/dialect.h)
 checked    by the far side: no message key used twice, no id with two contents
 mind       trust level IN_GATEWAY: the gateway encrypts and can read the text;
            this is not end-to-end encryption in the strict sense

END
}

# Each command can be pasted by itself, in the project's root.
show_commands() {
  local v="${var#"$root"/}" b="${build#"$root"/}" flags buf service
  v=$(printf %q "$v") b=$(printf %q "$b")
  flags="--target $api --ca $v/certificates/ca.pem \\
    --certificate $v/certificates/$provider.pem --key $v/certificates/$provider.key"
  buf=tests/integration/node_modules/.bin/buf
  [[ -x $root/$buf ]] ||
    buf="npx --yes @bufbuild/buf@$(jq -r '.devDependencies["@bufbuild/buf"]' "$root/tests/integration/package.json")"
  service=interop.gateway.v1.GatewayService
  headline "It is running. To try next:"
  cat <<END
cd $(printf %q "$root")

# another text; the phone reads and answers it
$b/gateway/gwctl/gwctl send $user +$number 'Hello again' \\
    $flags

# what the provider is told: states, and the phone's answers
$b/gateway/gwctl/gwctl events $user \\
    $flags

# can this number be reached, and the safety number to compare (GetContact)
$b/gateway/gwctl/gwctl contact $user +$number \\
    $flags

# the same API without our tools, by reflection (buf from npm)
$buf curl --protocol grpc \\
    --cacert $v/certificates/ca.pem --cert $v/certificates/$provider.pem \\
    --key $v/certificates/$provider.key -d '{"user_id":"$user"}' \\
    https://$api/$service/GetUser

# frames of the backend's stream, as they come
tail -f $v/backend.out

# metrics, and whether it is ready, for those who run it
curl -s http://$operator/metrics
curl -s http://$operator/readyz
END
  [[ $phone == baileys ]] || cat <<END

# the phone writes first
curl -s http://127.0.0.1:$control_port/phones/$number/send -d \\
    '{"to":{"integrator":$integrator,"user":"$user"},"text":"Are you there?"}'
END
  command -v curl >/dev/null || printf '\n(curl is not installed here: apt-get install curl)\n'
  cat <<END

# stop everything
$(again --stop)
END
}
