// The Connect stream against the real server: its rules, take-over, attach and detach.
#include "unit/api/server_fixture.h"

namespace gw::api {
namespace {

using grpc::StatusCode;
using Kind = v1::ConnectResponse;
using ConnectTest = ServerTest;

TEST_F(ConnectTest, WelcomeTellsTheRules) {
  limits_.submit_window = 17;
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  EXPECT_EQ(stream.welcome().submit_window(), 17U);
  EXPECT_EQ(stream.welcome().event_window(), 256U);
  EXPECT_EQ(stream.welcome().max_frame(), 4U << 20);
  EXPECT_EQ(stream.welcome().event_window_octets(), 4U << 20);
  EXPECT_EQ(stream.welcome().submit_window_octets(), 16U << 20);
  EXPECT_FALSE(stream.welcome().session_id().empty());
  EXPECT_GT(stream.welcome().server_time().seconds(), 1'600'000'000);
  stream.half_close();
  EXPECT_TRUE(stream.status().ok());
}

TEST_F(ConnectTest, FrameBeforeHelloEndsTheStream) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.attach("alice"));
  expect_error(stream.status(), StatusCode::FAILED_PRECONDITION, "HELLO_MISSING");
  EXPECT_EQ(users_.seen().attaches, 0U);
}

TEST_F(ConnectTest, SecondHelloEndsTheStream) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  EXPECT_FALSE(stream.greet("b1"));
  expect_error(stream.status(), StatusCode::FAILED_PRECONDITION, "HELLO_REPEATED");
}

TEST_F(ConnectTest, NoHelloInTimeEndsTheStream) {
  limits_.hello_within = Millis{50};
  ConnectStream stream(channel());
  expect_error(stream.status(), StatusCode::DEADLINE_EXCEEDED, "HELLO_MISSING");
}

TEST_F(ConnectTest, HelloIsChecked) {
  for (const std::string& id : {std::string(), std::string(65, 'x'), std::string("b\n1")}) {
    ConnectStream stream(channel());
    EXPECT_FALSE(stream.greet(id));
    grpc::Status status = stream.status();
    expect_error(status, StatusCode::INVALID_ARGUMENT, "HELLO_INVALID");
    EXPECT_TRUE(test::details(status).fields.contains("hello.instance_id"));
  }
  ConnectStream stream(channel());
  EXPECT_FALSE(stream.greet("b1", 4097));
  EXPECT_TRUE(test::details(stream.status()).fields.contains("hello.event_window"));
}

TEST_F(ConnectTest, FramesThatDoNotParseGetAClearError) {
  v1::ConnectRequest not_utf8;
  *not_utf8.mutable_submit()->add_messages() = message("alice", "r1", "hello");
  std::string spoilt = not_utf8.SerializeAsString();
  spoilt[spoilt.find("hello")] = static_cast<char>(0xFF);
  for (const std::string& octets :
       {std::string("\xFF\xFF\xFF"), std::string("\x0A\x7Fshort"), spoilt}) {
    ConnectStream stream(channel());
    ASSERT_TRUE(stream.greet("b1"));
    ASSERT_TRUE(stream.send_octets(octets));
    expect_error(stream.status(), StatusCode::INVALID_ARGUMENT, "FRAME_MALFORMED");
  }
  EXPECT_EQ(users_.seen().submitted, 0U);
}

TEST_F(ConnectTest, EmptyAndUnknownFramesGetAClearError) {
  for (const std::string& octets : {std::string(), std::string("\xFA\x06\x01x")}) {
    ConnectStream stream(channel());
    ASSERT_TRUE(stream.greet("b1"));
    ASSERT_TRUE(stream.send_octets(octets));
    expect_error(stream.status(), StatusCode::INVALID_ARGUMENT, "FRAME_EMPTY");
  }
}

TEST_F(ConnectTest, LargeFramesGetAClearError) {
  limits_.max_frame = 100'000;
  {
    ConnectStream stream(channel());
    ASSERT_TRUE(stream.greet("b1"));
    stream.send_octets(std::string(100'001, 'x'));
    expect_error(stream.status(), StatusCode::RESOURCE_EXHAUSTED, "FRAME_TOO_LARGE");
  }
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  stream.send_octets(std::string(300'000, 'x'));  // gRPC's own bound
  EXPECT_EQ(stream.status().error_code(), StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ConnectTest, HeartbeatComesBack) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  v1::ConnectRequest frame;
  frame.mutable_heartbeat()->set_nonce(42);
  ASSERT_TRUE(stream.send(frame));
  auto echo = stream.next(Kind::kHeartbeatEcho);
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->heartbeat_echo().nonce(), 42U);
}

TEST_F(ConnectTest, AttachIsAnsweredAndTheLinkFollows) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  auto status = stream.next(Kind::kLinkStatus);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->link_status().state(), v1::LINK_STATE_UP);
  users_.tell({7, "alice"}, [](auto& attachment) {
    attachment.link_state(user::LinkState::kDown, "CONNECTION_LOST");
    attachment.token_wanted();
  });
  status = stream.next(Kind::kLinkStatus);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->link_status().reason(), "CONNECTION_LOST");
  auto wanted = stream.next(Kind::kTokenWanted);
  ASSERT_TRUE(wanted);
  EXPECT_EQ(wanted->token_wanted().user_id(), "alice");
  v1::ConnectRequest fresh;
  fresh.mutable_fresh_token()->set_user_id("alice");
  fresh.mutable_fresh_token()->set_token("another");
  ASSERT_TRUE(stream.send(fresh));
  EXPECT_TRUE(users_.wait([](auto& seen) {
    return seen.tokens == std::vector<std::string>{"token-alice", "another"};
  }));
  ASSERT_TRUE(stream.detach("alice"));
  auto detached = stream.next(Kind::kDetached);
  ASSERT_TRUE(detached);
  EXPECT_EQ(detached->detached().reason(), v1::DETACH_REASON_REQUESTED);
  EXPECT_EQ(probe_.clients_now.load(), 0U);
}

TEST_F(ConnectTest, RefusedAttachSaysWhy) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  auto refusal = [&](auto spoil) {
    v1::ConnectRequest frame;
    auto& attach = *frame.mutable_attach();
    attach.set_user_id("alice");
    attach.set_client_address("192.0.2.1");
    attach.set_token("token");
    spoil(attach);
    stream.send(frame);
    auto answer = stream.next(Kind::kDetached);
    if (!answer || answer->detached().reason() != v1::DETACH_REASON_REFUSED) return std::string();
    EXPECT_EQ(answer->detached().user_id(), attach.user_id());
    return answer->detached().error().reason();
  };
  EXPECT_EQ(refusal([](auto& a) { a.set_user_id("nobody"); }), "USER_UNKNOWN");
  EXPECT_EQ(refusal([](auto& a) { a.set_user_id("a@b"); }), "USER_ID_INVALID");
  EXPECT_EQ(refusal([](auto& a) { a.clear_token(); }), "TOKEN_INVALID");
  EXPECT_EQ(refusal([](auto& a) { a.set_token(std::string(8193, 'x')); }), "TOKEN_INVALID");
  EXPECT_EQ(refusal([](auto& a) { a.clear_client_address(); }), "CLIENT_ADDRESS_INVALID");
  EXPECT_EQ(probe_.clients_now.load(), 0U);
  ASSERT_TRUE(stream.attach_and_wait("alice"));  // and nothing is broken
}

TEST_F(ConnectTest, TooManyClientsAreRefused) {
  limits_.clients = 1;
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  ASSERT_TRUE(stream.attach("bob"));
  auto answer = stream.next(Kind::kDetached);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->detached().error().reason(), "THROTTLED");
  EXPECT_TRUE(answer->detached().error().has_retry_after());
  ASSERT_TRUE(stream.attach_and_wait("alice"));  // again: no further client
}

TEST_F(ConnectTest, ResumeAheadOfTheNewestEventIsRefused) {
  users_.commit_text({7, "alice"}, "one");
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach("alice", 2));
  auto answer = stream.next(Kind::kDetached);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->detached().error().reason(), "RESUME_SEQ_AHEAD");
  EXPECT_TRUE(users_.wait([](auto& seen) { return seen.detached == 1; }));
  EXPECT_TRUE(stream.attach_and_wait("alice", 1));
  EXPECT_TRUE(users_.wait([](auto& seen) { return seen.acknowledged.size() == 1; }));
  EXPECT_EQ(users_.acked({7, "alice"}), 1);
}

TEST_F(ConnectTest, NewerStreamOfTheInstanceTakesOverAndAdopts) {
  auto shared = channel();
  ConnectStream older(shared);
  ASSERT_TRUE(older.greet("b1"));
  ASSERT_TRUE(older.attach_and_wait("alice"));
  ConnectStream newer(shared);
  ASSERT_TRUE(newer.greet("b1"));
  expect_error(older.status(), StatusCode::ABORTED, "SESSION_TAKEN_OVER");
  EXPECT_TRUE(users_.wait([](auto& seen) { return seen.lost == 1; }));
  EXPECT_EQ(users_.seen().detached, 0U);
  ASSERT_TRUE(newer.attach_and_wait("alice"));
  EXPECT_EQ(probe_.streams_taken_over.load(), 1U);
  EXPECT_FALSE(test::details(older.status()).retry_ms);  // or two instances would chase each other
}

TEST_F(ConnectTest, OtherInstancesAndOtherProvidersDoNotTakeOver) {
  ConnectStream one(channel()), two(channel()), other(channel("zeta"));
  ASSERT_TRUE(one.greet("b1"));
  ASSERT_TRUE(two.greet("b2"));
  ASSERT_TRUE(other.greet("b1"));
  EXPECT_TRUE(one.attach_and_wait("alice"));
  EXPECT_TRUE(other.attach_and_wait("zoe"));
}

TEST_F(ConnectTest, AttachOnAnotherStreamReplaces) {
  ConnectStream one(channel()), two(channel());
  ASSERT_TRUE(one.greet("b1"));
  ASSERT_TRUE(two.greet("b2"));
  ASSERT_TRUE(one.attach_and_wait("alice"));
  ASSERT_TRUE(two.attach_and_wait("alice"));
  auto answer = one.next(Kind::kDetached);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->detached().reason(), v1::DETACH_REASON_REPLACED);
}

TEST_F(ConnectTest, AttachAgainOnTheSameStreamReplacesWithoutADetached) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  users_.settle();
  stream.detach("alice");
  ASSERT_TRUE(stream.next(Kind::kDetached));
  for (const auto& frame : stream.skipped()) EXPECT_FALSE(frame.has_detached());
  EXPECT_EQ(probe_.clients_now.load(), 0U);
}

TEST_F(ConnectTest, LostStreamLeavesItsClientsAdoptable) {
  {
    ConnectStream stream(channel());
    ASSERT_TRUE(stream.greet("b1"));
    ASSERT_TRUE(stream.attach_and_wait("alice"));
    ASSERT_TRUE(stream.attach_and_wait("bob"));
    stream.cancel();
  }
  EXPECT_TRUE(users_.wait([](auto& seen) { return seen.lost == 2; }));
  EXPECT_EQ(users_.seen().detached, 0U);
}

TEST_F(ConnectTest, UserThatEndsIsToldWithTheReason) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  const std::pair<user::DetachReason, v1::DetachReason> reasons[] = {
      {user::DetachReason::kWithdrawn, v1::DETACH_REASON_WITHDRAWN},
      {user::DetachReason::kLoggedOut, v1::DETACH_REASON_LOGGED_OUT},
      {user::DetachReason::kStoreLost, v1::DETACH_REASON_OWNERSHIP_LOST},
      {user::DetachReason::kDraining, v1::DETACH_REASON_DRAINING},
  };
  for (auto& [reason, expected] : reasons) {
    ASSERT_TRUE(stream.attach_and_wait("alice"));
    users_.end({7, "alice"}, reason);
    auto answer = stream.next(Kind::kDetached);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->detached().reason(), expected);
  }
}

TEST_F(ConnectTest, FramesForUsersThatAreNotAttachedDoNothing) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  stream.detach("alice");
  stream.acknowledge("alice", 5);
  v1::ConnectRequest fresh;
  fresh.mutable_fresh_token()->set_user_id("alice");
  fresh.mutable_fresh_token()->set_token("x");
  stream.send(fresh);
  EXPECT_TRUE(stream.attach_and_wait("alice"));
  EXPECT_EQ(users_.seen().detached, 0U);
  EXPECT_TRUE(users_.seen().acknowledged.empty());
  EXPECT_EQ(users_.seen().tokens, std::vector<std::string>{"token-alice"});
}

TEST_F(ConnectTest, DrainTellsTheStreamsAndRefusesNewOnes) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  server().drain(Millis{60'000});
  auto told = stream.next(Kind::kDraining);
  ASSERT_TRUE(told);
  EXPECT_GT(told->draining().deadline().seconds(), 0);
  ASSERT_TRUE(stream.attach("bob"));
  auto answer = stream.next(Kind::kDetached);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->detached().reason(), v1::DETACH_REASON_DRAINING);
  ConnectStream late(channel());
  grpc::Status refused = late.status();
  expect_error(refused, StatusCode::UNAVAILABLE, "DRAINING");
  EXPECT_TRUE(test::details(refused).retry_ms);
}

TEST_F(ConnectTest, DrainEndsWhatIsLeftAtTheDeadline) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  server().drain(Millis{1});
  expect_error(stream.status(), StatusCode::UNAVAILABLE, "DRAINING");
  EXPECT_TRUE(stream.skipped().front().has_draining());
}

TEST_F(ConnectTest, StopEndsTheStreams) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  server_.reset();
  EXPECT_EQ(stream.status().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(users_.seen().lost, 1U);
  users_.tell({7, "alice"}, [](auto& attachment) { attachment.token_wanted(); });
  users_.settle();  // late calls find nobody
}

}  // namespace
}  // namespace gw::api
