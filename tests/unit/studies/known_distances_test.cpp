#include "studies/sweep/known_distances.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "base/file_io.h"
#include "support/temporary_folder.h"

namespace steplapse {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// Cells that are done, with these hashes of their pictures.
Sweep sweep_of_pictures(const std::filesystem::path& folder, const std::vector<std::string>& hashes) {
  Sweep sweep{.folder = folder, .plan = {}, .rows = {}};
  for (size_t cell = 0; cell < hashes.size(); ++cell)
    sweep.rows.push_back(CellRow{.cell = cell, .status = "done", .final_sha256 = hashes[cell]});
  return sweep;
}

std::string result(int cell, int reference, const std::string& hash, const std::string& psnr) {
  return R"({"cell":)" + std::to_string(cell) + R"(,"reference":)" + std::to_string(reference) +
         R"(,"latents_rms":0.5,"psnr":)" + psnr + R"(,"final_sha256":")" + hash + "\"}\n";
}

class KnownDistances : public testing::Test {
 protected:
  /// PSNR by cell, 0 for one that isn't known; cell 2 is compared with cell 1, and cell 1 with itself.
  std::vector<double> known(const std::string& results, const std::vector<std::string>& hashes) const {
    write_whole(folder_.path() / "results.jsonl", results);
    std::vector<double> psnr;
    for (const auto& distance : known_distances(sweep_of_pictures(folder_.path(), hashes), {0, 0}))
      psnr.push_back(distance ? distance->psnr.value() : 0);
    return psnr;
  }

  const test_support::TemporaryFolder folder_;
  const std::string own_ = result(1, 1, "a", "null");
};

TEST_F(KnownDistances, AreThoseOfPicturesThatAreAsTheyWere) {
  EXPECT_THAT(known(own_ + result(2, 1, "b", "31.5"), {"a", "b"}), testing::ElementsAre(kInfinite, 31.5));
}

TEST_F(KnownDistances, AreNotThoseOfAPictureThatIsAnother) {
  EXPECT_THAT(known(own_ + result(2, 1, "b", "31.5"), {"a", "c"}), testing::ElementsAre(kInfinite, 0));
  EXPECT_THAT(known(own_ + result(2, 1, "b", "31.5"), {"c", "b"}), testing::ElementsAre(0, 0));
}

TEST_F(KnownDistances, AreNotThoseToAnotherCell) {
  EXPECT_THAT(known(own_ + result(2, 2, "b", "31.5"), {"a", "b"}), testing::ElementsAre(kInfinite, 0));
}

TEST_F(KnownDistances, AreInfiniteOfEqualPicturesAndElseMeasured) {
  EXPECT_THAT(known(own_ + result(2, 1, "a", "null"), {"a", "a"}), testing::ElementsAre(kInfinite, kInfinite));
  EXPECT_THAT(known(own_ + result(2, 1, "b", "null"), {"a", "b"}), testing::ElementsAre(kInfinite, 0));
}

TEST_F(KnownDistances, AreNoneWhereLinesAreTornOrOfOtherSweeps) {
  EXPECT_THAT(known("{\"cell\":\n" + result(9, 1, "b", "31.5") + result(0, 1, "b", "31.5") + "{}\n[]\n" +
                        result(2, 1, "b", "31.5").substr(0, 40),
                    {"a", "b"}),
              testing::ElementsAre(0, 0));
}

TEST_F(KnownDistances, AreNoneBeforeThereAreResults) {
  for (const auto& distance : known_distances(sweep_of_pictures(folder_.path(), {"a", "b"}), {0, 0}))
    EXPECT_FALSE(distance);
}

}  // namespace
}  // namespace steplapse
