#include "api/client.h"

#include "api/session.h"

namespace gw::api {

void Client::attached(EventSeq acked, EventSeq last) {
  if (auto session = session_.lock()) session->on_attached(*this, acked, last);
}

void Client::detached(user::DetachReason reason) {
  if (auto session = session_.lock()) session->on_detached(*this, reason);
}

void Client::link_state(user::LinkState state, std::string_view reason) {
  if (auto session = session_.lock()) session->on_link_state(*this, state, reason);
}

void Client::token_wanted() {
  if (auto session = session_.lock()) session->on_token_wanted(*this);
}

void Client::submitted(std::vector<user::SubmitResult> results) {
  if (auto session = session_.lock()) session->on_submitted(*this, std::move(results));
}

void Client::events(std::vector<message::Event> events) {
  if (auto session = session_.lock()) session->on_events(*this, events);
}

void Client::opened(std::string request_id, std::size_t bytes) {
  open.push_back({std::move(request_id), bytes});
}

bool Client::closed(std::string_view request_id, std::size_t& bytes) {
  for (std::size_t i = open_head; i < open.size(); ++i) {
    if (open[i].request_id != request_id) continue;
    bytes = open[i].bytes;
    if (i == open_head) {
      open[i].request_id = {};
      ++open_head;
    } else {
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (open_head == open.size()) {
      open = {};
      open_head = 0;
    } else if (open_head >= 64 && open_head * 2 >= open.size()) {
      open.erase(open.begin(), open.begin() + static_cast<std::ptrdiff_t>(open_head));
      open_head = 0;
    }
    return true;
  }
  return false;
}

}  // namespace gw::api
