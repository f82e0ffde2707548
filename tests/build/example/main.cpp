// One's own code beside each step: shows noise level, latents and x0, and ends the run where x0 settles.
#include <ATen/ATen.h>

#include <cstdio>

#include "steplapse/error.h"
#include "steplapse/sample.h"
#include "steplapse/version.h"

double rms(const at::Tensor& x) { return x.square().mean().sqrt().item<double>(); }

void draw(const char* folder) {
  const steplapse::Bundle bundle = steplapse::load_bundle(folder);
  steplapse::Settings settings;
  settings.prompt = "red apple";
  settings.seed = 948574399;
  settings.steps = 30;

  at::Tensor before;
  const auto go_on = [&before](const steplapse::Step& step) {
    const double change = before.defined() ? rms(step.x0 - before) : 1;
    std::printf("step %d: sigma %.3f, latents' rms %.3f, x0 moved by %.3f\n", int(step.number), step.level.sigma,
                rms(step.x), change);
    before = step.x0;
    return change > 0.1;
  };
  const at::Tensor latents = steplapse::sample(bundle, settings, go_on);
  const at::Tensor picture = bundle.decode("full", latents);
  std::printf("a picture of %d x %d\n", int(picture.size(3)), int(picture.size(2)));
}

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: example BUNDLE, with steplapse %s\n", STEPLAPSE_VERSION);
    return int(steplapse::ExitCode::usage);
  }
  try {
    draw(arguments[1]);
  } catch (const std::exception& error) {
    const steplapse::Failure failure = steplapse::failure_of(error);  // one line, also of what libtorch threw
    std::fprintf(stderr, "example: %s\n", failure.message.c_str());
    return int(failure.code);
  }
}
