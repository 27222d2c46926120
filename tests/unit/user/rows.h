#pragma once

// Where a World keeps its user's rows: in maps that check what a store would demand, or (the model
// tests) in a real store.

#include <map>
#include <set>
#include <vector>

#include "store/store.h"

namespace gw::user::testing {

class Rows {
 public:
  virtual ~Rows() = default;
  virtual void enlist(Bytes profile, std::vector<store::PrekeyBatch> prekeys) = 0;
  virtual UserRef user() const = 0;
  virtual const store::Pseudonyms& names() const = 0;
  // As at an attach: the user under a new term.
  virtual store::UserRows load() = 0;
  virtual store::Outcome apply(const store::ChangeSet& change) = 0;
  virtual std::vector<store::PrekeyBatch> prekeys() = 0;
  virtual std::vector<store::Conversation> conversations(const std::vector<Tag>& tags) = 0;
  virtual std::vector<store::MessageRow> messages(const std::vector<Order>& orders) = 0;
  virtual std::vector<store::MessageRow> find_messages(const std::vector<Tag>& requests) = 0;
  virtual std::vector<store::Received> find_received(const std::vector<Tag>& messages) = 0;
};

class MemoryRows final : public Rows {
 public:
  void enlist(Bytes profile, std::vector<store::PrekeyBatch> prekeys) override;
  UserRef user() const override { return account_.user; }
  const store::Pseudonyms& names() const override { return names_; }
  store::UserRows load() override;
  store::Outcome apply(const store::ChangeSet& change) override;
  std::vector<store::PrekeyBatch> prekeys() override;
  std::vector<store::Conversation> conversations(const std::vector<Tag>& tags) override;
  std::vector<store::MessageRow> messages(const std::vector<Order>& orders) override;
  std::vector<store::MessageRow> find_messages(const std::vector<Tag>& requests) override;
  std::vector<store::Received> find_received(const std::vector<Tag>& messages) override;

 private:
  bool exists(const store::ChangeSet& change, store::Outcome& outcome) const;
  void put(const store::ChangeSet& change);
  void put_keys(const store::ChangeSet& change);
  void put_messages(const store::ChangeSet& change);
  void put_received(const store::ChangeSet& change);

  store::Pseudonyms names_{crypto::Key32{1, 2, 3}};
  store::Account account_;
  std::map<std::uint32_t, Bytes> prekeys_;
  std::map<Tag, Bytes> contacts_;
  std::map<std::pair<Tag, std::uint16_t>, Bytes> ratchets_;
  std::map<Order, store::MessageRow> messages_;
  std::map<Tag, Order> requests_;
  std::map<Tag, store::Received> received_;
  std::map<Tag, store::Undecrypted> undecrypted_;
};

}  // namespace gw::user::testing
