#pragma once

// The least that a message can cost: the libraries called as directly as they can be, with nothing
// of the gateway around them. CPU time of the calling thread, and of a PostgreSQL server,
// microseconds a message. The gates in bench/run are multiples of these, measured in the same
// minute.

#include <cstddef>
#include <string>

#include "store/private_postgres.h"

namespace gw::bench {

struct Floor {
  double signal_us = 0;  // one ratchet operation of libsignal-protocol-c on a stored record
  double commit_us = 0;  // the rows that a message leaves behind, in transactions of 100 messages
  double frame_us = 0;   // the frames that it causes, both directions: AES-256-GCM and the socket
  double sum() const { return signal_us + commit_us + frame_us; }
};

// The gateway's database: a SQLite file, or one on a server.
struct Database {
  std::string file;
  store::test::PrivatePostgres* server = nullptr;
  std::string name{};  // on the server
};

// A text of `text_size` octets out: encrypted; account, ratchet and message written, then settled
// with its events SENT and DELIVERED; stanza and receipt's ack out, ack and receipt in.
// The rows go into a copy of the gateway's database, made beside it for the time.
Floor outbound_floor(const Database& database, std::size_t text_size);
// The same in: decrypted; account, ratchet, received id and event written; stanza in, receipt out.
Floor inbound_floor(const Database& database, std::size_t text_size);

}  // namespace gw::bench
