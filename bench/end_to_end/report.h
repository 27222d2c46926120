#pragma once

// The figures of a run: a table for people, JSON for programs.

#include <optional>
#include <string>
#include <vector>

namespace gw::bench {

struct Row {
  std::string name;
  double value = 0;
  std::string unit;
  std::string against{};  // the floor or peer, by name; empty: none
  double reference = 0;   // its value, same unit
  std::string goal{};     // in words; empty: only for information
  std::optional<bool> met{};
};

class Report {
 public:
  void add(Row row) { rows_.push_back(std::move(row)); }
  void add(const std::string& name, double value, const std::string& unit) {
    add({name, value, unit});
  }
  // value / reference <= most.
  void gate(const std::string& name, double value, const std::string& unit,
            const std::string& against, double reference, double most);
  // value <= most.
  void bound(const std::string& name, double value, const std::string& unit, double most);

  void print() const;
  // {"rows": [{name, value, unit, against, reference, ratio, goal, met}]}; absent ones are null.
  void write_json(const std::string& file) const;
  bool all_met() const;

 private:
  std::vector<Row> rows_;
};

}  // namespace gw::bench
