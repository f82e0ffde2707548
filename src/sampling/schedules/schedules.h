#pragma once

#include "steplapse/schedule.h"

// The rows of schedules(). Each stands beside its rule, in one of three files: rules that spread steps over timesteps,
// rules that spread them over a function of sigma, and lists that papers published.
namespace steplapse::schedule_rows {

ScheduleRule leading();
ScheduleRule linspace();
ScheduleRule trailing();
ScheduleRule linspace_sigma();
ScheduleRule linspace_solver();
ScheduleRule leading_solver();
ScheduleRule normal();
ScheduleRule simple();
ScheduleRule sgm_uniform();
ScheduleRule ddim_uniform();
ScheduleRule karras();
ScheduleRule exponential();
ScheduleRule polyexponential();
ScheduleRule beta();
ScheduleRule beta_sigma();
ScheduleRule kl_optimal();
ScheduleRule ays_sd1();
ScheduleRule ays_sdxl();
ScheduleRule laplace();
ScheduleRule linear_quadratic();
ScheduleRule lcm();

}  // namespace steplapse::schedule_rows
