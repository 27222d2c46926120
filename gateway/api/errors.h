#pragma once

// Errors towards providers: one table from ErrorKind and reason to gRPC's codes, and the details.

#include <grpcpp/support/status.h>
#include <string>
#include <string_view>
#include <vector>

#include "adapter/codec.h"
#include "base/error.h"
#include "interop/gateway/v1/gateway.pb.h"

namespace gw::api {

inline constexpr std::string_view kErrorDomain = "gateway.interop";

struct FieldViolation {
  std::string field;
  std::string description;
};

// An Error with the code that it has in this API when the table does not give it.
grpc::StatusCode code_of(const Error& error);

// Never OK and never UNKNOWN. Details: ErrorInfo always; RetryInfo when waiting helps; BadRequest
// for `fields`.
grpc::Status to_status(const Error& error, const std::vector<FieldViolation>& fields = {});
grpc::Status to_status(const adapter::Fault& fault);
// With a code of the stream's own, for example ABORTED.
grpc::Status to_status(grpc::StatusCode code, const Error& error,
                       const std::vector<FieldViolation>& fields = {});

// An identifier that is too long, for an answer: cut between characters, so that it stays UTF-8.
std::string_view cut(std::string_view text, std::size_t at_most);

// The same inside a stream. `where` names the message or field at fault, for example "messages[3]".
void to_problem(const Error& error, std::string_view where, ::interop::gateway::v1::Problem& out);

}  // namespace gw::api
