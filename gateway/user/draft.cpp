#include "user/draft.h"

#include <algorithm>

#include "user/blobs.h"

namespace gw::user {
namespace {

const Conversation kUnknown{};

const PrekeyBatch* find(const std::map<std::uint32_t, PrekeyBatch>& batches, std::uint32_t id) {
  auto it = batches.find(id);
  return it == batches.end() ? nullptr : &it->second;
}

}  // namespace

Draft::Draft(const State& base, Env& env)
    : base_(base),
      env_(env),
      now_(base.now),
      next_order_(base.account.next_order),
      next_event_(base.account.next_event),
      acked_(base.account.acked_event) {}

Profile& Draft::edit_profile() {
  if (!profile_) profile_ = base_.profile;
  return *profile_;
}

const Conversation& Draft::conversation(const Tag& tag) const {
  if (auto it = conversations_.find(tag); it != conversations_.end()) return it->second;
  auto it = base_.conversations.find(tag);
  return it == base_.conversations.end() ? kUnknown : it->second;
}

Conversation& Draft::edit_conversation(const Tag& tag) {
  auto [it, fresh] = conversations_.try_emplace(tag);
  if (fresh) {
    if (auto base = base_.conversations.find(tag); base != base_.conversations.end())
      it->second = base->second;
    it->second.tag = tag;
  }
  return it->second;
}

void Draft::contact_changed(const Tag& tag) {
  edit_conversation(tag).exists = true;
  contact_rows_[tag] = true;
}

void Draft::put_ratchet(const Tag& tag, std::uint16_t device, Bytes record) {
  edit_conversation(tag).ratchets[device] = std::move(record);
  ratchet_rows_[tag][device] = true;
}

const PrekeyBatch* Draft::batch(std::uint32_t first_id) const {
  if (auto it = batches_.find(first_id); it != batches_.end()) return &it->second;
  return base_.prekeys ? find(*base_.prekeys, first_id) : nullptr;
}

std::vector<std::uint32_t> Draft::batches() const {
  std::vector<std::uint32_t> ids;
  if (base_.prekeys)
    for (const auto& [id, batch] : *base_.prekeys)
      if (!batches_.contains(id)) ids.push_back(id);
  for (const auto& [id, batch] : batches_)
    if (!batch.keys.empty()) ids.push_back(id);
  return ids;
}

const signal::PreKey* Draft::prekey(std::uint32_t id) const {
  for (auto first : batches())
    for (const auto& key : batch(first)->keys)
      if (key.id == id) return &key;
  return nullptr;
}

PrekeyBatch& Draft::edit_batch(std::uint32_t first_id) {
  auto [it, fresh] = batches_.try_emplace(first_id);
  if (fresh) {
    if (const auto* base = base_.prekeys ? find(*base_.prekeys, first_id) : nullptr)
      it->second = *base;
    it->second.first_id = first_id;
  }
  return it->second;
}

PrekeyBatch& Draft::add_batch(PrekeyBatch batch) {
  auto first = batch.first_id;
  return batches_.insert_or_assign(first, std::move(batch)).first->second;
}

void Draft::spend_prekey(std::uint32_t id) {
  for (auto first : batches()) {
    const auto& keys = batch(first)->keys;
    auto has = [&](const auto& key) { return key.id == id; };
    if (std::any_of(keys.begin(), keys.end(), has))
      return void(std::erase_if(edit_batch(first).keys, has));
  }
}

const Message* Draft::message(Order order) const {
  if (auto it = messages_.find(order); it != messages_.end()) return &it->second;
  auto it = base_.messages.find(order);
  return it == base_.messages.end() ? nullptr : &it->second;
}

const Message* Draft::by_request(const Tag& request) const {
  if (auto it = by_request_.find(request); it != by_request_.end()) return message(it->second);
  auto it = base_.by_request.find(request);
  return it == base_.by_request.end() ? nullptr : message(it->second);
}

Message& Draft::add_message(Message message) {
  message.order = next_order_++;
  by_request_[message.request] = message.order;
  ++unsettled_change_;
  unsettled_bytes_change_ += static_cast<std::ptrdiff_t>(message.bytes());
  ++counts.accepted;
  return messages_.emplace(message.order, std::move(message)).first->second;
}

Message& Draft::edit_message(Order order) {
  auto it = messages_.find(order);
  if (it == messages_.end()) it = messages_.emplace(order, base_.messages.at(order)).first;
  return it->second;
}

bool Draft::settle(Order order, message::State state, message::Reason reason, WallTime at) {
  const Message* now = message(order);
  if (now == nullptr || !message::may_follow(now->state, state)) return false;
  Message& m = edit_message(order);
  const bool first = !message::is_settled(m.state);
  if (first) {
    --unsettled_change_;
    unsettled_bytes_change_ -= static_cast<std::ptrdiff_t>(m.bytes());
    if (m.state == message::State::kReady)
      ready_bytes_change_ -= static_cast<std::ptrdiff_t>(m.bytes());
  }
  m.state = state;
  m.reason = reason;
  if (first) m.stanza.clear();  // later it may be a rest that is owed
  if (auto* update = update_of(m)) {
    update->state = state;
    update->reason = reason;
    if (first) update->stanza = Bytes{};
  }
  ++counts.states[state];
  add_event(message::MessageStatus{m.message_id, m.request_id, m.to, state, reason, at});
  return true;
}

void Draft::ready(Order order, Bytes stanza, std::vector<Reached> reached) {
  Message& m = edit_message(order);
  const auto before = static_cast<std::ptrdiff_t>(m.bytes());
  unsettled_bytes_change_ -= before;
  if (m.state == message::State::kReady) ready_bytes_change_ -= before;
  m.reached = std::move(reached);
  if (auto* update = update_of(m)) {
    update->state = message::State::kReady;
    update->stanza = stanza;
    update->devices = write_reached(m.reached);
  }
  m.state = message::State::kReady;
  m.stanza = std::move(stanza);
  const auto now = static_cast<std::ptrdiff_t>(m.bytes());
  unsettled_bytes_change_ += now;
  ready_bytes_change_ += now;
  ++counts.encrypted;
}

// Nothing for a message of this step: it is inserted as it is in the end.
store::MessageUpdate* Draft::update_of(const Message& m) {
  if (m.order >= base_.account.next_order) return nullptr;
  auto& update = updates_[m.order];
  update.order = m.order;
  update.created = m.created;
  return &update;
}

void Draft::set_reached(Order order, std::vector<Reached> reached) {
  Message& m = edit_message(order);
  m.reached = std::move(reached);
  if (auto* update = update_of(m)) update->devices = write_reached(m.reached);
}

void Draft::set_rest(Order order, Bytes stanza) {
  Message& m = edit_message(order);
  m.stanza = std::move(stanza);
  if (auto* update = update_of(m)) update->stanza = m.stanza;
}

void Draft::forget_text(Order order) {
  Message& m = edit_message(order);
  m.forgotten = true;
  m.text.clear();
  if (auto* update = update_of(m)) update->content = write_message(m);
}

const Undecrypted* Draft::undecrypted(const Tag& message) const {
  if (auto it = undecrypted_.find(message); it != undecrypted_.end())
    return it->second ? &*it->second : nullptr;
  auto it = base_.undecrypted.find(message);
  return it == base_.undecrypted.end() ? nullptr : &it->second;
}

std::vector<Undecrypted> Draft::all_undecrypted() const {
  std::vector<Undecrypted> all;
  for (const auto& [tag, one] : base_.undecrypted)
    if (!undecrypted_.contains(tag)) all.push_back(one);
  for (const auto& [tag, one] : undecrypted_)
    if (one) all.push_back(*one);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.seq < b.seq; });
  return all;
}

void Draft::put_undecrypted(Undecrypted one) {
  auto tag = one.tag;
  undecrypted_.insert_or_assign(tag, std::move(one));
}

void Draft::drop_undecrypted(const Tag& message) {
  undecrypted_.erase(message);
  if (base_.undecrypted.contains(message)) undecrypted_[message] = std::nullopt;
}

std::size_t Draft::unsettled() const {
  return static_cast<std::size_t>(static_cast<std::ptrdiff_t>(base_.unsettled) + unsettled_change_);
}

std::size_t Draft::unsettled_bytes() const {
  return static_cast<std::size_t>(static_cast<std::ptrdiff_t>(base_.unsettled_bytes) +
                                  unsettled_bytes_change_);
}

std::size_t Draft::ready_bytes() const {
  return static_cast<std::size_t>(static_cast<std::ptrdiff_t>(base_.ready_bytes) +
                                  ready_bytes_change_);
}

std::vector<Order> Draft::fresh_ready_messages() const {
  std::vector<Order> orders;
  for (auto it = messages_.lower_bound(base_.account.next_order); it != messages_.end(); ++it)
    if (it->second.state == message::State::kReady) orders.push_back(it->first);
  return orders;
}

std::vector<Order> Draft::ready_messages() const {
  std::vector<Order> orders;
  for (auto it = base_.messages.lower_bound(base_.account.lowest_unsettled);
       it != base_.messages.end(); ++it)
    if (message(it->first)->state == message::State::kReady) orders.push_back(it->first);
  return orders;
}

void Draft::add_event(decltype(message::Event::body) body) {
  effects.events.push_back({next_event_++, env_.wall, std::move(body)});
}

const store::Received* Draft::received(const Tag& message) const {
  auto it = std::find_if(received_.begin(), received_.end(),
                         [&](const auto& row) { return row.message == message; });
  return it == received_.end() ? nullptr : &*it;
}

void Draft::put_received(store::Received row) {
  auto it = std::find_if(received_.begin(), received_.end(),
                         [&](const auto& known) { return known.message == row.message; });
  if (it == received_.end()) return received_.push_back(std::move(row));
  row.known = it->known;  // whether a row of it was there before this step
  *it = std::move(row);
}

void Draft::acknowledge(EventSeq seq) {
  now_.provider_ack = std::max(now_.provider_ack, std::min(seq, next_event_ - 1));
}

void Draft::withdraw() {
  withdrawn_ = true;
  Profile only_the_name;
  only_the_name.user_id = profile().user_id;
  edit_profile() = std::move(only_the_name);
  effects.withdrawn = true;
}

Order Draft::lowest_unsettled() const {
  Order at = base_.account.lowest_unsettled;
  while (at < next_order_) {
    const Message* m = message(at);
    if (m != nullptr && !message::is_settled(m->state)) break;
    ++at;
  }
  return at;
}

bool Draft::has_changes() const {
  return profile_ || withdrawn_ || !contact_rows_.empty() || !ratchet_rows_.empty() ||
         !batches_.empty() || !messages_.empty() || !received_.empty() || !undecrypted_.empty() ||
         !effects.events.empty() || (forced_ && now_.provider_ack > acked_);
}

store::ChangeSet Draft::change_set(std::uint64_t change) const {
  store::ChangeSet cs;
  const auto& account = base_.account;
  cs.user = account.user;
  cs.term = account.term;
  cs.version = account.version;
  cs.change = change;
  cs.next_order = next_order_;
  cs.lowest_unsettled = lowest_unsettled();
  cs.next_event = next_event_;
  cs.acked_event = std::max(acked_, now_.provider_ack);
  if (profile_) cs.profile = write_profile(*profile_);
  if (withdrawn_) {
    cs.state = store::AccountState::kWithdrawn;
    cs.erase_keys = true;
  } else {
    for (const auto& [tag, devices] : ratchet_rows_)
      for (const auto& [device, written] : devices)
        cs.ratchets.push_back({tag, device, conversation(tag).ratchets.at(device)});
    for (const auto& [tag, written] : contact_rows_)
      cs.contacts.push_back({tag, write_peer(conversation(tag).peer)});
    for (const auto& [first, batch] : batches_)
      cs.prekeys.push_back({first, batch.keys.empty() ? Bytes{} : write_prekeys(batch)});
  }
  for (const auto& [order, m] : messages_) {
    if (order < account.next_order) continue;
    cs.messages.push_back({order, m.request, m.body_mac, m.contact, m.state, m.created,
                           write_message(m), m.stanza, write_reached(m.reached), m.reason});
  }
  for (const auto& [order, update] : updates_) cs.updates.push_back(update);
  for (const auto& event : effects.events)
    cs.events.push_back({event.seq, event.at, write_event(event)});
  cs.received = received_;
  for (const auto& [tag, one] : undecrypted_)
    cs.undecrypted.push_back(
        {tag, one ? one->since : WallTime{}, one ? write_undecrypted(*one) : Bytes{}});
  return cs;
}

void Draft::absorb_into(State& state, bool committed) && {
  if (committed) {
    ++state.account.version;
    state.account.acked_event = std::max(acked_, now_.provider_ack);
    state.account.lowest_unsettled = lowest_unsettled();
  }
  state.account.next_order = next_order_;
  state.account.next_event = next_event_;
  state.unsettled = unsettled();
  state.unsettled_bytes = unsettled_bytes();
  state.ready_bytes = ready_bytes();
  state.now = std::move(now_);
  if (profile_) state.profile = *std::move(profile_);
  for (auto& [tag, conversation] : conversations_) {
    conversation.used = ++state.uses;
    state.conversations.insert_or_assign(tag, std::move(conversation));
  }
  for (auto& [first, batch] : batches_) {
    if (!state.prekeys) break;
    if (batch.keys.empty()) {
      state.prekeys->erase(first);
    } else {
      state.prekeys->insert_or_assign(first, std::move(batch));
    }
  }
  for (auto& [order, m] : messages_) {
    if (m.state != message::State::kWaiting) m.text.clear();
    state.put_message(std::move(m));
  }
  for (auto& [tag, one] : undecrypted_) {
    if (one) {
      state.undecrypted.insert_or_assign(tag, *std::move(one));
    } else {
      state.undecrypted.erase(tag);
    }
  }
  if (withdrawn_) state.account.state = store::AccountState::kWithdrawn;
}

}  // namespace gw::user
