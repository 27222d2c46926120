#include "link/endpoint.h"

#include "telemetry/log.h"

namespace gw::link {

using telemetry::field;
using telemetry::Level;
using telemetry::log;
using State = Admission::State;

// ---- a turn, on its own loop ----

Turn::Turn(Endpoint& endpoint, runtime::Loop& loop, std::uint64_t user, Told told)
    : endpoint_(endpoint), loop_(loop), user_(user), told_(std::move(told)) {
  ++endpoint_.probe_.waiting;
}

Turn::~Turn() { stop_waiting(); }

void Turn::stop_waiting() {
  if (std::exchange(waiting_, false)) --endpoint_.probe_.waiting;
}

void Turn::tell(Wait wait, std::optional<Admission::Pass> pass) {
  if (!waiting_) return;
  if (wait != Wait::kGranted) return told_(wait);
  pass_ = pass;
  stop_waiting();
  auto told = std::exchange(told_, nullptr);
  told(wait);
}

void Turn::reached() {
  if (!pass_ || std::exchange(reported_, true)) return;
  endpoint_.home_.post([&endpoint = endpoint_] { endpoint.reached(); });
}

void Turn::failed() {
  if (!pass_ || std::exchange(reported_, true)) return;
  endpoint_.home_.post(
      [&endpoint = endpoint_, pass = *pass_, user = user_] { endpoint.failed(pass, user); });
}

// ---- the endpoint ----

Endpoint::Endpoint(runtime::Loop& home, const Options& options, const Admission::Options& admission,
                   const Clock& clock, LinkProbe& links, EndpointProbe& probe)
    : home_(home),
      options_(options),
      clock_(clock),
      links_(links),
      probe_(probe),
      admission_(admission, clock.mono(), crypto::random_u64),
      timer_(home) {
  probe_.rate = admission_.rate();
}

std::shared_ptr<Turn> Endpoint::ask(runtime::Loop& loop, std::uint64_t user, Turn::Told told) {
  auto turn = std::make_shared<Turn>(*this, loop, user, std::move(told));
  home_.post([this, place = Place{turn, &loop}] { join(place); });
  return turn;
}

std::shared_ptr<Link> Endpoint::open(std::shared_ptr<Turn> turn, runtime::Loop& loop,
                                     const crypto::KeyPair& noise_key, Bytes login_payload,
                                     Listener& listener) {
  return Link::open(loop, options_, clock_, links_, noise_key, std::move(login_payload), listener,
                    std::move(turn));
}

// ---- on home ----

void Endpoint::join(Place place) {
  // Those who gave up stand in the queue until they are passed; not for ever in a long outage.
  const auto waiting = static_cast<std::size_t>(std::max<std::int64_t>(probe_.waiting, 0));
  if (queue_.size() > 2 * waiting + 64)
    std::erase_if(queue_, [](const Place& p) { return p.turn.expired(); });
  queue_.push_back(std::move(place));
  serve();
  if (!queue_.empty()) tell(queue_.back(), why());
}

void Endpoint::serve() {
  const auto now = clock_.mono();
  while (!queue_.empty()) {
    if (!queue_.front().turn.expired()) {
      auto pass = admission_.take(now);
      if (!pass) return timer_.after(admission_.next(now) - now, [this] { serve(); });
      if (admission_.state() == State::kDown) ++probe_.probes;
      tell(queue_.front(), Wait::kGranted, pass);
    }
    queue_.pop_front();
  }
}

void Endpoint::tell(const Place& place, Wait wait, std::optional<Admission::Pass> pass) const {
  place.loop->post([weak = place.turn, wait, pass] {
    if (auto turn = weak.lock()) turn->tell(wait, pass);
  });
}

Wait Endpoint::why() const {
  return admission_.state() == State::kDown ? Wait::kEndpointDown : Wait::kRamping;
}

void Endpoint::reached() {
  const auto before = admission_.state();
  admission_.reached(clock_.mono());
  note_change(before);
}

void Endpoint::failed(Admission::Pass pass, std::uint64_t user) {
  ++probe_.failed;
  const auto before = admission_.state();
  admission_.failed(pass, user, clock_.mono());
  note_change(before);
}

void Endpoint::note_change(State before) {
  const auto state = admission_.state();
  probe_.rate = admission_.rate();
  if (state == before) return;
  probe_.down = state == State::kDown ? 1 : 0;
  const auto waiting = probe_.waiting.load();
  if (state == State::kDown) {
    ++probe_.outages;
    log(Level::kWarning, "link", "endpoint_down", {field("waiting", waiting)});
  } else if (before == State::kDown) {
    log(Level::kInfo, "link", "endpoint_answers", {field("waiting", waiting)});
  } else {
    log(Level::kInfo, "link", "endpoint_ramped", {field("rate", admission_.rate())});
  }
  if (state != State::kDown && before != State::kDown) return;
  serve();  // at another pace from now on
  for (const auto& place : queue_) tell(place, why());
}

}  // namespace gw::link
