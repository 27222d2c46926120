// Fields as in section "Signal layer" of this room's README.

#include "signal/wire.h"

#include <algorithm>
#include <array>

#include "signal/handles.h"

namespace gw::signal {
namespace {

constexpr std::size_t kMacSize = 8;
constexpr std::size_t kMaxSize = std::size_t{16} << 20;  // a frame is smaller
constexpr std::uint8_t kVersion = 3;

enum WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

struct Field {
  std::uint64_t number = 0;
  std::uint8_t type = 0;
  std::uint64_t value = 0;  // of a varint
  ByteView octets;          // of a length-delimited field
};

class FieldReader {
 public:
  explicit FieldReader(ByteView from) : rest_(from) {}

  // False at the end, and when malformed: then bad() too.
  bool next(Field& field) {
    if (rest_.empty()) return false;
    std::uint64_t tag = 0;
    if (!varint(tag) || tag >> 32 != 0 || tag >> 3 == 0) return stop();
    field = {tag >> 3, static_cast<std::uint8_t>(tag & 7), 0, {}};
    std::uint64_t size = 0;
    switch (field.type) {
      case kVarint:
        return varint(field.value) || stop();
      case kFixed64:
        return take(8, field.octets) || stop();
      case kFixed32:
        return take(4, field.octets) || stop();
      case kLength:
        return (varint(size) && take(size, field.octets)) || stop();
      default:
        return stop();
    }
  }
  bool bad() const { return bad_; }

 private:
  bool stop() {
    bad_ = true;
    return false;
  }
  bool take(std::uint64_t size, ByteView& out) {
    if (size > rest_.size()) return false;
    out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return true;
  }
  bool varint(std::uint64_t& out) {
    out = 0;
    for (std::size_t i = 0; i < 10 && i < rest_.size(); ++i) {
      out |= static_cast<std::uint64_t>(rest_[i] & 0x7f) << (7 * i);
      if (rest_[i] & 0x80) continue;
      rest_ = rest_.subspan(i + 1);
      return true;
    }
    return false;
  }

  ByteView rest_;
  bool bad_ = false;
};

tl::unexpected<Error> malformed(const char* what) {
  return fail(ErrorKind::kCorrupt, "SIGNAL_BAD_MESSAGE", what);
}

// Known fields of one message: field n is at [n]. Of each, the wire type that it must have.
constexpr std::size_t kFields = 8;
struct Known {
  std::array<std::optional<Field>, kFields> field;

  bool read(ByteView from, const std::array<std::optional<WireType>, kFields>& types) {
    FieldReader reader(from);
    for (Field f; reader.next(f);) {
      if (f.number >= kFields || !types[f.number]) continue;
      if (f.type != *types[f.number] || field[f.number]) return false;
      if (f.type == kVarint && f.value >> 32 != 0) return false;
      field[f.number] = f;
    }
    return !reader.bad();
  }
  std::uint32_t number(std::size_t n) const { return static_cast<std::uint32_t>(field[n]->value); }
};

bool key_from(const Field& field, Key32& out) {
  if (field.octets.size() != out.size() + 1 || field.octets[0] != kKeyType) return false;
  std::copy(field.octets.begin() + 1, field.octets.end(), out.begin());
  return true;
}

bool right_version(ByteView octets) { return octets[0] >> 4 == kVersion; }

}  // namespace

Result<WireMessage> parse_message(ByteView octets) {
  constexpr std::size_t kRatchetKey = 1, kCounter = 2, kPreviousCounter = 3, kCiphertext = 4;
  if (octets.size() <= 1 + kMacSize || octets.size() > kMaxSize) return malformed("size");
  if (!right_version(octets)) return malformed("version");
  std::array<std::optional<WireType>, kFields> types{};
  types[kRatchetKey] = types[kCiphertext] = kLength;
  types[kCounter] = types[kPreviousCounter] = kVarint;
  Known known;
  WireMessage out;
  if (!known.read(octets.subspan(1, octets.size() - 1 - kMacSize), types))
    return malformed("field");
  if (!known.field[kRatchetKey] || !known.field[kCounter] || !known.field[kCiphertext])
    return malformed("field missing");
  if (!key_from(*known.field[kRatchetKey], out.ratchet_key)) return malformed("key");
  out.counter = known.number(kCounter);
  return out;
}

Result<WirePreKeyMessage> parse_prekey_message(ByteView octets) {
  constexpr std::size_t kPreKeyId = 1, kBaseKey = 2, kIdentityKey = 3, kMessage = 4,
                        kRegistrationId = 5, kSignedPreKeyId = 6;
  if (octets.size() <= 1 || octets.size() > kMaxSize) return malformed("size");
  if (!right_version(octets)) return malformed("version");
  std::array<std::optional<WireType>, kFields> types{};
  types[kPreKeyId] = types[kRegistrationId] = types[kSignedPreKeyId] = kVarint;
  types[kBaseKey] = types[kIdentityKey] = types[kMessage] = kLength;
  Known known;
  WirePreKeyMessage out;
  if (!known.read(octets.subspan(1), types)) return malformed("field");
  if (!known.field[kBaseKey] || !known.field[kIdentityKey] || !known.field[kMessage] ||
      !known.field[kSignedPreKeyId])
    return malformed("field missing");
  if (!key_from(*known.field[kBaseKey], out.base_key) ||
      !key_from(*known.field[kIdentityKey], out.identity))
    return malformed("key");
  if (known.field[kPreKeyId]) out.prekey_id = known.number(kPreKeyId);
  out.signed_prekey_id = known.number(kSignedPreKeyId);
  GW_ASSIGN(out.inner, parse_message(known.field[kMessage]->octets));
  return out;
}

std::optional<Key32> remote_identity_of(ByteView record) {
  constexpr std::uint64_t kCurrent = 1, kRemoteIdentity = 3;
  const auto find = [](ByteView from, std::uint64_t number) -> std::optional<Field> {
    FieldReader reader(from);
    for (Field f; reader.next(f);)
      if (f.number == number && f.type == kLength) return f;
    return std::nullopt;
  };
  Key32 key;
  const auto current = find(record, kCurrent);
  const auto identity = current ? find(current->octets, kRemoteIdentity) : std::nullopt;
  if (!identity || !key_from(*identity, key)) return std::nullopt;
  return key;
}

Result<Header> read_header(CipherType type, ByteView ciphertext) {
  Header header;
  WireMessage message;
  if (type == CipherType::kPreKeyMessage) {
    GW_ASSIGN(const auto outer, parse_prekey_message(ciphertext));
    message = outer.inner;
    header.prekey_id = outer.prekey_id;
  } else {
    GW_ASSIGN(message, parse_message(ciphertext));
  }
  header.ratchet_key = message.ratchet_key;
  header.counter = message.counter;
  return header;
}

}  // namespace gw::signal
