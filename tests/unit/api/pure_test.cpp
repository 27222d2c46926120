// The parts of the API that need no server: errors, frames, page tokens, certificates' names.
#include <gtest/gtest.h>

#include "adapters/native/native.h"
#include "api/auth.h"
#include "api/errors.h"
#include "api/frame.h"
#include "api/page_token.h"
#include "api/tls.h"
#include "api/to_proto.h"
#include "unit/api/provider_client.h"

namespace gw::api {
namespace {

using grpc::StatusCode;
using test::Details;
using test::details;

TEST(Errors, EveryKindHasItsCodeAndNoneIsUnknown) {
  const std::map<ErrorKind, StatusCode> expected = {
      {ErrorKind::kRetryLater, StatusCode::UNAVAILABLE},
      {ErrorKind::kThrottled, StatusCode::RESOURCE_EXHAUSTED},
      {ErrorKind::kRejected, StatusCode::INVALID_ARGUMENT},
      {ErrorKind::kUnknownOutcome, StatusCode::UNAVAILABLE},
      {ErrorKind::kStaleOwner, StatusCode::UNAVAILABLE},
      {ErrorKind::kLoggedOut, StatusCode::FAILED_PRECONDITION},
      {ErrorKind::kCorrupt, StatusCode::DATA_LOSS},
      {ErrorKind::kConfig, StatusCode::INTERNAL},
      {ErrorKind::kBug, StatusCode::INTERNAL},
  };
  int kinds = 0;
  for (int i = 0; i < 64; ++i) {
    auto kind = static_cast<ErrorKind>(i);
    if (i > 0 && kind != ErrorKind::kBug && to_string(kind) == "BUG") continue;  // no such kind
    ++kinds;
    ASSERT_TRUE(expected.contains(kind)) << i;
    grpc::Status status = to_status(Error{kind, "SOME_REASON", "words", {}});
    EXPECT_EQ(status.error_code(), expected.at(kind));
    Details found = details(status);
    EXPECT_TRUE(found.parsed);
    EXPECT_EQ(found.reason, "SOME_REASON");
    EXPECT_EQ(found.domain, "gateway.interop");
    EXPECT_EQ(status.error_message(), "words");
    bool waiting_helps = status.error_code() == StatusCode::UNAVAILABLE ||
                         status.error_code() == StatusCode::RESOURCE_EXHAUSTED;
    EXPECT_EQ(found.retry_ms.has_value(), waiting_helps) << i;
  }
  EXPECT_EQ(kinds, 9);
}

TEST(Errors, RejectionsHaveCodesByReason) {
  auto code = [](std::string_view reason) {
    return code_of(Error{ErrorKind::kRejected, reason, "", {}});
  };
  EXPECT_EQ(code("USER_UNKNOWN"), StatusCode::NOT_FOUND);
  EXPECT_EQ(code("MESSAGE_UNKNOWN"), StatusCode::NOT_FOUND);
  EXPECT_EQ(code("REQUEST_ID_REUSED"), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(code("NO_CLIENT"), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(code("USER_WITHDRAWN"), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(code("TEXT_EMPTY"), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(code("SOMETHING_NEW"), StatusCode::INVALID_ARGUMENT);
}

TEST(Errors, DetailsCarryAdviceAndFields) {
  Details found =
      details(to_status(Error{ErrorKind::kThrottled, "THROTTLED", "wait", Millis{2500}}));
  EXPECT_EQ(found.retry_ms, 2500);
  adapter::Fault fault;
  fault.error = {ErrorKind::kRejected, "CONTACT_INVALID", "no number", Millis{0}};
  fault.field = "to.e164";
  found = details(to_status(fault));
  EXPECT_EQ(found.fields, (std::map<std::string, std::string>{{"to.e164", "no number"}}));
  found = details(to_status(Error{ErrorKind::kBug, "", "", {}}));
  EXPECT_EQ(found.reason, "BUG");
}

TEST(Errors, ProblemNamesThePlace) {
  v1::Problem problem;
  to_problem({ErrorKind::kThrottled, "THROTTLED", "over the window", Millis{1500}}, "messages[3]",
             problem);
  EXPECT_EQ(problem.reason(), "THROTTLED");
  EXPECT_EQ(problem.message(), "messages[3]: over the window");
  EXPECT_EQ(problem.retry_after().seconds(), 1);
  EXPECT_EQ(problem.retry_after().nanos(), 500'000'000);
}

TEST(Errors, CutsBetweenCharacters) {
  EXPECT_EQ(cut("abc", 3), "abc");
  EXPECT_EQ(cut("abcd", 3), "abc");
  EXPECT_EQ(cut("ab\xE2\x82\xAC", 4), "ab");
  EXPECT_EQ(cut("ab\xE2\x82\xAC", 5), "ab\xE2\x82\xAC");
}

TEST(Auth, NeedsExactlyOneProvider) {
  std::map<std::string, Provider> providers{{"acme", {7, &adapters::native::descriptor()}}};
  auto reason = [&](std::vector<std::string_view> uris) {
    auto caller = identify(uris, providers);
    return caller ? std::string() : details(caller.error()).reason;
  };
  EXPECT_EQ(reason({"interop:provider:acme"}), "");
  EXPECT_EQ(reason({"https://acme.test", "interop:provider:acme"}), "");
  EXPECT_EQ(reason({}), "CERTIFICATE_WITHOUT_PROVIDER");
  EXPECT_EQ(reason({"interop:provider:"}), "CERTIFICATE_WITHOUT_PROVIDER");
  EXPECT_EQ(reason({"INTEROP:PROVIDER:acme"}), "CERTIFICATE_WITHOUT_PROVIDER");
  EXPECT_EQ(reason({"interop:provider:acme", "interop:provider:acme"}), "CERTIFICATE_AMBIGUOUS");
  EXPECT_EQ(reason({"interop:provider:acme", "interop:provider:zeta"}), "CERTIFICATE_AMBIGUOUS");
  EXPECT_EQ(reason({"interop:provider:Acme"}), "PROVIDER_UNKNOWN");
}

TEST(PageToken, ComesBackAndIsChecked) {
  for (std::int64_t cursor : {std::int64_t{0}, std::int64_t{1}, std::int64_t{INT64_MAX}})
    EXPECT_EQ(*from_page_token(to_page_token(cursor)), cursor);
  EXPECT_EQ(*from_page_token(""), 0);
  for (const std::string& bad : {std::string("x"), std::string("AAAA"), std::string("!!"),
                                 to_page_token(5) + "A", to_page_token(-1)}) {
    auto result = from_page_token(bad);
    ASSERT_FALSE(result) << bad;
    EXPECT_EQ(result.error().error.reason, "PAGE_TOKEN_INVALID");
    EXPECT_EQ(result.error().field, "page_token");
  }
}

TEST(ToProto, EveryDetachReasonHasAName) {
  for (int i = 0; i <= static_cast<int>(user::DetachReason::kDraining); ++i)
    EXPECT_NE(to_proto(static_cast<user::DetachReason>(i)), v1::DETACH_REASON_UNSPECIFIED) << i;
  for (int i = 0; i <= static_cast<int>(user::LinkState::kDown); ++i)
    EXPECT_NE(to_proto(static_cast<user::LinkState>(i)), v1::LINK_STATE_UNSPECIFIED) << i;
}

v1::SubmitResult result(const std::string& id) {
  v1::SubmitResult out;
  out.set_request_id(id);
  return out;
}

TEST(Outbox, ResultsThatFollowEachOtherShareAFrameAndTheOrderStays) {
  Outbox outbox(1000);
  Batch first, second, third;
  first.add(result("1"));
  second.add(result("2"));
  third.add(result("3"));
  outbox.push(first);
  outbox.push(second);
  v1::ConnectResponse echo;
  echo.mutable_heartbeat_echo()->set_nonce(9);
  outbox.push(echo);
  outbox.push(third);
  std::vector<v1::ConnectResponse> frames;
  while (!outbox.empty())
    ASSERT_TRUE(frames.emplace_back().ParseFromString(test::text(to_buffer(outbox.pop()))));
  ASSERT_EQ(frames.size(), 3U);
  ASSERT_EQ(frames[0].submit_results().results_size(), 2);
  EXPECT_EQ(frames[0].submit_results().results(1).request_id(), "2");
  EXPECT_EQ(frames[1].heartbeat_echo().nonce(), 9U);
  EXPECT_EQ(frames[2].submit_results().results(0).request_id(), "3");
  EXPECT_EQ(outbox.bytes(), 0U);
}

TEST(Outbox, FramesStaySmall) {
  Outbox outbox(1000);
  Batch batch;
  for (int i = 0; i < 100; ++i) batch.add(result(std::string(100, 'x')));
  outbox.push(batch);
  std::size_t bytes = outbox.bytes();
  EXPECT_EQ(bytes, batch.size());
  int results = 0;
  while (!outbox.empty()) {
    Frame frame = outbox.pop();
    EXPECT_LE(frame.bytes.size(), 1000U);
    v1::ConnectResponse parsed;
    ASSERT_TRUE(parsed.ParseFromString(test::text(to_buffer(std::move(frame)))));
    results += parsed.submit_results().results_size();
  }
  EXPECT_EQ(results, 100);
}

TEST(Frame, EventsAreTheEntriesOneBehindTheOther) {
  Batch batch;
  v1::Event event;
  event.set_user_id(std::string(300, 'u'));
  event.set_seq(5);
  batch.add_encoded(event.SerializeAsString());
  batch.add_encoded("");
  v1::ConnectResponse frame;
  ASSERT_TRUE(frame.ParseFromString(test::text(to_buffer(events_frame(std::move(batch))))));
  ASSERT_EQ(frame.events().events_size(), 2);
  EXPECT_EQ(frame.events().events(0).seq(), 5U);
}

// 2 octets each on the wire, 60 and more once parsed.
TEST(Frame, ManyEmptyMessagesAreNotParsed) {
  v1::ConnectRequest frame;
  for (int i = 0; i < 200'000; ++i) frame.mutable_submit()->add_messages();
  grpc::ByteBuffer buffer = test::octets(frame.SerializeAsString());
  google::protobuf::Arena arena;
  auto parsed = parse_frame(buffer, arena);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error(), FrameFault::kTooManyMessages);
  EXPECT_LT(arena.SpaceAllocated(), 100'000U);
}

TEST(Frame, LargeFrameWithinTheRulesIsParsed) {
  v1::ConnectRequest frame;
  for (int i = 0; i < kMaxMessages; ++i)
    frame.mutable_submit()->add_messages()->mutable_content()->mutable_text()->set_body(
        std::string(10'000, 'x'));
  grpc::ByteBuffer buffer = test::octets(frame.SerializeAsString());
  google::protobuf::Arena arena;
  auto parsed = parse_frame(buffer, arena);
  ASSERT_TRUE(parsed);
  EXPECT_EQ((*parsed)->submit().messages_size(), kMaxMessages);
}

TEST(Tls, SaysWhatIsWrong) {
  test::Authority authority;
  test::Pem own = authority.issue({"DNS:localhost"}), other = authority.issue({"DNS:localhost"});
  EXPECT_TRUE(check_tls(own.certificate, own.key, authority.pem()));
  for (auto& [certificate, key, ca] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"x", own.key, authority.pem()},
           {own.certificate, "", authority.pem()},
           {own.certificate, other.key, authority.pem()},
           {own.certificate, own.key, own.key}}) {
    auto result = check_tls(certificate, key, ca);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().reason, "TLS_INVALID");
    EXPECT_EQ(result.error().message.find("BEGIN"), std::string::npos);
  }
}

}  // namespace
}  // namespace gw::api
