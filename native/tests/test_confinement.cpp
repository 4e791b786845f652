#include "baken/confinement.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>

#include "check.hpp"

namespace {

constexpr int held = 0;
constexpr int refused_by_system = 100;

// What `body` returns in a process of its own that was confined first.
int confined(const std::vector<std::string>& readable, bool reads_everything, const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    const baken::Confinement done = baken::confine(readable, reads_everything);
    _exit(done.system_calls.empty() && done.files.empty() ? body() : refused_by_system);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// 0 when a call failed with `error`, else 1.
int fails_with(long result, int error) { return result < 0 && errno == error ? 0 : 1; }

}  // namespace

TEST(nothing_is_reached_from_a_confined_process) {
  CHECK_EQ(confined({}, true, [] { return fails_with(socket(AF_INET, SOCK_STREAM, 0), EPERM); }), held);
  CHECK_EQ(confined({}, true, [] { return fails_with(socket(AF_UNIX, SOCK_STREAM, 0), EPERM); }), held);
  CHECK_EQ(confined({}, true, [] { return fails_with(fork(), EPERM); }), held);
  CHECK_EQ(confined({}, true, [] { return fails_with(execl("/bin/true", "true", nullptr), EPERM); }), held);
  CHECK_EQ(confined({}, true, [] { return fails_with(kill(getppid(), 0), EPERM); }), held);
  CHECK_EQ(confined({}, true, [] { return fails_with(syscall(SYS_io_uring_setup, 1, nullptr), EPERM); }), held);
  CHECK_EQ(confined({}, true, [] { return fails_with(syscall(SYS_memfd_create, "x", 0), EPERM); }), held);
}

TEST(files_are_opened_for_reading_alone) {
  CHECK_EQ(confined({}, true, [] { return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? 1 : 0; }), held);
  CHECK_EQ(confined({}, true, [] { return fails_with(open("/dev/null", O_WRONLY), EACCES); }), held);
  CHECK_EQ(confined({}, true, [] { return fails_with(open("/dev/null", O_RDWR), EACCES); }), held);
  CHECK_EQ(confined({}, true, [] { return fails_with(open("/baken-escaped", O_RDONLY | O_CREAT, 0600), EACCES); }), held);
  CHECK_EQ(confined({}, true, [] { return fails_with(mkdir("/baken-escaped", 0700), EPERM); }), held);
}

TEST(only_what_was_named_is_opened) {
  CHECK_EQ(confined({"/usr", "/nowhere"}, false, [] { return open("/usr", O_RDONLY | O_DIRECTORY) < 0 ? 1 : 0; }), held);
  CHECK_EQ(confined({"/usr"}, false, [] { return fails_with(open("/etc/passwd", O_RDONLY), EACCES); }), held);
  CHECK_EQ(confined({"/etc/passwd"}, false, [] { return open("/etc/passwd", O_RDONLY) < 0 ? 1 : 0; }), held);
}

TEST(threads_and_memory_are_there) {
  // No std::thread: the vptr sanitizer looks at its objects through a pipe, which a confined process cannot have.
  const auto body = [] {
    pthread_t thread{};
    const auto take = [](void*) -> void* { return std::calloc(64 << 20, 1); };
    void* taken = nullptr;
    return pthread_create(&thread, nullptr, take, nullptr) == 0 && pthread_join(thread, &taken) == 0 && taken ? 0 : 1;
  };
  CHECK_EQ(confined({}, true, body), held);
}

TEST(a_process_may_end_itself) {
  const auto body = [] {
    signal(SIGABRT, SIG_DFL);  // sanitizers have handlers
    return raise(SIGABRT);
  };
  CHECK_EQ(confined({}, true, body), -SIGABRT);
}
