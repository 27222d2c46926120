#include "api/errors.h"

#include <array>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace gw::api {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;

struct KindRow {
  ErrorKind kind;
  StatusCode code;
  milliseconds retry;  // when the error gives no advice; 0: no RetryInfo
};
constexpr std::array kKinds = {
    KindRow{ErrorKind::kRetryLater, StatusCode::UNAVAILABLE, milliseconds{1000}},
    KindRow{ErrorKind::kThrottled, StatusCode::RESOURCE_EXHAUSTED, milliseconds{1000}},
    KindRow{ErrorKind::kRejected, StatusCode::INVALID_ARGUMENT, milliseconds{0}},
    KindRow{ErrorKind::kUnknownOutcome, StatusCode::UNAVAILABLE, milliseconds{1000}},
    KindRow{ErrorKind::kStaleOwner, StatusCode::UNAVAILABLE, milliseconds{1000}},
    KindRow{ErrorKind::kLoggedOut, StatusCode::FAILED_PRECONDITION, milliseconds{0}},
    KindRow{ErrorKind::kCorrupt, StatusCode::DATA_LOSS, milliseconds{0}},
    KindRow{ErrorKind::kConfig, StatusCode::INTERNAL, milliseconds{0}},
    KindRow{ErrorKind::kBug, StatusCode::INTERNAL, milliseconds{0}},
};

// What is REJECTED is the request's fault, but not always that of its form.
struct ReasonRow {
  std::string_view reason;
  StatusCode code;
};
constexpr std::array kRejections = {
    ReasonRow{"USER_UNKNOWN", StatusCode::NOT_FOUND},
    ReasonRow{"MESSAGE_UNKNOWN", StatusCode::NOT_FOUND},
    ReasonRow{"CONTACT_UNKNOWN", StatusCode::NOT_FOUND},
    ReasonRow{"REQUEST_ID_REUSED", StatusCode::ALREADY_EXISTS},
    ReasonRow{"USER_WITHDRAWN", StatusCode::FAILED_PRECONDITION},
    ReasonRow{"NO_CLIENT", StatusCode::FAILED_PRECONDITION},
    ReasonRow{"CONTACT_NOT_OPTED_IN", StatusCode::FAILED_PRECONDITION},
    ReasonRow{"CONTACT_NO_DEVICES", StatusCode::FAILED_PRECONDITION},
};

const KindRow& row_of(ErrorKind kind) {
  for (const KindRow& row : kKinds)
    if (row.kind == kind) return row;
  return kKinds.back();
}

milliseconds retry_of(const Error& error) {
  return error.retry_after.count() > 0 ? error.retry_after : row_of(error.kind).retry;
}

std::string_view reason_of(const Error& error) {
  return error.reason.empty() ? to_string(error.kind) : error.reason;
}

void set_duration(milliseconds time, google::protobuf::Duration& out) {
  out.set_seconds(time.count() / 1000);
  out.set_nanos(static_cast<std::int32_t>(time.count() % 1000) * 1'000'000);
}

}  // namespace

StatusCode code_of(const Error& error) {
  if (error.kind == ErrorKind::kRejected) {
    for (const ReasonRow& row : kRejections)
      if (row.reason == error.reason) return row.code;
  }
  return row_of(error.kind).code;
}

grpc::Status to_status(StatusCode code, const Error& error,
                       const std::vector<FieldViolation>& fields) {
  std::string_view reason = reason_of(error);
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(error.message.empty() ? std::string(reason) : error.message);
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(std::string(kErrorDomain));
  status.add_details()->PackFrom(info);
  if (milliseconds retry = retry_of(error); retry.count() > 0) {
    google::rpc::RetryInfo advice;
    set_duration(retry, *advice.mutable_retry_delay());
    status.add_details()->PackFrom(advice);
  }
  if (!fields.empty()) {
    google::rpc::BadRequest bad;
    for (const FieldViolation& field : fields) {
      auto* violation = bad.add_field_violations();
      violation->set_field(field.field);
      violation->set_description(field.description);
    }
    status.add_details()->PackFrom(bad);
  }
  return {code, status.message(), status.SerializeAsString()};
}

grpc::Status to_status(const Error& error, const std::vector<FieldViolation>& fields) {
  return to_status(code_of(error), error, fields);
}

grpc::Status to_status(const adapter::Fault& fault) {
  if (fault.field.empty()) return to_status(fault.error);
  return to_status(fault.error, {{fault.field, fault.error.message}});
}

std::string_view cut(std::string_view text, std::size_t at_most) {
  if (text.size() <= at_most) return text;
  while (at_most > 0 && (text[at_most] & 0xC0) == 0x80) --at_most;
  return text.substr(0, at_most);
}

void to_problem(const Error& error, std::string_view where, ::interop::gateway::v1::Problem& out) {
  std::string_view reason = reason_of(error);
  out.set_reason(reason.data(), reason.size());
  std::string message(where);
  if (!where.empty() && !error.message.empty()) message += ": ";
  out.set_message(message += error.message);
  if (milliseconds retry = retry_of(error); retry.count() > 0)
    set_duration(retry, *out.mutable_retry_after());
}

}  // namespace gw::api
