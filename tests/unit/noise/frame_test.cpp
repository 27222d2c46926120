#include <algorithm>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>

#include "unit/noise/party.h"

namespace gw::noise {
namespace {

Bytes pattern(std::size_t size, std::uint8_t from) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(from + i * 3);
  return out;
}

void drain(FrameReader& reader, std::vector<Bytes>& to) {
  while (auto frame = reader.next()) to.push_back(to_bytes(*frame));
}

struct Stream {
  std::vector<Bytes> frames;
  Bytes bytes;
  explicit Stream(std::initializer_list<std::size_t> sizes) {
    for (auto size : sizes) {
      frames.push_back(pattern(size, static_cast<std::uint8_t>(frames.size())));
      put_frame(bytes, frames.back());
    }
  }
};

TEST(Frame, Layout) {
  Bytes out = {0xaa};
  put_frame(out, as_bytes("hi"));
  put_frame(out, Bytes(0x010203, 7));
  EXPECT_EQ(Bytes(out.begin(), out.begin() + 9), (Bytes{0xaa, 0, 0, 2, 'h', 'i', 1, 2, 3}));
  EXPECT_EQ(out.size(), 9u + 0x010203);
  EXPECT_DEATH(put_frame(out, Bytes(kMaxFrame + 1)), "");
}

TEST(Frame, SplitAtEveryOctet) {
  const Stream stream({1, 2, 300, 16, 70});
  for (std::size_t cut = 0; cut <= stream.bytes.size(); ++cut) {
    FrameReader reader;
    std::vector<Bytes> got;
    ASSERT_TRUE(reader.feed(ByteView(stream.bytes).first(cut)));
    drain(reader, got);
    ASSERT_TRUE(reader.feed(ByteView(stream.bytes).subspan(cut)));
    drain(reader, got);
    ASSERT_EQ(got, stream.frames) << cut;
    EXPECT_EQ(reader.buffered(), 0u);
  }
}

TEST(Frame, OneOctetAtATime) {
  const Stream stream({1, 2, 300, 16, 70});
  FrameReader reader;
  std::vector<Bytes> got;
  for (auto octet : stream.bytes) {
    ASSERT_TRUE(reader.feed({&octet, 1}));
    drain(reader, got);
  }
  EXPECT_EQ(got, stream.frames);
}

TEST(Frame, RandomPiecesReadNowAndThen) {
  const char* given = std::getenv("GW_SEED");  // NOLINT(concurrency-mt-unsafe)
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("GW_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    Stream stream({});
    for (auto n = random() % 20; n > 0; --n) {
      stream.frames.push_back(pattern(1 + random() % 400, static_cast<std::uint8_t>(n)));
      put_frame(stream.bytes, stream.frames.back());
    }
    FrameReader reader;
    std::vector<Bytes> got;
    for (std::size_t at = 0; at < stream.bytes.size();) {
      const auto size = std::min<std::size_t>(random() % 500, stream.bytes.size() - at);
      ASSERT_TRUE(reader.feed(ByteView(stream.bytes).subspan(at, size)));
      at += size;
      for (auto n = random() % 4; n > 0; --n)
        if (auto frame = reader.next()) got.push_back(to_bytes(*frame));
    }
    drain(reader, got);
    ASSERT_EQ(got, stream.frames);
    ASSERT_EQ(reader.buffered(), 0u);
  }
}

TEST(Frame, AFrameMayBeChangedInPlaceWithoutHarmToTheNext) {
  const Stream stream({50, 60});
  FrameReader reader;
  ASSERT_TRUE(reader.feed(stream.bytes));
  const auto first = reader.next();
  ASSERT_TRUE(first);
  std::fill(first->begin(), first->end(), std::uint8_t{0xff});
  EXPECT_EQ(to_bytes(*reader.next()), stream.frames[1]);
}

TEST(Frame, LimitsAreExact) {
  FrameReader reader(10);
  Bytes bytes;
  put_frame(bytes, Bytes(10, 1));
  ASSERT_TRUE(reader.feed(bytes));
  EXPECT_EQ(reader.next()->size(), 10u);
  bytes.clear();
  put_frame(bytes, Bytes(11, 1));
  const auto refused = reader.feed(bytes);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(refused.error().reason, "FRAME_TOO_LONG");
}

TEST(Frame, TheLongestFrameThereIs) {
  Bytes bytes;
  put_frame(bytes, Bytes(kMaxFrame, 9));
  FrameReader reader;
  for (std::size_t at = 0; at < bytes.size(); at += 65536) {
    ASSERT_FALSE(reader.next());
    ASSERT_TRUE(
        reader.feed(ByteView(bytes).subspan(at, std::min<std::size_t>(65536, bytes.size() - at))));
  }
  EXPECT_EQ(reader.next()->size(), kMaxFrame);
  EXPECT_FALSE(reader.next());
}

TEST(Frame, AnEmptyOneEndsTheConnectionWhereverItStands) {
  for (std::size_t before : {0, 1, 3}) {
    Bytes bytes;
    for (std::size_t i = 0; i < before; ++i) put_frame(bytes, as_bytes("good"));
    append(bytes, Bytes{0, 0, 0});
    put_frame(bytes, as_bytes("behind it"));
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      FrameReader reader;
      std::vector<Bytes> got;
      auto result = reader.feed(ByteView(bytes).first(cut));
      drain(reader, got);
      if (result) result = reader.feed(ByteView(bytes).subspan(cut));
      drain(reader, got);
      ASSERT_EQ(reason(result), "FRAME_EMPTY");
      EXPECT_EQ(got, std::vector<Bytes>(before, to_bytes("good"))) << "and nothing behind it";
      for (auto more : {"", "m", "more"})
        EXPECT_EQ(reason(reader.feed(as_bytes(more))), "FRAME_EMPTY") << "for good";
      EXPECT_EQ(reader.next(), std::nullopt);
    }
  }
}

TEST(Frame, AnAnnouncedLengthReservesNothing) {
  FrameReader reader;
  ASSERT_TRUE(reader.feed(Bytes{0xff, 0xff, 0xff, 1, 2, 3}));
  EXPECT_FALSE(reader.next());
  EXPECT_LT(reader.memory(), 256u);
  EXPECT_EQ(reader.buffered(), 6u);
}

TEST(Frame, AnIdleReaderIsLean) {
  FrameReader reader;
  for (int i = 0; i < 3; ++i) {
    Bytes bytes;
    put_frame(bytes, Bytes(1'000'000, 5));
    put_frame(bytes, Bytes(10, 6));
    ASSERT_TRUE(reader.feed(bytes));
    EXPECT_EQ(reader.next()->size(), 1'000'000u);
    EXPECT_EQ(reader.next()->size(), 10u);
    EXPECT_FALSE(reader.next());
    EXPECT_LE(reader.memory(), 1024u);
  }
}

class TransportPair : public testing::Test {
 protected:
  crypto::Key32 up_ = pair_of(1).secret, down_ = pair_of(2).secret;
  Transport client_{up_, down_}, server_{down_, up_};

  static Bytes payload(const Bytes& frame) { return Bytes(frame.begin() + 3, frame.end()); }
};

TEST_F(TransportPair, BothWaysInOrder) {
  for (std::size_t size : {0, 1, 100, 1000, 70000}) {
    const Bytes plain = pattern(size, 1);
    for (auto [from, to] : {std::pair(&client_, &server_), std::pair(&server_, &client_)}) {
      Bytes wire;
      ASSERT_TRUE(from->seal_frame(plain, wire));
      ASSERT_EQ(wire.size(), 3 + size + 16);
      FrameReader reader;
      ASSERT_TRUE(reader.feed(wire));
      const auto opened = to->open(*reader.next());
      ASSERT_TRUE(opened);
      EXPECT_TRUE(equal(*opened, plain));
    }
  }
}

TEST_F(TransportPair, AppendsFrames) {
  Bytes wire = {1, 2, 3};
  ASSERT_TRUE(client_.seal_frame(as_bytes("one"), wire));
  ASSERT_TRUE(client_.seal_frame(as_bytes("two"), wire));
  EXPECT_EQ(wire.size(), 3u + 2 * (3 + 3 + 16));
  FrameReader reader;
  ASSERT_TRUE(reader.feed(ByteView(wire).subspan(3)));
  EXPECT_EQ(as_text(server_.open(*reader.next()).value()), "one");
  EXPECT_EQ(as_text(server_.open(*reader.next()).value()), "two");
}

TEST_F(TransportPair, AKnownFrame) {
  // AES-256-GCM by its definition: key, a nonce of 8 zeros and the counter, no associated data.
  Bytes wire;
  Transport late(up_, down_, 0x01020304);
  ASSERT_TRUE(late.seal_frame(as_bytes("text"), wire));
  const crypto::Nonce12 nonce = {0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4};
  EXPECT_EQ(payload(wire), crypto::gcm_seal(up_, nonce, {}, as_bytes("text")));
}

TEST_F(TransportPair, EveryFlippedBitOfAFrameIsSeen) {
  Bytes wire;
  ASSERT_TRUE(client_.seal_frame(pattern(40, 1), wire));
  for (std::size_t bit = 0; bit < wire.size() * 8; ++bit) {
    FrameReader reader(4096);
    const auto fed = reader.feed(flipped(wire, bit));
    const auto frame = reader.next();
    if (!fed || !frame) continue;  // a length that is now too long, or more than there is
    const auto opened = server_.open(*frame);
    ASSERT_FALSE(opened) << bit;
    EXPECT_EQ(opened.error().kind, ErrorKind::kCorrupt);
    EXPECT_EQ(opened.error().reason, "BAD_TAG");
  }
  for (std::size_t size = 0; size < wire.size() - 3; ++size) {
    Bytes cut = payload(wire);
    cut.resize(size);
    EXPECT_EQ(reason(server_.open(cut)), "BAD_TAG");
  }
  Bytes good = payload(wire);
  EXPECT_TRUE(server_.open(good)) << "a refused frame does not move the counter";
}

TEST_F(TransportPair, RepeatedSwappedOrReflectedFramesAreSeen) {
  Bytes one, two;
  ASSERT_TRUE(client_.seal_frame(as_bytes("one"), one));
  ASSERT_TRUE(client_.seal_frame(as_bytes("two"), two));
  Bytes early = payload(two), mirrored = payload(one), good = payload(one), again = payload(one);
  EXPECT_EQ(reason(server_.open(early)), "BAD_TAG");
  EXPECT_EQ(reason(client_.open(mirrored)), "BAD_TAG");
  EXPECT_TRUE(server_.open(good));
  EXPECT_EQ(reason(server_.open(again)), "BAD_TAG");
}

TEST_F(TransportPair, CountersEnd) {
  Transport sender(up_, down_, 0xfffffffe), receiver(down_, up_, 0, 0xfffffffe);
  Bytes wire, more;
  ASSERT_TRUE(sender.seal_frame(as_bytes("last"), wire));
  const auto refused = sender.seal_frame(as_bytes("x"), more);
  EXPECT_EQ(refused.error().kind, ErrorKind::kRejected);
  EXPECT_EQ(refused.error().reason, "NOISE_EXHAUSTED");
  EXPECT_TRUE(more.empty());
  Bytes last = payload(wire), again = last;
  EXPECT_EQ(as_text(receiver.open(last).value()), "last");
  EXPECT_EQ(reason(receiver.open(again)), "NOISE_EXHAUSTED");
}

TEST_F(TransportPair, WhatFitsNoFrameIsRefusedAndChangesNothing) {
  Bytes wire;
  EXPECT_EQ(reason(client_.seal_frame(Bytes(kMaxFrame - 15), wire)), "FRAME_TOO_LONG");
  EXPECT_TRUE(wire.empty());
  ASSERT_TRUE(client_.seal_frame(Bytes(kMaxFrame - 16), wire));
  Bytes sealed = payload(wire);
  EXPECT_TRUE(server_.open(sealed));
}

TEST_F(TransportPair, MovesTakeTheKeysAlong) {
  Bytes wire;
  ASSERT_TRUE(client_.seal_frame(as_bytes("one"), wire));
  Transport moved = std::move(client_);
  wire.clear();
  ASSERT_TRUE(moved.seal_frame(as_bytes("two"), wire));
  const crypto::Nonce12 second = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  EXPECT_EQ(payload(wire), crypto::gcm_seal(up_, second, {}, as_bytes("two")));
  // What is left behind has no keys, and will not encrypt under zeros.
  Bytes sealed = payload(wire);
  EXPECT_EQ(reason(client_.seal_frame({}, wire)),  // NOLINT(bugprone-use-after-move)
            "NOISE_EXHAUSTED");
  EXPECT_EQ(reason(client_.open(sealed)), "NOISE_EXHAUSTED");
}

TEST(Transport, IsLean) { EXPECT_LE(sizeof(Transport), 72u); }

}  // namespace
}  // namespace gw::noise
