#include "plan/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steplapse {
namespace {

/// Rows as in the table, of samplers whose habits differ.
const std::vector<Sampler>& table() {
  static const std::vector<Sampler> rows{
      {.name = "ddim", .label = "", .start = nullptr, .aliases = {"diffusers:DDIMScheduler", "a1111:DDIM"}},
      {.name = "euler",
       .label = "",
       .start = nullptr,
       .aliases = {"diffusers:EulerDiscreteScheduler", "a1111:Euler", "comfyui:euler", "sd.cpp:euler"}},
      {.name = "dpmpp_2m",
       .label = "",
       .start = nullptr,
       .aliases = {"diffusers:DPMSolverMultistepScheduler", "a1111:DPM++ 2M", "comfyui:dpmpp_2m", "sd.cpp:dpm++2m",
                   "k-diffusion:sample_dpmpp_2m"}},
      {.name = "dpmpp_2m_sde",
       .label = "",
       .start = nullptr,
       .aliases = {"a1111:DPM++ 2M SDE", "comfyui:dpmpp_2m_sde"}},
      {.name = "dpm2", .label = "", .start = nullptr, .aliases = {"a1111:DPM2", "comfyui:dpm_2"}},
      {.name = "dpm_adaptive", .label = "", .start = nullptr, .aliases = {"a1111:DPM adaptive"}},
  };
  return rows;
}

Preset preset(std::string_view name) { return preset_named(name, table()); }

TEST(Preset, IsWhatTheToolDoesByItself) {
  using enum StartScale;
  EXPECT_EQ(preset("diffusers:DDIMScheduler"), (Preset{.sampler = "ddim", .start = unit}));
  EXPECT_EQ(preset("diffusers:EulerDiscreteScheduler"),
            (Preset{.sampler = "euler", .schedule = "linspace_sigma", .start = sigma_but_leading}));
  EXPECT_EQ(preset("diffusers:DPMSolverMultistepScheduler"),
            (Preset{.sampler = "dpmpp_2m", .schedule = "linspace_solver", .start = unit}));
  EXPECT_EQ(preset("a1111:DDIM"),
            (Preset{.sampler = "ddim", .schedule = "ddim_uniform", .start = unit, .end = RunEnd::last_listed}));
  EXPECT_EQ(
      preset("a1111:DPM adaptive"),
      (Preset{.sampler = "dpm_adaptive", .schedule = "normal", .start = sigma, .end = RunEnd::last_asked, .eta = 1}));
  EXPECT_EQ(preset("a1111:Euler"), (Preset{.sampler = "euler", .schedule = "normal", .start = sigma}));
  EXPECT_EQ(preset("a1111:DPM++ 2M"), (Preset{.sampler = "dpmpp_2m", .schedule = "karras", .start = sigma}));
  EXPECT_EQ(preset("a1111:DPM2"),
            (Preset{.sampler = "dpm2", .schedule = "karras", .start = sigma, .drops_penultimate = true}));
  EXPECT_EQ(preset("comfyui:dpmpp_2m"), (Preset{.sampler = "dpmpp_2m", .schedule = "simple", .start = unit_at_max}));
  EXPECT_EQ(preset("sd.cpp:dpm++2m"), (Preset{.sampler = "dpmpp_2m", .schedule = "normal", .start = sigma}));
}

TEST(Preset, MayNameAScheduleToo) {
  EXPECT_EQ(preset("a1111:DPM++ 2M Karras").schedule, "karras");
  EXPECT_EQ(preset("a1111:DPM++ 2M SDE").sampler, "dpmpp_2m_sde");
  EXPECT_EQ(preset("a1111:DPM++ 2M SDE Karras"),
            (Preset{.sampler = "dpmpp_2m_sde", .schedule = "karras", .start = StartScale::sigma}));
  EXPECT_EQ(preset("a1111:Euler SGM Uniform").schedule, "sgm_uniform");
  EXPECT_EQ(preset("a1111:Euler Beta").schedule, "beta_sigma");
  EXPECT_EQ(preset("a1111:DPM++ 2M Align Your Steps").schedule, "ays");
  EXPECT_EQ(preset("comfyui:dpmpp_2m_karras").schedule, "karras");
  EXPECT_EQ(preset("comfyui:euler beta").schedule, "beta");
  EXPECT_TRUE(preset("comfyui:dpm_2_karras").drops_penultimate);
}

std::string refusal(const std::function<void()>& ask) {
  try {
    ask();
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST(Preset, OfAnUnknownNameIsRefusedWithTheNearest) {
  EXPECT_EQ(refusal([] { preset("a1111:DPM+ 2M"); }),
            "unknown sampler 'a1111:DPM+ 2M', did you mean 'a1111:DPM++ 2M'?");
  EXPECT_EQ(refusal([] { preset("sd.cpp:something"); }),
            "unknown sampler 'sd.cpp:something'; choose from sd.cpp:euler, sd.cpp:dpm++2m");
  EXPECT_EQ(refusal([] { preset("invoke:euler"); }),
            "unknown tool 'invoke'; choose from a1111, comfyui, k-diffusion, sd.cpp, diffusers");
  EXPECT_EQ(refusal([] { schedule_of_other_tool("a1111:Karas"); }),
            "unknown schedule 'a1111:Karas', did you mean 'a1111:Karras'?");
}

TEST(OtherTools, KnowOurSchedules) {
  EXPECT_EQ(schedule_of_other_tool("a1111:Karras"), "karras");
  EXPECT_EQ(schedule_of_other_tool("sd.cpp:discrete"), "normal");
  EXPECT_EQ(schedule_of_other_tool("a1111:Align Your Steps"), "ays");
}

// Every name in the tables leads somewhere, and the schedules that come with them are ours.
TEST(OtherTools, HaveAPresetForEveryNameInTheTable) {
  for (const Sampler& sampler : samplers()) {
    for (const auto& name : sampler.aliases) {
      const Preset found = preset_named(name);
      EXPECT_EQ(found.sampler, sampler.name) << name;
      EXPECT_NO_THROW(schedule_named(found.schedule.value_or("leading"))) << name;
    }
  }
}

}  // namespace
}  // namespace steplapse
