#include <algorithm>

#include "base/encoding.h"
#include "store/store.h"

namespace gw::store {
namespace {

crypto::Key32 derive(const crypto::Key32& root, std::string_view purpose) {
  std::string info = "interop-gateway/pseudonym/";
  info += purpose;
  Bytes made = crypto::hkdf_sha256(root, {}, as_bytes(info), 32);
  crypto::Key32 key;
  std::copy(made.begin(), made.end(), key.begin());
  crypto::wipe(made);
  return key;
}

// Fixed-size fields first, each variable one behind its length: no two inputs look alike.
Bytes encode(UserRef user) {
  Bytes out;
  put_be<2>(out, user.tenant);
  put_be<8>(out, static_cast<std::uint64_t>(user.uid));
  return out;
}
void add(Bytes& out, ByteView field) {
  put_be<4>(out, field.size());
  append(out, field);
}

constexpr Order kMostOrders = (Order{1} << 48) - 1;

}  // namespace

Pseudonyms::Pseudonyms(const crypto::Key32& root)
    : contact_(derive(root, "contact")),
      user_(derive(root, "user")),
      request_(derive(root, "request")),
      body_(derive(root, "body")),
      received_(derive(root, "received")),
      cipher_(derive(root, "ciphertext")),
      log_(derive(root, "log")),
      check_(derive(root, "message-id-check")) {
  auto id = derive(root, "message-id");
  std::copy_n(id.begin(), id_.size(), id_.begin());
}

Tag Pseudonyms::user(TenantId tenant, std::string_view user_id) const {
  Bytes in;
  put_be<2>(in, tenant);
  add(in, as_bytes(user_id));
  return crypto::tag16(user_, in);
}

Tag Pseudonyms::contact(UserRef user, const message::Contact& contact) const {
  Bytes in = encode(user);
  in.push_back(static_cast<std::uint8_t>(contact.kind));
  add(in, as_bytes(contact.value));
  return crypto::tag16(contact_, in);
}

Tag Pseudonyms::request(UserRef user, std::string_view request_id) const {
  Bytes in = encode(user);
  add(in, as_bytes(request_id));
  return crypto::tag16(request_, in);
}

Tag Pseudonyms::body(UserRef user, ByteView canonical_body) const {
  Bytes in = encode(user);
  add(in, canonical_body);
  return crypto::tag16(body_, in);
}

Tag Pseudonyms::received(UserRef user, std::string_view sender_device, std::string_view id) const {
  Bytes in = encode(user);
  add(in, as_bytes(sender_device));
  add(in, as_bytes(id));
  return crypto::tag16(received_, in);
}

Tag Pseudonyms::ciphertext(UserRef user, ByteView ciphertext) const {
  Bytes in = encode(user);
  add(in, ciphertext);
  return crypto::tag16(cipher_, in);
}

std::string Pseudonyms::log_name(UserRef user) const {
  auto tag = crypto::tag16(log_, encode(user));
  return to_hex(ByteView(tag).first(8));
}

MessageIds Pseudonyms::message_ids(UserRef user) const {
  return {id_, crypto::tag16(check_, encode(user))};
}

// check of the user (4) | order (6) | random (6), as one block of AES-128.
std::string MessageIds::message_id(Order order) const {
  Bytes plain = to_bytes(ByteView(check_).first(4));
  put_be<6>(plain, static_cast<std::uint64_t>(order));
  crypto::Block16 block{};
  std::copy(plain.begin(), plain.end(), block.begin());
  crypto::random_bytes(std::span(block).subspan(10));
  return to_hex_upper(crypto::aes128_encrypt_block(key_, block));
}

Order MessageIds::order_of(std::string_view message_id) const {
  auto bytes = message_id.size() == 32 ? from_hex(message_id) : std::nullopt;
  if (!bytes || to_hex_upper(*bytes) != message_id) return 0;
  crypto::Block16 block{};
  std::copy(bytes->begin(), bytes->end(), block.begin());
  block = crypto::aes128_decrypt_block(key_, block);
  if (!crypto::equal_constant_time(ByteView(block).first(4), ByteView(check_).first(4))) return 0;
  auto order = static_cast<Order>(get_be<6>(ByteView(block).subspan(4)));
  return order <= kMostOrders ? order : 0;
}

}  // namespace gw::store
