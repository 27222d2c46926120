#pragma once

// The enlisted users of this replica, as the doors see them: attach, submit, acknowledge, ask.
// Everything of one user happens on one loop; these functions post there and return at once.
// Thread-safe. Callbacks run on that user's loop and must not block.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "crypto/crypto.h"
#include "message/message.h"

namespace gw::user {

enum class LinkState : std::uint8_t { kConnecting, kUp, kDown };

// Why an attachment ended. The names go to the provider as they are.
enum class DetachReason : std::uint8_t {
  kRequested,   // the provider's detach
  kReplaced,    // a newer attachment of the same user
  kWithdrawn,   // the user was withdrawn
  kLoggedOut,   // WhatsApp ended the session for good
  kStreamLost,  // no stream adopted the client within the grace
  kStoreLost,   // the user's rows moved on without us, or the store closed
  kDraining,    // this replica is going away
};
std::string_view to_string(DetachReason reason);

struct SubmitResult {
  std::string request_id;
  // Either accepted (a repeat gets the first answer and today's state) ...
  std::string message_id;
  message::State state = message::State::kWaiting;
  // ... or not: REJECTED, THROTTLED, RETRY_LATER; or UNKNOWN_OUTCOME: repeat the same request id.
  std::optional<Error> error;
};

// What an attached user's strand tells the door that attached it; owned here, implemented above.
// All calls come from the user's loop. After detached() none follows.
class Attachment {
 public:
  virtual ~Attachment() = default;
  virtual void attached(EventSeq acked, EventSeq last) = 0;
  virtual void detached(DetachReason reason) = 0;
  virtual void link_state(LinkState state, std::string_view reason) = 0;
  virtual void token_wanted() = 0;  // answer with Users::give_token within 10 s
  virtual void submitted(std::vector<SubmitResult> results) = 0;
  // Newly committed events, each once, in order, from attached().last + 1 on. Older ones, and what
  // the door had no room for, it reads by Users::read_events.
  virtual void events(std::vector<message::Event> events) = 0;
};

// A user as requests name it. Never logged.
struct Name {
  TenantId tenant = 0;
  std::string user_id;
};

struct AttachRequest {
  Name name;
  std::string client_address;  // IPv4 or IPv6 of the user's app, as text
  std::string token;           // the provider's signed JWT for this user; opens one link
  std::shared_ptr<Attachment> attachment;
};

struct UserInfo {
  bool enlisted = false;
  bool attached = false;
  LinkState link = LinkState::kDown;
  EventSeq acked_event = 0;
  EventSeq last_event = 0;
  crypto::Key32 identity{};
  bool read_receipts = false;
};

struct ContactInfo {
  message::Contact contact;  // as asked
  std::string lid;           // empty: unknown
  bool reachable = false;    // on WhatsApp
  bool opted_in = false;     // accepts messages of this provider
  std::uint32_t devices = 0;
  std::string safety_number;  // 60 digits in groups of five; empty until keys are known
};

struct MessageInfo {
  std::string message_id;
  std::string request_id;
  message::Contact contact;
  message::State state = message::State::kWaiting;
  message::Reason reason = message::Reason::kNone;
  WallTime created;
};

using AttachmentId = std::uint64_t;  // given by attach; names it in later calls, never reused

class Users {
 public:
  virtual ~Users() = default;
  template <class T>
  using Done = std::function<void(Result<T>)>;

  // REJECTED: USER_UNKNOWN, USER_WITHDRAWN, CLIENT_ADDRESS_INVALID. Then attachment->attached().
  // An older attachment gets detached(kReplaced); if `adopt` and the user's link is up, the link
  // goes on without a new login.
  virtual AttachmentId attach(AttachRequest request, Done<void> failed_or_attached) = 0;
  virtual void detach(AttachmentId id) = 0;
  // The stream that carried it was lost: the client may be adopted within the grace.
  virtual void stream_lost(AttachmentId id) = 0;
  virtual void give_token(AttachmentId id, std::string token) = 0;
  virtual void submit(AttachmentId id, std::vector<message::Submit> messages) = 0;
  // Runs `work` on that user's loop, after what is at hand there: what many users tell in one turn
  // can be passed on once.
  virtual void soon(AttachmentId id, std::function<void()> work) = 0;
  // Cumulative; durable a moment later.
  virtual void acknowledge(AttachmentId id, EventSeq seq) = 0;

  virtual void enlist(Name name, Done<bool> done) = 0;  // true: created now
  virtual void withdraw(Name name, Done<void> done) = 0;
  virtual void get_user(Name name, Done<UserInfo> done) = 0;
  // One message without a stream. REJECTED NO_CLIENT when nobody is attached.
  virtual void send(Name name, message::Submit message, Done<SubmitResult> done) = 0;
  virtual void get_message(Name name, std::string message_id, Done<MessageInfo> done) = 0;
  virtual void read_events(Name name, EventSeq after, std::size_t limit, std::size_t max_bytes,
                           Done<std::vector<message::Event>> done) = 0;
  struct Pending {
    std::int64_t cursor = 0;  // opaque: `after` of the next page
    std::string user_id;
    EventSeq acked_event = 0, last_event = 0;
  };
  virtual void pending_users(TenantId tenant, std::int64_t after, std::size_t limit,
                             Done<std::vector<Pending>> done) = 0;
  // Asks WhatsApp when nothing fresh is known; then somebody has to be attached
  // (REJECTED NO_CLIENT) and the link up (RETRY_LATER LINK_DOWN).
  virtual void get_contact(Name name, message::Contact contact, Done<ContactInfo> done) = 0;

  // Tells the sender that these of its messages were read. False: nothing was told, because the
  // user does not want it to be known. REJECTED NO_CLIENT, RETRY_LATER LINK_DOWN.
  virtual void mark_read(Name name, message::Contact from, std::vector<std::string> message_ids,
                         Done<bool> done) = 0;
  // Whether contacts are told what the user read: from now on by mark_read, and by WhatsApp's own
  // setting from the next link on. nullopt: as it was. Answers how it is now.
  virtual void update_user(Name name, std::optional<bool> read_receipts, Done<bool> done) = 0;

  // Detaches everybody (kDraining), settles what is in flight, then calls `done`.
  virtual void drain(std::function<void()> done) = 0;
};

}  // namespace gw::user
