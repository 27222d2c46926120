#pragma once

// A simulated phone: one account, its devices with real Signal keys, and its application, which
// holds what was decrypted. It speaks to the router in stanzas, like a link.

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "whatsapp_sim/directory.h"
#include "whatsapp_sim/phone_keys.h"

namespace gw::sim {

struct World;
class Phone;

struct PhoneOptions {
  bool auto_delivered = true;  // a delivered receipt for each message
  bool auto_read = false;      // and a read receipt
  bool echo = false;           // answer each text with "echo: <text>"
  bool receipt_batch = false;  // receipts of what came together leave as one, with a <list>
};

// What the application of the phone shows.
struct InboxEntry {
  std::uint64_t n = 0;  // from 1, in the order of arrival
  std::string id, text;
  std::string unsupported;  // content that is no text: the protobuf field's number
  const Account* from = nullptr;
  std::uint16_t device = 0;
  std::int64_t at_ms = 0, sent_s = 0;
};

struct Outgoing {
  enum class State { kSent, kAcked, kDelivered, kRead, kRefused };
  const Account* to = nullptr;
  std::string text;
  State state = State::kSent;
  std::int64_t error = 0;
  bool flood = false;
};

class PhoneDevice final : public Endpoint {
 public:
  PhoneDevice(Phone& phone, Device& device);
  void send(const stanza::Node& node) override;  // from the router; worked off soon after
  void finish(const stanza::Node&) override {}   // a simulated phone is never closed
  Result<void> write(const Account& to, const std::string& id, const std::string& text,
                     std::int64_t retry = 0, const Device* only = nullptr);
  Result<void> waste(const Account& to);  // advances the ratchets, sends nothing
  void report(const Account& to, const std::vector<std::string>& ids, std::string_view type);
  void publish(std::size_t count);
  void reinstall();
  Device& device() { return device_; }

 private:
  struct Receipts {
    std::vector<std::string> delivered, read;
  };
  void work();
  void on_message(const stanza::Node& node, std::map<const Account*, Receipts>& receipts);
  void on_text(const Account& from, const stanza::Node& node, ByteView plaintext);
  void on_receipt(const stanza::Node& node);
  void on_retry(const stanza::Node& node);
  void on_notification(const stanza::Node& node);
  void ask_again(const stanza::Node& message, std::string_view why);
  Result<stanza::Node> encrypt_for(const Device& to, ByteView padded, std::int64_t retry);

  Phone& phone_;
  World& world_;
  Device& device_;
  std::unique_ptr<PhoneKeys> keys_;
  std::deque<stanza::Node> in_;
  bool posted_ = false;
  std::unordered_map<std::string, int> asked_;  // retry receipts by message
};

class Phone {
 public:
  Phone(World& world, Account& account, const PhoneOptions& options);
  ~Phone();

  PhoneOptions options;
  Account& account() { return account_; }
  World& world() { return world_; }
  void add_device(std::uint16_t id);
  PhoneDevice* device(std::uint16_t id);

  // Returns the message's id. REJECTED: NO_KEYS, and SIGNAL_*.
  Result<std::string> send_text(const Account& to, const std::string& text, bool flood = false);
  // Read receipts for what came from anybody up to inbox entry n.
  std::size_t read_up_to(std::uint64_t n);
  const std::vector<InboxEntry>& inbox() const { return inbox_; }
  const std::unordered_map<std::string, Outgoing>& outgoing() const { return outgoing_; }
  nlohmann::json inbox_json(std::uint64_t after, std::uint16_t device) const;

  // Runs `then` once: at the next inbox entry, or after the wait.
  void wait(std::chrono::milliseconds patience, std::function<void()> then);

  struct FloodOrder {
    std::vector<const Account*> to;
    std::uint64_t count = 0;
    std::size_t text_size = 64;
    double rate = 0;           // a second; 0: as the window allows
    std::size_t window = 256;  // sent and not yet delivered; 0: no bound
  };
  void flood(FloodOrder order);
  nlohmann::json flood_json() const;

 private:
  friend class PhoneDevice;
  struct Flood;
  bool first_time(const Account& from, const std::string& id, std::uint16_t device);
  void show(InboxEntry entry);
  void settle(const std::string& id, Outgoing::State state, std::int64_t error = 0);
  void flood_step();

  World& world_;
  Account& account_;
  std::map<std::uint16_t, std::unique_ptr<PhoneDevice>> devices_;
  std::vector<InboxEntry> inbox_;
  std::unordered_set<std::string> shown_;
  std::unordered_map<std::string, Outgoing> outgoing_;
  struct Waiter {
    boost::asio::steady_timer timer;
    std::function<void()> then;
  };
  std::vector<std::shared_ptr<Waiter>> waiters_;
  std::unique_ptr<Flood> flood_;
};

}  // namespace gw::sim
