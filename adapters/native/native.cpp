#include "adapters/native/native.h"

#include <array>
#include <climits>
#include <google/protobuf/arena.h>

#include "adapters/native/convert.h"

namespace gw::adapters::native {
namespace {

// Room for one ordinary message, so that parsing or building it takes nothing from the heap but its
// longer strings.
class StackArena {
 public:
  StackArena() : arena_(options(block_)) {}
  template <class Message>
  Message* make() {
    return google::protobuf::Arena::CreateMessage<Message>(&arena_);
  }

 private:
  static google::protobuf::ArenaOptions options(std::array<char, 2048>& block) {
    google::protobuf::ArenaOptions made;
    made.initial_block = block.data();
    made.initial_block_size = block.size();
    return made;
  }
  alignas(8) std::array<char, 2048> block_;
  google::protobuf::Arena arena_;
};

class NativeCodec final : public adapter::Codec {
 public:
  adapter::Decoded<adapter::Outgoing> decode(ByteView native) const override {
    StackArena arena;
    auto* in = arena.make<v1::OutgoingMessage>();
    if (native.size() > INT_MAX ||
        !in->ParseFromArray(native.data(), static_cast<int>(native.size())))
      return adapter::fault({ErrorKind::kRejected,
                             "REQUEST_MALFORMED",
                             "not an OutgoingMessage, or a string that is not UTF-8",
                             {}},
                            "");
    if (auto valid = message::validate_user_id(in->user_id()); !valid)
      return adapter::fault(std::move(valid).error(), "user_id");
    auto submit = take_submit(*in);
    if (!submit) return tl::unexpected(std::move(submit).error());
    return adapter::Outgoing{std::move(*in->mutable_user_id()), *std::move(submit)};
  }

  void encode(std::string_view native_user, const message::Event& event,
              std::string& out) const override {
    StackArena arena;
    auto* made = arena.make<v1::Event>();
    to_proto(event, native_user, *made);
    std::size_t size = made->ByteSizeLong(), before = out.size();
    out.resize(before + size);
    made->SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(out.data()) + before);
  }
};

}  // namespace

const adapter::AdapterDescriptor& descriptor() {
  static const NativeCodec codec;
  static const adapter::SameIds identity;
  static const adapter::AdapterDescriptor made{
      "native",
      1,
      {.max_text = message::kMaxText, .delivered_and_read = true, .tells_presence = true},
      &codec,
      &identity};
  return made;
}

}  // namespace gw::adapters::native
