// run_isolated: test cases in a child process.
//
// The child writes a line "KIND DETAIL" for each case to a pipe, flushed as soon as it is known. When the
// pipe ends early, or stays silent for too long, the case that was running is at fault and a new child goes
// on behind it. This process itself runs no case, so it has no threads whose state a fork would lose.
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "engine/core/fail.h"
#include "tools/test_case.h"

namespace plica::tools {
namespace {

class Worker {
 public:
  Worker(const std::vector<TestCase>& cases, size_t first, bool optimize, int threads) {
    int ends[2];
    require(::pipe(ends) == 0, ErrorCode::io, "cannot make a pipe: {}", std::strerror(errno));
    std::fflush(nullptr);
    pid_ = ::fork();
    require(pid_ >= 0, ErrorCode::io, "cannot start a process: {}", std::strerror(errno));
    if (pid_ == 0) {
      ::close(ends[0]);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // an interrupt of this process ends the child's case too
      work(cases, first, optimize, threads, ends[1]);
    }
    ::close(ends[1]);
    fd_ = ends[0];
  }
  ~Worker() {
    ::close(fd_);
    if (!reaped_) {
      ::kill(pid_, SIGKILL);
      reap();
    }
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The next result; nullopt when the worker ended or was silent for `timeout` seconds, then `fault` says
  // which.
  std::optional<TestResult> next(double timeout, std::string& fault) {
    for (;;) {
      if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
        const std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return TestResult{static_cast<TestResult::Kind>(line[0] - '0'), line.substr(1)};
      }
      struct pollfd ready = {fd_, POLLIN, 0};
      const int events = ::poll(&ready, 1, static_cast<int>(timeout * 1000));
      if (events < 0 && errno == EINTR) continue;
      if (events == 0) {
        fault = fmt::format("it ran for more than {} s", timeout);
        return std::nullopt;
      }
      char chunk[4096];
      const ssize_t got = ::read(fd_, chunk, sizeof chunk);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        const int status = reap();
        fault = WIFSIGNALED(status) ? fmt::format("it crashed ({})", strsignal(WTERMSIG(status)))
                                    : fmt::format("its process ended with code {}", WEXITSTATUS(status));
        return std::nullopt;
      }
      buffer_.append(chunk, static_cast<size_t>(got));
    }
  }

 private:
  [[noreturn]] static void work(const std::vector<TestCase>& cases, size_t first, bool optimize, int threads,
                                int fd) {
    for (size_t i = first; i < cases.size(); ++i) {
      const TestResult result = run_test_case(cases[i], optimize, threads);
      std::string line(1, static_cast<char>('0' + static_cast<int>(result.kind)));
      line += escaped(result.detail);
      line += '\n';
      for (size_t done = 0; done < line.size();) {
        const ssize_t wrote = ::write(fd, line.data() + done, line.size() - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) ::_exit(1);
        done += static_cast<size_t>(wrote);
      }
    }
    ::_exit(0);
  }

  int reap() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
    return status;
  }

  pid_t pid_ = -1;
  int fd_ = -1;
  bool reaped_ = false;
  std::string buffer_;
};

}  // namespace

void run_isolated(const std::vector<TestCase>& cases, bool optimize, int threads, double timeout,
                  const std::function<void(size_t, const TestResult&)>& done) {
  for (size_t i = 0; i < cases.size();) {
    Worker worker(cases, i, optimize, threads);
    std::string fault;
    for (; i < cases.size(); ++i) {
      const auto result = worker.next(timeout, fault);
      if (!result) break;
      done(i, *result);
    }
    if (i < cases.size()) done(i++, {TestResult::Kind::failed, fault});
  }
}

}  // namespace plica::tools
