#pragma once

// The streams of one server: who holds which instance's name, and the clock tick for all.

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "api/context.h"

namespace gw::api {

class Stream;

class Streams {
 public:
  explicit Streams(std::shared_ptr<Context> context);
  ~Streams();  // close(), joins the ticking thread

  // False: this server takes no more streams.
  bool add(const std::shared_ptr<Stream>& stream);
  void remove(Stream* stream);
  // Makes `stream` the one of this name; the one before is answered, to be ended by the caller.
  std::shared_ptr<Stream> take_name(const std::string& provider, const std::string& instance_id,
                                    const std::shared_ptr<Stream>& stream);
  // Tells every stream that this gateway goes away; ends those left after `grace`.
  void drain(Millis grace);
  // Ends every stream; takes no more.
  void close();

 private:
  using Name = std::pair<std::string, std::string>;
  std::vector<std::shared_ptr<Stream>> all();
  void run();

  const std::shared_ptr<Context> context_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool closed_ = false;
  std::optional<MonoTime> drain_until_;
  std::map<Stream*, std::weak_ptr<Stream>> streams_;
  std::map<Name, Stream*> names_;
  std::thread ticker_;
};

}  // namespace gw::api
