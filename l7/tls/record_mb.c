#include "l7/tls/record.h"
