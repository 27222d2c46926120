#include <charconv>

#include "whatsapp_sim/control/control.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

constexpr std::int64_t kMaxWaitMs = 60'000;

std::uint64_t number_of(const std::string& text, std::uint64_t otherwise) {
  std::uint64_t value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size() && !text.empty() ? value
                                                                                  : otherwise;
}

std::string_view state_name(Outgoing::State state) {
  switch (state) {
    case Outgoing::State::kSent:
      return "sent";
    case Outgoing::State::kAcked:
      return "acked";
    case Outgoing::State::kDelivered:
      return "delivered";
    case Outgoing::State::kRead:
      return "read";
    case Outgoing::State::kRefused:
      return "refused";
  }
  return "";
}

}  // namespace

// ?after=n&wait_ms=m&device=d: entries above n; waits up to m for the first one.
void Control::inbox(const HttpRequest& request, const HttpAnswer& answer) {
  auto* phone = phone_of(request, answer);
  if (!phone) return;
  auto after = number_of(request.parameter("after"), 0);
  auto wait = static_cast<std::int64_t>(number_of(request.parameter("wait_ms"), 0));
  auto device = static_cast<std::uint16_t>(number_of(request.parameter("device"), 0));
  auto reply = [phone, after, device, answer] {
    answer(200, {{"messages", phone->inbox_json(after, device)}, {"last", phone->inbox().size()}});
  };
  if (phone->inbox().size() > after || wait <= 0) return reply();
  phone->wait(std::chrono::milliseconds(std::min(wait, kMaxWaitMs)), reply);
}

void Control::outbox(const HttpRequest& request, const HttpAnswer& answer) {
  auto* phone = phone_of(request, answer);
  if (!phone) return;
  Json all = Json::object();
  for (const auto& [id, out] : phone->outgoing()) {
    if (out.flood) continue;
    all[id] = {
        {"to", out.to->lid}, {"state", std::string(state_name(out.state))}, {"error", out.error}};
  }
  answer(200, all);
}

void Control::send(const HttpRequest& request, const HttpAnswer& answer) {
  auto* phone = phone_of(request, answer);
  if (!phone) return;
  if (!request.body.is_object() || !request.body.contains("to")) {
    return refuse(answer, 400, "expected {to, text}");
  }
  const auto* to = recipient(request.body["to"]);
  if (!to) return refuse(answer, 404, "to: nobody there (an interop user exists from its login)");
  auto id = phone->send_text(*to, text_in(request.body, "text"));
  if (!id) {
    return refuse(answer, 409, std::string(id.error().reason) + ": " + id.error().message);
  }
  answer(200, {{"id", *id}});
}

// {"upto": n}: the application marks as read what it shows up to entry n; everything without it.
void Control::read(const HttpRequest& request, const HttpAnswer& answer) {
  auto* phone = phone_of(request, answer);
  if (!phone) return;
  auto last = static_cast<std::int64_t>(phone->inbox().size());
  auto upto = number_in(request.body, "upto", last);
  answer(200, {{"read", phone->read_up_to(static_cast<std::uint64_t>(upto))}});
}

// Another identity, as after the application was installed anew.
void Control::reinstall(const HttpRequest& request, const HttpAnswer& answer) {
  auto* phone = phone_of(request, answer);
  if (!phone) return;
  for (const auto& [id, device] : phone->account().devices) phone->device(id)->reinstall();
  answer(200, account_json(phone->account()));
}

// {to, count}: so many messages are encrypted and lost; the next one is that far ahead.
void Control::skip(const HttpRequest& request, const HttpAnswer& answer) {
  auto* phone = phone_of(request, answer);
  if (!phone) return;
  const auto* to = request.body.contains("to") ? recipient(request.body["to"]) : nullptr;
  auto count = number_in(request.body, "count", 0);
  if (!to || count <= 0 || count > 100'000) return refuse(answer, 400, "expected {to, count}");
  for (std::int64_t i = 0; i < count; ++i) {
    auto lost = phone->device(0)->waste(*to);
    if (!lost) return refuse(answer, 409, std::string(lost.error().reason));
  }
  answer(200, {{"skipped", count}});
}

void Control::start_flood(const HttpRequest& request, const HttpAnswer& answer) {
  auto* phone = phone_of(request, answer);
  if (!phone) return;
  const auto& body = request.body;
  if (!body.is_object() || !body.contains("to")) {
    return refuse(answer, 400, "expected {to, count, text_size?, rate?, window?}");
  }
  Phone::FloodOrder order;
  auto targets = body["to"].is_array() ? body["to"] : Json::array({body["to"]});
  for (const auto& one : targets) {
    const auto* to = recipient(one);
    if (!to) return refuse(answer, 404, "to: nobody there");
    order.to.push_back(to);
  }
  auto count = number_in(body, "count", 0), size = number_in(body, "text_size", 64);
  auto window = number_in(body, "window", 256);
  if (order.to.empty() || count <= 0 || size < 0 || size > (1 << 20) || window < 0) {
    return refuse(answer, 400, "count: above 0; text_size: up to 1048576; window: 0 or more");
  }
  order.count = static_cast<std::uint64_t>(count);
  order.text_size = static_cast<std::size_t>(size);
  order.window = static_cast<std::size_t>(window);
  if (body.contains("rate") && body["rate"].is_number()) order.rate = body["rate"].get<double>();
  phone->flood(std::move(order));
  answer(202, phone->flood_json());
}

void Control::flood_state(const HttpRequest& request, const HttpAnswer& answer) {
  auto* phone = phone_of(request, answer);
  if (phone) answer(200, phone->flood_json());
}

}  // namespace gw::sim
