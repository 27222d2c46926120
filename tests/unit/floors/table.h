#pragma once

// The table of rooms in gateway/README.md: who may use whom. Rows look so, floors from the bottom:
//   | floor | room | may use | purpose |
//   | ground | `base` | | Result, ids, bytes |
//   | | `crypto` (pure) | base | AEAD, curves |
// A room's name is its folder under gateway/ (or its file there), or a path such as adapters/*.
// "may use" lists rooms, proto_<part> for generated messages, or "all": every row above.

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace gw::floors {

using Names = std::set<std::string>;
using Problems = std::vector<std::string>;  // one sentence each, beginning with the place

struct Room {
  std::string floor;
  std::string name;
  bool pure = false;  // no I/O, no clock, no globals
  Names uses;
};

class Table {
 public:
  // Also reports rows that break the rules a table has to keep by itself: floors in order, only
  // rooms of rows above (so no cycles), pure rooms using pure rooms only.
  static Table parse(std::string_view markdown, Problems& problems);

  const std::vector<Room>& rooms() const { return rooms_; }
  // By name; adapters/native is found as adapters/* when it has no row of its own. May be null.
  const Room* find(std::string_view name) const;
  // What files of the room may include besides their own room. Using is transitive, and base and
  // telemetry are open to all; but pure rooms and test programs see exactly what their row names.
  Names reach(const Room& room) const;

 private:
  void check_row(const Room& room, Problems& problems) const;
  std::vector<Room> rooms_;
};

bool is_proto(std::string_view name);  // proto_whatsapp and the like
std::string joined(std::initializer_list<std::string_view> parts);

}  // namespace gw::floors
