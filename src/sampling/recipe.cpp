#include "steplapse/recipe.h"

#include <ATen/ATen.h>

namespace steplapse {

Trajectory start(const Recipe& recipe) {
  Noise noise(recipe.rng, recipe.seed);
  if (!recipe.init_noise_given) noise.like(recipe.init_noise);  // the stream's first draw is the init noise
  return sampler_named(recipe.sampler)
      .start(recipe.init_noise * recipe.schedule.init_scale, recipe.schedule, recipe.options, noise);
}

}  // namespace steplapse
