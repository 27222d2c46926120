#pragma once

// The provider's service: raw octets in and out, so that what does not parse gets a clear error
// too.

#include <grpcpp/grpcpp.h>
#include <memory>

#include "api/call.h"
#include "api/context.h"
#include "api/streams.h"
#include "interop/gateway/v1/gateway.grpc.pb.h"

namespace gw::api {

namespace raw {
using Full = ::interop::gateway::v1::GatewayService;
using A = Full::WithRawCallbackMethod_Connect<Full::Service>;
using B = Full::WithRawCallbackMethod_Enlist<A>;
using C = Full::WithRawCallbackMethod_Withdraw<B>;
using D = Full::WithRawCallbackMethod_GetUser<C>;
using E = Full::WithRawCallbackMethod_SendMessage<D>;
using F = Full::WithRawCallbackMethod_GetMessage<E>;
using G = Full::WithRawCallbackMethod_ListEvents<F>;
using H = Full::WithRawCallbackMethod_ListUsersWithPendingEvents<G>;
using I = Full::WithRawCallbackMethod_GetContact<H>;
using J = Full::WithRawCallbackMethod_MarkRead<I>;
using All = Full::WithRawCallbackMethod_UpdateUser<J>;
}  // namespace raw

class Service final : public raw::All {
 public:
  using Octets = grpc::ByteBuffer;
  using Server = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;

  Service(std::shared_ptr<Context> context, std::shared_ptr<Streams> streams)
      : context_(std::move(context)), streams_(std::move(streams)) {}

  grpc::ServerBidiReactor<Octets, Octets>* Connect(Server* server) override;
  Unary* Enlist(Server* server, const Octets* request, Octets* response) override;
  Unary* Withdraw(Server* server, const Octets* request, Octets* response) override;
  Unary* GetUser(Server* server, const Octets* request, Octets* response) override;
  Unary* SendMessage(Server* server, const Octets* request, Octets* response) override;
  Unary* GetMessage(Server* server, const Octets* request, Octets* response) override;
  Unary* ListEvents(Server* server, const Octets* request, Octets* response) override;
  Unary* ListUsersWithPendingEvents(Server* server, const Octets* request,
                                    Octets* response) override;
  Unary* GetContact(Server* server, const Octets* request, Octets* response) override;
  Unary* MarkRead(Server* server, const Octets* request, Octets* response) override;
  Unary* UpdateUser(Server* server, const Octets* request, Octets* response) override;

 private:
  template <class Request, class Handler>
  Unary* serve(Server* server, const Octets* request, Octets* response, Handler handler);

  const std::shared_ptr<Context> context_;
  const std::shared_ptr<Streams> streams_;
};

}  // namespace gw::api
