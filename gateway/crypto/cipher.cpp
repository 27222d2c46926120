#include <climits>
#include <cstring>
#include <memory>
#include <openssl/evp.h>

#include "crypto/check.h"
#include "crypto/crypto.h"

namespace gw::crypto {
namespace {

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* ctx) const { EVP_CIPHER_CTX_free(ctx); }
};

// Fetching an algorithm costs more than the encryption of a message: once for the process.
const EVP_CIPHER* aes256_gcm() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return cipher;
}
const EVP_CIPHER* aes128_ecb() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-128-ECB", nullptr);
  return cipher;
}

// One context a thread and direction. It remembers the key it was last given, because the same
// data key or link is often used many times in a row, and skips the key schedule then.
template <std::size_t N>
class Cipher {
 public:
  using Key = std::array<std::uint8_t, N>;
  Cipher(const EVP_CIPHER* cipher, bool encrypts) : ctx_(EVP_CIPHER_CTX_new()) {
    require(cipher && ctx_ &&
                EVP_CipherInit_ex2(ctx_.get(), cipher, nullptr, nullptr, encrypts, nullptr) == 1,
            "OpenSSL has no AES");
    EVP_CIPHER_CTX_set_padding(ctx_.get(), 0);
  }
  ~Cipher() { wipe(key_); }
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;

  EVP_CIPHER_CTX* start(const Key& key, const std::uint8_t* nonce) {
    const bool again = keyed_ && equal_constant_time(key, key_);
    keyed_ = false;
    const bool ok = EVP_CipherInit_ex2(ctx_.get(), nullptr, again ? nullptr : key.data(), nonce, -1,
                                       nullptr) == 1;
    require(ok, "the cipher took no key");
    if (!again) key_ = key;
    keyed_ = true;
    return ctx_.get();
  }

 private:
  std::unique_ptr<EVP_CIPHER_CTX, FreeContext> ctx_;
  Key key_{};
  bool keyed_ = false;
};

bool update(EVP_CIPHER_CTX* ctx, std::uint8_t* out, ByteView in) {
  require(in.size() <= INT_MAX, "over 2 GiB in one piece");
  int size = 0;
  return in.empty() ||
         EVP_CipherUpdate(ctx, out, &size, in.data(), static_cast<int>(in.size())) == 1;
}

Block16 one_block(Cipher<16>& cipher, const Block16& key, const Block16& block) {
  Block16 out;
  require(update(cipher.start(key, nullptr), out.data(), block), "AES failed");
  return out;
}

}  // namespace

void gcm_seal(const Key32& key, const Nonce12& nonce, ByteView aad, ByteView plain,
              std::span<std::uint8_t> out) {
  require(out.size() == plain.size() + kGcmTagSize, "gcm_seal: wrong size of out");
  thread_local Cipher<32> cipher(aes256_gcm(), true);
  EVP_CIPHER_CTX* ctx = cipher.start(key, nonce.data());
  std::uint8_t* const tag = out.data() + plain.size();
  int size = 0;
  const bool ok = update(ctx, nullptr, aad) && update(ctx, out.data(), plain) &&
                  EVP_CipherFinal_ex(ctx, tag, &size) == 1 &&
                  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, kGcmTagSize, tag) == 1;
  require(ok, "AES-GCM failed");
}

Bytes gcm_seal(const Key32& key, const Nonce12& nonce, ByteView aad, ByteView plain) {
  Bytes out(plain.size() + kGcmTagSize);
  gcm_seal(key, nonce, aad, plain, out);
  return out;
}

Result<void> gcm_open(const Key32& key, const Nonce12& nonce, ByteView aad, ByteView sealed,
                      std::span<std::uint8_t> out) {
  if (sealed.size() < kGcmTagSize) return fail(ErrorKind::kCorrupt, "BAD_TAG");
  const std::size_t size = sealed.size() - kGcmTagSize;
  require(out.size() == size, "gcm_open: wrong size of out");
  std::array<std::uint8_t, kGcmTagSize> tag;
  std::memcpy(tag.data(), sealed.data() + size, tag.size());

  thread_local Cipher<32> cipher(aes256_gcm(), false);
  EVP_CIPHER_CTX* ctx = cipher.start(key, nonce.data());
  std::uint8_t none[kGcmTagSize];
  int none_size = 0;
  const bool ok = update(ctx, nullptr, aad) && update(ctx, out.data(), sealed.first(size)) &&
                  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, kGcmTagSize, tag.data()) == 1 &&
                  EVP_CipherFinal_ex(ctx, none, &none_size) == 1;
  if (ok) return {};
  wipe(out);
  return fail(ErrorKind::kCorrupt, "BAD_TAG");
}

Result<Bytes> gcm_open(const Key32& key, const Nonce12& nonce, ByteView aad, ByteView sealed) {
  Bytes out(sealed.size() < kGcmTagSize ? 0 : sealed.size() - kGcmTagSize);
  GW_TRY(gcm_open(key, nonce, aad, sealed, out));
  return out;
}

Block16 aes128_encrypt_block(const Block16& key, const Block16& block) {
  thread_local Cipher<16> cipher(aes128_ecb(), true);
  return one_block(cipher, key, block);
}

Block16 aes128_decrypt_block(const Block16& key, const Block16& block) {
  thread_local Cipher<16> cipher(aes128_ecb(), false);
  return one_block(cipher, key, block);
}

}  // namespace gw::crypto
