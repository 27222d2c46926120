#include "end_to_end/report.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace gw::bench {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value >= 1000 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value);
  return text;
}

}  // namespace

void Report::gate(const std::string& name, double value, const std::string& unit,
                  const std::string& against, double reference, double most) {
  add({name, value, unit, against, reference, "at most " + number(most) + " times " + against,
       value <= most * reference});
}

void Report::bound(const std::string& name, double value, const std::string& unit, double most) {
  add({name, value, unit, {}, 0, "at most " + number(most) + " " + unit, value <= most});
}

void Report::print() const {
  std::printf("\n%-34s %10s  %-10s %9s %6s  %s\n", "", "value", "unit", "floor", "ratio", "goal");
  for (const auto& row : rows_) {
    const std::string floor = row.against.empty() ? "" : number(row.reference);
    const std::string ratio = row.against.empty() ? "" : number(row.value / row.reference);
    const std::string goal =
        row.goal.empty() ? "" : row.goal + (row.met.value_or(true) ? ": met" : ": MISSED");
    std::printf("%-34s %10s  %-10s %9s %6s  %s\n", row.name.c_str(), number(row.value).c_str(),
                row.unit.c_str(), floor.c_str(), ratio.c_str(), goal.c_str());
  }
}

void Report::write_json(const std::string& file) const {
  nlohmann::json rows = nlohmann::json::array();
  for (const auto& row : rows_) {
    nlohmann::json out = {{"name", row.name},   {"value", row.value},   {"unit", row.unit},
                          {"against", nullptr}, {"reference", nullptr}, {"ratio", nullptr},
                          {"goal", nullptr},    {"met", nullptr}};
    if (!row.against.empty()) {
      out["against"] = row.against;
      out["reference"] = row.reference;
      out["ratio"] = row.value / row.reference;
    }
    if (!row.goal.empty()) out["goal"] = row.goal;
    if (row.met) out["met"] = *row.met;
    rows.push_back(std::move(out));
  }
  std::ofstream out(file);
  out << nlohmann::json{{"rows", rows}}.dump(2) << "\n";
  if (!out.flush()) throw std::runtime_error("cannot write " + file);
}

bool Report::all_met() const {
  return std::all_of(rows_.begin(), rows_.end(),
                     [](const Row& row) { return row.met.value_or(true); });
}

}  // namespace gw::bench
