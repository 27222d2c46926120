#pragma once

// The rows of a history in a real store.

#include "rows.h"
#include "store/deployment.h"

namespace gw::user::testing {

class StoreRows final : public Rows {
 public:
  // One more user of the deployment. Throws std::runtime_error where a store says no.
  explicit StoreRows(store::test::Deployment& deployment) : d_(deployment) {}

  void enlist(Bytes profile, std::vector<store::PrekeyBatch> prekeys) override;
  UserRef user() const override { return user_; }
  const store::Pseudonyms& names() const override { return d_.store().pseudonyms(); }
  store::UserRows load() override;
  store::Outcome apply(const store::ChangeSet& change) override { return d_.apply(change); }
  std::vector<store::PrekeyBatch> prekeys() override;
  std::vector<store::Conversation> conversations(const std::vector<Tag>& tags) override;
  std::vector<store::MessageRow> messages(const std::vector<Order>& orders) override;
  std::vector<store::MessageRow> find_messages(const std::vector<Tag>& requests) override;
  std::vector<store::Received> find_received(const std::vector<Tag>& messages) override;

 private:
  store::test::Deployment& d_;
  UserRef user_;
};

}  // namespace gw::user::testing
