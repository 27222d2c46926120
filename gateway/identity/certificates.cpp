#include "identity/certificates.h"

#include <arpa/inet.h>
#include <array>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/crypto.h"
#include "identity/openssl.h"

namespace gw::identity {
namespace {

constexpr std::chrono::days kAuthorityLives{3650};

using Certificate = std::unique_ptr<X509, Free<X509_free>>;

Certificate read_certificate(std::string_view pem) {
  return Certificate(PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr));
}

tl::unexpected<Error> invalid(ErrorKind kind) {
  return fail(kind, "CERTIFICATE_INVALID", "expected an X.509 certificate in PEM");
}

Result<WallTime> to_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (!time || ASN1_TIME_to_tm(time, &parts) != 1) return invalid(ErrorKind::kConfig);
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

bool is_ip(const std::string& name) {
  std::array<std::uint8_t, 16> parsed{};
  return inet_pton(AF_INET, name.c_str(), parsed.data()) == 1 ||
         inet_pton(AF_INET6, name.c_str(), parsed.data()) == 1;
}

bool is_host_name(std::string_view name) {
  return !name.empty() && name.size() <= 253 &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") ==
             std::string_view::npos;
}

bool add_extension(X509* to, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(to, extension.get(), -1) == 1;
}

bool set_serial(X509* certificate) {
  std::array<std::uint8_t, 16> random;
  crypto::random_bytes(random);
  random[0] = (random[0] & 0x3f) | 0x40;  // positive, and always of the same length
  std::unique_ptr<BIGNUM, Free<BN_free>> number(
      BN_bin2bn(random.data(), static_cast<int>(random.size()), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
}

bool set_name(X509* certificate, const std::string& common_name) {
  auto* name = X509_get_subject_name(certificate);
  auto add = [&](const char* field, const std::string& text) {
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, as_bytes(text).data(),
                                      static_cast<int>(text.size()), -1, 0) == 1;
  };
  return add("O", "interop gateway development") && add("CN", common_name);
}

bool set_validity(X509* certificate, WallTime now, std::chrono::days live) {
  auto from =
      std::chrono::floor<std::chrono::seconds>(now).time_since_epoch() - std::chrono::hours(1);
  return ASN1_TIME_set(X509_getm_notBefore(certificate), from.count()) &&
         ASN1_TIME_set(X509_getm_notAfter(certificate),
                       (from + std::chrono::seconds(live)).count());
}

std::string to_pem(X509* certificate) {
  Bio out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate);
  return written(out);
}

struct Extension {
  int nid;
  std::string value;
};

// `issuer` and `issuer_key` are null for one that signs itself.
Result<Issued> make_certificate(const std::string& common_name, WallTime now,
                                std::chrono::days live, X509* issuer, EVP_PKEY* issuer_key,
                                const std::vector<Extension>& extensions) {
  PrivateKey key(EVP_EC_gen("P-256"));
  Certificate made(X509_new());
  bool ok =
      key && made && X509_set_version(made.get(), X509_VERSION_3) == 1 && set_serial(made.get()) &&
      set_name(made.get(), common_name) && set_validity(made.get(), now, live) &&
      X509_set_pubkey(made.get(), key.get()) == 1 &&
      X509_set_issuer_name(made.get(), X509_get_subject_name(issuer ? issuer : made.get())) == 1;
  for (const auto& [nid, value] : extensions)
    ok = ok && add_extension(made.get(), issuer ? issuer : made.get(), nid, value);
  if (!ok || X509_sign(made.get(), issuer_key ? issuer_key : key.get(), EVP_sha256()) == 0)
    return fail(ErrorKind::kBug, "CERTIFICATE_NOT_MADE", "OpenSSL made no certificate");
  return Issued{to_pem(made.get()), private_key_pem(key.get())};
}

}  // namespace

bool is_provider_id(std::string_view text) {
  return !text.empty() && text.size() <= 32 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

Result<std::string> provider_of(std::string_view certificate) {
  auto x509 = read_certificate(certificate);
  if (!x509) return invalid(ErrorKind::kRejected);
  int critical = 0;
  std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(x509.get(), NID_subject_alt_name, &critical, nullptr)));
  // -2: the extension is there twice.
  if (!names && critical == -2)
    return fail(ErrorKind::kRejected, "CERTIFICATE_AMBIGUOUS",
                "the certificate has its alternative names twice");
  std::string found;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const auto* uri = name->d.uniformResourceIdentifier;
    std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                          static_cast<std::size_t>(ASN1_STRING_length(uri)));
    if (!text.starts_with(kProviderUri)) continue;
    if (!found.empty())
      return fail(ErrorKind::kRejected, "CERTIFICATE_AMBIGUOUS",
                  "the certificate names more than one provider");
    found = text.substr(kProviderUri.size());
    if (!is_provider_id(found))
      return fail(ErrorKind::kRejected, "CERTIFICATE_WITHOUT_PROVIDER",
                  "a provider's id has 1 to 32 of a-z, 0-9 and -");
  }
  if (found.empty())
    return fail(ErrorKind::kRejected, "CERTIFICATE_WITHOUT_PROVIDER",
                "the certificate needs the SAN URI interop:provider:<id>");
  return found;
}

Result<Validity> validity_of(std::string_view certificate) {
  auto x509 = read_certificate(certificate);
  if (!x509) return invalid(ErrorKind::kConfig);
  GW_ASSIGN(auto from, to_time(X509_get0_notBefore(x509.get())));
  GW_ASSIGN(auto until, to_time(X509_get0_notAfter(x509.get())));
  return Validity{from, until};
}

Result<void> check_pair(std::string_view certificate, std::string_view key) {
  auto x509 = read_certificate(certificate);
  if (!x509) return invalid(ErrorKind::kConfig);
  auto secret = read_private_key(key);
  if (!secret)
    return fail(ErrorKind::kConfig, "KEY_INVALID",
                "expected a private key in PEM without a passphrase");
  if (X509_check_private_key(x509.get(), secret.get()) != 1)
    return fail(ErrorKind::kConfig, "KEY_MISMATCH",
                "the private key does not belong to the certificate; the server's own certificate "
                "must come first in its file");
  return {};
}

Result<DevAuthority> DevAuthority::make(WallTime now, std::chrono::days certificates_live) {
  GW_ASSIGN(auto self,
            make_certificate("development authority", now, kAuthorityLives, nullptr, nullptr,
                             {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                              {NID_key_usage, "critical,keyCertSign,cRLSign"},
                              {NID_subject_key_identifier, "hash"}}));
  return load(std::move(self), now, certificates_live);
}

Result<DevAuthority> DevAuthority::load(Issued self, WallTime now,
                                        std::chrono::days certificates_live) {
  GW_TRY(check_pair(self.certificate, self.key));
  DevAuthority out;
  out.self_ = std::move(self);
  out.now_ = now;
  out.live_ = certificates_live;
  return out;
}

Result<Issued> DevAuthority::issue(const std::string& common_name,
                                   const std::string& alternative_names, const char* usage) const {
  auto issuer = read_certificate(self_.certificate);
  auto key = read_private_key(self_.key);
  return make_certificate(common_name, now_, live_, issuer.get(), key.get(),
                          {{NID_basic_constraints, "critical,CA:FALSE"},
                           {NID_key_usage, "critical,digitalSignature"},
                           {NID_ext_key_usage, usage},
                           {NID_subject_key_identifier, "hash"},
                           {NID_authority_key_identifier, "keyid:always"},
                           {NID_subject_alt_name, alternative_names}});
}

Result<Issued> DevAuthority::server(const std::vector<std::string>& names) const {
  std::string list;
  for (const auto& name : names) {
    if (!is_ip(name) && !is_host_name(name))
      return fail(ErrorKind::kRejected, "NAME_INVALID",
                  "a server's names are host names or IP addresses");
    list.append(list.empty() ? "" : ",").append(is_ip(name) ? "IP:" : "DNS:").append(name);
  }
  if (names.empty())
    return fail(ErrorKind::kRejected, "NAME_INVALID", "a server needs at least one name");
  return issue("gateway", list, "serverAuth");
}

Result<Issued> DevAuthority::client(std::string_view provider_id) const {
  if (!is_provider_id(provider_id))
    return fail(ErrorKind::kRejected, "PROVIDER_ID_INVALID",
                "a provider's id has 1 to 32 of a-z, 0-9 and -");
  std::string id(provider_id);
  return issue("backend of " + id, "URI:" + std::string(kProviderUri) + id, "clientAuth");
}

}  // namespace gw::identity
