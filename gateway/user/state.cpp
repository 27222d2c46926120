#include "user/state.h"

#include <algorithm>

#include "user/blobs.h"

namespace gw::user {

Device* Peer::device(std::uint16_t id) {
  for (auto& d : devices)
    if (d.id == id) return &d;
  return nullptr;
}

const Device* Peer::device(std::uint16_t id) const {
  for (const auto& d : devices)
    if (d.id == id) return &d;
  return nullptr;
}

Bytes write_reached(const std::vector<Reached>& reached) {
  Bytes out;
  for (const auto& r : reached) {
    put_be<2>(out, r.device);
    out.push_back(static_cast<std::uint8_t>((r.delivered ? 0x80 : 0) | (r.told ? 0x40 : 0) |
                                            (r.rest ? 0x20 : 0) | (r.retries & 0x1f)));
  }
  return out;
}

std::vector<Reached> read_reached(ByteView octets) {
  std::vector<Reached> out;
  for (; octets.size() >= 3; octets = octets.subspan(3))
    out.push_back({static_cast<std::uint16_t>(get_be<2>(octets)), (octets[2] & 0x80) != 0,
                   (octets[2] & 0x20) != 0, (octets[2] & 0x40) != 0,
                   static_cast<std::uint8_t>(octets[2] & 0x1f)});
  return out;
}

Result<State> State::from_rows(store::UserRows rows) {
  State state;
  GW_ASSIGN(state.profile, read_profile(rows.account.profile));
  rows.account.profile.clear();
  state.account = std::move(rows.account);
  for (auto& row : rows.unsettled) GW_TRY(state.add_message(std::move(row)));
  state.forget_texts();
  for (const auto& row : rows.undecrypted) {
    GW_ASSIGN(auto one, read_undecrypted(row));
    state.undecrypted.emplace(row.message, std::move(one));
  }
  for (const auto& [order, m] : state.messages) {
    if (m.state == message::State::kWaiting) state.now.waiting[m.contact].push_back(order);
    if (!message::is_settled(m.state)) {
      ++state.unsettled;
      state.unsettled_bytes += m.bytes();
      if (m.state == message::State::kReady) state.ready_bytes += m.bytes();
    }
  }
  return state;
}

Result<void> State::add_conversation(store::Conversation rows) {
  Conversation c;
  c.tag = rows.contact;
  c.exists = !rows.blob.empty();
  if (c.exists) {
    GW_ASSIGN(c.peer, read_peer(rows.blob));
  }
  for (auto& ratchet : rows.ratchets) c.ratchets.emplace(ratchet.device, std::move(ratchet.record));
  c.used = ++uses;
  conversations.insert_or_assign(c.tag, std::move(c));
  return {};
}

Result<void> State::add_message(store::MessageRow row) {
  Message m;
  m.order = row.order;
  m.request = row.request;
  m.body_mac = row.body_mac;
  m.contact = row.contact;
  m.state = row.state;
  m.reason = row.reason;
  m.created = row.created;
  m.stanza = std::move(row.stanza);
  if (!row.content.empty()) {
    GW_TRY(read_message(row.content, m));
  }
  m.reached = read_reached(row.devices);
  m.forgotten = m.text.empty();
  if (m.state != message::State::kWaiting && !m.forgotten) with_text.push_back(m.order);
  put_message(std::move(m));
  return {};
}

void State::forget_texts() {
  for (auto order : with_text)
    if (auto it = messages.find(order);
        it != messages.end() && it->second.state != message::State::kWaiting)
      it->second.text.clear();
  with_text.clear();
}

void State::put_message(Message message) {
  by_request[message.request] = message.order;
  auto order = message.order;
  if (message::is_settled(message.state)) {
    message.moved = ++uses;
    settled.emplace_back(order, message.moved);
  }
  messages.insert_or_assign(order, std::move(message));
}

Result<void> State::add_prekeys(std::vector<store::PrekeyBatch> rows) {
  prekeys.emplace();
  for (auto& row : rows) {
    auto batch = read_prekeys(row.first_id, row.blob);
    crypto::wipe(row.blob);
    if (!batch) {
      prekeys.reset();
      return fail(std::move(batch).error());
    }
    prekeys->emplace(row.first_id, *std::move(batch));
  }
  return {};
}

std::optional<WallTime> State::next_deadline(const Limits& limits, WallTime wall,
                                             MonoTime mono) const {
  std::optional<WallTime> next;
  auto at = [&](WallTime t) {
    if (!next || t < *next) next = t;
  };
  for (const auto& [tag, orders] : now.waiting)
    if (auto m = messages.find(orders.front()); m != messages.end())
      at(m->second.created + limits.waiting_timeout);
  if (auto m = messages.find(account.lowest_unsettled);
      m != messages.end() && m->second.state == message::State::kReady)
    at(m->second.created + limits.resend_window);
  for (const auto& [tag, lookup] : now.lookups)
    if (lookup.stage == Lookup::Stage::kPaused) at(wall + (lookup.retry_at - mono));
  if (now.setup == Setup::kPaused) at(wall + (now.setup_retry_at - mono));
  if (now.upload_retry_at) at(wall + (*now.upload_retry_at - mono));
  for (const auto& [tag, one] : undecrypted) at(one.since + limits.retry_window);
  for (const auto& [tag, list] : now.resends)
    for (const auto& r : list) at(wall + (r.since + limits.waiting_timeout - mono));
  if (now.setup == Setup::kActive)
    at(now.rotate_retry_at ? wall + (*now.rotate_retry_at - mono)
                           : from_unix_ms(profile.signed_prekey_ms) + limits.signed_prekey_age);
  return next;
}

void State::trim(const Limits& limits) {
  forget_texts();
  while (settled.size() > limits.settled_cached) {
    auto [order, stamp] = settled.front();
    settled.pop_front();
    auto it = messages.find(order);
    if (it == messages.end() || it->second.moved != stamp) continue;  // moved on since
    by_request.erase(it->second.request);
    messages.erase(it);
  }
  // Down to three quarters at once: finding the oldest costs a look at all of them.
  if (conversations.size() <= limits.conversations_cached) return;
  std::vector<std::pair<std::uint64_t, Tag>> oldest;
  for (const auto& [tag, conversation] : conversations)
    if (!now.lookups.contains(tag) && !now.waiting.contains(tag) && !now.resends.contains(tag))
      oldest.emplace_back(conversation.used, tag);
  std::sort(oldest.begin(), oldest.end());
  const auto keep = limits.conversations_cached * 3 / 4;
  for (std::size_t i = 0; i < oldest.size() && conversations.size() > keep; ++i)
    conversations.erase(oldest[i].second);
}

}  // namespace gw::user
