#include "whatsapp/dialect.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "whatsapp/handshake.pb.h"

namespace gw::whatsapp {
namespace {

// Empty for what is no JWT.
nlohmann::json claims_of(std::string_view token) {
  const auto first = token.find('.');
  const auto second = token.find('.', first + 1);
  auto claims = nlohmann::json::object();
  if (first == std::string_view::npos || second == std::string_view::npos) return claims;
  auto payload = from_base64url(token.substr(first + 1, second - first - 1));
  if (!payload) return claims;
  auto parsed = nlohmann::json::parse(payload->begin(), payload->end(), nullptr, false);
  return parsed.is_object() ? parsed : claims;
}

}  // namespace

Bytes login_payload(const Dialect& dialect, const Login& login) {
  ::whatsapp::ClientPayload p;
  p.set_passive(true);  // the queue waits until the keys are in order
  p.set_pull(true);
  p.set_connect_type(1);    // WIFI_UNKNOWN
  p.set_connect_reason(1);  // USER_ACTIVATED
  p.set_product(::whatsapp::ClientPayload::INTEROP);
  auto* data = p.mutable_interop_data();
  data->set_account_id(dialect.integrator);
  data->set_token(login.token);
  data->set_enable_read_receipts(login.read_receipts);
  p.set_client_address(login.client_address);
  Bytes out(p.ByteSizeLong());
  p.SerializeToArray(out.data(), static_cast<int>(out.size()));
  return out;
}

bool token_may_be_of(std::string_view token, std::string_view user_id) {
  const auto claims = claims_of(token);
  const auto subject = claims.find("sub");
  return subject == claims.end() || !subject->is_string() ||
         subject->get_ref<const std::string&>() == user_id;
}

std::optional<WallTime> token_expires(std::string_view token) {
  constexpr std::int64_t kLatest = 253'402'300'799;  // the end of the year 9999
  const auto claims = claims_of(token);
  const auto expires = claims.find("exp");
  if (expires == claims.end() || !expires->is_number()) return std::nullopt;
  const auto seconds = std::clamp(expires->get<double>(), 0.0, static_cast<double>(kLatest));
  return from_unix_ms(static_cast<std::int64_t>(seconds) * 1000);
}

stanza::Jid own_address(const Dialect& dialect, std::string_view user_id) {
  return stanza::Jid::interop(dialect.integrator, user_id);
}

stanza::Node opt_in_query() { return stanza::Node("interop"); }

bool opted_in(const stanza::Node& usync_user) {
  const auto* answer = usync_user.child("interop");
  return answer != nullptr && answer->attr_is("opted_in", "true");
}

message::Reason refusal(std::int64_t ack_error) {
  switch (ack_error) {
    case 403:
      return message::Reason::kContactNotOptedIn;
    case 404:
      return message::Reason::kContactUnknown;
    default:
      return message::Reason::kRefused;
  }
}

}  // namespace gw::whatsapp
