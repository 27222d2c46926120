#pragma once

// Throw-away certificates: a CA, and what it signs.

#include <memory>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace gw::test {

struct Pem {
  std::string certificate, key;
};

class Authority {
 public:
  Authority() : key_(new_key()), certificate_(make("test ca", key_.get(), {}, true)) {}

  std::string pem() const { return text(certificate_.get()); }
  // `names` as OpenSSL writes them: "DNS:localhost", "URI:interop:provider:a".
  Pem issue(const std::vector<std::string>& names) const {
    Key key = new_key();
    Cert certificate = make("test", key.get(), names, false);
    return {text(certificate.get()), text(key.get())};
  }

 private:
  struct Free {
    void operator()(X509* p) const { X509_free(p); }
    void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
    void operator()(BIO* p) const { BIO_free(p); }
    void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
  };
  using Cert = std::unique_ptr<X509, Free>;
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Bio = std::unique_ptr<BIO, Free>;

  static void must(bool good) {
    if (!good) throw std::runtime_error("certificate");
  }
  static Key new_key() { return Key(EVP_EC_gen("P-256")); }

  static std::string text(X509* certificate) {
    Bio bio(BIO_new(BIO_s_mem()));
    must(PEM_write_bio_X509(bio.get(), certificate) == 1);
    return text(bio.get());
  }
  static std::string text(EVP_PKEY* key) {
    Bio bio(BIO_new(BIO_s_mem()));
    must(PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    return text(bio.get());
  }
  static std::string text(BIO* bio) {
    char* data = nullptr;
    long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
  }

  static void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    std::unique_ptr<X509_EXTENSION, Free> made(
        X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    must(made && X509_add_ext(certificate, made.get(), -1) == 1);
  }

  Cert make(const char* name, EVP_PKEY* key, const std::vector<std::string>& names,
            bool self) const {
    static long serial = 1;
    Cert out(X509_new());
    X509* certificate = out.get();
    X509* issuer = self ? certificate : certificate_.get();
    must(X509_set_version(certificate, 2) == 1);
    must(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++) == 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
    must(X509_set_pubkey(certificate, key) == 1);
    must(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name), -1, -1, 0) == 1);
    must(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1);
    extend(certificate, issuer, NID_basic_constraints, self ? "critical,CA:TRUE" : "CA:FALSE");
    if (!names.empty()) {
      std::string joined;
      for (const auto& one : names) joined += (joined.empty() ? "" : ",") + one;
      extend(certificate, issuer, NID_subject_alt_name, joined);
    }
    must(X509_sign(certificate, key_.get(), EVP_sha256()) > 0);
    return out;
  }

  Key key_;
  Cert certificate_;
};

}  // namespace gw::test
