#include "stanza/jid.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "unit/stanza/random_node.h"

namespace gw::stanza {
namespace {

struct Spelling {
  std::string text;
  Jid jid;
  std::string canonical;  // "" when `text` is
};

TEST(Jid, ReadsAndWritesEachTextForm) {
  const std::vector<Spelling> spellings = {
      {"@s.whatsapp.net", Jid::service(), ""},
      {"15550001@s.whatsapp.net", Jid::phone("15550001"), ""},
      {"15550001:7@s.whatsapp.net", Jid::phone("15550001", 7), ""},
      {"15550001:0@s.whatsapp.net", Jid::phone("15550001"), "15550001@s.whatsapp.net"},
      {"15550001:255@s.whatsapp.net", Jid::phone("15550001", 255), ""},
      {"15550001@c.us", Jid::phone("15550001"), "15550001@s.whatsapp.net"},
      {"99:3@lid", Jid::lid("99", 3), ""},
      {"1-2@g.us", {Server::kGroup, "1-2", 0, 0, {}}, ""},
      {"@g.us", {Server::kGroup, "", 0, 0, {}}, ""},
      {"status@broadcast", {Server::kBroadcast, "status", 0, 0, {}}, ""},
      {"5:1@hosted", {Server::kHosted, "5", 1, 0, {}}, ""},
      {"5@hosted.lid", {Server::kHostedLid, "5", 0, 0, {}}, ""},
      {"5:65535@msgr", {Server::kMessenger, "5", 65535, 0, {}}, ""},
      {"12@newsletter", {Server::kOther, "12", 0, 0, "newsletter"}, ""},
      {"3-555@interop", Jid::interop(3, "555"), ""},
      {"3-555:1@interop", Jid::interop(3, "555", 1), ""},
      {"65535-a-b:65535@interop", Jid::interop(65535, "a-b", 65535), ""},
      {"555@interop", Jid::interop(0, "555"), "0-555@interop"},
      {"0-3-555@interop", Jid::interop(3, "555"), "3-555@interop"},
      {"3-0-555@interop", Jid::interop(3, "0-555"), ""},
      {"-555@interop", Jid::interop(0, "-555"), "0--555@interop"},
      {"@interop", Jid::interop(0, ""), ""},
  };
  for (const auto& [text, jid, canonical] : spellings) {
    auto parsed = Jid::parse(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, jid) << text << " read as " << parsed->to_string();
    EXPECT_EQ(jid.to_string(), canonical.empty() ? text : canonical);
  }
}

TEST(Jid, RefusesWhatIsMalformed) {
  const std::vector<std::string> malformed = {
      "",
      "15550001",
      "@",
      "5@",
      "5:1@",
      ":1@lid",
      ":@lid",
      "5:@lid",
      "5:x@lid",
      "5:-1@lid",
      "5:+1@lid",
      "5:01@lid",
      "5: 1@lid",
      "5:1:2@lid",
      "5:256@s.whatsapp.net",
      "5:256@lid",
      "5:65536@interop",
      "5:65536@msgr",
      "5:99999999999@lid",
      "5:1@g.us",
      "5:1@broadcast",
      "5:1@newsletter",  // these have no devices
      "5@lid@lid",
      "5@@lid",
      "5 5@lid",
      " 5@lid",
      "5@lid ",
      "5@lid\n",
      "5\t@lid",
      "5\x7f@lid",
      "5@a b",
      "5@a:b",
      std::string("5\0@lid", 6),
      std::string("5@lid\0", 6),
      "70000-5@interop",
      "03-5@interop",
      "3-@interop",
      "0-@interop",
      "0-70000-5@interop",
  };
  for (const auto& text : malformed) EXPECT_FALSE(Jid::parse(text)) << text;
}

TEST(Jid, IsAtMost255OctetsLong) {
  EXPECT_TRUE(Jid::parse(std::string(251, '1') + "@lid"));
  EXPECT_FALSE(Jid::parse(std::string(252, '1') + "@lid"));
  EXPECT_FALSE(Jid::parse(std::string(1u << 20, '1') + "@lid"));
  // Counted in the form that it is written in: the integrator and the current server name.
  EXPECT_TRUE(Jid::parse(std::string(245, 'a') + "@interop"));
  EXPECT_FALSE(Jid::parse(std::string(246, 'a') + "@interop"));
  EXPECT_TRUE(Jid::parse(std::string(240, '1') + "@c.us"));
  EXPECT_FALSE(Jid::parse(std::string(241, '1') + "@c.us"));
}

TEST(Jid, EqualOnlyInAllParts) {
  EXPECT_EQ(Jid::interop(3, "5", 1), Jid::interop(3, "5", 1));
  EXPECT_NE(Jid::interop(3, "5"), Jid::interop(4, "5"));  // two providers, one user id
  EXPECT_NE(Jid::lid("5"), Jid::phone("5"));
  EXPECT_NE(Jid::lid("5"), Jid::lid("5", 1));
}

TEST(Jid, BareAndDevice) {
  EXPECT_EQ(Jid::lid("5", 7).bare(), Jid::lid("5"));
  EXPECT_EQ(Jid::lid("5", 7).with_device(9), Jid::lid("5", 9));
  EXPECT_EQ(Jid::interop(3, "5", 7).bare(), Jid::interop(3, "5"));
  EXPECT_TRUE(Jid::service().is_server());
  EXPECT_FALSE(Jid::lid("").is_server());
  EXPECT_FALSE(Jid::phone("1").is_server());
}

TEST(Jid, RandomAddressesSurviveTheirTextForm) {
  const auto seed = testing::seed_of_run();
  SCOPED_TRACE("GW_SEED=" + std::to_string(seed));
  testing::RandomNode random(seed);
  for (int i = 0; i < 5000; ++i) {
    const Jid jid = random.jid();
    auto parsed = Jid::parse(jid.to_string());
    ASSERT_TRUE(parsed) << jid.to_string();
    ASSERT_EQ(*parsed, jid) << jid.to_string();
  }
}

// Whatever parse takes, it writes in one form that it takes again.
TEST(Jid, ReadingWhatWasWrittenChangesNothing) {
  const auto seed = testing::seed_of_run();
  SCOPED_TRACE("GW_SEED=" + std::to_string(seed));
  testing::RandomNode random(seed);
  const std::vector<std::string> pieces = {"0",
                                           "3",
                                           "03",
                                           "-",
                                           ":",
                                           "@",
                                           "interop",
                                           "lid",
                                           "65535",
                                           "70000",
                                           "a",
                                           "c.us",
                                           "s.whatsapp.net",
                                           " ",
                                           "_",
                                           "."};
  int taken = 0;
  for (int i = 0; i < 200000; ++i) {
    std::string text;
    for (std::size_t n = 1 + random.below(5); n > 0; --n)
      text += pieces[random.below(pieces.size())];
    text += random.one_in(2) ? "@interop" : "@lid";
    auto parsed = Jid::parse(text);
    if (!parsed) continue;
    ++taken;
    auto again = Jid::parse(parsed->to_string());
    ASSERT_TRUE(again) << text << " -> " << parsed->to_string();
    ASSERT_EQ(*again, *parsed) << text;
  }
  EXPECT_GT(taken, 1000);
}

}  // namespace
}  // namespace gw::stanza
