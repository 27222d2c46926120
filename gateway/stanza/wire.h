#pragma once

// The octets of the binary XML format: what the first octet of a list, string or address means.
// Internal to the room.

#include <cstddef>
#include <cstdint>

namespace gw::stanza::wire {

inline constexpr std::uint8_t kListEmpty = 0;
inline constexpr std::uint8_t kFirstToken = 1;
inline constexpr std::uint8_t kLastToken = 235;
inline constexpr std::uint8_t kDictionary0 = 236;  // ..239, then the index
inline constexpr std::uint8_t kDictionary3 = 239;
inline constexpr std::uint8_t kInteropJid = 245;  // user, device u16, integrator u16, [server]
inline constexpr std::uint8_t kFbJid = 246;       // user, device u16, server
inline constexpr std::uint8_t kAdJid = 247;       // domain u8, device u8, user
inline constexpr std::uint8_t kList8 = 248;
inline constexpr std::uint8_t kList16 = 249;
inline constexpr std::uint8_t kJidPair = 250;  // user (or 0), server
inline constexpr std::uint8_t kHex8 = 251;
inline constexpr std::uint8_t kBinary8 = 252;
inline constexpr std::uint8_t kBinary20 = 253;
inline constexpr std::uint8_t kBinary32 = 254;
inline constexpr std::uint8_t kNibble8 = 255;

inline constexpr std::uint8_t kFlagRaw = 0x00;
inline constexpr std::uint8_t kFlagZlib = 0x02;

inline constexpr std::uint8_t kDomainPhone = 0;
inline constexpr std::uint8_t kDomainLid = 1;
inline constexpr std::uint8_t kDomainHosted = 128;
inline constexpr std::uint8_t kDomainHostedLid = 129;

inline constexpr std::size_t kMaxPacked = 127;    // characters of a packed string
inline constexpr std::size_t kMaxList = 65535;    // entries of a list
inline constexpr std::size_t kMaxNesting = 256;   // hard bound of our recursion, both ways
inline constexpr std::uint8_t kOddLength = 0x80;  // in a packed string's length octet

}  // namespace gw::stanza::wire
