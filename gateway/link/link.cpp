#include "link/link.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <netinet/tcp.h>
#include <unordered_map>

#include "link/endpoint.h"
#include "noise/noise.h"
#include "whatsapp/keys.h"

namespace gw::link {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kReadChunk = 64 * 1024;

// One per thread, so that an idle link owns no read buffer.
std::span<std::uint8_t> read_scratch() {
  thread_local std::vector<std::uint8_t> buffer(kReadChunk);
  return buffer;
}

class TcpLink final : public Link {
 public:
  TcpLink(runtime::Loop& loop, const Options& options, const Clock& clock, LinkProbe& probe,
          const crypto::KeyPair& noise_key, Bytes login, Listener& listener,
          std::shared_ptr<Turn> turn)
      : options_(options),
        clock_(clock),
        probe_(probe),
        listener_(&listener),
        turn_(std::move(turn)),
        socket_(loop.io()),
        deadline_(loop),
        keepalive_(loop),
        reader_(options.max_frame),
        opening_(std::make_unique<Opening>(Opening{tcp::resolver(loop.io()),
                                                   noise::Initiator(noise_key, options.root),
                                                   std::move(login)})) {}

  ~TcpLink() override {
    if (phase_ != Phase::kDown) leave_counts();
  }

  void start() {
    ++probe_.opened;
    ++probe_.open_now;
    deadline_.after(options_.connect_timeout, [this] { fail_with({"CONNECT_TIMEOUT"}); });
    error_code not_literal;
    auto address = asio::ip::make_address(options_.host, not_literal);
    if (!not_literal) return connect_to({tcp::endpoint(address, options_.port)});
    opening_->resolver.async_resolve(
        options_.host, std::to_string(options_.port),
        [self = self()](error_code error, tcp::resolver::results_type found) {
          if (self->phase_ == Phase::kDown) return;
          if (error) return self->fail_with({"CONNECT_FAILED"});
          std::vector<tcp::endpoint> endpoints;
          for (const auto& entry : found) endpoints.push_back(entry.endpoint());
          self->connect_to(std::move(endpoints));
        });
  }

  bool send(ByteView encoded) override {
    if (phase_ != Phase::kUp) return false;
    if (out_.size() + writing_.size() + encoded.size() > options_.max_queued) {
      fail_with({"QUEUE_FULL"});
      return false;
    }
    if (!transport_->seal_frame(encoded, out_)) {
      fail_with({"BAD_FRAME"});
      return false;
    }
    ++probe_.frames_out;
    flush_soon();
    return true;
  }

  void request(stanza::Node iq, Answer answer) override {
    if (phase_ != Phase::kUp)
      return answer(fail(ErrorKind::kRetryLater, "LINK_DOWN", "the link to WhatsApp is down"));
    auto id = std::to_string(next_id_++);
    iq.with("id", id);
    auto bytes = stanza::encode(iq);
    if (!bytes) return answer(fail(bytes.error()));
    ++probe_.requests;
    waiting_.emplace(id, Waiting{std::move(answer), clock_.mono() + options_.request_timeout});
    if (send(*bytes)) arm_request_timer();
  }

  std::size_t queued() const override { return out_.size() + writing_.size(); }

  void pause_reading(bool pause) override {
    if (paused_ == pause) return;
    paused_ = pause;
    if (!pause && phase_ == Phase::kUp) {
      heard_ = clock_.mono();
      // Frames that were cut already come first, then the socket.
      asio::post(socket_.get_executor(), [self = self()] {
        if (self->phase_ == Phase::kUp && !self->paused_) self->take_frames();
        self->wait_readable();
      });
    }
  }

  void close() override {
    if (phase_ == Phase::kDown) return;
    if (phase_ == Phase::kUp && writing_.empty() && !out_.empty()) {
      error_code ignored;
      socket_.non_blocking(true, ignored);
      socket_.write_some(asio::buffer(out_), ignored);
    }
    fail_with({"CLOSED"});
  }

  void abandon() override {
    if (phase_ == Phase::kDown) return;
    listener_ = nullptr;
    waiting_.clear();
    fail_with({"CLOSED"});
  }

 private:
  enum class Phase : std::uint8_t { kConnecting, kHandshake, kLogin, kUp, kDown };
  struct Opening {
    tcp::resolver resolver;
    noise::Initiator handshake;
    Bytes login;
  };
  struct Waiting {
    Answer answer;
    MonoTime until;
  };

  std::shared_ptr<TcpLink> self() { return std::static_pointer_cast<TcpLink>(shared_from_this()); }

  void connect_to(std::vector<tcp::endpoint> endpoints) {
    auto list = std::make_shared<std::vector<tcp::endpoint>>(std::move(endpoints));
    asio::async_connect(socket_, *list, [self = self(), list](error_code error, const auto&) {
      if (self->phase_ == Phase::kDown) return;
      if (error) return self->fail_with({"CONNECT_FAILED"});
      self->connected();
    });
  }

  // What comes is mostly answered within milliseconds: TCP's own acknowledgement rides on that
  // answer, and is no packet of its own.
  void delay_acks() {
    const int off = 0;
    ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
  }

  void connected() {
    phase_ = Phase::kHandshake;
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    delay_acks();
    socket_.non_blocking(true, ignored);
    append(out_, noise::kHeader);
    noise::put_frame(out_, opening_->handshake.client_hello());
    flush();
    wait_readable();
  }

  // ---- writing ----

  // One write for whatever one turn of the loop produced.
  void flush_soon() {
    if (flush_posted_ || !writing_.empty()) return;
    flush_posted_ = true;
    asio::post(socket_.get_executor(), [self = self()] {
      self->flush_posted_ = false;
      self->flush();
    });
  }

  void flush() {
    if (phase_ == Phase::kDown || !writing_.empty() || out_.empty()) return;
    error_code error;
    auto n = socket_.write_some(asio::buffer(out_), error);
    if (error && error != asio::error::would_block) return fail_with({"CONNECTION_LOST"});
    if (!error) probe_.bytes_out += n;
    if (!error && n == out_.size()) {
      out_.clear();
      if (out_.capacity() > 4096) Bytes().swap(out_);
      return;
    }
    if (!error) out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(n));
    writing_.swap(out_);
    asio::async_write(socket_, asio::buffer(writing_),
                      [self = self()](error_code failed, std::size_t sent) {
                        if (self->phase_ == Phase::kDown) return;
                        if (failed) return self->fail_with({"CONNECTION_LOST"});
                        self->probe_.bytes_out += sent;
                        Bytes().swap(self->writing_);
                        self->flush();
                      });
  }

  // ---- reading ----

  void wait_readable() {
    if (phase_ == Phase::kDown || reading_ || paused_) return;
    reading_ = true;
    socket_.async_wait(tcp::socket::wait_read, [self = self()](error_code error) {
      self->reading_ = false;
      if (self->phase_ == Phase::kDown) return;
      if (error) return self->fail_with({"CONNECTION_LOST"});
      self->read_some();
    });
  }

  void read_some() {
    auto scratch = read_scratch();
    error_code error;
    auto n = socket_.read_some(asio::buffer(scratch.data(), scratch.size()), error);
    if (error == asio::error::would_block) return wait_readable();
    if (error) return fail_with({"CONNECTION_LOST"});
    probe_.bytes_in += n;
    if (!reader_.feed(ByteView(scratch.data(), n))) return bad("BAD_FRAME");
    auto keep = self();  // a callback may let go of us
    take_frames();
    wait_readable();
  }

  void take_frames() {
    while (phase_ != Phase::kDown && !(paused_ && phase_ == Phase::kUp)) {
      auto frame = reader_.next();
      if (!frame) return;
      ++probe_.frames_in;
      if (phase_ == Phase::kHandshake) {
        server_hello(*frame);
      } else {
        transport_frame(*frame);
      }
    }
  }

  void server_hello(std::span<std::uint8_t> frame) {
    auto finish = opening_->handshake.read_server_hello(frame, opening_->login, clock_.wall());
    if (!finish) return fail_with({"HANDSHAKE_FAILED"});
    transport_ = std::make_unique<noise::Transport>(opening_->handshake.split());
    opening_.reset();
    noise::put_frame(out_, *finish);
    phase_ = Phase::kLogin;
    flush();
  }

  void transport_frame(std::span<std::uint8_t> frame) {
    auto plain = transport_->open(frame);
    if (!plain) return bad("BAD_FRAME");
    heard_ = clock_.mono();
    auto node = stanza::decode(*plain, options_.stanza);
    if (!node) return undecodable();
    dispatch(std::move(*node));
  }

  void dispatch(stanza::Node node) {
    if (stanza::is_stream_end(node)) return fail_with({"STREAM_ENDED"});
    if (node.tag == "stream:error") {
      return ended(whatsapp::read_stream_error(node));
    }
    if (phase_ == Phase::kLogin) return login_answer(node);
    if (node.tag == "iq" && !node.attr_is("type", "get") && !node.attr_is("type", "set"))
      return answer(std::move(node));
    if (listener_ != nullptr) listener_->link_stanza(std::move(node));
  }

  void login_answer(const stanza::Node& node) {
    if (node.tag == "failure") return ended(whatsapp::read_failure(node));
    if (node.tag != "success") return;  // nothing else is due before it
    if (auto turn = std::exchange(turn_, nullptr)) turn->reached();
    phase_ = Phase::kUp;
    ++probe_.up;
    ++probe_.up_now;
    deadline_.cancel();
    arm_keepalive();
    if (listener_ != nullptr) listener_->link_up(node);
  }

  // By WhatsApp, in so many words: it is there, unless it says that it is not.
  void ended(const whatsapp::Ending& ending) {
    if (turn_ && !ending.service) turn_->reached();
    fail_with({ending.reason, ending.for_good, ending.retry_after});
  }

  void answer(stanza::Node node) {
    auto found = waiting_.find(node.attr_text("id"));
    if (found == waiting_.end()) return;  // late: it timed out
    auto callback = std::move(found->second.answer);
    waiting_.erase(found);
    if (auto error = whatsapp::iq_error(node)) return callback(fail(*std::move(error)));
    callback(std::move(node));
  }

  // The frame authenticated, so the next one is where it should be. Closing would bring the same
  // stanzas again with the next login, for ever: they are left where they are, in WhatsApp's queue.
  void undecodable() {
    ++probe_.bad_stanzas;
    if (phase_ == Phase::kLogin) fail_with({"BAD_STANZA"});
  }

  void bad(std::string_view reason) {
    ++probe_.bad_frames;
    fail_with({reason});
  }

  // ---- timers ----

  // For the one that is due first: the others are no nearer than that.
  void arm_request_timer() {
    if (request_timer_armed_ || waiting_.empty()) return;
    request_timer_armed_ = true;
    auto first = std::min_element(waiting_.begin(), waiting_.end(),
                                  [](auto& a, auto& b) { return a.second.until < b.second.until; });
    deadline_.after(std::max(first->second.until - clock_.mono(), Millis{1}), [this] {
      request_timer_armed_ = false;
      expire_requests();
    });
  }

  void expire_requests() {
    auto keep = self();
    auto now = clock_.mono();
    std::vector<Answer> late;
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (it->second.until <= now) {
        late.push_back(std::move(it->second.answer));
        it = waiting_.erase(it);
      } else {
        ++it;
      }
    }
    arm_request_timer();
    for (auto& callback : late) {
      ++probe_.requests_timed_out;
      callback(fail(ErrorKind::kRetryLater, "REQUEST_TIMEOUT", "WhatsApp did not answer in time"));
    }
  }

  // `passed`: of the interval.
  void arm_keepalive(Millis passed = Millis{0}) {
    auto base = options_.keepalive_interval.count();
    auto jitter = static_cast<std::int64_t>(crypto::random_u64() % (base / 2 + 1));
    keepalive_.after(std::max(Millis{base + jitter} - passed, Millis{1}), [this] { keepalive(); });
  }

  void keepalive() {
    auto keep = self();  // the queue may be full
    auto asked = clock_.mono();
    request(whatsapp::keepalive_request(), [](const Result<stanza::Node>&) {});
    if (phase_ == Phase::kDown) return;
    // Any frame that authenticates counts as life, not only the answer. Octets do not: behind a
    // damaged length they would gather for hours, as a frame that never ends.
    keepalive_.after(options_.keepalive_deadline, [this, asked] {
      if (heard_ >= asked || paused_) return arm_keepalive(options_.keepalive_deadline);
      ++probe_.keepalives_lost;
      fail_with({"SILENT"});
    });
  }

  // ---- the end ----

  void leave_counts() {
    ++probe_.closed;
    --probe_.open_now;
    if (phase_ == Phase::kUp) --probe_.up_now;
  }

  void count_reason(std::string_view reason) {
    const auto* found = std::find(kDownReasons.begin(), kDownReasons.end(), reason);
    if (found != kDownReasons.end()) ++probe_.down[found - kDownReasons.begin()];
  }

  void fail_with(Down why) {
    if (phase_ == Phase::kDown) return;
    auto keep = self();
    leave_counts();
    count_reason(why.reason);
    why.login_sent = phase_ == Phase::kLogin || phase_ == Phase::kUp;
    // Called off by us, it says nothing of the endpoint.
    auto turn = std::exchange(turn_, nullptr);
    if (turn && why.reason != "CLOSED") turn->failed();
    phase_ = Phase::kDown;
    deadline_.cancel();
    keepalive_.cancel();
    error_code ignored;
    socket_.close(ignored);
    opening_.reset();
    transport_.reset();
    Bytes().swap(out_);
    auto waiting = std::move(waiting_);
    waiting_.clear();
    for (auto& [id, entry] : waiting)
      entry.answer(fail(ErrorKind::kRetryLater, "LINK_DOWN", "the link to WhatsApp is down"));
    if (auto* listener = std::exchange(listener_, nullptr)) listener->link_down(why);
  }

  const Options& options_;
  const Clock& clock_;
  LinkProbe& probe_;
  Listener* listener_;
  std::shared_ptr<Turn> turn_;  // until the login is answered
  tcp::socket socket_;
  runtime::Timer deadline_;  // of the login, then of requests
  runtime::Timer keepalive_;
  noise::FrameReader reader_;
  std::unique_ptr<Opening> opening_;
  std::unique_ptr<noise::Transport> transport_;
  Bytes out_, writing_;
  std::unordered_map<std::string, Waiting> waiting_;
  MonoTime heard_{};
  std::uint64_t next_id_ = 1;
  Phase phase_ = Phase::kConnecting;
  bool reading_ = false, paused_ = false, flush_posted_ = false, request_timer_armed_ = false;
};

}  // namespace

std::shared_ptr<Link> Link::open(runtime::Loop& loop, const Options& options, const Clock& clock,
                                 LinkProbe& probe, const crypto::KeyPair& noise_key,
                                 Bytes login_payload, Listener& listener,
                                 std::shared_ptr<Turn> turn) {
  auto link = std::make_shared<TcpLink>(loop, options, clock, probe, noise_key,
                                        std::move(login_payload), listener, std::move(turn));
  link->start();
  return link;
}

}  // namespace gw::link
