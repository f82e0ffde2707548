#include "steplapse/error.h"
