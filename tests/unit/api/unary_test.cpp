// Unary calls, and who may call at all.
#include "grpc/health/v1/health.pb.h"
#include "unit/api/server_fixture.h"

namespace gw::api {
namespace {

using grpc::StatusCode;
using UnaryTest = ServerTest;

template <class Request, class Response, class Method>
grpc::Status call(v1::GatewayService::Stub& stub, Method method, const Request& request,
                  Response& response, std::chrono::milliseconds deadline = kPatience) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + deadline);
  return (stub.*method)(&context, request, &response);
}
using Stub = v1::GatewayService::Stub;

TEST_F(UnaryTest, EnlistGetWithdraw) {
  auto api = stub();
  v1::EnlistRequest enlist;
  enlist.set_user_id("carol");
  v1::EnlistResponse enlisted;
  ASSERT_TRUE(call(*api, &Stub::Enlist, enlist, enlisted).ok());
  EXPECT_TRUE(enlisted.created());
  EXPECT_EQ(enlisted.trust_level(), v1::TRUST_LEVEL_IN_GATEWAY);
  ASSERT_TRUE(call(*api, &Stub::Enlist, enlist, enlisted).ok());
  EXPECT_FALSE(enlisted.created());

  v1::GetUserRequest get;
  get.set_user_id("carol");
  v1::GetUserResponse user;
  ASSERT_TRUE(call(*api, &Stub::GetUser, get, user).ok());
  EXPECT_EQ(user.user_id(), "carol");
  EXPECT_TRUE(user.enlisted());
  EXPECT_EQ(user.link_state(), v1::LINK_STATE_DOWN);

  v1::WithdrawRequest withdraw;
  withdraw.set_user_id("carol");
  v1::WithdrawResponse withdrawn;
  EXPECT_TRUE(call(*api, &Stub::Withdraw, withdraw, withdrawn).ok());
  withdraw.set_user_id("never");
  expect_error(call(*api, &Stub::Withdraw, withdraw, withdrawn), StatusCode::NOT_FOUND,
               "USER_UNKNOWN");
}

TEST_F(UnaryTest, SendMessageNeedsAClientAndAValidMessage) {
  auto api = stub();
  v1::SendMessageRequest request;
  request.set_user_id("alice");
  request.set_request_id("r1");
  request.mutable_to()->set_e164("+4915112345678");
  request.mutable_content()->mutable_text()->set_body("hello");
  v1::SendMessageResponse response;
  expect_error(call(*api, &Stub::SendMessage, request, response), StatusCode::FAILED_PRECONDITION,
               "NO_CLIENT");
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  ASSERT_TRUE(call(*api, &Stub::SendMessage, request, response).ok());
  EXPECT_EQ(response.message().message_id().size(), 32U);
  EXPECT_EQ(response.message().state(), v1::MESSAGE_STATE_READY);

  auto fault = [&](auto spoil) {
    v1::SendMessageRequest bad = request;
    spoil(bad);
    grpc::Status status = call(*api, &Stub::SendMessage, bad, response);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    Details details = test::details(status);
    EXPECT_TRUE(details.parsed);
    EXPECT_EQ(details.fields.size(), 1U);
    return details.reason + " " + (details.fields.empty() ? "" : details.fields.begin()->first);
  };
  EXPECT_EQ(fault([](auto& m) { m.clear_user_id(); }), "USER_ID_INVALID user_id");
  EXPECT_EQ(fault([](auto& m) { m.clear_request_id(); }), "REQUEST_ID_INVALID request_id");
  EXPECT_EQ(fault([](auto& m) { m.clear_to(); }), "CONTACT_MISSING to");
  EXPECT_EQ(fault([](auto& m) { m.mutable_to()->set_e164("+0"); }), "CONTACT_INVALID to.e164");
  EXPECT_EQ(fault([](auto& m) { m.clear_content(); }), "CONTENT_MISSING content");
  EXPECT_EQ(fault([](auto& m) {
              m.mutable_content()->mutable_text()->set_body(std::string(65'537, 'x'));
            }),
            "TEXT_TOO_LONG content.text.body");
}

TEST_F(UnaryTest, GetMessageAndGetContact) {
  auto api = stub();
  v1::GetMessageRequest request;
  request.set_user_id("alice");
  request.set_message_id(std::string(32, 'A'));
  v1::GetMessageResponse message;
  ASSERT_TRUE(call(*api, &Stub::GetMessage, request, message).ok());
  EXPECT_EQ(message.message_id(), std::string(32, 'A'));
  EXPECT_EQ(message.to().e164(), "+4915100000000");
  EXPECT_EQ(message.state(), v1::MESSAGE_STATE_REJECTED);
  EXPECT_EQ(message.reason(), v1::REJECT_REASON_CONTACT_NOT_OPTED_IN);
  EXPECT_EQ(message.create_time().seconds(), 1'700'000'000);
  EXPECT_EQ(message.create_time().nanos(), 123'000'000);
  request.set_message_id("short");
  expect_error(call(*api, &Stub::GetMessage, request, message), StatusCode::INVALID_ARGUMENT,
               "MESSAGE_ID_INVALID");
  request.set_message_id(std::string(32, 'F'));
  expect_error(call(*api, &Stub::GetMessage, request, message), StatusCode::NOT_FOUND,
               "MESSAGE_UNKNOWN");

  v1::GetContactRequest ask;
  ask.set_user_id("alice");
  ask.mutable_contact()->set_e164("+4915112345678");
  v1::GetContactResponse contact;
  ASSERT_TRUE(call(*api, &Stub::GetContact, ask, contact).ok());
  EXPECT_EQ(contact.contact().e164(), "+4915112345678");
  EXPECT_EQ(contact.lid(), "123456789");
  EXPECT_TRUE(contact.reachable());
  EXPECT_TRUE(contact.opted_in());
  EXPECT_EQ(contact.device_count(), 2U);
  EXPECT_EQ(contact.safety_number(), "12345 67890");
  ask.clear_contact();
  expect_error(call(*api, &Stub::GetContact, ask, contact), StatusCode::INVALID_ARGUMENT,
               "CONTACT_MISSING");
}

TEST_F(UnaryTest, ListEventsInPages) {
  for (int i = 0; i < 5; ++i) users_.commit_text({7, "alice"}, "x");
  auto api = stub();
  v1::ListEventsRequest request;
  request.set_user_id("alice");
  request.set_page_size(2);
  v1::ListEventsResponse response;
  std::vector<std::uint64_t> seqs;
  do {
    ASSERT_TRUE(call(*api, &Stub::ListEvents, request, response).ok());
    for (const auto& event : response.events()) seqs.push_back(event.seq());
    request.set_after_seq(response.next_after_seq());
  } while (response.next_after_seq() != 0);
  EXPECT_EQ(seqs, (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(users_.acked({7, "alice"}), 0);
  for (int size : {-1, 1001}) {
    request.set_page_size(size);
    expect_error(call(*api, &Stub::ListEvents, request, response), StatusCode::INVALID_ARGUMENT,
                 "PAGE_SIZE_INVALID");
  }
  request.set_page_size(0);
  request.set_after_seq(UINT64_MAX);
  expect_error(call(*api, &Stub::ListEvents, request, response), StatusCode::INVALID_ARGUMENT,
               "SEQ_INVALID");
}

TEST_F(UnaryTest, ListUsersWithPendingEventsInPagesAndOfThisProviderOnly) {
  users_.commit_text({7, "alice"}, "x");
  users_.commit_text({7, "bob"}, "x");
  users_.commit_text({8, "zoe"}, "x");
  auto api = stub();
  v1::ListUsersWithPendingEventsRequest request;
  request.set_page_size(1);
  v1::ListUsersWithPendingEventsResponse response;
  std::vector<std::string> names;
  do {
    ASSERT_TRUE(call(*api, &Stub::ListUsersWithPendingEvents, request, response).ok());
    for (const auto& user : response.users()) names.push_back(user.user_id());
    request.set_page_token(response.next_page_token());
  } while (!response.next_page_token().empty());
  EXPECT_EQ(names, (std::vector<std::string>{"alice", "bob"}));
  request.set_page_token("forged");
  expect_error(call(*api, &Stub::ListUsersWithPendingEvents, request, response),
               StatusCode::INVALID_ARGUMENT, "PAGE_TOKEN_INVALID");
}

TEST_F(UnaryTest, OneProviderCannotSeeAnothersUsers) {
  auto api = stub("zeta");
  v1::GetUserRequest get;
  get.set_user_id("alice");
  v1::GetUserResponse user;
  ASSERT_TRUE(call(*api, &Stub::GetUser, get, user).ok());
  EXPECT_FALSE(user.enlisted());
  users_.commit_text({7, "alice"}, "secret");
  v1::ListEventsRequest list;
  list.set_user_id("alice");
  v1::ListEventsResponse events;
  expect_error(call(*api, &Stub::ListEvents, list, events), StatusCode::NOT_FOUND, "USER_UNKNOWN");

  ConnectStream acme(channel());
  ASSERT_TRUE(acme.greet("b1"));
  ASSERT_TRUE(acme.attach_and_wait("alice"));
  ConnectStream zeta(channel("zeta"));
  ASSERT_TRUE(zeta.greet("b1"));
  ASSERT_TRUE(zeta.attach("alice"));
  auto refused = zeta.next(v1::ConnectResponse::kDetached);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->detached().error().reason(), "USER_UNKNOWN");
  v1::ConnectRequest submit;
  *submit.mutable_submit()->add_messages() = message("alice", "r1");
  ASSERT_TRUE(zeta.send(submit));
  EXPECT_EQ(results(zeta, 1)["r1"].error().reason(), "NO_CLIENT");
  ASSERT_TRUE(zeta.acknowledge("alice", 1));
  ASSERT_TRUE(zeta.detach("alice"));
  ASSERT_TRUE(zeta.send(submit));
  results(zeta, 1);  // both were looked at
  EXPECT_EQ(users_.seen().submitted, 0U);
  EXPECT_EQ(users_.seen().detached, 0U);
  EXPECT_EQ(users_.acked({7, "alice"}), 0);
}

TEST_F(UnaryTest, ErrorsFromBelowKeepTheirReasonAndAdvice) {
  auto api = stub();
  v1::EnlistRequest request;
  request.set_user_id("carol");
  v1::EnlistResponse response;
  users_.script([](auto& script) {
    script.fail_unary = Error{ErrorKind::kRetryLater, "STORE_BUSY", "wait", Millis{3000}};
  });
  grpc::Status status = call(*api, &Stub::Enlist, request, response);
  expect_error(status, StatusCode::UNAVAILABLE, "STORE_BUSY");
  EXPECT_EQ(test::details(status).retry_ms, 3000);
}

TEST_F(UnaryTest, OctetsThatDoNotParseGetAClearError) {
  auto shared = channel();
  for (const char* method :
       {"Enlist", "Withdraw", "GetUser", "SendMessage", "GetMessage", "ListEvents",
        "ListUsersWithPendingEvents", "GetContact", "MarkRead", "UpdateUser"}) {
    SCOPED_TRACE(method);
    expect_error(test::call_octets(shared, method, "\xFF\xFF"), StatusCode::INVALID_ARGUMENT,
                 "REQUEST_MALFORMED");
  }
  expect_error(test::call_octets(shared, "Enlist", "\x0A\x01\xFF"), StatusCode::INVALID_ARGUMENT,
               "REQUEST_MALFORMED");
  EXPECT_EQ(users_.seen().enlists, 0U);
}

TEST_F(UnaryTest, LargeRequestGetsAClearError) {
  limits_.max_frame = 100'000;
  expect_error(test::call_octets(channel(), "Enlist", std::string(100'001, 'x')),
               StatusCode::RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE");
}

TEST_F(UnaryTest, DeadlineOfTheServerHolds) {
  limits_.unary_within = Millis{100};
  users_.script([](auto& script) { script.hang = true; });
  auto api = stub();
  v1::EnlistRequest request;
  request.set_user_id("carol");
  v1::EnlistResponse response;
  expect_error(call(*api, &Stub::Enlist, request, response), StatusCode::DEADLINE_EXCEEDED,
               "DEADLINE_EXCEEDED");
}

TEST_F(UnaryTest, DeadlineOfTheCallerHolds) {
  users_.script([](auto& script) { script.hang = true; });
  auto api = stub();
  v1::EnlistRequest request;
  request.set_user_id("carol");
  v1::EnlistResponse response;
  auto status = call(*api, &Stub::Enlist, request, response, std::chrono::milliseconds(200));
  EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
}

class WhoMayCall : public ServerTest {
 protected:
  grpc::Status enlist_with(const std::optional<Pem>& certificate) {
    auto shared = test::connect(server().port(), authority().pem(), certificate);
    v1::EnlistRequest request;
    request.set_user_id("carol");
    v1::EnlistResponse response;
    auto api = v1::GatewayService::NewStub(shared);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    return api->Enlist(&context, request, &response);
  }
};

TEST_F(WhoMayCall, UnknownProviderIsDenied) {
  expect_error(enlist_with(certificate_of("nobody")), StatusCode::PERMISSION_DENIED,
               "PROVIDER_UNKNOWN");
  ConnectStream stream(channel("nobody"));
  expect_error(stream.status(), StatusCode::PERMISSION_DENIED, "PROVIDER_UNKNOWN");
  EXPECT_EQ(users_.seen().enlists, 0U);
}

TEST_F(WhoMayCall, CertificateWithoutOrWithTwoProvidersIsDenied) {
  expect_error(enlist_with(authority().issue({"DNS:backend"})), StatusCode::PERMISSION_DENIED,
               "CERTIFICATE_WITHOUT_PROVIDER");
  expect_error(enlist_with(authority().issue({"DNS:interop:provider:acme"})),
               StatusCode::PERMISSION_DENIED, "CERTIFICATE_WITHOUT_PROVIDER");
  expect_error(
      enlist_with(authority().issue({"URI:interop:provider:acme", "URI:interop:provider:zeta"})),
      StatusCode::PERMISSION_DENIED, "CERTIFICATE_AMBIGUOUS");
}

TEST_F(WhoMayCall, NoCertificateOrAnotherAuthoritysGetsNoConnection) {
  EXPECT_EQ(enlist_with(std::nullopt).error_code(), StatusCode::UNAVAILABLE);
  test::Authority other;
  EXPECT_EQ(enlist_with(other.issue({"URI:interop:provider:acme"})).error_code(),
            StatusCode::UNAVAILABLE);
  EXPECT_EQ(users_.seen().enlists, 0U);
}

TEST_F(WhoMayCall, ClientThatDoesNotTrustTheServerGetsNoConnection) {
  auto shared = test::connect(server().port(), test::Authority().pem(), certificate_of("acme"));
  v1::EnlistRequest request;
  v1::EnlistResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  EXPECT_EQ(v1::GatewayService::NewStub(shared)->Enlist(&context, request, &response).error_code(),
            StatusCode::UNAVAILABLE);
}

TEST_F(UnaryTest, HealthIsPerServiceAndEndsWithTheDrain) {
  auto shared = channel();
  auto check = [&](const std::string& service) {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    grpc::GenericStub generic(shared);
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    grpc::ByteBuffer in = test::octets(request.SerializeAsString()), out;
    grpc::Status status;
    auto rpc = generic.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", in, &queue);
    rpc->StartCall();
    rpc->Finish(&out, &status, nullptr);
    void* tag;
    bool ok;
    queue.Next(&tag, &ok);
    grpc::health::v1::HealthCheckResponse response;
    response.ParseFromString(test::text(out));
    return status.ok() ? static_cast<int>(response.status()) : -status.error_code();
  };
  EXPECT_EQ(check(""), grpc::health::v1::HealthCheckResponse::SERVING);
  EXPECT_EQ(check("interop.gateway.v1.GatewayService"),
            grpc::health::v1::HealthCheckResponse::SERVING);
  EXPECT_EQ(check("other"), -StatusCode::NOT_FOUND);
  server().drain(Millis{60'000});
  EXPECT_EQ(check("interop.gateway.v1.GatewayService"),
            grpc::health::v1::HealthCheckResponse::NOT_SERVING);
}

TEST_F(ServerTest, StartSaysWhatIsWrong) {
  auto reason = [&](auto spoil) {
    Options bad = options();
    spoil(bad);
    auto started = Server::start(std::move(bad), users_, probe_);
    return started ? std::string() : std::string(started.error().reason);
  };
  EXPECT_EQ(reason([](Options& o) { o.key_pem = "nonsense"; }), "TLS_INVALID");
  EXPECT_EQ(reason([](Options& o) { o.providers["x"] = {}; }), "PROVIDER_INVALID");
  EXPECT_EQ(reason([](Options& o) { o.listen = "192.0.2.1:1"; }), "LISTEN_FAILED");
  std::string taken = "127.0.0.1:" + std::to_string(server().port());
  EXPECT_EQ(reason([&](Options& o) { o.listen = taken; }), "LISTEN_FAILED");
}

}  // namespace
}  // namespace gw::api
