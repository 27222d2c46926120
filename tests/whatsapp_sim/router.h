#pragma once

// Takes stanzas from devices and puts them into mailboxes: messages, receipts, acks. Also links
// devices to endpoints. What each viewer is shown is decided here.

#include <string_view>
#include <vector>

#include "stanza/node.h"
#include "whatsapp_sim/directory.h"

namespace gw::sim {

struct World;

// Baileys and the gateway both read "2:" and base64 of a short hash; see README.
std::string device_hash(const Account& account);

class Router {
 public:
  explicit Router(World& world) : world_(world) {}

  // `link` is where the answer (the ack) goes.
  void message(Device& sender, Endpoint& link, const stanza::Node& node);
  void receipt(Device& sender, Endpoint& link, const stanza::Node& node);
  void ack(Device& sender, const stanza::Node& node);
  void chatstate(Device& sender, const stanza::Node& node);

  // A stanza that stays until the device answers for it.
  void enqueue(Device& to, const Account* from, stanza::Node node);
  // From the server itself: type "encrypt", "devices".
  void notify(Device& to, stanza::Node notification);
  void notify_identity_change(Device& changed);
  void notify_devices(const Account& changed);
  void tell_if_low(Device& device);

  // The device's stanzas go there from now on; an older link is told and closed.
  void attach(Device& device, Endpoint& endpoint);
  void detach(Device& device, const Endpoint& endpoint);
  // <active/>: the offline phase, then everything as it comes.
  void activate(Device& device);
  void pump(Device& device);
  void pump_all();
  void pause(bool paused);

 private:
  struct Envelope {
    stanza::Jid to;
    const stanza::Node* enc;
  };
  int refusal(const Device& sender, const Account* target) const;
  static std::vector<Envelope> envelopes(const stanza::Node& node, const stanza::Jid& to);
  void deliver(Device& sender, Device& receiver, const stanza::Node& node, const Envelope& one,
               const Account& chat, const stanza::Jid& used);
  stanza::Node perhaps_spoilt(const Account& from, const stanza::Node& enc);
  void ack_message(Device& sender, Endpoint& link, const stanza::Node& node, int error,
                   std::string_view hash);
  void allow_retry(const Device& asker, const Account& target, const stanza::Jid& to,
                   const stanza::Node& receipt);
  void forward_receipt(Device& sender, Device& to, const stanza::Node& node,
                       const stanza::Jid& used);

  World& world_;
  bool paused_ = false;
  std::uint64_t notifications_ = 0;
};

}  // namespace gw::sim
