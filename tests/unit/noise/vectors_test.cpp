// Public vectors of Noise_XX_25519_AESGCM_SHA256, and one of WhatsApp's form of it.

#include <gtest/gtest.h>

#include "unit/noise/party.h"

namespace gw::noise {
namespace {

struct Message {
  std::string_view payload, sealed;
};
struct Vector {
  std::string_view prologue, init_static, init_ephemeral, resp_static, resp_ephemeral;
  // The transcript hash behind the second and the third message; empty: the vector does not tell.
  std::string_view hash_2, hash_3;
  Message handshake[3];
  std::vector<Message> from_initiator, from_responder;  // transport, in order of each direction
};

crypto::KeyPair pair_from(std::string_view secret) {
  crypto::KeyPair pair;
  pair.secret = key32(secret);
  pair.pub = crypto::public_key(pair.secret);
  return pair;
}

void mix_dh(SymmetricState& state, const crypto::KeyPair& own, const crypto::KeyPair& other) {
  state.mix_key(crypto::x25519(own.secret, other.pub).value());
}

Bytes join(std::initializer_list<ByteView> parts) {
  Bytes out;
  for (auto part : parts) append(out, part);
  return out;
}

void check_transport(const crypto::Key32& key, const std::vector<Message>& messages) {
  Transport sender(key, {}), receiver({}, key);
  for (const auto& m : messages) {
    Bytes wire;
    ASSERT_TRUE(sender.seal_frame(unhex(m.payload), wire));
    EXPECT_EQ(to_hex(ByteView(wire).subspan(3)), m.sealed);
    EXPECT_EQ(to_hex(receiver.open(std::span(wire).subspan(3)).value()), m.payload);
  }
}

// Plain Noise, step by step: every payload is mixed, also the first, which no key protects yet.
void run(const Vector& v) {
  const auto s_i = pair_from(v.init_static), e_i = pair_from(v.init_ephemeral);
  const auto s_r = pair_from(v.resp_static), e_r = pair_from(v.resp_ephemeral);
  SymmetricState state(unhex(v.prologue));

  const Bytes first = unhex(v.handshake[0].payload);
  state.mix_hash(e_i.pub);
  state.mix_hash(first);
  EXPECT_EQ(to_hex(join({e_i.pub, first})), v.handshake[0].sealed);

  state.mix_hash(e_r.pub);
  mix_dh(state, e_r, e_i);
  SymmetricState reader = state;
  const Bytes server_static = state.encrypt(s_r.pub);
  EXPECT_EQ(reader.decrypt(server_static).value(), to_bytes(ByteView(s_r.pub)));
  mix_dh(state, s_r, e_i);
  mix_dh(reader, e_i, s_r);
  const Bytes second = state.encrypt(unhex(v.handshake[1].payload));
  EXPECT_EQ(to_hex(join({e_r.pub, server_static, second})), v.handshake[1].sealed);
  EXPECT_EQ(to_hex(reader.decrypt(second).value()), v.handshake[1].payload);

  if (!v.hash_2.empty()) {
    EXPECT_EQ(to_hex(state.hash()), v.hash_2);
  }
  EXPECT_EQ(state.hash(), reader.hash());

  const Bytes client_static = state.encrypt(s_i.pub);
  mix_dh(state, s_i, e_r);
  const Bytes third = state.encrypt(unhex(v.handshake[2].payload));
  EXPECT_EQ(to_hex(join({client_static, third})), v.handshake[2].sealed);
  if (!v.hash_3.empty()) {
    EXPECT_EQ(to_hex(state.hash()), v.hash_3);
  }

  const auto keys = state.split();
  check_transport(keys.initiator_to_responder, v.from_initiator);
  check_transport(keys.responder_to_initiator, v.from_responder);
}

// Cacophony's vector, as snow's tests carry it. An early commit of that file (62fbfae2) records as
// "handshake_hash" what the hash is behind message 2; today's copies record the final one.
TEST(NoiseVector, Cacophony) {
  run({"4a6f686e2047616c74",
       "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
       "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
       "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
       "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
       "c7c118c30ea6b4b4fb8b576a2a29da04bbbb63e2b3a8430856a2a6d58f5953ad",
       "1b7aefb1125762aa21a252890d00af54519638b76437444538f9a52f21e2e0dc",
       {{"4c756477696720766f6e204d69736573",
         "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
         "4c756477696720766f6e204d69736573"},
        {"4d757272617920526f746862617264",
         "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
         "757117acceb05bd7a45733bc22015c97a9d0cbaf41b80446d5988ff5127235d7"
         "6b79eade70f473d6a4ef521fdcbeda5340d01e028ba793fc059f2724a83af05f"
         "12dda0448a7621a926b379a92477fd"},
        {"462e20412e20486179656b",
         "c90f1cf77eba4e50edb038991565e36c9758943a989229b6051244dc4fbecb69"
         "46744b401af2ee1a5881b65fbb87fd07cb6a328ececc9ce6ce84c399dc332d4f"
         "d521fa4bb7f467ce909395"}},
       {{"4a65616e2d426170746973746520536179",
         "250b01074cdfe0df2ecf8ccbf1737b15a2ddb5b52fd9a396604e9c793cee3b3bb9"}},
       {{"4361726c204d656e676572", "bc3fa77f6aca3e8466d7dc6bea10013e88a6a29add5132b461806c"},
        {"457567656e2042f6686d20766f6e2042617765726b",
         "449d4d433b3cdc3d02bf6fc881774b9df54366ebcffb9689bb13f14709822cd7ef42bcdb4d"}}});
}

TEST(NoiseVector, FlynnNoiseWithEmptyPayloads) {
  run({"",
       "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
       "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
       "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
       "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60",
       "",
       "",
       {{"", "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"},
        {"",
         "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
         "5393019dbd6f438795da206db0886610b26108e424142c2e9b5fd1f7ea70cde8"
         "767ce62d7e3c0e9bcefe4ab872c0505b9e824df091b74ffe10a2b32809cab21f"},
        {"",
         "e610eadc4b00c17708bf223f29a66f02342fbedf6c0044736544b9271821ae40"
         "e70144cecd9d265dffdc5bb8e051c3f83db32a425e04d8f510c58a43325fbc56"}},
       {{"79656c6c6f777375626d6172696e65",
         "9ea1da1ec3bfecfffab213e537ed1791bfa887dd9c631351b3f63d6315ab9a"}},
       {{"7375626d6172696e6579656c6c6f77",
         "217c5111fad7afde33bd28abaff3def88a57ab50515115d23a10f28621f842"}}});
}

// WhatsApp's form: prologue "WA" 6 3, no payload in the first message, protobuf around the three
// messages, a certificate chain as the second payload. Made once by an independent program of 40
// lines (another language's X25519, AES-GCM and SHA-256; HKDF and protobuf written out by hand)
// from the secrets of Party and a chain that make_chain had signed.
TEST(NoiseVector, WhatsAppsForm) {
  const Party p;
  const std::string_view chain =
      "0a760a32080810071a205dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3"
      "ef22209cf6c4d50628e4f7c4d5061240a1a70cc0620bdbe361c411d0f5640bea7194b65233b58a1a"
      "1ff96fa71bbbced40183567202e2baf169ee874e7329991eb90b37e0d732beed6c029c8edb84e50d"
      "12760a32080710001a20ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e58"
      "7d592098efc4d50628e8fec4d50612400a0475288b9aca32523dee899acf4a26b6282ace6a9ea9c8"
      "7ea770f36d9b4a7757d5746c068bfc40d35b8b78ec71bac33d27a2733cf382a4af3cb9dfc2e02c0c";
  const std::string_view hello =
      "12220a20f5b2d6e60f9477e310c2982daaa6c9136c108a1777c5947e448fa37d68174557";
  const std::string_view server_hello =
      "1ad7020a2050a61409b1ddd0325e9b16b700e719e9772c07000b1bd7786e907c653d20495d1230b3"
      "8522e923f382e5546a84284470e0a9e9ee9b9d94252033a50e323ea11572979d4cc5aed8a4d721c8"
      "72aa44d03befee1a80021d6e89bc4009f5a19cd4f5f4ebf8f114335010bf53949a76ef31f8000a02"
      "12a286d53f4c030d2c4a79aafa0bcd74418492d99ee90007c07e56c54f039791d165fab5b2dee9e4"
      "17db3b2f5f34b9b2c534cb82b7cca34a68bfe64a1fe1630e6b474e46562fe18a54fc8c41ab929ef1"
      "cad7e7f28dac0df868cbb41a678c9173dd707586d297b9e33cbdcee33be5bf3e311f8b1c9daf3184"
      "ea99fc889f8a2152d628a4349683def4a2948474398f032774cda17680193c649b7600edb7bbd0cd"
      "0027698cd6f19f685f51df4f901c38a238ab72e1d4b95438f3fdc9295e8e1c91e0b5e6ac15351d5c"
      "c929b68c19a514ba108d64e576e66a6cbd6b9655add36f2c4b7d";
  const std::string_view finish =
      "22550a309b6e97e0bef7920e84c1e2dbb598bd3d0c120214b0daee05e6cda88c484cb8552a676d11"
      "488841eb71da26c30d62422d122138eb466dbbdf2a6052f4e10c321f98969a5e206813964e99417b"
      "8627f007ff3613";

  Initiator initiator(p.client, p.root.pub, p.client_ephemeral);
  Responder responder(p.server, unhex(chain), p.server_ephemeral);
  EXPECT_EQ(to_hex(initiator.client_hello()), hello);
  EXPECT_EQ(to_hex(responder.read_client_hello(unhex(hello)).value()), server_hello);
  EXPECT_EQ(to_hex(initiator.read_server_hello(unhex(server_hello), p.login, kNow).value()),
            finish);
  EXPECT_EQ(responder.read_client_finish(unhex(finish)).value().login, p.login);

  Transport up = initiator.split(), down = responder.split();
  Bytes sent;
  ASSERT_TRUE(up.seal_frame(as_bytes("first up"), sent));
  EXPECT_EQ(to_hex(sent), "000018a96b7920532e476f6380af9d237576af57d154625ce7197d");
  sent.clear();
  ASSERT_TRUE(up.seal_frame(as_bytes("second up"), sent));
  EXPECT_EQ(to_hex(sent), "000019910a22d6678916fe077349fe97d9f7f6dfb662f04f0f4487b2");
  sent.clear();
  ASSERT_TRUE(down.seal_frame(as_bytes("first down"), sent));
  EXPECT_EQ(to_hex(sent), "00001ae86fd166a66c10affb00930f563d3d587d15ae0548541dfd619e");
}

}  // namespace
}  // namespace gw::noise
