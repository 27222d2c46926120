#include "phone.h"

#include <gtest/gtest.h>

#include "whatsapp/content.h"
#include "whatsapp/keys.h"

namespace gw::user::testing {
namespace {

const signal::Address kUser{"our-user", 0};

stanza::Node number(std::string_view tag, std::uint32_t value, int octets) {
  Bytes b;
  for (int i = octets; i-- > 0;) b.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  return stanza::Node(tag).octets(std::move(b));
}

template <std::size_t N>
void copy(ByteView from, std::array<std::uint8_t, N>& to) {
  ASSERT_EQ(from.size(), N);
  std::copy(from.begin(), from.end(), to.begin());
}

}  // namespace

Phone::Phone(std::string lid, std::uint16_t device)
    : identity_keys(signal::generate_identity()), lid_(std::move(lid)), device_(device) {
  signed_ = signal::generate_signed_prekey(identity_keys, 77);
  prekeys_ = signal::generate_prekeys(500, 10);
}

stanza::Node Phone::keys(bool with_one_time) {
  stanza::Node user("user");
  user.with("jid", jid())
      .add(number("registration", identity_keys.registration_id, 4))
      .add(stanza::Node("identity").octets(ByteView(identity_keys.keys.pub)))
      .add(stanza::Node("skey")
               .add(number("id", signed_.id, 3))
               .add(stanza::Node("value").octets(ByteView(signed_.keys.pub)))
               .add(stanza::Node("signature").octets(ByteView(signed_.signature))));
  if (!with_one_time) return user;
  for (const auto& key : prekeys_) {
    if (key.id <= handed_out_) continue;
    handed_out_ = key.id;
    user.add(stanza::Node("key")
                 .add(number("id", key.id, 3))
                 .add(stanza::Node("value").octets(ByteView(key.keys.pub))));
    break;
  }
  return user;
}

const Bytes* Phone::ratchet(const signal::Address&) const { return record_ ? &*record_ : nullptr; }
const signal::PreKey* Phone::prekey(std::uint32_t id) const {
  for (const auto& key : prekeys_)
    if (key.id == id) return &key;
  return nullptr;
}
const signal::SignedPreKey* Phone::signed_prekey(std::uint32_t id) const {
  return id == signed_.id ? &signed_ : nullptr;
}
const crypto::Key32* Phone::remote_identity(const signal::Address&) const {
  return user_identity_ ? &*user_identity_ : nullptr;
}

void Phone::take(signal::Writes writes) {
  if (writes.ratchet) record_ = std::move(writes.ratchet);
  if (writes.remote_identity) user_identity_ = writes.remote_identity;
  if (writes.spent_prekey)
    std::erase_if(prekeys_, [&](const auto& k) { return k.id == *writes.spent_prekey; });
}

std::optional<std::string> Phone::read(const Bytes& bytes) {
  auto node = stanza::decode(bytes);
  if (!node || node->tag != "message") return std::nullopt;
  const auto* participants = node->child("participants");
  stanza::Nodes alone{stanza::Node("to").with("jid", *node->attr_jid("to"))};
  if (const auto* enc = node->child("enc")) alone.front().add(*enc);  // for one device
  for (const auto& to : participants == nullptr ? alone : participants->children()) {
    if (to.attr_jid("jid") != jid()) continue;
    return open(*to.child("enc"));
  }
  return std::nullopt;
}

std::optional<std::string> Phone::open(const stanza::Node& enc) {
  auto type = enc.attr_is("type", "pkmsg") ? signal::CipherType::kPreKeyMessage
                                           : signal::CipherType::kMessage;
  auto opened = engine_.decrypt(*this, kUser, type, enc.as_octets());
  if (!opened) return std::nullopt;
  take(std::move(opened->writes));
  if (!signal::unpad(opened->plaintext)) return std::nullopt;
  auto content = whatsapp::decode_content(opened->plaintext);
  if (!content) return std::nullopt;
  const auto* known = std::get_if<message::Content>(&*content);
  if (known == nullptr) return std::nullopt;
  return std::get<message::Text>(*known).body;
}

void Phone::learn(const stanza::Node& upload) {
  signal::Bundle b;
  b.registration_id =
      static_cast<std::uint32_t>(get_be<4>(upload.child("registration")->as_octets()));
  copy(upload.child("identity")->as_octets(), b.identity);
  const auto* skey = upload.child("skey");
  b.signed_prekey_id = static_cast<std::uint32_t>(get_be<3>(skey->child("id")->as_octets()));
  copy(skey->child("value")->as_octets(), b.signed_prekey);
  copy(skey->child("signature")->as_octets(), b.signed_prekey_signature);
  const auto& one = upload.child("list")->children().front();
  b.one_time.emplace();
  b.one_time->id = static_cast<std::uint32_t>(get_be<3>(one.child("id")->as_octets()));
  copy(one.child("value")->as_octets(), b.one_time->key);
  bundle_ = b;
}

stanza::Node Phone::ask_again(std::string_view id, int count, bool with_keys) {
  stanza::Node receipt("receipt");
  receipt.with("from", jid()).with("id", id).with("type", "retry");
  receipt.add(stanza::Node("retry")
                  .with("count", std::int64_t{count})
                  .with("id", id)
                  .with("v", std::int64_t{1}));
  receipt.add(number("registration", identity_keys.registration_id, 4));
  if (!with_keys) return receipt;
  stanza::Node keys("keys");
  const auto mine = this->keys();
  for (const auto& part : mine.children())
    if (part.tag != "registration") keys.add(part);
  return receipt.add(std::move(keys));
}

void Phone::renew(const stanza::Node& retry) {
  auto bundle = whatsapp::read_bundle(retry);
  ASSERT_TRUE(bundle.has_value());
  auto writes = engine_.start(*this, kUser, *bundle);
  ASSERT_TRUE(writes.has_value());
  take(*std::move(writes));
}

void Phone::reinstall() {
  identity_keys = signal::generate_identity();
  signed_ = signal::generate_signed_prekey(identity_keys, 78);
  prekeys_ = signal::generate_prekeys(900, 10);
  handed_out_ = 0;
  record_.reset();
  user_identity_.reset();
}

stanza::Node Phone::write(std::string_view text, std::string_view id) {
  Bytes plain = whatsapp::encode_content(message::Text{std::string(text)});
  signal::pad(plain);
  return write_plain(plain, id);
}

stanza::Node Phone::write_plain(const Bytes& plain, std::string_view id) {
  if (!record_) {
    auto writes = engine_.start(*this, kUser, *bundle_);
    EXPECT_TRUE(writes.has_value());
    take(std::move(*writes));
  }
  auto sealed = engine_.encrypt(*this, kUser, plain);
  EXPECT_TRUE(sealed.has_value());
  take(std::move(sealed->writes));
  return stanza::Node("message")
      .with("from", jid())
      .with("id", id)
      .with("t", std::int64_t{1'800'000'000})
      .with("type", "text")
      .with("notify", "Wanda")
      .add(stanza::Node("enc")
               .with("v", std::int64_t{2})
               .with("type", sealed->type == signal::CipherType::kPreKeyMessage ? "pkmsg" : "msg")
               .octets(std::move(sealed->ciphertext)));
}

}  // namespace gw::user::testing
