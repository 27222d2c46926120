#pragma once

// One connection to WhatsApp, for one client: socket, Noise, frames, requests matched to answers,
// keepalive. Lives on one loop; every call and callback happens there. It never reconnects by
// itself: who opened it decides that. Idle, it holds a few hundred octets and no buffer.

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "crypto/crypto.h"
#include "runtime/loop.h"
#include "stanza/codec.h"
#include "stanza/node.h"

namespace gw::link {

class Turn;

// Why a link is down: UPPER_SNAKE, from this closed list.
inline constexpr std::array<std::string_view, 25> kDownReasons = {
    // The way there.
    "CONNECT_FAILED", "CONNECT_TIMEOUT", "HANDSHAKE_FAILED",  // the server is not who it should be
    "BAD_STANZA",                                             // instead of an answer to the login
    // The connection.
    "CONNECTION_LOST", "SILENT", "BAD_FRAME", "QUEUE_FULL", "CLOSED",  // by us
    // WhatsApp's words: whatsapp::read_failure, read_stream_error.
    "STREAM_ENDED", "TOKEN_REFUSED", "TEMPORARILY_BANNED", "LOCKED", "CLIENT_OUTDATED", "BANNED",
    "BAD_USER_AGENT", "NOT_FOUND", "CLIENT_UNKNOWN", "SERVER_UNAVAILABLE", "LOGIN_REFUSED",
    "REPLACED", "LOGGED_OUT", "RESTART_REQUIRED", "SERVER_GOING_AWAY", "STREAM_ERROR"};

// Counted over all links of a process; read by telemetry.
struct LinkProbe {
  std::atomic<std::uint64_t> opened{0}, up{0}, closed{0}, frames_in{0}, frames_out{0}, bytes_in{0},
      bytes_out{0}, bad_frames{0}, bad_stanzas{0}, keepalives_lost{0}, requests{0},
      requests_timed_out{0};
  std::array<std::atomic<std::uint64_t>, kDownReasons.size()> down{};  // by reason
  std::atomic<std::int64_t> open_now{0}, up_now{0};
};

struct Options {
  std::string host;
  std::uint16_t port = 443;
  crypto::Key32 root{};               // signs the server's certificate chain
  Millis connect_timeout{10'000};     // TCP and handshake and login together
  Millis keepalive_interval{20'000};  // jittered by up to a half
  Millis keepalive_deadline{10'000};
  Millis settled{10'000};  // a link that was up so long has worked: Backoff
  Millis request_timeout{15'000};
  std::size_t max_frame = 4u << 20;
  std::size_t max_queued = 64u << 20;  // octets waiting for the socket; above a user's bound
  stanza::Limits stanza;
};

struct Down {
  std::string_view reason;  // one of kDownReasons
  bool for_good = false;    // logging in again needs somebody's help first
  Millis retry_after{0};    // WhatsApp's wish; 0: none
  bool login_sent = false;  // the token left the gateway
};

class Listener {
 public:
  virtual ~Listener() = default;
  // Logged in; `success` is what WhatsApp said to it.
  virtual void link_up(const stanza::Node& success) = 0;
  virtual void link_down(Down why) = 0;  // once; the last call
  virtual void link_stanza(stanza::Node node) = 0;
};

class Link : public std::enable_shared_from_this<Link> {
 public:
  using Answer = std::function<void(Result<stanza::Node>)>;

  // Starts connecting. `listener` must outlive the link or call abandon(). `turn`, if there is one,
  // is told what came of the opening.
  static std::shared_ptr<Link> open(runtime::Loop& loop, const Options& options, const Clock& clock,
                                    LinkProbe& probe, const crypto::KeyPair& noise_key,
                                    Bytes login_payload, Listener& listener,
                                    std::shared_ptr<Turn> turn = nullptr);
  virtual ~Link() = default;

  // An encoded stanza (stanza::encode). False: the link is not up; the bytes were not taken.
  virtual bool send(ByteView encoded) = 0;
  // Sends an iq under an id of its own. `answer` runs exactly once: the result node, or an error
  // (IQ_*; RETRY_LATER LINK_DOWN, REQUEST_TIMEOUT). Not run after abandon().
  virtual void request(stanza::Node iq, Answer answer) = 0;
  // Octets that the socket has not taken yet.
  virtual std::size_t queued() const = 0;
  // Stops or resumes reading: back-pressure towards WhatsApp. Meanwhile keepalives go on, and
  // nobody is called silent.
  virtual void pause_reading(bool pause) = 0;
  // Sends what is queued if that works at once, closes; link_down(CLOSED) follows.
  virtual void close() = 0;
  // Closes without telling anybody.
  virtual void abandon() = 0;
};

}  // namespace gw::link
