// OpenSSL's SHA-256 by its low-level interface, without EVP: it allocates nothing, and an HMAC of a
// few octets costs its four blocks and no more. OpenSSL 3 calls it deprecated, hence the macro.
#define OPENSSL_SUPPRESS_DEPRECATED

#include <algorithm>
#include <cstring>
#include <openssl/sha.h>

#include "crypto/check.h"
#include "crypto/crypto.h"

namespace gw::crypto {
namespace {

constexpr std::size_t kBlock = 64;

void update(SHA256_CTX& ctx, ByteView data) {
  if (!data.empty()) SHA256_Update(&ctx, data.data(), data.size());
}

// HMAC with the key's two blocks hashed once, for the many rounds of HKDF.
class Hmac {
 public:
  explicit Hmac(ByteView key) {
    std::array<std::uint8_t, kBlock> pad{};
    if (key.size() > kBlock) {
      Sha256 hashed = sha256(key);
      std::copy(hashed.begin(), hashed.end(), pad.begin());
      wipe(hashed);
    } else {
      std::copy(key.begin(), key.end(), pad.begin());
    }
    for (auto& b : pad) b ^= 0x36;
    SHA256_Init(&inner_);
    update(inner_, pad);
    for (auto& b : pad) b ^= 0x36 ^ 0x5c;
    SHA256_Init(&outer_);
    update(outer_, pad);
    wipe(pad);
  }
  ~Hmac() {
    wipe({reinterpret_cast<std::uint8_t*>(&inner_), sizeof inner_});
    wipe({reinterpret_cast<std::uint8_t*>(&outer_), sizeof outer_});
  }
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;

  Sha256 of(ByteView a, ByteView b = {}, ByteView c = {}) const {
    Sha256 out;
    SHA256_CTX ctx = inner_;
    update(ctx, a);
    update(ctx, b);
    update(ctx, c);
    SHA256_Final(out.data(), &ctx);
    ctx = outer_;
    update(ctx, out);
    SHA256_Final(out.data(), &ctx);
    wipe({reinterpret_cast<std::uint8_t*>(&ctx), sizeof ctx});
    return out;
  }

 private:
  SHA256_CTX inner_, outer_;
};

}  // namespace

Sha256 sha256(ByteView data) { return sha256(data, {}); }

Sha256 sha256(ByteView a, ByteView b) {
  Sha256 out;
  SHA256_CTX ctx;
  SHA256_Init(&ctx);
  update(ctx, a);
  update(ctx, b);
  SHA256_Final(out.data(), &ctx);
  return out;
}

Sha256 hmac_sha256(ByteView key, ByteView data) { return Hmac(key).of(data); }

Bytes hkdf_sha256(ByteView ikm, ByteView salt, ByteView info, std::size_t size) {
  require(size <= 255 * sizeof(Sha256), "HKDF gives at most 8160 octets");
  // An absent salt is 32 zeros, and HMAC pads a short key with zeros: the same thing.
  Sha256 prk = hmac_sha256(salt, ikm);
  Hmac expand(prk);
  wipe(prk);
  Bytes out(size);
  Sha256 block{};
  for (std::size_t at = 0, round = 1; at < size; at += block.size(), ++round) {
    const auto counter = static_cast<std::uint8_t>(round);
    block = expand.of(round == 1 ? ByteView{} : ByteView(block), info, {&counter, 1});
    std::copy_n(block.begin(), std::min(block.size(), size - at), out.data() + at);
  }
  wipe(block);
  return out;
}

std::array<std::uint8_t, 16> tag16(const Key32& key, ByteView data) {
  const Sha256 full = hmac_sha256(key, data);
  std::array<std::uint8_t, 16> out;
  std::copy_n(full.begin(), out.size(), out.begin());
  return out;
}

}  // namespace gw::crypto
