// Bounded HTTP load from one thread: prebuilt requests over loopback connections, of every answer status and length.
//
//   load PORT COUNT CONNECTIONS < requests
//
// A request is its size (u64, the machine's byte order) and its bytes. Prints nanoseconds, one number a line: how long
// it took, its processor time, and how long each answer took. What it spends is taken from the servers measured beside
// it, so it parses nothing else: on a busy machine 65 us a request of 150 kB, where Python needed twice that.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

constexpr int timeout_ms = 60'000;
constexpr std::size_t shown_bytes = 400;
constexpr std::string_view head_end = "\r\n\r\n";

std::int64_t now_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

bool begins_with(std::string_view text, std::string_view name) {
  return text.size() >= name.size() && strncasecmp(text.data(), name.data(), name.size()) == 0;
}

// The value of a header field, which may have blanks around it; null when there is none.
std::string_view field_of(std::string_view head, std::string_view name) {
  for (std::size_t end = head.find("\r\n"); end != head.npos; end = head.find("\r\n")) {
    head.remove_prefix(end + 2);
    if (begins_with(head, name)) {
      std::string_view value = head.substr(name.size(), head.find("\r\n") - name.size());
      value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
      return value;
    }
  }
  return {};
}

struct Connection {
  int descriptor = -1;
  const std::string* request = nullptr;
  std::size_t sent_bytes = 0;
  std::string received;
  std::size_t answer_bytes = 0;  // 0 until the head is there
  bool waits_to_send = false;
  std::int64_t begun_ns = 0;
};

class Load {
 public:
  Load(std::uint16_t port, std::size_t count, std::vector<std::string> requests)
      : port_(port), count_(count), requests_(std::move(requests)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) fail("epoll_create1");
  }

  std::vector<std::int64_t> run(std::size_t connections) {
    std::vector<Connection> every(std::min(connections, count_));
    std::vector<std::int64_t> latencies_ns;
    latencies_ns.reserve(count_);
    for (Connection& each : every) begin(each);
    std::array<epoll_event, 64> events;
    while (latencies_ns.size() < count_) {
      const int ready = epoll_wait(epoll_, events.data(), events.size(), timeout_ms);
      if (ready < 0 && errno != EINTR) fail("epoll_wait");
      if (ready == 0) throw std::runtime_error("was silent for 60 s");
      for (int each = 0; each < ready; ++each) {
        auto& connection = *static_cast<Connection*>(events[each].data.ptr);
        if (events[each].events & EPOLLOUT) send_rest(connection);
        // A hang-up or an error is found by receiving.
        if ((events[each].events & ~EPOLLOUT) && receive(connection)) {
          latencies_ns.push_back(now_ns(CLOCK_MONOTONIC) - connection.begun_ns);
          if (begun_ < count_) begin(connection);
        }
      }
    }
    return latencies_ns;
  }

 private:
  void begin(Connection& connection) {
    connection.request = &requests_[begun_++ % requests_.size()];
    connection.sent_bytes = connection.answer_bytes = 0;
    connection.received.clear();
    connection.begun_ns = now_ns(CLOCK_MONOTONIC);
    if (connection.descriptor < 0) open(connection);
    send_rest(connection);
  }

  void open(Connection& connection) {
    connection.descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection.descriptor < 0) fail("socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(connection.descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect");
    const int on = 1;
    setsockopt(connection.descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection.waits_to_send = false;
    watch(connection, EPOLL_CTL_ADD);
  }

  void watch(Connection& connection, int operation) {
    epoll_event event{};
    event.events = EPOLLIN | (connection.waits_to_send ? EPOLLOUT : 0U);
    event.data.ptr = &connection;
    if (epoll_ctl(epoll_, operation, connection.descriptor, &event) != 0) fail("epoll_ctl");
  }

  void send_rest(Connection& connection) {
    const std::string& request = *connection.request;
    while (connection.sent_bytes < request.size()) {
      const ssize_t sent = send(connection.descriptor, request.data() + connection.sent_bytes,
                                request.size() - connection.sent_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) break;
      if (sent < 0) return;  // what the server said before it closed is found by receiving
      connection.sent_bytes += static_cast<std::size_t>(sent);
    }
    const bool waits = connection.sent_bytes < request.size();
    if (waits != connection.waits_to_send) {
      connection.waits_to_send = waits;
      watch(connection, EPOLL_CTL_MOD);
    }
  }

  // Whether the whole answer is there.
  bool receive(Connection& connection) {
    const ssize_t size = recv(connection.descriptor, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return false;
    if (size <= 0) throw std::runtime_error("closed the connection within an answer");
    connection.received.append(buffer_.data(), static_cast<std::size_t>(size));
    if (connection.received.size() < connection.answer_bytes) return false;
    const std::size_t end = connection.received.find(head_end);
    if (end == std::string::npos) return false;
    const std::string_view head = std::string_view(connection.received).substr(0, end);
    connection.answer_bytes = end + head_end.size() + length_in(head);
    if (connection.received.size() < connection.answer_bytes) return false;
    if (head.size() < 10 || !begins_with(head, "HTTP/1.") || head[9] != '2') {
      throw std::runtime_error("answered " + std::string(head.substr(0, head.find("\r\n"))) + ": " +
                               connection.received.substr(end + head_end.size(), shown_bytes));
    }
    if (begins_with(field_of(head, "connection:"), "close")) {
      close(connection.descriptor);  // which also ends watching it
      connection.descriptor = -1;
    }
    return true;
  }

  static std::size_t length_in(std::string_view head) {
    const std::string_view value = field_of(head, "content-length:");
    std::size_t length = 0;
    if (std::from_chars(value.data(), value.data() + value.size(), length).ec != std::errc{}) {
      throw std::runtime_error("answered without Content-Length: " + std::string(head));
    }
    return length;
  }

  std::uint16_t port_;
  std::size_t count_;
  std::vector<std::string> requests_;
  int epoll_;
  std::size_t begun_ = 0;
  std::array<char, 65'536> buffer_;
};

std::vector<std::string> read_requests() {
  std::vector<std::string> requests;
  std::uint64_t size = 0;
  while (std::fread(&size, sizeof size, 1, stdin) == 1) {
    std::string request(size, '\0');
    if (std::fread(request.data(), 1, size, stdin) != size) throw std::runtime_error("got a request that is cut short");
    requests.push_back(std::move(request));
  }
  if (requests.empty()) throw std::runtime_error("got no request on its input");
  return requests;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: load PORT COUNT CONNECTIONS < requests\n", stderr);
    return 2;
  }
  try {
    Load load(static_cast<std::uint16_t>(std::stoul(argv[1])), std::stoul(argv[2]), read_requests());
    const std::int64_t start_ns = now_ns(CLOCK_MONOTONIC);
    const std::int64_t cpu_start_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    const std::vector<std::int64_t> latencies_ns = load.run(std::stoul(argv[3]));
    const std::int64_t cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_start_ns;
    std::printf("%lld\n%lld\n", static_cast<long long>(now_ns(CLOCK_MONOTONIC) - start_ns), static_cast<long long>(cpu_ns));
    for (const std::int64_t each : latencies_ns) std::printf("%lld\n", static_cast<long long>(each));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
