#include "store/sealer.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace gw::store {
namespace {

crypto::Key32 kek(std::uint8_t fill = 1) {
  crypto::Key32 key;
  key.fill(fill);
  return key;
}
constexpr UserRef kUser{1, 10};

// A backend's data keys.
struct Keys {
  std::vector<Bytes> wrapped;
  int fetched = 0;
  Sealer::FetchKey fetch() {
    return [this](std::uint32_t id) -> Result<std::optional<DataKey>> {
      ++fetched;
      if (id == 0 || id > wrapped.size()) return std::nullopt;
      return DataKey{id, wrapped[id - 1]};
    };
  }
  void start(Sealer& sealer) {
    auto [key, bytes] = sealer.new_key();
    wrapped.push_back(bytes);
    sealer.use_key(static_cast<std::uint32_t>(wrapped.size()), key);
  }
};

ChangeSet change_set() {
  ChangeSet c;
  c.user = kUser;
  c.version = 4;
  c.profile = to_bytes("profile");
  c.ratchets = {{Tag{1}, 3, to_bytes("ratchet")}, {Tag{2}, 0, {}}};
  c.contacts = {{Tag{1}, to_bytes("contact")}};
  c.prekeys = {{51, to_bytes("prekeys")}};
  c.messages.emplace_back();
  c.messages[0].order = 7;
  c.messages[0].content = to_bytes("content");
  c.events = {{9, {}, to_bytes("event")}};
  return c;
}

TEST(SealerTest, OpensWhatItSealed) {
  Keys keys;
  Sealer sealer(kek(), 1000, keys.fetch());
  keys.start(sealer);
  auto c = change_set();
  ASSERT_TRUE(sealer.seal(c));
  EXPECT_EQ(get_be<4>(*c.profile), 1u);
  EXPECT_EQ(get_be<8>(ByteView(*c.profile).subspan(12)), 5u) << "the version that it makes";
  EXPECT_EQ(c.profile->size(), 20u + 7u + 16u);
  EXPECT_TRUE(c.ratchets[1].record.empty()) << "delete stays delete";
  EXPECT_TRUE(c.messages[0].stanza.empty());
  EXPECT_TRUE(sealer.open_profile(kUser, *c.profile, 5));
  EXPECT_EQ(to_string(ByteView(*c.profile)), "profile");
  EXPECT_TRUE(sealer.open(kUser, c.prekeys[0], 5));
  Conversation talk{Tag{1}, c.contacts[0].blob, {c.ratchets[0]}};
  EXPECT_TRUE(sealer.open(kUser, talk));
  EXPECT_EQ(to_string(ByteView(talk.ratchets[0].record)), "ratchet");
  EventRow event{9, {}, c.events[0].payload};
  EXPECT_TRUE(sealer.open(kUser, event));
  MessageRow message;
  message.order = 7;
  message.content = c.messages[0].content;
  EXPECT_TRUE(sealer.open(kUser, message, 5));
  EXPECT_EQ(to_string(ByteView(message.content)), "content");
  EXPECT_EQ(keys.fetched, 0);
}

TEST(SealerTest, FetchesAnOlderKeyOnce) {
  Keys keys;
  Sealer older(kek(), 1000, keys.fetch());
  keys.start(older);
  auto c = change_set();
  ASSERT_TRUE(older.seal(c));
  Sealer sealer(kek(), 1000, keys.fetch());
  keys.start(sealer);
  EXPECT_TRUE(sealer.open_profile(kUser, *c.profile, 5));
  EXPECT_TRUE(sealer.open(kUser, c.prekeys[0], 5));
  EXPECT_EQ(keys.fetched, 1);
  Sealer stranger(kek(2), 1000, keys.fetch());
  auto sealed = change_set();
  ASSERT_TRUE(older.seal(sealed));
  EXPECT_EQ(stranger.open_profile(kUser, *sealed.profile, 5).error().reason, "KEK_WRONG");
}

TEST(SealerTest, AFailureToFetchIsNoDamage) {
  Keys keys;
  Sealer older(kek(), 1000, keys.fetch());
  keys.start(older);
  auto c = change_set();
  ASSERT_TRUE(older.seal(c));
  Sealer sealer(kek(), 1000, [](std::uint32_t) -> Result<std::optional<DataKey>> {
    return fail(ErrorKind::kRetryLater, "DOWN");
  });
  EXPECT_EQ(sealer.open_profile(kUser, *c.profile, 5).error().reason, "DOWN");
}

TEST(SealerTest, ARowYoungerThanItsAccountIsDamage) {
  Keys keys;
  Sealer sealer(kek(), 1000, keys.fetch());
  keys.start(sealer);
  auto c = change_set();
  ASSERT_TRUE(sealer.seal(c));
  EXPECT_EQ(sealer.open_profile(kUser, *c.profile, 4).error().reason, "ROW_DAMAGED");
}

TEST(SealerTest, ASpentKeyRefusesAndLeavesNoPlaintext) {
  Keys keys;
  Sealer sealer(kek(), 8, keys.fetch());
  keys.start(sealer);
  auto c = change_set();  // six blobs
  ASSERT_TRUE(sealer.seal(c));
  EXPECT_FALSE(sealer.wants_key());
  auto next = change_set();
  auto sealed = sealer.seal(next);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().reason, "DATA_KEY_SPENT");
  EXPECT_EQ(*std::max_element(next.events[0].payload.begin(), next.events[0].payload.end()), 0);
  EXPECT_EQ(*std::max_element(next.messages[0].content.begin(), next.messages[0].content.end()), 0);
  EXPECT_TRUE(sealer.wants_key());
  EXPECT_FALSE(sealer.wants_key()) << "asked for once";
  keys.start(sealer);
  next = change_set();
  ASSERT_TRUE(sealer.seal(next));
  EXPECT_EQ(get_be<4>(*next.profile), 2u);
  EXPECT_TRUE(sealer.open_profile(kUser, *next.profile, 5));
  EXPECT_TRUE(sealer.open_profile(kUser, *c.profile, 5)) << "the older key still opens";
}

TEST(KeyWrapTest, TellsAWrongKeyFromADamagedOne) {
  auto key = kek(9);
  auto wrapped = wrap_key(kek(), KeyUse::kRoot, key);
  EXPECT_EQ(unwrap_key(kek(), KeyUse::kRoot, wrapped)->get(), key);
  EXPECT_NE(wrap_key(kek(), KeyUse::kRoot, key), wrapped) << "a random nonce";
  EXPECT_EQ(unwrap_key(kek(2), KeyUse::kRoot, wrapped).error().reason, "KEK_WRONG");
  EXPECT_EQ(unwrap_key(kek(2), KeyUse::kRoot, wrapped).error().kind, ErrorKind::kConfig);
  EXPECT_EQ(unwrap_key(kek(), KeyUse::kData, wrapped).error().reason, "KEY_DAMAGED");
  for (std::size_t i = 8; i < wrapped.size(); ++i) {
    auto bad = wrapped;
    bad[i] ^= 0x80;
    EXPECT_EQ(unwrap_key(kek(), KeyUse::kRoot, bad).error().reason, "KEY_DAMAGED") << i;
  }
  EXPECT_EQ(unwrap_key(kek(), KeyUse::kRoot, ByteView(wrapped).first(60)).error().reason,
            "KEY_DAMAGED");
  EXPECT_EQ(unwrap_key(kek(), KeyUse::kRoot, {}).error().reason, "KEY_DAMAGED");
}

}  // namespace
}  // namespace gw::store
