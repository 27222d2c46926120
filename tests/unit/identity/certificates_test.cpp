#include "identity/certificates.h"

#include <gmock/gmock.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "identity/openssl.h"

namespace gw::identity {
namespace {

using namespace std::chrono_literals;
const WallTime kNow = std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now());

// A certificate that signs itself, with these alternative names in OpenSSL's notation; empty: none.
std::string certificate_with(const std::string& names) {
  PrivateKey key(EVP_EC_gen("P-256"));
  std::unique_ptr<X509, Free<X509_free>> x509(X509_new());
  X509_set_version(x509.get(), X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(x509.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(x509.get()), 3600);
  X509_set_pubkey(x509.get(), key.get());
  if (!names.empty()) {
    std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str()));
    EXPECT_TRUE(extension) << names;
    X509_add_ext(x509.get(), extension.get(), -1);
  }
  X509_sign(x509.get(), key.get(), EVP_sha256());
  Bio out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), x509.get());
  return written(out);
}

std::string provider_or_reason(const std::string& pem) {
  auto provider = provider_of(pem);
  return provider ? *provider : std::string(provider.error().reason);
}

DevAuthority authority() { return *DevAuthority::make(kNow, std::chrono::days(30)); }

TEST(ProviderOf, ExactlyOneUriCounts) {
  EXPECT_EQ(provider_or_reason(certificate_with("URI:interop:provider:acme-1")), "acme-1");
  EXPECT_EQ(provider_or_reason(certificate_with(
                "DNS:a.test,URI:https://a.test,URI:interop:provider:acme,IP:127.0.0.1")),
            "acme");
  for (const char* names :
       {"", "DNS:a.test", "URI:https://a.test", "DNS:interop:provider:acme",
        "URI:interop:provider:", "URI:interop:provider:Acme", "URI:interop:provider:a b",
        "URI:INTEROP:PROVIDER:acme", "URI:interop:provider:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
    EXPECT_EQ(provider_or_reason(certificate_with(names)), "CERTIFICATE_WITHOUT_PROVIDER") << names;
  EXPECT_EQ(
      provider_or_reason(certificate_with("URI:interop:provider:acme,URI:interop:provider:other")),
      "CERTIFICATE_AMBIGUOUS");
  EXPECT_EQ(
      provider_or_reason(certificate_with("URI:interop:provider:acme,URI:interop:provider:acme")),
      "CERTIFICATE_AMBIGUOUS");
  for (const char* text : {"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"})
    EXPECT_EQ(provider_or_reason(text), "CERTIFICATE_INVALID");
}

TEST(DevAuthority, WhatItIssuesSaysWhatItIs) {
  auto ca = authority();
  auto client = ca.client("acme");
  ASSERT_TRUE(client);
  EXPECT_EQ(provider_or_reason(client->certificate), "acme");
  EXPECT_TRUE(check_pair(client->certificate, client->key));
  auto validity = validity_of(client->certificate);
  ASSERT_TRUE(validity);
  EXPECT_LE(validity->from, kNow);
  EXPECT_GT(validity->until, kNow + 29 * 24h);
  EXPECT_LT(validity->until, kNow + 31 * 24h);
  auto server = ca.server({"localhost", "127.0.0.1", "::1"});
  ASSERT_TRUE(server);
  EXPECT_EQ(provider_or_reason(server->certificate), "CERTIFICATE_WITHOUT_PROVIDER");
  EXPECT_EQ(check_pair(server->certificate, client->key).error().reason, "KEY_MISMATCH");
  EXPECT_EQ(check_pair(server->certificate, "x").error().reason, "KEY_INVALID");
}

TEST(DevAuthority, NamesThatCouldSmuggleOthersInAreRefused) {
  auto ca = authority();
  for (const char* name : {"", "a,URI:interop:provider:x", "a b", "a\nb", "a:b", "*"})
    EXPECT_EQ(ca.server({name}).error().reason, "NAME_INVALID") << name;
  EXPECT_EQ(ca.server({}).error().reason, "NAME_INVALID");
  for (const char* id : {"", "A", "a,b", "a,DNS:b"})
    EXPECT_EQ(ca.client(id).error().reason, "PROVIDER_ID_INVALID") << id;
}

TEST(DevAuthority, ComesBackFromItsFiles) {
  auto ca = authority();
  auto again = DevAuthority::load(ca.self(), kNow, std::chrono::days(1));
  ASSERT_TRUE(again);
  EXPECT_EQ(provider_or_reason(again->client("b")->certificate), "b");
  EXPECT_FALSE(DevAuthority::load({ca.self().certificate, authority().self().key}, kNow,
                                  std::chrono::days(1)));
}

// Both sides in memory: TLS 1.3 with certificates on both.
struct Handshake {
  Handshake(const Issued& server, const std::string& server_ca, const Issued& client,
            const std::string& client_ca, const char* host) {
    std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> s(make(server, server_ca)),
        c(make(client, client_ca));
    std::unique_ptr<SSL, Free<SSL_free>> a(SSL_new(s.get())), b(SSL_new(c.get()));
    if (!X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(b.get()), host)) SSL_set1_host(b.get(), host);
    BIO *x = nullptr, *y = nullptr;
    BIO_new_bio_pair(&x, 0, &y, 0);
    SSL_set_bio(a.get(), x, x);
    SSL_set_bio(b.get(), y, y);
    SSL_set_accept_state(a.get());
    SSL_set_connect_state(b.get());
    for (int i = 0; i < 10; ++i) {
      client_ok = SSL_do_handshake(b.get()) == 1;
      server_ok = SSL_do_handshake(a.get()) == 1;
    }
  }
  static SSL_CTX* make(const Issued& self, const std::string& ca) {
    auto* context = SSL_CTX_new(TLS_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    auto read = [](const std::string& pem) {
      return std::unique_ptr<X509, Free<X509_free>>(
          PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr));
    };
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), read(ca).get());
    SSL_CTX_use_certificate(context, read(self.certificate).get());
    SSL_CTX_use_PrivateKey(context, read_private_key(self.key).get());
    return context;
  }
  bool client_ok = false, server_ok = false;
};

TEST(DevAuthority, TlsAcceptsItsOwnAndNobodyElses) {
  auto ca = authority(), other = authority();
  auto server = *ca.server({"localhost", "127.0.0.1"});
  auto client = *ca.client("acme");
  const auto& root = ca.self().certificate;
  for (const char* host : {"localhost", "127.0.0.1"}) {
    Handshake good(server, root, client, root, host);
    EXPECT_TRUE(good.client_ok && good.server_ok) << host;
  }
  EXPECT_FALSE(Handshake(server, root, client, root, "elsewhere.test").client_ok);
  EXPECT_FALSE(Handshake(server, root, *other.client("acme"), root, "localhost").server_ok);
  EXPECT_FALSE(Handshake(server, root, client, other.self().certificate, "localhost").client_ok);
  // A client's certificate does not make a server, nor the other way round.
  EXPECT_FALSE(Handshake(client, root, client, root, "localhost").client_ok);
  EXPECT_FALSE(Handshake(server, root, server, root, "localhost").server_ok);
}

}  // namespace
}  // namespace gw::identity
