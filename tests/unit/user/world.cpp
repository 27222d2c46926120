#include "world.h"

#include <gtest/gtest.h>

#include "user/blobs.h"
#include "whatsapp/content.h"
#include "whatsapp/keys.h"

namespace gw::user::testing {
namespace {

const signal::Address kUser{"our-user", 0};

stanza::Node number(std::string_view tag, std::uint32_t value, int octets) {
  Bytes b;
  for (int i = octets; i-- > 0;) b.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  return stanza::Node(tag).octets(std::move(b));
}

template <std::size_t N>
void copy(ByteView from, std::array<std::uint8_t, N>& to) {
  ASSERT_EQ(from.size(), N);
  std::copy(from.begin(), from.end(), to.begin());
}

}  // namespace

Phone::Phone(std::string lid, std::uint16_t device)
    : identity_keys(signal::generate_identity()), lid_(std::move(lid)), device_(device) {
  signed_ = signal::generate_signed_prekey(identity_keys, 77);
  prekeys_ = signal::generate_prekeys(500, 10);
}

stanza::Node Phone::keys(bool with_one_time) {
  stanza::Node user("user");
  user.with("jid", jid())
      .add(number("registration", identity_keys.registration_id, 4))
      .add(stanza::Node("identity").octets(ByteView(identity_keys.keys.pub)))
      .add(stanza::Node("skey")
               .add(number("id", signed_.id, 3))
               .add(stanza::Node("value").octets(ByteView(signed_.keys.pub)))
               .add(stanza::Node("signature").octets(ByteView(signed_.signature))));
  if (with_one_time && !prekeys_.empty())
    user.add(stanza::Node("key")
                 .add(number("id", prekeys_.front().id, 3))
                 .add(stanza::Node("value").octets(ByteView(prekeys_.front().keys.pub))));
  return user;
}

const Bytes* Phone::ratchet(const signal::Address&) const { return record_ ? &*record_ : nullptr; }
const signal::PreKey* Phone::prekey(std::uint32_t id) const {
  for (const auto& key : prekeys_)
    if (key.id == id) return &key;
  return nullptr;
}
const signal::SignedPreKey* Phone::signed_prekey(std::uint32_t id) const {
  return id == signed_.id ? &signed_ : nullptr;
}
const crypto::Key32* Phone::remote_identity(const signal::Address&) const {
  return user_identity_ ? &*user_identity_ : nullptr;
}

void Phone::take(signal::Writes writes) {
  if (writes.ratchet) record_ = std::move(writes.ratchet);
  if (writes.remote_identity) user_identity_ = writes.remote_identity;
  if (writes.spent_prekey)
    std::erase_if(prekeys_, [&](const auto& k) { return k.id == *writes.spent_prekey; });
}

std::optional<std::string> Phone::read(const Bytes& bytes) {
  auto node = stanza::decode(bytes);
  if (!node || node->tag != "message") return std::nullopt;
  const auto* participants = node->child("participants");
  stanza::Nodes alone{stanza::Node("to").with("jid", *node->attr_jid("to"))};
  if (const auto* enc = node->child("enc")) alone.front().add(*enc);  // for one device
  for (const auto& to : participants == nullptr ? alone : participants->children()) {
    if (to.attr_jid("jid") != jid()) continue;
    const auto* enc = to.child("enc");
    auto type = enc->attr_is("type", "pkmsg") ? signal::CipherType::kPreKeyMessage
                                              : signal::CipherType::kMessage;
    auto opened = engine_.decrypt(*this, kUser, type, enc->as_octets());
    if (!opened) return std::nullopt;
    take(std::move(opened->writes));
    if (!signal::unpad(opened->plaintext)) return std::nullopt;
    auto content = whatsapp::decode_content(opened->plaintext);
    if (!content) return std::nullopt;
    const auto* known = std::get_if<message::Content>(&*content);
    if (known == nullptr) return std::nullopt;
    return std::get<message::Text>(*known).body;
  }
  return std::nullopt;
}

void Phone::learn(const stanza::Node& upload) {
  signal::Bundle b;
  b.registration_id =
      static_cast<std::uint32_t>(get_be<4>(upload.child("registration")->as_octets()));
  copy(upload.child("identity")->as_octets(), b.identity);
  const auto* skey = upload.child("skey");
  b.signed_prekey_id = static_cast<std::uint32_t>(get_be<3>(skey->child("id")->as_octets()));
  copy(skey->child("value")->as_octets(), b.signed_prekey);
  copy(skey->child("signature")->as_octets(), b.signed_prekey_signature);
  const auto& one = upload.child("list")->children().front();
  b.one_time.emplace();
  b.one_time->id = static_cast<std::uint32_t>(get_be<3>(one.child("id")->as_octets()));
  copy(one.child("value")->as_octets(), b.one_time->key);
  bundle_ = b;
}

stanza::Node Phone::ask_again(std::string_view id, int count, bool with_keys) {
  stanza::Node receipt("receipt");
  receipt.with("from", jid()).with("id", id).with("type", "retry");
  receipt.add(stanza::Node("retry")
                  .with("count", std::int64_t{count})
                  .with("id", id)
                  .with("v", std::int64_t{1}));
  receipt.add(number("registration", identity_keys.registration_id, 4));
  if (!with_keys) return receipt;
  stanza::Node keys("keys");
  const auto mine = this->keys();
  for (const auto& part : mine.children())
    if (part.tag != "registration") keys.add(part);
  return receipt.add(std::move(keys));
}

void Phone::renew(const stanza::Node& retry) {
  auto bundle = whatsapp::read_bundle(retry);
  ASSERT_TRUE(bundle.has_value());
  auto writes = engine_.start(*this, kUser, *bundle);
  ASSERT_TRUE(writes.has_value());
  take(*std::move(writes));
}

void Phone::reinstall() {
  identity_keys = signal::generate_identity();
  signed_ = signal::generate_signed_prekey(identity_keys, 78);
  prekeys_ = signal::generate_prekeys(900, 10);
  record_.reset();
  user_identity_.reset();
}

stanza::Node Phone::write(std::string_view text, std::string_view id) {
  Bytes plain = whatsapp::encode_content(message::Text{std::string(text)});
  signal::pad(plain);
  return write_plain(plain, id);
}

stanza::Node Phone::write_plain(const Bytes& plain, std::string_view id) {
  if (!record_) {
    auto writes = engine_.start(*this, kUser, *bundle_);
    EXPECT_TRUE(writes.has_value());
    take(std::move(*writes));
  }
  auto sealed = engine_.encrypt(*this, kUser, plain);
  EXPECT_TRUE(sealed.has_value());
  take(std::move(sealed->writes));
  return stanza::Node("message")
      .with("from", jid())
      .with("id", id)
      .with("t", std::int64_t{1'800'000'000})
      .with("type", "text")
      .with("notify", "Wanda")
      .add(stanza::Node("enc")
               .with("v", std::int64_t{2})
               .with("type", sealed->type == signal::CipherType::kPreKeyMessage ? "pkmsg" : "msg")
               .octets(std::move(sealed->ciphertext)));
}

World::World() : names_(crypto::Key32{1, 2, 3}) {
  phones = {&phone};
  Profile profile;
  profile.user_id = "alice";
  profile.identity = signal::generate_identity();
  profile.noise = crypto::generate_key_pair();
  profile.signed_prekey = signal::generate_signed_prekey(profile.identity, 1);
  profile.signed_prekey_ms = unix_ms(wall);
  profile.next_prekey_id = 51;
  account_.user = {7, 42};
  account_.term = 3;
  account_.profile = write_profile(profile);
  prekey_rows_[1] = write_prekeys({1, false, signal::generate_prekeys(1, 50)});
  reload();
}

Env World::env() { return {wall, mono, limits, names_, ids_, dialect_, engine_}; }

void World::reload() {
  store::UserRows rows{account_, {}, {}};
  for (const auto& [tag, row] : undecrypted_rows_) rows.undecrypted.push_back(row);
  for (const auto& [order, row] : message_rows_)
    if (!message::is_settled(row.state)) rows.unsettled.push_back(row);
  auto loaded = State::from_rows(std::move(rows));
  ASSERT_TRUE(loaded.has_value());
  state = *std::move(loaded);
}

void World::load_needs(const std::vector<Input>& inputs) {
  for (int round = 0; round < 5; ++round) {
    auto e = env();
    auto need = needs(state, inputs, e);
    bool any = false;
    for (const auto& tag : need.conversations) {
      store::Conversation rows{tag, {}, {}};
      if (auto it = contact_rows_.find(tag); it != contact_rows_.end()) rows.blob = it->second;
      for (const auto& [key, record] : ratchet_rows_)
        if (key.first == tag) rows.ratchets.push_back({tag, key.second, record});
      ASSERT_TRUE(state.add_conversation(std::move(rows)).has_value());
      any = true;
    }
    for (auto order : need.messages)
      if (auto it = message_rows_.find(order); it != message_rows_.end()) {
        ASSERT_TRUE(state.add_message(it->second).has_value());
        any = true;
      }
    if (need.prekeys) {
      std::vector<store::PrekeyBatch> rows;
      for (const auto& [first, blob] : prekey_rows_) rows.push_back({first, blob});
      ASSERT_TRUE(state.add_prekeys(std::move(rows)).has_value());
      any = true;
    }
    if (!any) return;
  }
  FAIL() << "the needs of a step do not end";
}

void World::apply(const store::ChangeSet& cs) {
  ASSERT_EQ(cs.term, account_.term);
  ASSERT_EQ(cs.version, account_.version);
  ++account_.version;
  account_.next_order = cs.next_order;
  account_.lowest_unsettled = cs.lowest_unsettled;
  account_.acked_event = cs.acked_event;
  if (cs.profile) account_.profile = *cs.profile;
  if (cs.state) account_.state = *cs.state;
  if (cs.erase_keys) {
    prekey_rows_.clear();
    contact_rows_.clear();
    ratchet_rows_.clear();
  }
  for (const auto& row : cs.prekeys) {
    if (row.blob.empty()) {
      prekey_rows_.erase(row.first_id);
    } else {
      prekey_rows_[row.first_id] = row.blob;
    }
  }
  for (const auto& row : cs.contacts) contact_rows_[row.contact] = row.blob;
  for (const auto& row : cs.ratchets) {
    if (row.record.empty()) {
      ratchet_rows_.erase({row.contact, row.device});
    } else {
      ratchet_rows_[{row.contact, row.device}] = row.record;
    }
  }
  for (const auto& row : cs.messages) {
    ASSERT_TRUE(requests_.insert(row.request).second) << "a request id twice";
    ASSERT_TRUE(
        message_rows_
            .emplace(row.order, store::MessageRow{row.order, row.request, row.body_mac, row.contact,
                                                  row.state, message::Reason::kNone, row.created,
                                                  row.content, row.stanza, row.devices})
            .second);
  }
  for (const auto& row : cs.updates) {
    auto it = message_rows_.find(row.order);
    ASSERT_NE(it, message_rows_.end());
    if (row.state) it->second.state = *row.state;
    if (row.reason) it->second.reason = *row.reason;
    if (row.stanza) it->second.stanza = *row.stanza;
    if (row.content) it->second.content = *row.content;
    if (row.devices) it->second.devices = *row.devices;
  }
  for (const auto& row : cs.undecrypted) {
    auto since =
        undecrypted_rows_.contains(row.message) ? undecrypted_rows_[row.message].since : row.since;
    if (row.blob.empty()) {
      ASSERT_EQ(undecrypted_rows_.erase(row.message), 1u) << "deletes what is not there";
    } else {
      undecrypted_rows_[row.message] = {row.message, since, row.blob};
    }
  }
  for (const auto& row : cs.events) {
    ASSERT_EQ(row.seq, account_.next_event) << "events have a gap";
    ++account_.next_event;
    auto event = read_event({row.seq, row.at, row.payload});
    ASSERT_TRUE(event.has_value());
    events.push_back(*event);
  }
  ASSERT_EQ(cs.next_event, account_.next_event);
  for (const auto& row : cs.received) {
    if (row.known) {
      ASSERT_TRUE(received_.contains(row.message)) << "known, and not there";
    } else {
      ASSERT_FALSE(received_.contains(row.message)) << "a received id twice";
    }
    received_[row.message] = row;
  }
  for (const auto& [order, row] : message_rows_)
    if (order < cs.lowest_unsettled) {
      ASSERT_TRUE(message::is_settled(row.state));
    }
}

bool World::finds_received(const store::ChangeSet& cs, Existing& into) const {
  bool found = false;
  for (const auto& row : cs.received)
    if (auto it = received_.find(row.message); it != received_.end() && !row.known)
      found |= into.received.emplace(row.message, it->second).second;
  return found;
}

Effects World::run(std::vector<Input> inputs) {
  load_needs(inputs);
  auto e = env();
  auto knowing = existing;
  while (finds_received(step(state, inputs, knowing, e).change_set(98), knowing)) {
  }
  auto draft = step(state, inputs, knowing, e);
  bool changed = draft.has_changes();
  if (changed) {
    last = draft.change_set(99);
    apply(last);
  }
  auto effects = std::move(draft.effects);
  counts.duplicates += draft.counts.duplicates;
  counts.ignored += draft.counts.ignored;
  counts.dropped_again += draft.counts.dropped_again;
  counts.repeats += draft.counts.repeats;
  counts.resent += draft.counts.resent;
  counts.undecryptable += draft.counts.undecryptable;
  counts.sessions_started += draft.counts.sessions_started;
  std::move(draft).absorb_into(state, changed);
  state.trim(limits);
  state.prekeys.reset();
  EXPECT_EQ(state.account.next_event, account_.next_event);
  EXPECT_EQ(state.account.version, account_.version);
  EXPECT_EQ(state.account.lowest_unsettled, account_.lowest_unsettled);
  return effects;
}

Effects World::run_and_lose(std::vector<Input> inputs) {
  load_needs(inputs);
  auto e = env();
  auto draft = step(state, inputs, existing, e);
  return std::move(draft.effects);
}

stanza::Node World::answer_to(const Request& request) {
  stanza::Node iq("iq");
  iq.with("type", "result");
  switch (request.kind) {
    case RequestKind::kCount:
      return iq.add(stanza::Node("count").with("value", static_cast<std::int64_t>(keys_at_server)));
    case RequestKind::kUpload:
      for (auto* p : phones) p->learn(request.iq);
      keys_at_server = 50;
      return iq;
    case RequestKind::kActive:
    case RequestKind::kRotate:
      return iq;
    case RequestKind::kDevices: {
      auto asked = *request.iq.child("usync")->child("list")->children().front().attr_jid("jid");
      stanza::Node user("user");
      user.with("jid", asked);
      if (known) {
        stanza::Node list("device-list");
        for (auto* p : phones)
          list.add(stanza::Node("device").with("id", std::int64_t{p->jid().device}));
        user.add(stanza::Node("devices").add(std::move(list)))
            .add(stanza::Node("lid").with("val", stanza::Jid::lid(kLid)))
            .add(stanza::Node("interop").with("opted_in", opted_in ? "true" : "false"));
      }
      return iq.add(stanza::Node("usync").add(stanza::Node("list").add(std::move(user))));
    }
    case RequestKind::kKeys: {
      stanza::Node list("list");
      for (const auto& user : request.iq.child("key")->children())
        for (auto* p : phones)
          if (user.attr_jid("jid") == p->jid() && keyless != p->jid().device)
            list.add(p->keys(with_one_time));
      return iq.add(std::move(list));
    }
  }
  return iq;
}

Effects World::answer(Effects effects) {
  Effects all = std::move(effects);
  std::vector<Request> requests = std::move(all.requests);
  all.requests.clear();
  while (!requests.empty()) {
    std::vector<Input> inputs;
    for (auto& request : requests) {
      bool lookup = request.kind == RequestKind::kDevices || request.kind == RequestKind::kKeys;
      if (lookup && !answer_lookups) continue;
      inputs.push_back(AnswerInput{request.kind, request.contact, answer_to(request)});
    }
    requests.clear();
    if (inputs.empty()) break;
    auto more = run(std::move(inputs));
    for (auto& s : more.send) all.send.push_back(std::move(s));
    for (auto& r : more.replies) all.replies.push_back(std::move(r));
    for (auto& q : more.query_replies) all.query_replies.push_back(std::move(q));
    for (auto& e : more.events) all.events.push_back(std::move(e));
    requests = std::move(more.requests);
  }
  return all;
}

Effects World::link_up() { return answer(run({LinkUp{++link_, std::string(kOwnLid)}})); }

Input World::submit(const std::string& request, const std::string& text,
                    std::uint64_t origin) const {
  return SubmitInput{
      {request, {message::Contact::Kind::kE164, std::string(kNumber)}, message::Text{text}},
      origin};
}

Effects World::send(const std::string& request, const std::string& text) {
  return answer(run({submit(request, text)}));
}

Input inbound(stanza::Node node) {
  auto input = read_stanza(std::move(node));
  EXPECT_TRUE(input.has_value());
  return *input;
}

stanza::Node sent(const Effects& effects, std::size_t i) {
  if (i >= effects.send.size()) return stanza::Node("nothing");
  return *stanza::decode(effects.send[i]);
}

std::vector<std::string> texts(const World& w) {
  std::vector<std::string> out;
  for (const auto& event : w.events)
    if (const auto* m = std::get_if<message::MessageReceived>(&event.body))
      out.push_back(std::get<message::Text>(m->content).body);
  return out;
}

std::vector<message::State> states_of(const World& w, std::string_view request) {
  std::vector<message::State> out;
  for (const auto& event : w.events)
    if (const auto* s = std::get_if<message::MessageStatus>(&event.body))
      if (s->request_id == request) out.push_back(s->state);
  return out;
}

std::size_t World::count_prekeys() const {
  std::size_t n = 0;
  for (const auto& [first, blob] : prekey_rows_) n += read_prekeys(first, blob)->keys.size();
  return n;
}

const Message* World::message(std::string_view request_id) const {
  for (const auto& [order, m] : state.messages)
    if (m.request_id == request_id) return &m;
  return nullptr;
}

}  // namespace gw::user::testing
