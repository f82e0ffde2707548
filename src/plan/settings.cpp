#include "steplapse/settings.h"

#include <random>

namespace steplapse {

uint64_t random_seed() { return std::random_device{}(); }

}  // namespace steplapse
