#include "stanza/zlib.h"

#include <algorithm>
#include <limits>
#include <zlib.h>

namespace gw::stanza {
namespace {

constexpr std::size_t kFirstGuess = 4;  // stanzas shrink to about a quarter
constexpr std::size_t kSmallest = 1024;

tl::unexpected<Error> bad(std::string_view reason) { return fail(ErrorKind::kCorrupt, reason); }
tl::unexpected<Error> no_memory() { return fail(ErrorKind::kRetryLater, "OUT_OF_MEMORY"); }

struct Inflater {
  z_stream stream{};
  bool open = false;

  Inflater() { open = inflateInit(&stream) == Z_OK; }
  ~Inflater() {
    if (open) inflateEnd(&stream);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

}  // namespace

Result<Bytes> inflate_whole(ByteView packed, std::size_t most) {
  constexpr std::size_t kMaxChunk = std::numeric_limits<uInt>::max() / 2;
  if (packed.size() > kMaxChunk) return bad("STANZA_TOO_LARGE");
  most = std::min(most, kMaxChunk);
  Inflater inflater;
  if (!inflater.open) return no_memory();
  z_stream& stream = inflater.stream;
  stream.next_in = const_cast<Bytef*>(packed.data());  // zlib's own type lacks the const
  stream.avail_in = static_cast<uInt>(packed.size());

  Bytes plain;
  std::size_t filled = 0;
  while (true) {
    if (filled == plain.size()) {
      // One octet over the bound, so that a stream that is too large shows.
      if (filled > most) return bad("STANZA_TOO_LARGE");
      const std::size_t wanted =
          plain.empty() ? std::max(kSmallest, packed.size() * kFirstGuess) : plain.size() * 2;
      plain.resize(std::min(wanted, most + 1));
    }
    stream.next_out = plain.data() + filled;
    stream.avail_out = static_cast<uInt>(plain.size() - filled);
    const int outcome = inflate(&stream, Z_NO_FLUSH);
    filled = plain.size() - stream.avail_out;
    if (outcome == Z_STREAM_END) break;
    if (outcome == Z_MEM_ERROR) return no_memory();
    const bool stuck = stream.avail_out != 0;  // all input read, and the stream has not ended
    if ((outcome != Z_OK && outcome != Z_BUF_ERROR) || stuck) return bad("STANZA_MALFORMED");
  }
  if (filled > most) return bad("STANZA_TOO_LARGE");
  if (stream.avail_in != 0) return bad("STANZA_MALFORMED");
  plain.resize(filled);
  return plain;
}

Result<void> deflate_whole(ByteView plain, Bytes& to) {
  const std::size_t before = to.size();
  uLongf size = compressBound(static_cast<uLong>(plain.size()));
  to.resize(before + size);
  if (compress(to.data() + before, &size, plain.data(), static_cast<uLong>(plain.size())) != Z_OK) {
    to.resize(before);
    return no_memory();
  }
  to.resize(before + size);
  return {};
}

}  // namespace gw::stanza
