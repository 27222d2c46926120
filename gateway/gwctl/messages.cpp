#include <limits>

#include "base/encoding.h"
#include "crypto/crypto.h"
#include "gwctl/connection.h"

namespace gw::gwctl {
namespace {

using Stub = v1::GatewayService::Stub;

struct Options {
  ConnectionOptions connection;
  std::string user, contact, text, request_id, message_id;
  std::uint64_t after = 0;
  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();
};

struct Command {
  CLI::App* app;
  std::shared_ptr<Options> options;
};

Command add(CLI::App& program, const char* name, const char* help, const char* footer) {
  Command command{program.add_subcommand(name, help), std::make_shared<Options>()};
  command.app->add_option("user", command.options->user, "the user's id")->required();
  command.options->connection.add_to(*command.app);
  command.app->footer(footer);
  return command;
}

constexpr const char* kContactHelp =
    "a phone number such as +4915112345678, or a LID such as lid:100000000000001";

Exit list_events(const Options& options) {
  auto connection = connect(options.connection);
  if (!connection) return report(connection.error());
  v1::ListEventsRequest request;
  request.set_user_id(options.user);
  request.set_after_seq(options.after);
  for (auto left = options.limit; left > 0;) {
    request.set_page_size(static_cast<std::int32_t>(std::min<std::uint64_t>(left, 100)));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + connection->timeout);
    v1::ListEventsResponse response;
    auto status = connection->stub->ListEvents(&context, request, &response);
    if (!status.ok()) return report(status);
    for (const auto& event : response.events()) print(event);
    left -= std::min(left, static_cast<std::uint64_t>(response.events_size()));
    if (response.next_after_seq() == 0) break;
    request.set_after_seq(response.next_after_seq());
  }
  return Exit::kDone;
}

}  // namespace

void add_messages(CLI::App& program, Outcome& outcome) {
  auto send = add(program, "send", "send one text of a user whose client is attached",
                  "Safe to repeat with the same --request-id: it is sent once.\n"
                  "Example:\n  gwctl send alice +4915112345678 'Good morning'");
  send.app->add_option("contact", send.options->contact, kContactHelp)->required();
  send.app->add_option("text", send.options->text, "1 to 65536 octets of UTF-8")->required();
  send.app->add_option("--request-id", send.options->request_id,
                       "names this message for ever; default: a random one");
  send.app->callback([o = send.options, &outcome] {
    v1::SendMessageRequest request;
    request.set_user_id(o->user);
    std::array<std::uint8_t, 16> random;
    crypto::random_bytes(random);
    request.set_request_id(o->request_id.empty() ? to_hex(random) : o->request_id);
    *request.mutable_to() = contact_from(o->contact);
    request.mutable_content()->mutable_text()->set_body(o->text);
    outcome = call(o->connection, request, &Stub::SendMessage);
  });

  auto message = add(program, "message", "the state of a message that was accepted",
                     "Example:\n  gwctl message alice 0123456789ABCDEF0123456789ABCDEF");
  message.app->add_option("message-id", message.options->message_id, "as send printed it")
      ->required();
  message.app->callback([o = message.options, &outcome] {
    v1::GetMessageRequest request;
    request.set_user_id(o->user);
    request.set_message_id(o->message_id);
    outcome = call(o->connection, request, &Stub::GetMessage);
  });

  auto contact = add(program, "contact", "whether a WhatsApp user can be reached; safety number",
                     "Example:\n  gwctl contact alice +4915112345678");
  contact.app->add_option("contact", contact.options->contact, kContactHelp)->required();
  contact.app->callback([o = contact.options, &outcome] {
    v1::GetContactRequest request;
    request.set_user_id(o->user);
    *request.mutable_contact() = contact_from(o->contact);
    outcome = call(o->connection, request, &Stub::GetContact);
  });

  auto read = add(program, "read", "tell a sender that its messages were read",
                  "Nothing is told when the user does not want it (gwctl update).\n"
                  "Example:\n  gwctl read alice +4915112345678 3EB0C431C26A1916E07E");
  read.app->add_option("contact", read.options->contact, kContactHelp)->required();
  auto ids = std::make_shared<std::vector<std::string>>();
  read.app->add_option("message-id", *ids, "as the events name them, up to 256")->required();
  read.app->callback([o = read.options, ids, &outcome] {
    v1::MarkReadRequest request;
    request.set_user_id(o->user);
    *request.mutable_from() = contact_from(o->contact);
    for (const auto& id : *ids) request.add_message_ids(id);
    outcome = call(o->connection, request, &Stub::MarkRead);
  });

  auto events = add(program, "events", "a user's events, one a line; acknowledges nothing",
                    "To follow them as they come: gwctl attach.\n"
                    "Example:\n  gwctl events alice --after 41 --limit 10");
  events.app->add_option("--after", events.options->after, "events above this number");
  events.app->add_option("--limit", events.options->limit, "how many at most; default: all");
  events.app->callback([o = events.options, &outcome] { outcome = list_events(*o); });
}

}  // namespace gw::gwctl
