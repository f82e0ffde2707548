#include "base/names.h"
#include "sampling/schedules/schedules.h"

namespace steplapse {

const std::vector<ScheduleRule>& schedules() {
  using namespace schedule_rows;
  static const std::vector<ScheduleRule> table{
      leading(),    linspace(),    trailing(),     linspace_sigma(), linspace_solver(), leading_solver(),   normal(),
      simple(),     sgm_uniform(), ddim_uniform(), karras(),         exponential(),     polyexponential(),  beta(),
      beta_sigma(), kl_optimal(),  ays_sd1(),      ays_sdxl(),       laplace(),         linear_quadratic(), lcm(),
  };
  return table;
}

const ScheduleRule& schedule_named(std::string_view name) {
  return find_named(schedules(), name, "schedule", "see schedules()");
}

}  // namespace steplapse
