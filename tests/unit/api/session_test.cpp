// What only shows at one moment between two steps of a session.
#include "api/session.h"

#include <gtest/gtest.h>

#include "adapters/native/native.h"
#include "unit/api/fake_users.h"

namespace gw::api {
namespace {

// A writer that takes events at the worst moment: just before an answer is noted.
class EagerWriter final : public Carrier {
 public:
  void push(const v1::ConnectResponse& frame) override {
    take();
    order.push_back(frame.has_attached() ? "attached" : "other");
  }
  void push(const Batch&) override { order.push_back("results"); }
  void flush() override { take(); }
  void take_name(const std::string&) override {}

  void take() {
    auto* events = session->events();
    if (events == nullptr || std::exchange(taking, true)) return;
    events->pump();  // wakes us
    std::vector<std::string> out;
    events->take(1u << 20, out);
    for (std::size_t i = 0; i < out.size(); ++i) order.push_back("event");
    taking = false;
  }

  Session* session = nullptr;
  bool taking = false;
  std::vector<std::string> order;
};

struct Stage {
  explicit Stage(std::shared_ptr<Context> context)
      : session(std::move(context), {"acme", {7, &adapters::native::descriptor()}}, writer) {
    writer.session = &session;
  }
  EagerWriter writer;
  Session session;
};

TEST(Session, AttachedGoesBeforeTheFirstEvent) {
  ApiProbe probe;
  test::FakeUsers users(true);
  users.add(7, "alice");
  for (int i = 0; i < 3; ++i) users.commit_text({7, "alice"}, "x");
  auto stage = std::make_shared<Stage>(std::make_shared<Context>(Options{}, users, probe));
  stage->session.open(std::shared_ptr<Session>(stage, &stage->session));
  v1::ConnectRequest hello, attach;
  hello.mutable_hello()->set_instance_id("b1");
  attach.mutable_attach()->set_user_id("alice");
  attach.mutable_attach()->set_client_address("192.0.2.1");
  attach.mutable_attach()->set_token("token");
  ASSERT_TRUE(stage->session.on_frame(hello));
  stage->writer.order.clear();
  ASSERT_TRUE(stage->session.on_frame(attach));
  ASSERT_GE(stage->writer.order.size(), 4U);
  EXPECT_EQ(stage->writer.order.front(), "attached");
  EXPECT_EQ(std::count(stage->writer.order.begin(), stage->writer.order.end(), "event"), 3);
  stage->session.close();
}

}  // namespace
}  // namespace gw::api
