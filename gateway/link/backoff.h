#pragma once

// How long to wait before something is tried again. Pure: time and chance come as arguments.

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace gw::link {

// Doubles from `first` to `most` with each try (from 0); the upper half of it by chance.
Millis jittered(Millis first, Millis most, int tries, std::uint64_t random);

// When one user's link is opened anew. The pauses grow until a link has really worked, that is, was
// up for `settled`: one that logs in and falls at once changes nothing.
class Backoff {
 public:
  struct Options {
    Millis first{500}, most{60'000};
    Millis settled{10'000};
  };

  Backoff() = default;
  explicit Backoff(MonoTime not_before) : not_before_(not_before) {}  // not_before() of another one

  void up(MonoTime now) { up_since_ = now; }
  // A link, or the try to open one, came to its end. `at_least`: what WhatsApp asked for; it holds
  // for a new client of the user as well. -> when to try again
  MonoTime down(const Options& options, MonoTime now, Millis at_least, std::uint64_t random);
  // Somebody new came, with a token of its own: it need not wait for what went wrong before.
  // -> when to try
  MonoTime renewed(MonoTime now);
  // The link was closed by ourselves, if there was one. No try in vain.
  void closed(const Options& options, MonoTime now);
  // When to try, for whoever asks in between: as `down` or `renewed` said last.
  MonoTime next(MonoTime now) const { return std::max({now, at_, not_before_}); }
  // What WhatsApp asked for; in the past: nothing.
  MonoTime not_before() const { return not_before_; }
  int tries() const { return tries_; }

 private:
  int tries_ = 0;  // in vain, in a row
  MonoTime up_since_{};
  MonoTime at_{};  // the pause's end
  MonoTime not_before_{};
};

}  // namespace gw::link
