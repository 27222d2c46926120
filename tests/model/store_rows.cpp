#include "store_rows.h"

namespace gw::user::testing {
namespace {

template <class T>
T value(Result<T> result) {
  if (!result) throw std::runtime_error("the store: " + std::string(result.error().reason));
  return *std::move(result);
}

template <class T, class Start>
T read(Start&& start) {
  return value(store::test::await<Result<T>>(std::forward<Start>(start)));
}

}  // namespace

void StoreRows::enlist(Bytes profile, std::vector<store::PrekeyBatch> prekeys) {
  static int count = 0;
  auto name = store::test::tag("user " + std::to_string(++count));
  user_ = read<store::Store::Enlisted>([&](auto done) {
            d_.store().enlist(7, name, std::move(profile), std::move(prekeys), done);
          }).user;
}

store::UserRows StoreRows::load() {
  value(d_.claim(user_));
  return value(d_.load(user_)).value();
}

std::vector<store::PrekeyBatch> StoreRows::prekeys() { return value(d_.prekeys(user_)); }

std::vector<store::Conversation> StoreRows::conversations(const std::vector<Tag>& tags) {
  if (tags.empty()) return {};
  return read<std::vector<store::Conversation>>(
      [&](auto done) { d_.store().load_conversations(user_, tags, done); });
}

std::vector<store::MessageRow> StoreRows::messages(const std::vector<Order>& orders) {
  return orders.empty() ? std::vector<store::MessageRow>{} : value(d_.messages(user_, orders));
}

std::vector<store::MessageRow> StoreRows::find_messages(const std::vector<Tag>& requests) {
  return read<std::vector<store::MessageRow>>(
      [&](auto done) { d_.store().find_messages(user_, requests, done); });
}

std::vector<store::Received> StoreRows::find_received(const std::vector<Tag>& messages) {
  return read<std::vector<store::Received>>(
      [&](auto done) { d_.store().find_received(user_, messages, done); });
}

}  // namespace gw::user::testing
