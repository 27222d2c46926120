#include "floors/frames.h"

#include <cstring>
#include <openssl/evp.h>
#include <stdexcept>

#include "base/bytes.h"
#include "floors/cpu.h"

namespace gw::bench {

// Sealing stands for opening as well: they cost the same.
double frames_us(std::initializer_list<std::size_t> sizes) {
  constexpr int kRounds = 20'000;
  const Bytes key(32, 1);
  Bytes plain(64 * 1024, 2), sealed(64 * 1024 + 16);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  bool ok = context != nullptr &&
            EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nullptr, key.data(), nullptr) == 1;
  std::uint32_t counter = 0;
  const double start = thread_cpu_us();
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t size : sizes) {
      std::uint8_t iv[12] = {};
      std::memcpy(iv + 8, &counter, sizeof counter);
      ++counter;
      int n = 0;
      ok = ok && EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, iv) == 1 &&
           EVP_EncryptUpdate(context, sealed.data(), &n, plain.data(), static_cast<int>(size)) ==
               1 &&
           EVP_EncryptFinal_ex(context, sealed.data() + n, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, sealed.data() + size) == 1;
    }
  }
  const double spent = thread_cpu_us() - start;
  EVP_CIPHER_CTX_free(context);
  if (!ok) throw std::runtime_error("frame floor: OpenSSL refused");
  return spent / kRounds;
}

}  // namespace gw::bench
