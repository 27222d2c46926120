#pragma once

// Which counter of which room becomes which metric.

#include "api/probe.h"
#include "link/link.h"
#include "store/store.h"
#include "telemetry/metrics.h"
#include "user/strand.h"

namespace gw {

void register_store_metrics(telemetry::Metrics& metrics, const store::StoreProbe& probe);
void register_link_metrics(telemetry::Metrics& metrics, const link::LinkProbe& probe);
void register_endpoint_metrics(telemetry::Metrics& metrics, const link::EndpointProbe& probe);
void register_user_metrics(telemetry::Metrics& metrics, const user::UserProbe& probe);
void register_api_metrics(telemetry::Metrics& metrics, const api::ApiProbe& probe);

}  // namespace gw
