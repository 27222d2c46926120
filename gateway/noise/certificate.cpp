#include <algorithm>

#include "noise/noise.h"
#include "whatsapp/handshake.pb.h"

namespace gw::noise {
namespace {

using crypto::Key32;
using Signed = whatsapp::CertChain::NoiseCertificate;
using Details = Signed::Details;

tl::unexpected<Error> refuse(std::string_view reason) { return fail(ErrorKind::kCorrupt, reason); }

Result<Certificate> read(const std::string& encoded) {
  Details details;
  if (encoded.empty() || !details.ParseFromString(encoded) || details.key().size() != sizeof(Key32))
    return refuse("CERT_MALFORMED");
  Certificate out{
      details.serial(), details.issuer_serial(), {}, details.not_before(), details.not_after()};
  std::copy_n(details.key().begin(), out.key.size(), out.key.begin());
  return out;
}

bool signed_by(const Key32& key, const Signed& certificate) {
  return crypto::xeddsa_verify(key, as_bytes(certificate.details()),
                               as_bytes(certificate.signature()));
}

Result<void> check_window(const Certificate& certificate, WallTime now) {
  // Compared in seconds, because hostile seconds times 1000 would overflow.
  const std::int64_t ms = std::max<std::int64_t>(unix_ms(now), 0);
  const auto seconds = static_cast<std::uint64_t>(ms / 1000);
  if (seconds < certificate.not_before) return refuse("CERT_NOT_YET_VALID");
  if (seconds > certificate.not_after || (seconds == certificate.not_after && ms % 1000 != 0))
    return refuse("CERT_EXPIRED");
  return {};
}

void make(Signed& to, const Certificate& from, const Key32& issuer_secret) {
  Details details;
  details.set_serial(from.serial);
  details.set_issuer_serial(from.issuer_serial);
  details.set_key(to_string(ByteView(from.key)));
  details.set_not_before(from.not_before);
  details.set_not_after(from.not_after);
  to.set_details(details.SerializeAsString());
  to.set_signature(to_string(ByteView(crypto::xeddsa_sign(issuer_secret, as_bytes(to.details())))));
}

}  // namespace

Bytes make_chain(const Key32& root_secret, const Key32& intermediate_secret,
                 const Certificate& intermediate, const Certificate& leaf) {
  whatsapp::CertChain chain;
  make(*chain.mutable_intermediate(), intermediate, root_secret);
  make(*chain.mutable_leaf(), leaf, intermediate_secret);
  return to_bytes(std::string_view(chain.SerializeAsString()));
}

Result<void> verify_chain(ByteView encoded, const Key32& root, const Key32& server_static,
                          WallTime now) {
  whatsapp::CertChain chain;
  if (encoded.size() > kMaxFrame ||
      !chain.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())) ||
      !chain.has_leaf() || !chain.has_intermediate())
    return refuse("CERT_MALFORMED");
  if (chain.leaf().signature().size() != sizeof(crypto::Signature) ||
      chain.intermediate().signature().size() != sizeof(crypto::Signature))
    return refuse("CERT_SIGNATURE_SIZE");
  // What is not signed is not read: from the root down.
  if (!signed_by(root, chain.intermediate())) return refuse("CERT_INTERMEDIATE_SIGNATURE");
  GW_ASSIGN(const Certificate intermediate, read(chain.intermediate().details()));
  if (!signed_by(intermediate.key, chain.leaf())) return refuse("CERT_LEAF_SIGNATURE");
  GW_ASSIGN(const Certificate leaf, read(chain.leaf().details()));

  if (intermediate.issuer_serial != 0) return refuse("CERT_INTERMEDIATE_ISSUER");
  if (leaf.issuer_serial != intermediate.serial) return refuse("CERT_LEAF_ISSUER");
  if (leaf.key != server_static) return refuse("CERT_LEAF_KEY");
  GW_TRY(check_window(intermediate, now));
  return check_window(leaf, now);
}

}  // namespace gw::noise
