#include "operation.h"

#include <array>

namespace gw::user::testing {
namespace {

struct Weight {
  Kind kind;
  int weight;
  const char* name;
};

constexpr std::array kWeights{
    Weight{Kind::kSubmit, 150, "submit"},
    Weight{Kind::kRepeat, 25, "the same request again"},
    Weight{Kind::kReuse, 8, "its request id with another body"},
    Weight{Kind::kLinkUp, 90, "link up"},
    Weight{Kind::kLinkDown, 20, "link down"},
    Weight{Kind::kDetach, 12, "detach"},
    Weight{Kind::kCrash, 15, "crash"},
    Weight{Kind::kAnswer, 90, "WhatsApp answers a request"},
    Weight{Kind::kAck, 110, "ack"},
    Weight{Kind::kReceipt, 70, "receipt"},
    Weight{Kind::kStray, 12, "a stanza about nothing that we know"},
    Weight{Kind::kWrite, 110, "a phone writes"},
    Weight{Kind::kWriteAgain, 12, "a phone encrypts an id once more"},
    Weight{Kind::kRewrite, 50, "a phone answers our retry receipt"},
    Weight{Kind::kAskAgain, 45, "a phone asks for a message again"},
    Weight{Kind::kSpoil, 22, "what a device gets is spoilt"},
    Weight{Kind::kAddDevice, 10, "a device is added"},
    Weight{Kind::kRemoveDevice, 8, "a device is removed"},
    Weight{Kind::kReinstall, 6, "a phone is installed anew"},
    Weight{Kind::kContact, 10, "a contact is unknown, not opted in, or without keys"},
    Weight{Kind::kRefuse, 8, "WhatsApp refuses the next message"},
    Weight{Kind::kTime, 60, "time passes"},
    Weight{Kind::kProviderAck, 20, "the provider acknowledges"},
    Weight{Kind::kQuery, 12, "get_contact"},
    Weight{Kind::kKeysLow, 8, "our prekeys are low"},
    Weight{Kind::kSkip, 1, "a phone loses 2,001 messages"},
    Weight{Kind::kDuplicate, 15, "a stanza comes twice"},
    Weight{Kind::kWithdraw, 1, "withdraw"},
};

Kind draw_kind(std::mt19937_64& random) {
  int all = 0;
  for (const auto& w : kWeights) all += w.weight;
  auto at = static_cast<int>(random() % static_cast<std::uint64_t>(all));
  for (const auto& w : kWeights)
    if ((at -= w.weight) < 0) return w.kind;
  return Kind::kSubmit;
}

Fate draw_fate(std::mt19937_64& random) {
  const auto at = random() % 100;
  if (at < 3) return Fate::kFoundApplied;
  if (at < 7) return Fate::kAgain;
  if (at < 10) return Fate::kLost;
  if (at < 13) return Fate::kUnpublished;
  return Fate::kGood;
}

constexpr std::array kFates{"", ", found applied", ", fails first", ", lost before the commit",
                            ", lost behind the commit"};

}  // namespace

// Every operation takes the same number of draws.
Operations draw(std::mt19937_64& random, std::size_t count) {
  Operations all(count);
  for (auto& op : all) {
    op.kind = draw_kind(random);
    op.a = static_cast<std::uint32_t>(random() % 1'000'000);
    op.b = static_cast<std::uint32_t>(random() % 1'000'000);
    op.fate = draw_fate(random);
    const auto more = random();
    op.joined = more % 100 < 20;
    op.answered = (more >> 8) % 100 < 65;
    op.cut = (more >> 16) % 100 < 6 ? static_cast<std::uint32_t>(1 + (more >> 24) % 4) : 0;
  }
  return all;
}

std::string describe(const Operation& op) {
  std::string text;
  for (const auto& w : kWeights)
    if (w.kind == op.kind) text = w.name;
  text += " (" + std::to_string(op.a) + ", " + std::to_string(op.b) + ")";
  text += kFates[static_cast<std::size_t>(op.fate)];
  if (op.joined) text += ", joined with the next";
  if (!op.answered) text += ", not answered at once";
  if (op.cut > 0) text += ", link lost at stanza " + std::to_string(op.cut);
  return text;
}

}  // namespace gw::user::testing
