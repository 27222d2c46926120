#pragma once

// The least that a message can cost: the libraries called as directly as they can be, with nothing
// of the gateway around them. CPU time of the calling thread, microseconds a message. The gates in
// bench/run are multiples of these, measured in the same minute.

#include <cstddef>
#include <string>

namespace gw::bench {

struct Floor {
  double signal_us = 0;  // one ratchet operation of libsignal-protocol-c on a stored record
  double commit_us = 0;  // the rows that a message leaves behind, in transactions of 100 messages
  double frame_us = 0;   // the frames that it causes, both directions: AES-256-GCM and the socket
  double sum() const { return signal_us + commit_us + frame_us; }
};

// A text of `text_size` octets out: encrypted; account, ratchet and message written, then settled
// with its events SENT and DELIVERED; stanza and receipt's ack out, ack and receipt in.
// The rows go into a copy of the gateway's database, made in its folder for the time.
Floor outbound_floor(const std::string& database, std::size_t text_size);
// The same in: decrypted; account, ratchet, received id and event written; stanza in, receipt out.
Floor inbound_floor(const std::string& database, std::size_t text_size);

}  // namespace gw::bench
