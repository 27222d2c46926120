#include "user/concerns.h"
#include "whatsapp/content.h"

namespace gw::user {
namespace {

SubmitResult refused(const std::string& request_id, Error error) {
  return {request_id, {}, message::State::kRejected, std::move(error)};
}

Result<void> check(const message::Submit& submit) {
  if (submit.request_id.empty() || submit.request_id.size() > message::kMaxRequestId)
    return fail(ErrorKind::kRejected, "REQUEST_ID_INVALID", "request_id must be 1 to 128 octets");
  GW_TRY(message::validate(submit.contact));
  return std::visit([](const auto& content) { return message::validate(content); }, submit.content);
}

Error throttled() {
  return {ErrorKind::kThrottled, "THROTTLED",
          "too many messages of this user wait for WhatsApp; send on when some are SENT",
          Millis{1000}};
}

message::Reason reject_reason(Reach reach) {
  switch (reach) {
    case Reach::kUnknown:
      return message::Reason::kContactUnknown;
    case Reach::kNotOptedIn:
      return message::Reason::kContactNotOptedIn;
    default:
      return message::Reason::kContactNoDevices;
  }
}

// Encrypts for every device that has a ratchet; the others are reported. False: for none.
bool encrypt(Draft& d, Order order, const Tag& peer_tag) {
  const Message& m = *d.message(order);
  const std::string lid = d.conversation(peer_tag).peer.lid;
  const std::vector<Device> devices = d.conversation(peer_tag).peer.devices;
  std::vector<whatsapp::Recipient> recipients;
  std::vector<Reached> reached;
  std::vector<std::uint16_t> left_out;
  for (const auto& device : devices) {
    if (auto recipient = encrypt_for(d, m, peer_tag, device.id)) {
      recipients.push_back(*std::move(recipient));
      reached.push_back({device.id});
    } else {
      left_out.push_back(device.id);
    }
  }
  if (recipients.empty()) return false;
  auto bytes = stanza::encode(
      whatsapp::text_stanza(m.message_id, stanza::Jid::lid(lid), std::move(recipients)),
      {d.env().dialect.interop_form});
  if (!bytes) return false;
  auto contact = m.to;
  auto id = m.message_id;
  d.effects.send.push_back(*bytes);
  d.ready(order, *std::move(bytes), std::move(reached));
  for (auto device : left_out) d.add_event(message::DeviceLeftOut{id, contact, device});
  return true;
}

// True when the message left or ended; false when it has to wait.
bool try_send(Draft& d, Order order) {
  // What is READY leaves again on each link, all at once: it must not outgrow the link's queue.
  if (d.ready_bytes() >= d.env().limits.ready_bytes) {
    d.now().held = true;
    return false;
  }
  const Message& m = *d.message(order);
  auto found = resolve(d, m.to, m.contact);
  if (found.reach == Reach::kPending) return false;
  if (found.reach == Reach::kReady) {
    if (encrypt(d, order, found.peer)) return true;
    found.reach = Reach::kNoDevices;
  }
  d.settle(order, message::State::kRejected, reject_reason(found.reach), d.env().wall);
  return true;
}

}  // namespace

std::optional<whatsapp::Recipient> encrypt_for(Draft& d, const Message& m, const Tag& tag,
                                               std::uint16_t device) {
  const Conversation& peer = d.conversation(tag);
  if (!usable_ratchet(peer, device)) return std::nullopt;
  Bytes plain = whatsapp::encode_content(message::Text{m.text});
  signal::pad(plain);
  const std::string lid = peer.peer.lid;
  auto sealed = d.env().engine.encrypt(PeerReader(d, peer), {lid, device}, plain);
  crypto::wipe(plain);
  if (!sealed) return std::nullopt;
  take_writes(d, tag, device, std::move(sealed->writes));
  return whatsapp::Recipient{stanza::Jid::lid(lid, device), sealed->type,
                             std::move(sealed->ciphertext)};
}

Tag body_mac(const Env& env, UserRef user, const message::Submit& submit) {
  Bytes body;
  put_be<1>(body, static_cast<std::uint8_t>(submit.contact.kind));
  put_be<2>(body, submit.contact.value.size());
  append(body, as_bytes(submit.contact.value));
  put_be<1>(body, submit.content.index());
  std::visit([&](const message::Text& text) { append(body, as_bytes(text.body)); }, submit.content);
  return env.names.body(user, body);
}

SubmitResult answer_repeat(const std::string& request_id, const std::string& message_id,
                           message::State state, bool same_body) {
  if (same_body) return {request_id, message_id, state, std::nullopt};
  return refused(request_id, {ErrorKind::kRejected,
                              "REQUEST_ID_REUSED",
                              "this request_id was used for a message with another body",
                              {}});
}

void on_submit(Draft& d, const SubmitInput& in, const Existing& existing) {
  const auto& submit = in.submit;
  auto reply = [&](SubmitResult result) {
    d.effects.replies.push_back({in.origin, std::move(result)});
  };
  if (auto ok = check(submit); !ok) return reply(refused(submit.request_id, ok.error()));
  auto& env = d.env();
  auto request = env.names.request(d.user(), submit.request_id);
  if (existing.requests.contains(request)) return;
  auto mac = body_mac(env, d.user(), submit);
  if (const Message* first = d.by_request(request)) {
    ++d.counts.repeats;
    return reply(
        answer_repeat(submit.request_id, first->message_id, first->state, first->body_mac == mac));
  }
  if (d.unsettled() >= env.limits.unsettled_messages ||
      d.unsettled_bytes() >= env.limits.unsettled_bytes ||
      (d.now().setup == Setup::kActive && d.ready_bytes() >= env.limits.ready_bytes))
    return reply(refused(submit.request_id, throttled()));

  Message m;
  m.request = request;
  m.body_mac = mac;
  m.contact = env.names.contact(d.user(), submit.contact);
  m.created = env.wall;
  m.message_id = env.ids.message_id(d.next_order());
  m.request_id = submit.request_id;
  m.to = submit.contact;
  m.text = std::get<message::Text>(submit.content).body;
  auto named = m.contact;
  auto order = d.add_message(std::move(m)).order;
  // Behind others of this contact it waits its turn.
  if (d.now().waiting.contains(named) || !try_send(d, order))
    d.now().waiting[named].push_back(order);
  const Message& stored = *d.message(order);
  reply({submit.request_id, stored.message_id, stored.state, std::nullopt});
}

void advance(Draft& d, const Tag& named) {
  auto it = d.now().waiting.find(named);
  if (it == d.now().waiting.end()) return;
  auto& orders = it->second;
  while (!orders.empty() && try_send(d, orders.front())) orders.pop_front();
  if (orders.empty()) d.now().waiting.erase(it);
}

void advance_all(Draft& d) {
  std::vector<Tag> contacts;
  for (const auto& [named, orders] : d.now().waiting) contacts.push_back(named);
  for (const auto& named : contacts) advance(d, named);
}

void advance_held(Draft& d) {
  if (!d.now().held || d.ready_bytes() > d.env().limits.ready_bytes / 2) return;
  d.now().held = false;
  advance_all(d);
}

void resend_ready(Draft& d) {
  for (auto order : d.ready_messages()) {
    d.effects.send.push_back(d.message(order)->stanza);
    ++d.counts.resent;
  }
}

void on_ack(Draft& d, const AckInput& in) {
  const auto& ack = in.ack;
  if (ack.of != "message") return;
  auto order = d.env().ids.order_of(ack.id);
  const Message* m = order == 0 ? nullptr : d.message(order);
  if (m == nullptr || m->message_id != ack.id) return void(++d.counts.ignored);
  d.now().unacked.erase(order);
  if (is_owed(d, order)) return rest_acked(d, order, ack);
  if (is_swept(d, *m)) return void(++d.counts.ignored);
  if (ack.error == 0) {
    const auto before = m->state;
    const bool first = before == message::State::kReady || before == message::State::kDelivered ||
                       before == message::State::kRead;
    d.settle(order, message::State::kSent, message::Reason::kNone, ack.at.value_or(d.env().wall));
    if (first) owe_the_rest(d, order, ack);
    forget_if_delivered(d, order);
    return;
  }
  auto reason = whatsapp::refusal(ack.error);
  auto named = m->contact;
  if (!d.settle(order, message::State::kRejected, reason, ack.at.value_or(d.env().wall)))
    return forget_if_delivered(d, order);
  // What was known of the contact no longer holds: ask again before the next message.
  if (reason != message::Reason::kRefused && d.conversation(named).exists) {
    d.edit_conversation(named).peer.fetched_ms = 0;
    d.contact_changed(named);
  }
}

void expire(Draft& d) {
  auto& env = d.env();
  forget_left_out(d);
  expire_resends(d);
  for (const auto& one : d.all_undecrypted())
    if (one.since + env.limits.retry_window <= env.wall) give_up(d, one, "NO_RETRY");
  // What was held back had its keys: it was WhatsApp that took nothing.
  auto reason = d.now().setup == Setup::kActive && !d.now().held ? message::Reason::kKeysTimeout
                                                                 : message::Reason::kLinkTimeout;
  for (auto it = d.now().waiting.begin(); it != d.now().waiting.end();) {
    auto& orders = it->second;
    while (!orders.empty() &&
           d.message(orders.front())->created + env.limits.waiting_timeout <= env.wall) {
      d.settle(orders.front(), message::State::kExpired, reason, env.wall);
      orders.pop_front();
    }
    it = orders.empty() ? d.now().waiting.erase(it) : std::next(it);
  }
  for (auto order : d.ready_messages()) {
    if (d.message(order)->created + env.limits.resend_window > env.wall) break;
    d.settle(order, message::State::kUnconfirmed, message::Reason::kNone, env.wall);
  }
}

void reject_waiting(Draft& d, message::Reason reason) {
  for (auto& [named, orders] : d.now().waiting)
    for (auto order : orders) d.settle(order, message::State::kRejected, reason, d.env().wall);
  d.now().waiting.clear();
}

void on_withdraw(Draft& d) {
  reject_waiting(d, message::Reason::kWithdrawn);
  for (auto orders : {d.ready_messages(), d.fresh_ready_messages()})
    for (auto order : orders)
      d.settle(order, message::State::kUnconfirmed, message::Reason::kWithdrawn, d.env().wall);
  drop_lookups(d);
  drop_resends(d);
  drop_owed(d);
  drop_unacked(d);
  for (const auto& one : d.all_undecrypted()) give_up(d, one, "WITHDRAWN");
  d.withdraw();
}

}  // namespace gw::user
