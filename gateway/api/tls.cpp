#include "api/tls.h"

#include <memory>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace gw::api {
namespace {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using Cert = std::unique_ptr<X509, Freer<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

Bio open(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Cert certificate(const std::string& pem) {
  Bio bio = open(pem);
  return Cert(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

tl::unexpected<Error> invalid(std::string message) {
  ERR_clear_error();
  return fail(ErrorKind::kConfig, "TLS_INVALID", std::move(message));
}

}  // namespace

Result<void> check_tls(const std::string& certificate_pem, const std::string& key_pem,
                       const std::string& client_ca_pem) {
  Cert own = certificate(certificate_pem);
  if (!own) return invalid("the server certificate is not PEM");
  Bio bio = open(key_pem);
  // No pass phrase: an encrypted key is refused instead of asked for on the terminal.
  auto no_phrase = [](char*, int, int, void*) { return -1; };
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_phrase, nullptr));
  if (!key) return invalid("the server key is not PEM, or is encrypted");
  if (X509_check_private_key(own.get(), key.get()) != 1)
    return invalid("the server key does not belong to the server certificate");
  if (!certificate(client_ca_pem)) return invalid("the client CA certificate is not PEM");
  return {};
}

}  // namespace gw::api
