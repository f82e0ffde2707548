#pragma once

#include "steplapse/schedule.h"

// The rows of schedules(), each beside its rule, in the files of this folder by what they spread evenly: timesteps, a
// function of sigma, or what a paper published as a list.
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
