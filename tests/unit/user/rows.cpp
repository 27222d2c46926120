#include "rows.h"

#include <gtest/gtest.h>

namespace gw::user::testing {

using store::Outcome;

void MemoryRows::enlist(Bytes profile, std::vector<store::PrekeyBatch> prekeys) {
  account_.user = {7, 42};
  account_.term = 2;
  account_.profile = std::move(profile);
  for (auto& batch : prekeys) prekeys_[batch.first_id] = std::move(batch.blob);
}

store::UserRows MemoryRows::load() {
  ++account_.term;
  store::UserRows rows{account_, {}, {}};
  for (const auto& [tag, row] : undecrypted_) rows.undecrypted.push_back(row);
  for (const auto& [order, row] : messages_)
    if (!message::is_settled(row.state)) rows.unsettled.push_back(row);
  return rows;
}

Outcome MemoryRows::apply(const store::ChangeSet& cs) {
  Outcome outcome;
  EXPECT_EQ(cs.term, account_.term);
  if (cs.version + 1 == account_.version && cs.change == account_.change) {
    outcome.kind = Outcome::Kind::kFoundApplied;
  } else if (cs.version != account_.version) {
    ADD_FAILURE() << "version " << cs.version << " is to follow " << account_.version;
    outcome.kind = Outcome::Kind::kStale;
  } else if (exists(cs, outcome)) {
    outcome.kind = Outcome::Kind::kExists;
  } else {
    outcome.kind = Outcome::Kind::kApplied;
    put(cs);
  }
  return outcome;
}

bool MemoryRows::exists(const store::ChangeSet& cs, Outcome& outcome) const {
  for (const auto& row : cs.messages)
    if (requests_.contains(row.request)) outcome.existing_requests.push_back(row.request);
  for (const auto& row : cs.received)
    if (!row.known && received_.contains(row.message))
      outcome.existing_received.push_back(row.message);
  return !outcome.existing_requests.empty() || !outcome.existing_received.empty();
}

void MemoryRows::put(const store::ChangeSet& cs) {
  ++account_.version;
  account_.change = cs.change;
  account_.next_order = cs.next_order;
  account_.lowest_unsettled = cs.lowest_unsettled;
  account_.acked_event = cs.acked_event;
  if (cs.profile) account_.profile = *cs.profile;
  if (cs.state) account_.state = *cs.state;
  put_keys(cs);
  put_messages(cs);
  put_received(cs);
  for (const auto& row : cs.events) {
    ASSERT_EQ(row.seq, account_.next_event) << "events have a gap";
    ++account_.next_event;
  }
  ASSERT_EQ(cs.next_event, account_.next_event);
  for (const auto& [order, row] : messages_)
    if (order < cs.lowest_unsettled) {
      ASSERT_TRUE(message::is_settled(row.state));
    }
}

void MemoryRows::put_keys(const store::ChangeSet& cs) {
  if (cs.erase_keys) {
    prekeys_.clear();
    contacts_.clear();
    ratchets_.clear();
  }
  for (const auto& row : cs.prekeys) {
    if (row.blob.empty()) {
      prekeys_.erase(row.first_id);
    } else {
      prekeys_[row.first_id] = row.blob;
    }
  }
  for (const auto& row : cs.contacts) contacts_[row.contact] = row.blob;
  for (const auto& row : cs.ratchets) {
    if (row.record.empty()) {
      ratchets_.erase({row.contact, row.device});
    } else {
      ratchets_[{row.contact, row.device}] = row.record;
    }
  }
}

void MemoryRows::put_messages(const store::ChangeSet& cs) {
  for (const auto& row : cs.messages) {
    requests_.emplace(row.request, row.order);
    store::MessageRow stored{row.order,  row.request, row.body_mac, row.contact, row.state,
                             row.reason, row.created, row.content,  row.stanza,  row.devices};
    ASSERT_TRUE(messages_.emplace(row.order, std::move(stored)).second);
  }
  for (const auto& row : cs.updates) {
    auto it = messages_.find(row.order);
    ASSERT_NE(it, messages_.end());
    ASSERT_EQ(it->second.created, row.created) << "says where the row lies";
    if (row.state) it->second.state = *row.state;
    if (row.reason) it->second.reason = *row.reason;
    if (row.stanza) it->second.stanza = *row.stanza;
    if (row.content) it->second.content = *row.content;
    if (row.devices) it->second.devices = *row.devices;
  }
}

void MemoryRows::put_received(const store::ChangeSet& cs) {
  for (const auto& row : cs.undecrypted) {
    auto it = undecrypted_.find(row.message);
    auto since = it == undecrypted_.end() ? row.since : it->second.since;
    if (row.blob.empty()) {
      ASSERT_EQ(undecrypted_.erase(row.message), 1u) << "deletes what is not there";
    } else {
      undecrypted_[row.message] = {row.message, since, row.blob};
    }
  }
  for (const auto& row : cs.received) {
    ASSERT_EQ(row.known, received_.contains(row.message)) << "known, and not there";
    received_[row.message] = row;
  }
}

std::vector<store::PrekeyBatch> MemoryRows::prekeys() {
  std::vector<store::PrekeyBatch> rows;
  for (const auto& [first, blob] : prekeys_) rows.push_back({first, blob});
  return rows;
}

std::vector<store::Conversation> MemoryRows::conversations(const std::vector<Tag>& tags) {
  std::vector<store::Conversation> all;
  for (const auto& tag : tags) {
    store::Conversation rows{tag, {}, {}};
    if (auto it = contacts_.find(tag); it != contacts_.end()) rows.blob = it->second;
    for (const auto& [key, record] : ratchets_)
      if (key.first == tag) rows.ratchets.push_back({tag, key.second, record});
    all.push_back(std::move(rows));
  }
  return all;
}

std::vector<store::MessageRow> MemoryRows::messages(const std::vector<Order>& orders) {
  std::vector<store::MessageRow> rows;
  for (auto order : orders)
    if (auto it = messages_.find(order); it != messages_.end()) rows.push_back(it->second);
  return rows;
}

std::vector<store::MessageRow> MemoryRows::find_messages(const std::vector<Tag>& requests) {
  std::vector<store::MessageRow> rows;
  for (const auto& request : requests)
    if (auto it = requests_.find(request); it != requests_.end())
      rows.push_back(messages_.at(it->second));
  return rows;
}

std::vector<store::Received> MemoryRows::find_received(const std::vector<Tag>& messages) {
  std::vector<store::Received> rows;
  for (const auto& message : messages)
    if (auto it = received_.find(message); it != received_.end()) rows.push_back(it->second);
  return rows;
}

}  // namespace gw::user::testing
