#include "studies/sweep/cell_claims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "support/temporary_folder.h"

namespace steplapse {
namespace {

using test_support::TemporaryFolder;
using testing::ElementsAre;
using testing::IsEmpty;

/// Another process with claims of its own, which lives until it is killed.
class OtherProcess {
 public:
  /// @param work  what it does before the constructor returns
  OtherProcess(const std::filesystem::path& sweep, const std::function<void(CellClaims&)>& work) {
    int ready[2];
    if (::pipe(ready) != 0) throw std::runtime_error("no pipe");
    process_ = ::fork();
    if (process_ == 0) {
      CellClaims claims(sweep, 10);
      work(claims);
      ::close(ready[0]);
      ::close(ready[1]);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char byte;
    while (::read(ready[0], &byte, 1) > 0) {
    }
    ::close(ready[0]);
  }
  ~OtherProcess() { kill(); }
  void kill() {
    if (process_ < 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(std::exchange(process_, -1), nullptr, 0);
  }

 private:
  pid_t process_ = -1;
};

TEST(CellClaims, AreKeptFromOthersUntilTheirOwnerDies) {
  const TemporaryFolder folder;
  CellClaims claims(folder.path(), 10);
  OtherProcess other(folder.path(), [](CellClaims& theirs) { theirs.claim(3); });
  EXPECT_FALSE(claims.claim(3));
  EXPECT_TRUE(claims.claim(4));
  other.kill();
  EXPECT_TRUE(claims.claim(3));
}

// Who waited for a cell that another process finished must not do it again.
TEST(CellClaims, AreNotGivenForWhatAnotherHasFinished) {
  const TemporaryFolder folder;
  CellClaims claims(folder.path(), 10);
  OtherProcess other(folder.path(), [](CellClaims& theirs) {
    theirs.claim(3);
    theirs.count_finished(3);
    theirs.release(3);
  });
  EXPECT_FALSE(claims.claim(3));
  EXPECT_TRUE(claims.is_finished_elsewhere(3));
  other.kill();
  CellClaims later(folder.path(), 10);  // whose rows were read after that
  EXPECT_TRUE(later.claim(3));
}

TEST(CellClaims, TellWhoIsAtWork) {
  const TemporaryFolder folder;
  EXPECT_THAT(claimed_cells(folder.path(), 10), IsEmpty());
  OtherProcess one(folder.path(), [](CellClaims& theirs) {
    for (const size_t cell : {0, 1, 5}) theirs.claim(cell);
  });
  OtherProcess two(folder.path(), [](CellClaims& theirs) {
    for (const size_t cell : {2, 9}) theirs.claim(cell);
  });
  EXPECT_THAT(claimed_cells(folder.path(), 10), ElementsAre(0, 1, 2, 5, 9));
  one.kill();
  EXPECT_THAT(claimed_cells(folder.path(), 10), ElementsAre(2, 9));
}

TEST(CellClaims, LocksHoldHere) {
  const TemporaryFolder folder;
  EXPECT_EQ(CellClaims(folder.path(), 10).why_locks_fail(), std::nullopt);
}

TEST(CellClaims, WithoutLocksEveryCellIsGivenThatIsNotFinished) {
  const TemporaryFolder folder;
  CellClaims claims(folder.path(), 10);
  OtherProcess other(folder.path(), [](CellClaims& theirs) {
    theirs.claim(3);
    theirs.count_finished(4);
  });
  claims.go_without_locks();
  EXPECT_TRUE(claims.claim(3));
  EXPECT_FALSE(claims.claim(4));
}

}  // namespace
}  // namespace steplapse
