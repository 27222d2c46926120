#include <algorithm>
#include <curve.h>
#include <fingerprint.h>

#include "crypto/check.h"
#include "signal/handles.h"
#include "signal/provider.h"
#include "signal/signal.h"

namespace gw::signal {
namespace {

constexpr std::uint32_t kMaxRegistrationId = 16380;
constexpr std::uint32_t kMaxPreKeyId = (1u << 24) - 1;
constexpr int kFingerprintRounds = 5200;
constexpr int kFingerprintVersion = 0;  // of the scannable form, which nobody reads here

std::string in_groups_of_five(std::string_view digits) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); i += 5) {
    if (i != 0) out += ' ';
    out += digits.substr(i, 5);
  }
  return out;
}

}  // namespace

Identity generate_identity() {
  // 2^64 is so much larger that the remainder's bias does not show.
  return {crypto::generate_key_pair(),
          static_cast<std::uint32_t>(crypto::random_u64() % kMaxRegistrationId) + 1};
}

// Past the largest id it goes on from 1.
std::vector<PreKey> generate_prekeys(std::uint32_t first_id, std::size_t count) {
  std::vector<PreKey> made;
  made.reserve(count);
  std::uint64_t id = first_id;
  while (made.size() < count) {
    if (id == 0 || id > kMaxPreKeyId) id = 1;
    made.push_back({static_cast<std::uint32_t>(id++), crypto::generate_key_pair()});
  }
  return made;
}

SignedPreKey generate_signed_prekey(const Identity& identity, std::uint32_t id) {
  SignedPreKey made{id, crypto::generate_key_pair(), {}};
  made.signature = crypto::xeddsa_sign(identity.keys.secret, typed(made.keys.pub));
  return made;
}

bool verify_signed_prekey(const Bundle& bundle) {
  return crypto::xeddsa_verify(bundle.identity, typed(bundle.signed_prekey),
                               bundle.signed_prekey_signature);
}

std::string safety_number(const Key32& our_identity, std::string_view our_stable_name,
                          const Key32& their_identity, std::string_view their_stable_name) {
  const Provider provider;
  Ref<ec_public_key> ours, theirs;
  const TypedKey our_point = typed(our_identity), their_point = typed(their_identity);
  fingerprint_generator* made = nullptr;
  const bool ready =
      curve_decode_point(ours.out(), our_point.data(), our_point.size(), provider.context()) >= 0 &&
      curve_decode_point(theirs.out(), their_point.data(), their_point.size(),
                         provider.context()) >= 0 &&
      fingerprint_generator_create(&made, kFingerprintRounds, kFingerprintVersion,
                                   provider.context()) >= 0;
  const std::unique_ptr<fingerprint_generator, void (*)(fingerprint_generator*)> generator(
      made, fingerprint_generator_free);
  Ref<fingerprint> print;
  crypto::require(
      ready && fingerprint_generator_create_for(
                   generator.get(), std::string(our_stable_name).c_str(), ours.get(),
                   std::string(their_stable_name).c_str(), theirs.get(), print.out()) >= 0,
      "no fingerprint");
  return in_groups_of_five(displayable_fingerprint_text(fingerprint_get_displayable(print.get())));
}

void pad(Bytes& plaintext) {
  const auto count = static_cast<std::uint8_t>(crypto::random_u64() % 16 + 1);
  plaintext.insert(plaintext.end(), count, count);
}

Result<void> unpad(Bytes& plaintext) {
  const std::size_t count = plaintext.empty() ? 0 : plaintext.back();
  if (count < 1 || count > 16 || count > plaintext.size() ||
      !std::all_of(plaintext.end() - static_cast<std::ptrdiff_t>(count), plaintext.end(),
                   [count](std::uint8_t octet) { return octet == count; }))
    return fail(ErrorKind::kCorrupt, "SIGNAL_BAD_PADDING");
  plaintext.resize(plaintext.size() - count);
  return {};
}

}  // namespace gw::signal
