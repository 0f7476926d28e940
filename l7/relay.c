#include "l7/relay.h"
