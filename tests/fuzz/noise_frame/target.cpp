// Everything of noise/ that reads bytes of the other side. The first octet says which: so each
// corpus file begins with its mode.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <vector>

#include "noise/noise.h"

namespace gw::noise {
namespace {

enum Mode : std::uint8_t {
  kFrames,        // a piece size, then a stream of frames
  kClientHello,   // the message, for a responder
  kServerHello,   // the message, for an initiator
  kClientFinish,  // the message, for a responder that has answered
  kTransport,     // a stream of sealed frames
  kChain,         // an encoded certificate chain
  kSealedChain,   // a chain, sealed as a server would: reaches the initiator's checks
  kModes
};

void check(bool holds) {
  if (!holds) std::abort();
}

// Fixed keys and time, so that a sample stays valid.
crypto::KeyPair pair_of(std::uint8_t fill) {
  crypto::KeyPair pair;
  pair.secret.fill(fill);
  pair.pub = crypto::public_key(pair.secret);
  return pair;
}
struct World {
  crypto::KeyPair root = pair_of(1), intermediate = pair_of(2), server = pair_of(3),
                  client = pair_of(4), server_ephemeral = pair_of(5), client_ephemeral = pair_of(6);
  WallTime now = from_unix_ms(1'790'000'000'000);
  crypto::Key32 up = pair_of(7).secret, down = pair_of(8).secret;
  Bytes login = to_bytes("login");
  Initiator initiator{client, root.pub, client_ephemeral};
  Responder responder{server, to_bytes("chain"), server_ephemeral};
  Bytes hello = Initiator(initiator).client_hello();
};
const World& world() {
  static const World it;
  return it;
}

// Whole frames of a stream; nullopt when it ends the connection.
std::optional<std::vector<Bytes>> read_all(ByteView stream, std::size_t piece) {
  FrameReader reader(4096);
  std::vector<Bytes> frames;
  bool good = true;
  while (good && !stream.empty()) {
    const auto size = std::min(piece, stream.size());
    good = reader.feed(stream.first(size)).has_value();
    stream = stream.subspan(size);
    while (auto frame = reader.next()) {
      check(!frame->empty() && frame->size() <= 4096);
      frames.push_back(to_bytes(*frame));
    }
    check(reader.memory() <= std::size_t{4} * (4096 + 3) + 2 * piece);
  }
  if (!good) return std::nullopt;
  return frames;
}

void frames(ByteView data) {
  if (data.empty()) return;
  const std::size_t piece = 1 + data[0];
  const auto stream = data.subspan(1);
  const auto whole = read_all(stream, stream.size() + 1), cut = read_all(stream, piece);
  check(whole == cut);  // where the socket cuts must not matter
  if (!whole) return;
  Bytes again;
  for (const auto& frame : *whole) put_frame(again, frame);
  check(again.size() <= stream.size() && equal(again, stream.first(again.size())));
}

void transport(ByteView data) {
  Transport receiver(world().down, world().up);
  FrameReader reader(4096);
  if (!reader.feed(data)) return;
  while (auto frame = reader.next()) {
    const Bytes sealed = to_bytes(*frame);
    const auto plain = receiver.open(*frame);
    if (!plain) return;
    check(plain->size() + crypto::kGcmTagSize == sealed.size());
  }
}

void server_hello(ByteView message) {
  Initiator initiator = world().initiator;
  const auto finish = initiator.read_server_hello(message, world().login, world().now);
  if (finish) (void)initiator.split();
}

void client_finish(ByteView message) {
  Responder responder = world().responder;
  check(responder.read_client_hello(world().hello).has_value());
  if (responder.read_client_finish(message)) (void)responder.split();
}

void sealed_chain(ByteView chain) {
  Responder responder(world().server, to_bytes(chain), world().server_ephemeral);
  const auto hello = responder.read_client_hello(world().hello);
  check(hello.has_value());
  Initiator initiator = world().initiator;
  const bool accepted = initiator.read_server_hello(*hello, world().login, world().now).has_value();
  check(accepted ==
        verify_chain(chain, world().root.pub, world().server.pub, world().now).has_value());
}

}  // namespace
}  // namespace gw::noise

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gw::noise;
  if (size == 0) return 0;
  const gw::ByteView rest(data + 1, size - 1);
  switch (data[0] % kModes) {
    case kFrames:
      frames(rest);
      break;
    case kClientHello: {
      Responder responder = world().responder;
      (void)responder.read_client_hello(rest);
      break;
    }
    case kServerHello:
      server_hello(rest);
      break;
    case kClientFinish:
      client_finish(rest);
      break;
    case kTransport:
      transport(rest);
      break;
    case kChain:
      (void)verify_chain(rest, world().root.pub, world().server.pub, world().now);
      break;
    case kSealedChain:
      sealed_chain(rest);
      break;
  }
  return 0;
}
