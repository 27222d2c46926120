#include "unit/floors/table.h"

#include <algorithm>
#include <sstream>

namespace gw::floors {
namespace {

constexpr std::string_view kFloors[] = {"ground", "protocol", "truth", "motion", "doors", "beside"};

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  std::string text = trimmed(line);
  if (text.empty() || text.front() != '|') return cells;
  std::istringstream rest(text.substr(1));
  for (std::string cell; std::getline(rest, cell, '|');) cells.push_back(trimmed(cell));
  return cells;
}

Names names_of(std::string text) {
  std::erase(text, '`');
  std::replace(text.begin(), text.end(), ',', ' ');
  std::istringstream words(text);
  Names names;
  for (std::string word; words >> word;) names.insert(word);
  return names;
}

std::size_t floor_index(std::string_view floor) {
  return static_cast<std::size_t>(std::find(std::begin(kFloors), std::end(kFloors), floor) -
                                  std::begin(kFloors));
}

}  // namespace

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const auto part : parts) text += part;
  return text;
}

bool is_proto(std::string_view name) { return name.starts_with("proto_"); }

Table Table::parse(std::string_view markdown, Problems& problems) {
  Table table;
  std::istringstream lines{std::string(markdown)};
  bool inside = false;
  std::string floor;
  for (std::string line; std::getline(lines, line);) {
    const auto cells = cells_of(line);
    if (cells.size() < 4) {
      inside = false;
    } else if (cells[0] == "floor" && cells[1] == "room") {
      inside = true;
    } else if (inside && !cells[1].starts_with("-")) {
      if (!cells[0].empty()) floor = cells[0];
      Room room{floor, "", cells[1].find("(pure)") != std::string::npos, names_of(cells[2])};
      room.name = cells[1].substr(0, cells[1].find(" ("));
      std::erase(room.name, '`');
      if (room.uses.erase("all") != 0) {
        for (const auto& above : table.rooms_) room.uses.insert(above.name);
      }
      table.check_row(room, problems);
      table.rooms_.push_back(std::move(room));
    }
  }
  if (table.rooms_.empty()) problems.emplace_back("gateway/README.md: no table of rooms");
  return table;
}

void Table::check_row(const Room& room, Problems& problems) const {
  const std::string place = "gateway/README.md, row " + room.name + ": ";
  if (floor_index(room.floor) == std::size(kFloors)) {
    problems.push_back(place + "there is no floor '" + room.floor + "'");
  } else if (!rooms_.empty() && floor_index(room.floor) < floor_index(rooms_.back().floor)) {
    problems.push_back(place + "floor " + room.floor + " comes before " + rooms_.back().floor);
  }
  for (const auto& used : room.uses) {
    if (is_proto(used)) continue;
    const auto above = std::find_if(rooms_.begin(), rooms_.end(),
                                    [&](const Room& other) { return other.name == used; });
    if (above == rooms_.end()) {
      problems.push_back(joined({place, "it may use only rooms of rows above, not ", used}));
    } else if (room.pure && !above->pure && used != "base") {
      problems.push_back(joined({place, "a pure room may not use ", used, ", which is not pure"}));
    }
  }
}

const Room* Table::find(std::string_view name) const {
  const auto by_name = [&](std::string_view wanted) -> const Room* {
    for (const auto& room : rooms_) {
      if (room.name == wanted) return &room;
    }
    return nullptr;
  };
  if (const Room* room = by_name(name)) return room;
  return name.starts_with("adapters/") ? by_name("adapters/*") : nullptr;
}

Names Table::reach(const Room& room) const {
  Names reached = room.uses;
  if (room.pure || room.name.starts_with("tests/")) {
    reached.insert("base");
    return reached;
  }
  reached.insert({"base", "telemetry"});
  std::vector<std::string> open(reached.begin(), reached.end());
  while (!open.empty()) {
    const Room* used = find(open.back());
    open.pop_back();
    if (used == nullptr) continue;
    for (const auto& next : used->uses) {
      if (reached.insert(next).second) open.push_back(next);
    }
  }
  return reached;
}

}  // namespace gw::floors
