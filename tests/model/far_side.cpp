#include "far_side.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "whatsapp/keys.h"

namespace gw::user::testing {
namespace {

using stanza::Jid;
using stanza::Node;

std::uint32_t number_in(const Node& key) {
  return static_cast<std::uint32_t>(get_be<3>(key.child("id")->as_octets()));
}

stanza::Node spoilt(Node message) {
  for (auto& child : std::get<stanza::Nodes>(message.content))
    if (child.tag == "enc") {
      auto& octets = std::get<Bytes>(child.content);
      octets[octets.size() - 5] ^= 0x10;  // of its MAC
    }
  return message;
}

std::string name_of_entry(const Node& node, const char* to) {
  std::string name = node.tag == "ack" ? node.attr_text("class") : node.tag;
  if (node.tag == "receipt" && std::string_view(to) == "to") name = "message";
  name += '|' + node.attr_text("id") + '|' + node.attr_text(to);
  // Receipts and notifications are acked by type; a message by its id alone.
  if (!name.starts_with("message")) name += '|' + node.attr_text("type");
  return name;
}

}  // namespace

FarSide::FarSide() {
  contacts = {{"+4915100000001", "900000000000001"},
              {"+4915100000002", "900000000000002"},
              {"+4915100000003", "900000000000003"}};
  for (std::size_t c : {0u, 0u, 1u, 2u}) add_device(c);
}

std::size_t FarSide::add_device(std::size_t contact) {
  std::uint16_t id = 0;
  for (const auto& d : devices) id += d.contact == contact ? 1 : 0;
  PhoneDevice device;
  device.phone = std::make_unique<Phone>(contacts[contact].lid, id);
  device.contact = contact;
  device.unsure = device.unknown = !contacts[contact].known;
  devices.push_back(std::move(device));
  return devices.size() - 1;
}

std::optional<std::size_t> FarSide::device_at(const Jid& jid) const {
  for (std::size_t i = 0; i < devices.size(); ++i)
    if (devices[i].phone->jid() == jid) return i;
  return std::nullopt;
}

// ---- requests ----

Result<Node> FarSide::answer(const Request& request) {
  Node iq("iq");
  iq.with("type", "result");
  switch (request.kind) {
    case RequestKind::kCount:
      return iq.add(Node("count").with("value", static_cast<std::int64_t>(one_time_keys.size())));
    case RequestKind::kUpload:
      upload(request.iq);
      return iq;
    case RequestKind::kRotate:
      rotate(request.iq);
      return iq;
    case RequestKind::kActive:
      return iq;
    case RequestKind::kDevices:
      return device_list(request);
    case RequestKind::kKeys:
      return key_list(request);
  }
  return iq;
}

void FarSide::upload(const Node& iq) {
  auto bundle = whatsapp::read_bundle(iq);
  ASSERT_TRUE(bundle.has_value());
  user_keys_ = *bundle;
  for (const auto& key : iq.child("list")->children()) {
    signal::Bundle::OneTime one{number_in(key), {}};
    auto octets = key.child("value")->as_octets();
    std::copy(octets.begin(), octets.end(), one.key.begin());
    // The same batch may come again, when our user did not hear of its arrival.
    if (uploaded.insert(one.id).second) one_time_keys.push_back(one);
  }
}

void FarSide::rotate(const Node& iq) {
  const auto* skey = iq.child("rotate")->child("skey");
  ASSERT_NE(skey, nullptr);
  ASSERT_TRUE(user_keys_.has_value());
  user_keys_->signed_prekey_id = number_in(*skey);
  auto key = skey->child("value")->as_octets();
  std::copy(key.begin(), key.end(), user_keys_->signed_prekey.begin());
  auto signature = skey->child("signature")->as_octets();
  std::copy(signature.begin(), signature.end(), user_keys_->signed_prekey_signature.begin());
  EXPECT_TRUE(signal::verify_signed_prekey(*user_keys_));
}

Node FarSide::device_list(const Request& request) {
  auto of = *request.iq.child("usync")->child("list")->children().front().attr_jid("jid");
  Node user("user");
  user.with("jid", of);
  for (std::size_t c = 0; c < contacts.size(); ++c) {
    const auto& contact = contacts[c];
    if (of.user != contact.lid && "+" + of.user != contact.e164) continue;
    if (!contact.known) break;
    Node list("device-list");
    for (const auto& d : devices)
      if (d.contact == c && d.linked)
        list.add(Node("device").with("id", std::int64_t{d.phone->jid().device}));
    user.add(Node("devices").add(std::move(list)))
        .add(Node("lid").with("val", Jid::lid(contact.lid)))
        .add(Node("interop").with("opted_in", contact.opted_in ? "true" : "false"));
  }
  return Node("iq").add(Node("usync").add(Node("list").add(std::move(user))));
}

Node FarSide::key_list(const Request& request) {
  Node list("list");
  for (const auto& user : request.iq.child("key")->children()) {
    auto device = device_at(*user.attr_jid("jid"));
    if (device && devices[*device].linked && !devices[*device].keyless)
      list.add(devices[*device].phone->keys());
  }
  return Node("iq").add(std::move(list));
}

// ---- what our user sends ----

void FarSide::take(const Bytes& bytes) {
  auto node = stanza::decode(bytes);
  ASSERT_TRUE(node.has_value());
  if (node->tag == "message") return take_message(*node, bytes);
  if (node->tag == "receipt") return take_receipt(*node);
  ASSERT_EQ(node->tag, "ack");
  take_off(name_of_entry(*node, "to"));
}

void FarSide::take_off(const std::string& name) {
  for (std::size_t i = mailbox_.size(); i-- > 0;) {
    if (mailbox_[i].name != name) continue;
    mailbox_.erase(mailbox_.begin() + static_cast<std::ptrdiff_t>(i));
    if (i < delivered_) --delivered_;
  }
}

void FarSide::take_receipt(const Node& node) {
  auto from = device_at(*node.attr_jid("to"));
  ASSERT_TRUE(from.has_value());
  auto id = node.attr_text("id");
  if (!node.attr_is("type", "retry")) return take_off(name_of_entry(node, "to"));
  const auto count = node.child("retry")->attr_int("count").value_or(0);
  EXPECT_GE(count, 1);
  EXPECT_LE(count, 5) << "asked too often for " << id;
  // Such a session's key is gone once the message that it was for is read: others in it may have to
  // be asked for.
  if (node.child("keys") != nullptr) {
    devices[*from].phone->renew(node);
    devices[*from].unsure = true;
  }
  for (auto& known : rewrites)
    if (known.id == id) return;
  rewrites.push_back({*from, id, static_cast<int>(count)});
}

void FarSide::take_message(const Node& node, const Bytes& bytes) {
  auto id = node.attr_text("id");
  auto to = *node.attr_jid("to");
  const bool known = refused.contains(id);
  if (!known) {
    arrivals.push_back(id);
    refused[id] = refuse_next != 0;
  }
  if (refused[id]) return acknowledge(id, refuse_next != 0 ? std::exchange(refuse_next, 0) : 403);
  auto& came = stanzas_[id];
  const bool fresh = std::find(came.begin(), came.end(), bytes) == came.end();
  if (fresh) came.push_back(bytes);
  if (const auto* enc = node.child("enc")) {  // what a device asked for again
    take_enc(id, to, *enc, fresh);
    return acknowledge(id, 0);
  }
  ASSERT_NE(node.child("participants"), nullptr);
  EXPECT_TRUE(!fresh || !known || told_of_rest.contains(id)) << "an id with two contents: " << id;
  for (const auto& each : node.child("participants")->children())
    take_enc(id, *each.attr_jid("jid"), *each.child("enc"), fresh);
  acknowledge(id, 0);
}

// Who gets what once: again only what it asked for again.
void FarSide::take_enc(const std::string& id, const Jid& to, const Node& enc, bool fresh) {
  key_used_once(enc);
  auto device = device_at(to);
  ASSERT_TRUE(device.has_value()) << "for a device that never was";
  reached[id].insert(*device);
  const Bytes octets(enc.as_octets().begin(), enc.as_octets().end());
  auto& came = encs_[{id, *device}];
  if (std::find(came.begin(), came.end(), octets) == came.end()) {
    came.push_back(octets);
    const auto answers = static_cast<int>(came.size()) - 1;
    EXPECT_LE(answers, (asked[{id, *device}])) << "nobody asked for " << id << " anew";
    EXPECT_LE(answers, 5) << id;
  }
  if (fresh && devices[*device].linked) open(*device, id, enc);
}

// Law 2: identical bytes may come again; others under the same message key never.
void FarSide::key_used_once(const Node& enc) {
  auto type = enc.attr_is("type", "pkmsg") ? signal::CipherType::kPreKeyMessage
                                           : signal::CipherType::kMessage;
  auto header = signal::read_header(type, enc.as_octets());
  ASSERT_TRUE(header.has_value());
  auto octets = enc.as_octets();
  auto [it, first] = message_keys_.try_emplace({header->ratchet_key, header->counter},
                                               octets.begin(), octets.end());
  EXPECT_TRUE(first ||
              std::equal(octets.begin(), octets.end(), it->second.begin(), it->second.end()))
      << "a message key with two ciphertexts";
}

void FarSide::open(std::size_t index, const std::string& id, const Node& enc) {
  auto& device = devices[index];
  std::optional<std::string> text;
  if (device.spoil > 0 && !calm) {
    --device.spoil;
  } else {
    text = device.phone->open(enc);
    // Our user forgets the ratchets of what is no device any more, and what they were made from.
    // Of a phone that was installed anew, a late message of an install before may look like the
    // newest: it asks again, and the end looks whether that was answered.
    const bool old = device.unknown || device.was_unlinked || device.installs > 1;
    EXPECT_TRUE(text || old) << "device " << index << " cannot read " << id;
  }
  auto of = [&](const Wanted& w) { return w.device == index && w.id == id; };
  const auto same = [&](const Read& r) { return r.device == index && r.id == id; };
  const bool known = std::any_of(reads.begin(), reads.end(), same);
  if (!text) {  // of what it has it needs no other copy
    if (!known && std::none_of(unread.begin(), unread.end(), of)) unread.push_back({index, id});
    return;
  }
  std::erase_if(unread, of);
  reads.push_back({index, id, *text});
  if (std::none_of(got.begin(), got.end(), of)) got.push_back({index, id});
}

void FarSide::acknowledge(const std::string& id, std::int64_t error) {
  Node ack("ack");
  ack.with("class", "message").with("id", id);
  if (error != 0) ack.with("error", error);
  std::vector<Jid> all;
  bool missing = false;
  const auto contact = error == 0 ? devices[*reached[id].begin()].contact : 0;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (devices[i].contact != contact || !devices[i].linked) continue;
    all.push_back(devices[i].phone->jid());
    missing |= !reached[id].contains(i);
  }
  if (error == 0 && missing) {
    told_of_rest.insert(id);
    ack.with("phash", whatsapp::participants_hash(std::move(all)));
  }
  acks.push_back({id, std::move(ack), error != 0});
}

// ---- what comes to our user ----

void FarSide::link_lost() {
  acks.clear();
  delivered_ = 0;
}

std::vector<Node> FarSide::deliver() {
  std::vector<Node> nodes;
  for (; delivered_ < mailbox_.size(); ++delivered_) {
    auto& entry = mailbox_[delivered_];
    nodes.push_back(entry.node);
    count_asking(entry.node);
    if (entry.spoilt > 0) {
      if (!calm) nodes.back() = spoilt(std::move(nodes.back()));
      --entry.spoilt;
    }
    if (std::exchange(entry.twice, false)) nodes.push_back(nodes.back());
    sent_.push_back(nodes.back());
  }
  return nodes;
}

Node FarSide::send_again(std::size_t which) {
  const auto& node = sent_[which % sent_.size()];
  count_asking(node);
  return node;
}

void FarSide::count_asking(const Node& node) {
  if (node.tag != "receipt" || !node.attr_is("type", "retry")) return;
  if (auto device = device_at(*node.attr_jid("from"))) ++asked[{node.attr_text("id"), *device}];
}

void FarSide::queue(Node node) {
  Entry entry{name_of_entry(node, "from"), std::move(node)};
  put(std::move(entry));
}

Node FarSide::low_keys() {
  return Node("notification")
      .with("type", "encrypt")
      .with("id", "N" + std::to_string(next_id_++))
      .with("from", Jid::parse("s.whatsapp.net").value_or(Jid{}))
      .add(Node("count").with("value", static_cast<std::int64_t>(one_time_keys.size())));
}

void FarSide::lose_keys(std::size_t left) {
  while (one_time_keys.size() > left) one_time_keys.pop_back();
}

void FarSide::notify(std::size_t device, bool identity) {
  Node node("notification");
  node.with("type", identity ? "encrypt" : "devices")
      .with("id", "N" + std::to_string(next_id_++))
      .with("from", Jid::lid(devices[device].phone->lid()));
  node.add(Node(identity ? "identity" : "update"));
  queue(std::move(node));
}

// A session starts with a one-time key of our user's that nobody else gets.
void FarSide::meet(PhoneDevice& device) {
  if (device.phone->has_session()) return;
  auto bundle = *user_keys_;
  bundle.one_time.reset();
  if (!one_time_keys.empty()) {
    bundle.one_time = one_time_keys.front();
    one_time_keys.erase(one_time_keys.begin());
  }
  device.phone->learn(std::move(bundle));
}

Node FarSide::encrypt(const std::string& id, bool named_by_number) {
  const auto& one = written.at(id);
  auto& device = devices[one.device];
  meet(device);
  auto node = device.phone->write(one.text, id);
  if (named_by_number) node.with("sender_pn", Jid::phone(contacts[device.contact].e164.substr(1)));
  return node;
}

void FarSide::write(std::size_t device, int spoilt, bool twice, bool named_by_number) {
  if (!user_keys_ || !devices[device].linked) return;
  auto id = "M" + std::to_string(next_id_++);
  written[id] = {device, "in " + id, spoilt > 0 || devices[device].unsure};
  written_ids.push_back(id);
  auto node = encrypt(id, named_by_number);
  auto name = name_of_entry(node, "from");
  put({std::move(name), std::move(node), spoilt, twice});
}

void FarSide::write_again(const std::string& id) {
  if (!devices[written.at(id).device].linked) return;
  queue(encrypt(id, false));
}

void FarSide::rewrite(std::size_t which, bool spoilt) {
  if (rewrites.empty()) return;
  auto it = rewrites.begin() + static_cast<std::ptrdiff_t>(which % rewrites.size());
  auto node = encrypt(it->id, false);
  auto name = name_of_entry(node, "from");
  put({std::move(name), std::move(node), spoilt ? 1 : 0});
  rewrites.erase(it);
}

void FarSide::skip(std::size_t device) {
  if (!user_keys_ || !devices[device].linked) return;
  meet(devices[device]);
  for (int i = 0; i < 2001; ++i) (void)devices[device].phone->write("lost", "L");
  for (auto& [id, one] : written) one.troubled |= one.device == device;
  devices[device].unsure = true;
}

void FarSide::reinstall(std::size_t index, bool tell) {
  auto& device = devices[index];
  device.phone->reinstall();
  ++device.installs;
  for (auto& [id, one] : written) one.troubled |= one.device == index;
  if (tell) notify(index, true);
}

void FarSide::doubt(std::size_t contact) {
  for (auto& device : devices)
    if (device.contact == contact) device.unsure = device.unknown = true;
  for (auto& [id, one] : written) one.troubled |= devices[one.device].contact == contact;
}

void FarSide::receive(std::size_t device, bool read, std::size_t most) {
  Node receipt("receipt"), list("list");
  for (std::size_t i = 0; i < got.size() && most > 0;) {
    if (got[i].device != device) {
      ++i;
      continue;
    }
    if (receipt.attr("id") == nullptr) {
      receipt.with("from", devices[device].phone->jid()).with("id", got[i].id);
    } else {
      list.add(Node("item").with("id", got[i].id));
    }
    got.erase(got.begin() + static_cast<std::ptrdiff_t>(i));
    --most;
  }
  if (receipt.attr("id") == nullptr) return;
  if (read) receipt.with("type", "read");
  if (!list.children().empty()) receipt.add(std::move(list));
  queue(std::move(receipt));
}

void FarSide::ask_again(std::size_t which, bool with_keys) {
  if (unread.empty()) return;
  auto& wanted = unread[which % unread.size()];
  auto node = devices[wanted.device].phone->ask_again(wanted.id, wanted.count++, with_keys);
  queue(std::move(node));
}

}  // namespace gw::user::testing
