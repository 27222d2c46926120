#include "gateway_metrics.h"

namespace gw {
namespace {

using telemetry::Metrics;
using telemetry::read;

telemetry::Read signed_value(const std::atomic<std::int64_t>& value) {
  return [&value] { return static_cast<double>(value.load(std::memory_order_relaxed)); };
}

constexpr std::string_view kCodes[17] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

}  // namespace

void register_store_metrics(Metrics& m, const store::StoreProbe& p) {
  m.counter("interop_gateway_store_commits_total", "Transactions committed.", {}, read(p.commits));
  auto outcome = [&](const char* name, const auto& value) {
    m.counter("interop_gateway_store_change_sets_total", "Change sets by outcome.",
              {{"outcome", name}}, read(value));
  };
  outcome("applied", p.change_sets);
  outcome("found_applied", p.found_applied);
  outcome("stale", p.stale);
  outcome("exists", p.exists);
  outcome("failed", p.failed);
  m.counter("interop_gateway_store_unknown_outcomes_total",
            "Commits whose outcome was unknown and had to be asked for again.", {},
            read(p.unknown_outcomes));
  m.counter("interop_gateway_store_damaged_rows_total",
            "Rows that did not open and were taken for missing.", {}, read(p.damaged_rows));
  m.counter("interop_gateway_store_reads_total", "Named reads.", {}, read(p.reads));
  m.counter("interop_gateway_store_commit_seconds_total", "Time spent in commits.", {},
            read(p.commit_us, 1e-6));
  m.counter("interop_gateway_store_commit_cpu_seconds_total", "CPU time of the commit thread.", {},
            read(p.commit_cpu_us, 1e-6));
  m.gauge("interop_gateway_store_pending_change_sets", "Change sets that wait for a commit.", {},
          read(p.pending));
  m.gauge("interop_gateway_store_pending_bytes", "Their size.", {}, read(p.pending_bytes));
  for (std::size_t i = 0; i < store::kPartNames.size(); ++i) {
    const std::string name(store::kPartNames[i]);
    if (i >= store::kTables) {
      m.gauge("interop_gateway_store_file_bytes",
              "SQLite: the database file, what is free in it, its write-ahead log.",
              {{"part", name}}, read(p.bytes[i]));
      continue;
    }
    m.gauge("interop_gateway_store_table_bytes", "PostgreSQL: a table, all partitions of it.",
            {{"table", name}}, read(p.bytes[i]));
    m.gauge("interop_gateway_store_index_bytes", "PostgreSQL: a table's indexes.",
            {{"table", name}}, read(p.index_bytes[i]));
  }
}

void register_link_metrics(Metrics& m, const link::LinkProbe& p) {
  m.gauge("interop_gateway_links", "Connections to WhatsApp, logged in or not.", {},
          signed_value(p.open_now));
  m.gauge("interop_gateway_links_up", "Connections to WhatsApp that are logged in.", {},
          signed_value(p.up_now));
  m.counter("interop_gateway_link_opened_total", "Connections opened.", {}, read(p.opened));
  m.counter("interop_gateway_link_logins_total", "Logins that succeeded.", {}, read(p.up));
  m.counter("interop_gateway_link_closed_total", "Connections ended.", {}, read(p.closed));
  for (std::size_t i = 0; i < link::kDownReasons.size(); ++i)
    m.counter("interop_gateway_link_down_total", "Connections ended, by reason.",
              {{"reason", std::string(link::kDownReasons[i])}}, read(p.down[i]));
  auto direction = [&](const char* name, const char* help, const auto& in, const auto& out) {
    m.counter(name, help, {{"direction", "in"}}, read(in));
    m.counter(name, help, {{"direction", "out"}}, read(out));
  };
  direction("interop_gateway_link_frames_total", "Noise frames.", p.frames_in, p.frames_out);
  direction("interop_gateway_link_bytes_total", "Octets on the wire.", p.bytes_in, p.bytes_out);
  m.counter("interop_gateway_link_bad_frames_total",
            "Frames that did not authenticate; each closed its link.", {}, read(p.bad_frames));
  m.counter("interop_gateway_link_bad_stanzas_total",
            "Stanzas that did not decode and were left in WhatsApp's queue.", {},
            read(p.bad_stanzas));
  m.counter("interop_gateway_link_silent_total", "Links closed because WhatsApp fell silent.", {},
            read(p.keepalives_lost));
  m.counter("interop_gateway_link_requests_total", "Requests sent to WhatsApp.", {},
            read(p.requests));
  m.counter("interop_gateway_link_requests_timed_out_total", "Requests without an answer.", {},
            read(p.requests_timed_out));
}

void register_endpoint_metrics(Metrics& m, const link::EndpointProbe& p) {
  m.gauge("interop_gateway_endpoint_down",
          "1: WhatsApp does not answer, and links are opened as probes only.", {},
          signed_value(p.down));
  m.gauge("interop_gateway_endpoint_openings_waiting", "Users who wait to open a link.", {},
          signed_value(p.waiting));
  m.gauge("interop_gateway_endpoint_openings_per_second",
          "Links that may be opened a second now; 0: probes only.", {}, signed_value(p.rate));
  m.counter("interop_gateway_endpoint_outages_total", "Times that WhatsApp was found down.", {},
            read(p.outages));
  m.counter("interop_gateway_endpoint_probes_total", "Links opened as probes.", {}, read(p.probes));
  m.counter("interop_gateway_endpoint_openings_failed_total",
            "Openings that WhatsApp did not answer, or was out of service for.", {},
            read(p.failed));
}

void register_user_metrics(Metrics& m, const user::UserProbe& p) {
  m.gauge("interop_gateway_users_loaded", "Users in memory.", {}, signed_value(p.strands));
  m.gauge("interop_gateway_users_attached", "Users with an attached client.", {},
          signed_value(p.attached));
  m.counter("interop_gateway_messages_accepted_total", "Messages taken from providers.", {},
            read(p.accepted));
  m.counter("interop_gateway_messages_repeated_total", "Repeated request ids.", {},
            read(p.repeats));
  m.counter("interop_gateway_messages_encrypted_total", "Messages encrypted.", {},
            read(p.encrypted));
  m.counter("interop_gateway_messages_resent_total",
            "Messages whose bytes left again on a new link.", {}, read(p.resent));
  m.counter("interop_gateway_messages_throttled_total", "Messages refused for want of room.", {},
            read(p.throttled));
  auto state = [&](const char* name, const auto& value) {
    m.counter("interop_gateway_message_states_total", "Messages that came to a state.",
              {{"state", name}}, read(value));
  };
  state("SENT", p.sent);
  state("DELIVERED", p.delivered);
  state("READ", p.read);
  state("REJECTED", p.rejected);
  state("EXPIRED", p.expired);
  state("UNCONFIRMED", p.unconfirmed);
  auto inbound = [&](const char* name, const auto& value) {
    m.counter("interop_gateway_inbound_messages_total", "Messages from WhatsApp by what they were.",
              {{"result", name}}, read(value));
  };
  inbound("decrypted", p.decrypted);
  inbound("duplicate", p.duplicates);
  inbound("dropped_again", p.dropped_again);
  inbound("pending", p.pending);
  inbound("undecryptable", p.undecryptable);
  m.counter("interop_gateway_stanzas_ignored_total", "Acks and receipts for unknown messages.", {},
            read(p.ignored));
  auto retries = [&](const char* direction, const auto& value) {
    m.counter("interop_gateway_retry_receipts_total",
              "Requests to encrypt a message anew: contacts' (received) and ours (sent).",
              {{"direction", direction}}, read(value));
  };
  retries("received", p.retry_receipts);
  retries("sent", p.retries_asked);
  m.counter("interop_gateway_messages_encrypted_again_total",
            "Messages encrypted anew for a device that asked.", {}, read(p.retries_answered));
  m.counter("interop_gateway_sessions_started_total", "Signal sessions started by us.", {},
            read(p.sessions_started));
  m.counter("interop_gateway_steps_total", "Steps of users.", {}, read(p.steps));
  m.counter("interop_gateway_steps_frozen_total",
            "Steps that could not be committed and were tried again.", {}, read(p.frozen));
  m.counter("interop_gateway_users_lost_total", "Users let go because their rows moved on.", {},
            read(p.lost));
  m.counter("interop_gateway_tokens_wanted_total", "Fresh tokens asked of backends.", {},
            read(p.tokens_wanted));
}

void register_api_metrics(Metrics& m, const api::ApiProbe& p) {
  m.gauge("interop_gateway_api_streams", "Connect streams.", {}, read(p.streams_now));
  m.gauge("interop_gateway_api_clients", "Clients attached over streams.", {}, read(p.clients_now));
  m.counter("interop_gateway_api_streams_opened_total", "Connect streams opened.", {},
            read(p.streams));
  m.counter("interop_gateway_api_streams_refused_total", "Connect streams refused.", {},
            read(p.streams_refused));
  m.counter("interop_gateway_api_streams_taken_over_total", "Streams replaced by a newer one.", {},
            read(p.streams_taken_over));
  for (std::size_t code = 0; code < std::size(kCodes); ++code) {
    telemetry::Labels labels{{"code", std::string(kCodes[code])}};
    m.counter("interop_gateway_api_streams_ended_total", "Connect streams by status code.", labels,
              read(p.streams_ended[code]));
    m.counter("interop_gateway_api_calls_total", "Unary calls by status code.", labels,
              read(p.calls[code]));
  }
  auto direction = [&](const char* name, const char* help, const auto& in, const auto& out) {
    m.counter(name, help, {{"direction", "in"}}, read(in));
    m.counter(name, help, {{"direction", "out"}}, read(out));
  };
  direction("interop_gateway_api_frames_total", "Frames of streams.", p.frames_in, p.frames_out);
  direction("interop_gateway_api_bytes_total", "Octets of streams.", p.bytes_in, p.bytes_out);
  auto submit = [&](const char* name, const auto& value) {
    m.counter("interop_gateway_api_submits_total", "Messages submitted on streams, by result.",
              {{"result", name}}, read(value));
  };
  submit("accepted", p.submits_accepted);
  submit("rejected", p.submits_rejected);
  submit("throttled", p.submits_throttled);
  submit("unknown", p.submits_unknown);
  m.counter("interop_gateway_api_attaches_total", "Attaches.", {}, read(p.attaches));
  m.counter("interop_gateway_api_attaches_refused_total", "Attaches refused.", {},
            read(p.attaches_refused));
  m.counter("interop_gateway_api_acknowledges_total", "Acknowledgements of events.", {},
            read(p.acknowledges));
  m.counter("interop_gateway_api_reads_paused_total",
            "Times a stream was not read because its answers were not.", {}, read(p.reads_paused));
  m.counter("interop_gateway_delivery_events_total", "Events that a sink took.", {},
            read(p.delivery.taken));
  m.counter("interop_gateway_delivery_pages_total", "Pages of events read from the store.", {},
            read(p.delivery.pages));
  m.counter("interop_gateway_delivery_pages_failed_total", "Such reads that failed.", {},
            read(p.delivery.pages_failed));
}

}  // namespace gw
