#include "l7/tls/keys.h"
