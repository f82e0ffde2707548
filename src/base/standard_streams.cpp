#include "base/standard_streams.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <mutex>
#include <streambuf>
#include <string>
#include <utility>

namespace steplapse {
namespace {

/// A descriptor that is written to as long as somebody reads it.
class StandardStream : public std::streambuf {
 public:
  explicit StandardStream(int descriptor) : descriptor_(descriptor) {}
  bool reader_left() const { return reader_left_; }

 protected:
  std::streamsize xsputn(const char* text, std::streamsize length) override {
    constexpr size_t kMostWaiting = 1 << 16;
    const std::lock_guard guard(mutex_);
    waiting_.append(text, static_cast<size_t>(length));
    return waiting_.size() < kMostWaiting || write_out() ? length : 0;
  }
  int_type overflow(int_type character) override {
    const char text = traits_type::to_char_type(character);
    if (traits_type::eq_int_type(character, traits_type::eof())) return traits_type::not_eof(character);
    return xsputn(&text, 1) == 1 ? character : traits_type::eof();
  }
  int sync() override {
    const std::lock_guard guard(mutex_);
    return write_out() ? 0 : -1;
  }

 private:
  /// @return false where the write failed though there is a reader
  bool write_out() {
    const std::string text = std::exchange(waiting_, {});
    for (size_t written = 0; written < text.size() && !reader_left_;) {
      const ssize_t count = ::write(descriptor_, text.data() + written, text.size() - written);
      if (count >= 0) {
        written += static_cast<size_t>(count);
      } else if (errno == EAGAIN) {  // whoever shares the terminal with us made it so
        pollfd ready{descriptor_, POLLOUT, 0};
        poll(&ready, 1, -1);
      } else if (errno == EPIPE || errno == ECONNRESET || (errno == EIO && is_terminal())) {
        reader_left_ = true;
      } else if (errno != EINTR) {
        return false;
      }
    }
    return true;
  }

  /// One that is gone gives EIO as a broken disk does, and is no terminal to isatty any more.
  bool is_terminal() const {
    struct stat file{};
    return fstat(descriptor_, &file) == 0 && S_ISCHR(file.st_mode);
  }

  const int descriptor_;
  std::mutex mutex_;
  std::string waiting_;
  std::atomic<bool> reader_left_ = false;
};

// Never deleted: threads may write to the end.
StandardStream* output = nullptr;
StandardStream* errors = nullptr;

/// A file that is opened would else take the place of a stream that was closed, and be written to.
void open_what_is_closed() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    // The wrong way round, so that using it fails as it would.
    [[maybe_unused]] const int lowest_free = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

void keep_writing_without_readers() {
  open_what_is_closed();
  std::signal(SIGPIPE, SIG_IGN);
  std::cout.rdbuf(output = new StandardStream(STDOUT_FILENO));
  std::cerr.rdbuf(errors = new StandardStream(STDERR_FILENO));
}

void say_which_reader_left(const std::function<void(const std::string&)>& on_output) {
  std::cout.flush();
  if (output && output->reader_left()) {
    std::cerr << "steplapse: warning: the reader of standard output went away; the run went on\n" << std::flush;
  } else if (errors && errors->reader_left()) {
    on_output("the reader of standard error went away; the run went on");
  }
}

}  // namespace steplapse
