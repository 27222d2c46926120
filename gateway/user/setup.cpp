#include "user/concerns.h"
#include "whatsapp/keys.h"

namespace gw::user {
namespace {

constexpr std::size_t kPrekeyBatch = 50;

void ask(Draft& d, RequestKind kind, stanza::Node iq) {
  d.effects.requests.push_back({kind, {}, std::move(iq)});
}

// A batch that WhatsApp has not confirmed goes again, the same; else a new one is made. The rows
// are committed before the request leaves, so no key is ever published and not ours.
void upload(Draft& d) {
  std::uint32_t first = 0;
  for (auto id : d.batches())
    if (!d.batch(id)->uploaded) first = id;
  if (first == 0) {
    Profile& profile = d.edit_profile();
    first = profile.next_prekey_id;
    if (first + kPrekeyBatch > signal::kMaxPrekeyId) first = 1;
    profile.next_prekey_id = first + kPrekeyBatch;
    d.add_batch({first, false, signal::generate_prekeys(first, kPrekeyBatch)});
  }
  const auto& profile = d.profile();
  ask(d, RequestKind::kUpload,
      whatsapp::key_upload(profile.identity, profile.signed_prekey, d.batch(first)->keys));
}

void activate(Draft& d) {
  d.now().setup = Setup::kActivating;
  ask(d, RequestKind::kActive, whatsapp::active_request());
}

void pause(Draft& d) {
  d.now().setup = Setup::kPaused;
  d.now().setup_retry_at = d.env().mono + d.env().limits.lookup_retry;
}

void count(Draft& d) {
  d.now().setup = Setup::kCounting;
  ask(d, RequestKind::kCount, whatsapp::key_count_query());
}

// Somebody's devices or identity changed: ask anew before the next message. Another identity (a
// new phone, the app installed anew) has nothing of the old ratchets.
void make_stale(Draft& d, const stanza::Node& node) {
  auto contact = notified_contact(node);
  if (!contact) return;
  auto tag = d.env().names.contact(d.user(), *contact);
  if (contact->kind == message::Contact::Kind::kE164 && !d.conversation(tag).peer.lid.empty())
    tag = lid_tag(d, d.conversation(tag).peer.lid);
  if (!d.conversation(tag).exists) return;
  Peer& peer = d.edit_conversation(tag).peer;
  peer.fetched_ms = 0;
  if (node.child("identity") != nullptr)
    for (auto& device : peer.devices) device.renew = true;
  d.contact_changed(tag);
}

// Low keys are topped up once at a time; a failure is tried again.
void top_up(Draft& d) {
  if (d.now().setup != Setup::kActive || d.now().uploading_more) return;
  d.now().uploading_more = true;
  d.now().upload_retry_at.reset();
  upload(d);
}

// Another signed prekey once the old one has done its time. It is committed before WhatsApp hears
// of it; the old one stays for what was encrypted with it and is still under way.
void rotate_if_due(Draft& d) {
  const auto now_ms = unix_ms(d.env().wall);
  const auto& limits = d.env().limits;
  if (d.now().rotate_retry_at && *d.now().rotate_retry_at > d.env().mono) return;
  d.now().rotate_retry_at.reset();
  // Not a second one before WhatsApp took the first: it hands out the last that it took.
  const bool due = !d.profile().rotating &&
                   now_ms - d.profile().signed_prekey_ms >= limits.signed_prekey_age.count();
  if (!due && !d.profile().rotating) return;
  if (due) {
    Profile& profile = d.edit_profile();
    std::erase_if(profile.old_signed_prekeys, [&](const auto& old) {
      return now_ms - old.replaced_ms >= limits.signed_prekey_kept.count();
    });
    profile.old_signed_prekeys.push_back({profile.signed_prekey, now_ms});
    const auto id =
        profile.signed_prekey.id < signal::kMaxPrekeyId ? profile.signed_prekey.id + 1 : 1;
    profile.signed_prekey = signal::generate_signed_prekey(profile.identity, id);
    profile.signed_prekey_ms = now_ms;
    profile.rotating = true;
  }
  // Until it is answered nothing is asked again.
  d.now().rotate_retry_at = d.env().mono + limits.rotate_retry;
  ask(d, RequestKind::kRotate, whatsapp::signed_prekey_rotation(d.profile().signed_prekey));
}

}  // namespace

void send(Draft& d, const stanza::Node& node) {
  // What we build ourselves is always encodable: its parts came from a decoder or from us.
  if (auto bytes = stanza::encode(node, {d.env().dialect.interop_form}))
    d.effects.send.push_back(*std::move(bytes));
}

void on_link_up(Draft& d) { count(d); }

void on_link_down(Draft& d) {
  d.now().setup = Setup::kNoLink;
  d.now().uploading_more = false;
  d.now().upload_retry_at.reset();
  d.now().rotate_retry_at.reset();
  drop_lookups(d);
  drop_resends(d);
  drop_unacked(d);
  d.now().own_lid.clear();
}

void on_count(Draft& d, const Result<stanza::Node>& answer) {
  if (d.now().setup != Setup::kCounting) return;
  auto left = answer ? whatsapp::read_key_count(*answer) : fail(answer.error());
  if (!left) return pause(d);
  if (d.profile().uploaded && *left >= d.env().limits.prekeys_low) return activate(d);
  d.now().setup = Setup::kUploading;
  upload(d);
}

void on_upload(Draft& d, const Result<stanza::Node>& answer) {
  bool first = d.now().setup == Setup::kUploading;
  if (!first && !d.now().uploading_more) return;
  d.now().uploading_more = false;
  if (!answer) {
    if (first) return pause(d);
    d.now().upload_retry_at = d.env().mono + d.env().limits.lookup_retry;
    return;
  }
  for (auto id : d.batches())
    if (!d.batch(id)->uploaded) d.edit_batch(id).uploaded = true;
  if (!d.profile().uploaded) d.edit_profile().uploaded = true;
  if (first) activate(d);
}

void on_active(Draft& d, const Result<stanza::Node>& answer) {
  if (d.now().setup != Setup::kActivating) return;
  if (!answer) return pause(d);
  d.now().setup = Setup::kActive;
  resend_ready(d);
  pay_what_is_owed(d);
  continue_all_resends(d);
  advance_all(d);
  rotate_if_due(d);
}

void retry_setup(Draft& d) {
  if (d.now().setup == Setup::kPaused && d.now().setup_retry_at <= d.env().mono) count(d);
  if (d.now().upload_retry_at && *d.now().upload_retry_at <= d.env().mono) top_up(d);
  if (d.now().setup == Setup::kActive) rotate_if_due(d);
}

void on_rotate(Draft& d, const Result<stanza::Node>& answer) {
  if (!answer) {
    d.now().rotate_retry_at = d.env().mono + d.env().limits.rotate_retry;
    return;
  }
  d.now().rotate_retry_at.reset();
  if (d.profile().rotating) d.edit_profile().rotating = false;
  if (d.now().setup == Setup::kActive) rotate_if_due(d);  // the answer may have come that late
}

std::optional<message::Contact> notified_contact(const stanza::Node& node) {
  auto from = node.attr_jid("lid");
  if (!from) from = node.attr_jid("from");
  if (!from || from->user.empty()) return std::nullopt;
  message::Contact contact;
  if (from->server == stanza::Server::kLid) {
    contact = {message::Contact::Kind::kLid, from->user};
  } else if (from->server == stanza::Server::kPhone) {
    contact = {message::Contact::Kind::kE164, "+" + from->user};
  }
  if (contact.value.empty() || !message::validate(contact)) return std::nullopt;
  return contact;
}

void on_notification(Draft& d, const NotificationInput& in) {
  const auto& node = in.node;
  if (auto left = whatsapp::low_keys(node)) {
    if (*left < d.env().limits.prekeys_low) top_up(d);
  } else if (node.attr_is("type", "devices") || node.attr_is("type", "encrypt")) {
    make_stale(d, node);
  }
  send(d, whatsapp::ack_of(node));
}

}  // namespace gw::user
