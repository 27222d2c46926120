#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

#include "gateway_metrics.h"

namespace gw {
namespace {

// Dashboards and alerts stand on these names: a change of this file is a change of the interface.
TEST(GatewayMetrics, NamesTypesAndLabelsAreThoseOfTheGoldenFile) {
  store::StoreProbe store;
  link::LinkProbe link;
  link::EndpointProbe endpoint;
  user::UserProbe user;
  api::ApiProbe api;
  telemetry::Metrics metrics;
  register_store_metrics(metrics, store);
  register_link_metrics(metrics, link);
  register_endpoint_metrics(metrics, endpoint);
  register_user_metrics(metrics, user);
  register_api_metrics(metrics, api);
  telemetry::register_process_metrics(metrics);
  ASSERT_TRUE(metrics.check()) << metrics.check().error().message;
  std::ostringstream now;
  for (const auto& family : metrics.catalogue()) now << family << "\n";
  std::ifstream in(GW_SOURCE_ROOT "/tests/unit/gateway/metrics.golden");
  std::ostringstream golden;
  golden << in.rdbuf();
  EXPECT_EQ(now.str(), golden.str());
}

}  // namespace
}  // namespace gw
