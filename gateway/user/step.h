#pragma once

// One step of a user: (state, inputs) -> (changes, effects). Pure but for the randomness of keys
// and ids and for the Signal engine's scratch; no I/O, no clock. The changes become one change set;
// the effects leave only after it is committed (law 1); if it is not, both are dropped and the
// state is as before (law 2: a ciphertext that was not committed was never seen by anybody).

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "stanza/node.h"
#include "user/draft.h"
#include "user/state.h"
#include "user/users.h"
#include "whatsapp/keys.h"
#include "whatsapp/messages.h"

namespace gw::user {

// ---- inputs ----
struct SubmitInput {
  message::Submit submit;
  std::uint64_t origin = 0;  // whom to answer: see Reply
};
struct LinkUp {
  std::uint64_t link = 0;    // its number: tells what was said on an earlier one
  std::string own_lid = {};  // ours, when WhatsApp told it
};
struct LinkDown {};
struct InboundInput {
  whatsapp::Inbound message;
  std::size_t bytes = 0;
};
struct ReceiptInput {
  whatsapp::Receipt receipt;
  stanza::Node ack;
};
struct AckInput {
  whatsapp::Ack ack;
};
struct NotificationInput {
  stanza::Node node;
};
// The answer to a request that an earlier step asked for.
struct AnswerInput {
  RequestKind kind = RequestKind::kDevices;
  Tag contact{};  // kDevices, kKeys: the lookup that it belongs to
  Result<stanza::Node> answer;
};
struct ProviderAckInput {
  EventSeq seq = 0;
};
struct QueryInput {  // get_contact
  message::Contact contact;
  std::uint64_t origin = 0;
};
struct MarkReadInput {
  message::Contact from;
  std::vector<std::string> ids;
  std::uint64_t origin = 0;
};
struct SettingInput {
  std::optional<bool> read_receipts;
  std::uint64_t origin = 0;
};
struct TimerInput {};
struct FlushInput {};  // writes a provider's acknowledgement that waited for company
struct WithdrawInput {};

using Input = std::variant<SubmitInput, LinkUp, LinkDown, InboundInput, ReceiptInput, AckInput,
                           NotificationInput, AnswerInput, ProviderAckInput, QueryInput,
                           MarkReadInput, SettingInput, TimerInput, FlushInput, WithdrawInput>;

// A stanza from the link as an input; nullopt: it asks nothing of us. Malformed ones too: they
// cannot be answered.
std::optional<Input> read_stanza(stanza::Node node);
std::size_t size_of(const Input& input);  // about how much memory it holds

// What has to be loaded into the state before a step over these inputs.
struct Needs {
  std::vector<Tag> conversations;
  std::vector<Order> messages;
  bool prekeys = false;
};
Needs needs(const State& state, std::span<const Input> inputs, const Env& env);

// What the store found to exist when an earlier try of the same inputs was to be committed.
struct Existing {
  std::set<Tag> requests;                   // answered by the caller: left out of this step
  std::map<Tag, store::Received> received;  // these ids became an event before
};

Draft step(const State& state, std::span<const Input> inputs, const Existing& existing, Env& env);

}  // namespace gw::user
