#pragma once

// One file a namespace. A handler answers a request (iq) on the link it came by.

#include <optional>
#include <string_view>

#include "stanza/node.h"
#include "whatsapp_sim/directory.h"

namespace gw::sim {

struct World;

struct Request {
  World& world;
  Device& device;  // who asks
  Endpoint& link;
  const stanza::Node& iq;

  bool is_set() const { return iq.attr_is("type", "set"); }
  // The answer, with the request's id; `child` as its only content.
  void result() const;
  void result(stanza::Node child) const;
  void error(int code, std::string_view text) const;
};

void handle_encrypt(const Request& request);
void handle_usync(const Request& request);
void handle_passive(const Request& request);
void handle_privacy(const Request& request);
void handle_blocklist(const Request& request);
void handle_abt(const Request& request);
void handle_ping(const Request& request);
void handle_media_conn(const Request& request);
void handle_groups(const Request& request);

// A whole stanza from a live link.
void dispatch(World& world, Device& device, Endpoint& link, const stanza::Node& node);

// The bundle of one device as an answer to a key request; also used by simulated phones.
std::optional<signal::Bundle> take_bundle(World& world, Device& device);

}  // namespace gw::sim
