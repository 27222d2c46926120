#pragma once

// One client's link: header, Noise as the responder, login, then stanzas both ways.

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>

#include "noise/noise.h"
#include "whatsapp_sim/directory.h"
#include "whatsapp_sim/login.h"
#include "whatsapp_sim/pipe.h"

namespace gw::sim {

struct World;

class Session final : public Endpoint, public std::enable_shared_from_this<Session> {
 public:
  // Keeps itself in world.sessions until the pipe closes.
  static void open(World& world, std::shared_ptr<Pipe> pipe);
  Session(World& world, std::shared_ptr<Pipe> pipe);

  void send(const stanza::Node& node) override;
  void finish(const stanza::Node& last) override;
  void cut();                       // closes without a word
  void put_octets(ByteView plain);  // one transport frame, whether or not it is a stanza
  void abandon();                   // the world ends

 private:
  enum class Phase { kHeader, kHello, kFinish, kLive, kOver };

  void on_data(std::span<std::uint8_t> data);
  bool take_header(std::span<std::uint8_t>& data);
  void on_frame(std::span<std::uint8_t> frame);
  void on_hello(ByteView frame);
  void on_login(ByteView frame);
  void on_transport(std::span<std::uint8_t> frame);
  void on_stanza(const stanza::Node& node);
  void refuse(const Refusal& refusal);
  void closed();
  void close_soon();  // what is written leaves first, within a few seconds

  // Faults on the way out; true: the stanza was dealt with.
  bool disturb(const stanza::Node& node);
  void put(const stanza::Node& node);
  void put_later(const stanza::Node& node, std::chrono::milliseconds delay);
  void arm_late();

  World& world_;
  std::shared_ptr<Pipe> pipe_;
  Phase phase_ = Phase::kHeader;
  Bytes head_;  // what came of the header so far
  noise::FrameReader frames_;
  std::optional<noise::Responder> responder_;
  std::optional<noise::Transport> transport_;
  Device* device_ = nullptr;
  boost::asio::steady_timer deadline_;  // of the handshake

  struct Late {
    std::chrono::steady_clock::time_point due;
    stanza::Node node;
  };
  std::deque<Late> late_;  // delayed stanzas; later ones queue up behind them
  std::unique_ptr<boost::asio::steady_timer> late_timer_;
  std::optional<stanza::Node> swapped_;  // waits to change places with the next one
};

}  // namespace gw::sim
