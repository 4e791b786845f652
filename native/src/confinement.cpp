#include "baken/confinement.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace baken {
namespace {

std::string refusal(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

// ---- system calls ----------------------------------------------------------------------------------------------------

#if defined(__x86_64__)
constexpr uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t architecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t architecture = 0;
#endif

// Memory, threads, clocks, open files and looking at names. None of them reaches another process or leaves a trace.
constexpr uint32_t harmless[] = {
    SYS_read, SYS_write, SYS_futex, SYS_mmap, SYS_munmap, SYS_madvise, SYS_mprotect, SYS_brk, SYS_mremap, SYS_recvfrom,
    SYS_recvmsg,  // a file that whoever asks has opened comes so, on the one connection that there is
    SYS_pread64, SYS_readv, SYS_preadv, SYS_writev, SYS_close, SYS_close_range, SYS_fstat, SYS_newfstatat, SYS_statx,
    SYS_lseek, SYS_ppoll, SYS_pselect6, SYS_fadvise64, SYS_readahead, SYS_getdents64, SYS_readlinkat, SYS_faccessat,
    SYS_faccessat2, SYS_getcwd, SYS_dup, SYS_mincore, SYS_membarrier, SYS_set_robust_list, SYS_get_robust_list,
    SYS_set_tid_address, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending, SYS_sigaltstack,
    SYS_restart_syscall, SYS_gettid, SYS_getpid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid,
    SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_getcpu, SYS_clock_gettime,
    SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_times, SYS_getrusage, SYS_getrandom,
    SYS_sysinfo, SYS_uname, SYS_exit, SYS_exit_group,
#ifdef SYS_rseq
    SYS_rseq,
#endif
// aarch64 never had these.
#ifdef SYS_open
    SYS_stat, SYS_lstat, SYS_poll, SYS_select, SYS_access, SYS_readlink, SYS_time, SYS_arch_prctl, SYS_dup2,
    SYS_getrlimit, SYS_epoll_wait,
#endif
};

constexpr uint32_t writing_flags = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;

// A program for the kernel: it reads the number of a call and its arguments, and says allow, refuse or kill.
class Filter {
 public:
  Filter() {
    load(offsetof(seccomp_data, arch));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0));
    answer(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
  }

  void allow(uint32_t call) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
    answer(SECCOMP_RET_ALLOW);
  }

  void refuse(uint32_t call, uint32_t error) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
    answer(SECCOMP_RET_ERRNO | error);
  }

  // Allow a call when an argument, as 32 bits, is one of these; refuse it otherwise.
  void allow_if_among(uint32_t call, int argument, std::initializer_list<uint32_t> values) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, static_cast<uint8_t>(2 + 2 * values.size())));
    load_argument(argument);
    for (const uint32_t value : values) {
      allow(value);
    }
    answer(SECCOMP_RET_ERRNO | EPERM);
  }

  // Allow a call when none of these bits of an argument is set; refuse it with `error` otherwise.
  void allow_without(uint32_t call, int argument, uint32_t bits, uint32_t error) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4));
    load_argument(argument);
    add(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0));
    answer(SECCOMP_RET_ALLOW);
    answer(SECCOMP_RET_ERRNO | error);
  }

  // Allow a call when one of these bits of an argument is set; refuse it otherwise.
  void allow_with(uint32_t call, int argument, uint32_t bits) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4));
    load_argument(argument);
    add(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
    answer(SECCOMP_RET_ALLOW);
    answer(SECCOMP_RET_ERRNO | EPERM);
  }

  void answer(uint32_t what) { add(BPF_STMT(BPF_RET | BPF_K, what)); }

  // Empty when the kernel took it for all threads.
  std::string install() {
    sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
      return refusal("seccomp");
    }
    return {};
  }

 private:
  void add(sock_filter instruction) { code_.push_back(instruction); }
  void load(std::size_t offset) { add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset))); }
  // Both architectures are little-endian: the lower half of an argument comes first.
  void load_argument(int number) { load(offsetof(seccomp_data, args) + sizeof(uint64_t) * static_cast<std::size_t>(number)); }

  std::vector<sock_filter> code_;
};

std::string confine_system_calls() {
  if (architecture == 0) {
    return "seccomp: there is no list of system calls for this processor";
  }
  const auto own_id = static_cast<uint32_t>(getpid());
  Filter filter;
  for (const uint32_t call : harmless) {
    filter.allow(call);
  }
  filter.allow_without(SYS_openat, 2, writing_flags, EACCES);
#ifdef SYS_open
  filter.allow_without(SYS_open, 1, writing_flags, EACCES);
#endif
  // Nobody may be made to send signals to a process, and there is no lock or lease to take.
  filter.allow_if_among(SYS_fcntl, 1, {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL});
  filter.allow_with(SYS_clone, 0, CLONE_THREAD);
  filter.allow_if_among(SYS_prlimit64, 0, {0});
  filter.allow_if_among(SYS_prctl, 0, {PR_SET_NAME, PR_GET_NAME});
  for (const uint32_t call : {SYS_kill, SYS_tgkill}) {  // abort() and raise()
    filter.allow_if_among(call, 0, {own_id});
  }
  // The C library has older ways for these, whose arguments can be looked at.
  filter.refuse(SYS_clone3, ENOSYS);
  filter.refuse(SYS_openat2, ENOSYS);
  filter.refuse(SYS_ioctl, ENOTTY);
  filter.answer(SECCOMP_RET_ERRNO | EPERM);
  return filter.install();
}

// ---- files -----------------------------------------------------------------------------------------------------------

// The kernel's own header may be older than the kernel: https://docs.kernel.org/userspace-api/landlock.html.
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

struct RulesetAttributes {
  uint64_t handled_access_fs;
};

struct [[gnu::packed]] PathBeneath {
  uint64_t allowed_access;
  int32_t parent_fd;
};

constexpr uint32_t create_version = 1;
constexpr int rule_path_beneath = 1;
constexpr uint64_t read_file = 1 << 2;
constexpr uint64_t read_folder = 1 << 3;

// Rights that each version of the interface knows: 13 at first, then moving between folders, truncating, devices.
uint64_t known_rights(long version) {
  const int count = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
  return (uint64_t{1} << count) - 1;
}

void allow_reading(int ruleset, const std::string& path) {
  const int folder = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (folder < 0) {
    return;
  }
  struct stat status {};
  const bool is_folder = fstat(folder, &status) == 0 && S_ISDIR(status.st_mode);
  const PathBeneath rule{is_folder ? read_file | read_folder : read_file, folder};
  syscall(SYS_landlock_add_rule, ruleset, rule_path_beneath, &rule, 0);
  close(folder);
}

std::string confine_files(const std::vector<std::string>& readable, bool reads_everything) {
  const long version = syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, create_version);
  if (version < 1) {
    return refusal("landlock");
  }
  const RulesetAttributes attributes{known_rights(version)};
  const auto ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0));
  if (ruleset < 0) {
    return refusal("landlock");
  }
  if (reads_everything) {
    allow_reading(ruleset, "/");
  }
  for (const std::string& path : readable) {
    allow_reading(ruleset, path);
  }
  const bool is_done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  const std::string why = is_done ? std::string() : refusal("landlock");
  close(ruleset);
  return why;
}

}  // namespace

Confinement confine(const std::vector<std::string>& readable, bool reads_everything) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_DUMPABLE, 0);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    const std::string why = refusal("no_new_privs");
    return {why, why};
  }
  std::string files = confine_files(readable, reads_everything);
  return {confine_system_calls(), std::move(files)};
}

}  // namespace baken
