// One's own code beside each step: shows noise level, latents and x0, and ends the run where x0 settles.
#include <ATen/ATen.h>

#include <cstdio>

#include "steplapse/sample.h"

double rms(const at::Tensor& x) { return x.square().mean().sqrt().item<double>(); }

int main(int, char** arguments) {
  const steplapse::Bundle bundle = steplapse::load_bundle(arguments[1]);
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
