#pragma once

// libsignal-protocol-c's context with our primitives under it. Belongs to one thread.

#include <memory>
#include <openssl/evp.h>
#include <signal_protocol.h>

namespace gw::signal {

struct HmacState;

class Provider {
 public:
  Provider();
  ~Provider();
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;
  signal_context* context() const { return context_; }

 private:
  friend struct ProviderCalls;
  struct FreeCipher {
    void operator()(EVP_CIPHER* c) const { EVP_CIPHER_free(c); }
    void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
  };

  std::unique_ptr<EVP_CIPHER, FreeCipher> aes256_cbc_;
  std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> cipher_;
  std::unique_ptr<HmacState> hmac_;  // nullptr while the library has it
  signal_context* context_ = nullptr;
};

}  // namespace gw::signal
