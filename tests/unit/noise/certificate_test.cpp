#include <functional>
#include <gtest/gtest.h>

#include "unit/noise/party.h"
#include "whatsapp/handshake.pb.h"

namespace gw::noise {
namespace {

using whatsapp::CertChain;
using Details = CertChain::NoiseCertificate::Details;

std::string_view check(const Party& p, const Bytes& chain, WallTime now = kNow) {
  const auto result = verify_chain(chain, p.root.pub, p.server.pub, now);
  if (!result) {
    EXPECT_EQ(result.error().kind, ErrorKind::kCorrupt);
  }
  return reason(result);
}

// A chain that was signed properly after `change` had its way with the certificates.
std::string_view with(const std::function<void(Party&)>& change, WallTime now = kNow) {
  Party p;
  change(p);
  return check(p, p.chain(), now);
}

Bytes encode(const CertChain& chain) {
  return to_bytes(std::string_view(chain.SerializeAsString()));
}

// A chain whose protobuf was changed after the signing, or signed anew by the test.
std::string_view altered(const std::function<void(CertChain&, const Party&)>& change) {
  Party p;
  CertChain chain;
  const Bytes good = p.chain();
  EXPECT_TRUE(chain.ParseFromArray(good.data(), static_cast<int>(good.size())));
  change(chain, p);
  return check(p, encode(chain));
}

void sign(CertChain::NoiseCertificate& certificate, const crypto::Key32& secret) {
  const auto signature = crypto::xeddsa_sign(secret, as_bytes(certificate.details()));
  certificate.set_signature(to_string(ByteView(signature)));
}
// Changes the details of one certificate, and signs as the rightful issuer would.
void redo(CertChain::NoiseCertificate& certificate, const crypto::Key32& secret,
          const std::function<void(Details&)>& change) {
  Details details;
  ASSERT_TRUE(details.ParseFromString(certificate.details()));
  change(details);
  certificate.set_details(details.SerializeAsString());
  sign(certificate, secret);
}

TEST(Certificate, AGoodChainPasses) {
  EXPECT_EQ(with([](Party&) {}), "OK");
}

TEST(Certificate, NoProtobuf) {
  const Party p;
  EXPECT_EQ(check(p, {}), "CERT_MALFORMED");
  EXPECT_EQ(check(p, to_bytes("\xff\xff\xff")), "CERT_MALFORMED");
  const Bytes good = p.chain();
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_NE(check(p, Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))), "OK")
        << size;
}

TEST(Certificate, MissingParts) {
  EXPECT_EQ(altered([](CertChain& c, auto&) { c.clear_leaf(); }), "CERT_MALFORMED");
  EXPECT_EQ(altered([](CertChain& c, auto&) { c.clear_intermediate(); }), "CERT_MALFORMED");
  EXPECT_EQ(altered([](CertChain& c, auto&) { c.mutable_leaf()->clear_signature(); }),
            "CERT_SIGNATURE_SIZE");
  // Empty details, properly signed: still no certificate.
  EXPECT_EQ(altered([](CertChain& c, const Party& p) {
              c.mutable_intermediate()->clear_details();
              sign(*c.mutable_intermediate(), p.root.secret);
            }),
            "CERT_MALFORMED");
  EXPECT_EQ(altered([](CertChain& c, const Party& p) {
              c.mutable_leaf()->clear_details();
              sign(*c.mutable_leaf(), p.intermediate.secret);
            }),
            "CERT_MALFORMED");
}

TEST(Certificate, KeysOfTheWrongLength) {
  for (std::size_t size : {0, 31, 33}) {
    auto cut = [size](Details& d) { d.set_key(std::string(size, 'k')); };
    EXPECT_EQ(altered([&](CertChain& c, const Party& p) {
                redo(*c.mutable_intermediate(), p.root.secret, cut);
              }),
              "CERT_MALFORMED");
    EXPECT_EQ(altered([&](CertChain& c, const Party& p) {
                redo(*c.mutable_leaf(), p.intermediate.secret, cut);
              }),
              "CERT_MALFORMED");
  }
}

TEST(Certificate, SignaturesOfTheWrongLength) {
  for (std::size_t size : {0, 1, 63, 65, 128}) {
    auto resize = [size](std::string& s) { s.resize(size); };
    EXPECT_EQ(altered([&](CertChain& c, auto&) { resize(*c.mutable_leaf()->mutable_signature()); }),
              "CERT_SIGNATURE_SIZE");
    EXPECT_EQ(altered([&](CertChain& c, auto&) {
                resize(*c.mutable_intermediate()->mutable_signature());
              }),
              "CERT_SIGNATURE_SIZE");
  }
}

TEST(Certificate, ForgedSignatures) {
  EXPECT_EQ(with([](Party& p) { p.root.pub = pair_of(99).pub; }), "CERT_INTERMEDIATE_SIGNATURE");
  EXPECT_EQ(with([](Party& p) { p.intermediate.secret = pair_of(99).secret; }),
            "CERT_LEAF_SIGNATURE");
  // A leaf that the root signed itself is not one that the intermediate signed.
  EXPECT_EQ(altered([](CertChain& c, const Party& p) { sign(*c.mutable_leaf(), p.root.secret); }),
            "CERT_LEAF_SIGNATURE");
}

TEST(Certificate, SwappedOrDoubledCertificates) {
  EXPECT_EQ(altered([](CertChain& c, auto&) { c.mutable_leaf()->Swap(c.mutable_intermediate()); }),
            "CERT_INTERMEDIATE_SIGNATURE");
  EXPECT_EQ(altered([](CertChain& c, auto&) { *c.mutable_leaf() = c.intermediate(); }),
            "CERT_LEAF_SIGNATURE");
}

TEST(Certificate, TheIntermediateIsIssuedByTheRoot) {
  EXPECT_EQ(with([](Party& p) { p.middle.issuer_serial = 1; }), "CERT_INTERMEDIATE_ISSUER");
  EXPECT_EQ(altered([](CertChain& c, const Party& p) {
              redo(*c.mutable_intermediate(), p.root.secret,
                   [](Details& d) { d.clear_issuer_serial(); });
            }),
            "OK")
      << "absent reads as 0";
}

TEST(Certificate, TheLeafIsIssuedByTheIntermediate) {
  EXPECT_EQ(with([](Party& p) { p.leaf.issuer_serial = 9; }), "CERT_LEAF_ISSUER");
  EXPECT_EQ(with([](Party& p) { p.leaf.issuer_serial = 0; }), "CERT_LEAF_ISSUER");
  EXPECT_EQ(with([](Party& p) { p.middle.serial = 9; }), "CERT_LEAF_ISSUER");
}

TEST(Certificate, TheLeafNamesTheKeyOfTheHandshake) {
  EXPECT_EQ(with([](Party& p) { p.leaf.key = pair_of(99).pub; }), "CERT_LEAF_KEY");
  EXPECT_EQ(with([](Party& p) { p.leaf.key[31] ^= 0x80; }), "CERT_LEAF_KEY") << "another spelling";
}

TEST(Certificate, BothWindowsHold) {
  EXPECT_EQ(with([](Party& p) { p.leaf.not_before = kNowSeconds + 1; }), "CERT_NOT_YET_VALID");
  EXPECT_EQ(with([](Party& p) { p.middle.not_before = kNowSeconds + 1; }), "CERT_NOT_YET_VALID");
  EXPECT_EQ(with([](Party& p) { p.leaf.not_after = kNowSeconds - 1; }), "CERT_EXPIRED");
  EXPECT_EQ(with([](Party& p) { p.middle.not_after = kNowSeconds - 1; }), "CERT_EXPIRED");
}

TEST(Certificate, TheWindowsEndsBelongToIt) {
  auto exactly = [](Party& p) {
    p.leaf.not_before = p.leaf.not_after = p.middle.not_before = p.middle.not_after = kNowSeconds;
  };
  EXPECT_EQ(with(exactly), "OK");
  EXPECT_EQ(with(exactly, kNow - Millis(1)), "CERT_NOT_YET_VALID");
  EXPECT_EQ(with(exactly, kNow + Millis(1)), "CERT_EXPIRED");
}

TEST(Certificate, ExtremeTimes) {
  auto endless = [](Party& p) {
    p.leaf.not_before = p.middle.not_before = 0;
    p.leaf.not_after = p.middle.not_after = UINT64_MAX;
  };
  EXPECT_EQ(with(endless), "OK");
  EXPECT_EQ(with([](Party& p) { p.leaf.not_before = UINT64_MAX; }), "CERT_NOT_YET_VALID");
  EXPECT_EQ(with([](Party&) {}, from_unix_ms(-5)), "CERT_NOT_YET_VALID");
  // No window at all is an expired one.
  EXPECT_EQ(altered([](CertChain& c, const Party& p) {
              redo(*c.mutable_leaf(), p.intermediate.secret,
                   [](Details& d) { d.clear_not_after(); });
            }),
            "CERT_EXPIRED");
}

TEST(Certificate, EveryFlippedBitIsSeen) {
  const Party p;
  const Bytes good = p.chain();
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit)
    ASSERT_NE(check(p, flipped(good, bit)), "OK") << bit;
}

}  // namespace
}  // namespace gw::noise
