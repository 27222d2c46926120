#include "floors/floors.h"

#include "floors/commit.h"
#include "floors/frames.h"
#include "floors/ratchet.h"

namespace gw::bench {
namespace {

// Octets of stanzas beside the one that carries the text.
constexpr std::size_t kAck = 60, kReceipt = 70;

std::size_t stanza(std::size_t text_size) { return text_size + 200; }

}  // namespace

Floor outbound_floor(const Database& database, std::size_t text_size) {
  return {ratchet_floor(text_size).encrypt_us,
          database.server ? outbound_commit_us(*database.server, database.name)
                          : outbound_commit_us(database.file, database.file + ".floor"),
          frames_us({stanza(text_size), kAck}, {kAck, kReceipt})};
}

Floor inbound_floor(const Database& database, std::size_t text_size) {
  return {ratchet_floor(text_size).decrypt_us,
          database.server ? inbound_commit_us(*database.server, database.name)
                          : inbound_commit_us(database.file, database.file + ".floor"),
          frames_us({kReceipt}, {stanza(text_size)})};
}

}  // namespace gw::bench
