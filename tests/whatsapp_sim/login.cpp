#include "whatsapp_sim/login.h"

#include <boost/asio/ip/address.hpp>

#include "whatsapp/handshake.pb.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

using Payload = whatsapp::ClientPayload;

tl::unexpected<Refusal> refuse(int reason, std::string_view message) {
  return tl::unexpected<Refusal>(Refusal{reason, std::string(message), 0});
}

// INVENTED as a whole: only the field names of interopData are public.
tl::expected<Device*, Refusal> admit_interop(World& world, const Payload& payload) {
  if (!payload.has_interop_data()) return refuse(400, "INTEROP_DATA_MISSING");
  const auto& data = payload.interop_data();
  auto provider = data.account_id() <= 0xffff
                      ? world.providers.find(static_cast<std::uint16_t>(data.account_id()))
                      : world.providers.end();
  if (provider == world.providers.end()) return refuse(401, "INTEGRATOR_UNKNOWN");
  boost::system::error_code bad;
  boost::asio::ip::make_address(payload.client_address(), bad);
  if (bad) return refuse(400, "CLIENT_ADDRESS_MISSING");
  auto claims = provider->second.accept(data.token(), world.now_s());
  if (!claims) return refuse(401, claims.error().reason);
  auto* account = world.directory.find_interop(provider->first, claims->user);
  if (!account) account = &world.directory.add_interop(provider->first, claims->user);
  auto* device = account->device(0);
  device->client_address = payload.client_address();
  return device;
}

// A device of a real client is known by its Noise key; the first one that comes is believed.
tl::expected<Device*, Refusal> admit_client(World& world, const Payload& payload,
                                            const crypto::Key32& noise_key) {
  if (!payload.has_username()) return refuse(400, "USERNAME_MISSING");
  auto* account = world.directory.find(stanza::Jid::phone(std::to_string(payload.username())));
  if (!account || account->kind != Kind::kClient) return refuse(401, "ACCOUNT_UNKNOWN");
  if (payload.device() > 0xffff) return refuse(400, "DEVICE_OUT_OF_RANGE");
  auto& device = world.directory.add_device(*account, static_cast<std::uint16_t>(payload.device()));
  if (!device.noise_key) device.noise_key = noise_key;
  if (*device.noise_key != noise_key) return refuse(401, "NOISE_KEY_OF_ANOTHER");
  if (!payload.push_name().empty()) account->name = payload.push_name();
  return &device;
}

}  // namespace

tl::expected<Login, Refusal> admit(World& world, const crypto::Key32& noise_key, ByteView octets) {
  Payload payload;
  if (!payload.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) {
    return refuse(400, "PAYLOAD_MALFORMED");
  }
  tl::expected<Device*, Refusal> device = payload.product() == Payload::INTEROP
                                              ? admit_interop(world, payload)
                                              : admit_client(world, payload, noise_key);
  if (!device) return tl::unexpected<Refusal>(std::move(device.error()));
  if (!world.faults.none()) {
    auto fault =
        world.faults.strike(FaultKind::kRefuseLogin, {&(*device)->account, Way::kBoth, {}, {}});
    if (fault) return tl::unexpected<Refusal>(Refusal{fault->code, "FAULT", fault->expire});
  }
  return Login{*device, payload.passive()};
}

}  // namespace gw::sim
