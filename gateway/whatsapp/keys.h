#pragma once

// iq stanzas about keys, devices and the session, and their answers. Requests carry no id: the link
// gives one. Forms: observed in Baileys and whatsmeow.

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "signal/signal.h"
#include "stanza/node.h"
#include "whatsapp/dialect.h"

namespace gw::whatsapp {

// ---- devices: who a contact is, on which devices, and whether it accepts us ----
// `contacts` are bare phone or LID addresses.
stanza::Node device_query(const std::vector<stanza::Jid>& contacts, std::string_view sid);

struct ContactDevices {
  stanza::Jid asked;
  std::string lid;  // empty: nobody has this number
  bool opted_in = false;
  std::vector<std::uint16_t> devices;  // sorted, unique
};
// CORRUPT "STANZA_INCOMPLETE" when it is no usync answer.
Result<std::vector<ContactDevices>> read_devices(const stanza::Node& answer);

// ---- keys of others ----
stanza::Node key_query(const std::vector<stanza::Jid>& devices);
struct DeviceKeys {
  stanza::Jid device;
  std::optional<signal::Bundle>
      bundle;  // none: an error for this device, or keys that do not parse
};
Result<std::vector<DeviceKeys>> read_keys(const stanza::Node& answer);
// From the keys in a retry receipt as well.
std::optional<signal::Bundle> read_bundle(const stanza::Node& holder);

// ---- our own keys ----
stanza::Node key_count_query();
Result<std::size_t> read_key_count(const stanza::Node& answer);
stanza::Node key_upload(const signal::Identity& identity, const signal::SignedPreKey& signed_prekey,
                        const std::vector<signal::PreKey>& prekeys);
// The next signed prekey, when the old one has done its time.
stanza::Node signed_prekey_rotation(const signal::SignedPreKey& signed_prekey);
// Parts of a retry receipt: who asks, and the keys for a session with it.
stanza::Node registration_node(const signal::Identity& identity);
stanza::Node session_keys(const signal::Identity& identity, const signal::PreKey& one_time,
                          const signal::SignedPreKey& signed_prekey);
// The number in a "keys are low" notification; nullopt: it is about something else.
std::optional<std::size_t> low_keys(const stanza::Node& notification);

// ---- session ----
stanza::Node active_request();  // deliver what is queued
stanza::Node keepalive_request();

// Why WhatsApp ended or refused a session. The table of both is in keys.cpp.
struct Ending {             // REPLACED: a newer login of the same user exists
  std::string_view reason;  // UPPER_SNAKE
  bool for_good = false;    // no new login without the operator or the provider
  bool service = false;     // WhatsApp's own trouble; it says nothing of the user
  Millis retry_after{0};    // WhatsApp's wish; 0: none
};
Ending read_failure(const stanza::Node& failure);     // <failure reason=..>
Ending read_stream_error(const stanza::Node& error);  // <stream:error ..>

// An iq answer of type "error" as an Error: REJECTED or RETRY_LATER, reason IQ_<what>.
std::optional<Error> iq_error(const stanza::Node& answer);

}  // namespace gw::whatsapp
