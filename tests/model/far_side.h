#pragma once

// WhatsApp's server and the phones, as far as a history needs them: who is there and with which
// keys, what is queued for our user, and what only the far side can see of what leaves.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "phone.h"
#include "user/step.h"

namespace gw::user::testing {

struct PhoneDevice {
  std::unique_ptr<Phone> phone;
  std::size_t contact = 0;
  bool linked = true;  // it belongs to the account
  bool was_unlinked = false;
  bool keyless = false;  // the server has no keys of it
  int spoil = 0;         // so many encs for it arrive spoilt
  bool unknown = false;  // the server said once that nobody has its number
  bool unsure = false;   // what it writes may have to be asked for, whole as it is
  int installs = 1;
};

struct PhoneContact {
  std::string e164, lid;
  bool known = true, opted_in = true;
};

// What a phone wrote to our user.
struct Written {
  std::size_t device = 0;
  std::string text;
  bool troubled = false;  // spoilt, overtaken by another identity...: it may be asked for again
};

class FarSide {
 public:
  FarSide();

  // ---- the server ----
  Result<stanza::Node> answer(const Request& request);
  // A stanza of our user's arrives.
  void take(const Bytes& stanza);
  void link_lost();
  // What is queued for our user and was not sent on this link yet, in order.
  std::vector<stanza::Node> deliver();
  bool has_sent() const { return !sent_.empty(); }
  stanza::Node send_again(std::size_t which);  // of all that was delivered
  void redeliver() { delivered_ = 0; }         // on a fresh link all of it comes again
  stanza::Node low_keys();
  void lose_keys(std::size_t left);

  // ---- the phones ----
  std::size_t add_device(std::size_t contact);
  // Queues a notification about the contact's devices or identity.
  void notify(std::size_t device, bool identity);
  void write(std::size_t device, int spoilt, bool twice, bool named_by_number);
  void write_again(const std::string& id);
  void skip(std::size_t device);
  void reinstall(std::size_t device, bool tell);
  // Our user may have heard that nobody has this number: the ratchets are gone then.
  void doubt(std::size_t contact);
  void receive(std::size_t device, bool read, std::size_t most);  // receipts for what it got
  void rewrite(std::size_t which, bool spoilt);
  void ask_again(std::size_t which, bool with_keys);
  void queue(stanza::Node node);

  struct Ack {
    std::string id;
    stanza::Node node;
    bool refused = false;
  };
  struct Wanted {
    std::size_t device = 0;
    std::string id;
    int count = 1;
  };
  std::vector<PhoneContact> contacts;
  std::vector<PhoneDevice> devices;
  std::deque<Ack> acks;          // on their way
  std::vector<Wanted> unread;    // a device could not read it
  std::vector<Wanted> rewrites;  // our user asked for it again
  std::vector<Wanted> got;       // and not receipted
  std::map<std::string, Written> written;
  std::vector<std::string> written_ids;
  std::int64_t refuse_next = 0;  // error of the next message's ack
  bool calm = false;             // nothing is spoilt any more
  std::function<Order(const std::string& id)> order_of;

  // ---- what it saw ----
  struct Read {
    std::size_t device = 0;
    std::string id, text;
  };
  std::map<std::string, std::set<std::size_t>> reached;      // devices, by id
  std::vector<std::string> arrivals;                         // ids, as each came first
  std::map<std::string, bool> refused;                       // ids, by whether
  std::vector<Read> reads;                                   // in order
  std::map<std::pair<std::string, std::size_t>, int> asked;  // (id, device): so often
  std::set<std::uint32_t> uploaded;                          // ids of one-time keys that ever came
  std::set<std::string> told_of_rest;  // an ack said that devices were missing
  std::size_t pending() const { return mailbox_.size(); }
  std::vector<stanza::Node> sent;                      // everything that was delivered
  std::vector<signal::Bundle::OneTime> one_time_keys;  // not handed out

 private:
  struct Entry {
    std::string name;  // what takes it off
    stanza::Node node;
    int spoilt = 0;
    bool twice = false;
  };
  stanza::Node device_list(const Request& request);
  stanza::Node key_list(const Request& request);
  void upload(const stanza::Node& iq);
  void rotate(const stanza::Node& iq);
  void take_off(const std::string& name);
  void count_asking(const stanza::Node& node);
  void take_message(const stanza::Node& node, const Bytes& bytes);
  void take_enc(const std::string& id, const stanza::Jid& to, const stanza::Node& enc, bool fresh);
  void take_receipt(const stanza::Node& node);
  void acknowledge(const std::string& id, std::int64_t error);
  void key_used_once(const stanza::Node& enc);
  void open(std::size_t device, const std::string& id, const stanza::Node& enc);
  std::optional<std::size_t> device_at(const stanza::Jid& jid) const;
  void meet(PhoneDevice& device);
  void put(Entry entry) { mailbox_.push_back(std::move(entry)); }
  stanza::Node encrypt(const std::string& id, bool named_by_number);

  std::optional<signal::Bundle> user_keys_;  // without a one-time key
  std::deque<Entry> mailbox_;
  std::size_t delivered_ = 0;  // of mailbox_, on this link
  std::vector<stanza::Node> sent_;
  std::map<std::string, std::vector<Bytes>> stanzas_;
  std::map<std::pair<std::string, std::size_t>, std::vector<Bytes>> encs_;
  std::map<std::pair<signal::Key32, std::uint32_t>, Bytes> message_keys_;
  int next_id_ = 0;
};

}  // namespace gw::user::testing
