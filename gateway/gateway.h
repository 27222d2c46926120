#pragma once

// The composition root: builds the rooms from the settings, wires them, takes them down again in
// the reverse order. The only place that knows all of them.

#include <functional>
#include <memory>

#include "base/error.h"
#include "settings.h"
#include "store/backend.h"

namespace gw {

class Gateway {
 public:
  // Something to put around the database; tests use it to inject faults.
  using WrapBackend =
      std::function<std::unique_ptr<store::Backend>(std::unique_ptr<store::Backend>)>;

  // Serves when it returns. CONFIG errors say what to change.
  static Result<std::unique_ptr<Gateway>> start(const settings::Settings& settings,
                                                const WrapBackend& wrap = {});
  virtual ~Gateway() = default;  // as stop()

  virtual int api_port() const = 0;
  virtual int operator_port() const = 0;
  // Stops taking, settles, closes links, tells the streams; returns when that is done or the
  // settings' drain_timeout is over.
  virtual void drain() = 0;
  virtual void stop() = 0;
};

}  // namespace gw
