#include "user/step.h"

#include <algorithm>

#include "user/concerns.h"

namespace gw::user {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::size_t size_of_node(const stanza::Node& node) {
  std::size_t n = sizeof(node) + node.tag.size() + node.as_octets().size();
  for (const auto& [key, value] : node.attrs) n += sizeof(value) + key.size() + 32;
  for (const auto& child : node.children()) n += size_of_node(child);
  return n;
}

class NeedList {
 public:
  NeedList(const State& state, const Env& env) : state_(state), env_(env) {}

  void contact(const message::Contact& contact) {
    if (message::validate(contact)) tag(env_.names.contact(user(), contact));
  }
  // A number's row leads to the row of a LID.
  void tag(const Tag& tag) {
    auto it = state_.conversations.find(tag);
    if (it == state_.conversations.end()) {
      if (std::find(out.conversations.begin(), out.conversations.end(), tag) ==
          out.conversations.end())
        out.conversations.push_back(tag);
      return;
    }
    const Peer& peer = it->second.peer;
    if (!peer.lid.empty()) {
      auto lid = env_.names.contact(user(), {message::Contact::Kind::kLid, peer.lid});
      if (lid != tag) this->tag(lid);
    }
  }
  void message_id(const std::string& id) {
    auto order = env_.ids.order_of(id);
    if (order > 0 && order < state_.account.next_order && !state_.messages.contains(order))
      out.messages.push_back(order);
  }
  // Of a message that is loaded; of another one in the next round.
  void contact_of(const std::string& id) {
    auto m = state_.messages.find(env_.ids.order_of(id));
    if (m != state_.messages.end()) tag(m->second.contact);
  }
  // What a message that is encrypted again needs: its text, its contact.
  void resend(Order order) {
    if (order <= 0 || order >= state_.account.next_order) return;
    auto m = state_.messages.find(order);
    if (m == state_.messages.end()) return out.messages.push_back(order);
    if (m->second.text.empty() && !m->second.forgotten) out.messages.push_back(order);
    tag(m->second.contact);
  }
  void retry(const std::string& id) {
    resend(env_.ids.order_of(id));
    // What already waits for that contact's keys goes with it.
    if (auto m = state_.messages.find(env_.ids.order_of(id)); m != state_.messages.end())
      resends(m->second.contact);
  }
  void unacked() {
    for (auto order : state_.now.unacked)
      if (!state_.messages.contains(order)) out.messages.push_back(order);
  }
  void owed() {
    for (auto order : state_.profile.owed) resend(order);
  }
  void resends(const Tag& named) {
    if (auto it = state_.now.resends.find(named); it != state_.now.resends.end())
      for (const auto& r : it->second) resend(r.order);
  }
  void resends() {
    for (const auto& [named, list] : state_.now.resends) resends(named);
  }
  void prekeys() { out.prekeys = !state_.prekeys; }
  void waiting() {
    for (const auto& [named, orders] : state_.now.waiting) tag(named);
  }

  Needs out;

 private:
  UserRef user() const { return state_.account.user; }
  const State& state_;
  const Env& env_;
};

void answered(Draft& d, const AnswerInput& in) {
  switch (in.kind) {
    case RequestKind::kDevices:
      return on_devices(d, in.contact, in.answer);
    case RequestKind::kKeys:
      return on_keys(d, in.contact, in.answer);
    case RequestKind::kCount:
      return on_count(d, in.answer);
    case RequestKind::kUpload:
      return on_upload(d, in.answer);
    case RequestKind::kActive:
      return on_active(d, in.answer);
    case RequestKind::kRotate:
      return on_rotate(d, in.answer);
  }
}

}  // namespace

std::optional<Input> read_stanza(stanza::Node node) {
  if (node.tag == "message") {
    auto bytes = size_of_node(node);
    auto message = whatsapp::read_message(node);
    if (message && sender_contact(*message)) return InboundInput{*std::move(message), bytes};
    // From nobody that a provider could name (a broadcast, the service itself): take it off.
    return NotificationInput{std::move(node)};
  }
  if (node.tag == "receipt") {
    auto receipt = whatsapp::read_receipt(node);
    if (!receipt) return std::nullopt;
    return ReceiptInput{*std::move(receipt), whatsapp::ack_of(node)};
  }
  if (node.tag == "ack") {
    auto ack = whatsapp::read_ack(node);
    if (!ack) return std::nullopt;
    return AckInput{*std::move(ack)};
  }
  if (node.tag == "notification" || node.tag == "call") return NotificationInput{std::move(node)};
  return std::nullopt;
}

std::size_t size_of(const Input& input) {
  return sizeof(Input) +
         std::visit(Overloaded{[](const SubmitInput& in) {
                                 return in.submit.request_id.size() +
                                        std::get<message::Text>(in.submit.content).body.size();
                               },
                               [](const InboundInput& in) { return in.bytes; },
                               [](const MarkReadInput& in) {
                                 std::size_t n = 0;
                                 for (const auto& id : in.ids) n += sizeof(id) + id.size();
                                 return n;
                               },
                               [](const ReceiptInput& in) { return in.receipt.ids.size() * 48; },
                               [](const NotificationInput& in) { return size_of_node(in.node); },
                               [](const AnswerInput& in) {
                                 return in.answer ? size_of_node(*in.answer) : std::size_t{256};
                               },
                               [](const auto&) { return std::size_t{256}; }},
                    input);
}

// An answer that makes us upload keys, or says that they arrived.
bool uploads(const State& state, const AnswerInput& in, const Env& env) {
  if (in.kind == RequestKind::kUpload) return in.answer.has_value();
  if (in.kind != RequestKind::kCount || !in.answer) return false;
  auto left = whatsapp::read_key_count(*in.answer);
  return !state.profile.uploaded || !left || *left < env.limits.prekeys_low;
}

Needs needs(const State& state, std::span<const Input> inputs, const Env& env) {
  NeedList list(state, env);
  for (const auto& input : inputs) {
    std::visit(
        Overloaded{[&](const SubmitInput& in) { list.contact(in.submit.contact); },
                   [&](const QueryInput& in) { list.contact(in.contact); },
                   [&](const MarkReadInput& in) { list.contact(in.from); },
                   [&](const InboundInput& in) {
                     if (auto sender = sender_contact(in.message))
                       list.tag(env.names.contact(state.account.user, *sender));
                     for (const auto& enc : in.message.encs)
                       if (enc.type == "pkmsg") list.prekeys();
                     // The key that was made for a retry goes with it.
                     if (!state.undecrypted.empty() &&
                         state.undecrypted.contains(env.names.received(
                             state.account.user, in.message.sender().to_string(), in.message.id)))
                       list.prekeys();
                   },
                   [&](const ReceiptInput& in) {
                     if (in.receipt.kind == whatsapp::ReceiptKind::kRetry)
                       return list.retry(in.receipt.ids.front());
                     for (const auto& id : in.receipt.ids) list.message_id(id);
                   },
                   [&](const AckInput& in) {
                     if (in.ack.of != "message") return;
                     list.message_id(in.ack.id);
                     if (in.ack.error != 0) list.contact_of(in.ack.id);
                     if (!in.ack.phash.empty()) list.retry(in.ack.id);
                   },
                   [&](const AnswerInput& in) {
                     if (in.kind == RequestKind::kActive) {
                       list.waiting();
                       list.resends();
                       list.owed();
                     }
                     if (uploads(state, in, env)) list.prekeys();
                     bool devices = in.kind == RequestKind::kDevices;
                     if (devices || in.kind == RequestKind::kKeys) {
                       list.tag(in.contact);
                       list.resends(in.contact);
                     }
                     if (!devices || !in.answer) return;
                     auto users = whatsapp::read_devices(*in.answer);
                     if (!users) return;
                     for (const auto& found : *users)
                       list.contact({message::Contact::Kind::kLid, found.lid});
                   },
                   [&](const NotificationInput& in) {
                     if (auto contact = notified_contact(in.node)) list.contact(*contact);
                     if (whatsapp::low_keys(in.node)) list.prekeys();
                   },
                   [&](const TimerInput&) {
                     list.waiting();
                     list.resends();
                     if (state.now.upload_retry_at || !state.undecrypted.empty()) list.prekeys();
                   },
                   [&](const LinkDown&) { list.unacked(); },
                   [&](const WithdrawInput&) {
                     list.unacked();
                     list.owed();
                     if (!state.undecrypted.empty()) list.prekeys();
                   },
                   [](const auto&) {}},
        input);
  }
  return std::move(list.out);
}

Draft step(const State& state, std::span<const Input> inputs, const Existing& existing, Env& env) {
  Draft d(state, env);
  for (const auto& input : inputs) {
    if (d.effects.withdrawn) break;
    std::visit(Overloaded{[&](const SubmitInput& in) { on_submit(d, in, existing); },
                          [&](const LinkUp& in) {
                            // What this step made for the link before is not for this one: READY
                            // leaves again in order, what was received comes again.
                            d.effects.send.clear();
                            d.effects.requests.clear();
                            d.now().link = in.link;
                            d.now().own_lid = in.own_lid;
                            on_link_up(d);
                          },
                          [&](const LinkDown&) { on_link_down(d); },
                          [&](const InboundInput& in) { on_inbound(d, in, existing); },
                          [&](const ReceiptInput& in) { on_receipt(d, in); },
                          [&](const AckInput& in) { on_ack(d, in); },
                          [&](const NotificationInput& in) { on_notification(d, in); },
                          [&](const AnswerInput& in) { answered(d, in); },
                          [&](const ProviderAckInput& in) { d.acknowledge(in.seq); },
                          [&](const QueryInput& in) { on_query(d, in); },
                          [&](const MarkReadInput& in) { on_mark_read(d, in); },
                          [&](const SettingInput& in) { on_setting(d, in); },
                          [&](const TimerInput&) {
                            expire(d);
                            retry_lookups(d);
                            retry_setup(d);
                            advance_held(d);
                          },
                          [&](const FlushInput&) { d.force(); },
                          [&](const WithdrawInput&) { on_withdraw(d); }},
               input);
  }
  return d;
}

}  // namespace gw::user
