#pragma once

// PostgreSQL arrays in their binary form, as parameters of prepared statements: one array a column,
// one element a row. Shape (PostgreSQL 15, array_recv): dimensions i32, has-null i32, element
// type's oid i32, size i32, lower bound i32; then each element as length i32 (-1: null) and octets.

#include <optional>
#include <pqxx/binarystring>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"

namespace gw::store::postgres {

// The oids that pg_type.dat gives the types.
enum class Type : std::uint32_t { kBool = 16, kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23 };

class Array {
 public:
  explicit Array(Type type) : type_(type) { clear(); }

  void clear() {
    octets_.clear();
    put_be<4>(octets_, 1);
    put_be<4>(octets_, 0);
    put_be<4>(octets_, static_cast<std::uint32_t>(type_));
    put_be<4>(octets_, 0);
    put_be<4>(octets_, 1);
    size_ = 0;
  }

  // Integers and booleans take the width of the array's type.
  void add(std::int64_t value) {
    ++size_;
    switch (type_) {
      case Type::kBool:
        return element<1>(value != 0 ? 1 : 0);
      case Type::kInt2:
        return element<2>(value);
      case Type::kInt4:
        return element<4>(value);
      default:
        return element<8>(value);
    }
  }
  void add(ByteView value) {
    ++size_;
    put_be<4>(octets_, value.size());
    append(octets_, value);
  }
  void add(const Tag& value) { add(ByteView(value)); }
  void add_null() {
    ++size_;
    octets_[7] = 1;
    put_be<4>(octets_, 0xffffffff);
  }
  template <class T>
  void add_or_null(const std::optional<T>& value) {
    if (value)
      add(*value);
    else
      add_null();
  }
  // SQL has no value for what is forgotten.
  void add_or_null(ByteView value) {
    if (value.empty())
      add_null();
    else
      add(value);
  }

  std::size_t size() const { return size_; }
  pqxx::binarystring parameter() {
    for (int i = 0; i < 4; ++i)
      octets_[12 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(size_ >> (8 * (3 - i)));
    return {octets_.data(), octets_.size()};
  }

 private:
  template <std::size_t N>
  void element(std::int64_t value) {
    put_be<4>(octets_, N);
    put_be<N>(octets_, static_cast<std::uint64_t>(value));
  }

  Type type_;
  Bytes octets_;
  std::size_t size_ = 0;
};

}  // namespace gw::store::postgres
