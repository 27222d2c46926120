#include "floors/frames.h"

#include <arpa/inet.h>
#include <cstring>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <semaphore>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "base/bytes.h"
#include "floors/cpu.h"

namespace gw::bench {
namespace {

constexpr std::size_t kConnections = 256;
constexpr int kRounds = 40;

void require(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("frame floor: ") + what);
}

// Sealing stands for opening as well: they cost the same.
class Gcm {
 public:
  Gcm() : context_(EVP_CIPHER_CTX_new()) {
    require(context_ != nullptr, "no cipher");
    EVP_EncryptInit_ex(context_, EVP_aes_256_gcm(), nullptr, nullptr, nullptr);
  }
  ~Gcm() { EVP_CIPHER_CTX_free(context_); }
  Gcm(const Gcm&) = delete;
  Gcm& operator=(const Gcm&) = delete;

  // As on a link of its own: another key than the frame before.
  void run(std::size_t link, std::uint8_t* data, std::size_t size) {
    std::uint8_t key[32] = {}, iv[12] = {};
    std::memcpy(key, &link, sizeof link);
    std::memcpy(iv + 4, &counter_, sizeof counter_);
    ++counter_;
    int n = 0;
    require(EVP_EncryptInit_ex(context_, nullptr, nullptr, key, iv) == 1 &&
                EVP_EncryptUpdate(context_, data, &n, data, static_cast<int>(size)) == 1 &&
                EVP_EncryptFinal_ex(context_, data + n, &n) == 1 &&
                EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_GCM_GET_TAG, 16, data + size) == 1,
            "OpenSSL refused");
  }

 private:
  EVP_CIPHER_CTX* context_;
  std::uint64_t counter_ = 0;
};

struct Connections {
  Connections() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    require(::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 &&
                ::listen(listener, kConnections) == 0 &&
                ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) == 0,
            "no listener");
    for (std::size_t i = 0; i < kConnections; ++i) {
      ours.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      require(::connect(ours.back(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0,
              "no connection");
      theirs.push_back(::accept(listener, nullptr, nullptr));
      const int on = 1, off = 0;
      for (int fd : {ours.back(), theirs.back()}) {
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
      }
    }
    ::close(listener);
  }
  ~Connections() {
    for (const auto* all : {&ours, &theirs})
      for (int fd : *all) ::close(fd);
  }
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;
  std::vector<int> ours, theirs;
};

void send_all(int fd, const std::uint8_t* data, std::size_t size) {
  require(::send(fd, data, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size), "not sent");
}
void receive_all(int fd, std::uint8_t* data, std::size_t size) {
  require(::recv(fd, data, size, MSG_WAITALL) == static_cast<ssize_t>(size), "not received");
}

// One frame of this size over each connection a round; CPU a frame of the calling thread.
double one_way_us(Connections& connections, std::size_t size, bool writing) {
  Gcm gcm;
  Bytes frame(size + 16 + 3);
  std::binary_semaphore theirs_turn{0}, ours_turn{0};
  std::thread peer([&] {
    Bytes other(frame.size());
    for (int round = 0; round < kRounds; ++round) {
      theirs_turn.acquire();
      for (int fd : connections.theirs) {
        if (writing)
          receive_all(fd, other.data(), other.size());
        else
          send_all(fd, other.data(), other.size());
      }
      ours_turn.release();
    }
  });
  double spent = 0;
  for (int round = 0; round < kRounds; ++round) {
    if (!writing) {
      theirs_turn.release();
      ours_turn.acquire();
    }
    const double start = thread_cpu_us();
    for (std::size_t i = 0; i < kConnections; ++i) {
      if (writing) {
        gcm.run(i, frame.data() + 3, size);
        send_all(connections.ours[i], frame.data(), frame.size());
      } else {
        receive_all(connections.ours[i], frame.data(), frame.size());
        gcm.run(i, frame.data() + 3, size);
      }
    }
    spent += thread_cpu_us() - start;
    if (writing) {
      theirs_turn.release();
      ours_turn.acquire();
    }
  }
  peer.join();
  return spent / (kRounds * double(kConnections));
}

}  // namespace

double frames_us(const std::vector<std::size_t>& written, const std::vector<std::size_t>& read) {
  Connections connections;
  double sum = 0;
  for (std::size_t size : written) sum += one_way_us(connections, size, true);
  for (std::size_t size : read) sum += one_way_us(connections, size, false);
  return sum;
}

}  // namespace gw::bench
