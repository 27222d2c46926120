#include "world.h"

#include <gtest/gtest.h>

#include "user/blobs.h"
#include "user/concerns.h"
#include "whatsapp/content.h"
#include "whatsapp/keys.h"

namespace gw::user::testing {

World::World(std::unique_ptr<Rows> rows)
    : rows_(std::move(rows)), ids_(rows_->names().message_ids(rows_->user())) {
  phones = {&phone};
  Profile profile;
  profile.user_id = "alice";
  profile.identity = signal::generate_identity();
  profile.noise = crypto::generate_key_pair();
  profile.signed_prekey = signal::generate_signed_prekey(profile.identity, 1);
  profile.signed_prekey_ms = unix_ms(wall);
  profile.next_prekey_id = 51;
  rows_->enlist(write_profile(profile),
                {{1, write_prekeys({1, false, signal::generate_prekeys(1, 50)})}});
  ids_ = rows_->names().message_ids(rows_->user());
  reload();
}

Env World::env() { return {wall, mono, limits, rows_->names(), ids_, dialect_, engine_}; }

void World::reload() {
  auto loaded = State::from_rows(rows_->load());
  ASSERT_TRUE(loaded.has_value());
  state = *std::move(loaded);
}

void World::load_needs(const std::vector<Input>& inputs) {
  std::set<Order> tried;
  for (int round = 0; round < 5; ++round) {
    auto e = env();
    auto need = needs(state, inputs, e);
    std::erase_if(need.messages, [&](Order o) { return !tried.insert(o).second; });
    if (need.conversations.empty() && need.messages.empty() && !need.prekeys) return;
    for (auto& row : rows_->conversations(need.conversations))
      ASSERT_TRUE(state.add_conversation(std::move(row)).has_value());
    for (auto& row : rows_->messages(need.messages))
      ASSERT_TRUE(state.add_message(std::move(row)).has_value());
    if (need.prekeys) {
      ASSERT_TRUE(state.add_prekeys(rows_->prekeys()).has_value());
    }
  }
  FAIL() << "the needs of a step do not end";
}

// False: ids of it exist, and it is to be taken again.
bool World::commit(const Draft& draft, std::vector<Input>& inputs, Existing& knowing,
                   Replies& answered) {
  last = draft.change_set(crypto::random_u64());
  auto outcome = rows_->apply(last);
  if (outcome.kind == store::Outcome::Kind::kExists) {
    resolve(outcome, inputs, knowing, answered);
    return false;
  }
  EXPECT_EQ(outcome.kind, store::Outcome::Kind::kApplied) << outcome.error.reason;
  if (outcomes_unknown) {
    EXPECT_EQ(rows_->apply(last).kind, store::Outcome::Kind::kFoundApplied);
  }
  for (const auto& row : last.events) {
    EXPECT_EQ(row.seq, events.size() + 1) << "events have a gap";
    auto event = read_event({row.seq, row.at, row.payload});
    EXPECT_TRUE(event.has_value());
    if (event) events.push_back(*std::move(event));
  }
  return true;
}

// As Strand::answer_existing.
void World::resolve(const store::Outcome& found, std::vector<Input>& inputs, Existing& knowing,
                    Replies& answered) {
  for (auto& row : rows_->find_received(found.existing_received))
    knowing.received.emplace(row.message, row);
  auto e = env();
  for (const auto& row : rows_->find_messages(found.existing_requests)) {
    Message m;
    EXPECT_TRUE(read_message(row.content, m).has_value());
    knowing.requests.insert(row.request);
    std::erase_if(inputs, [&](const Input& input) {
      const auto* in = std::get_if<SubmitInput>(&input);
      if (in == nullptr || e.names.request(rows_->user(), in->submit.request_id) != row.request)
        return false;
      bool same = row.body_mac == body_mac(e, rows_->user(), in->submit);
      answered.push_back(
          {in->origin, answer_repeat(in->submit.request_id, m.message_id, row.state, same)});
      return true;
    });
  }
}

Effects World::run(std::vector<Input> inputs) {
  auto knowing = existing;
  Replies answered;
  for (int tries = 0; tries < 5; ++tries) {
    load_needs(inputs);
    auto e = env();
    auto draft = step(state, inputs, knowing, e);
    const bool changed = draft.has_changes();
    if (changed && !commit(draft, inputs, knowing, answered)) continue;
    auto effects = std::move(draft.effects);
    effects.replies.insert(effects.replies.begin(), answered.begin(), answered.end());
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
    EXPECT_EQ(state.account.next_event, events.size() + 1);
    if (changed) {
      EXPECT_EQ(state.account.version, last.version + 1);
      EXPECT_EQ(state.account.lowest_unsettled, last.lowest_unsettled);
    }
    return effects;
  }
  ADD_FAILURE() << "the same ids exist again and again";
  return {};
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
  for (const auto& row : rows_->prekeys()) n += read_prekeys(row.first_id, row.blob)->keys.size();
  return n;
}

const Message* World::message(std::string_view request_id) const {
  for (const auto& [order, m] : state.messages)
    if (m.request_id == request_id) return &m;
  return nullptr;
}

Input ack(const std::string& id, std::string phash, int error) {
  return AckInput{whatsapp::Ack{"message", id, error, std::nullopt, std::move(phash)}};
}

stanza::Node broken(stanza::Node message) {
  auto& enc = std::get<stanza::Nodes>(message.content).front();
  auto& octets = std::get<Bytes>(enc.content);
  octets[octets.size() / 2] ^= 0x10;
  return message;
}

void converse(World& w) {
  w.link_up();
  w.phone.read(w.send("hello", "hello").send.at(0));
  w.run({ack(w.message("hello")->message_id)});
  w.run({inbound(w.phone.write("hi", "M0"))});
  w.phone.read(w.send("again", "again").send.at(0));
  w.run({ack(w.message("again")->message_id)});
}

}  // namespace gw::user::testing
