// Submits over the stream: results, faults, the window, what becomes of them when a client goes.
#include "unit/api/server_fixture.h"

namespace gw::api {
namespace {

using grpc::StatusCode;
using Kind = v1::ConnectResponse;

class SubmitTest : public ServerTest {
 protected:
  void greet(ConnectStream& stream) {
    ASSERT_TRUE(stream.greet("b1"));
    ASSERT_TRUE(stream.attach_and_wait("alice"));
    ASSERT_TRUE(stream.attach_and_wait("bob"));
  }
  static v1::ConnectRequest many(const std::string& user_id, const std::string& prefix, int count,
                                 const std::string& body = "hello") {
    v1::ConnectRequest frame;
    for (int i = 0; i < count; ++i)
      *frame.mutable_submit()->add_messages() = message(user_id, prefix + std::to_string(i), body);
    return frame;
  }
};

TEST_F(SubmitTest, EachMessageGetsItsResult) {
  ConnectStream stream(channel());
  greet(stream);
  v1::ConnectRequest frame;
  *frame.mutable_submit()->add_messages() = message("alice", "r1");
  *frame.mutable_submit()->add_messages() = message("bob", "r2");
  *frame.mutable_submit()->add_messages() = message("alice", "r3");
  ASSERT_TRUE(stream.send(frame));
  auto got = results(stream, 3);
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got["r2"].user_id(), "bob");
  for (auto& [id, result] : got) {
    EXPECT_TRUE(result.has_accepted());
    EXPECT_FALSE(result.has_error());
    EXPECT_EQ(result.accepted().message_id().size(), 32U);
    EXPECT_EQ(result.accepted().state(), v1::MESSAGE_STATE_READY);
  }
  // In the order of the frame, per user.
  std::vector<std::string> alices;
  for (auto& [user, id] : users_.seen().requests)
    if (user == "alice") alices.push_back(id);
  EXPECT_EQ(alices, (std::vector<std::string>{"r1", "r3"}));
}

TEST_F(SubmitTest, FaultsAreAnsweredOneByOneAndTheRestGoesOn) {
  ConnectStream stream(channel());
  greet(stream);
  v1::ConnectRequest frame;
  auto& submit = *frame.mutable_submit();
  *submit.add_messages() = message("alice", "good");
  *submit.add_messages() = message("carol", "absent");
  *submit.add_messages() = message("alice", "empty", "");
  *submit.add_messages() = message("alice", "long", std::string(65'537, 'x'));
  *submit.add_messages() = message("alice", "number");
  submit.mutable_messages(4)->mutable_to()->set_e164("12345");
  *submit.add_messages() = message("alice", std::string(127, 'i') + "\xC3\xA4");
  *submit.add_messages() = message("alice", "longest", std::string(65'536, 'x'));
  ASSERT_TRUE(stream.send(frame));
  auto got = results(stream, 7);
  ASSERT_EQ(got.size(), 7U);
  EXPECT_TRUE(got["good"].has_accepted());
  EXPECT_TRUE(got["longest"].has_accepted());
  auto problem = [&](const std::string& id) { return got[id].error(); };
  EXPECT_EQ(problem("absent").reason(), "NO_CLIENT");
  EXPECT_EQ(problem("absent").message().substr(0, 12), "messages[1]:");
  EXPECT_EQ(problem("empty").reason(), "TEXT_EMPTY");
  EXPECT_EQ(problem("empty").message().substr(0, 30), "messages[2].content.text.body:");
  EXPECT_EQ(problem("long").reason(), "TEXT_TOO_LONG");
  EXPECT_EQ(problem("number").reason(), "CONTACT_INVALID");
  EXPECT_EQ(problem("number").message().substr(0, 20), "messages[4].to.e164:");
  EXPECT_EQ(problem(std::string(127, 'i')).reason(), "REQUEST_ID_INVALID");  // cut
  EXPECT_EQ(users_.seen().submitted, 2U);
}

TEST_F(SubmitTest, SizeOfASubmitIsChecked) {
  for (int count : {0, 257}) {
    ConnectStream stream(channel());
    greet(stream);
    v1::ConnectRequest frame = many("alice", "r", count);
    frame.mutable_submit();
    ASSERT_TRUE(stream.send(frame));
    expect_error(stream.status(), StatusCode::INVALID_ARGUMENT, "SUBMIT_SIZE_INVALID");
  }
  ConnectStream stream(channel());
  greet(stream);
  ASSERT_TRUE(stream.send(many("alice", "r", 256)));
  EXPECT_EQ(results(stream, 256).size(), 256U);
}

TEST_F(SubmitTest, OverTheWindowIsThrottledOneByOne) {
  limits_.submit_window = 10;
  users_.script([](auto& script) { script.hold_submits = true; });
  ConnectStream stream(channel());
  greet(stream);
  ASSERT_TRUE(stream.send(many("alice", "a", 6)));
  ASSERT_TRUE(stream.send(many("bob", "b", 6)));
  auto got = results(stream, 2);
  ASSERT_EQ(got.size(), 2U);
  for (const std::string id : {"b4", "b5"}) {
    EXPECT_EQ(got[id].error().reason(), "THROTTLED");
    EXPECT_TRUE(got[id].error().has_retry_after());
  }
  EXPECT_EQ(probe_.submits_throttled.load(), 2U);
  users_.release(true);
  EXPECT_EQ(results(stream, 10).size(), 10U);
  ASSERT_TRUE(stream.send(many("bob", "c", 10)));  // the window is free again
  EXPECT_TRUE(users_.wait([](auto& seen) { return seen.submitted == 20; }));
}

TEST_F(SubmitTest, WindowCountsOctetsToo) {
  limits_.submit_window_bytes = 50'000;
  users_.script([](auto& script) { script.hold_submits = true; });
  ConnectStream stream(channel());
  greet(stream);
  ASSERT_TRUE(stream.send(many("alice", "a", 4, std::string(20'000, 'x'))));
  auto got = results(stream, 2);
  EXPECT_EQ(got["a2"].error().reason(), "THROTTLED");
  EXPECT_EQ(got["a3"].error().reason(), "THROTTLED");
  EXPECT_EQ(users_.seen().submitted, 2U);
}

TEST_F(SubmitTest, DetachWhileResultsAreDueAnswersThemFirst) {
  users_.script([](auto& script) { script.hold_submits = true; });
  ConnectStream stream(channel());
  greet(stream);
  ASSERT_TRUE(stream.send(many("alice", "a", 3)));
  ASSERT_TRUE(stream.send(many("bob", "b", 1)));
  ASSERT_TRUE(stream.detach("alice"));
  ASSERT_TRUE(stream.next(Kind::kDetached));
  std::map<std::string, std::string> reasons;
  for (auto& frame : stream.skipped())
    for (auto& one : frame.submit_results().results())
      reasons[one.request_id()] = one.error().reason();
  EXPECT_EQ(reasons,
            (std::map<std::string, std::string>{
                {"a0", "OUTCOME_UNKNOWN"}, {"a1", "OUTCOME_UNKNOWN"}, {"a2", "OUTCOME_UNKNOWN"}}));
  users_.release();  // late results of alice go nowhere; bob's arrives
  auto got = results(stream, 1);
  EXPECT_TRUE(got["b0"].has_accepted());
  EXPECT_EQ(probe_.submits_unknown.load(), 3U);
}

TEST_F(SubmitTest, SubmitBehindAnAttachThatIsRefusedIsAnswered) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach("nobody"));
  ASSERT_TRUE(stream.send(many("nobody", "r", 2)));
  auto got = results(stream, 2);
  EXPECT_EQ(got["r0"].error().reason(), "NO_CLIENT");
  EXPECT_EQ(got["r1"].error().reason(), "NO_CLIENT");
}

TEST_F(SubmitTest, HalfCloseWaitsForTheResultsThatAreDue) {
  users_.script([](auto& script) { script.hold_submits = true; });
  ConnectStream stream(channel());
  greet(stream);
  ASSERT_TRUE(stream.send(many("alice", "a", 2)));
  ASSERT_TRUE(users_.wait([](auto& seen) { return seen.submitted == 2; }));
  stream.half_close();
  users_.release();
  EXPECT_EQ(results(stream, 2).size(), 2U);
  EXPECT_TRUE(stream.status().ok());
  EXPECT_EQ(users_.seen().lost, 2U);
}

TEST_F(SubmitTest, HalfCloseDoesNotWaitForEver) {
  limits_.close_within = Millis{50};
  users_.script([](auto& script) { script.hold_submits = true; });
  ConnectStream stream(channel());
  greet(stream);
  ASSERT_TRUE(stream.send(many("alice", "a", 2)));
  stream.half_close();
  expect_error(stream.status(), StatusCode::DEADLINE_EXCEEDED, "RESULTS_OVERDUE");
}

// A backend that sends and does not read: what waits for it stays bounded, and then the stream
// ends.
TEST_F(SubmitTest, BackendThatDoesNotReadItsResultsIsEnded) {
  limits_.control_bytes = 64u << 10;
  limits_.read_answers_within = Millis{300};
  ConnectStream stream(channel());
  greet(stream);
  v1::ConnectRequest frame;
  for (int i = 0; i < 256; ++i)
    *frame.mutable_submit()->add_messages() =
        message("carol", std::string(100, 'r') + std::to_string(i));
  std::string octets = frame.SerializeAsString();
  for (int i = 0; i < 2000 && stream.send_octets(octets); ++i) {
  }
  EXPECT_GT(probe_.reads_paused.load(), 0U);
  // Over HTTP/2 the status stands behind what was not read; a stream that hangs is cut.
  grpc::Status status = stream.status();
  EXPECT_TRUE(status.error_code() == StatusCode::RESOURCE_EXHAUSTED ||
              status.error_code() == StatusCode::CANCELLED)
      << status.error_code();
  EXPECT_LT(stream.octets_read(), 8u << 20);
  EXPECT_TRUE(users_.wait([](auto& seen) { return seen.lost == 2; }));
}

}  // namespace
}  // namespace gw::api
