// SHA-256 without EVP, as in the crypto room: seven HMACs of a few octets each make up one message,
// and a fresh EVP context for each would cost as much as everything else together.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "signal/provider.h"

#include <algorithm>
#include <climits>
#include <openssl/sha.h>

#include "crypto/check.h"
#include "crypto/crypto.h"
#include "signal/handles.h"

namespace gw::signal {

struct HmacState {
  SHA256_CTX inner, outer;

  void start(ByteView key) {
    std::array<std::uint8_t, SHA256_CBLOCK> pad{};
    if (key.size() > pad.size()) {
      const crypto::Sha256 hashed = crypto::sha256(key);
      std::copy(hashed.begin(), hashed.end(), pad.begin());
    } else {
      std::copy(key.begin(), key.end(), pad.begin());
    }
    for (auto& b : pad) b ^= 0x36;
    SHA256_Init(&inner);
    SHA256_Update(&inner, pad.data(), pad.size());
    for (auto& b : pad) b ^= 0x36 ^ 0x5c;
    SHA256_Init(&outer);
    SHA256_Update(&outer, pad.data(), pad.size());
    crypto::wipe(pad);
  }
  void finish(std::uint8_t* out) {
    SHA256_Final(out, &inner);
    SHA256_Update(&outer, out, SHA256_DIGEST_LENGTH);
    SHA256_Final(out, &outer);
  }
};

struct ProviderCalls {
  static Provider& self(void* user) { return *static_cast<Provider*>(user); }

  static int random(std::uint8_t* data, std::size_t size, void*) {
    crypto::random_bytes({data, size});
    return SG_SUCCESS;
  }

  static int hmac_init(void** state, const std::uint8_t* key, std::size_t size, void* user) {
    std::unique_ptr<HmacState> mine = std::move(self(user).hmac_);
    if (!mine) mine = std::make_unique<HmacState>();
    mine->start({key, size});
    *state = mine.release();
    return SG_SUCCESS;
  }
  static int hmac_update(void* state, const std::uint8_t* data, std::size_t size, void*) {
    if (size != 0) SHA256_Update(&static_cast<HmacState*>(state)->inner, data, size);
    return SG_SUCCESS;
  }
  static int hmac_final(void* state, signal_buffer** out, void*) {
    signal_buffer* digest = signal_buffer_alloc(SHA256_DIGEST_LENGTH);
    if (!digest) return SG_ERR_NOMEM;
    static_cast<HmacState*>(state)->finish(signal_buffer_data(digest));
    *out = digest;
    return SG_SUCCESS;
  }
  static void hmac_cleanup(void* state, void* user) {
    if (!state) return;
    std::unique_ptr<HmacState> mine(static_cast<HmacState*>(state));
    crypto::wipe({reinterpret_cast<std::uint8_t*>(mine.get()), sizeof(HmacState)});
    self(user).hmac_ = std::move(mine);
  }

  static int sha512_init(void** state, void*) {
    auto* ctx = new SHA512_CTX;
    SHA512_Init(ctx);
    *state = ctx;
    return SG_SUCCESS;
  }
  static int sha512_update(void* state, const std::uint8_t* data, std::size_t size, void*) {
    if (size != 0) SHA512_Update(static_cast<SHA512_CTX*>(state), data, size);
    return SG_SUCCESS;
  }
  static int sha512_final(void* state, signal_buffer** out, void*) {
    signal_buffer* digest = signal_buffer_alloc(SHA512_DIGEST_LENGTH);
    if (!digest) return SG_ERR_NOMEM;
    auto* ctx = static_cast<SHA512_CTX*>(state);
    SHA512_Final(signal_buffer_data(digest), ctx);
    SHA512_Init(ctx);  // the library goes on with the same context
    *out = digest;
    return SG_SUCCESS;
  }
  static void sha512_cleanup(void* state, void*) { delete static_cast<SHA512_CTX*>(state); }

  // Version 3 messages use AES-256-CBC alone; counter mode belongs to the extinct version 2.
  static bool cbc(int cipher, std::size_t key_size, std::size_t iv_size, std::size_t size) {
    return cipher == SG_CIPHER_AES_CBC_PKCS5 && key_size == 32 && iv_size == 16 &&
           size <= INT_MAX - 32;
  }

  static int encrypt(signal_buffer** out, int cipher, const std::uint8_t* key, std::size_t key_size,
                     const std::uint8_t* iv, std::size_t iv_size, const std::uint8_t* plain,
                     std::size_t size, void* user) {
    if (!cbc(cipher, key_size, iv_size, size)) return SG_ERR_INVAL;
    Buffer result(signal_buffer_alloc((size / 16 + 1) * 16));
    if (!result) return SG_ERR_NOMEM;
    Provider& p = self(user);
    std::uint8_t* to = signal_buffer_data(result.get());
    int head = 0, tail = 0;
    if (EVP_EncryptInit_ex2(p.cipher_.get(), p.aes256_cbc_.get(), key, iv, nullptr) != 1 ||
        (size != 0 &&
         EVP_EncryptUpdate(p.cipher_.get(), to, &head, plain, static_cast<int>(size)) != 1) ||
        EVP_EncryptFinal_ex(p.cipher_.get(), to + head, &tail) != 1)
      return SG_ERR_UNKNOWN;
    *out = result.release();
    return SG_SUCCESS;
  }

  static int decrypt(signal_buffer** out, int cipher, const std::uint8_t* key, std::size_t key_size,
                     const std::uint8_t* iv, std::size_t iv_size, const std::uint8_t* sealed,
                     std::size_t size, void* user) {
    if (!cbc(cipher, key_size, iv_size, size)) return SG_ERR_INVAL;
    if (size == 0 || size % 16 != 0) return SG_ERR_INVALID_MESSAGE;
    Provider& p = self(user);
    Bytes plain(size + 16);
    int head = 0, tail = 0;
    const bool good =
        EVP_DecryptInit_ex2(p.cipher_.get(), p.aes256_cbc_.get(), key, iv, nullptr) == 1 &&
        EVP_DecryptUpdate(p.cipher_.get(), plain.data(), &head, sealed, static_cast<int>(size)) ==
            1 &&
        EVP_DecryptFinal_ex(p.cipher_.get(), plain.data() + head, &tail) == 1;
    signal_buffer* result =
        good ? signal_buffer_create(plain.data(), static_cast<std::size_t>(head + tail)) : nullptr;
    crypto::wipe(plain);
    if (!good) return SG_ERR_INVALID_MESSAGE;  // the MAC held, so its own author padded it badly
    if (!result) return SG_ERR_NOMEM;
    *out = result;
    return SG_SUCCESS;
  }
};

Provider::Provider()
    : aes256_cbc_(EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr)),
      cipher_(EVP_CIPHER_CTX_new()),
      hmac_(std::make_unique<HmacState>()) {
  crypto::require(aes256_cbc_ && cipher_, "no AES-256-CBC");
  // No log function: the library would write addresses. No locks: one thread.
  const signal_crypto_provider calls{
      ProviderCalls::random,        ProviderCalls::hmac_init,    ProviderCalls::hmac_update,
      ProviderCalls::hmac_final,    ProviderCalls::hmac_cleanup, ProviderCalls::sha512_init,
      ProviderCalls::sha512_update, ProviderCalls::sha512_final, ProviderCalls::sha512_cleanup,
      ProviderCalls::encrypt,       ProviderCalls::decrypt,      this};
  crypto::require(signal_context_create(&context_, this) == SG_SUCCESS &&
                      signal_context_set_crypto_provider(context_, &calls) == SG_SUCCESS,
                  "no context of libsignal-protocol-c");
}

Provider::~Provider() { signal_context_destroy(context_); }

}  // namespace gw::signal
