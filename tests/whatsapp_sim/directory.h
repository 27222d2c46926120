#pragma once

// Who exists: phones (of real clients, or simulated) and interop users. Everybody has a LID.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "crypto/crypto.h"
#include "stanza/jid.h"
#include "stanza/node.h"
#include "whatsapp_sim/keystore.h"
#include "whatsapp_sim/mailbox.h"

namespace gw::sim {

struct Account;

// Whoever takes a device's stanzas: a link, or a simulated phone.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  virtual void send(const stanza::Node& node) = 0;
  // Says `last` and closes; afterwards the device has no endpoint. Simulated phones stay.
  virtual void finish(const stanza::Node& last) = 0;
};

struct Device {
  Device(Account& owner, std::uint16_t device_id, std::uint32_t number)
      : account(owner), id(device_id), uid(number) {}
  Account& account;
  const std::uint16_t id;
  const std::uint32_t uid;                 // names the device in the far-side checks
  std::optional<crypto::Key32> noise_key;  // bound at the first login
  KeyStore keys;
  Mailbox mailbox;
  Endpoint* endpoint = nullptr;  // nullptr: offline
  bool flowing = false;          // the client said <active/>
  bool low_told = false;         // "few prekeys" was sent since the last upload
  std::uint64_t logins = 0;
  std::string client_address;  // of the last login; interop users only
};

enum class Kind : std::uint8_t { kClient, kSimulated, kInterop };
std::string_view to_string(Kind kind);

struct Account {
  Kind kind = Kind::kClient;
  std::string number;  // digits; an interop user has one that nobody can dial
  std::string lid;     // digits
  std::string name;
  std::uint16_t integrator = 0;  // interop users
  std::string user;              // interop users
  bool opted_in_to_all = true;   // phones: which integrators may write to them
  std::set<std::uint16_t> opted_in;
  std::set<const Account*> blocked;
  std::unordered_set<Account*> peers;  // who exchanged messages with it
  std::map<std::uint16_t, std::unique_ptr<Device>> devices;

  Device* device(std::uint16_t id) const;
  bool accepts(std::uint16_t integrator_id) const {
    return opted_in_to_all || opted_in.contains(integrator_id);
  }
};

// How the viewer is shown somebody: by phone number or by LID. Interop users see LIDs only and are
// seen by LID only, unless the viewer used their pseudo number.
enum class Form : std::uint8_t { kLid, kPhone };
stanza::Jid address_of(const Account& who, std::uint16_t device, Form form);
Form form_for(const Account& viewer, const stanza::Jid& used);

class Directory {
 public:
  // nullptr with a reason when the number or LID is taken or malformed.
  struct NewPhone {
    std::string number, lid, name;
    bool simulated = false;
    bool opted_in_to_all = true;
    std::set<std::uint16_t> opted_in;
    std::vector<std::uint16_t> devices = {0};
  };
  Account* add_phone(const NewPhone& phone, std::string& why);
  Account& add_interop(std::uint16_t integrator, std::string_view user);
  Device& add_device(Account& account, std::uint16_t id);

  Account* find(const stanza::Jid& jid) const;  // by number, LID or interop address
  Account* find_interop(std::uint16_t integrator, std::string_view user) const;
  Account* find_name(std::string_view name) const;  // as the control API names them
  Device* find_device(const stanza::Jid& jid) const;
  const std::vector<std::unique_ptr<Account>>& all() const { return accounts_; }

 private:
  Account* insert(std::unique_ptr<Account> account);

  std::vector<std::unique_ptr<Account>> accounts_;
  std::unordered_map<std::string, Account*> by_number_, by_lid_, by_interop_;
  std::uint32_t last_uid_ = 0;
  std::uint64_t phones_ = 0, interop_users_ = 0;
};

}  // namespace gw::sim
