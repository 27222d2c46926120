#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gwctl/attach_line.h"
#include "gwctl/command.h"
#include "gwctl/completion.h"
#include "gwctl/connection.h"
#include "identity/certificates.h"
#include "identity/token.h"

namespace gw::gwctl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

struct Ran {
  int code = 0;
  std::string out, err;
};

// The program with these arguments, in this process.
Ran run(std::vector<std::string> arguments) {
  CLI::App program;
  Exit outcome = Exit::kDone;
  build(program, outcome);
  std::reverse(arguments.begin(), arguments.end());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran ran;
  try {
    program.parse(arguments);
    ran.code = static_cast<int>(outcome);
  } catch (const CLI::ParseError& error) {
    ran.code = program.exit(error) == 0 ? 0 : static_cast<int>(Exit::kUsage);
  }
  ran.out = testing::internal::GetCapturedStdout();
  ran.err = testing::internal::GetCapturedStderr();
  return ran;
}

class GwctlTest : public testing::Test {
 protected:
  GwctlTest() : folder_(testing::TempDir() + "gwctl_" + std::to_string(getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~GwctlTest() override { fs::remove_all(folder_); }
  std::string in(const std::string& name) const { return folder_ + "/" + name; }
  unsigned mode(const std::string& name) const {
    struct stat about {};
    EXPECT_EQ(stat(in(name).c_str(), &about), 0) << name;
    return about.st_mode & 0777;
  }
  std::string folder_;
};

TEST_F(GwctlTest, DevKeysAreSecretAndAreKept) {
  auto first = run({"dev", "keys", "--out", in("keys")});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(mode("keys/key_encryption_key"), 0600u);
  EXPECT_EQ(mode("keys/signing_key.pem"), 0600u);
  EXPECT_EQ(mode("keys/jwks.json"), 0644u);
  auto kek = *read_file(in("keys/key_encryption_key"));
  EXPECT_EQ(kek.size(), 65u);
  auto jwks = *read_file(in("keys/jwks.json"));
  auto second = run({"dev", "keys", "--out", in("keys")});
  EXPECT_EQ(second.code, 0);
  EXPECT_EQ(*read_file(in("keys/key_encryption_key")), kek);
  EXPECT_EQ(*read_file(in("keys/jwks.json")), jwks);
  EXPECT_EQ(json::parse(second.out)["signing_key"]["made"], false);
}

TEST_F(GwctlTest, ATokenIsWhatTheJwksVerifies) {
  ASSERT_EQ(run({"dev", "keys", "--out", in("keys")}).code, 0);
  auto ran = run({"token", "--key", in("keys/signing_key.pem"), "--issuer", "https://id.test",
                  "--user", "alice", "--lifetime", "5m"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  ran.out.pop_back();
  auto verifier = identity::TokenVerifier::make(*read_file(in("keys/jwks.json")),
                                                {"https://id.test", "whatsapp"});
  ASSERT_TRUE(verifier);
  auto claims = verifier->verify(ran.out, SystemClock().wall());
  ASSERT_TRUE(claims) << claims.error().reason;
  EXPECT_EQ(claims->subject, "alice");
  EXPECT_EQ(claims->expires_at - claims->issued_at, std::chrono::minutes(5));
  auto wrong = run({"token", "--key", in("keys/signing_key.pem"), "--issuer", "x", "--user", "a",
                    "--lifetime", "5"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("LIFETIME_INVALID"));
}

TEST_F(GwctlTest, DevCertsMakeWhatTheSettingsNeed) {
  fs::copy(fs::path(__FILE__).parent_path() / "../../../config", folder_,
           fs::copy_options::recursive);
  const auto settings = in("gateway.example.yaml");
  EXPECT_EQ(run({"check-settings", settings}).code, 2);
  ASSERT_EQ(run({"dev", "keys", "--out", in("keys")}).code, 0);
  auto made = run({"dev", "certs", "--out", in("certificates"), "--provider", "example",
                   "--provider", "other"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(mode("certificates/example.key"), 0600u);
  EXPECT_EQ(mode("certificates/ca.key"), 0600u);
  EXPECT_EQ(*identity::provider_of(*read_file(in("certificates/example.pem"))), "example");
  auto good = run({"check-settings", settings});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("in order"));

  // The authority stays when certificates are issued again.
  auto ca = *read_file(in("certificates/ca.pem"));
  ASSERT_EQ(run({"dev", "certs", "--out", in("certificates"), "--provider", "third"}).code, 0);
  EXPECT_EQ(*read_file(in("certificates/ca.pem")), ca);

  // A key that belongs to another certificate is found before the start.
  fs::copy_file(in("certificates/other.key"), in("certificates/server.key"),
                fs::copy_options::overwrite_existing);
  auto swapped = run({"check-settings", settings});
  EXPECT_EQ(swapped.code, 2);
  EXPECT_THAT(swapped.err, HasSubstr("KEY_MISMATCH"));
}

TEST_F(GwctlTest, NamesThatCannotBeAreRefusedBeforeAnythingIsWritten) {
  for (const char* provider : {"Bad", "a/b", "..", "server", "ca"}) {
    auto ran = run({"dev", "certs", "--out", in("c"), "--provider", provider});
    EXPECT_EQ(ran.code, 2) << provider;
    EXPECT_THAT(ran.err, HasSubstr("PROVIDER_ID_INVALID"));
  }
  EXPECT_FALSE(exists(in("c/server.key")));
  EXPECT_FALSE(exists(in("c/ca.key")));
}

TEST_F(GwctlTest, WrongArgumentsAreUsageErrors) {
  EXPECT_EQ(run({}).code, 2);
  EXPECT_EQ(run({"nothing"}).code, 2);
  EXPECT_THAT(run({"nothing", "--target", "x"}).err, HasSubstr("there is no command \"nothing\""));
  EXPECT_THAT(run({}).err, HasSubstr("subcommand is required"));
  EXPECT_EQ(run({"enlist"}).code, 2);
  EXPECT_EQ(run({"completion", "fish"}).code, 2);
  EXPECT_EQ(run({"--help"}).code, 0);
  auto missing = run({"user", "a", "--certificate", in("x"), "--key", in("x"), "--ca", in("x")});
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.err, HasSubstr("FILE_CANNOT_READ"));
}

TEST_F(GwctlTest, EveryCommandHasHelp) {
  CLI::App program;
  Exit outcome = Exit::kDone;
  build(program, outcome);
  for (const auto* command : program.get_subcommands([](const CLI::App*) { return true; })) {
    EXPECT_FALSE(command->get_description().empty()) << command->get_name();
    auto help = run({command->get_name(), "--help"});
    EXPECT_EQ(help.code, 0);
    if (command->get_name() != "dev") {
      EXPECT_THAT(help.out, HasSubstr("Example")) << command->get_name();
    }
  }
}

TEST_F(GwctlTest, TheCompletionIsValidBashAndKnowsTheCommands) {
  auto ran = run({"completion", "bash"});
  ASSERT_EQ(ran.code, 0);
  ASSERT_TRUE(write_file(in("script"), ran.out, false));
  auto completes = [&](const std::string& words, const std::string& expected) {
    auto command = "bash -c 'source " + in("script") + "; COMP_WORDS=(" + words +
                   "); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _gwctl; " +
                   "[[ \" ${COMPREPLY[*]} \" == *\" " + expected + " \"* ]]'";
    return std::system(command.c_str()) == 0;  // NOLINT(concurrency-mt-unsafe)
  };
  EXPECT_TRUE(completes("gwctl en", "enlist"));
  EXPECT_TRUE(completes("gwctl dev \"\"", "certs"));
  EXPECT_TRUE(completes("gwctl send alice --req", "--request-id"));
  EXPECT_TRUE(completes("gwctl dev certs --prov", "--provider"));
  EXPECT_FALSE(completes("gwctl en", "send"));
}

TEST_F(GwctlTest, WhatIsWrongWithTargetOrCertificatesIsSaidBeforeAnythingIsTried) {
  ASSERT_EQ(run({"dev", "certs", "--out", in("c"), "--provider", "example"}).code, 0);
  const auto user = [&](std::string key, std::string ca, std::string target) {
    return run({"user", "a", "--certificate", in("c/example.pem"), "--key", in(key), "--ca", in(ca),
                "--target", target});
  };
  for (const char* target :
       {"localhost", "localhost:99999", "https://localhost:1", "", ":1", "a:0"}) {
    auto ran = user("c/example.key", "c/ca.pem", target);
    EXPECT_EQ(ran.code, 2) << target;
    EXPECT_THAT(ran.err, HasSubstr("expected host:port")) << target;
  }
  auto swapped = user("c/server.key", "c/ca.pem", "localhost:1");
  EXPECT_EQ(swapped.code, 2);
  EXPECT_THAT(swapped.err, HasSubstr("KEY_MISMATCH"));
  auto no_ca = user("c/example.key", "c/example.key", "localhost:1");
  EXPECT_EQ(no_ca.code, 2);
  EXPECT_THAT(no_ca.err, HasSubstr("--ca"));
  EXPECT_EQ(user("c/example.key", "c/ca.pem", "127.0.0.1:1").code, 3) << "nobody answers there";
}

TEST(Errors, SayReasonFieldsAndWhenToTryAgain) {
  google::rpc::Status whole;
  google::rpc::ErrorInfo info;
  info.set_reason("CONTACT_INVALID");
  whole.add_details()->PackFrom(info);
  google::rpc::BadRequest bad;
  auto* violation = bad.add_field_violations();
  violation->set_field("to.e164");
  violation->set_description("expected + and digits");
  whole.add_details()->PackFrom(bad);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(1);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  whole.add_details()->PackFrom(retry);
  grpc::Status status(grpc::StatusCode::INVALID_ARGUMENT, "no such contact",
                      whole.SerializeAsString());
  EXPECT_EQ(describe(status),
            "gwctl: CONTACT_INVALID (INVALID_ARGUMENT): no such contact\n"
            "  to.e164: expected + and digits\n"
            "  try again in 1500 ms");
  testing::internal::CaptureStderr();
  EXPECT_EQ(report(status), Exit::kRefused);
  EXPECT_EQ(report(grpc::Status(grpc::StatusCode::UNAVAILABLE, "refused")), Exit::kUnreachable);
  testing::internal::GetCapturedStderr();
}

// Digits alone are a phone number that lacks its plus far more often than a LID.
TEST(Contacts, ALidIsNamedAsOne) {
  EXPECT_EQ(contact_from("+4915112345678").e164(), "+4915112345678");
  EXPECT_EQ(contact_from("lid:12345").lid(), "12345");
  EXPECT_EQ(contact_from("015112345678").e164(), "015112345678");
  EXPECT_EQ(contact_from("nobody").e164(), "nobody");  // the gateway says what is wrong with it
}

TEST(Lines, AreWhatAPersonTypes) {
  const std::vector<std::string> users{"alice", "bob"};
  auto send = [&](const char* line) {
    auto parsed = parse_line(line, users);
    return parsed && std::holds_alternative<SendLine>(*parsed) ? std::get<SendLine>(*parsed)
                                                               : SendLine{};
  };
  auto a = send("send +491 Good  morning ");
  EXPECT_EQ(a.user, "alice");
  EXPECT_EQ(a.contact, "+491");
  EXPECT_EQ(a.text, "Good  morning ");
  auto b = send("  send bob\t+491 hi\r");
  EXPECT_EQ(b.user, "bob");
  EXPECT_EQ(b.contact, "+491");
  EXPECT_EQ(b.text, "hi");
  EXPECT_TRUE(std::holds_alternative<NothingLine>(*parse_line("  ", users)));
  EXPECT_TRUE(std::holds_alternative<QuitLine>(*parse_line("quit", users)));
  EXPECT_EQ(std::get<AttachLine>(*parse_line("attach carol", users)).user, "carol");
  EXPECT_EQ(std::get<DetachLine>(*parse_line("detach bob ", users)).user, "bob");
  for (const char* line : {"send", "send +491", "send bob", "send bob +491", "sned +491 hi",
                           "quit now", "attach", "detach a b"})
    EXPECT_FALSE(parse_line(line, users)) << line;
}

}  // namespace
}  // namespace gw::gwctl
