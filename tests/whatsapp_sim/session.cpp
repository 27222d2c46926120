#include "whatsapp_sim/session.h"

#include "stanza/codec.h"
#include "whatsapp_sim/handlers/handlers.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

using stanza::Node;

constexpr std::chrono::seconds kHandshakeTime{20};
constexpr std::chrono::seconds kFarewellTime{5};
constexpr std::size_t kMaxQueued = 256u << 20;
constexpr std::size_t kEdgePrefix = 7;  // "ED", 00 01, 3 octets of length

}  // namespace

void Session::open(World& world, std::shared_ptr<Pipe> pipe) {
  auto session = std::make_shared<Session>(world, std::move(pipe));
  world.sessions.emplace(session.get(), session);
  ++world.stats.links_opened;
  ++world.stats.links_open;
  auto* raw = session.get();
  session->pipe_->on_data = [raw](auto data) { raw->on_data(data); };
  session->pipe_->on_closed = [raw] { raw->closed(); };
  session->deadline_.expires_after(kHandshakeTime);
  session->deadline_.async_wait([weak = std::weak_ptr(session)](auto error) {
    auto self = weak.lock();
    if (!error && self && self->phase_ != Phase::kLive) self->cut();
  });
  session->pipe_->start();
}

Session::Session(World& world, std::shared_ptr<Pipe> pipe)
    : world_(world), pipe_(std::move(pipe)), deadline_(world.io) {}

void Session::closed() {
  phase_ = Phase::kOver;
  if (device_) world_.router->detach(*device_, *this);
  deadline_.cancel();
  late_timer_.reset();
  --world_.stats.links_open;
  // The session may be on the stack right now.
  auto self = shared_from_this();
  world_.sessions.erase(this);
  boost::asio::post(world_.io, [self] {});
}

void Session::abandon() {
  phase_ = Phase::kOver;
  deadline_.cancel();
  pipe_->close_now();
}

void Session::cut() {
  if (phase_ == Phase::kOver) return;
  auto self = shared_from_this();
  pipe_->close_now();
  closed();
}

void Session::on_data(std::span<std::uint8_t> data) {
  auto self = shared_from_this();
  if (phase_ == Phase::kHeader && !take_header(data)) return;
  if (phase_ == Phase::kOver) return;
  if (!frames_.feed(data)) {
    ++world_.stats.client_frames_bad;
    return cut();
  }
  while (phase_ != Phase::kOver) {
    auto frame = frames_.next();
    if (!frame) return;
    on_frame(*frame);
  }
}

// [ 'E' 'D' 00 01 len24 routing ] 'W' 'A' 6 3. False: more is needed, or it was wrong.
bool Session::take_header(std::span<std::uint8_t>& data) {
  append(head_, data);
  std::size_t at = 0;
  if (head_.size() >= 2 && head_[0] == 'E' && head_[1] == 'D') {
    if (head_.size() < kEdgePrefix) return false;
    at = kEdgePrefix + static_cast<std::size_t>(get_be<3>(ByteView(head_).subspan(4, 3)));
    if (at > 4096) {
      cut();
      return false;
    }
  }
  if (head_.size() < at + noise::kHeader.size()) return false;
  if (!equal(ByteView(head_).subspan(at, noise::kHeader.size()), noise::kHeader)) {
    cut();
    return false;
  }
  auto rest = head_.size() - at - noise::kHeader.size();
  data = data.last(rest);  // the header ended inside this piece
  head_ = {};
  phase_ = Phase::kHello;
  responder_.emplace(world_.keys.leaf, world_.keys.chain);
  return true;
}

void Session::on_frame(std::span<std::uint8_t> frame) {
  switch (phase_) {
    case Phase::kHello:
      return on_hello(frame);
    case Phase::kFinish:
      return on_login(frame);
    case Phase::kLive:
      return on_transport(frame);
    default:
      return;
  }
}

void Session::on_hello(ByteView frame) {
  auto hello = responder_->read_client_hello(frame);
  if (!hello) {
    ++world_.stats.handshakes_failed;
    return cut();
  }
  noise::put_frame(pipe_->out(), *hello);
  pipe_->flush();
  phase_ = Phase::kFinish;
}

void Session::on_login(ByteView frame) {
  auto client = responder_->read_client_finish(frame);
  if (!client) {
    ++world_.stats.handshakes_failed;
    return cut();
  }
  transport_.emplace(responder_->split());
  responder_.reset();
  deadline_.cancel();
  auto login = admit(world_, client->static_key, client->login);
  if (!login) return refuse(login.error());

  phase_ = Phase::kLive;
  device_ = login->device;
  ++device_->logins;
  ++world_.stats.logins;
  world_.router->attach(*device_, *this);
  send(Node("success")
           .with("t", world_.now_s())
           .with("lid", address_of(device_->account, device_->id, Form::kLid)));
  if (!login->passive) world_.router->activate(*device_);
}

void Session::refuse(const Refusal& refusal) {
  ++world_.stats.logins_refused;
  auto failure = Node("failure")
                     .with("reason", refusal.reason)
                     .with("location", "sim")
                     .with("message", refusal.message);
  if (refusal.expire > 0) failure.with("expire", refusal.expire);
  put(failure);
  close_soon();
}

void Session::close_soon() {
  phase_ = Phase::kOver;
  deadline_.expires_after(kFarewellTime);
  deadline_.async_wait([weak = weak_from_this()](auto error) {
    auto self = weak.lock();
    if (error || !self || !self->world_.sessions.contains(self.get())) return;
    self->pipe_->close_now();
    self->closed();
  });
  pipe_->close_after_flush();
}

void Session::on_transport(std::span<std::uint8_t> frame) {
  if (!world_.faults.none() && frame.size() > 0 &&
      world_.faults.strike(FaultKind::kCorrupt, {&device_->account, Way::kFromClient, {}, {}})) {
    auto bit = world_.faults.random() % (frame.size() * 8);
    frame[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
  }
  auto plain = transport_->open(frame);
  if (!plain) {
    ++world_.stats.client_frames_bad;
    return cut();
  }
  auto node = stanza::decode(*plain);
  if (!node) {
    ++world_.stats.client_frames_bad;
    return finish(Node("stream:error").with("code", 400));
  }
  on_stanza(*node);
}

void Session::on_stanza(const Node& node) {
  if (stanza::is_stream_end(node)) return cut();
  if (device_->endpoint != this) {
    // A newer login of this device succeeded: nothing from here may count any more.
    ++world_.stats.refused_from_older_link;
    return;
  }
  if (!world_.faults.none()) {
    Faults::What what{&device_->account, Way::kFromClient, node.tag, {}};
    if (world_.faults.strike(FaultKind::kDrop, what)) return;
    if (auto late = world_.faults.strike(FaultKind::kDelay, what)) {
      auto timer = std::make_shared<boost::asio::steady_timer>(world_.io, late->delay);
      timer->async_wait([self = shared_from_this(), timer, node](auto) {
        if (self->phase_ == Phase::kLive && self->device_->endpoint == self.get()) {
          dispatch(self->world_, *self->device_, *self, node);
        }
      });
      return;
    }
  }
  dispatch(world_, *device_, *this, node);
}

void Session::send(const Node& node) {
  if (phase_ != Phase::kLive) return;
  if ((!world_.faults.none() || swapped_ || !late_.empty()) && disturb(node)) return;
  put(node);
}

void Session::finish(const Node& last) {
  if (phase_ != Phase::kLive) return;
  put(last);
  if (phase_ != Phase::kLive) return;
  if (device_) world_.router->detach(*device_, *this);
  close_soon();
}

void Session::put_octets(ByteView plain) {
  if (phase_ != Phase::kLive) return;
  if (!transport_->seal_frame(plain, pipe_->out())) return cut();
  pipe_->flush();
}

void Session::put(const Node& node) {
  auto plain = stanza::encode(node);
  if (!plain || pipe_->queued() > kMaxQueued) return cut();
  auto& out = pipe_->out();
  auto before = out.size();
  if (!transport_->seal_frame(*plain, out)) return cut();
  if (!world_.faults.none() && device_ &&
      world_.faults.strike(FaultKind::kCorrupt,
                           {&device_->account, Way::kToClient, node.tag, {}})) {
    auto body = before + 3;
    auto bit = world_.faults.random() % ((out.size() - body) * 8);
    out[body + bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
  }
  pipe_->flush();
}

}  // namespace gw::sim
